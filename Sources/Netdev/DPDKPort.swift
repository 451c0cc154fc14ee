// An Ethernet device of DPDK.

internal import CDPDK
internal import CLinux
internal import Glibc
internal import Synchronization

/// A port of kind `dpdk`: the device that `options:dpdk-devargs` names, probed when the port opens unless it is there; or of kind
/// `afxdp`: an interface of the host by DPDK's AF_XDP driver.
///
/// ## Thread safety
/// Control calls into the device are serialised by a mutex; the data path goes past it, on queues that are set up before
/// the first handle is given out and taken down after the last one is gone.
final class DPDKPort: Port {
    let name: String
    let kind: PortKind
    let numaNode: Int
    let rxQueueCount: Int
    let txQueueCount: Int
    let mtu: Int

    /// Flows that the device takes.
    let hardwareFlows: HardwareFlowSupport
    let devicePort: UInt16
    private let configuration: NetdevConfiguration
    private let device: String
    private let hardware: HardwareOptions
    /// What the device cannot do of what was asked.
    private let notes: [String]
    private let pool: MbufPools.Pool
    private let rx: QueueState
    private let tx: QueueState
    private let control: Mutex<Control>
    private let changeCounter = Atomic<UInt64>(0)

    private struct Control {
        var isOpen = true
        var address: HardwareAddress
        var link = LinkState()
        var last = PortStatistics()
        var failure: PortFailure?
    }

    /// Devices are probed, started and removed one at a time.
    private static let setup = Mutex(())
    /// Device ports in use, by DPDK's number, and who uses them.
    private static let users = Mutex<[UInt16: String]>([:])
    /// Devices that ports brought in, by DPDK's name: they go with their last port. What DPDK was started with stays.
    private static let probedDevices = Mutex<Set<String>>([])

    init(_ configuration: NetdevConfiguration) throws(PortError) {
        let name = configuration.name
        let receiveQueues = try configuration.number("n_rxq", in: 1...NetdevLimits.receiveQueues, otherwise: 1)
        let devargs = try DPDKPort.device(configuration, receiveQueues: receiveQueues)
        let rxDescriptors = try configuration.descriptorCount("n_rxq_desc")
        let txDescriptors = try configuration.descriptorCount("n_txq_desc")
        let hardware = try HardwareOptions(configuration)
        try DPDKPort.checkFiles(devargs, port: name)
        try DPDKRuntime.initialize()
        // DPDK would log two errors, each time that it is tried again
        let card = PCIDevice(devargs: devargs)
        if let absence = card?.absence() { throw .device(port: name, device: devargs, reason: absence) }

        var number = UInt16.max
        var probed = false
        let found = DPDKPort.setup.withLock { _ in withReason { cdpdk_device_probe(devargs, &number, &probed, $0, $1) } }
        guard found.result == 0 else {
            throw .device(port: name, device: devargs, reason: card?.problem() ?? found.reason)
        }
        let port = number
        if probed {
            var info = cdpdk_port_info()
            cdpdk_port_get_info(port, &info)
            let device = text(of: info.device)
            DPDKPort.probedDevices.withLock { _ = $0.insert(device) }
        }
        let other: String? = DPDKPort.users.withLock { users in
            if let user = users[port] { return user }
            users[port] = name
            return nil
        }
        if let other { throw .deviceInUse(port: name, device: devargs, by: other) }

        do throws(PortError) {
            let pool = try MbufPools.pool(mtu: configuration.mtu, numa: Int(cdpdk_port_numa(port)))
            // a memif has as many rings as the other side agreed to, which knows nothing of threads, and a loop's are received from
            // one by one: as many as there are for receiving
            let isPaired = devargs.hasPrefix("net_memif") || devargs.hasPrefix("net_ring")
            let senders = isPaired ? receiveQueues : configuration.transmitThreads
            var wanted = cdpdk_port_config(
                rx_queues: UInt16(receiveQueues),
                tx_queues: UInt16(min(max(senders, 1), NetdevLimits.transmitQueues)),
                rx_descriptors: UInt16(rxDescriptors), tx_descriptors: UInt16(txDescriptors), mtu: UInt16(configuration.mtu),
                offloads: configuration.vhost.offersOffloads, lsc_interrupt: hardware.interruptsOnLinkChange,
                steer_lacp: hardware.steersLACP, pool: pool.pointer)
            let started = DPDKPort.setup.withLock { _ in withReason { cdpdk_port_start(port, &wanted, $0, $1) } }
            guard started.result == 0 else { throw .device(port: name, device: devargs, reason: started.reason) }
            if let address = configuration.requestedAddress {
                let set = withReason { reason, size in
                    address.bytes.withUnsafeBufferPointer { cdpdk_port_set_mac(port, $0.baseAddress!, reason, size) }
                }
                guard set.result == 0 else {
                    throw .device(port: name, device: devargs, reason: "it does not take the address \(address): \(set.reason)")
                }
            }
            var info = cdpdk_port_info()
            cdpdk_port_get_info(port, &info)
            self.name = name
            kind = configuration.kind
            self.configuration = configuration
            self.hardware = hardware
            notes = hardware.apply(to: port, info: info)
            cdpdk_port_get_info(port, &info)
            devicePort = port
            hardwareFlows = DeviceFlowProvider.support(of: port)
            device = devargs
            self.pool = pool
            numaNode = Int(info.numa)
            rxQueueCount = Int(info.rx_queues)
            txQueueCount = Int(info.tx_queues)
            mtu = info.mtu == 0 ? configuration.mtu : Int(info.mtu)
            rx = QueueState(count: rxQueueCount)
            tx = QueueState(count: txQueueCount)
            tx.setMaximumFrame(mtu: mtu)
            tx.setOffloads(cdpdk_port_offloads(port))
            control = Mutex(Control(address: HardwareAddress(bytes: withUnsafeBytes(of: info.mac) { Array($0) })))
        } catch {
            DPDKPort.users.withLock { $0[port] = nil }
            DPDKPort.release(port)
            throw error
        }
        _ = link()
    }

    /// What DPDK calls the device.
    private static func device(_ configuration: NetdevConfiguration, receiveQueues: Int) throws(PortError) -> String {
        let name = configuration.name
        if configuration.kind == .afxdp {
            guard clinux_interface_index(name) > 0 else {
                throw .device(port: name, device: name, reason: "this host has no such interface")
            }
            guard !name.utf8.contains(UInt8(ascii: ",")) else {
                throw .invalidName(port: name, reason: "DPDK's AF_XDP driver takes no interface with a ',' in its name")
            }
            return "net_af_xdp_\(name),iface=\(name),start_queue=0,queue_count=\(receiveQueues)"
        }
        guard let devargs = configuration.options["dpdk-devargs"], !devargs.isEmpty else {
            throw .missingOption(
                port: name, option: "dpdk-devargs", hint: "a PCI address such as 0000:3b:00.0 or a virtual device such as net_null0")
        }
        return devargs
    }

    /// Stops a device, and takes it out of DPDK if a port brought it in.
    private static func release(_ port: UInt16) {
        var info = cdpdk_port_info()
        cdpdk_port_get_info(port, &info)
        let device = text(of: info.device)
        setup.withLock { _ in
            guard probedDevices.withLock({ $0.contains(device) }) else {
                _ = cdpdk_port_stop(port)
                return
            }
            _ = withReason { cdpdk_device_remove(port, $0, $1) }
        }
    }

    /// Says what is wrong with a capture before the driver is asked, which only says that it failed.
    private static func checkFiles(_ devargs: String, port: String) throws(PortError) {
        guard devargs.hasPrefix("net_pcap") else { return }
        for argument in devargs.split(separator: ",").dropFirst() where argument.hasPrefix("rx_pcap=") {
            let path = String(argument.dropFirst("rx_pcap=".count))
            if access(path, R_OK) != 0 {
                throw .device(port: port, device: devargs, reason: "the capture '\(path)' cannot be read: \(errorText(Int(errno)))")
            }
        }
    }

    func rxQueue(_ index: Int) -> RxQueueHandle {
        RxQueueHandle(kind: .dpdk, devicePort: devicePort, queue: UInt16(index), object: nil, pool: pool.pointer, counters: rx[index])
    }
    func txQueue(_ thread: Int, threads: Int) -> TxQueueHandle {
        let queue = thread % txQueueCount
        return TxQueueHandle(
            kind: .dpdk, isShared: threads > txQueueCount, devicePort: devicePort, queue: UInt16(queue), object: nil, counters: tx[queue])
    }

    var changes: UInt64 { changeCounter.load(ordering: .acquiring) }

    func link() -> LinkState {
        control.withLock { control in
            guard control.isOpen else { return control.link }
            listen(&control)
            var link = cdpdk_link()
            guard cdpdk_port_get_link(devicePort, &link) == 0 else { return control.link }
            var state = LinkState(
                isUp: link.up, speed: link.speed_mbps == 0 ? nil : UInt64(link.speed_mbps) * 1_000_000,
                isFullDuplex: link.up ? link.full_duplex : nil, changes: control.link.changes)
            if state.isUp != control.link.isUp {
                state.changes += 1
                changeCounter.wrappingAdd(1, ordering: .releasing)
            }
            control.link = state
            return state
        }
    }

    /// What the device has said since it was last asked.
    private func listen(_ control: inout Control) {
        let events = cdpdk_port_events(devicePort)
        guard control.failure == nil else { return }
        if events & UInt32(CDPDK_EVENT_REMOVED) != 0 {
            control.failure = .removed(sentence: "the device '\(device)' of port \(name) was taken out of the machine")
        } else if events & UInt32(CDPDK_EVENT_RESET) != 0 {
            control.failure = .reset
        }
    }

    var failure: PortFailure? {
        control.withLock { control in
            if control.isOpen { listen(&control) }
            return control.failure
        }
    }

    var hardwareAddress: HardwareAddress { control.withLock { $0.address } }

    func statistics() -> PortStatistics {
        control.withLock { control in
            guard control.isOpen else { return control.last }
            var device = cdpdk_port_stats()
            guard cdpdk_port_get_stats(devicePort, &device) == 0 else { return control.last }
            var all = PortStatistics()
            all.rxPackets = device.rx_packets
            all.rxBytes = device.rx_bytes
            all.rxErrors = device.rx_errors
            all.rxDropped = device.rx_no_mbuf
            all.rxMissedErrors = device.rx_missed
            all.txPackets = device.tx_packets
            all.txBytes = device.tx_bytes
            all.txErrors = device.tx_errors
            all.txDropped = tx.snapshots.reduce(0) { $0 &+ $1.dropped }
            all.extended = extendedStatistics()
            control.last = all
            return all
        }
    }

    /// What the device counts beyond the basics: errors, drops, sizes.
    private func extendedStatistics() -> [PortStatistics.Named] {
        let count = Int(cdpdk_port_get_xstats(devicePort, nil, 0))
        guard count > 0, count <= NetdevLimits.extendedStatistics else { return [] }
        return withUnsafeTemporaryAllocation(of: cdpdk_xstat.self, capacity: count) { buffer in
            let written = Int(cdpdk_port_get_xstats(devicePort, buffer.baseAddress!, UInt32(count)))
            guard written > 0 else { return [] }
            let basics: Set = ["rx_errors", "tx_errors", "rx_missed_errors", "rx_good_packets", "tx_good_packets"]
            return buffer[..<min(written, count)].compactMap { entry in
                let name = text(of: entry.name)
                let isTelling =
                    name.hasSuffix("_errors") || name.hasSuffix("_dropped") || name.hasSuffix("_packets") || name.contains("_size_")
                return isTelling && !basics.contains(name) ? PortStatistics.Named(name, entry.value) : nil
            }
        }
    }

    func status() -> [String: String] {
        control.withLock { control in
            guard control.isOpen else { return [:] }
            var info = cdpdk_port_info()
            guard cdpdk_port_get_info(devicePort, &info) == 0 else { return [:] }
            var status = [
                "driver_name": text(of: info.driver), "port_no": String(devicePort), "numa_id": String(max(info.numa, 0)),
                "max_rx_queues": String(info.max_rx_queues), "max_tx_queues": String(info.max_tx_queues),
                "max_rx_pktlen": String(info.max_rx_packet_length), "bus_info": "bus_name=\(text(of: info.bus))",
                "n_rxq": String(rxQueueCount), "n_txq": String(txQueueCount), "n_rxq_desc": String(info.rx_descriptors),
                "n_txq_desc": String(info.tx_descriptors), "device": text(of: info.device),
            ]
            if info.if_index != 0 { status["if_index"] = String(info.if_index) }
            status.merge(hardware.status(of: devicePort, queues: rxQueueCount, notes: notes)) { first, _ in first }
            status.merge(offloadStatus(cdpdk_port_offloads(devicePort))) { first, _ in first }
            return status
        }
    }

    func apply(_ configuration: NetdevConfiguration) throws(PortError) -> Bool {
        try configuration.check()
        var unchanged = self.configuration
        unchanged.transmitThreads = configuration.transmitThreads
        return configuration == unchanged
    }

    func close() {
        control.withLock { control in
            guard control.isOpen else { return }
            control.isOpen = false
            control.link.isUp = false
            DPDKPort.release(devicePort)
        }
        DPDKPort.users.withLock { $0[devicePort] = nil }
    }
}
