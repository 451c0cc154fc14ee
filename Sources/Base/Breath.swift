// Points at which long work lets short work go first.
//
// One thread owns the control plane, so a client that asks for everything in a large database keeps all others waiting for
// as long as the answer takes. Such work calls `Breath.take` every few hundred rows. What was submitted meanwhile as urgent
// (a control command) runs there, in the midst of it, instead of behind it.
//
// That is only sound where whoever is in the midst of something has left nothing half done that urgent work looks at. So a
// thread takes breath only inside `during`, and not inside `suspended`, which the callbacks of long work run in.
//
// ## Thread safety
// `submit` may be called by any thread. `drain`, `during`, `suspended` and `take` are about the calling thread alone.

internal import Glibc
internal import Synchronization

/// Urgent work for a thread that may be busy.
public final class Breath: Sendable {
    private let works = Mutex<[@Sendable () -> Void]>([])
    /// Whether `works` may hold something: what `take` looks at, one relaxed load.
    private let isWaiting = Atomic<Bool>(false)

    /// The thread's breath while it may be taken: an unretained `Breath`.
    private static let current: pthread_key_t = {
        var key = pthread_key_t()
        precondition(pthread_key_create(&key, nil) == 0, "no thread-specific storage")
        return key
    }()

    public init() {}

    /// Has `work` run by the owning thread at its next breath or `drain`, in order.
    public func submit(_ work: @escaping @Sendable () -> Void) {
        works.withLock { $0.append(work) }
        isWaiting.store(true, ordering: .releasing)
    }

    /// Runs what was submitted. Only on the owning thread, where nothing is half done.
    public func drain() {
        guard isWaiting.load(ordering: .acquiring) else { return }
        isWaiting.store(false, ordering: .relaxed)
        let due = works.withLock { works in
            defer { works = [] }
            return works
        }
        Breath.suspended { for work in due { work() } }
    }

    /// Runs `body`, which may be interrupted wherever it calls `take`.
    public func during<T>(_ body: () throws -> T) rethrows -> T {
        try Breath.with(Unmanaged.passUnretained(self).toOpaque(), body)
    }

    /// Runs `body` without interruption.
    public static func suspended<T>(_ body: () throws -> T) rethrows -> T { try with(nil, body) }

    private static func with<T>(_ value: UnsafeMutableRawPointer?, _ body: () throws -> T) rethrows -> T {
        let before = pthread_getspecific(current)
        pthread_setspecific(current, value)
        defer { pthread_setspecific(current, before) }
        return try body()
    }

    /// A point of long work at which urgent work may run: every few hundred rows, never within a change of anything.
    public static func take() {
        guard let pointer = pthread_getspecific(current) else { return }
        // Alive: `during` is further down on this stack.
        let breath = Unmanaged<Breath>.fromOpaque(pointer).takeUnretainedValue()
        if breath.isWaiting.load(ordering: .relaxed) { breath.drain() }
    }
}

extension Array {
    /// Elements let go of between two breaths.
    private static var dissolvedAtOnce: Int { 512 }

    /// Empties an array that nobody else has, with breath in between: to let go of 100,000 objects takes as long as to look at them.
    public mutating func dissolve() {
        while count > Array.dissolvedAtOnce {
            removeLast(Array.dissolvedAtOnce)
            Breath.take()
        }
        removeAll()
    }
}
