// A thread for work that blocks.

internal import CLinux
internal import Glibc
internal import Synchronization

/// Runs what it is given, one after another.
///
/// ## Thread safety
/// All members may be called by any thread but the worker itself.
final class WorkerThread: Sendable {
    private struct State {
        var works: [@Sendable () -> Void] = []
        var isOver = false
    }

    private let state = Mutex(State())
    private let wakeup = Semaphore()
    private let ended = Semaphore()

    /// - Parameters:
    ///   - name: at most 15 bytes, for `ps` and debuggers.
    ///   - niceness: added to the process's.
    init(name: String, niceness: Int32 = 0) {
        let start = Unmanaged.passRetained(Start(worker: self, name: name, niceness: niceness))
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                _ = clinux_set_thread_name(start.name)
                if start.niceness != 0 { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, start.niceness) }
                start.worker.run()
                return nil
            }, start.toOpaque())
        precondition(failure == 0, "no thread for \(name): \(String(cString: strerror(failure)))")
        pthread_detach(thread)
    }

    private final class Start {
        let worker: WorkerThread
        let name: String
        let niceness: Int32
        init(worker: WorkerThread, name: String, niceness: Int32) {
            self.worker = worker
            self.name = name
            self.niceness = niceness
        }
    }

    func submit(_ work: @escaping @Sendable () -> Void) {
        state.withLock { $0.works.append(work) }
        wakeup.signal()
    }

    /// Ends the thread after what it does now; what waits is dropped. Returns when it has ended.
    func shutDown() {
        let wasOver = state.withLock { state in
            defer { state.isOver = true }
            state.works = []
            return state.isOver
        }
        guard !wasOver else { return }
        wakeup.signal()
        ended.wait()
    }

    private func run() {
        while true {
            wakeup.wait()
            let next = state.withLock { state -> (@Sendable () -> Void)? in state.works.isEmpty ? nil : state.works.removeFirst() }
            next?()
            if next == nil, state.withLock({ $0.isOver }) { break }
        }
        ended.signal()
    }
}

/// Counts signals, and lets whoever waits sleep until there is one.
///
/// ## Thread safety
/// `@unchecked Sendable`: sem_t is made for that, and its memory stays where it is until nobody has the object any more.
final class Semaphore: @unchecked Sendable {
    private let storage: UnsafeMutablePointer<sem_t>

    init() {
        storage = .allocate(capacity: 1)
        sem_init(storage, 0, 0)
    }
    deinit {
        sem_destroy(storage)
        storage.deallocate()
    }

    func signal() { sem_post(storage) }
    func wait() { while sem_wait(storage) != 0 && errno == EINTR {} }
}
