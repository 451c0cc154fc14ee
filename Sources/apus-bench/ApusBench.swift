// Micro-benchmarks: the whole data path from `net_pcap` to `net_null` on one PMD thread, in cycles a packet; and stages alone.
//
//     apus-bench                     all workloads
//     apus-bench NAME ...            those whose name begins so
//     --seconds S (default 2)  --cpu N (default: the last usable)  --json

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Glibc
internal import Netdev

struct Workload {
    var name: String
    var flows: Int
    var masks: BenchTranslator.Masks
    var actions: [DatapathAction] = []
}

struct Measurement {
    var name: String
    var packetsPerSecond: Double
    var cyclesPerPacket: Double
    var cacheHitShare: Double
    var upcalls: UInt64
    var isLossless: Bool
}

@main
struct ApusBench {
    static let workloads: [Workload] = [
        Workload(name: "forward-1", flows: 1, masks: .port),
        Workload(name: "forward-1k", flows: 1000, masks: .port),
        Workload(name: "l4-1k", flows: 1000, masks: .flow),
        Workload(name: "l4-10k", flows: 10_000, masks: .flow),
        Workload(name: "l4-100k", flows: 100_000, masks: .flow),
        Workload(
            name: "setfield-1k", flows: 1000, masks: .flow,
            actions: [
                .set(.ethDst, value: 0x0a0b_0c0d_0e0f, mask: 0xffff_ffff_ffff),
                .set(.ethSrc, value: 0x0a0b_0c0d_0e01, mask: 0xffff_ffff_ffff),
            ]),
        Workload(name: "masks24-1k", flows: 1000, masks: .prefixes(24)),
        Workload(name: "masks24-10k", flows: 10_000, masks: .prefixes(24)),
        Workload(name: "masks24-100k", flows: 100_000, masks: .prefixes(24)),
    ]

    static func main() {
        var names: [String] = []
        var seconds = 2.0
        var cpu: Int?
        var wantsJSON = false
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
            case "--help", "-h":
                print("usage: apus-bench [--seconds S] [--cpu N] [--json] [NAME ...]")
                print("workloads: stages \(workloads.map(\.name).joined(separator: " "))")
                return
            default:
                if argument.hasPrefix("-") { fail("there is no option \(argument): see --help") }
                guard "stages".hasPrefix(argument) || workloads.contains(where: { $0.name.hasPrefix(argument) }) else {
                    fail("no workload's name begins with \(argument): see --help")
                }
                names.append(argument)
            }
        }
        DPDKRuntime.setLogLevel(3)
        if !wantsJSON { print("workload            Mpps  cycles/packet  cache hits  upcalls") }
        func isWanted(_ name: String) -> Bool { names.isEmpty || names.contains { name.hasPrefix($0) } }
        if isWanted("stages") { Stages.run(wantsJSON: wantsJSON) }
        do {
            for workload in workloads where isWanted(workload.name) {
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
                    + "\"upcalls\":\(result.upcalls),\"lossless\":\(result.isLossless)}")
        } else {
            print(
                result.name + pad(fixed(result.packetsPerSecond / 1e6, 2), 24 - result.name.count)
                    + pad(fixed(result.cyclesPerPacket, 1), 15) + pad(fixed(result.cacheHitShare * 100, 1) + "%", 12)
                    + pad("\(result.upcalls)", 9) + (result.isLossless ? "" : "  packets were lost"))
        }
        fflush(nil)
    }

    /// One workload on one PMD thread: a second to warm up, then `seconds`.
    static func measure(_ workload: Workload, seconds: Double, cpu: Int?) throws -> Measurement {
        let path = "/tmp/apus-bench.\(getpid()).pcap"
        try Traffic.write(flows: workload.flows, to: path)
        defer { unlink(path) }
        let translator = BenchTranslator(output: DatapathPort(2), masks: workload.masks, actions: workload.actions)
        let datapath = Datapath(translator: translator, clock: Clock(), versions: translator.versions)
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
        usleep(1_000_000)
        let before = datapath.counters(of: DatapathPort(1))!
        let upcallsBefore = datapath.pmdStatistics().first?.upcalls ?? 0
        datapath.clearThreadStatistics()
        let start = clinuxNow()
        usleep(UInt32(seconds * 1e6))
        let statistics = datapath.pmdStatistics().first!
        let elapsed = Double(clinuxNow() - start) / 1e9
        let after = datapath.counters(of: DatapathPort(1))!
        let received = Double(statistics.receivedPackets)
        return Measurement(
            name: workload.name, packetsPerSecond: received / elapsed, cyclesPerPacket: statistics.cyclesPerPacket,
            cacheHitShare: received == 0 ? 0 : Double(statistics.cacheHits) / received, upcalls: upcallsBefore &+ statistics.upcalls,
            isLossless: before.drops == after.drops)
    }

    static func clinuxNow() -> UInt64 { Clock().now.nanoseconds }
}
