// What a bridge tells whoever speaks to controllers.

public import Flow

/// A packet for controllers.
public struct PacketInEvent: Sendable {
    public var reason: PacketInReason
    public var table: UInt8
    /// Cookie of the rule that sent it, 0 for a miss without a rule; all ones if neither did.
    public var cookie: UInt64
    public var inPort: OpenFlowPort
    public var controllerID: UInt16
    public var userdata: [UInt8]
    /// What `Bridge.resume` goes on with; empty if the packet was not paused.
    public var continuation: [UInt8] = []
    /// Whether no rule sent it: the table's own behaviour on a miss did.
    public var isImplicitMiss = false
    /// Whether OpenFlow 1.3's table-miss rule sent it: to earlier versions that is a rule like any other.
    public var isMissRule = false
    /// Bytes of the packet that the action asked for.
    public var maxLength: UInt16
    public var packet: [UInt8]
    /// Length before the cut.
    public var totalLength: Int
    /// Registers (line 5), metadata and tunnel fields as they were when the action was carried out.
    public var metadata: FlowKey
    public init(
        reason: PacketInReason, table: UInt8, cookie: UInt64, inPort: OpenFlowPort, controllerID: UInt16, userdata: [UInt8],
        maxLength: UInt16, packet: [UInt8], totalLength: Int, metadata: FlowKey
    ) {
        self.reason = reason
        self.table = table
        self.cookie = cookie
        self.inPort = inPort
        self.controllerID = controllerID
        self.userdata = userdata
        self.maxLength = maxLength
        self.packet = packet
        self.totalLength = totalLength
        self.metadata = metadata
    }
}

/// `OFPRR_*`.
public enum FlowRemovedReason: UInt8, Sendable {
    case idleTimeout = 0
    case hardTimeout = 1
    case delete = 2
    case groupDelete = 3
    case meterDelete = 4
    case eviction = 5
}

/// `OFPPR_*`.
public enum PortStatusReason: UInt8, Sendable {
    case add = 0
    case delete = 1
    case modify = 2
}

/// How the flow tables changed, for flow monitors.
public enum FlowChange: Sendable {
    case added, deleted(FlowRemovedReason), modified
    /// The rule took the place of `old`: by a modify, or by adding it again.
    case replaced(old: FlowRule, isAdd: Bool)
}

/// Receives a bridge's events.
///
/// ## Thread safety
/// Called from whichever thread caused the event, with no lock of the pipeline held; must not block.
public protocol BridgeEvents: AnyObject, Sendable {
    func packetIn(_ event: PacketInEvent, from bridge: Bridge)
    /// Called for rules with the flag `sendFlowRemoved` only.
    func flowRemoved(_ rule: FlowRule, reason: FlowRemovedReason, from bridge: Bridge)
    func portStatus(_ port: BridgePort, reason: PortStatusReason, from bridge: Bridge)
    /// The free room of a table crossed one of its limits.
    func tableStatus(_ state: TableState, reason: TableStatusReason, from bridge: Bridge)
    /// Called for every rule that a change touched, after it became visible.
    func flowChanged(_ rule: FlowRule, _ change: FlowChange, in bridge: Bridge)
    /// Packet-ins that were given up because too many waited.
    var lostPacketIns: UInt64 { get }
}

extension BridgeEvents {
    public func tableStatus(_ state: TableState, reason: TableStatusReason, from bridge: Bridge) {}
    public func flowChanged(_ rule: FlowRule, _ change: FlowChange, in bridge: Bridge) {}
    public var lostPacketIns: UInt64 { 0 }
}
