// Flow monitors: a controller is told how the flow tables change (OpenFlow 1.4 section 7.3.5.17; ONF's extension of 1.3;
// Nicira's of 1.0 to 1.2).

public import Flow

/// One monitor of a request.
public struct FlowMonitorRequest: Equatable, Sendable {
    public enum Command: UInt8, Sendable {
        case add = 0
        case modify = 1
        case delete = 2
    }
    /// `OFPFMF_*`; the numbers are the same in all forms.
    public struct Flags: OptionSet, Hashable, Sendable {
        public var rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        /// The flows there are when the monitor is made.
        public static let initial = Flags(rawValue: 1 << 0)
        public static let add = Flags(rawValue: 1 << 1)
        public static let removed = Flags(rawValue: 1 << 2)
        public static let modify = Flags(rawValue: 1 << 3)
        /// Updates carry the flow's instructions.
        public static let instructions = Flags(rawValue: 1 << 4)
        /// What the controller did itself is told in full. (Nicira's form calls this bit OWN.)
        public static let noAbbreviation = Flags(rawValue: 1 << 5)
        /// 1.4 and later. The field's tools and switches take it for `noAbbreviation`, and so does this switch.
        public static let onlyOwn = Flags(rawValue: 1 << 6)
    }
    public var id: UInt32
    public var command: Command
    public var flags: Flags
    /// `.any` is any or none.
    public var outPort: OpenFlowPort
    public var outGroup: UInt32
    /// 0xff is all.
    public var tableID: UInt8
    public var match: Match
    public init(
        id: UInt32, command: Command = .add, flags: Flags, outPort: OpenFlowPort = .any, outGroup: UInt32 = FlowMod.anyGroup,
        tableID: UInt8 = 0xff, match: Match = Match()
    ) {
        self.id = id
        self.command = command
        self.flags = flags
        self.outPort = outPort
        self.outGroup = outGroup
        self.tableID = tableID
        self.match = match
    }
}

/// What a monitor tells.
public enum FlowUpdate: Equatable, Sendable {
    /// A flow was there, came, went or changed.
    public struct Full: Equatable, Sendable {
        public enum Event: Sendable {
            case initial, added, removed, modified
        }
        public var event: Event
        /// For `removed`.
        public var reason: FlowRemoved.Reason
        public var tableID: UInt8
        public var priority: UInt16
        public var idleTimeout: UInt16
        public var hardTimeout: UInt16
        public var cookie: UInt64
        public var match: Match
        /// Empty unless asked for.
        public var actions: [Action]
        public init(
            event: Event, reason: FlowRemoved.Reason = .idleTimeout, tableID: UInt8, priority: UInt16, idleTimeout: UInt16,
            hardTimeout: UInt16, cookie: UInt64, match: Match, actions: [Action]
        ) {
            self.event = event
            self.reason = reason
            self.tableID = tableID
            self.priority = priority
            self.idleTimeout = idleTimeout
            self.hardTimeout = hardTimeout
            self.cookie = cookie
            self.match = match
            self.actions = actions
        }
    }
    indirect case full(Full)
    /// The request with this xid did what it said.
    case abbreviated(xid: UInt32)
    /// 1.4 and later; other forms have messages of their own for it.
    case paused, resumed
}
