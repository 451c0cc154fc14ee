import ArgumentParser
import Client
import Glibc
import OVSDB

struct Flow: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add, remove and list the flows of a bridge.", subcommands: [Add.self, Delete.self, Dump.self])

    /// The bridge's OpenFlow socket. The database is asked first: it knows all bridges, and so what may have been meant.
    private static func client(_ options: GlobalOptions, _ bridge: String) throws -> OpenFlowClient {
        let directory = options.directory
        _ = try DatabaseClient(directory).view().bridge(bridge)
        return try OpenFlowClient(directory, bridge: bridge)
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a flow, or a file of flows.",
            discussion: """
                Examples:
                  apusctl flow add br0 priority=10,in_port=vhost1,icmp,actions=drop
                  apusctl flow add br0 "table=1,tcp,tp_dst=80,actions=set_field:10.0.0.9->ip_dst,output:2"
                  apusctl flow add br0 --file flows.txt     (all of them or none; - is standard input)
                """)
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "The flow: match and actions.") var flow: String?
        @Option(help: ArgumentHelp("A file of flows, one a line.", valueName: "file"), completion: .file()) var file: String?

        func validate() throws {
            guard (flow == nil) != (file == nil) else { throw ValidationError("give a flow or --file FILE") }
        }

        func run() throws {
            let client = try Flow.client(options, bridge)
            var count = 1
            if let file {
                count = try client.addFlows(try readText(file), from: file == "-" ? "standard input" : file)
            } else if let flow {
                try client.addFlow(flow)
            }
            options.write(
                Report(
                    text: count == 1 ? "the flow is in place\n" : "\(count) flows are in place\n", json: ["added": .integer(Int64(count))]))
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "del", abstract: "Remove the flows that match a description.",
            discussion: "Example: apusctl flow del br0 in_port=vhost1,icmp")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "Which flows: those at least as specific as this match (table=, cookie=, out_port= count too).") var match: String?
        @Flag(help: "Only the flow with exactly this match and priority.") var strict = false
        @Flag(help: "All flows of the bridge.") var all = false

        func validate() throws {
            guard (match == nil) == all else { throw ValidationError("give a match, or --all to remove every flow") }
            guard !(strict && all) else { throw ValidationError("--strict needs a match, so --all cannot go with it") }
        }

        func run() throws {
            try Flow.client(options, bridge).deleteFlows(match ?? "", isStrict: strict)
            options.write(
                Report(
                    text: all ? "all flows of bridge \(bridge) are gone\n" : "such flows are gone\n",
                    json: ["removed": .string(match ?? "")]))
        }
    }

    struct Dump: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List flows with their counters.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "Which flows: those at least as specific as this match (default: all).") var match: String?

        func run() throws { options.write(try Flow.client(options, bridge).flows(match ?? "").report) }
    }
}

/// The whole text of a file; "-" is standard input.
private func readText(_ path: String) throws(ClientError) -> String {
    let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .invalid("cannot read \(path): \(String(cString: strerror(errno)))") }
    defer { if descriptor != 0 { close(descriptor) } }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
        let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        if count > 0 {
            bytes += buffer.prefix(count)
        } else if errno != EINTR {
            throw .invalid("cannot read \(path): \(String(cString: strerror(errno)))")
        }
    }
}
