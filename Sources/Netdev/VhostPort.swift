// A vhost-user port: a VirtIO guest's network device, on DPDK's rte_vhost.

internal import CDPDK
internal import CVhostUser
internal import Glibc
internal import Synchronization

/// A port of kind `dpdkvhostuser` (the switch listens) or `dpdkvhostuserclient` (it connects, and tries again with growing
/// pauses of at most a second).
///
/// The number of queues follows the guest; handles stay good while guests come and go.
///
/// ## Thread safety
/// See `CVhostUser.h`: the guest is attached and detached by rte_vhost's thread; the data path is kept out by a lock word
/// for each virtqueue. What is left here is constant, or behind the mutex.
final class VhostPort: Port {
    let name: String
    let kind: PortKind

    private let path: String
    private let socket: Socket
    private let control: Mutex<Control>

    /// `@unchecked Sendable`: CVhostUser's functions may be called from any thread until the socket is closed.
    private struct Socket: @unchecked Sendable { var pointer: OpaquePointer }
    private struct Control {
        var isOpen = true
        var configuration: NetdevConfiguration
        var address: HardwareAddress
        /// Where received packets' memory is.
        var poolNode = 0
        var last = PortStatistics()
    }

    init(_ configuration: NetdevConfiguration) throws(PortError) {
        let name = configuration.name
        let isClient = configuration.kind == .dpdkvhostuserclient
        let path: String
        if isClient {
            guard let given = configuration.options["vhost-server-path"], !given.isEmpty else {
                throw .missingOption(
                    port: name, option: "vhost-server-path", hint: "the path of the socket that the guest's side listens on")
            }
            path = given
        } else {
            path = configuration.socketDirectory.isEmpty ? name : configuration.socketDirectory + "/" + name
        }
        guard path.utf8.count <= NetdevLimits.socketPath else {
            throw .socket(
                port: name, path: path, reason: "the path has \(path.utf8.count) bytes, and a socket's at most \(NetdevLimits.socketPath)")
        }
        var options = try VhostPort.options(configuration)
        if !isClient { try VhostPort.clear(path, port: name) }
        try DPDKRuntime.initialize()
        let pool = try MbufPools.pool(mtu: configuration.mtu, numa: -1)
        let opened = withReason { cvhost_open(path, configuration.socketDirectory, &options, pool.pointer, $0, $1) }
        guard let pointer = opened.result else { throw .socket(port: name, path: path, reason: opened.reason) }
        self.name = name
        self.path = path
        kind = configuration.kind
        socket = Socket(pointer: pointer)
        control = Mutex(Control(configuration: configuration, address: configuration.requestedAddress ?? HardwareAddress(bits: 0)))
        VhostPort.setMaximumFrame(pointer, mtu: configuration.mtu)
    }

    private static func setMaximumFrame(_ socket: OpaquePointer, mtu: Int) {
        for pair in 0..<UInt16(CVHOST_MAX_QUEUE_PAIRS) {
            let counters = cvhost_tx_counters(socket, pair)!
            cdpdk_counter_store(&counters.pointee.max_frame, UInt64(mtu + NetdevLimits.frameOverhead))
        }
    }

    private static func options(_ configuration: NetdevConfiguration) throws(PortError) -> cvhost_options {
        let isClient = configuration.kind == .dpdkvhostuserclient
        // as the field has it: a port that listens has neither
        return cvhost_options(
            client: isClient, iommu: isClient && configuration.vhost.offersIOMMU,
            postcopy: isClient && configuration.vhost.offersPostcopy, offloads: configuration.vhost.offersOffloads,
            tx_retries: UInt8(try retries(configuration)), mode: try VhostSocketOwner.mode(configuration),
            owner: try VhostSocketOwner.user(configuration), group: try VhostSocketOwner.group(configuration))
    }

    private static func retries(_ configuration: NetdevConfiguration) throws(PortError) -> Int {
        try configuration.number(
            "tx-retries-max", in: NetdevLimits.vhostTransmitRetries, otherwise: NetdevLimits.defaultVhostTransmitRetries)
    }

    /// Removes the socket that a switch which died left behind; refuses to take a living one's away.
    private static func clear(_ path: String, port: String) throws(PortError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
            if access(directory, W_OK | X_OK) != 0 {
                throw .socket(port: port, path: path, reason: "no file can be made in '\(directory)': \(errorText(Int(errno)))")
            }
            return
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw .socket(port: port, path: path, reason: "a file that is not a socket is in its place")
        }
        let probe = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { throw .socket(port: port, path: path, reason: errorText(Int(errno))) }
        defer { Glibc.close(probe) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(NetdevLimits.socketPath)) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(probe, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard connected != 0, errno == ECONNREFUSED else {
            throw .socket(port: port, path: path, reason: "another process listens on it")
        }
        guard unlink(path) == 0 else {
            throw .socket(port: port, path: path, reason: "its old socket cannot be removed: \(errorText(Int(errno)))")
        }
    }

    private func state() -> cvhost_state {
        var state = cvhost_state()
        state.numa = -1
        control.withLock { if $0.isOpen { cvhost_get_state(socket.pointer, &state) } }
        return state
    }

    var numaNode: Int { Int(state().numa) }
    var rxQueueCount: Int { max(1, Int(state().queue_pairs)) }
    var txQueueCount: Int { max(1, Int(state().queue_pairs)) }

    func rxQueue(_ index: Int) -> RxQueueHandle {
        RxQueueHandle(
            kind: .vhost, queue: UInt16(index), object: socket.pointer, pool: nil,
            counters: cvhost_rx_counters(socket.pointer, UInt16(index))!)
    }
    func txQueue(_ thread: Int, threads: Int) -> TxQueueHandle {
        // the guest's queues are always sent to under their lock word, and mapped when the burst is sent
        TxQueueHandle(
            kind: .vhost, isShared: false, queue: UInt16(thread), object: socket.pointer,
            counters: cvhost_tx_counters(socket.pointer, UInt16(thread % Int(CVHOST_MAX_QUEUE_PAIRS)))!)
    }

    var changes: UInt64 { control.withLock { $0.isOpen ? cvhost_generation(socket.pointer) : .max } }

    func link() -> LinkState {
        let state = state()
        return LinkState(isUp: state.running, changes: state.event(Int(CVHOST_EVENT_CONNECTED)))
    }

    var isAwayFromNode: Bool {
        let state = state()
        return state.running && state.numa >= 0 && Int(state.numa) != control.withLock { $0.poolNode }
    }

    func followNode() {
        let (mtu, node) = (mtu, numaNode)
        guard node >= 0, let pool = try? MbufPools.pool(mtu: mtu, numa: node) else { return }
        control.withLock { control in
            guard control.isOpen, control.configuration.mtu == mtu else { return }
            control.poolNode = node
            cvhost_set_pool(socket.pointer, pool.pointer)
        }
    }

    var mtu: Int { control.withLock { $0.configuration.mtu } }
    var hardwareAddress: HardwareAddress { control.withLock { $0.address } }

    func statistics() -> PortStatistics {
        control.withLock { control in
            guard control.isOpen else { return control.last }
            var all = PortStatistics()
            var retries: UInt64 = 0
            var kicks: UInt64 = 0
            var rxSizes = [UInt64](repeating: 0, count: 7)
            var txSizes = rxSizes
            for pair in 0..<UInt16(CVHOST_MAX_QUEUE_PAIRS) {
                let received = QueueCountersSnapshot(cvhost_rx_counters(socket.pointer, pair)!)
                let sent = QueueCountersSnapshot(cvhost_tx_counters(socket.pointer, pair)!)
                all.addReceive(received)
                all.addTransmit(sent)
                retries &+= sent.retries
                kicks &+= sent.kicks &+ received.kicks
                for bucket in 0..<7 {
                    rxSizes[bucket] &+= received.sizes[bucket]
                    txSizes[bucket] &+= sent.sizes[bucket]
                }
            }
            all.extended = zip(PortStatistics.sizeNames, rxSizes).map { .init("rx_\($0)_packets", $1) }
            all.extended += zip(PortStatistics.sizeNames, txSizes).map { .init("tx_\($0)_packets", $1) }
            all.extended += [.init("ovs_tx_retries", retries), .init("ovs_tx_failure_drops", all.txDropped)]
            all.extended.append(.init("vhost_guest_notifications", kicks))
            var state = cvhost_state()
            cvhost_get_state(socket.pointer, &state)
            for (event, name) in VhostPort.eventNames { all.extended.append(.init(name, state.event(event))) }
            all.extended += queueStatistics(pairs: Int(state.queue_pairs))
            control.last = all
            return all
        }
    }

    /// What `Interface.statistics` calls the events of the socket.
    private static let eventNames: [(Int, String)] = [
        (Int(CVHOST_EVENT_CONNECTED), "vhost_connections"), (Int(CVHOST_EVENT_REFUSED), "vhost_refused_messages"),
        (Int(CVHOST_EVENT_REFUSED_BY_LIBRARY), "vhost_refused_by_library"),
        (Int(CVHOST_EVENT_STALLED), "vhost_stalled_messages"), (Int(CVHOST_EVENT_EVICTED), "vhost_evictions"),
        (Int(CVHOST_EVENT_SLOWED), "vhost_slowed"), (Int(CVHOST_EVENT_FAULT), "vhost_memory_faults"),
        (Int(CVHOST_EVENT_SHRUNK), "vhost_memory_shrunk"), (Int(CVHOST_EVENT_STUCK), "vhost_stuck_eventfds"),
        (Int(CVHOST_EVENT_DEAR), "vhost_dear_bursts"),
    ]

    /// Of guests with several queue pairs: what each one carried.
    private func queueStatistics(pairs: Int) -> [PortStatistics.Named] {
        guard pairs > 1 else { return [] }
        return (0..<UInt16(pairs)).flatMap { pair in
            let received = QueueCountersSnapshot(cvhost_rx_counters(socket.pointer, pair)!)
            let sent = QueueCountersSnapshot(cvhost_tx_counters(socket.pointer, pair)!)
            return [
                PortStatistics.Named("rx_q\(pair)_packets", received.packets), PortStatistics.Named("rx_q\(pair)_bytes", received.bytes),
                PortStatistics.Named("tx_q\(pair)_packets", sent.packets), PortStatistics.Named("tx_q\(pair)_bytes", sent.bytes),
                PortStatistics.Named("tx_q\(pair)_retries", sent.retries),
            ]
        }
    }

    func status() -> [String: String] {
        let state = state()
        var status = [
            "mode": kind == .dpdkvhostuser ? "server" : "client", "socket": path, "status": state.running ? "connected" : "disconnected",
            "numa": String(max(state.numa, 0)), "tx_retries": "0", "userspace-tso": "disabled",
        ]
        control.withLock { control in
            status["tx_retries"] = (try? VhostPort.retries(control.configuration)).map(String.init) ?? "0"
            if control.configuration.vhost.offersOffloads { status["userspace-tso"] = "enabled" }
            guard control.isOpen, state.running else { return }
            for ring in 0..<min(state.queue_pairs * 2, UInt16(NetdevLimits.vhostRingsShown)) {
                status["vring_\(ring)_size"] = String(cvhost_ring_size(socket.pointer, ring))
            }
        }
        if state.running {
            status["n_rxq"] = String(state.enabled_rx)
            status["n_txq"] = String(state.enabled_tx)
            status["num_of_vrings"] = String(state.queue_pairs * 2)
            status.merge(offloadStatus(state.offloads)) { first, _ in first }
            status["features"] = VhostFeatures.hexadecimal(state.features)
            status["negotiated"] = VhostFeatures.names(state.features)
            if state.guest_mtu != 0 { status["guest_mtu"] = String(state.guest_mtu) }
        } else {
            status["reason"] = state.reasonText
        }
        return status
    }

    func apply(_ configuration: NetdevConfiguration) throws(PortError) -> Bool {
        try configuration.check()
        let retries = try VhostPort.retries(configuration)
        // The guest stays: only what is received from now on needs larger buffers, and what is sent another limit.
        let node = control.withLock { $0.poolNode }
        let pool = configuration.mtu == mtu ? nil : try MbufPools.pool(mtu: configuration.mtu, numa: node)
        return control.withLock { control in
            guard configuration.name == name, configuration.kind == kind,
                configuration.socketDirectory == control.configuration.socketDirectory,
                configuration.options["vhost-server-path"] == control.configuration.options["vhost-server-path"],
                configuration.vhost == control.configuration.vhost, VhostSocketOwner.isSame(configuration, control.configuration)
            else { return false }
            control.configuration = configuration
            if let address = configuration.requestedAddress { control.address = address }
            cvhost_set_tx_retries(socket.pointer, UInt8(retries))
            if let pool {
                cvhost_set_pool(socket.pointer, pool.pointer)
                VhostPort.setMaximumFrame(socket.pointer, mtu: configuration.mtu)
            }
            return true
        }
    }

    func close() {
        _ = statistics()
        let wasOpen = control.withLock { control in
            defer { control.isOpen = false }
            return control.isOpen
        }
        if wasOpen { cvhost_close(socket.pointer) }
    }
}

extension cvhost_state {
    /// A counter of `CVHOST_EVENT_*`.
    func event(_ number: Int) -> UInt64 {
        withUnsafeBytes(of: events) { $0.load(fromByteOffset: number * MemoryLayout<UInt64>.stride, as: UInt64.self) }
    }
    /// Why the guest's queues do not run.
    var reasonText: String {
        withUnsafeBytes(of: reason) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
