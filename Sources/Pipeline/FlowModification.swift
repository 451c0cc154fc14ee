// A flow-mod as the pipeline takes it: what the OpenFlow service makes of each version's message.

public import Flow
public import OpenFlow

/// What a flow-mod does.
public enum FlowModCommand: Sendable {
    case add
    /// Changes the actions of every rule that the match covers.
    case modify
    /// Changes the actions of the one rule with exactly this match and priority.
    case modifyStrict
    case delete
    case deleteStrict
}

/// `OFPFF_*` bits, in OpenFlow 1.3's numbering.
public struct FlowModFlags: OptionSet, Hashable, Sendable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let sendFlowRemoved = FlowModFlags(rawValue: 1 << 0)
    public static let checkOverlap = FlowModFlags(rawValue: 1 << 1)
    public static let resetCounts = FlowModFlags(rawValue: 1 << 2)
    public static let noPacketCounts = FlowModFlags(rawValue: 1 << 3)
    public static let noByteCounts = FlowModFlags(rawValue: 1 << 4)
}

/// One change of a bridge's flow tables.
///
/// The versions of OpenFlow disagree on what a modify does; whoever decodes the message says it here:
///
/// | | OpenFlow 1.0 | 1.0 with NXM | 1.1 | 1.2 and later |
/// | --- | --- | --- | --- | --- |
/// | `modifyAddsIfNone` | true | if `cookieMask` is 0 | if `cookieMask` is 0 | false |
/// | `modifyChangesCookie` | true | if the cookie is not all ones | false | false |
public struct FlowModification: Sendable {
    public var command: FlowModCommand
    /// 0 to 253. Nil is all tables, for deletes only; an add or modify without one goes to table 0.
    public var table: UInt8?
    @KeptCompact public var match: Match
    public var priority: UInt16
    /// The new cookie of an add (and of a modify that changes it); under `cookieMask`, what rules must have to be changed or deleted.
    public var cookie: UInt64
    /// Filters rules of a modify or delete; 0 filters none.
    public var cookieMask: UInt64
    /// The cookie to give, where it differs from the one to match.
    public var newCookie: UInt64?
    /// Seconds without a packet after which the rule goes; 0 is never.
    public var idleTimeoutSeconds: UInt16
    /// Seconds after which the rule goes; 0 is never.
    public var hardTimeoutSeconds: UInt16
    public var importance: UInt16
    public var flags: FlowModFlags
    /// Deletes only rules that output here; nil is all.
    public var outPort: OpenFlowPort?
    /// Deletes only rules that send to this group; nil is all.
    public var outGroup: UInt32?
    public var actions: [Action]
    public var modifyAddsIfNone: Bool
    public var modifyChangesCookie: Bool
    /// Whether actions may be on fields that the match does not promise, as in OpenFlow 1.0; they leave other packets alone.
    public var isLenient = false

    public init(
        command: FlowModCommand, table: UInt8? = nil, match: Match = Match(), priority: UInt16 = 0x8000, cookie: UInt64 = 0,
        cookieMask: UInt64 = 0, newCookie: UInt64? = nil, idleTimeoutSeconds: UInt16 = 0, hardTimeoutSeconds: UInt16 = 0,
        importance: UInt16 = 0, flags: FlowModFlags = [], outPort: OpenFlowPort? = nil, outGroup: UInt32? = nil,
        actions: [Action] = [], modifyAddsIfNone: Bool = false, modifyChangesCookie: Bool = false
    ) {
        self.init(
            command: command, table: table, compactMatch: CompactMatch(match), priority: priority, cookie: cookie, cookieMask: cookieMask,
            newCookie: newCookie, idleTimeoutSeconds: idleTimeoutSeconds, hardTimeoutSeconds: hardTimeoutSeconds, importance: importance,
            flags: flags, outPort: outPort, outGroup: outGroup, actions: actions, modifyAddsIfNone: modifyAddsIfNone,
            modifyChangesCookie: modifyChangesCookie)
    }

    /// The same for a match that is compact already.
    public init(
        command: FlowModCommand, table: UInt8?, compactMatch: CompactMatch, priority: UInt16 = 0x8000, cookie: UInt64 = 0,
        cookieMask: UInt64 = 0, newCookie: UInt64? = nil, idleTimeoutSeconds: UInt16 = 0, hardTimeoutSeconds: UInt16 = 0,
        importance: UInt16 = 0, flags: FlowModFlags = [], outPort: OpenFlowPort? = nil, outGroup: UInt32? = nil,
        actions: [Action] = [], modifyAddsIfNone: Bool = false, modifyChangesCookie: Bool = false
    ) {
        self.command = command
        self.table = table
        _match = KeptCompact(projectedValue: compactMatch)
        self.priority = priority
        self.cookie = cookie
        self.cookieMask = cookieMask
        self.newCookie = newCookie
        self.idleTimeoutSeconds = idleTimeoutSeconds
        self.hardTimeoutSeconds = hardTimeoutSeconds
        self.importance = importance
        self.flags = flags
        self.outPort = outPort
        self.outGroup = outGroup
        self.actions = actions
        self.modifyAddsIfNone = modifyAddsIfNone
        self.modifyChangesCookie = modifyChangesCookie
    }
}

/// Which rules a statistics request is about.
public struct FlowFilter: Sendable {
    /// Nil is all tables.
    public var table: UInt8?
    /// Rules at least as specific as this.
    public var match: Match
    public var cookie: UInt64
    public var cookieMask: UInt64
    public var outPort: OpenFlowPort?
    public var outGroup: UInt32?
    public init(
        table: UInt8? = nil, match: Match = Match(), cookie: UInt64 = 0, cookieMask: UInt64 = 0, outPort: OpenFlowPort? = nil,
        outGroup: UInt32? = nil
    ) {
        self.table = table
        self.match = match
        self.cookie = cookie
        self.cookieMask = cookieMask
        self.outPort = outPort
        self.outGroup = outGroup
    }
}

/// Why a flow-mod was refused. Nothing of it was done.
public enum FlowModError: Error, Equatable, Sendable, CustomStringConvertible {
    /// `OFPFMFC_TABLE_FULL`.
    case tableFull(limit: Int)
    /// `OFPFMFC_OVERLAP`.
    case overlap
    /// `OFPFMFC_BAD_TABLE_ID`.
    case badTable(UInt8)
    /// `OFPBIC_BAD_TABLE_ID`: goto must go forward.
    case badGotoTable(UInt8, from: UInt8)
    /// `OFPBAC_BAD_OUT_PORT`.
    case badOutPort(OpenFlowPort)
    /// `OFPBAC_BAD_OUT_GROUP`: there is no such group.
    case badOutGroup(UInt32)
    /// `OFPMMFC_INVALID_METER`: there is no such meter.
    case unknownMeter(UInt32)
    /// `OFPBAC_BAD_TYPE`: an action the pipeline does not carry out.
    case unsupportedAction(String)
    /// `OFPBAC_BAD_SET_TYPE`: the field cannot be written.
    case notWritable(Field)
    /// `OFPBAC_MATCH_INCONSISTENT`: the match does not say what the action needs.
    case matchInconsistent(Field)
    /// `OFPBAC_BAD_ARGUMENT`.
    case badArgument(String)
    /// `NXBAC_BAD_CONJUNCTION`: a conjunction beside other actions, or within some.
    case badConjunction
    /// `OFPBAC_TOO_MANY`.
    case tooManyActions(limit: Int)
    /// A refusal with the standard's own code, in any version's numbering.
    case standard(ErrorCode, String)

    public var description: String {
        switch self {
        case .tableFull(let limit): "the bridge has \(limit) flows already, which is its limit: delete some first"
        case .overlap: "a flow of the same priority overlaps this one, and the request asks to check for that"
        case .badTable(let table): "table \(table) does not exist: tables are 0 to \(PipelineLimits.tableCount - 1)"
        case .badGotoTable(let table, let from): "goto_table:\(table) in table \(from) does not go forward to a table that exists"
        case .badOutPort(let port): "output port \(port.rawValue) is not a port number"
        case .badOutGroup(let group): "group \(group) does not exist"
        case .unknownMeter(let meter): "meter \(meter) does not exist"
        case .unsupportedAction(let name): "action \(name) is not supported"
        case .notWritable(let field): "field \(field.name) cannot be written by an action"
        case .matchInconsistent(let field): "the match does not contain what writing or reading \(field.name) needs first"
        case .badArgument(let text): text
        case .badConjunction: "conjunction goes with other conjunctions and notes only"
        case .tooManyActions(let limit): "the flow has more than \(limit) actions"
        case .standard(_, let text): text
        }
    }
}

/// Why a bundle was refused: which of its changes, and why. Nothing of it was done.
public struct BundleError: Error, Sendable {
    /// Place in the bundle, from 0.
    public var index: Int
    public var error: FlowModError
    public init(index: Int, error: FlowModError) {
        self.index = index
        self.error = error
    }
}
