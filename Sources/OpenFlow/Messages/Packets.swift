// Packets between switch and controller.

public import Flow

/// How a connection wants its packet-ins (`NXT_SET_PACKET_IN_FORMAT`).
public enum PacketInFormat: UInt32, Sendable {
    /// The version's own `OFPT_PACKET_IN`.
    case standard = 0
    case nicira = 1
    case nicira2 = 2
}

/// `OFPT_PACKET_IN`, `NXT_PACKET_IN` and `NXT_PACKET_IN2`.
public struct PacketIn: Equatable, Sendable {
    public var format: PacketInFormat
    /// Nothing is ever buffered: 0xffffffff.
    public var bufferID: UInt32
    /// The packet's length; `data` may be shorter.
    public var totalLength: Int
    public var reason: PacketInReason
    public var tableID: UInt8
    /// All ones if no rule sent it.
    public var cookie: UInt64
    /// `in_port`, registers, metadata and tunnel fields.
    @KeptCompact public var metadata: Match
    public var userdata: [UInt8]
    /// What the switch needs to go on with the packet; opaque to controllers. Empty if it cannot. `nicira2` only.
    public var continuation: [UInt8] = []
    public var data: [UInt8]
    public init(
        format: PacketInFormat = .standard, bufferID: UInt32 = FlowMod.noBuffer, totalLength: Int, reason: PacketInReason,
        tableID: UInt8 = 0, cookie: UInt64 = .max, metadata: Match = Match(), userdata: [UInt8] = [], data: [UInt8]
    ) {
        self.format = format
        self.bufferID = bufferID
        self.totalLength = totalLength
        self.reason = reason
        self.tableID = tableID
        self.cookie = cookie
        self.metadata = metadata
        self.userdata = userdata
        self.data = data
    }
    /// The port the packet came in by.
    public var inPort: OpenFlowPort { OpenFlowPort(UInt32(truncatingIfNeeded: metadata.get(.inPort).value)) }
}

/// `OFPT_PACKET_OUT`.
public struct PacketOut: Equatable, Sendable {
    public var bufferID: UInt32
    /// `in_port` and, from 1.5 on, other pipeline fields.
    @KeptCompact public var metadata: Match
    public var actions: [Action]
    public var data: [UInt8]
    public init(bufferID: UInt32 = FlowMod.noBuffer, inPort: OpenFlowPort, actions: [Action], data: [UInt8]) {
        self.bufferID = bufferID
        var metadata = Match()
        metadata.set(.inPort, UInt128(inPort.rawValue))
        self.metadata = metadata
        self.actions = actions
        self.data = data
    }
    public init(bufferID: UInt32 = FlowMod.noBuffer, metadata: Match, actions: [Action], data: [UInt8]) {
        self.bufferID = bufferID
        self.metadata = metadata
        self.actions = actions
        self.data = data
    }
    public var inPort: OpenFlowPort { OpenFlowPort(UInt32(truncatingIfNeeded: metadata.get(.inPort).value)) }
}
