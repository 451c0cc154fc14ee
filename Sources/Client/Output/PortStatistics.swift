// Port statistics: one sample, and the difference of two.

internal import Flow
internal import OVSDB
internal import OpenFlow

/// Counters of a port since it was added.
public struct PortSample: Equatable, Sendable {
    public var bridge: String
    public var name: String
    public var receivedPackets: Int64
    public var receivedBytes: Int64
    public var receivedDropped: Int64
    public var sentPackets: Int64
    public var sentBytes: Int64
    public var sentDropped: Int64
    /// Everything else the switch counts, by its name.
    public var others: [String: Int64]

    init(bridge: String, name: String, statistics: [String: Int64]) {
        self.bridge = bridge
        self.name = name
        receivedPackets = statistics["rx_packets"] ?? 0
        receivedBytes = statistics["rx_bytes"] ?? 0
        receivedDropped = statistics["rx_dropped"] ?? 0
        sentPackets = statistics["tx_packets"] ?? 0
        sentBytes = statistics["tx_bytes"] ?? 0
        sentDropped = statistics["tx_dropped"] ?? 0
        let shown: Set = ["rx_packets", "rx_bytes", "rx_dropped", "tx_packets", "tx_bytes", "tx_dropped"]
        others = statistics.filter { !shown.contains($0.key) && $0.value != 0 }
    }
}

/// Samples of several ports, taken at one time.
public struct PortStatistics: Sendable {
    public var samples: [PortSample]
    private static let numeric: Set = [
        "RX PACKETS", "RX BYTES", "RX DROPPED", "TX PACKETS", "TX BYTES", "TX DROPPED", "RX", "RX RATE", "TX", "TX RATE",
    ]

    /// No port at all.
    static let none = PortStatistics(samples: [])
    private init(samples: [PortSample]) { self.samples = samples }

    /// Counters of the chosen ports from the database, which the switch refreshes every `stats-update-interval`.
    ///
    /// - Parameters:
    ///   - bridge: nil is all bridges.
    ///   - port: nil is all ports.
    public init(_ view: SwitchView, bridge: String?, port: String?) throws(ClientError) {
        var bridges = view.bridges
        if let bridge { bridges = [try view.bridge(bridge)] }
        if let port, !bridges.contains(where: { $0.ports.contains { $0.name == port } }) {
            throw .unknown(kind: "port", name: port, known: bridges.flatMap { $0.ports.map(\.name) })
        }
        samples = bridges.flatMap { bridge in
            bridge.ports.filter { port == nil || $0.name == port }.flatMap { port in
                port.interfaces.map { PortSample(bridge: bridge.name, name: $0.name, statistics: $0.statistics) }
            }
        }
    }

    /// Replaces the database's counters by what the switch counts now, where it answers.
    public mutating func refresh(_ view: SwitchView, _ directory: SwitchDirectory) {
        for bridge in Set(samples.map(\.bridge)) {
            // A bridge that is not up has no newer counters: the database's stay.
            guard let row = view.bridges.first(where: { $0.name == bridge }),
                let counters = try? OpenFlowClient(directory, bridge: bridge).portCounters()
            else { continue }
            for interface in row.ports.flatMap(\.interfaces) {
                guard let number = interface.ofport,
                    let index = samples.firstIndex(where: { $0.bridge == bridge && $0.name == interface.name }),
                    let live = counters[OpenFlowPort(number == 65534 ? OpenFlowPort.local.rawValue : UInt32(clamping: number))]
                else { continue }
                samples[index].take(live)
            }
        }
    }

    /// Totals.
    public var report: Report {
        var table = TextTable(
            ["BRIDGE", "PORT", "RX PACKETS", "RX BYTES", "RX DROPPED", "TX PACKETS", "TX BYTES", "TX DROPPED"],
            right: PortStatistics.numeric)
        var others = ""
        for sample in samples {
            table.add([
                sample.bridge, sample.name, String(sample.receivedPackets), String(sample.receivedBytes), String(sample.receivedDropped),
                String(sample.sentPackets), String(sample.sentBytes), String(sample.sentDropped),
            ])
            for (name, value) in sample.others.sorted(by: { $0.key < $1.key }) { others += "  \(sample.name): \(name) \(value)\n" }
        }
        return Report(text: table.text + (others.isEmpty ? "" : "also counted:\n" + others), json: .array(samples.map(\.json)))
    }

    /// Rates since `earlier`, `seconds` ago. Ports that were not there then are left out.
    public func rates(since earlier: PortStatistics, seconds: Double) -> Report {
        var table = TextTable(
            ["BRIDGE", "PORT", "RX", "RX RATE", "RX DROPPED", "TX", "TX RATE", "TX DROPPED"], right: PortStatistics.numeric)
        var objects: [JSON] = []
        for sample in samples {
            guard let before = earlier.samples.first(where: { $0.bridge == sample.bridge && $0.name == sample.name }) else { continue }
            func rate(_ path: KeyPath<PortSample, Int64>) -> Double {
                Double(max(0, sample[keyPath: path] - before[keyPath: path])) / seconds
            }
            table.add([
                sample.bridge, sample.name, Quantity.packetsPerSecond(rate(\.receivedPackets)),
                Quantity.bitsPerSecond(rate(\.receivedBytes) * 8),
                Quantity.packetsPerSecond(rate(\.receivedDropped)), Quantity.packetsPerSecond(rate(\.sentPackets)),
                Quantity.bitsPerSecond(rate(\.sentBytes) * 8), Quantity.packetsPerSecond(rate(\.sentDropped)),
            ])
            objects.append([
                "bridge": .string(sample.bridge), "port": .string(sample.name), "rx_packets_per_second": .real(rate(\.receivedPackets)),
                "rx_bits_per_second": .real(rate(\.receivedBytes) * 8), "rx_dropped_per_second": .real(rate(\.receivedDropped)),
                "tx_packets_per_second": .real(rate(\.sentPackets)), "tx_bits_per_second": .real(rate(\.sentBytes) * 8),
                "tx_dropped_per_second": .real(rate(\.sentDropped)),
            ])
        }
        return Report(text: table.text, json: .array(objects))
    }
}

extension PortSample {
    /// All ones means that the switch does not count it.
    fileprivate mutating func take(_ live: PortStats) {
        func counted(_ value: UInt64, _ old: Int64) -> Int64 { value == .max ? old : Int64(clamping: value) }
        receivedPackets = counted(live.receivedPackets, receivedPackets)
        receivedBytes = counted(live.receivedBytes, receivedBytes)
        receivedDropped = counted(live.receivedDropped, receivedDropped)
        sentPackets = counted(live.sentPackets, sentPackets)
        sentBytes = counted(live.sentBytes, sentBytes)
        sentDropped = counted(live.sentDropped, sentDropped)
    }

    var json: JSON {
        var members: [(String, JSON)] = [
            ("bridge", .string(bridge)), ("port", .string(name)), ("rx_packets", .integer(receivedPackets)),
            ("rx_bytes", .integer(receivedBytes)),
            ("rx_dropped", .integer(receivedDropped)), ("tx_packets", .integer(sentPackets)), ("tx_bytes", .integer(sentBytes)),
            ("tx_dropped", .integer(sentDropped)),
        ]
        members += others.map { ($0.key, .integer($0.value)) }
        return .object(JSONObject(members))
    }
}
