import ArgumentParser
import Base
import Client
import OVSDB
import Glibc

struct Port: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add, remove, list and count ports.", subcommands: [Add.self, Delete.self, List.self, Show.self, Stats.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a port to a bridge.",
            discussion: """
                Examples:
                  apusctl port add br0 vhost1 --type dpdkvhostuser
                  apusctl port add br0 vm1 --type dpdkvhostuserclient --option vhost-server-path=/run/vm1.sock
                  apusctl port add br0 p0 --type dpdk --option dpdk-devargs=0000:01:00.0 --option n_rxq=2
                  apusctl port add br0 veth0 --tag 10
                """)
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "The new port's name.") var name: String
        @Option(help: "dpdk, dpdkvhostuser, dpdkvhostuserclient, tap, internal, patch, ...; without it, the host's device of that name.")
        var type = ""
        @Option(
            name: [.customLong("option"), .customLong("set")],
            help: ArgumentHelp("An option of the port; may be repeated.", valueName: "key=value"))
        var settings: [String] = []
        @Option(help: ArgumentHelp("VLAN of an access port; with --trunks, the native VLAN.", valueName: "vlan")) var tag: Int?
        @Option(help: ArgumentHelp("VLANs of a trunk, separated by commas.", valueName: "vlans")) var trunks: String?
        @Option(help: ArgumentHelp("The OpenFlow port number to have.", valueName: "number")) var ofport: Int?
        @Option(help: ArgumentHelp("The MTU to have.", valueName: "bytes")) var mtu: Int?
        @Flag(help: "It is fine if the bridge has such a port already.") var mayExist = false

        func run() throws {
            var request = PortRequest(name: name, type: type == "system" ? "" : type, tag: tag, ofport: ofport, mtu: mtu)
            for setting in settings {
                let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, !parts[0].isEmpty else {
                    throw ClientError.invalid("--option \(setting): write key=value, as in --option n_rxq=2")
                }
                request.options[String(parts[0])] = String(parts[1])
            }
            for word in (trunks ?? "").split(separator: ",") {
                guard let vlan = Int(word) else {
                    throw ClientError.invalid(
                        "--trunks \(trunks ?? ""): \"\(word)\" is not a VLAN; write numbers from 0 to 4095, separated by commas")
                }
                request.trunks.append(vlan)
            }
            try Add.check("--tag", tag, 0...4095)
            for vlan in request.trunks { try Add.check("--trunks", vlan, 0...4095) }
            try Add.check("--ofport", ofport, 1...65279)
            try Add.check("--mtu", mtu, 68...65535)
            let port = try DatabaseClient(options.directory).addPort(request, to: bridge, mayExist: mayExist)
            let number = port.interfaces.first?.ofport.map { ", OpenFlow port \($0)" } ?? ""
            options.write(Report(text: "port \(name) is on bridge \(bridge)\(number)\n", json: port.json(bridge: bridge)))
        }

        private static func check(_ option: String, _ value: Int?, _ range: ClosedRange<Int>) throws(ClientError) {
            guard let value, !range.contains(value) else { return }
            throw .invalid("\(option) \(value) is out of range; it may be \(range.lowerBound) to \(range.upperBound)")
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "del", abstract: "Remove a port.", usage: "apusctl port del [<options>] [<bridge>] <port>")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge, if it shall be checked, and the port.") var names: [String]
        @Flag(help: "It is fine if there is no such port.") var ifExists = false

        func validate() throws {
            guard (1...2).contains(names.count) else { throw ValidationError("give a port, or a bridge and a port") }
        }

        func run() throws {
            try DatabaseClient(options.directory).removePort(
                names[names.count - 1], from: names.count == 2 ? names[0] : nil, ifExists: ifExists)
            options.write(Report(text: "port \(names[names.count - 1]) is gone\n", json: ["removed": .string(names[names.count - 1])]))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the ports of a bridge, or of all.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String?

        func run() throws { options.write(try DatabaseClient(options.directory).view().portReport(bridge: bridge)) }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a port in full: what was negotiated with whoever is behind it, and why it is down.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The port.") var port: String

        func run() throws { options.write(try DatabaseClient(options.directory).view().portReport(port: port)) }
    }

    struct Stats: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what ports have counted, or with --watch what they carry.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge (default: all).") var bridge: String?
        @Argument(help: "The port (default: all).") var port: String?
        @Flag(help: "Show rates, again and again, until interrupted.") var watch = false
        @Option(help: ArgumentHelp("Time between two looks, with --watch.", valueName: "seconds")) var interval: Double = 1
        @Option(help: ArgumentHelp("How many times to look, with --watch; 0 is for ever.", valueName: "times")) var count = 0

        func validate() throws {
            guard interval >= 0.1, interval <= 3600 else {
                throw ValidationError("--interval \(interval) is out of range; it may be 0.1 to 3600 seconds")
            }
            guard count >= 0 else { throw ValidationError("--count \(count) is negative; 0 is for ever") }
        }

        func run() throws {
            let clock = Clock()
            var last = try sample(clock)
            guard watch else { return options.write(last.statistics.report) }
            let isTerminal = Console.isTerminal && !options.isJSON
            var rounds = 0
            while count == 0 || rounds < count {
                usleep(UInt32(interval * 1_000_000))
                let next = try sample(clock)
                let seconds = max(0.001, Double(next.time.milliseconds(since: last.time)) / 1000)
                if isTerminal { Console.write("\u{1b}[H\u{1b}[2J") }
                options.write(next.statistics.rates(since: last.statistics, seconds: seconds))
                last = next
                rounds += 1
            }
        }

        private func sample(_ clock: Clock) throws -> (statistics: PortStatistics, time: Instant) {
            let directory = options.directory
            let view = try DatabaseClient(directory).view()
            var statistics = try PortStatistics(view, bridge: bridge, port: port)
            statistics.refresh(view, directory)
            return (statistics, clock.now)
        }
    }
}
