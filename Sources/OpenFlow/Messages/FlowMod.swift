// The flow-mod, the same for all versions.
//
// The versions disagree on cookies and on what a modify does. The decoder says it in plain fields, so that whoever carries
// the flow-mod out needs to know neither version nor format:
//
// |                       | 1.0   | 1.0 with NXM               | 1.1                | 1.2 and later |
// | --------------------- | ----- | -------------------------- | ------------------ | ------------- |
// | `modifyAddsIfNone`    | true  | if `cookieMask` is 0       | if `cookieMask` is 0 | false       |
// | `modifyChangesCookie` | true  | if the cookie is not all ones | false           | false         |
// | `resetCounts`, on add | always | always                    | always             | as flagged    |

public import Flow

/// `OFPT_FLOW_MOD` and `NXT_FLOW_MOD`.
public struct FlowMod: Equatable, Sendable {
    public enum Command: UInt8, Sendable {
        case add = 0
        case modify = 1
        case modifyStrict = 2
        case delete = 3
        case deleteStrict = 4
    }

    /// `OFPFF_*` bits in OpenFlow 1.3's numbering. Bit 2 is OpenFlow 1.0's EMERG there, and refused.
    public struct Flags: OptionSet, Hashable, Sendable {
        public var rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        public static let sendFlowRemoved = Flags(rawValue: 1 << 0)
        public static let checkOverlap = Flags(rawValue: 1 << 1)
        public static let resetCounts = Flags(rawValue: 1 << 2)
        public static let noPacketCounts = Flags(rawValue: 1 << 3)
        public static let noByteCounts = Flags(rawValue: 1 << 4)
    }

    public var command: Command
    /// 0xff: not said (add: table 0; modify and delete: all tables).
    public var tableID: UInt8
    @KeptCompact public var match: Match
    public var priority: UInt16
    /// The cookie that an add (or a modify with `modifyChangesCookie`) gives.
    public var newCookie: UInt64
    /// Under `cookieMask`: the cookie of the rules a modify or delete is about.
    public var cookie: UInt64
    /// 0 is any cookie.
    public var cookieMask: UInt64
    /// Seconds; 0 is never.
    public var idleTimeout: UInt16
    /// Seconds; 0 is never.
    public var hardTimeout: UInt16
    public var importance: UInt16
    public var bufferID: UInt32
    /// `.any` does not filter.
    public var outPort: OpenFlowPort
    /// 0xffffffff does not filter.
    public var outGroup: UInt32
    public var flags: Flags
    public var actions: [Action]
    public var modifyAddsIfNone: Bool
    public var modifyChangesCookie: Bool
    /// Came, or is to go, as NXT_FLOW_MOD (1.0 and 1.1 only).
    public var isNXM: Bool

    public static let noBuffer: UInt32 = 0xffff_ffff
    public static let anyGroup: UInt32 = 0xffff_ffff

    public init(
        command: Command, tableID: UInt8 = 0xff, match: Match = Match(), priority: UInt16 = 0x8000, newCookie: UInt64 = 0,
        cookie: UInt64 = 0, cookieMask: UInt64 = 0, idleTimeout: UInt16 = 0, hardTimeout: UInt16 = 0, importance: UInt16 = 0,
        bufferID: UInt32 = FlowMod.noBuffer, outPort: OpenFlowPort = .any, outGroup: UInt32 = FlowMod.anyGroup, flags: Flags = [],
        actions: [Action] = [], modifyAddsIfNone: Bool = false, modifyChangesCookie: Bool = false, isNXM: Bool = false
    ) {
        self.command = command
        self.tableID = tableID
        self.match = match
        self.priority = priority
        self.newCookie = newCookie
        self.cookie = cookie
        self.cookieMask = cookieMask
        self.idleTimeout = idleTimeout
        self.hardTimeout = hardTimeout
        self.importance = importance
        self.bufferID = bufferID
        self.outPort = outPort
        self.outGroup = outGroup
        self.flags = flags
        self.actions = actions
        self.modifyAddsIfNone = modifyAddsIfNone
        self.modifyChangesCookie = modifyChangesCookie
        self.isNXM = isNXM
    }

    /// A flow-mod for every packet, to be filled in.
    init(blank command: Command, isNXM: Bool = false) {
        self.command = command
        tableID = 0xff
        _match = KeptCompact(projectedValue: CompactMatch())
        priority = 0x8000
        newCookie = 0
        cookie = 0
        cookieMask = 0
        idleTimeout = 0
        hardTimeout = 0
        importance = 0
        bufferID = FlowMod.noBuffer
        outPort = .any
        outGroup = FlowMod.anyGroup
        flags = []
        actions = []
        modifyAddsIfNone = false
        modifyChangesCookie = false
        self.isNXM = isNXM
    }

    /// Sets what the version says by itself (see the table above).
    public mutating func applySemantics(of version: OpenFlowVersion) {
        let isModify = command == .modify || command == .modifyStrict
        switch version {
        case .v1_0 where !isNXM:
            modifyAddsIfNone = isModify
            modifyChangesCookie = isModify
        case .v1_0, .v1_1:
            modifyAddsIfNone = isModify && cookieMask == 0
            modifyChangesCookie = isModify && isNXM && newCookie != .max
        default:
            modifyAddsIfNone = false
            modifyChangesCookie = false
        }
        if version <= .v1_1, command == .add { flags.insert(.resetCounts) }
    }
}

/// `OFPT_FLOW_REMOVED` and `NXT_FLOW_REMOVED`.
public struct FlowRemoved: Equatable, Sendable {
    public enum Reason: UInt8, Sendable {
        case idleTimeout = 0
        case hardTimeout = 1
        case delete = 2
        case groupDelete = 3
        case meterDelete = 4
        case eviction = 5
    }
    @KeptCompact public var match: Match
    public var cookie: UInt64
    public var priority: UInt16
    public var reason: Reason
    /// 0xff if the format does not say.
    public var tableID: UInt8
    public var durationSeconds: UInt32
    public var durationNanoseconds: UInt32
    public var idleTimeout: UInt16
    public var hardTimeout: UInt16
    public var packetCount: UInt64
    public var byteCount: UInt64
    public var isNXM: Bool
    public init(
        match: Match, cookie: UInt64, priority: UInt16, reason: Reason, tableID: UInt8, durationSeconds: UInt32 = 0,
        durationNanoseconds: UInt32 = 0, idleTimeout: UInt16 = 0, hardTimeout: UInt16 = 0, packetCount: UInt64 = 0,
        byteCount: UInt64 = 0, isNXM: Bool = false
    ) {
        self.match = match
        self.cookie = cookie
        self.priority = priority
        self.reason = reason
        self.tableID = tableID
        self.durationSeconds = durationSeconds
        self.durationNanoseconds = durationNanoseconds
        self.idleTimeout = idleTimeout
        self.hardTimeout = hardTimeout
        self.packetCount = packetCount
        self.byteCount = byteCount
        self.isNXM = isNXM
    }
}
