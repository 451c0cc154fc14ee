import Base
import Testing

@Test func stoppedClockMovesOnlyByWarps() {
    let clock = Clock(stoppedAt: Instant(nanoseconds: 5))
    #expect(clock.now.nanoseconds == 5)
    clock.warp(milliseconds: 2)
    #expect(clock.now.nanoseconds == 2_000_005)
    #expect(clock.isStopped)
}

@Test func runningClockNeverGoesBackWhenStopped() {
    let clock = Clock()
    let before = clock.now
    clock.stop()
    #expect(clock.now >= before)
    #expect(clock.now == clock.now)
}

@Test func timersRunInDeadlineOrderAndOnlyWhenDue() {
    let clock = Clock(stoppedAt: Instant(nanoseconds: 1))
    let timers = TimerQueue(clock: clock)
    var order: [Int] = []
    timers.schedule(afterMilliseconds: 30) { order.append(3) }
    let cancelled = timers.schedule(afterMilliseconds: 20) { order.append(2) }
    timers.schedule(afterMilliseconds: 10) {
        order.append(1)
        timers.schedule(afterMilliseconds: 0) { order.append(10) }
    }
    timers.cancel(cancelled)
    timers.runExpired()
    #expect(order.isEmpty)
    clock.warp(milliseconds: 10)
    timers.runExpired()
    #expect(order == [1], "what a callback schedules waits for the next round")
    clock.warp(milliseconds: 20)
    timers.runExpired()
    #expect(order == [1, 10, 3])
    #expect(timers.nextDeadline == nil)
}
