internal import CDPDK

/// A port's counters since it was opened. Nil where the device does not count such a thing.
public struct PortStatistics: Sendable, Equatable {
    public var rxPackets: UInt64 = 0
    public var rxBytes: UInt64 = 0
    public var txPackets: UInt64 = 0
    public var txBytes: UInt64 = 0
    /// Received, but there was no buffer for it.
    public var rxDropped: UInt64 = 0
    /// Not taken by the device.
    public var txDropped: UInt64 = 0
    public var rxErrors: UInt64 = 0
    public var txErrors: UInt64 = 0
    public var rxMissedErrors: UInt64?
    public var multicast: UInt64?
    public var collisions: UInt64?
    /// Whether drops and errors are counted at all.
    public var countsErrors = true
    /// Further counters by name, in the device's order.
    public var extended: [Named] = []

    public struct Named: Sendable, Equatable {
        public var name: String
        public var value: UInt64
        public init(_ name: String, _ value: UInt64) {
            self.name = name
            self.value = value
        }
    }

    public init() {}

    /// All of them, as `Interface.statistics` names them.
    public var named: [Named] {
        var all = [
            Named("rx_packets", rxPackets), Named("rx_bytes", rxBytes), Named("tx_packets", txPackets), Named("tx_bytes", txBytes),
        ]
        if countsErrors {
            all += [
                Named("rx_dropped", rxDropped), Named("rx_errors", rxErrors), Named("tx_dropped", txDropped), Named("tx_errors", txErrors),
            ]
        }
        if let rxMissedErrors { all.append(Named("rx_missed_errors", rxMissedErrors)) }
        if let multicast { all.append(Named("rx_multicast_packets", multicast)) }
        if let collisions { all.append(Named("collisions", collisions)) }
        return all + extended
    }

    static let sizeNames = ["1_to_64", "65_to_127", "128_to_255", "256_to_511", "512_to_1023", "1024_to_1522", "1523_to_max"]

    /// Adds a receive queue's counters.
    mutating func addReceive(_ queue: QueueCountersSnapshot) {
        rxPackets &+= queue.packets
        rxBytes &+= queue.bytes
        rxDropped &+= queue.dropped
        rxErrors &+= queue.errors
    }
    /// Adds a transmit queue's counters.
    mutating func addTransmit(_ queue: QueueCountersSnapshot) {
        txPackets &+= queue.packets
        txBytes &+= queue.bytes
        txDropped &+= queue.dropped
        txErrors &+= queue.errors
    }
}

/// A queue's counters at one moment, each read atomically.
struct QueueCountersSnapshot {
    var packets: UInt64 = 0
    var bytes: UInt64 = 0
    var dropped: UInt64 = 0
    var errors: UInt64 = 0
    var retries: UInt64 = 0
    var kicks: UInt64 = 0
    var sizes: [UInt64] = []

    init(_ queue: UnsafeMutablePointer<cdpdk_queue_counters>) {
        packets = cdpdk_counter_load(&queue.pointee.packets)
        bytes = cdpdk_counter_load(&queue.pointee.bytes)
        dropped = cdpdk_counter_load(&queue.pointee.dropped)
        errors = cdpdk_counter_load(&queue.pointee.errors)
        retries = cdpdk_counter_load(&queue.pointee.retries)
        kicks = cdpdk_counter_load(&queue.pointee.kicks)
        withUnsafeMutablePointer(to: &queue.pointee.size_buckets) { tuple in
            tuple.withMemoryRebound(to: UInt64.self, capacity: 7) { buckets in
                sizes = (0..<7).map { cdpdk_counter_load(buckets + $0) }
            }
        }
    }
}
