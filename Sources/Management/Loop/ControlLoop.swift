// The configuration executor.
//
// One thread, one event loop: the database engine, the switch's reconciler, the OpenFlow services and the control
// commands all run on it, so none of them needs a lock, and what one of them sees no other changes under its feet. PMD
// and handler threads never come here; they are spoken to through the datapath's own lock-free interfaces.
//
// Timers are Base's `TimerQueue` on the one clock. After each piece of work the loop asks the queue for its next
// deadline and arms one wake-up of the event loop for it. While the clock is stopped the loop looks again every few
// milliseconds of machine time instead, and whoever warps a running clock says so with `timeChanged`.
//
// ## Thread safety
// `submit`, `run`, `timeChanged` and `shutDown` may be called by any thread. Everything else, and every value in a
// `Confined`, belongs to the loop's thread.

public import Base
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Something with timers of its own that a loop wakes up for.
public protocol TimerSource: AnyObject {
    /// When `runTimers` has something to do next.
    var nextDeadline: Instant? { get }
    /// Does what is due; harmless before the deadline.
    func runTimers()
}

/// The single thread of the control plane, and its timers.
public final class ControlLoop: Sendable {
    /// How often a stopped clock is looked at, in milliseconds of machine time.
    private static let stoppedClockPollMilliseconds: Int64 = 5

    public let clock: Clock
    let eventLoop: any EventLoop
    /// Urgent work, which goes before what keeps the thread busy.
    let breath = Breath()
    private let group: MultiThreadedEventLoopGroup
    /// For what would hold the loop up, such as long replies; made when it is first needed.
    private let helper = Mutex<WorkerThread?>(nil)
    /// For work that is waited for, such as the opening of devices; made when it is first needed.
    private let deviceThread = Mutex<WorkerThread?>(nil)
    /// How often urgent work is looked for while the loop waits.
    private static let breathNanoseconds = 500_000
    private let state: Confined<TimerState>

    /// What `run` waits for.
    private final class Handover<Result: Sendable>: Sendable {
        let outcome = Mutex<Swift.Result<Result, any Error>?>(nil)
        let done = Semaphore()
    }

    /// What the loop's thread alone touches.
    private final class TimerState {
        let timers: TimerQueue
        var sources: [any TimerSource] = []
        var armed: (deadline: Instant, wakeup: Scheduled<Void>)?
        init(clock: Clock) { timers = TimerQueue(clock: clock) }

        var nextDeadline: Instant? {
            var earliest = timers.nextDeadline
            for source in sources {
                if let deadline = source.nextDeadline, deadline < earliest ?? deadline.adding(milliseconds: 1) { earliest = deadline }
            }
            return earliest
        }

        func runExpired() {
            timers.runExpired()
            for source in sources { source.runTimers() }
        }
    }

    /// Starts the thread.
    public init(clock: Clock) {
        self.clock = clock
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        eventLoop = group.next()
        // Nobody else knows the object yet, and the loop's first task can only come after this line.
        state = Confined(unchecked: TimerState(clock: clock), on: eventLoop)
    }

    /// The timers of everything that runs on this loop. Only on the loop's thread.
    public var timers: TimerQueue { state.value.timers }

    /// Whether the caller is on the loop's thread.
    public var isCurrent: Bool { eventLoop.inEventLoop }

    /// Stops the program if the caller is on another thread.
    public func preconditionCurrent() { eventLoop.preconditionInEventLoop() }

    /// Has `work` run on the loop's thread, after what was submitted before.
    public func submit(_ work: @escaping @Sendable () -> Void) {
        eventLoop.execute {
            work()
            self.settle()
        }
    }

    /// Has `work`, which changes nothing, run on the loop's thread as soon as whatever keeps that busy takes breath.
    func submitUrgently(_ work: @escaping @Sendable () -> Void) {
        breath.submit(work)
        submit { self.breath.drain() }
    }

    /// Runs `work` on the loop's thread and waits for its result. Not to be called from the loop's thread.
    public func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) throws -> Result {
        precondition(!isCurrent, "ControlLoop.run would wait for itself")
        // Not by a future of the loop: the caller may be another loop's thread, which such a future refuses to hold up.
        let handover = Handover<Result>()
        eventLoop.execute {
            let outcome = Swift.Result(catching: work)
            self.settle()
            handover.outcome.withLock { $0 = outcome }
            handover.done.signal()
        }
        handover.done.wait()
        return try handover.outcome.withLock { $0! }.get()
    }

    /// Tells the loop that the clock was stopped or warped.
    public func timeChanged() {
        submit {
            self.state.value.runExpired()
            self.disarm()
        }
    }

    /// Runs what is due now. Only on the loop's thread, and not from a timer.
    func runDueTimers() { state.value.runExpired() }

    /// Has the loop drive somebody else's timers, too, from now on. Only on the loop's thread.
    public func drive(_ source: any TimerSource) { state.value.sources.append(source) }

    /// Has `work` run on another thread, one after the other. Only on the loop's thread, and not after `shutDown`.
    public func detach(_ work: @escaping @Sendable () -> Void) {
        let thread = helper.withLock { helper in
            let thread = helper ?? WorkerThread(name: "control-helper")
            helper = thread
            return thread
        }
        thread.submit(work)
    }

    /// Has `work`, which may take long, run on another thread, and waits for its end. What was submitted as urgent runs here meanwhile:
    /// the caller has nothing half done that it looks at. Only on the loop's thread.
    public func waitElsewhere(_ work: @escaping @Sendable () -> Void) {
        preconditionCurrent()
        let thread = deviceThread.withLock { thread in
            let made = thread ?? WorkerThread(name: "control-device")
            thread = made
            return made
        }
        let done = Semaphore()
        thread.submit {
            work()
            done.signal()
        }
        while !done.wait(nanoseconds: ControlLoop.breathNanoseconds) { breath.drain() }
    }

    /// Ends the threads once what runs now is done. Not to be called from the loop's thread.
    public func shutDown() {
        // What it does now may hand its result to the loop, and what the loop does now may give it more to do.
        helper.withLock { $0 }?.shutDown()
        try? group.syncShutdownGracefully()
        helper.withLock { $0 }?.shutDown()
        deviceThread.withLock { $0 }?.shutDown()
    }

    /// The same without waiting for it, and on any thread.
    func shutDownLater() { group.shutdownGracefully { _ in } }

    /// Arms the wake-up for the next deadline. Called after everything that may have set a timer.
    func settle() {
        let state = state.value
        guard let deadline = state.nextDeadline else { return disarm() }
        if let armed = state.armed, armed.deadline == deadline, !clock.isStopped { return }
        disarm()
        let delay: TimeAmount
        if clock.isStopped {
            delay = .milliseconds(deadline <= clock.now ? 0 : ControlLoop.stoppedClockPollMilliseconds)
        } else {
            let now = clock.now.nanoseconds
            let rest = deadline.nanoseconds > now ? deadline.nanoseconds - now : 0
            delay = .nanoseconds(Int64(clamping: rest))
        }
        state.armed = (deadline, eventLoop.scheduleTask(in: delay) { self.wake() })
    }

    private func wake() {
        state.value.armed = nil
        // Thousands of rules may expire together.
        breath.during { state.value.runExpired() }
        settle()
    }

    private func disarm() {
        state.value.armed?.wakeup.cancel()
        state.value.armed = nil
    }
}

/// A value that belongs to a loop's thread, in a form that other threads may hold and hand on, but not look into.
///
/// ## Thread safety
/// `@unchecked Sendable`: `value` stops the program on any thread but the loop's, so the memory has one owner.
public struct Confined<Value>: @unchecked Sendable {
    private let storage: Value
    private let eventLoop: any EventLoop

    /// Only on the loop's thread.
    public init(_ value: Value, to loop: ControlLoop) {
        loop.preconditionCurrent()
        storage = value
        eventLoop = loop.eventLoop
    }

    /// For a value that nobody else has seen yet.
    init(unchecked value: Value, on eventLoop: any EventLoop) {
        storage = value
        self.eventLoop = eventLoop
    }

    /// The value. Only on the loop's thread.
    public var value: Value {
        eventLoop.preconditionInEventLoop()
        return storage
    }
}
