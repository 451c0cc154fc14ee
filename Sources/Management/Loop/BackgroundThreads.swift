// Threads for what the disk may take its time with.

internal import Glibc
internal import OVSDB
internal import Synchronization

/// Two threads beside the control loop: one brings durable transactions to the disk, one rewrites logs, at a lower priority. Only on
/// the control loop's thread.
final class BackgroundThreads: BackgroundWork {
    /// Added to the niceness of the thread that nobody waits for.
    private static let compactionNiceness: Int32 = 10

    /// A client that sends one durable transaction after the other does so within this time.
    private static let lingerMicroseconds = 300

    private let loop: ControlLoop
    private let synchronization = WorkerThread(name: "db-sync", lingerMicroseconds: BackgroundThreads.lingerMicroseconds)
    private let compaction = WorkerThread(name: "db-compact", niceness: BackgroundThreads.compactionNiceness)

    init(loop: ControlLoop) { self.loop = loop }

    func perform(_ kind: BackgroundKind, _ work: @escaping @Sendable () -> Void, done: @escaping () -> Void) {
        if kind == .synchronization { return synchronize(work, done) }
        let done = Confined(done, to: loop)
        let loop = loop
        compaction.submit {
            work()
            loop.submit { done.value() }
        }
    }

    /// A quick disk is waited for here: that is sooner than being woken up by it. From a slow one the answer comes when it comes.
    private func synchronize(_ work: @escaping @Sendable () -> Void, _ done: @escaping () -> Void) {
        let shared = Handoff()
        let confined = Confined(done, to: loop)
        let loop = loop
        synchronization.submit {
            work()
            // 0: under way; 1: over; 2: nobody waits any more.
            if shared.state.exchange(1, ordering: .acquiringAndReleasing) == 2 { loop.submit { confined.value() } }
        }
        let end = BackgroundThreads.nanoseconds() + BackgroundThreads.patienceNanoseconds
        while shared.state.load(ordering: .acquiring) == 0, BackgroundThreads.nanoseconds() < end { sched_yield() }
        if shared.state.compareExchange(expected: 0, desired: 2, ordering: .acquiringAndReleasing).exchanged { return }
        done()
    }

    /// Where a synchronization stands, for the loop and the worker.
    private final class Handoff: Sendable { let state = Atomic<UInt8>(0) }

    /// How long the loop waits for the disk.
    private static let patienceNanoseconds: UInt64 = 500_000

    private static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Ends the threads once what they do now is done.
    func shutDown() {
        synchronization.shutDown()
        compaction.shutDown()
    }
}
