import Base
import Synchronization
import Testing

@testable import Management

@Suite struct LoopWaitTests {
    /// Slow work that waits for a command to be carried out, which the loop does while it waits for the work.
    @Test func urgentWorkRunsWhileTheLoopWaits() throws {
        let loop = ControlLoop(clock: Clock())
        defer { loop.shutDown() }
        let isUnderWay = Atomic<Bool>(false)
        let hasRun = Atomic<Bool>(false)
        let sawIt = Atomic<Bool>(false)
        let clock = Clock()
        let end = clock.now.adding(milliseconds: 30_000)
        loop.submit {
            loop.waitElsewhere {
                isUnderWay.store(true, ordering: .releasing)
                while !hasRun.load(ordering: .acquiring), clock.now < end {}
                sawIt.store(hasRun.load(ordering: .acquiring), ordering: .releasing)
            }
        }
        while !isUnderWay.load(ordering: .acquiring), clock.now < end {}
        loop.submitUrgently { hasRun.store(loop.isCurrent, ordering: .releasing) }
        let wasSeen = try loop.run { sawIt.load(ordering: .acquiring) }
        #expect(wasSeen, "the loop comes back once the work has ended, and the command ran before")
    }
}
