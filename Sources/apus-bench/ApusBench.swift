// Micro-benchmarks: the whole data path from `net_pcap` to `net_null` on one PMD thread, in cycles a packet; and stages alone.
//
//     apus-bench                     all workloads
//     apus-bench NAME ...            those whose name begins so
//     --seconds S (default 2)  --cpu N (default: the last usable)  --json
//     apus-bench latency [--rate PPS] SOCKET SOCKET    from guest to guest, through another process's switch

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Glibc
internal import Netdev
internal import Pipeline

struct Measurement {
    var name: String
    var packetsPerSecond: Double
    var cyclesPerPacket: Double
    var cacheHitShare: Double
    var upcalls: UInt64
    /// Packets dropped while it was measured.
    var drops: UInt64
    var megaflows: Int
    var masks: Int
    var isLossless: Bool { drops == 0 }
}

@main
struct ApusBench {
    static func main() {
        var names: [String] = []
        var seconds = 2.0
        var cpu: Int?
        var wantsJSON = false
        var rate = 0.0
        var sockets: [String]?
        var arguments = CommandLine.arguments.dropFirst()[...]
        func fail(_ message: String) -> Never {
            let text = Array("apus-bench: \(message)\n".utf8)
            _ = write(2, text, text.count)
            exit(2)
        }
        while let argument = arguments.popFirst() {
            switch argument {
            case "--seconds":
                guard let value = arguments.popFirst().flatMap(Double.init), value > 0, value <= 3600 else {
                    fail("--seconds needs a number from above 0 to 3600")
                }
                seconds = value
            case "--cpu":
                guard let value = arguments.popFirst().flatMap(Int.init), value >= 0 else { fail("--cpu needs the number of a CPU") }
                cpu = value
            case "--json": wantsJSON = true
            case "--rate":
                guard let value = arguments.popFirst().flatMap(Double.init), value >= 0, value <= 1e9 else {
                    fail("--rate needs packets a second, 0 (as many as are taken) to 1000000000")
                }
                rate = value
            case LatencyBench.name where names.isEmpty && sockets == nil: sockets = []
            case _ where sockets != nil && !argument.hasPrefix("-"): sockets?.append(argument)
            case "--help", "-h":
                print("usage: apus-bench [--seconds S] [--cpu N] [--json] [NAME ...]")
                print("       apus-bench latency [--rate PPS] [--seconds S] [--cpu N] [--json] SENDER-SOCKET RECEIVER-SOCKET")
                print("workloads: stages classifier \(Workload.all.map(\.name).joined(separator: " "))")
                return
            default:
                if argument.hasPrefix("-") { fail("there is no option \(argument): see --help") }
                guard
                    ["stages", ClassifierBench.name].contains(where: { $0.hasPrefix(argument) })
                        || Workload.all.contains(where: { $0.name.hasPrefix(argument) })
                else {
                    fail("no workload's name begins with \(argument): see --help")
                }
                names.append(argument)
            }
        }
        DPDKRuntime.setLogLevel(3)
        if let sockets {
            guard sockets.count == 2 else { fail("latency needs two sockets, the sender's and the receiver's, not \(sockets.count)") }
            do {
                try LatencyBench(rate: rate, seconds: seconds, cpu: cpu, sockets: sockets).run(wantsJSON: wantsJSON)
            } catch {
                fail("\(error)")
            }
            return
        }
        if !wantsJSON { print("workload            Mpps  cycles/packet  cache hits  upcalls    flows  masks") }
        func isWanted(_ name: String) -> Bool { names.isEmpty || names.contains { name.hasPrefix($0) } }
        if isWanted("stages") { Stages.run(wantsJSON: wantsJSON) }
        if isWanted(ClassifierBench.name) { ClassifierBench.run(wantsJSON: wantsJSON) }
        do {
            for workload in Workload.all where isWanted(workload.name) {
                let result = try measure(workload, seconds: seconds, cpu: cpu)
                show(result, wantsJSON: wantsJSON)
            }
        } catch {
            fail("\(error)")
        }
    }

    static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let rounded = (value * scale).rounded() / scale
        return "\(rounded)"
    }

    static func pad(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    static func show(_ result: Measurement, wantsJSON: Bool) {
        if wantsJSON {
            print(
                "{\"name\":\"\(result.name)\",\"mpps\":\(fixed(result.packetsPerSecond / 1e6, 3)),"
                    + "\"cycles_per_packet\":\(fixed(result.cyclesPerPacket, 1)),\"cache_hit_share\":\(fixed(result.cacheHitShare, 3)),"
                    + "\"upcalls\":\(result.upcalls),\"drops\":\(result.drops),\"flows\":\(result.megaflows),\"masks\":\(result.masks)}")
        } else {
            print(
                result.name + pad(fixed(result.packetsPerSecond / 1e6, 2), 24 - result.name.count)
                    + pad(fixed(result.cyclesPerPacket, 1), 15) + pad(fixed(result.cacheHitShare * 100, 1) + "%", 12)
                    + pad("\(result.upcalls)", 9) + pad("\(result.megaflows)", 9) + pad("\(result.masks)", 7)
                    + (result.isLossless ? "" : "  drops: \(result.drops)"))
        }
        fflush(nil)
    }

    /// One workload on one PMD thread: a second and a half to warm up, then `seconds`.
    static func measure(_ workload: Workload, seconds: Double, cpu: Int?) throws -> Measurement {
        let path = "/tmp/apus-bench.\(getpid()).pcap"
        try Traffic.write(flows: workload.flows, to: path)
        defer { unlink(path) }
        let clock = Clock()
        let datapath: Datapath
        var settings = DatapathSettings()
        workload.settings(&settings)
        switch workload.decision {
        case .fixed(let masks, let actions):
            let translator = BenchTranslator(output: DatapathPort(2), masks: masks, actions: actions)
            datapath = Datapath(translator: translator, clock: clock, versions: translator.versions, settings: settings)
        case .rules(let rules):
            let pipeline = try makePipeline(rules(), clock: clock)
            datapath = Datapath(translator: pipeline, clock: clock, versions: pipeline.versions, settings: settings)
            pipeline.attach(datapath)
        }
        try datapath.setPMDMask([cpu ?? datapath.usableCPUs.last!])
        let source = try Netdev.open(
            NetdevConfiguration(name: "source", kind: .dpdk, options: ["dpdk-devargs": "net_pcap0,rx_pcap=\(path),infinite_rx=1"]))
        let sink = try Netdev.open(NetdevConfiguration(name: "sink", kind: .dpdk, options: ["dpdk-devargs": "net_null0,no-rx=1,size=64"]))
        defer {
            datapath.shutdown()
            source.close()
            sink.close()
        }
        try datapath.addPort(sink, number: DatapathPort(2))
        try datapath.addPort(source, number: DatapathPort(1))
        usleep(1_500_000)
        let before = datapath.counters(of: DatapathPort(1))!
        let upcallsBefore = datapath.pmdStatistics().first?.upcalls ?? 0
        datapath.clearThreadStatistics()
        let start = clinuxNow()
        usleep(UInt32(seconds * 1e6))
        let statistics = datapath.pmdStatistics().first!
        let elapsed = Double(clinuxNow() - start) / 1e9
        let after = datapath.counters(of: DatapathPort(1))!
        let received = Double(statistics.receivedPackets)
        let flows = datapath.flowTableStatistics()
        return Measurement(
            name: workload.name, packetsPerSecond: received / elapsed, cyclesPerPacket: statistics.cyclesPerPacket,
            cacheHitShare: received == 0 ? 0 : Double(statistics.cacheHits) / received, upcalls: upcallsBefore &+ statistics.upcalls,
            drops: after.drops.reduce(0, +) &- before.drops.reduce(0, +), megaflows: flows.flows, masks: flows.masks)
    }

    /// A bridge with ports 1 and 2 and these rules.
    static func makePipeline(_ rules: [String], clock: Clock) throws -> SwitchPipeline {
        let pipeline = SwitchPipeline(clock: clock, seed: 7)
        let bridge = try pipeline.addBridge(named: "bench", datapathID: 1)
        bridge.flushFlows()
        for number in 1...2 as ClosedRange<UInt32> {
            _ = try bridge.addPort(
                BridgePort(
                    number: OpenFlowPort(number), name: "p\(number)", attachment: .datapath(DatapathPort(number)),
                    hardwareAddress: 0x0200_0000_0000 + UInt64(number)))
        }
        try bridge.apply(
            bundle: rules.map { text in
                let spec = try FlowText.parseFlow(text)
                return FlowModification(
                    command: .add, table: spec.table ?? 0, match: spec.match, priority: spec.priority ?? 0x8000,
                    actions: spec.actions ?? [])
            })
        return pipeline
    }

    static func clinuxNow() -> UInt64 { Clock().now.nanoseconds }
}
