internal import CDPDK
internal import Synchronization

/// The flows of one of DPDK's devices, by rte_flow.
///
/// ## Thread safety
/// A mutex serialises all calls into the device's flows.
final class DeviceFlowProvider: HardwareFlowProvider {
    let layer = "dpdk"
    private let devicePort: UInt16
    private let state = Mutex(State())

    /// `@unchecked Sendable`: the flows are DPDK's, used under the mutex alone.
    private struct State: @unchecked Sendable {
        var flows: [HardwareFlowID: OpaquePointer] = [:]
        var next: UInt64 = 1
    }

    private init(_ devicePort: UInt16) { self.devicePort = devicePort }

    /// The provider of a device, or why it has none.
    static func support(of devicePort: UInt16) -> HardwareFlowSupport {
        let asked = withReason { cdpdk_flow_is_supported(devicePort, $0, $1) }
        return asked.result ? .provider(DeviceFlowProvider(devicePort)) : .none(reason: asked.reason)
    }

    func insert(_ flow: HardwareFlow) throws(HardwareFlowRefusal) -> HardwareFlowID {
        guard flow.headers.count <= Int(CDPDK_FLOW_HEADERS), flow.actions.count <= Int(CDPDK_FLOW_ACTIONS) else {
            throw HardwareFlowRefusal("it has more than \(CDPDK_FLOW_HEADERS) headers or \(CDPDK_FLOW_ACTIONS) actions")
        }
        let headers = flow.headers.map(DeviceFlowProvider.plain)
        var actions: [cdpdk_flow_action] = []
        for action in flow.actions { actions.append(try DeviceFlowProvider.plain(action)) }
        let port = devicePort
        let result = state.withLock { state -> Result<HardwareFlowID, HardwareFlowRefusal> in
            let made = withReason {
                cdpdk_flow_create(port, headers, UInt32(headers.count), actions, UInt32(actions.count), $0, $1)
            }
            guard let rule = made.result else { return .failure(HardwareFlowRefusal("the device does not take it: \(made.reason)")) }
            let id = HardwareFlowID(rawValue: state.next)
            state.next += 1
            state.flows[id] = rule
            return .success(id)
        }
        return try result.get()
    }

    func remove(_ flow: HardwareFlowID) -> HardwareFlowCounters {
        state.withLock { state in
            guard let rule = state.flows.removeValue(forKey: flow) else { return HardwareFlowCounters() }
            let counters = DeviceFlowProvider.count(rule)
            _ = cdpdk_flow_destroy(rule)
            return counters ?? HardwareFlowCounters()
        }
    }

    func counters(of flow: HardwareFlowID) -> HardwareFlowCounters? {
        state.withLock { state in state.flows[flow].flatMap(DeviceFlowProvider.count) }
    }

    private static func count(_ rule: OpaquePointer) -> HardwareFlowCounters? {
        var counters = HardwareFlowCounters()
        return cdpdk_flow_counters(rule, &counters.packets, &counters.bytes) == 0 ? counters : nil
    }

    private static func plain(_ header: HardwareFlow.Header) -> cdpdk_flow_header {
        var plain = cdpdk_flow_header()
        plain.kind = header.kind.rawValue
        withUnsafeMutableBytes(of: &plain.value) { $0.copyBytes(from: header.value) }
        withUnsafeMutableBytes(of: &plain.mask) { $0.copyBytes(from: header.mask) }
        return plain
    }

    private static func plain(_ action: HardwareFlow.Action) throws(HardwareFlowRefusal) -> cdpdk_flow_action {
        var plain = cdpdk_flow_action()
        func set(_ address: HardwareAddress) { withUnsafeMutableBytes(of: &plain.mac) { $0.copyBytes(from: address.bytes) } }
        switch action {
        case .drop: plain.kind = CDPDK_FLOW_DROP.rawValue
        case .setSource(let address):
            plain.kind = CDPDK_FLOW_SET_SOURCE.rawValue
            set(address)
        case .setDestination(let address):
            plain.kind = CDPDK_FLOW_SET_DESTINATION.rawValue
            set(address)
        case .pushVLAN(let tpid, let tci):
            plain.kind = CDPDK_FLOW_PUSH_VLAN.rawValue
            plain.tpid = tpid
            plain.tci = tci
        case .popVLAN: plain.kind = CDPDK_FLOW_POP_VLAN.rawValue
        case .output(let port):
            guard let device = port as? DPDKPort else {
                throw HardwareFlowRefusal("port \(port.name), which it leaves by, is no port of the device")
            }
            plain.kind = CDPDK_FLOW_OUTPUT.rawValue
            plain.port = device.devicePort
        }
        return plain
    }
}
