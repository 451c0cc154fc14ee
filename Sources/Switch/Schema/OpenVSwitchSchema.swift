// The `Open_vSwitch` schema, version 8.8.0: the contract with everything that manages an Open vSwitch host.
//
// Names, types and constraints are the field's; a client that knows any version up to 8.8 finds all of its columns. What each
// column does here, and which are refused, is documented in `docs/features.md`.

public import OVSDB

/// Values of 32 bits.
private let word: ClosedRange<Int64> = 0...0xffff_ffff
/// VLAN ids as they appear in sets of VLANs.
private let vlan: ClosedRange<Int64> = 0...4095
/// An integer with a lower bound only.
private func atLeast(_ minimum: Int64) -> ClosedRange<Int64> { minimum...Int64.max }

private let upOrDown = Column.oneOf(["up", "down"])
private let otherConfig = Column.map("other_config")
private let externalIDs = Column.map("external_ids")
private let status = Column.map("status").ephemeral
private let statistics = Column.map("statistics", to: Column.integer()).ephemeral

/// What Controller and Manager rows have in common.
private let connection: [Column] = [
    .one("target", Column.string),
    .maybe("max_backoff", Column.integer(atLeast(1000))),
    .maybe("inactivity_probe", Column.integer()),
    .maybe("connection_mode", Column.oneOf(["in-band", "out-of-band"])),
    .one("is_connected", Column.boolean).ephemeral,
    status, otherConfig, externalIDs,
]

private func openVSwitchTables() throws(OVSDBError) -> [TableSchema] {
    [
        try table(
            "Open_vSwitch", isRoot: true, maxRows: 1,
            [
                .map("datapaths", to: Column.reference("Datapath")),
                .many("bridges", Column.reference("Bridge")),
                .many("manager_options", Column.reference("Manager")),
                .maybe("ssl", Column.reference("SSL")),
                otherConfig, externalIDs,
                .one("next_cfg", Column.integer()),
                .one("cur_cfg", Column.integer()),
                .map("statistics").ephemeral,
                .maybe("ovs_version", Column.string),
                .maybe("db_version", Column.string),
                .maybe("system_type", Column.string),
                .maybe("system_version", Column.string),
                .many("datapath_types", Column.string),
                .many("iface_types", Column.string),
                .one("dpdk_initialized", Column.boolean),
                .maybe("dpdk_version", Column.string),
            ]),
        try table(
            "Bridge", index: ["name"],
            [
                .one("name", Column.string).immutable,
                .one("datapath_type", Column.string),
                .one("datapath_version", Column.string),
                .maybe("datapath_id", Column.string).ephemeral,
                .one("stp_enable", Column.boolean),
                .one("rstp_enable", Column.boolean),
                .one("mcast_snooping_enable", Column.boolean),
                .many("ports", Column.reference("Port")),
                .many("mirrors", Column.reference("Mirror")),
                .maybe("netflow", Column.reference("NetFlow")),
                .maybe("sflow", Column.reference("sFlow")),
                .maybe("ipfix", Column.reference("IPFIX")),
                .many("controller", Column.reference("Controller")),
                .many("protocols", Column.oneOf((10...15).map { "OpenFlow\($0)" })),
                .maybe("fail_mode", Column.oneOf(["standalone", "secure"])),
                status,
                .map("rstp_status").ephemeral,
                otherConfig, externalIDs,
                .many("flood_vlans", Column.integer(vlan), max: 4096),
                .map("flow_tables", Column.integer(0...254), to: Column.reference("Flow_Table")),
                .maybe("auto_attach", Column.reference("AutoAttach")),
            ]),
        try table(
            "Port", index: ["name"],
            [
                .one("name", Column.string).immutable,
                .some("interfaces", Column.reference("Interface")),
                .many("trunks", Column.integer(vlan), max: 4096),
                .many("cvlans", Column.integer(vlan), max: 4096),
                .maybe("tag", Column.integer(vlan)),
                .maybe("vlan_mode", Column.oneOf(["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel"])),
                .maybe("qos", Column.reference("QoS")),
                .maybe("mac", Column.string),
                .maybe("bond_mode", Column.oneOf(["active-backup", "balance-slb", "balance-tcp"])),
                .maybe("lacp", Column.oneOf(["active", "passive", "off"])),
                .one("bond_updelay", Column.integer()),
                .one("bond_downdelay", Column.integer()),
                .maybe("bond_active_slave", Column.string),
                .one("bond_fake_iface", Column.boolean),
                .one("fake_bridge", Column.boolean),
                status,
                .map("rstp_status").ephemeral,
                .map("rstp_statistics", to: Column.integer()).ephemeral,
                statistics,
                .one("protected", Column.boolean),
                otherConfig, externalIDs,
            ]),
        try interfaceTable(),
        try table(
            "Flow_Table",
            [
                .maybe("name", Column.string),
                .maybe("flow_limit", Column.integer(atLeast(0))),
                .maybe("overflow_policy", Column.oneOf(["refuse", "evict"])),
                .many("groups", Column.string),
                .many("prefixes", Column.string, max: 4),
                externalIDs,
            ]),
        try table(
            "QoS", isRoot: true,
            [.one("type", Column.string), .map("queues", Column.integer(word), to: Column.reference("Queue")), otherConfig, externalIDs]),
        try table("Queue", isRoot: true, [.maybe("dscp", Column.integer(0...63)), otherConfig, externalIDs]),
        try table(
            "Mirror",
            [
                .one("name", Column.string),
                .one("select_all", Column.boolean),
                .many("select_src_port", Column.reference("Port", weak: true)),
                .many("select_dst_port", Column.reference("Port", weak: true)),
                .many("select_vlan", Column.integer(vlan), max: 4096),
                .maybe("output_port", Column.reference("Port", weak: true)),
                .maybe("output_vlan", Column.integer(1...4095)),
                .maybe("snaplen", Column.integer(14...65535)),
                .maybe("filter", Column.string),
                statistics, externalIDs,
            ]),
        try table("Controller", controllerColumns),
        try table("Manager", index: ["target"], connection),
        try table(
            "SSL", maxRows: 1,
            [
                .one("private_key", Column.string), .one("certificate", Column.string), .one("ca_cert", Column.string),
                .one("bootstrap_ca_cert", Column.boolean), externalIDs,
            ]),
        try table(
            "AutoAttach",
            [
                .one("system_name", Column.string), .one("system_description", Column.string),
                .map("mappings", Column.integer(0...0xff_ffff), to: Column.integer(vlan)),
            ]),
    ] + (try samplingTables()) + (try datapathTables())
}

private func interfaceTable() throws(OVSDBError) -> TableSchema {
    try table(
        "Interface", index: ["name"],
        [
            .one("name", Column.string).immutable,
            .one("type", Column.string),
            .map("options"),
            .one("ingress_policing_rate", Column.integer(atLeast(0))),
            .one("ingress_policing_burst", Column.integer(atLeast(0))),
            .one("ingress_policing_kpkts_rate", Column.integer(atLeast(0))),
            .one("ingress_policing_kpkts_burst", Column.integer(atLeast(0))),
            .maybe("mac_in_use", Column.string).ephemeral,
            .maybe("mac", Column.string),
            .maybe("ifindex", Column.integer(word)).ephemeral,
            externalIDs,
            .maybe("ofport", Column.integer()),
            .maybe("ofport_request", Column.integer(1...65279)),
            .map("bfd"),
            .map("bfd_status").ephemeral,
            .maybe("cfm_mpid", Column.integer()),
            .many("cfm_remote_mpids", Column.integer()).ephemeral,
            .maybe("cfm_flap_count", Column.integer()),
            .maybe("cfm_fault", Column.boolean).ephemeral,
            .many("cfm_fault_status", Column.string).ephemeral,
            .maybe("cfm_remote_opstate", upOrDown).ephemeral,
            .maybe("cfm_health", Column.integer(0...100)).ephemeral,
            .maybe("lacp_current", Column.boolean).ephemeral,
            .map("lldp"),
            otherConfig, statistics, status,
            .maybe("admin_state", upOrDown).ephemeral,
            .maybe("link_state", upOrDown).ephemeral,
            .maybe("link_resets", Column.integer()).ephemeral,
            .maybe("link_speed", Column.integer()).ephemeral,
            .maybe("duplex", Column.oneOf(["half", "full"])).ephemeral,
            .maybe("mtu", Column.integer()).ephemeral,
            .maybe("mtu_request", Column.integer(atLeast(1))),
            .maybe("error", Column.string),
        ])
}

private let controllerColumns: [Column] =
    connection + [
        .maybe("type", Column.oneOf(["primary", "service"])),
        .maybe("local_ip", Column.string),
        .maybe("local_netmask", Column.string),
        .maybe("local_gateway", Column.string),
        .maybe("enable_async_messages", Column.boolean),
        .maybe("controller_queue_size", Column.integer(1...512)),
        .maybe("controller_rate_limit", Column.integer(atLeast(100))),
        .maybe("controller_burst_limit", Column.integer(atLeast(25))),
        .maybe("role", Column.oneOf(["other", "master", "slave"])).ephemeral,
    ]

/// NetFlow, sFlow, IPFIX and the collector sets.
private func samplingTables() throws(OVSDBError) -> [TableSchema] {
    [
        try table(
            "NetFlow",
            [
                .some("targets", Column.string),
                .maybe("engine_type", Column.integer(0...255)),
                .maybe("engine_id", Column.integer(0...255)),
                .one("add_id_to_interface", Column.boolean),
                .one("active_timeout", Column.integer(atLeast(-1))),
                externalIDs,
            ]),
        try table(
            "sFlow",
            [
                .some("targets", Column.string), .maybe("sampling", Column.integer()), .maybe("polling", Column.integer()),
                .maybe("header", Column.integer()), .maybe("agent", Column.string), externalIDs,
            ]),
        try table(
            "IPFIX",
            [
                .many("targets", Column.string),
                .maybe("sampling", Column.integer(1...word.upperBound)),
                .maybe("obs_domain_id", Column.integer(word)),
                .maybe("obs_point_id", Column.integer(word)),
                .maybe("cache_active_timeout", Column.integer(0...4200)),
                .maybe("cache_max_flows", Column.integer(word)),
                .maybe("stats_interval", Column.integer(1...3600)),
                .maybe("template_interval", Column.integer(1...3600)),
                otherConfig, externalIDs,
            ]),
        try table(
            "Flow_Sample_Collector_Set", isRoot: true, index: ["id", "bridge"],
            [
                .one("id", Column.integer(word)), .one("bridge", Column.reference("Bridge")), .maybe("ipfix", Column.reference("IPFIX")),
                .maybe("local_group_id", Column.integer(word)), externalIDs,
            ]),
    ]
}

/// Datapaths and their connection tracking zones.
private func datapathTables() throws(OVSDBError) -> [TableSchema] {
    let timeouts =
        [
            "syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close", "syn_sent2", "retransmit",
            "unack",
        ].map { "tcp_" + $0 } + ["udp_first", "udp_single", "udp_multiple", "icmp_first", "icmp_reply"]
    return [
        try table(
            "Datapath",
            [
                .one("datapath_version", Column.string),
                .map("ct_zones", Column.integer(0...65535), to: Column.reference("CT_Zone")),
                .maybe("ct_zone_default_limit", Column.integer(word)),
                .map("capabilities"), externalIDs,
            ]),
        try table(
            "CT_Zone",
            [.maybe("timeout_policy", Column.reference("CT_Timeout_Policy")), .maybe("limit", Column.integer(word)), externalIDs]),
        try table("CT_Timeout_Policy", [.map("timeouts", Column.oneOf(timeouts), to: Column.integer(word)), externalIDs]),
    ]
}

/// The schema of the switch's configuration database, with its checksum.
public func makeOpenVSwitchSchema() -> DatabaseSchema {
    do throws(OVSDBError) {
        var schema = try DatabaseSchema(name: "Open_vSwitch", version: "8.8.0", tables: try openVSwitchTables())
        schema.checksum = schema.computedChecksum
        return schema
    } catch {
        // A constant table: wrong on every machine or on none.
        fatalError("the built-in Open_vSwitch schema is invalid: \(error)")
    }
}
