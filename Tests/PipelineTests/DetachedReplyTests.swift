// Long replies, made beside the control loop.

import Flow
import OpenFlow
import Synchronization
import Testing

@testable import Pipeline

/// Keeps what is to run on another thread until it is told to run it.
private final class LateExecutor: ServiceExecutor {
    private let works = Mutex<[@Sendable () -> Void]>([])
    var isCurrent: Bool { true }
    func submit(_ work: @escaping @Sendable () -> Void) { work() }
    func detach(_ work: @escaping @Sendable () -> Void) { works.withLock { $0.append(work) } }

    /// False if there is nothing.
    func runOne() -> Bool {
        let work = works.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        work?()
        return work != nil
    }
}

@Suite struct DetachedReplyTests {
    private let output2: [Action] = [.output(OpenFlowPort(2), maxLength: 0)]

    /// What is asked behind a listing is answered behind it, whenever that is ready; other connections do not wait.
    @Test func repliesStayInOrder() {
        let executor = LateExecutor()
        let rig = ServiceRig(executor: executor)
        let peer = rig.peer(.v1_3)
        let other = rig.peer(.v1_3)
        for port in UInt16(1)...3000 { peer.send(.flowMod(FlowMod(command: .add, tableID: 1, match: tcpTo(port), actions: output2))) }
        peer.take()
        peer.send(.statsRequest(.flow(FlowStatsRequest()), more: false))
        peer.send(.statsRequest(.aggregate(FlowStatsRequest()), more: false))
        peer.send(.barrierRequest)
        #expect(peer.take().isEmpty)
        #expect(other.ask(.barrierRequest) == [.barrierReply])
        var answers: [Message] = []
        while executor.runOne() { answers += peer.take() }
        var flows = 0
        for case .statsReply(.flow(let list, _), _) in answers { flows += list.count }
        #expect(flows == 3000)
        #expect(answers.last == .barrierReply)
        guard case .statsReply(.aggregate(let sums, _), _)? = answers.dropLast().last else {
            Issue.record("no sums before the barrier's reply")
            return
        }
        #expect(sums.flowCount == 3000)
    }

    /// A listing is of the tables as they are when it begins.
    @Test func changesMeanwhileAreNotListed() {
        let executor = LateExecutor()
        let rig = ServiceRig(executor: executor)
        let peer = rig.peer(.v1_3)
        let other = rig.peer(.v1_3)
        for port in UInt16(1)...3000 { peer.send(.flowMod(FlowMod(command: .add, tableID: 1, match: tcpTo(port), actions: output2))) }
        peer.take()
        peer.send(.statsRequest(.flow(FlowStatsRequest()), more: false))
        var answers: [Message] = []
        #expect(executor.runOne())
        answers += peer.take()
        other.send(.flowMod(FlowMod(command: .delete, tableID: 0xff)))
        while executor.runOne() { answers += peer.take() }
        var flows = 0
        for case .statsReply(.flow(let list, _), _) in answers { flows += list.count }
        #expect(flows == 3000)
        #expect(rig.bridge.flowCount == 0)
    }

    /// A peer that goes in the midst of a listing takes the rest of it along.
    @Test func aPeerMayGo() {
        let executor = LateExecutor()
        let rig = ServiceRig(executor: executor)
        let peer = rig.peer(.v1_3)
        for port in UInt16(1)...3000 { peer.send(.flowMod(FlowMod(command: .add, tableID: 1, match: tcpTo(port), actions: output2))) }
        peer.take()
        peer.send(.statsRequest(.flow(FlowStatsRequest()), more: false))
        #expect(executor.runOne())
        peer.connection.close("gone")
        peer.take()
        while executor.runOne() {}
        #expect(peer.take().isEmpty)
    }
}
