// Quiescent-state based reclamation: how memory that lock-free readers may hold is freed.
//
// A reader (a PMD thread, or whoever takes part) is *online* while it may hold references to shared memory and says now
// and then that it holds none at this moment (`quiescent`). Who unlinks something asks for a token (`beginGracePeriod`),
// and frees the thing once every online reader has been quiescent or offline since (`hasPassed`).
//
// Written here rather than taken from DPDK so that the thread sanitizer sees its orderings and no EAL is needed.

public import Synchronization
internal import Glibc

/// Grace periods for a fixed number of reader slots.
///
/// ## Thread safety
/// A slot belongs to one reader thread at a time, which alone calls `online`, `quiescent` and `offline` for it. Everything
/// else may be called from any thread. The epoch is advanced with acquire-release; a reader stores the epoch it saw with
/// release after its last use, and the reclaimer loads it with acquire before it frees. `online` is sequentially
/// consistent: a reader's first load must not pass its announcement. The memory lives as long as the value's users say
/// (`deallocate`); hot readers hold the raw pointers.
public struct QuiescentState: @unchecked Sendable {
    /// Word 0 is the epoch; slot n's word is at `(n + 1) * 8`, a cache line each. A slot's word is 0 while it is offline.
    @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>
    public let slotCount: Int

    /// - Parameter slotCount: number of readers, from 1.
    public init(slotCount: Int) {
        precondition(slotCount > 0, "reclamation needs at least one reader slot")
        self.slotCount = slotCount
        let byteCount = (slotCount + 1) * 64
        let raw = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        raw.initializeMemory(as: UInt64.self, repeating: 0, count: byteCount / 8)
        raw.storeBytes(of: 1, as: UInt64.self)
        words = raw.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Frees the words; no reader may use them any more.
    public func deallocate() { UnsafeMutableRawPointer(words).deallocate() }

    /// The reader may hold references from now on.
    @inlinable @_noLocks public func online(_ slot: Int) {
        let epoch = words.pointee.load(ordering: .sequentiallyConsistent)
        (words + (slot &+ 1) &* 8).pointee.store(epoch, ordering: .sequentiallyConsistent)
        // An epoch begun between the two lines sees either the old word (offline: the reader has loaded nothing yet) or
        // the new one, which is older than the epoch: it waits for the next quiescent state. Both are right.
    }

    /// The reader holds no reference at this moment.
    @inlinable @_noLocks public func quiescent(_ slot: Int) {
        let epoch = words.pointee.load(ordering: .acquiring)
        (words + (slot &+ 1) &* 8).pointee.store(epoch, ordering: .sequentiallyConsistent)
    }

    /// The reader holds no reference until it comes online again: waiting for it is not necessary.
    @inlinable @_noLocks public func offline(_ slot: Int) {
        (words + (slot &+ 1) &* 8).pointee.store(0, ordering: .releasing)
    }

    /// Begins a grace period: what was unlinked before the call may be freed once `hasPassed` says so.
    public func beginGracePeriod() -> UInt64 {
        words.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
    }

    /// Whether every reader has been quiescent or offline since `token` was given out.
    public func hasPassed(_ token: UInt64) -> Bool {
        for slot in 0..<slotCount {
            let seen = (words + (slot + 1) * 8).pointee.load(ordering: .sequentiallyConsistent)
            if seen != 0, seen < token { return false }
        }
        return true
    }

    /// Waits for a whole grace period. Must not be called by a reader that is online.
    public func synchronize() {
        let token = beginGracePeriod()
        var rounds: UInt32 = 0
        while !hasPassed(token) {
            rounds &+= 1
            // Readers pass a quiescent state within microseconds, unless they were preempted.
            if rounds < 16 { sched_yield() } else { usleep(50) }
        }
    }
}
