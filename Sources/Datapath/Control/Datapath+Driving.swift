internal import Base
internal import DatapathAPI
internal import Synchronization

extension Datapath {
    /// Polls every queue once on the calling thread and lets the handler thread's work be done too: for datapaths whose
    /// settings start no threads (tests, benchmarks of stages). Returns the packets received.
    ///
    /// - Precondition: `settings.runsThreads` is false, and one thread at a time calls this.
    @discardableResult
    public func runOnce() -> Int {
        var total = 0
        for thread in control.withLock({ [kernelIO] + $0.pmds.values.sorted { $0.cpu < $1.cpu } }) {
            let worker = thread.state
            worker.pointee.now = clock.now.nanoseconds
            worker.pointee.quiescent.online(thread.slot)
            thread.takeSettings(worker)
            total += Burst.pollOnce(worker)
            worker.pointee.quiescent.offline(thread.slot)
            thread.tell(worker)
            thread.memory.missHandler.handOverCredits()
        }
        for handler in handlers.withLock({ $0 }) {
            handler.state.pointee.now = clock.now.nanoseconds
            while handler.handleOnce() > 0 {}
        }
        return total
    }
}
