// A port in memory, for tests.

internal import CDPDK
internal import Synchronization

/// A port whose packets come from `inject` and go to `takeTransmitted`. Needs no DPDK: while that does not run, packets
/// live on the heap.
///
/// `options:n_rxq` and `n_txq` give the numbers of queues (1 by default).
///
/// ## Thread safety
/// The rings between tests and PMD threads are DPDK's, for many threads on either side; `@unchecked` because they are raw
/// pointers, freed by `close`.
public final class DummyPort: Port, @unchecked Sendable {
    public let name: String
    public let kind = PortKind.dummy
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

    private struct Control {
        var isOpen = true
        var link = LinkState(isUp: true)
        var address: HardwareAddress
        var mtu: Int
    }

    public init(_ configuration: NetdevConfiguration) throws(PortError) {
        try configuration.check()
        name = configuration.name
        rxQueueCount = try configuration.number("n_rxq", in: 1...NetdevLimits.receiveQueues, otherwise: 1)
        txQueueCount = try configuration.number("n_txq", in: 1...NetdevLimits.transmitQueues, otherwise: 1)
        if cdpdk_eal_is_initialized() {
            pool = try MbufPools.pool(mtu: configuration.mtu, numa: -1)
        } else {
            pool = try MbufPools.heapPool(mtu: configuration.mtu)
        }
        rx = QueueState(count: rxQueueCount)
        tx = QueueState(count: txQueueCount)
        tx.setMaximumFrame(mtu: configuration.mtu)
        func rings(_ count: Int) -> [OpaquePointer] {
            (0..<count).compactMap { _ in cdpdk_ring_create(UInt32(NetdevLimits.dummyQueue), false, false) }
        }
        rxRings = rings(rxQueueCount)
        txRings = rings(txQueueCount)
        // a locally administered address made of the name, so that two dummies differ
        let hash = configuration.name.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let made = HardwareAddress(bits: 0xaa55_0000_0000 | hash & 0xffff_ffff)
        control = Mutex(Control(address: configuration.requestedAddress ?? made, mtu: configuration.mtu))
        guard rxRings.count == rxQueueCount, txRings.count == txQueueCount else {
            (rxRings + txRings).forEach { cdpdk_ring_free($0) }
            throw .noMemory(reason: "the rings of dummy port \(configuration.name) could not be made")
        }
    }

    // MARK: The test's side

    /// Puts a frame on a receive queue. False if the queue is full, the frame is longer than a buffer, or no buffer is free.
    @discardableResult
    public func inject(_ frame: [UInt8], queue: Int = 0) -> Bool {
        guard frame.count <= pool.dataRoom, let packet = cdpdk_mbuf_alloc(pool.pointer) else { return false }
        let data = cdpdk_mbuf_append(packet, UInt16(frame.count))!
        frame.withUnsafeBufferPointer { if let base = $0.baseAddress { data.update(from: base, count: $0.count) } }
        var one: UnsafeMutablePointer<cdpdk_mbuf> = packet
        if cdpdk_ring_enqueue_packets(rxRings[queue], &one, 1) == 1 { return true }
        cdpdk_mbuf_free(packet)
        return false
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

    /// Brings the link up or down, as a cable would.
    public func setLink(isUp: Bool) {
        control.withLock { control in
            guard control.link.isUp != isUp else { return }
            control.link.isUp = isUp
            control.link.changes += 1
        }
        changeCounter.wrappingAdd(1, ordering: .releasing)
    }

    // MARK: Port

    public func rxQueue(_ index: Int) -> RxQueueHandle {
        RxQueueHandle(kind: .dummy, queue: UInt16(index), object: rxRings[index], pool: pool.pointer, counters: rx[index])
    }
    public func txQueue(_ thread: Int, threads: Int) -> TxQueueHandle {
        let queue = thread % txQueueCount
        return TxQueueHandle(
            kind: .dummy, isShared: threads > txQueueCount, queue: UInt16(queue), object: txRings[queue], counters: tx[queue])
    }
    public var changes: UInt64 { changeCounter.load(ordering: .acquiring) }
    public func link() -> LinkState { control.withLock { $0.link } }
    public var mtu: Int { control.withLock { $0.mtu } }
    public var hardwareAddress: HardwareAddress { control.withLock { $0.address } }

    public func statistics() -> PortStatistics {
        var all = PortStatistics()
        rx.snapshots.forEach { all.addReceive($0) }
        tx.snapshots.forEach { all.addTransmit($0) }
        return all
    }
    public func status() -> [String: String] { ["driver_name": "dummy"] }

    public func apply(_ configuration: NetdevConfiguration) throws(PortError) -> Bool {
        try configuration.check()
        guard configuration.name == name, configuration.kind == kind,
            try configuration.number("n_rxq", in: 1...NetdevLimits.receiveQueues, otherwise: 1) == rxQueueCount,
            configuration.mtu + NetdevLimits.frameOverhead <= pool.dataRoom
        else { return false }
        control.withLock { control in
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
        for queue in 0..<txQueueCount { _ = takeTransmitted(queue: queue) }
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<cdpdk_mbuf>.self, capacity: 1) { slot in
            for ring in rxRings { while cdpdk_ring_dequeue_packets(ring, slot.baseAddress!, 1) == 1 { cdpdk_mbuf_free(slot[0]) } }
        }
        (rxRings + txRings).forEach { cdpdk_ring_free($0) }
    }
}
