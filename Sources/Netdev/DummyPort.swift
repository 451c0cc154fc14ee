// A port in memory, for tests.

internal import CDPDK
internal import CLinux
internal import Glibc
internal import Synchronization

/// A port whose packets come from `inject` and go to `takeTransmitted`, or, as a daemon's device, to captures and streams. Needs
/// no DPDK: while that does not run, packets live on the heap.
///
/// `options:n_rxq` and `n_txq` give the numbers of queues (1 by default); `hw-flows=true` gives it hardware that takes flows. A device's
/// further options: `pcap` (both directions),
/// `rxq_pcap` and `tx_pcap`, captures that are written anew; `stream=unix:PATH` and `pstream=punix:PATH`, see `DummyStream`.
///
/// ## Thread safety
/// The rings between tests and PMD threads are DPDK's, for many threads on either side; `@unchecked` because they are raw
/// pointers, freed by `close`.
public final class DummyPort: Port, @unchecked Sendable {
    /// Who uses it.
    public enum Mode: Sendable {
        /// A test in this process: it polls, injects, and takes out what was sent.
        case manual
        /// A daemon: packets are waited for, and what is sent is recorded or gone.
        case device
    }

    public let name: String
    public let kind: PortKind
    public let mode: Mode
    public let numaNode = -1
    public let rxQueueCount: Int
    public let txQueueCount: Int

    private let pool: MbufPools.Pool
    private let rx: QueueState
    private let tx: QueueState
    private let rxRings: [OpaquePointer]
    private let txRings: [OpaquePointer]
    private let control: Mutex<Control>
    private let changeCounter = Atomic<UInt64>(0)

    /// The hardware that it plays.
    private let hardware: SoftwareFlowProvider?
    private let sink: UnsafeMutablePointer<clinux_sink>
    /// Readable when packets come; -1: the port is polled.
    private let arrival: Int32

    private struct Control {
        var isOpen = true
        var options: [String: String]
        /// IP addresses, as text.
        var addresses: [String] = []
        var receiveCapture: Int32 = -1
        var stream: DummyStream?
        var link = LinkState(isUp: true)
        var address: HardwareAddress
        var mtu: Int
    }

    /// How many were made: their addresses count up.
    private static let made = Atomic<UInt32>(0)

    public init(_ configuration: NetdevConfiguration, mode: Mode = .manual) throws(PortError) {
        try configuration.check()
        name = configuration.name
        kind = configuration.kind
        self.mode = mode
        rxQueueCount = try configuration.number("n_rxq", in: 1...NetdevLimits.receiveQueues, otherwise: 1)
        txQueueCount = try configuration.number("n_txq", in: 1...NetdevLimits.transmitQueues, otherwise: 1)
        if cdpdk_eal_is_initialized() {
            pool = try MbufPools.pool(mtu: configuration.mtu, numa: -1)
        } else {
            pool = try MbufPools.heapPool(mtu: configuration.mtu)
        }
        hardware = configuration.options["hw-flows"] == "true" ? SoftwareFlowProvider() : nil
        rx = QueueState(count: rxQueueCount)
        tx = QueueState(count: txQueueCount)
        tx.setMaximumFrame(mtu: configuration.mtu)
        func rings(_ count: Int) -> [OpaquePointer] {
            (0..<count).compactMap { _ in cdpdk_ring_create(UInt32(NetdevLimits.dummyQueue), false, false) }
        }
        rxRings = rings(rxQueueCount)
        txRings = mode == .manual ? rings(txQueueCount) : []
        sink = .allocate(capacity: 1)
        sink.initialize(to: clinux_sink(capture: -1, streams: (-1, -1, -1, -1, -1, -1, -1, -1)))
        arrival = mode == .device && configuration.kind != .dummyPMD ? clinux_eventfd() : -1
        let number = DummyPort.made.wrappingAdd(1, ordering: .relaxed).newValue
        let made = HardwareAddress(bits: 0xaa55_aa55_0000 | UInt64(number) & 0xffff)
        control = Mutex(
            Control(options: configuration.options, address: configuration.requestedAddress ?? made, mtu: configuration.mtu))
        guard rxRings.count == rxQueueCount, mode == .device || txRings.count == txQueueCount else {
            (rxRings + txRings).forEach { cdpdk_ring_free($0) }
            throw .noMemory(reason: "the rings of dummy port \(configuration.name) could not be made")
        }
        if mode == .device {
            do throws(PortError) {
                try record(configuration)
                try openStream(configuration)
            } catch {
                close()
                throw error
            }
        }
    }

    deinit {
        sink.deallocate()
        if arrival >= 0 { Glibc.close(arrival) }
    }

    // MARK: Captures and streams

    /// Opens the captures that the options ask for.
    private func record(_ configuration: NetdevConfiguration) throws(PortError) {
        func capture(_ path: String, _ option: String) throws(PortError) -> Int32 {
            let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
            guard descriptor >= 0, clinux_capture_header(descriptor) == 0 else {
                throw .system(port: name, operation: "write the capture \(path) of options:\(option)", reason: errorText(-Int(errno)))
            }
            return descriptor
        }
        var receive: Int32 = -1
        var transmit: Int32 = -1
        let options = configuration.options
        if let path = options["pcap"] {
            receive = try capture(path, "pcap")
            transmit = dup(receive)
        } else {
            if let path = options["rxq_pcap"] { receive = try capture(path, "rxq_pcap") }
            if let path = options["tx_pcap"] {
                transmit = path == options["rxq_pcap"] ? dup(receive) : try capture(path, "tx_pcap")
            }
        }
        setTransmitCapture(transmit)
        let old = control.withLock { control in
            defer { control.receiveCapture = receive }
            return control.receiveCapture
        }
        if old >= 0 { Glibc.close(old) }
    }

    private func setTransmitCapture(_ descriptor: Int32) {
        cdpdk_spin_lock(&tx[0].pointee.lock)
        let old = sink.pointee.capture
        sink.pointee.capture = descriptor
        cdpdk_spin_unlock(&tx[0].pointee.lock)
        if old >= 0 { Glibc.close(old) }
    }

    private func openStream(_ configuration: NetdevConfiguration) throws(PortError) {
        let role: DummyStream.Role
        let option: String
        if let text = configuration.options["pstream"] {
            guard text.hasPrefix("punix:") else {
                throw .invalidOption(port: name, option: "options:pstream", value: text, valid: "punix: and a path")
            }
            option = "pstream"
            role = .listens(path: configuration.absolute(String(text.dropFirst(6))))
        } else if let text = configuration.options["stream"] {
            guard text.hasPrefix("unix:") else {
                throw .invalidOption(port: name, option: "options:stream", value: text, valid: "unix: and a path")
            }
            option = "stream"
            role = .connects(path: configuration.absolute(String(text.dropFirst(5))))
        } else {
            return
        }
        let stream = DummyStream(role, sink: sink, lock: tx[0]) { [weak self] in _ = self?.inject($0) }
        if let reason = stream.start() {
            throw .system(port: name, operation: "open the stream of options:\(option)", reason: reason)
        }
        control.withLock { $0.stream = stream }
    }

    private func closeStream() {
        let stream = control.withLock { control in
            defer { control.stream = nil }
            return control.stream
        }
        stream?.stop()
    }

    /// Whether the options give it a stream.
    public var hasStream: Bool { control.withLock { $0.stream != nil } }

    /// Notes an IP address of the device (`netdev-dummy/ip4addr`).
    public func addAddress(_ text: String) { control.withLock { $0.addresses.append(text) } }

    /// How its stream is: `connected`, `disconnected`, or `unknown` for one that listens and where there is none.
    public var streamState: String {
        guard let stream = control.withLock({ $0.stream }), case .connects = stream.role else { return "unknown" }
        return stream.isConnected ? "connected" : "disconnected"
    }

    // MARK: The test's side

    /// Puts a frame on a receive queue. False if the queue is full, the frame is longer than a buffer, or no buffer is free.
    ///
    /// With `isPartial`, its TCP or UDP checksum is to be computed still; with a `segmentSize`, it stands for several TCP segments.
    @discardableResult
    public func inject(_ frame: [UInt8], queue: Int = 0, isPartial: Bool = false, segmentSize: UInt16 = 0) -> Bool {
        if let hardware, !isPartial, segmentSize == 0, hardware.handle(frame) { return true }
        guard let packet = packet(of: frame) else { return false }
        if isPartial || segmentSize > 0 { cdpdk_offload_mark(packet, segmentSize) }
        control.withLock { control in
            guard control.receiveCapture >= 0 else { return }
            _ = frame.withUnsafeBytes { clinux_capture_record(control.receiveCapture, $0.baseAddress!, $0.count) }
        }
        var one: UnsafeMutablePointer<cdpdk_mbuf> = packet
        if cdpdk_ring_enqueue_packets(rxRings[queue], &one, 1) == 1 {
            if arrival >= 0 { _ = clinux_eventfd_signal(arrival) }
            return true
        }
        cdpdk_mbuf_free(packet)
        return false
    }

    private func packet(of frame: [UInt8]) -> UnsafeMutablePointer<cdpdk_mbuf>? {
        guard !frame.isEmpty, frame.count <= pool.dataRoom, let packet = cdpdk_mbuf_alloc(pool.pointer) else { return nil }
        let data = cdpdk_mbuf_append(packet, UInt16(frame.count))!
        frame.withUnsafeBufferPointer { if let base = $0.baseAddress { data.update(from: base, count: $0.count) } }
        return packet
    }

    /// Sends what another port's hardware handled.
    func sendFromHardware(_ frame: [UInt8]) {
        guard var packet = packet(of: frame) else { return }
        if txQueue(0, threads: .max).transmit(&packet, count: 1) == 0 { cdpdk_mbuf_free(packet) }
    }

    public var hardwareFlows: HardwareFlowSupport {
        hardware.map { .provider($0) } ?? .none(reason: "a dummy plays hardware with options:hw-flows=true only")
    }

    /// Frames that wait on receive queue `queue`.
    public func pendingReceive(queue: Int = 0) -> Int { Int(cdpdk_ring_count(rxRings[queue])) }

    /// Takes out what was sent on a transmit queue, at most `limit` frames, oldest first.
    public func takeTransmitted(queue: Int = 0, limit: Int = .max) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<cdpdk_mbuf>.self, capacity: 1) { slot in
            while frames.count < limit, cdpdk_ring_dequeue_packets(txRings[queue], slot.baseAddress!, 1) == 1 {
                let packet = slot[0]
                let length = packet.pointee.pkt_len
                frames.append(
                    [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
                        count = length == 0 ? 0 : Int(cdpdk_mbuf_read(packet, 0, length, buffer.baseAddress!))
                    })
                cdpdk_mbuf_free(packet)
            }
        }
        return frames
    }

    /// Says what packets need not be finished for this port: checksums, and segmentation over IPv4 and IPv6.
    public func takeUnfinished(checksums: Bool, segmentsIPv4: Bool = false, segmentsIPv6: Bool = false) {
        tx.setOffloads(
            (checksums ? UInt32(CDPDK_OFFLOAD_CHECKSUM) : 0) | (segmentsIPv4 ? UInt32(CDPDK_OFFLOAD_TSO4) : 0)
                | (segmentsIPv6 ? UInt32(CDPDK_OFFLOAD_TSO6) : 0))
    }

    /// Brings the link up or down, as a cable would.
    public func setLink(isUp: Bool) {
        control.withLock { control in
            guard control.link.isUp != isUp else { return }
            control.link.isUp = isUp
            control.link.isAdministrativelyUp = isUp
            control.link.changes += 1
        }
        changeCounter.wrappingAdd(1, ordering: .releasing)
    }

    // MARK: Port

    public func setAdministrativelyUp(_ isUp: Bool) { setLink(isUp: isUp) }

    public func rxQueue(_ index: Int) -> RxQueueHandle {
        RxQueueHandle(
            kind: .dummy, queue: UInt16(index), descriptor: arrival, object: rxRings[index], pool: pool.pointer, counters: rx[index])
    }
    public func txQueue(_ thread: Int, threads: Int) -> TxQueueHandle {
        if mode == .device {
            return TxQueueHandle(kind: .sink, isShared: true, queue: 0, object: OpaquePointer(sink), counters: tx[0])
        }
        let queue = thread % txQueueCount
        return TxQueueHandle(
            kind: .dummy, isShared: threads > txQueueCount || hardware != nil, queue: UInt16(queue), object: txRings[queue],
            counters: tx[queue])
    }
    public var changes: UInt64 { changeCounter.load(ordering: .acquiring) }
    public func link() -> LinkState { control.withLock { $0.link } }
    public var mtu: Int { control.withLock { $0.mtu } }
    public var hardwareAddress: HardwareAddress { control.withLock { $0.address } }

    public func statistics() -> PortStatistics {
        var all = PortStatistics()
        rx.snapshots.forEach { all.addReceive($0) }
        tx.snapshots.forEach { all.addTransmit($0) }
        if let handled = hardware?.handled {
            all.rxPackets &+= handled.packets
            all.rxBytes &+= handled.bytes
        }
        if mode == .device {
            // Devices may have counters of their own making; clients of such are tested with these two.
            all.countsErrors = false
            all.extended += [.init("rx_custom_packets_1", 0), .init("rx_custom_packets_2", 0)]
            for (index, queue) in rx.snapshots.enumerated() {
                all.extended += [.init("rx_q\(index)_packets", queue.packets), .init("rx_q\(index)_bytes", queue.bytes)]
            }
            all.extended += [.init("tx_q0_packets", all.txPackets), .init("tx_q0_bytes", all.txBytes)]
        }
        return all
    }
    public func status() -> [String: String] { mode == .device ? [:] : ["driver_name": "dummy"] }

    public func apply(_ configuration: NetdevConfiguration) throws(PortError) -> Bool {
        try configuration.check()
        guard configuration.name == name, configuration.kind == kind,
            try configuration.number("n_rxq", in: 1...NetdevLimits.receiveQueues, otherwise: 1) == rxQueueCount,
            configuration.mtu + NetdevLimits.frameOverhead <= pool.dataRoom
        else { return false }
        let before = control.withLock { $0.options }
        if mode == .device {
            let streams = ["stream", "pstream"]
            if streams.contains(where: { before[$0] != configuration.options[$0] }) { return false }
            let captures = ["pcap", "rxq_pcap", "tx_pcap"]
            if captures.contains(where: { before[$0] != configuration.options[$0] }) { try record(configuration) }
        }
        control.withLock { control in
            control.options = configuration.options
            control.mtu = configuration.mtu
            if let address = configuration.requestedAddress { control.address = address }
        }
        tx.setMaximumFrame(mtu: configuration.mtu)
        return true
    }

    public func close() {
        let wasOpen = control.withLock { control in
            defer { control.isOpen = false }
            control.link.isUp = false
            return control.isOpen
        }
        guard wasOpen else { return }
        closeStream()
        setTransmitCapture(-1)
        let capture = control.withLock { control in
            defer { control.receiveCapture = -1 }
            return control.receiveCapture
        }
        if capture >= 0 { Glibc.close(capture) }
        for queue in txRings.indices { _ = takeTransmitted(queue: queue) }
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<cdpdk_mbuf>.self, capacity: 1) { slot in
            for ring in rxRings { while cdpdk_ring_dequeue_packets(ring, slot.baseAddress!, 1) == 1 { cdpdk_mbuf_free(slot[0]) } }
        }
        (rxRings + txRings).forEach { cdpdk_ring_free($0) }
    }
}
