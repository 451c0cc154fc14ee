internal import Base
internal import CLinux
internal import Synchronization

extension Datapath {
    /// Waits until all that came in before the call is through: sent, dropped, or handed to the control plane. For tests, which
    /// put packets on ports and want to see what became of them.
    ///
    /// - Parameter isTaken: whether the ports' own queues are empty.
    public func settle(isTaken: () -> Bool) {
        // Two seconds: a thread that does not run for so long will not be waited for.
        var rounds = 40_000
        func wait(_ condition: () -> Bool) {
            while rounds > 0, !condition() {
                rounds -= 1
                clinux_sleep_nanoseconds(50_000)
            }
        }
        wait(isTaken)
        quiescent.synchronize()
        let all = workers.withLock { $0 }
        wait {
            all.allSatisfy { worker in (0..<DatapathLimits.handlerThreads).allSatisfy { worker.state.pointee.deferred[$0].count == 0 } }
        }
        quiescent.synchronize()
        deliverPunts()
    }
}
