// Policers: from rows to the datapath, and what they say for themselves.

internal import Datapath
internal import OVSDB

extension Switch {
    /// Gives an interface the policers it shall have, where they differ from those that it has.
    func applyPolicing(_ interface: RunningInterface, before: RunningInterface?) {
        guard let port = interface.datapathPort else { return }
        if before?.wanted.ingressPolicer != interface.wanted.ingressPolicer {
            datapath.setPolicer(interface.wanted.ingressPolicer, .ingress, of: port)
        }
        if before?.port.qos?.policer != interface.port.qos?.policer {
            datapath.setPolicer(interface.port.qos?.policer, .egress, of: port)
        }
    }

    private func running(_ interface: String) -> RunningInterface? {
        bridges.values.lazy.compactMap { $0.interfaces[interface] }.first
    }

    /// `qos/show`; nil if there is no such interface.
    public func describeQoS(_ name: String) -> String? {
        guard let interface = running(name) else { return nil }
        guard let qos = interface.port.qos, let port = interface.datapathPort else { return "QoS not configured on \(name)\n" }
        var text = "QoS: \(name) \(qos.type)\n"
        for (key, value) in qos.options.sorted(by: { $0.key < $1.key }) { text += "\(key): \(value)\n" }
        if let counters = datapath.policerCounters(.egress, of: port) {
            text +=
                "\nDefault:\n  tx_packets: \(counters.packets)\n  tx_bytes: \(counters.bytes)\n  tx_errors: \(counters.droppedPackets)\n"
        }
        return text
    }

    /// `qos/show-types`; nil if there is no such interface.
    public func describeQoSTypes(_ name: String) -> String? {
        running(name) == nil ? nil : "QoS type: egress-policer\nQoS type: trtcm-policer\n"
    }

    /// Drops of an interface's policers, by the names that the field uses.
    func policingStatistics(of interface: RunningInterface) -> [String: Int64] {
        guard let port = interface.datapathPort else { return [:] }
        var result: [String: Int64] = [:]
        for (name, direction) in [("ovs_rx_qos_drops", PolicerDirection.ingress), ("ovs_tx_qos_drops", .egress)] {
            let counters = datapath.policerCounters(direction, of: port)
            result[name] = Int64(clamping: counters?.droppedPackets ?? 0)
        }
        return result
    }
}
