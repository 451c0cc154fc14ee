// What the larger actions carry.

/// A packet type (OpenFlow 1.5 section 7.2.3.11): a name space and a type in it.
public struct PacketType: RawRepresentable, Hashable, Sendable {
    /// Name space in the high 16 bits.
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ nameSpace: UInt16, _ type: UInt16) { rawValue = UInt32(nameSpace) << 16 | UInt32(type) }
    public var nameSpace: UInt16 { UInt16(rawValue >> 16) }
    public var type: UInt16 { UInt16(truncatingIfNeeded: rawValue) }

    public static let ethernet = PacketType(0, 0)
    public static let nsh = PacketType(1, 0x894f)
    public static let mpls = PacketType(1, 0x8847)
    public static let mplsMulticast = PacketType(1, 0x8848)
    /// In `decap`: what the removed header says of its payload.
    public static let useNextProtocol = PacketType(0, 0xfffe)
}

/// What `multipath` and `bundle` hash (`NX_HASH_FIELDS_*`).
public enum HashFields: UInt16, CaseIterable, Sendable {
    case ethSrc = 0
    case symmetricL4, symmetricL3L4, symmetricL3L4UDP, nwSrc, nwDst, symmetricL3

    /// The name in text.
    public var text: String {
        switch self {
        case .ethSrc: "eth_src"
        case .symmetricL4: "symmetric_l4"
        case .symmetricL3L4: "symmetric_l3l4"
        case .symmetricL3L4UDP: "symmetric_l3l4+udp"
        case .nwSrc: "nw_src"
        case .nwDst: "nw_dst"
        case .symmetricL3: "symmetric_l3"
        }
    }
}

/// The `multipath(...)` action: chooses one of a number of links by a hash of the packet, and writes its number to a field.
public struct MultipathAction: Hashable, Sendable {
    public enum Algorithm: UInt16, CaseIterable, Sendable {
        case moduloN = 0
        case hashThreshold, highestRandomWeight, iterativeHash
        public var text: String {
            switch self {
            case .moduloN: "modulo_n"
            case .hashThreshold: "hash_threshold"
            case .highestRandomWeight: "hrw"
            case .iterativeHash: "iter_hash"
            }
        }
    }
    public var fields: HashFields
    public var basis: UInt16
    public var algorithm: Algorithm
    /// Number of the last link, counted from 0.
    public var lastLink: UInt16
    public var argument: UInt32
    public var destination: SubField
    public init(
        fields: HashFields, basis: UInt16, algorithm: Algorithm, lastLink: UInt16, argument: UInt32, destination: SubField
    ) {
        self.fields = fields
        self.basis = basis
        self.algorithm = algorithm
        self.lastLink = lastLink
        self.argument = argument
        self.destination = destination
    }
}

/// The `bundle(...)` and `bundle_load(...)` actions: choose a port among those that are up.
public struct BundleAction: Hashable, Sendable {
    public enum Algorithm: UInt16, CaseIterable, Sendable {
        case activeBackup = 0
        case highestRandomWeight = 1
        public var text: String { self == .activeBackup ? "active_backup" : "hrw" }
    }
    /// Ports of one bundle.
    public static let memberLimit = 2048

    public var fields: HashFields
    public var basis: UInt16
    public var algorithm: Algorithm
    public var members: [OpenFlowPort]
    /// Where `bundle_load` writes the port's number (at least 16 bits); nil for `bundle`, which outputs to it.
    public var destination: SubField?
    public init(fields: HashFields, basis: UInt16, algorithm: Algorithm, members: [OpenFlowPort], destination: SubField? = nil) {
        self.fields = fields
        self.basis = basis
        self.algorithm = algorithm
        self.members = members
        self.destination = destination
    }
}

/// One piece of a learned flow.
public struct LearnSpec: Hashable, Sendable {
    public enum Source: Hashable, Sendable {
        case field(SubField)
        case immediate(UInt128)
    }
    public enum Target: Hashable, Sendable {
        /// The learned flow matches the value there.
        case match(SubField)
        /// The learned flow loads the value there.
        case load(SubField)
        /// The learned flow outputs to the port whose number the value is.
        case output
    }
    public var bits: Int
    public var source: Source
    public var target: Target
    public init(bits: Int, source: Source, target: Target) {
        self.bits = bits
        self.source = source
        self.target = target
    }
}

/// The `learn(...)` action: adds a flow made from the packet.
public struct LearnAction: Hashable, Sendable {
    public var table: UInt8 = 1
    public var idleTimeout: UInt16 = 0
    public var hardTimeout: UInt16 = 0
    public var finIdleTimeout: UInt16 = 0
    public var finHardTimeout: UInt16 = 0
    public var priority: UInt16 = 32768
    public var cookie: UInt64 = 0
    public var sendsFlowRemoved = false
    /// Whether learned flows go with the last flow that learns them.
    public var deletesLearned = false
    /// Most flows with this table and cookie; 0 is any number.
    public var limit: UInt32 = 0
    /// One bit that says whether a flow was learned, or could not be because of `limit`.
    public var resultDestination: SubField?
    public var specs: [LearnSpec] = []
    public init() {}
}

/// A number that an action says or reads from a field.
public enum ActionNumber: Hashable, Sendable {
    case value(UInt32)
    case field(SubField)
}

/// The `sample(...)` action.
public struct SampleAction: Hashable, Sendable {
    public enum Direction: UInt8, Sendable {
        case unspecified = 0
        case ingress, egress
    }
    /// Of 65,535.
    public var probability: UInt16
    public var collectorSetID: UInt32
    public var observationDomain: ActionNumber
    public var observationPoint: ActionNumber
    public var samplingPort: OpenFlowPort?
    public var direction: Direction
    public init(
        probability: UInt16, collectorSetID: UInt32 = 0, observationDomain: ActionNumber = .value(0),
        observationPoint: ActionNumber = .value(0), samplingPort: OpenFlowPort? = nil, direction: Direction = .unspecified
    ) {
        self.probability = probability
        self.collectorSetID = collectorSetID
        self.observationDomain = observationDomain
        self.observationPoint = observationPoint
        self.samplingPort = samplingPort
        self.direction = direction
    }
}

/// The `encap(...)` action.
public struct EncapsulateAction: Hashable, Sendable {
    public enum Property: Hashable, Sendable {
        case mdType(UInt8)
        /// A type-length-value of NSH's MD type 2.
        case tlv(class: UInt16, type: UInt8, data: [UInt8])
    }
    /// Header to add: Ethernet, NSH, MPLS.
    public var packetType: PacketType
    public var headerSize: UInt16
    public var properties: [Property]
    public init(packetType: PacketType, headerSize: UInt16 = 0, properties: [Property] = []) {
        self.packetType = packetType
        self.headerSize = headerSize
        self.properties = properties
    }
}

/// The `ct(...)` action.
public struct ConnectionTrackAction: Hashable, Sendable {
    public enum Zone: Hashable, Sendable {
        case value(UInt16)
        case field(SubField)
    }
    public var commits = false
    public var forces = false
    public var zone = Zone.value(0)
    /// Where the tracked packet goes on; nil for nowhere.
    public var table: UInt8?
    /// Well-known port of the protocol whose helper looks at the connection (21 FTP, 69 TFTP); 0 for none.
    public var helper: UInt16 = 0
    /// `nat` and what `exec` does.
    public var actions: [Action] = []
    public init() {}
}

/// The `nat(...)` within a `ct`.
public struct NATAction: Hashable, Sendable {
    public struct Flags: OptionSet, Hashable, Sendable {
        public var rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        public static let source = Flags(rawValue: 1 << 0)
        public static let destination = Flags(rawValue: 1 << 1)
        public static let persistent = Flags(rawValue: 1 << 2)
        public static let hash = Flags(rawValue: 1 << 3)
        public static let random = Flags(rawValue: 1 << 4)
        public static let all = Flags(rawValue: 0x1f)
    }
    public enum Addresses: Hashable, Sendable {
        case none
        /// The last address is 0 if only one is given.
        case ipv4(first: UInt32, last: UInt32)
        case ipv6(first: UInt128, last: UInt128)
    }
    public var flags: Flags
    public var addresses: Addresses
    /// 0 if none is given.
    public var firstPort: UInt16
    public var lastPort: UInt16
    public init(flags: Flags = [], addresses: Addresses = .none, firstPort: UInt16 = 0, lastPort: UInt16 = 0) {
        self.flags = flags
        self.addresses = addresses
        self.firstPort = firstPort
        self.lastPort = lastPort
    }
}
