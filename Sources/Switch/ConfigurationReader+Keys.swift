// Which keys of `other_config` mean something here.
//
// Nothing is silently ignored: a key that other switches obey and this one does without is named with the reason, and one that nobody
// knows (a slip of the pen, mostly) is named, too. Ports and interfaces are left out of the latter: managers keep data of their own there.

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

    /// By the beginning of a key.
    private static let familiesWithoutEffect = [
        "mcast-snooping-": "multicast snooping is not supported", "stp-": "the spanning tree protocol is not supported",
        "rstp-": "the rapid spanning tree protocol is not supported",
    ]

    /// Names keys that have no effect.
    ///
    /// - Returns: those that ask for something which is not there, for the row's status
    @discardableResult
    mutating func complainOfKeys(_ config: OtherConfig, _ known: Set<String>, without: [String: String]) -> [String] {
        var refused: [String] = []
        for (key, value) in config.values.sorted(by: { $0.key < $1.key }) where !known.contains(key) {
            let family = ConfigurationReader.familiesWithoutEffect.first { key.hasPrefix($0.key) }?.value
            if let reason = without[key] ?? family {
                if value == "false" { continue }
                complain("\(key)=\(value) in \(config.origin) has no effect: \(reason)")
                refused.append("other_config:\(key): \(reason)")
            } else {
                complain("\(key)=\(value) in \(config.origin) has no effect: there is no such key")
            }
        }
        return refused
    }
}
