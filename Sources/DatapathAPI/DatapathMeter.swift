// What the datapath is to do for a meter, and what it counted.

/// A meter's bands. A packet meets all of them; of those whose rate it exceeds, the one with the highest rate decides what
/// becomes of it.
public struct DatapathMeter: Sendable, Equatable {
    public struct Band: Sendable, Equatable {
        /// Kilobits (1,000 bits) or packets a second; at 0 every packet exceeds it.
        public var rate: UInt32
        /// Kilobits or packets that may come at once; 0 is what comes in a hundredth of a second, and never less than a packet.
        public var burst: UInt32
        /// Nil: drop. Else by how much the drop precedence of the DSCP field goes up.
        public var remark: UInt8?
        public init(rate: UInt32, burst: UInt32, remark: UInt8? = nil) {
            self.rate = rate
            self.burst = burst
            self.remark = remark
        }
    }
    /// Rates are in packets; else in kilobits.
    public var isPacketRate: Bool
    /// At most eight.
    public var bands: [Band]
    public init(isPacketRate: Bool, bands: [Band]) {
        self.isPacketRate = isPacketRate
        self.bands = bands
    }
}

/// What a meter counted.
public struct DatapathMeterCounters: Sendable {
    /// All that met the meter.
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    /// What each band decided on.
    public var bands: [(packets: UInt64, bytes: UInt64)] = []
    public init() {}
}
