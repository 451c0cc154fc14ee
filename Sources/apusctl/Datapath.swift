import ArgumentParser
import Client
import OVSDB

struct Datapath: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Look into the datapath.", subcommands: [Flows.self])

    struct Flows: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the megaflows: what the datapath has cached of the pipeline's decisions.")
        @OptionGroup var options: GlobalOptions
        @Flag(help: "Show ports by number.") var numbers = false

        func run() throws {
            options.write(
                ControlReports.datapathFlows(try ControlClient(options.directory).run("dpctl/dump-flows", numbers ? [] : ["--names"])))
        }
    }
}

struct PMD: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pmd", abstract: "Show the PMD threads: their queues, load and cache hits.")
    @OptionGroup var options: GlobalOptions

    func run() throws {
        let directory = options.directory
        let statistics = try ControlClient(directory).run("dpif-netdev/pmd-stats-show")
        let queues = try ControlClient(directory).run("dpif-netdev/pmd-rxq-show")
        let performance = try ControlClient(directory).run("dpif-netdev/pmd-perf-show")
        options.write(ControlReports.pmd(statistics: statistics, queues: queues, performance: performance))
    }
}

struct Trace: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Follow an imagined packet through a bridge's flow tables.",
        discussion: """
            Examples:
              apusctl trace br0 in_port=1,tcp,nw_dst=10.0.0.1,tp_dst=80
              apusctl trace br0 in_port=1 --pcap sent.pcap

            The packets of a capture are there, as far as the bridge can tell: it learns from them.
            """)
    @OptionGroup var options: GlobalOptions
    @Argument(help: "The bridge.") var bridge: String
    @Argument(help: "The packet, written like a flow's match; with --pcap, what is around the packets, as in in_port=1.") var packet: String
    @Option(help: ArgumentHelp("Trace the packets of this capture.", valueName: "file"), completion: .file()) var pcap: String?
    @Option(help: "Of a capture, at most this many packets.") var count = 100

    func run() throws {
        let directory = options.directory
        // The database knows the names; so a typing error gets a better answer than the control socket's.
        _ = try DatabaseClient(directory).view().bridge(bridge)
        guard let pcap else {
            options.write(ControlReports.trace(try ControlClient(directory).run("ofproto/trace", [bridge, packet])))
            return
        }
        let client = try ControlClient(directory)
        var text = ""
        var traces: [JSON] = []
        for bytes in try Capture.packets(path: pcap, limit: count) {
            let report = ControlReports.trace(try client.run("ofproto/trace", [bridge, packet, bytes]))
            text += (text.isEmpty ? "" : "\n") + report.text
            traces.append(report.json)
        }
        options.write(Report(text: text.isEmpty ? "no packet is in \(pcap)\n" : text, json: .array(traces)))
    }
}
