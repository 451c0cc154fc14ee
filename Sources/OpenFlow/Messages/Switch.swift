// The switch as a whole: hello, features, configuration, roles, asynchronous messages.

/// `OFPT_HELLO`.
public struct Hello: Equatable, Sendable {
    /// The header's version byte: the highest the sender speaks.
    public var version: UInt8
    /// From the version-bitmap element; nil if there is none.
    public var bitmap: OpenFlowVersionSet?
    public init(version: UInt8, bitmap: OpenFlowVersionSet?) {
        self.version = version
        self.bitmap = bitmap
    }
    /// The versions the sender speaks.
    public var versions: OpenFlowVersionSet { bitmap ?? .upTo(version) }
}

/// `OFPT_FEATURES_REPLY`.
public struct SwitchFeatures: Equatable, Sendable {
    /// `OFPC_*`. Bit 3 is STP in 1.0, group statistics later; bit 7 (ARP_MATCH_IP) is 1.0's, bit 8 (PORT_BLOCKED) 1.1's and later.
    public struct Capabilities: OptionSet, Hashable, Sendable {
        public var rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let flowStatistics = Capabilities(rawValue: 1 << 0)
        public static let tableStatistics = Capabilities(rawValue: 1 << 1)
        public static let portStatistics = Capabilities(rawValue: 1 << 2)
        public static let groupStatistics = Capabilities(rawValue: 1 << 3)
        public static let ipReassembly = Capabilities(rawValue: 1 << 5)
        public static let queueStatistics = Capabilities(rawValue: 1 << 6)
        public static let arpMatchIP = Capabilities(rawValue: 1 << 7)
        public static let portBlocked = Capabilities(rawValue: 1 << 8)
        public static let bundles = Capabilities(rawValue: 1 << 9)
        public static let flowMonitoring = Capabilities(rawValue: 1 << 10)
    }
    public var datapathID: UInt64
    public var bufferCount: UInt32
    public var tableCount: UInt8
    /// 1.3 and later.
    public var auxiliaryID: UInt8
    public var capabilities: Capabilities
    /// Bit n: action n of 1.0. 1.0 only.
    public var actions: UInt32
    /// 1.0 to 1.2; later ones ask for port descriptions.
    public var ports: [PortDescription]
    public init(
        datapathID: UInt64, bufferCount: UInt32 = 0, tableCount: UInt8, auxiliaryID: UInt8 = 0, capabilities: Capabilities,
        actions: UInt32 = 0, ports: [PortDescription] = []
    ) {
        self.datapathID = datapathID
        self.bufferCount = bufferCount
        self.tableCount = tableCount
        self.auxiliaryID = auxiliaryID
        self.capabilities = capabilities
        self.actions = actions
        self.ports = ports
    }
}

/// `OFPT_GET_CONFIG_REPLY` and `OFPT_SET_CONFIG`.
public struct SwitchConfig: Equatable, Sendable {
    public enum Fragments: UInt16, Sendable {
        case normal = 0
        case drop = 1
        case reassemble = 2
        case nxMatch = 3
    }
    public var fragments: Fragments
    /// OFPC_INVALID_TTL_TO_CONTROLLER; up to 1.2.
    public var invalidTTLToController: Bool
    /// Bytes of a missed packet that a controller gets.
    public var missSendLength: UInt16
    public init(fragments: Fragments = .normal, invalidTTLToController: Bool = false, missSendLength: UInt16) {
        self.fragments = fragments
        self.invalidTTLToController = invalidTTLToController
        self.missSendLength = missSendLength
    }
}

/// A controller's role.
public enum ControllerRole: UInt32, Sendable {
    case noChange = 0
    case equal = 1
    case primary = 2
    case secondary = 3
}

/// `OFPT_ROLE_REQUEST`, `OFPT_ROLE_REPLY`, `NXT_ROLE_REQUEST`, `NXT_ROLE_REPLY`.
public struct RoleMessage: Equatable, Sendable {
    public var role: ControllerRole
    /// Nil in Nicira's form, which has none. All ones in a reply: none seen yet.
    public var generationID: UInt64?
    /// 1.5: what the controller wants to be known by; 0 is not set.
    public var shortID: UInt16
    public init(role: ControllerRole, generationID: UInt64?, shortID: UInt16 = 0) {
        self.role = role
        self.generationID = generationID
        self.shortID = shortID
    }
    public var isNicira: Bool { generationID == nil }
}

/// `OFPT_ROLE_STATUS` (1.4 and, as ONF's extension, 1.3).
public struct RoleStatus: Equatable, Sendable {
    public enum Reason: UInt8, Sendable {
        case primaryRequest = 0
        case configuration = 1
        case experimenter = 2
    }
    public var role: ControllerRole
    public var reason: Reason
    public var generationID: UInt64
    public init(role: ControllerRole, reason: Reason, generationID: UInt64) {
        self.role = role
        self.reason = reason
        self.generationID = generationID
    }
}

/// Which asynchronous messages a controller gets: bit n of a mask is reason n. One set for primary and equal, one for secondary.
public struct AsyncConfig: Equatable, Sendable {
    public struct Masks: Equatable, Sendable {
        public var packetIn: UInt32
        public var portStatus: UInt32
        public var flowRemoved: UInt32
        public var roleStatus: UInt32 = 0
        public var tableStatus: UInt32 = 0
        public var requestForward: UInt32 = 0
        public init(packetIn: UInt32, portStatus: UInt32, flowRemoved: UInt32) {
            self.packetIn = packetIn
            self.portStatus = portStatus
            self.flowRemoved = flowRemoved
        }
    }
    public var primary: Masks
    public var secondary: Masks
    public init(primary: Masks, secondary: Masks) {
        self.primary = primary
        self.secondary = secondary
    }
    /// What a connection starts with in `version`: everything to a primary or equal controller (except, before 1.4, what the
    /// action's own reason covers), port changes only to a secondary one.
    public static func initial(for version: OpenFlowVersion) -> AsyncConfig {
        // Each version knows some more reasons for which flows go.
        let flowRemoved: UInt32 = version >= .v1_4 ? 0x3f : version == .v1_3 ? 0x0f : 0x07
        var primary = Masks(packetIn: 0x3f, portStatus: 0x7, flowRemoved: flowRemoved)
        primary.packetIn &= ~(1 << 2)  // an invalid TTL goes up only if asked for
        primary.roleStatus = 0x7
        primary.tableStatus = 0x18
        var secondary = Masks(packetIn: 0, portStatus: 0x7, flowRemoved: 0)
        secondary.roleStatus = 0x7
        return AsyncConfig(primary: primary, secondary: secondary)
    }
}

/// How flows are to be written in replies to a 1.0 connection (`NXT_SET_FLOW_FORMAT`).
public enum FlowFormat: UInt32, Sendable {
    case openFlow10 = 0
    case nxm = 2
}

/// `OFPT_TABLE_MOD`.
public struct TableMod: Equatable, Sendable {
    /// 0xff is all.
    public var tableID: UInt8
    public var config: UInt32
    /// From 1.4 on.
    public var evictionFlags: UInt32?
    public var vacancy: TableDescription.Vacancy?
    public init(tableID: UInt8, config: UInt32) {
        self.tableID = tableID
        self.config = config
    }
}

/// `OFPT_BUNDLE_CONTROL` (1.4 and, as ONF's extension, 1.3).
public struct BundleControl: Equatable, Sendable {
    public enum Kind: UInt16, Sendable {
        case openRequest = 0
        case openReply = 1
        case closeRequest = 2
        case closeReply = 3
        case commitRequest = 4
        case commitReply = 5
        case discardRequest = 6
        case discardReply = 7
    }
    public struct Flags: OptionSet, Hashable, Sendable {
        public var rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        public static let atomic = Flags(rawValue: 1 << 0)
        public static let ordered = Flags(rawValue: 1 << 1)
    }
    public var bundleID: UInt32
    public var kind: Kind
    public var flags: Flags
    public init(bundleID: UInt32, kind: Kind, flags: Flags) {
        self.bundleID = bundleID
        self.kind = kind
        self.flags = flags
    }
}

/// `OFPT_BUNDLE_ADD_MESSAGE`.
public struct BundleAdd: Equatable, Sendable {
    public var bundleID: UInt32
    public var flags: BundleControl.Flags
    /// The message, header included, not decoded.
    public var message: [UInt8]
    public init(bundleID: UInt32, flags: BundleControl.Flags, message: [UInt8]) {
        self.bundleID = bundleID
        self.flags = flags
        self.message = message
    }
}

/// A message of an experimenter that this code does not know.
public struct ExperimenterMessage: Equatable, Sendable {
    public var experimenter: UInt32
    public var type: UInt32
    public var body: [UInt8]
    public init(experimenter: UInt32, type: UInt32, body: [UInt8]) {
        self.experimenter = experimenter
        self.type = type
        self.body = body
    }
}
