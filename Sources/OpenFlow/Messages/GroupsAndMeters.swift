// Groups and meters: modifications, descriptions, statistics.

public import Flow

/// One way out of a group.
public struct GroupBucket: Equatable, Sendable {
    public var weight: UInt16
    public var watchPort: OpenFlowPort
    public var watchGroup: UInt32
    /// 1.5 only.
    public var bucketID: UInt32
    public var actions: [Action]
    public init(
        weight: UInt16 = 0, watchPort: OpenFlowPort = .any, watchGroup: UInt32 = FlowMod.anyGroup, bucketID: UInt32 = 0,
        actions: [Action]
    ) {
        self.weight = weight
        self.watchPort = watchPort
        self.watchGroup = watchGroup
        self.bucketID = bucketID
        self.actions = actions
    }
}

/// `OFPGT_*`.
public enum GroupKind: UInt8, Sendable {
    case all = 0
    case select = 1
    case indirect = 2
    case fastFailover = 3
}

/// `OFPT_GROUP_MOD` (1.1 and later).
public struct GroupMod: Equatable, Sendable {
    public enum Command: UInt16, Sendable {
        case add = 0
        case modify = 1
        case delete = 2
        /// 1.5 only.
        case insertBucket = 3
        /// 1.5 only.
        case removeBucket = 5
        /// Open vSwitch's: adds the group, or modifies it if it exists.
        case addOrModify = 0x8000
    }
    public var command: Command
    public var kind: GroupKind
    public var groupID: UInt32
    /// 1.5 only: where to insert, what to remove.
    public var commandBucketID: UInt32
    public var buckets: [GroupBucket]
    /// 1.5 only.
    public var selection: GroupSelection?
    public static let allGroups: UInt32 = 0xffff_fffc
    /// Highest group number (`OFPG_MAX`).
    public static let maximumGroup: UInt32 = 0xffff_ff00
    /// Highest bucket number (`OFPG_BUCKET_MAX`).
    public static let maximumBucket: UInt32 = 0xffff_ff00
    public static let firstBucket: UInt32 = 0xffff_fffd
    public static let lastBucket: UInt32 = 0xffff_fffe
    public static let allBuckets: UInt32 = 0xffff_ffff
    public init(
        command: Command, kind: GroupKind, groupID: UInt32, commandBucketID: UInt32 = GroupMod.allBuckets, buckets: [GroupBucket] = [],
        selection: GroupSelection? = nil
    ) {
        self.command = command
        self.kind = kind
        self.groupID = groupID
        self.commandBucketID = commandBucketID
        self.buckets = buckets
        self.selection = selection
    }
}

/// How a select group chooses (Netronome's extension, `NTRT_SELECTION_METHOD`).
public struct GroupSelection: Equatable, Sendable {
    /// A field that goes into the hash, under a mask.
    public struct HashedField: Equatable, Sendable {
        public var field: Field
        public var mask: UInt128
        public init(_ field: Field, mask: UInt128) {
            self.field = field
            self.mask = mask
        }
    }
    /// `hash` or `dp_hash`.
    public var method: String
    /// For `hash`: where the hash starts. For `dp_hash`: the algorithm in the high 32 bits, the basis in the low ones.
    public var parameter: UInt64
    /// For `hash`; none means a symmetric hash of the headers to L4.
    public var fields: [HashedField]
    public init(method: String, parameter: UInt64 = 0, fields: [HashedField] = []) {
        self.method = method
        self.parameter = parameter
        self.fields = fields
    }
}

public struct GroupDescription: Equatable, Sendable {
    public var kind: GroupKind
    public var groupID: UInt32
    public var buckets: [GroupBucket]
    /// 1.5 only.
    public var selection: GroupSelection?
    public init(kind: GroupKind, groupID: UInt32, buckets: [GroupBucket], selection: GroupSelection? = nil) {
        self.kind = kind
        self.groupID = groupID
        self.buckets = buckets
        self.selection = selection
    }
}

public struct GroupStats: Equatable, Sendable {
    public struct Bucket: Equatable, Sendable {
        public var packetCount: UInt64
        public var byteCount: UInt64
        public init(packetCount: UInt64, byteCount: UInt64) {
            self.packetCount = packetCount
            self.byteCount = byteCount
        }
    }
    public var groupID: UInt32
    public var referenceCount: UInt32
    public var packetCount: UInt64
    public var byteCount: UInt64
    public var durationSeconds: UInt32
    public var durationNanoseconds: UInt32
    public var buckets: [Bucket]
    public init(
        groupID: UInt32, referenceCount: UInt32, packetCount: UInt64, byteCount: UInt64, durationSeconds: UInt32,
        durationNanoseconds: UInt32, buckets: [Bucket]
    ) {
        self.groupID = groupID
        self.referenceCount = referenceCount
        self.packetCount = packetCount
        self.byteCount = byteCount
        self.durationSeconds = durationSeconds
        self.durationNanoseconds = durationNanoseconds
        self.buckets = buckets
    }
}

public struct GroupFeatures: Equatable, Sendable {
    /// Bit n: group kind n.
    public var kinds: UInt32
    public var capabilities: UInt32
    /// Four each, by kind.
    public var maximumGroups: [UInt32]
    public var actions: [UInt32]
    public init(kinds: UInt32, capabilities: UInt32, maximumGroups: [UInt32], actions: [UInt32]) {
        self.kinds = kinds
        self.capabilities = capabilities
        self.maximumGroups = maximumGroups
        self.actions = actions
    }
}

/// A meter's band.
public struct MeterBand: Equatable, Sendable {
    public enum Kind: UInt16, Sendable {
        case drop = 1
        case dscpRemark = 2
    }
    public var kind: Kind
    /// Kilobits or packets a second.
    public var rate: UInt32
    /// Kilobits or packets.
    public var burst: UInt32
    /// DSCP remark only.
    public var precedenceLevel: UInt8
    public init(kind: Kind, rate: UInt32, burst: UInt32, precedenceLevel: UInt8 = 0) {
        self.kind = kind
        self.rate = rate
        self.burst = burst
        self.precedenceLevel = precedenceLevel
    }
}

public struct MeterFlags: OptionSet, Hashable, Sendable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let kilobits = MeterFlags(rawValue: 1 << 0)
    public static let packets = MeterFlags(rawValue: 1 << 1)
    public static let burst = MeterFlags(rawValue: 1 << 2)
    public static let statistics = MeterFlags(rawValue: 1 << 3)
}

public struct MeterConfig: Equatable, Sendable {
    public var meterID: UInt32
    public var flags: MeterFlags
    public var bands: [MeterBand]
    public init(meterID: UInt32, flags: MeterFlags, bands: [MeterBand]) {
        self.meterID = meterID
        self.flags = flags
        self.bands = bands
    }
}

/// `OFPT_METER_MOD` (1.3 and later).
public struct MeterMod: Equatable, Sendable {
    public enum Command: UInt16, Sendable {
        case add = 0
        case modify = 1
        case delete = 2
    }
    public var command: Command
    public var meter: MeterConfig
    /// Highest number of a meter that flows can name (`OFPM_MAX`).
    public static let maximumMeter: UInt32 = 0xffff_0000
    /// `OFPM_SLOWPATH`: what goes to the control plane for reasons of the switch's own.
    public static let slowPath: UInt32 = 0xffff_fffd
    /// `OFPM_CONTROLLER`: what goes to controllers.
    public static let controller: UInt32 = 0xffff_fffe
    public static let allMeters: UInt32 = 0xffff_ffff
    public init(command: Command, meter: MeterConfig) {
        self.command = command
        self.meter = meter
    }
}

public struct MeterStats: Equatable, Sendable {
    public var meterID: UInt32
    public var flowCount: UInt32
    public var packetCount: UInt64
    public var byteCount: UInt64
    public var durationSeconds: UInt32
    public var durationNanoseconds: UInt32
    public var bands: [GroupStats.Bucket]
    public init(
        meterID: UInt32, flowCount: UInt32, packetCount: UInt64, byteCount: UInt64, durationSeconds: UInt32,
        durationNanoseconds: UInt32, bands: [GroupStats.Bucket]
    ) {
        self.meterID = meterID
        self.flowCount = flowCount
        self.packetCount = packetCount
        self.byteCount = byteCount
        self.durationSeconds = durationSeconds
        self.durationNanoseconds = durationNanoseconds
        self.bands = bands
    }
}

public struct MeterFeatures: Equatable, Sendable {
    public var maximumMeters: UInt32
    /// Bit n: band kind n.
    public var bandKinds: UInt32
    public var capabilities: UInt32
    public var maximumBands: UInt8
    public var maximumColors: UInt8
    public init(maximumMeters: UInt32, bandKinds: UInt32, capabilities: UInt32, maximumBands: UInt8, maximumColors: UInt8) {
        self.maximumMeters = maximumMeters
        self.bandKinds = bandKinds
        self.capabilities = capabilities
        self.maximumBands = maximumBands
        self.maximumColors = maximumColors
    }
}
