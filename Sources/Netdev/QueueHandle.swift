// The data side of a port: what PMD threads hold.
//
// Handles are trivial structs; copying one copies a few words. `receive` and `transmit` dispatch once a burst on what the
// port is made of, to C shims or to `KernelQueue`. Everything here is checked by `@_noLocks`: no reference
// counting, no allocation, no lock of the runtime. (A heap pool's mbufs come from malloc, in C: test devices only.)

public import CDPDK
internal import CLinux
public import CVhostUser

/// What a queue is made of. Not an enum with raw values: its comparison would go through generic code.
@frozen public struct QueueKind: BitwiseCopyable, Sendable, Equatable {
    public let code: UInt8
    @inlinable public init(code: UInt8) { self.code = code }
    @_noLocks @inlinable @inline(__always) public static func == (left: QueueKind, right: QueueKind) -> Bool { left.code == right.code }
    /// A queue that gives and takes nothing.
    @inlinable public static var none: QueueKind { @_noLocks @inline(__always) get { QueueKind(code: 0) } }
    @inlinable public static var dpdk: QueueKind { @_noLocks @inline(__always) get { QueueKind(code: 1) } }
    @inlinable public static var vhost: QueueKind { @_noLocks @inline(__always) get { QueueKind(code: 2) } }
    @inlinable public static var tap: QueueKind { @_noLocks @inline(__always) get { QueueKind(code: 3) } }
    @inlinable public static var packetSocket: QueueKind { @_noLocks @inline(__always) get { QueueKind(code: 4) } }
    @inlinable public static var dummy: QueueKind { @_noLocks @inline(__always) get { QueueKind(code: 5) } }
    /// A packet socket whose frames arrive in shared memory: a look costs no system call, and one may wait for its descriptor, too.
    @inlinable public static var packetRing: QueueKind { @_noLocks @inline(__always) get { QueueKind(code: 7) } }
    /// Of a dummy port that nobody takes packets out of: they go to captures and streams.
    @inlinable public static var sink: QueueKind { @_noLocks @inline(__always) get { QueueKind(code: 6) } }
}

/// A receive queue, for the one thread that polls it.
///
/// `@unchecked Sendable`: the pointers belong to the port and outlive the handle by the ownership rule of the module's
/// essay; what they point to is written by the thread that polls.
@frozen public struct RxQueueHandle: BitwiseCopyable, @unchecked Sendable {
    public let kind: QueueKind
    /// DPDK's port number (`dpdk` only).
    public let devicePort: UInt16
    public let queue: UInt16
    /// What becomes readable when packets come, of a queue that may be waited for; else -1.
    public let descriptor: Int32
    /// `vhost`: the socket; `tap` and `packetSocket`: the queue; `dummy`: the ring.
    public let object: OpaquePointer?
    /// Where packets' memory comes from; nil if whatever `object` is knows that.
    public let pool: OpaquePointer?
    public let counters: UnsafeMutablePointer<cdpdk_queue_counters>

    @inlinable init(
        kind: QueueKind, devicePort: UInt16 = 0, queue: UInt16, descriptor: Int32 = -1, object: OpaquePointer?, pool: OpaquePointer?,
        counters: UnsafeMutablePointer<cdpdk_queue_counters>
    ) {
        self.kind = kind
        self.devicePort = devicePort
        self.queue = queue
        self.descriptor = descriptor
        self.object = object
        self.pool = pool
        self.counters = counters
    }

    /// Takes up to `limit` (at most 255) packets into `burst`. Returns how many; the caller owns them. Does not wait.
    @_noLocks @inlinable @inline(__always)
    public func receive(into burst: PacketBurst, limit: UInt16) -> UInt16 {
        if kind == .dpdk { return cdpdk_eth_rx_burst(devicePort, queue, burst, limit) }
        if kind == .vhost { return cvhost_rx_burst(object.unsafelyUnwrapped, queue, burst, limit) }
        return receiveSlowly(into: burst, limit: limit)
    }

    /// The queue was waited for, and has packets: the next `receive` looks for them.
    public func noteReadable() { cdpdk_counter_store(&counters.pointee.next_poll, 0) }

    @_noLocks @usableFromInline
    func receiveSlowly(into burst: PacketBurst, limit: UInt16) -> UInt16 {
        if kind == .packetRing { return KernelQueue.receiveFromRing(self, into: burst, limit: limit) }
        if kind == .tap || kind == .packetSocket { return KernelQueue.receive(self, into: burst, limit: limit) }
        if kind == .dummy {
            var n = cdpdk_ring_dequeue_packets(object.unsafelyUnwrapped, burst, limit)
            if n == 0, descriptor >= 0, clinux_eventfd_drain(descriptor) > 0 {
                // What was put in before the signal that is gone now.
                n = cdpdk_ring_dequeue_packets(object.unsafelyUnwrapped, burst, limit)
            }
            if n > 0 { cdpdk_count_burst(counters, burst, n, false) }
            return n
        }
        return 0
    }
}

/// A transmit queue, for one thread, or for several if it `isShared`.
///
/// `@unchecked Sendable`: as for `RxQueueHandle`.
@frozen public struct TxQueueHandle: BitwiseCopyable, @unchecked Sendable {
    public let kind: QueueKind
    /// Whether other threads send by the same queue, so that each burst goes under its spin lock.
    public let isShared: Bool
    public let devicePort: UInt16
    public let queue: UInt16
    public let descriptor: Int32
    public let object: OpaquePointer?
    public let counters: UnsafeMutablePointer<cdpdk_queue_counters>

    @inlinable init(
        kind: QueueKind, isShared: Bool, devicePort: UInt16 = 0, queue: UInt16, descriptor: Int32 = -1, object: OpaquePointer?,
        counters: UnsafeMutablePointer<cdpdk_queue_counters>
    ) {
        self.kind = kind
        self.isShared = isShared
        self.devicePort = devicePort
        self.queue = queue
        self.descriptor = descriptor
        self.object = object
        self.counters = counters
    }

    /// The longest frame the port takes at the moment, in bytes without FCS. `transmit` does not look at it: whoever sends
    /// compares first, and drops what is longer as oversize.
    @inlinable public var maximumFrameLength: UInt32 {
        @_noLocks @inline(__always) get { UInt32(truncatingIfNeeded: cdpdk_counter_load(&counters.pointee.max_frame)) }
    }

    /// What packets need not be finished for this port (`CDPDK_OFFLOAD_*`): whoever sends prepares them by it.
    @inlinable public var offloads: UInt32 {
        @_noLocks @inline(__always) get { UInt32(truncatingIfNeeded: cdpdk_counter_load(&counters.pointee.offloads)) }
    }

    /// Sends a burst of `count` (at most 255) packets. Returns how many were taken; those belong to the port now. The rest
    /// stay the caller's: they are at `burst[taken..<count]` (in their order, but not always the burst's last ones), and are
    /// counted here in the port's `tx_dropped`.
    @_noLocks @inlinable @inline(__always)
    public func transmit(_ burst: PacketBurst, count: UInt16) -> UInt16 {
        var taken: UInt16 = 0
        if kind == .vhost {
            taken = cvhost_tx_burst(object.unsafelyUnwrapped, UInt32(queue), burst, count)
        } else {
            if isShared { cdpdk_spin_lock(&counters.pointee.lock) }
            if kind == .dpdk {
                taken =
                    offloads == 0
                    ? cdpdk_eth_tx_burst(devicePort, queue, burst, count)
                    : cdpdk_eth_tx_prepared_burst(devicePort, queue, burst, count)
            } else {
                taken = transmitSlowly(burst, count: count)
            }
            if isShared { cdpdk_spin_unlock(&counters.pointee.lock) }
        }
        if taken < count { cdpdk_counter_add_shared(&counters.pointee.dropped, UInt64(count &- taken)) }
        return taken
    }

    @_noLocks @usableFromInline
    func transmitSlowly(_ burst: PacketBurst, count: UInt16) -> UInt16 {
        if kind == .tap || kind == .packetSocket { return KernelQueue.transmit(self, burst, count: count) }
        if kind == .dummy {
            // what a reader has taken out may be freed at any moment: count before
            let room = cdpdk_ring_free_count(object.unsafelyUnwrapped)
            let n = UInt32(count) < room ? count : UInt16(truncatingIfNeeded: room)
            cdpdk_count_burst(counters, burst, n, false)
            return cdpdk_ring_enqueue_packets(object.unsafelyUnwrapped, burst, n)
        }
        if kind == .sink { return DummySink.transmit(self, burst, count: count) }
        return 0
    }
}
