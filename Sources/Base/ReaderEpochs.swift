// Quiescence for readers that come and go: when may memory that was unlinked be freed?
//
// A reader takes a slot for as long as it holds pointers into a shared structure; a writer unlinks something, takes a tag
// from `advance`, and frees it once `hasPassed` says that no reader that could have seen it is left. Readers never wait for
// writers: `enter` is one compare-and-swap, `leave` one store. Meant for the slow path (translations, statistics); PMD
// threads report quiescence by other means.

internal import Glibc
internal import Synchronization

/// Slots of readers, and the epoch.
///
/// ## Thread safety
/// All members may be called from any thread. `enter` and the writer's scan are both read-modify-write operations on a
/// slot: either the writer sees the reader, or the reader sees everything that the writer did before it looked.
public final class ReaderEpochs: Sendable {
    /// Readers at one time; a further one waits for a slot.
    public static let slotCount = 64
    private static let wordsPerLine = 8

    /// Word 0 is the epoch; each further line of 64 bytes is a slot: 0 is idle, else the epoch at entry.
    /// Sound: written only by atomic operations, freed with the object.
    private nonisolated(unsafe) let words: UnsafeMutablePointer<Atomic<UInt64>>

    public init() {
        let count = (ReaderEpochs.slotCount + 1) * ReaderEpochs.wordsPerLine
        let raw = UnsafeMutableRawPointer.allocate(byteCount: count * 8, alignment: 64)
        raw.initializeMemory(as: UInt64.self, repeating: 0, count: count)
        raw.storeBytes(of: 1, as: UInt64.self)
        words = raw.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    deinit { UnsafeMutableRawPointer(words).deallocate() }

    private func slot(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { words + (index + 1) * ReaderEpochs.wordsPerLine }

    /// Begins to read; what is reachable now stays until `leave`. Returns the slot, which nobody else has meanwhile.
    public func enter() -> Int {
        let start = Int(truncatingIfNeeded: (UInt64(pthread_self()) >> 12) &* 0x9e37_79b9_7f4a_7c15 >> 58)
        while true {
            for step in 0..<ReaderEpochs.slotCount {
                let index = (start + step) & (ReaderEpochs.slotCount - 1)
                let word = slot(index)
                if word.pointee.load(ordering: .relaxed) != 0 { continue }
                let epoch = words.pointee.load(ordering: .acquiring)
                if word.pointee.compareExchange(expected: 0, desired: epoch, ordering: .acquiringAndReleasing).exchanged { return index }
            }
            sched_yield()
        }
    }

    /// Ends what `enter` began.
    public func leave(_ index: Int) { slot(index).pointee.store(0, ordering: .releasing) }

    /// Begins a new epoch. Returns the tag of everything that was unlinked before the call.
    public func advance() -> UInt64 { words.pointee.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue }

    /// The epoch in which the oldest of the present readers entered; `UInt64.max` if there is none. What has a smaller tag
    /// is out of reach.
    public func oldestReader() -> UInt64 {
        var oldest = UInt64.max
        for index in 0..<ReaderEpochs.slotCount {
            let epoch = slot(index).pointee.wrappingAdd(0, ordering: .acquiringAndReleasing).oldValue
            if epoch != 0 { oldest = min(oldest, epoch) }
        }
        return oldest
    }

    /// Whether no reader is left that could have seen what was unlinked before `advance` returned `tag`.
    public func hasPassed(_ tag: UInt64) -> Bool { oldestReader() > tag }
}
