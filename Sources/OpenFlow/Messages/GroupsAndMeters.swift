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
        case insertBucket = 3
        case removeBucket = 5
    }
    public var command: Command
    public var kind: GroupKind
    public var groupID: UInt32
    /// 1.5 only.
    public var commandBucketID: UInt32
    public var buckets: [GroupBucket]
    public static let allGroups: UInt32 = 0xffff_fffc
    public init(
        command: Command, kind: GroupKind, groupID: UInt32, commandBucketID: UInt32 = 0xffff_ffff, buckets: [GroupBucket] = []
    ) {
        self.command = command
        self.kind = kind
        self.groupID = groupID
        self.commandBucketID = commandBucketID
        self.buckets = buckets
    }
}

public struct GroupDescription: Equatable, Sendable {
    public var kind: GroupKind
    public var groupID: UInt32
    public var buckets: [GroupBucket]
    public init(kind: GroupKind, groupID: UInt32, buckets: [GroupBucket]) {
        self.kind = kind
        self.groupID = groupID
        self.buckets = buckets
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
