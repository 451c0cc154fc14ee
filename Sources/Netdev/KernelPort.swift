// Ports that the host's kernel is the other side of.

internal import CDPDK
internal import CLinux
internal import Glibc
internal import Synchronization

/// A port of kind `tap` or `internal` (a tap device that lives as long as the port) or `system` (an existing interface,
/// through a raw packet socket). One queue each way.
///
/// ## Thread safety
/// The descriptor is constant until `close`. The rest is behind a mutex, or in the kernel.
final class KernelPort: Port {
    let name: String
    let kind: PortKind
    let numaNode = -1
    let rxQueueCount = 1
    let txQueueCount = 1

    private let descriptor: Int32
    private let queues: Queues
    private let pool: MbufPools.Pool
    private let rx = QueueState(count: 1)
    private let tx = QueueState(count: 1)
    private let control: Mutex<Control>
    private let changeCounter = Atomic<UInt64>(0)

    /// `@unchecked Sendable`: each is used by the thread that has its handle, and freed by `close`.
    private struct Queues: @unchecked Sendable {
        var rx: OpaquePointer
        var tx: OpaquePointer
        var hasHeader: Bool
        var hasRing: Bool
        var hasExpress: Bool
        var hasBatch: Bool
    }
    private struct Control {
        var isOpen = true
        var configuration: NetdevConfiguration
        var link = LinkState()
        var address = HardwareAddress(bits: 0)
        var mtu: Int
        /// Frames that found the socket full.
        var missed: UInt64 = 0
    }

    init(_ configuration: NetdevConfiguration) throws(PortError) {
        let name = configuration.name
        try DPDKRuntime.initialize()
        var mtu = configuration.mtu
        var descriptor: Int32
        var hasHeader = false
        var ring = clinux_packet_ring()
        let offloads = configuration.vhost.offersOffloads
        if configuration.kind == .system {
            ring.mtu = UInt32(min(max(Int(clinux_interface_get_mtu(name)), mtu), NetdevLimits.mtu.upperBound))
            descriptor = clinux_packet_socket_open(name, offloads, &hasHeader, &ring)
            guard descriptor >= 0 else {
                throw .system(
                    port: name, operation: "open a packet socket on interface '\(name)'", reason: errorText(Int(descriptor)))
            }
            if configuration.requestedMTU == nil { mtu = max(Int(clinux_interface_get_mtu(name)), NetdevLimits.mtu.lowerBound) }
        } else {
            var existed = false
            descriptor = clinux_tap_open(name, offloads, &existed, &hasHeader)
            guard descriptor >= 0 else {
                let reason: String
                switch -descriptor {
                case EBUSY: reason = "another process holds the device '\(name)'"
                case EINVAL: reason = "an interface '\(name)' that is no tap device is there already"
                default: reason = errorText(Int(descriptor))
                }
                throw .system(port: name, operation: "open the tap device '\(name)'", reason: reason)
            }
        }
        do throws(PortError) {
            pool = try MbufPools.pool(mtu: min(mtu, NetdevLimits.mtu.upperBound), numa: -1)
            if let requested = configuration.requestedMTU {
                try KernelPort.check(clinux_interface_set_mtu(name, UInt32(requested)), name, "set the MTU to \(requested)")
            }
            if let address = configuration.requestedAddress { try KernelPort.set(address, of: name) }
            if configuration.kind == .tap {
                try KernelPort.check(clinux_interface_set_up(name, true), name, "bring the tap device up")
            }
            queues = try KernelPort.makeQueues(descriptor, configuration, hasHeader, ring)
        } catch {
            if let memory = ring.memory { munmap(memory, ring.bytes) }
            Glibc.close(descriptor)
            throw error
        }
        self.name = name
        self.descriptor = descriptor
        kind = configuration.kind
        control = Mutex(Control(configuration: configuration, mtu: mtu))
        tx.setMaximumFrame(mtu: mtu)
        if hasHeader { tx.setOffloads(UInt32(CDPDK_OFFLOAD_CHECKSUM | CDPDK_OFFLOAD_TSO4 | CDPDK_OFFLOAD_TSO6)) }
        rx[0].pointee.poll_interval_max = cdpdk_tsc_hz() / 1_000_000 * UInt64(NetdevLimits.kernelPollMicroseconds)
        _ = link()
    }

    private static func makeQueues(
        _ descriptor: Int32, _ configuration: NetdevConfiguration, _ hasHeader: Bool, _ ring: clinux_packet_ring
    ) throws(PortError) -> Queues {
        let isSocket = configuration.kind == .system
        let rx = cdpdk_kernel_queue_create(descriptor, isSocket, hasHeader, true)
        let tx = cdpdk_kernel_queue_create(descriptor, isSocket, hasHeader, false)
        if let rx, let tx {
            if let memory = ring.memory { cdpdk_kernel_queue_set_ring(rx, memory, ring.bytes, ring.frame_size, ring.frames) }
            let index = clinux_interface_index(configuration.name)
            let hasExpress =
                isSocket && index > 0 && configuration.options["tx-xdp"] != "false" && clinux_interface_has_queue(configuration.name) == 0
                && cdpdk_kernel_queue_open_express(tx, UInt32(index))
            let hasBatch = !isSocket && cdpdk_kernel_queue_open_batch(tx)
            return Queues(
                rx: rx, tx: tx, hasHeader: hasHeader, hasRing: ring.memory != nil, hasExpress: hasExpress, hasBatch: hasBatch)
        }
        cdpdk_kernel_queue_free(rx)
        cdpdk_kernel_queue_free(tx)
        throw .noMemory(reason: "the queues of port \(configuration.name) could not be made")
    }

    private static func check(_ result: Int32, _ name: String, _ operation: String) throws(PortError) {
        if result < 0 { throw .system(port: name, operation: operation, reason: errorText(Int(result))) }
    }
    private static func set(_ address: HardwareAddress, of name: String) throws(PortError) {
        let result = address.bytes.withUnsafeBufferPointer { clinux_interface_set_mac(name, $0.baseAddress!) }
        try check(result, name, "set the hardware address to \(address)")
    }

    func rxQueue(_ index: Int) -> RxQueueHandle {
        RxQueueHandle(
            kind: kind != .system ? .tap : queues.hasRing ? .packetRing : .packetSocket, queue: 0, descriptor: descriptor,
            object: queues.rx, pool: pool.pointer, counters: rx[index])
    }
    func txQueue(_ thread: Int, threads: Int) -> TxQueueHandle {
        TxQueueHandle(
            kind: kind == .system ? .packetSocket : .tap, isShared: threads > 1, queue: 0, descriptor: descriptor, object: queues.tx,
            counters: tx[0])
    }

    var changes: UInt64 { changeCounter.load(ordering: .acquiring) }

    func link() -> LinkState {
        control.withLock { control in
            guard control.isOpen else { return control.link }
            let flags = clinux_interface_get_flags(name)
            // a tap device that was moved into another network namespace is not ours to see; packets still flow
            if flags < 0 && kind != .system { return control.link }
            let speed = clinux_interface_speed(name)
            var state = LinkState(
                isUp: clinux_interface_carrier(name) != 0, isAdministrativelyUp: flags > 0 && flags & Int32(IFF_UP) != 0,
                speed: speed == 0 ? nil : UInt64(speed) * 1_000_000, isFullDuplex: nil, changes: control.link.changes,
                interfaceIndex: max(0, Int(clinux_interface_index(name))))
            if state.isUp != control.link.isUp || state.isAdministrativelyUp != control.link.isAdministrativelyUp {
                state.changes += 1
                changeCounter.wrappingAdd(1, ordering: .releasing)
            }
            control.link = state
            // Who gave the interface a queueing discipline meanwhile wants it to be passed.
            if queues.hasExpress { cdpdk_kernel_queue_use_express(queues.tx, clinux_interface_has_queue(name) == 0) }
            return state
        }
    }

    var mtu: Int {
        control.withLock { control in
            let now = control.isOpen ? Int(clinux_interface_get_mtu(name)) : -1
            return now > 0 ? now : control.mtu
        }
    }

    var hardwareAddress: HardwareAddress {
        control.withLock { control in
            var bytes = [UInt8](repeating: 0, count: 6)
            if control.isOpen, clinux_interface_get_mac(name, &bytes) == 0 { control.address = HardwareAddress(bytes: bytes) }
            return control.address
        }
    }

    func statistics() -> PortStatistics {
        var all = PortStatistics()
        all.addReceive(rx.snapshots[0])
        all.addTransmit(tx.snapshots[0])
        all.collisions = 0
        if kind == .system {
            all.rxDropped &+= control.withLock { control in
                var drops: UInt64 = 0
                if control.isOpen, clinux_packet_drops(descriptor, &drops) == 0 { control.missed &+= drops }
                return control.missed
            }
        }
        return all
    }

    func status() -> [String: String] {
        var status = ["driver_name": kind == .system ? "af_packet" : "tun"]
        let index = link().interfaceIndex
        if index > 0 { status["if_index"] = String(index) }
        if kind == .system { status["tx_xdp"] = String(queues.hasExpress) } else { status["tx_io_uring"] = String(queues.hasBatch) }
        let all = UInt32(CDPDK_OFFLOAD_CHECKSUM | CDPDK_OFFLOAD_TSO4 | CDPDK_OFFLOAD_TSO6)
        return status.merging(offloadStatus(queues.hasHeader ? all : 0)) { first, _ in first }
    }

    func apply(_ configuration: NetdevConfiguration) throws(PortError) -> Bool {
        try configuration.check()
        let old = control.withLock { $0.configuration }
        guard configuration.name == name, configuration.kind == kind,
            configuration.options["tx-xdp"] == old.options["tx-xdp"]
        else { return false }
        if let requested = configuration.requestedMTU, requested != old.requestedMTU {
            guard requested + NetdevLimits.frameOverhead <= pool.dataRoom else { return false }
            try KernelPort.check(clinux_interface_set_mtu(name, UInt32(requested)), name, "set the MTU to \(requested)")
            tx.setMaximumFrame(mtu: requested)
        }
        if let address = configuration.requestedAddress, address != old.requestedAddress { try KernelPort.set(address, of: name) }
        control.withLock { control in
            control.configuration = configuration
            if let requested = configuration.requestedMTU { control.mtu = requested }
        }
        return true
    }

    func setAdministrativelyUp(_ isUp: Bool) {
        control.withLock { control in
            if control.isOpen { _ = clinux_interface_set_up(name, isUp) }
        }
    }

    func close() {
        control.withLock { control in
            guard control.isOpen else { return }
            control.isOpen = false
            control.link.isUp = false
            Glibc.close(descriptor)
            cdpdk_kernel_queue_free(queues.rx)
            cdpdk_kernel_queue_free(queues.tx)
        }
    }
}
