import Base
import Management
import Synchronization
import Testing

@Suite struct ControlLoopTests {
    @Test func workRunsInOrderOnOneThread() throws {
        let loop = ControlLoop(clock: Clock())
        defer { loop.shutDown() }
        let log = Mutex<[Int]>([])
        for number in 0..<100 { loop.submit { log.withLock { $0.append(number) } } }
        let isCurrent = try loop.run { loop.isCurrent }
        #expect(isCurrent)
        #expect(!loop.isCurrent)
        #expect(log.withLock { $0 } == Array(0..<100))
    }

    @Test func timersFollowAStoppedClock() throws {
        let clock = Clock(stoppedAt: Instant(nanoseconds: 1))
        let loop = ControlLoop(clock: clock)
        defer { loop.shutDown() }
        let fired = Atomic<Int>(0)
        try loop.run { () -> Void in
            _ = loop.timers.schedule(afterMilliseconds: 60_000) { fired.wrappingAdd(1, ordering: .relaxed) }
        }
        try loop.run {}
        let before = fired.load(ordering: .relaxed)
        #expect(before == 0)
        clock.warp(milliseconds: 60_000)
        loop.timeChanged()
        try loop.run {}
        let after = fired.load(ordering: .relaxed)
        #expect(after == 1)
    }

    @Test func timersFireByThemselves() throws {
        let loop = ControlLoop(clock: Clock())
        defer { loop.shutDown() }
        let done = Atomic<Bool>(false)
        try loop.run { () -> Void in
            _ = loop.timers.schedule(afterMilliseconds: 20) { done.store(true, ordering: .releasing) }
        }
        let clock = Clock()
        let end = clock.now.adding(milliseconds: 5_000)
        while !done.load(ordering: .acquiring) && clock.now < end {}
        let isDone = done.load(ordering: .acquiring)
        #expect(isDone)
    }

    @Test func confinedValuesStayOnTheLoop() throws {
        final class Counter { var count = 0 }
        let loop = ControlLoop(clock: Clock())
        defer { loop.shutDown() }
        let counter = try loop.run { Confined(Counter(), to: loop) }
        loop.submit { counter.value.count += 1 }
        #expect(try loop.run { counter.value.count } == 1)
    }
}
