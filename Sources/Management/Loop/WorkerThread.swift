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
    private let lingerNanoseconds: Int

    /// - Parameters:
    ///   - name: at most 15 bytes, for `ps` and debuggers.
    ///   - niceness: added to the process's.
    ///   - lingerMicroseconds: how long it stays awake behind some work: more that comes meanwhile need not wake it up.
    init(name: String, niceness: Int32 = 0, lingerMicroseconds: Int = 0) {
        lingerNanoseconds = lingerMicroseconds * 1000
        let start = Unmanaged.passRetained(Start(worker: self, name: name, niceness: niceness))
        var thread = pthread_t()
        let failure = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                _ = clinux_set_thread_name(start.name)
                // Whatever priority the process was given: nobody waits for this thread.
                var none = sched_param()
                if start.niceness != 0 { _ = pthread_setschedparam(pthread_self(), SCHED_OTHER, &none) }
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

    /// Waits for more: awake for a while behind some work, then asleep.
    private func awaitMore(behindWork: Bool) {
        if behindWork, lingerNanoseconds > 0 {
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            let end = now.tv_sec * 1_000_000_000 + now.tv_nsec + lingerNanoseconds
            while now.tv_sec * 1_000_000_000 + now.tv_nsec < end {
                if wakeup.take() { return }
                sched_yield()
                clock_gettime(CLOCK_MONOTONIC, &now)
            }
        }
        wakeup.wait()
    }

    private func run() {
        var hasWorked = false
        while true {
            awaitMore(behindWork: hasWorked)
            let next = state.withLock { state -> (@Sendable () -> Void)? in state.works.isEmpty ? nil : state.works.removeFirst() }
            next?()
            hasWorked = next != nil
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

    /// Takes a signal if there is one, without waiting.
    func take() -> Bool { sem_trywait(storage) == 0 }

    /// Waits so long at most.
    ///
    /// - Returns: whether it was signalled
    func wait(nanoseconds: Int) -> Bool {
        var end = timespec()
        clock_gettime(CLOCK_REALTIME, &end)
        let sum = end.tv_nsec + nanoseconds
        end.tv_sec += sum / 1_000_000_000
        end.tv_nsec = sum % 1_000_000_000
        while sem_timedwait(storage, &end) != 0 { if errno != EINTR { return false } }
        return true
    }
}
