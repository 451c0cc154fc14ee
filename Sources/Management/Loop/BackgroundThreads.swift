// Threads for what the disk may take its time with.

internal import OVSDB

/// Two threads beside the control loop: one brings durable transactions to the disk, one rewrites logs, at a lower priority. Only on
/// the control loop's thread.
final class BackgroundThreads: BackgroundWork {
    /// Added to the niceness of the thread that nobody waits for.
    private static let compactionNiceness: Int32 = 10

    private let loop: ControlLoop
    private let synchronization = WorkerThread(name: "db-sync")
    private let compaction = WorkerThread(name: "db-compact", niceness: BackgroundThreads.compactionNiceness)

    init(loop: ControlLoop) { self.loop = loop }

    func perform(_ kind: BackgroundKind, _ work: @escaping @Sendable () -> Void, done: @escaping () -> Void) {
        let done = Confined(done, to: loop)
        let loop = loop
        (kind == .synchronization ? synchronization : compaction).submit {
            work()
            loop.submit { done.value() }
        }
    }

    /// Ends the threads once what they do now is done.
    func shutDown() {
        synchronization.shutDown()
        compaction.shutDown()
    }
}
