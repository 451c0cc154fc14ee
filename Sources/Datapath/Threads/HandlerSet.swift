internal import Synchronization

/// The handler threads, for those who have work for them.
///
/// ## Thread safety
/// Filled by control threads, before anybody is told to use a thread. The datapath keeps the threads longer than whoever wakes
/// them: hence the unretained references.
final class HandlerSet: @unchecked Sendable {
    private let threads: UnsafeMutablePointer<Atomic<UnsafeMutableRawPointer?>>

    init() {
        threads = .allocate(capacity: DatapathLimits.handlerThreads)
        for index in 0..<DatapathLimits.handlerThreads { (threads + index).initialize(to: Atomic(nil)) }
    }

    deinit { threads.deallocate() }

    func set(_ index: Int, _ thread: WorkerThread) {
        threads[index].store(Unmanaged.passUnretained(thread).toOpaque(), ordering: .releasing)
    }

    /// Wakes those of the handlers in `which` (bits) that wait. What they are to do is in their rings already.
    func wake(_ which: UInt8) {
        // A handler announces its wait and looks at the rings after that: one of the two sees what the other did.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        for index in 0..<DatapathLimits.handlerThreads where which >> UInt8(index) & 1 != 0 {
            guard let thread = threads[index].load(ordering: .acquiring) else { continue }
            Unmanaged<WorkerThread>.fromOpaque(thread)._withUnsafeGuaranteedRef { handler in
                if handler.isWaiting.load(ordering: .relaxed) { handler.wake() }
            }
        }
    }
}
