// Every bound of the pipeline, in one place.

/// What the pipeline refuses to go beyond.
public enum PipelineLimits {
    /// OpenFlow tables 0 to 253; 254 is reserved, 255 means all.
    public static let tableCount = 254
    /// Rules of one bridge, all tables together: about 1 GiB at 512 bytes a rule.
    public static let rulesPerBridge = 2_000_000
    /// Changed rules of one commit that megaflows are compared with; more make everything stale that looked in their tables.
    public static let comparedChanges = 32
    /// How deep resubmits that do not go forward, patch ports and clones may nest within one translation.
    public static let translationDepth = 64
    /// Tables that one translation is to come back to: each takes a thread's stack.
    public static let translationNesting = 512
    /// Table lookups, groups and questions for the packet's length within one translation: 64 levels of 64.
    public static let resubmits = 4096
    /// Values on the `push`/`pop` stack: 64 KiB at 16 bytes each.
    public static let stackDepth = 4096
    /// Datapath actions of one translation; beyond it the translation fails.
    public static let datapathActions = 8192
    /// Actions of one rule, nested ones included.
    public static let actionsPerRule = 4096
    /// Nesting of `clone` within a rule.
    public static let actionNesting = 16
    /// MAC-learning entries of a bridge: smallest, default and largest.
    public static let macTableMinimum = 10
    public static let macTableDefault = 8192
    public static let macTableMaximum = 1_000_000
    /// Ageing of MAC-learning entries, in seconds.
    public static let macAgeingMinimumSeconds = 15
    public static let macAgeingDefaultSeconds = 300
    public static let macAgeingMaximumSeconds = 3600
    /// Highest OpenFlow number a port may get.
    public static let highestPortNumber: UInt32 = 0xfeff
    /// Ports of one bridge.
    public static let portsPerBridge = 4096
    /// Punt tokens that stay known after the last megaflow that used them is gone, so that packets under way are delivered.
    public static let lingeringPuntTokens = 4096
    /// Groups of a bridge, and buckets of a group.
    public static let groupsPerBridge = 1_000_000
    public static let bucketsPerGroup = 65_535
    /// How deep groups may watch groups.
    public static let livenessDepth = 128
    /// Groups that one translation asks whether they are alive; what is watched beyond that counts as dead.
    public static let livenessChecks = 65_536
    /// Slots of the table by which the datapath chooses a bucket.
    public static let selectSlotsMinimum = 16
    public static let selectSlotsMaximum = 256
    /// Mirrors of a bridge: a bit each in a word.
    public static let mirrorsPerBridge = 32
    /// Meters of all bridges together, and bands of a meter.
    public static let meters = 262_144
    public static let bandsPerMeter = 8
    /// Recirculation ids that stay known after the last megaflow that used them is gone, for packets under way.
    public static let lingeringRecirculations = 4096
}
