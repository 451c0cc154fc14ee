// A bounded queue of fixed-size records from one thread to another.

public import Synchronization

/// Single producer, single consumer ring of raw records.
///
/// ## Thread safety
/// One thread produces, one consumes (a lock held by whoever does is as good). The producer publishes with a release store of
/// `tail`, the consumer frees with a release store of `head`; each loads the other's with acquire. Indices run on and wrap.
public struct RecordRing: @unchecked Sendable {
    /// Line 0: head (consumer writes). Line 1: tail (producer writes). Then the records.
    @usableFromInline let head: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let tail: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let records: UnsafeMutableRawPointer
    @usableFromInline let stride: Int
    public let capacity: Int

    /// - Parameters:
    ///   - capacity: records it holds, a power of two.
    ///   - stride: bytes of a record; rounded up to 8.
    public init(capacity: Int, stride: Int) {
        precondition(capacity > 0 && capacity & (capacity - 1) == 0, "a ring's capacity is a power of two")
        self.capacity = capacity
        self.stride = (stride + 7) & ~7
        let byteCount = 128 + capacity * self.stride
        let raw = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        raw.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        head = raw.assumingMemoryBound(to: Atomic<UInt64>.self)
        tail = (raw + 64).assumingMemoryBound(to: Atomic<UInt64>.self)
        records = raw + 128
    }

    public func deallocate() { UnsafeMutableRawPointer(head).deallocate() }

    /// Where the producer may write the next record, or nil if the ring is full. Publish it with `produce`.
    @inlinable @_noLocks public func nextToProduce() -> UnsafeMutableRawPointer? {
        let position = tail.pointee.load(ordering: .relaxed)
        if position &- head.pointee.load(ordering: .acquiring) >= UInt64(truncatingIfNeeded: capacity) { return nil }
        return records + Int(truncatingIfNeeded: position & UInt64(truncatingIfNeeded: capacity &- 1)) &* stride
    }

    /// Publishes the record at `nextToProduce`.
    @inlinable @_noLocks public func produce() {
        tail.pointee.store(tail.pointee.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    }

    /// The oldest record, or nil if there is none. Give it back with `consume`.
    @inlinable @_noLocks public func nextToConsume() -> UnsafeMutableRawPointer? {
        let position = head.pointee.load(ordering: .relaxed)
        if position == tail.pointee.load(ordering: .acquiring) { return nil }
        return records + Int(truncatingIfNeeded: position & UInt64(truncatingIfNeeded: capacity &- 1)) &* stride
    }

    /// Frees the record at `nextToConsume`.
    @inlinable @_noLocks public func consume() {
        head.pointee.store(head.pointee.load(ordering: .relaxed) &+ 1, ordering: .releasing)
    }

    /// Records in the ring, as of some moment during the call.
    @inlinable public var count: Int {
        let first = head.pointee.load(ordering: .acquiring)
        return Int(truncatingIfNeeded: tail.pointee.load(ordering: .acquiring) &- first)
    }
}
