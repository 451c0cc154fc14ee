// Which keys of `other_config` mean something here.
//
// Nothing is silently ignored: a key that other switches obey and this one does without is named with the reason, and one that nobody
// knows (a slip of the pen, mostly) is named, too: once in the log, and in the row's status where it has one.

internal import Netdev
internal import OVSDB

extension ConfigurationReader {
    static let globalKeys: Set<String> = [
        "dpdk-init", "dpdk-lcore-mask", "dpdk-socket-mem", "dpdk-socket-limit", "dpdk-alloc-mem", "dpdk-extra",
        "pmd-cpu-mask", "pmd-rxq-assign", "pmd-rxq-isolate", "pmd-sleep-max", "pmd-maxsleep", "pmd-auto-lb", "pmd-auto-lb-rebal-interval",
        "pmd-auto-lb-load-threshold", "pmd-auto-lb-improvement-threshold",
        "vhost-sock-dir", "emc-insert-inv-prob", "n-handler-threads", "n-revalidator-threads", "tx-flush-interval", "max-idle",
        "flow-limit", "hw-offload",
        "stats-update-interval",
        "enable-statistics", "bundle-idle-timeout", "userspace-tso-enable", "vhost-iommu-support", "vhost-postcopy-support", "vlan-limit",
    ]

    /// With the reason.
    static let globalKeysWithoutEffect: [String: String] = [
        "dpdk-hugepage-dir": "memory is not kept in files unless --huge-dir in dpdk-extra says so",
        "smc-enable": "the flow cache adapts by itself",
        "max-revalidator": "what changed is stamped, not looked for", "min-revalidate-pps": "what changed is stamped, not looked for",
        "tc-policy": "flows go to hardware by rte_flow, never by the kernel's tc",
        "n-offload-threads": "one thread gives flows to hardware",
        "offload-rebalance": "flows that are in use go to hardware, as long as it has room",
        "flow-restore-wait": "it is not supported; flows are in force as soon as they are there",
        "per-port-memory": "memory pools are shared by ports of one MTU",
        "shared-mempool-config": "memory pools are shared by ports of one MTU",
        "pmd-perf-metrics": "they are always measured", "lb-output-action": "bonds are not supported",
        "ct-clear-default": "connection tracking is not supported", "explicit-sampled-drops": "sampling is not supported",
    ]

    static let bridgeKeys: Set<String> = [
        "datapath-id", "dp-desc", "dp-sn", "disable-in-band", "hwaddr", "forward-bpdu", "mac-aging-time", "mac-table-size",
    ]

    static let bridgeKeysWithoutEffect: [String: String] = [
        "in-band-queue": "in-band control is not supported", "controller-queue-size": "it is a column of the Controller row",
        "flow-eviction-threshold": "it is flow-limit of Open_vSwitch",
    ]

    private static let portKeys: Set<String> = [
        "priority-tags", "qinq-ethtype",
        // What managers remember here for themselves.
        "net_uuid", "network_type", "physical_network", "segmentation_id", "tag", "transient",
    ]

    private static let interfaceKeys: Set<String> = ["pmd-rxq-affinity"]

    private static let interfaceKeysWithoutEffect: [String: String] = [
        "emc-enable": "the flow cache adapts by itself", "tx-steering": "a thread sends by a queue of its own",
        "hw-offload-priority": "hardware offload is not supported",
    ]

    /// Values that ask for what is done anyway.
    private static let defaults: Set<String> = ["tx-steering=thread", "emc-enable=true"]

    /// `Interface.options` by type.
    private static func optionKeys(_ kind: PortKind) -> Set<String>? {
        switch kind {
        case .dpdk:
            [
                "dpdk-devargs", "n_rxq", "n_rxq_desc", "n_txq_desc", "rx-flow-ctrl", "tx-flow-ctrl", "flow-ctrl-autoneg",
                "dpdk-lsc-interrupt", "dpdk-vf-mac", "rx-steering",
            ]
        case .dpdkvhostuser: ["tx-retries-max", "vhost-sock-owner", "vhost-sock-group", "vhost-sock-mode"]
        case .dpdkvhostuserclient: ["vhost-server-path", "tx-retries-max"]
        case .tap, .internal: []
        case .system: ["tx-xdp"]
        case .afxdp: ["n_rxq"]
        case .dummy, .dummyPMD, .dummyInternal: nil
        }
    }

    private static let optionsWithoutEffect: [String: String] = [
        "n_txq": "each thread that sends has a queue", "vhost-max-queue-pairs": "a guest may have up to 128",
        "xdp-mode": "the driver chooses", "use-need-wakeup": "the driver chooses", "xdp-obj": "the driver has its own program",
    ]

    /// By the beginning of a key.
    private static let familiesWithoutEffect = [
        "bond-": "bonds are not supported", "lacp-": "LACP is not supported", "cfm_": "CFM is not supported",
        "mcast-snooping-": "multicast snooping is not supported", "stp-": "the spanning tree protocol is not supported",
        "rstp-": "the rapid spanning tree protocol is not supported",
    ]

    /// Names keys that have no effect.
    ///
    /// - Parameter column: where the keys stand
    /// - Returns: sentences for the row's status
    @discardableResult
    mutating func complainOfKeys(
        _ config: OtherConfig, _ known: Set<String>, without: [String: String], column: String = "other_config"
    ) -> [String] {
        var refused: [String] = []
        for (key, value) in config.values.sorted(by: { $0.key < $1.key }) where !known.contains(key) {
            let family = ConfigurationReader.familiesWithoutEffect.first { key.hasPrefix($0.key) }?.value
            if let reason = without[key] ?? family {
                if value == "false", key != "emc-enable" { continue }
                if ConfigurationReader.defaults.contains("\(key)=\(value)") { continue }
                complain("\(key)=\(value) in \(config.origin) has no effect: \(reason)")
                refused.append("\(column):\(key): \(reason)")
            } else {
                complain("\(key)=\(value) in \(config.origin) has no effect: there is no such key")
                refused.append("\(column):\(key): there is no such key")
            }
        }
        return refused
    }

    mutating func complainOfPortKeys(_ row: ConfigurationRow, _ name: String) {
        let config = OtherConfig(values: row["other_config"].stringMap, origin: "other_config of port \(name)")
        for sentence in complainOfKeys(config, ConfigurationReader.portKeys, without: [:]) { refuse(row.uuid, sentence) }
    }

    mutating func complainOfInterfaceKeys(_ row: ConfigurationRow, _ interface: WantedInterface, isLocal: Bool) {
        let config = OtherConfig(values: row["other_config"].stringMap, origin: "other_config of interface \(interface.name)")
        let keys = ConfigurationReader.interfaceKeys
        for sentence in complainOfKeys(config, keys, without: ConfigurationReader.interfaceKeysWithoutEffect) { refuse(row.uuid, sentence) }
        let known: Set<String>?
        if interface.type == "patch" {
            known = ["peer"]
        } else {
            known = (isLocal ? .internal : PortKind(interfaceType: interface.type)).flatMap(ConfigurationReader.optionKeys)
        }
        // Of a type that there is not, the row's error tells.
        guard let known else { return }
        let options = OtherConfig(values: interface.options, origin: "options of interface \(interface.name)")
        for sentence in complainOfKeys(options, known, without: ConfigurationReader.optionsWithoutEffect, column: "options") {
            refuse(row.uuid, sentence)
        }
    }

    /// `Controller` and `Manager` rows.
    mutating func complainOfConnectionKeys(_ row: ConfigurationRow, _ what: String) {
        let config = OtherConfig(values: row["other_config"].stringMap, origin: "other_config of \(what) \(row["target"].string ?? "")")
        for sentence in complainOfKeys(config, [], without: ["dscp": "packets leave with the host's default"]) {
            refuse(row.uuid, sentence)
        }
    }
}
