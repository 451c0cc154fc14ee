// From the threads that cause events to the one that services belong to.

internal import Flow
internal import Synchronization

/// The bridge's event receiver. Packet-ins beyond what the control loop keeps up with are dropped and counted; everything
/// else is always delivered.
///
/// ## Thread safety
/// Called by any thread. On the executor's own thread events are delivered at once, so that what a request causes comes
/// before its barrier's reply; from elsewhere they are submitted.
final class ServiceEvents: BridgeEvents {
    /// Packet-ins that may wait for the control loop.
    static let pendingPacketIns = 4096

    /// Only used on the executor's thread; weak, since the service holds this object through the bridge.
    private nonisolated(unsafe) weak var service: OpenFlowService?
    private let executor: any ServiceExecutor
    private let pending = Atomic<Int>(0)
    private let dropped = Atomic<UInt64>(0)
    private let isMonitored = Atomic<Bool>(false)

    init(service: OpenFlowService, executor: any ServiceExecutor) {
        self.service = service
        self.executor = executor
    }

    /// Those that the control loop did not keep up with.
    var lostPacketIns: UInt64 { dropped.load(ordering: .relaxed) }

    /// Says whether any connection monitors flows.
    func setMonitored(_ isOn: Bool) { isMonitored.store(isOn, ordering: .relaxed) }

    private func deliver(_ work: @escaping @Sendable (OpenFlowService) -> Void) {
        if executor.isCurrent {
            if let service { work(service) }
        } else {
            executor.submit { if let service = self.service { work(service) } }
        }
    }

    func packetIn(_ event: PacketInEvent, from bridge: Bridge) {
        if executor.isCurrent {
            service?.send(event)
            return
        }
        if pending.wrappingAdd(1, ordering: .relaxed).newValue > ServiceEvents.pendingPacketIns {
            pending.wrappingSubtract(1, ordering: .relaxed)
            dropped.wrappingAdd(1, ordering: .relaxed)
            return
        }
        executor.submit {
            self.pending.wrappingSubtract(1, ordering: .relaxed)
            self.service?.send(event)
        }
    }

    func flowRemoved(_ rule: FlowRule, reason: FlowRemovedReason, from bridge: Bridge) { deliver { $0.send(rule, reason) } }

    func flowChanged(_ rule: FlowRule, _ change: FlowChange, in bridge: Bridge) {
        // Most changes are nobody's business; those of a request are told on its own thread.
        guard isMonitored.load(ordering: .relaxed) else { return }
        deliver { $0.note(rule, change) }
    }

    func tableStatus(_ state: TableState, reason: TableStatusReason, from bridge: Bridge) { deliver { $0.send(state, reason) } }

    func portStatus(_ port: BridgePort, reason: PortStatusReason, from bridge: Bridge) { deliver { $0.send(port, reason) } }
}
