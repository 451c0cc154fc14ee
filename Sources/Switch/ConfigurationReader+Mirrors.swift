// Mirrors, and what ports do with VLANs beside carrying them.

internal import OVSDB
internal import Pipeline

extension ConfigurationReader {
    mutating func mirror(_ row: ConfigurationRow, of bridge: String) -> WantedMirror {
        var result = WantedMirror(uuid: row.uuid, name: row["name"].string ?? "")
        result.selectsAll = row["select_all"].boolean ?? false
        result.sources = Set(row["select_src_port"].uuids)
        result.destinations = Set(row["select_dst_port"].uuids)
        result.vlans = Set(row["select_vlan"].integers.map { UInt16(truncatingIfNeeded: $0) })
        result.outputPort = row["output_port"].uuids.first
        result.outputVLAN = row["output_vlan"].integer.map { UInt16(truncatingIfNeeded: $0) }
        // The longest there is cuts nothing.
        result.snapLength = row["snaplen"].integer.map { $0 == 65535 ? 0 : UInt16(truncatingIfNeeded: $0) } ?? 0
        result.filter = row["filter"].string ?? ""
        if result.outputPort != nil, result.outputVLAN != nil {
            complaints.append(
                "bridge \(bridge): mirror \(result.name) specifies both output port and output vlan; ignoring output vlan")
            result.outputVLAN = nil
        } else if result.outputPort == nil, result.outputVLAN == nil {
            complaints.append("bridge \(bridge): mirror \(result.name) does not specify output; ignoring")
        }
        return result
    }

    mutating func readVLANOptions(_ row: ConfigurationRow, _ port: inout WantedPort) {
        port.customerVLANs = Set(row["cvlans"].integers.map { UInt16(truncatingIfNeeded: $0) })
        port.isProtected = row["protected"].boolean ?? false
        let config = OtherConfig(values: row["other_config"].stringMap, origin: "other_config of port \(port.name)")
        switch config.values["qinq-ethtype"] {
        case nil, "802.1ad": port.tunnelEtherType = 0x88a8
        case "802.1q": port.tunnelEtherType = 0x8100
        case .some(let text):
            complaints.append("qinq-ethtype=\(text) in \(config.origin) is ignored: it must be 802.1ad or 802.1q")
        }
        switch config.values["priority-tags"] {
        case nil, "false", "never": port.priorityTags = .never
        // What there was before there were three ways.
        case "true", "if-nonzero": port.priorityTags = .ifNonzero
        case "always": port.priorityTags = .always
        case .some(let text):
            complaints.append("priority-tags=\(text) in \(config.origin) is ignored: it must be never, if-nonzero or always")
        }
    }
}
