internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow

/// Traffic and what is to be done with it.
struct Workload: Sendable {
    /// Who decides.
    enum Decision: Sendable {
        /// A fixed answer under these masks: the fast path alone.
        case fixed(BenchTranslator.Masks, [DatapathAction])
        /// The pipeline, with rules in the field's syntax.
        case rules(@Sendable () -> [String])
    }

    var name: String
    var flows: Int
    var decision: Decision
    /// Changes to the datapath's settings.
    var settings: @Sendable (inout DatapathSettings) -> Void = { _ in }

    private static let tcpFields = "udp,in_port=1"
    private static func halves(_ actions: String) -> [String] {
        [0, 1].map { "priority=10,\(tcpFields),tp_src=\($0)/1,actions=\(actions)" }
    }
    private static let pipeline: @Sendable () -> [String] = {
        ["table=0,in_port=1,actions=load:0x7->NXM_NX_REG0[],goto_table:1"]
            + [0, 1].map { "table=1,priority=10,udp,tp_src=\($0)/1,actions=load:\($0 + 1)->NXM_NX_REG1[],goto_table:2" }
            + (0..<16).map { "table=2,priority=10,ip,nw_dst=11.\($0 * 16).0.0/12,actions=dec_ttl,goto_table:3" }
            + ["table=3,reg0=0x7,actions=output:2"]
    }

    /// Five-tuple prefix rules of mixed lengths over the traffic's own addresses.
    static func accessList(_ count: Int) -> [String] {
        var random = SplitMix64(seed: 7)
        func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
        func dotted(_ value: Int) -> String { [24, 16, 8, 0].map { String(value >> $0 & 255) }.joined(separator: ".") }
        var rules = (0..<count).map { index in
            let (source, destination) = ([8, 16, 20, 24, 28, 32][below(6)], [8, 12, 16, 24][below(4)])
            var match = "priority=\(1000 + source + destination + index % 7),\(tcpFields)"
            match += ",nw_src=\(dotted(0x0a00_0000 | below(100_000)))/\(source)"
            match += ",nw_dst=\(dotted(0x0b00_0000 | below(100_000) * 7919 & 0xff_ffff))/\(destination)"
            if below(2) == 0 { match += ",tp_dst=\(2000 + below(50_000))" }
            return match + ",actions=output:2"
        }
        rules.append("priority=1,in_port=1,actions=output:2")
        return rules
    }

    /// Subtable lookups alone: no flow cache, and as many masks as are asked for.
    private static let masks = [1, 8, 64, 512].map { count in
        Workload(name: "masks-\(count)", flows: 10_000, decision: .fixed(.prefixes(count), [])) { settings in
            settings.cacheInsertionInverse = 0
            settings.ladderMaskBudget = 2048
            settings.exactMaskBudget = 2048
        }
    }

    /// One megaflow, and one action before the output. `action-output` is what all have in common.
    private static let actions = [
        ("output", []), ("ethernet", [DatapathAction.set(.ethDst, value: 5, mask: 0xffff_ffff_ffff)]),
        ("ttl", [.set(.nwTTL, value: 63, mask: 0xff)]), ("address", [.set(.nwSrc, value: 0x0102_0304, mask: 0xffff_ffff)]),
        ("port", [.set(.udpDst, value: 99, mask: 0xffff)]), ("tos", [.set(.nwTOS, value: 4, mask: 0xfc)]),
        ("push-vlan", [.pushVLAN(tpid: 0x8100, tci: 0x1005)]), ("push-mpls", [.pushMPLS(etherType: 0x8847, entry: 0x0006_4140)]),
        ("truncate", [.truncate(maxLength: 40)]), ("copy", [.output(DatapathPort(2))]),
    ].map { Workload(name: "action-\($0.0)", flows: 1000, decision: .fixed(.port, $0.1)) }

    static let all: [Workload] =
        masks + actions + [
            // The fast path alone.
            Workload(name: "flows-1k", flows: 1000, decision: .fixed(.flow, [])),
            Workload(name: "flows-10k", flows: 10_000, decision: .fixed(.flow, [])),
            Workload(name: "flows-100k", flows: 100_000, decision: .fixed(.flow, [])),
            Workload(
                name: "addresses-1k", flows: 1000,
                decision: .fixed(
                    .flow,
                    [
                        .set(.ethDst, value: 0x0a0b_0c0d_0e0f, mask: 0xffff_ffff_ffff),
                        .set(.ethSrc, value: 0x0a0b_0c0d_0e01, mask: 0xffff_ffff_ffff),
                    ])),
            Workload(name: "masks24-1k", flows: 1000, decision: .fixed(.prefixes(24), [])),
            Workload(name: "masks24-10k", flows: 10_000, decision: .fixed(.prefixes(24), [])),
            Workload(name: "masks24-100k", flows: 100_000, decision: .fixed(.prefixes(24), [])),
            // With the pipeline: those of the comparison with other switches.
            Workload(name: "forward-1", flows: 1, decision: .rules { ["in_port=1,actions=output:2"] }),
            Workload(name: "l4-1k", flows: 1000, decision: .rules { halves("output:2") }),
            Workload(name: "l4-10k", flows: 10_000, decision: .rules { halves("output:2") }),
            Workload(name: "l4-100k", flows: 100_000, decision: .rules { halves("output:2") }),
            Workload(name: "setfield-1k", flows: 1000, decision: .rules { halves("mod_dl_dst:02:00:00:00:00:99,dec_ttl,output:2") }),
            Workload(name: "pipeline-1k", flows: 1000, decision: .rules(pipeline)),
            Workload(name: "pipeline-100k", flows: 100_000, decision: .rules(pipeline)),
            Workload(name: "acl1k-1k", flows: 1000, decision: .rules { accessList(1000) }),
            Workload(name: "acl1k-10k", flows: 10_000, decision: .rules { accessList(1000) }),
            Workload(name: "acl1k-100k", flows: 100_000, decision: .rules { accessList(1000) }),
            Workload(
                name: "exact60k-100k", flows: 100_000,
                decision: .rules { (0..<60_000).map { "priority=10,\(tcpFields),tp_src=\(1024 + $0),actions=output:2" } }),
        ]
}
