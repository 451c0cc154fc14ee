// Ingress policing and QoS rows.

internal import Datapath
internal import OVSDB

extension ConfigurationReader {
    /// Kilobits and thousands of packets that may come at once where the row does not say.
    private static let defaultBurst: UInt64 = 8000
    private static let defaultPacketBurst: UInt64 = 16

    func ingressPolicer(_ row: ConfigurationRow) -> Policer? {
        func limit(_ rate: String, _ burst: String, default standard: UInt64, unit: (multiplier: UInt64, divisor: UInt64)) -> Policer.Limit?
        {
            let rate = UInt64(clamping: row[rate].integer ?? 0)
            if rate == 0 { return nil }
            let burst = UInt64(clamping: row[burst].integer ?? 0)
            func scaled(_ value: UInt64) -> UInt64 {
                min(value, UInt64(UInt32.max)) * unit.multiplier / unit.divisor
            }
            return Policer.Limit(rate: scaled(rate), burst: scaled(burst == 0 ? standard : burst))
        }
        let bytes = limit(
            "ingress_policing_rate", "ingress_policing_burst", default: ConfigurationReader.defaultBurst, unit: (1000, 8))
        let packets = limit(
            "ingress_policing_kpkts_rate", "ingress_policing_kpkts_burst", default: ConfigurationReader.defaultPacketBurst, unit: (1000, 1))
        return bytes == nil && packets == nil ? nil : .ingress(bytes: bytes, packets: packets)
    }

    /// The DSCPs that a port's queues give their packets; whatever the QoS row's type, that is the pipeline's to do.
    func queueMarks(_ port: ConfigurationRow) -> [UInt32: UInt8] {
        guard let row = port["qos"].uuids.first.flatMap({ table("QoS")[$0] }) else { return [:] }
        let queues = table("Queue")
        var marks: [UInt32: UInt8] = [:]
        for (number, uuid) in row["queues"].uuidsByInteger {
            if let mark = queues[uuid]?["dscp"].integer { marks[UInt32(clamping: number)] = UInt8(clamping: mark) & 63 }
        }
        return marks
    }

    /// What a `QoS` row asks for; nil, with a complaint, if it cannot be done.
    mutating func qos(_ row: ConfigurationRow, of port: String, port uuid: UUID) -> WantedQoS? {
        let type = row["type"].string ?? ""
        let options = row["other_config"].stringMap
        let config = OtherConfig(values: options, origin: "other_config of QoS of port \(port)")
        if type.isEmpty || type == "linux-noop" { return nil }
        guard type == "egress-policer" || type == "trtcm-policer" else {
            complaints.append(
                "QoS type \(type) of port \(port) has no effect: it is not supported; use egress-policer or trtcm-policer")
            refuse(uuid, "qos: type \(type) is not supported")
            return nil
        }
        func bytes(_ key: String) -> UInt64? {
            if config.values[key] == nil {
                complaints.append("QoS \(type) of port \(port) has no effect: \(config.origin) has no \(key)")
                refuse(uuid, "qos: \(type) needs \(key)")
                return nil
            }
            return config.number(key, in: 1...1_000_000_000_000, complaints: &complaints)
        }
        guard let cir = bytes("cir"), let cbs = bytes("cbs") else { return nil }
        let committed = Policer.Limit(rate: cir, burst: cbs)
        let known: Set<String> = type == "egress-policer" ? ["cir", "cbs"] : ["cir", "cbs", "eir", "ebs"]
        for sentence in complainOfKeys(config, known, without: [:]) { refuse(uuid, "qos: \(sentence)") }
        complainOfQueues(row, type, of: port, port: uuid)
        if type == "egress-policer" { return WantedQoS(type: type, options: options, policer: .singleRate(committed: committed)) }
        guard let eir = bytes("eir"), let ebs = bytes("ebs") else { return nil }
        return WantedQoS(
            type: type, options: options, policer: .twoRates(committed: committed, excess: Policer.Limit(rate: eir, burst: ebs)))
    }

    /// Queues that ask for rates of their own. Their `dscp` is obeyed.
    private mutating func complainOfQueues(_ row: ConfigurationRow, _ type: String, of port: String, port uuid: UUID) {
        let queues = table("Queue")
        for (number, queue) in row["queues"].uuidsByInteger.sorted(by: { $0.key < $1.key }) {
            guard let keys = queues[queue]?["other_config"].stringMap, !keys.isEmpty else { continue }
            complain("other_config of queue \(number) of port \(port) has no effect: \(type) polices all of the port's packets together")
            refuse(uuid, "qos: rates of queue \(number) are not supported")
        }
    }
}
