// Ports: descriptions, changes, and the request to change one.

public import Flow

/// A port as controllers see it.
public struct PortDescription: Equatable, Sendable {
    /// `OFPPC_*`; the numbers are the same in all versions, 1.1 and later know fewer.
    public struct Config: OptionSet, Hashable, Sendable {
        public var rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let portDown = Config(rawValue: 1 << 0)
        public static let noSTP = Config(rawValue: 1 << 1)
        public static let noReceive = Config(rawValue: 1 << 2)
        public static let noReceiveSTP = Config(rawValue: 1 << 3)
        public static let noFlood = Config(rawValue: 1 << 4)
        public static let noForward = Config(rawValue: 1 << 5)
        public static let noPacketIn = Config(rawValue: 1 << 6)
        /// What a port-mod may change in `version`.
        public static func known(in version: OpenFlowVersion) -> Config {
            version == .v1_0 ? Config(rawValue: 0x7f) : [.portDown, .noReceive, .noForward, .noPacketIn]
        }
    }
    /// `OFPPS_*` of 1.1 and later; 1.0 knows the first only.
    public struct State: OptionSet, Hashable, Sendable {
        public var rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let linkDown = State(rawValue: 1 << 0)
        public static let blocked = State(rawValue: 1 << 1)
        public static let live = State(rawValue: 1 << 2)
    }
    /// `OFPPF_*` in the numbering of 1.1 and later.
    public struct Features: OptionSet, Hashable, Sendable {
        public var rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let tenGigabitFull = Features(rawValue: 1 << 6)
        public static let copper = Features(rawValue: 1 << 11)
        public static let fiber = Features(rawValue: 1 << 12)
        /// 1.0's numbering, which lacks 40G, 100G, 1T and "other".
        public var rawValue10: UInt32 { rawValue & 0x7f | (rawValue >> 11 & 0x1f) << 7 }
        public init(rawValue10 value: UInt32) { rawValue = value & 0x7f | (value >> 7 & 0x1f) << 11 }
    }

    public var number: OpenFlowPort
    /// 48 bits.
    public var hardwareAddress: UInt64
    /// At most 15 bytes reach the wire.
    public var name: String
    public var config: Config
    public var state: State
    public var current: Features
    public var advertised: Features
    public var supported: Features
    public var peer: Features
    /// Kilobits a second; 1.0 does not carry them.
    public var currentSpeed: UInt32
    public var maximumSpeed: UInt32
    public init(
        number: OpenFlowPort, hardwareAddress: UInt64, name: String, config: Config = [], state: State = [], current: Features = [],
        advertised: Features = [], supported: Features = [], peer: Features = [], currentSpeed: UInt32 = 0, maximumSpeed: UInt32 = 0
    ) {
        self.number = number
        self.hardwareAddress = hardwareAddress
        self.name = name
        self.config = config
        self.state = state
        self.current = current
        self.advertised = advertised
        self.supported = supported
        self.peer = peer
        self.currentSpeed = currentSpeed
        self.maximumSpeed = maximumSpeed
    }
}

/// `OFPT_PORT_STATUS`.
public struct PortStatus: Equatable, Sendable {
    public enum Reason: UInt8, Sendable {
        case add = 0
        case delete = 1
        case modify = 2
    }
    public var reason: Reason
    public var port: PortDescription
    public init(reason: Reason, port: PortDescription) {
        self.reason = reason
        self.port = port
    }
}

/// `OFPT_PORT_MOD`.
public struct PortMod: Equatable, Sendable {
    public var port: OpenFlowPort
    /// 48 bits; must be the port's.
    public var hardwareAddress: UInt64
    public var config: PortDescription.Config
    /// The bits of `config` to change.
    public var mask: PortDescription.Config
    /// Empty leaves it alone.
    public var advertise: PortDescription.Features
    public init(
        port: OpenFlowPort, hardwareAddress: UInt64, config: PortDescription.Config, mask: PortDescription.Config,
        advertise: PortDescription.Features = []
    ) {
        self.port = port
        self.hardwareAddress = hardwareAddress
        self.config = config
        self.mask = mask
        self.advertise = advertise
    }
}

/// A port's counters. All ones means that the switch does not count it.
public struct PortStats: Equatable, Sendable {
    public var port: OpenFlowPort
    public var receivedPackets: UInt64 = 0
    public var sentPackets: UInt64 = 0
    public var receivedBytes: UInt64 = 0
    public var sentBytes: UInt64 = 0
    public var receivedDropped: UInt64 = 0
    public var sentDropped: UInt64 = 0
    public var receivedErrors: UInt64 = 0
    public var sentErrors: UInt64 = 0
    public var frameErrors: UInt64 = 0
    public var overrunErrors: UInt64 = 0
    public var crcErrors: UInt64 = 0
    public var collisions: UInt64 = 0
    /// Since the port was added (1.3 and later).
    public var durationSeconds: UInt32 = 0
    public var durationNanoseconds: UInt32 = 0
    public init(port: OpenFlowPort) { self.port = port }
}
