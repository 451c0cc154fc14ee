// Controllers, protocols and TLS.

internal import OVSDB
internal import OpenFlow

extension ConfigurationReader {
    /// The `SSL` row.
    func tls(_ row: ConfigurationRow) -> TLSFiles {
        var files = TLSFiles()
        files.privateKey = row["private_key"].string ?? ""
        files.certificate = row["certificate"].string ?? ""
        files.caCertificate = row["ca_cert"].string ?? ""
        files.bootstrapsCA = row["bootstrap_ca_cert"].boolean ?? false
        return files
    }

    /// Completes a bridge with what its OpenFlow connections are to be.
    mutating func connections(
        _ bridge: WantedBridge, _ root: ConfigurationRow, _ row: ConfigurationRow?, _ controllers: [UUID: ConfigurationRow]
    ) -> WantedBridge {
        guard let row else { return bridge }
        var result = bridge
        let versions = OpenFlowVersionSet(row["protocols"].strings.compactMap { OpenFlowVersion(protocolName: $0) })
        if versions.highest != nil { result.connections.versions = versions }
        let config = row["other_config"].stringMap
        result.connections.datapathDescription = config["dp-desc"].flatMap { $0.isEmpty ? nil : $0 }
        result.connections.serialNumber = config["dp-sn"].flatMap { $0.isEmpty ? nil : $0 }
        let isOutOfBand = config["disable-in-band"] == "true"
        let global = OtherConfig(values: root["other_config"].stringMap, origin: "other_config of Open_vSwitch")
        var unused: [String] = []
        if let seconds = global.number("bundle-idle-timeout", in: 1...86_400, complaints: &unused) {
            result.connections.bundleIdleSeconds = seconds
        }
        result.connections.controllers = row["controller"].uuids.compactMap { controllers[$0] }
            .map { controller($0, isOutOfBand: isOutOfBand) }
            .sorted { ($0.target, $0.uuid) < ($1.target, $1.uuid) }
        return result
    }

    /// The shortest probe there is, in milliseconds.
    private static let minimumProbe: Int64 = 5_000
    /// The longest probe and the longest wait, in milliseconds: 24 days, so that sums and multiples of them mean something.
    private static let maximumInterval = Int64(Int32.max)

    private mutating func controller(_ row: ConfigurationRow, isOutOfBand: Bool) -> ControllerSettings {
        var result = ControllerSettings(uuid: row.uuid, target: row["target"].string ?? "")
        result.isPrimary = row["type"].string.map { $0 == "primary" }
        if let probe = row["inactivity_probe"].integer {
            // Whole seconds, as the field counts them.
            result.probeMilliseconds =
                probe < 1000
                ? 0 : UInt64(max(min(probe, ConfigurationReader.maximumInterval) / 1000 * 1000, ConfigurationReader.minimumProbe))
        }
        if let backoff = row["max_backoff"].integer {
            result.maximumBackoffMilliseconds = UInt64(max(min(backoff, ConfigurationReader.maximumInterval), 1000))
        }
        result.wantsInBand = row["connection_mode"].string == "in-band" && !isOutOfBand
        result.enablesAsynchronous = row["enable_async_messages"].boolean ?? true
        if let rate = row["controller_rate_limit"].integer, rate > 0 {
            result.packetInLimit = OpenFlowConnection.PacketInLimit(
                rate: Int(clamping: rate), burst: Int(clamping: row["controller_burst_limit"].integer ?? 0),
                queueSize: Int(clamping: row["controller_queue_size"].integer ?? 0))
        }
        complainOfConnectionKeys(row, "controller")
        for column in ["local_ip", "local_netmask", "local_gateway"] where !row[column].isEmpty {
            complain("\(column) of controller \(result.target) has no effect: it configures in-band control, which is not supported")
            refuse(row.uuid, "\(column): in-band control is not supported")
        }
        return result
    }
}
