// Messages to controllers about each other and about tables; options of tunnels.

/// `OFPT_TABLE_STATUS` (1.4 and later).
public struct TableStatus: Equatable, Sendable {
    public enum Reason: UInt8, Sendable {
        case vacancyDown = 3
        case vacancyUp = 4
    }
    public var reason: Reason
    public var table: TableDescription
    public init(reason: Reason, table: TableDescription) {
        self.reason = reason
        self.table = table
    }
}

/// `OFPT_REQUESTFORWARD` (1.4 and later; experimenters' before): a request that another controller made.
public indirect enum ForwardedRequest: Equatable, Sendable {
    case group(GroupMod, xid: UInt32)
    case meter(MeterMod, xid: UInt32)
}

/// An entry of `OFPMP_CONTROLLER_STATUS` and `OFPT_CONTROLLER_STATUS` (1.5).
public struct ControllerStatusEntry: Equatable, Sendable {
    /// `OFPCSR_*`.
    public enum Reason: UInt8, Sendable {
        case request = 0
        case channelStatus = 1
        case role = 2
        case controllerAdded = 3
        case controllerRemoved = 4
        case shortID = 5
        case experimenter = 6
    }
    /// 0 is not set.
    public var shortID: UInt16
    public var role: ControllerRole
    public var reason: Reason
    public var isUp: Bool
    /// `PROTOCOL:ADDRESS:PORT`.
    public var uri: String
    public init(shortID: UInt16, role: ControllerRole, reason: Reason, isUp: Bool, uri: String) {
        self.shortID = shortID
        self.role = role
        self.reason = reason
        self.isUp = isUp
        self.uri = uri
    }
}

/// `OFPMP_BUNDLE_FEATURES` (1.5).
public struct BundleFeatures: Equatable, Sendable {
    /// Bit 0 atomic, bit 1 ordered, bit 2 scheduled.
    public var capabilities: UInt16
    public init(capabilities: UInt16) { self.capabilities = capabilities }
}

/// One mapping of a Geneve option to a field `tun_metadata<index>`.
public struct TLVMap: Hashable, Sendable {
    public var optionClass: UInt16
    public var optionType: UInt8
    /// Bytes, a multiple of 4, at most 124.
    public var optionLength: UInt8
    public var index: UInt16
    public init(optionClass: UInt16, optionType: UInt8, optionLength: UInt8, index: UInt16) {
        self.optionClass = optionClass
        self.optionType = optionType
        self.optionLength = optionLength
        self.index = index
    }
}

/// `NXT_TLV_TABLE_MOD`.
public struct TLVTableMod: Equatable, Sendable {
    public enum Command: UInt16, Sendable {
        case add = 0
        case delete = 1
        case clear = 2
    }
    public var command: Command
    public var maps: [TLVMap]
    public init(command: Command, maps: [TLVMap]) {
        self.command = command
        self.maps = maps
    }
}

/// `NXT_TLV_TABLE_REPLY`.
public struct TLVTable: Equatable, Sendable {
    /// Bytes of all options together.
    public static let optionSpace = 256
    /// Fields that options can be mapped to.
    public static let fieldCount = 64
    public var maximumSpace: UInt32
    public var maximumFields: UInt16
    public var maps: [TLVMap]
    public init(maximumSpace: UInt32 = UInt32(optionSpace), maximumFields: UInt16 = UInt16(fieldCount), maps: [TLVMap]) {
        self.maximumSpace = maximumSpace
        self.maximumFields = maximumFields
        self.maps = maps
    }
}
