import ArgumentParser
import Client
import OVSDB

struct Interface: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show and change interfaces.", subcommands: [List.self, Show.self, Set.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List interfaces.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge (default: all).") var bridge: String?

        func run() throws { options.write(try DatabaseClient(options.directory).view().portReport(bridge: bridge)) }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show an interface in full.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The interface.") var name: String

        func run() throws { options.write(try DatabaseClient(options.directory).view().portReport(port: name)) }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change an interface.",
            discussion: """
                Examples:
                  apusctl interface set p0 n_rxq=4 --mtu 9000
                  apusctl interface set p0 --other-config pmd-rxq-affinity=0:2,1:3
                  apusctl interface set vm1 --policing-rate 100000 --policing-burst 10000
                  apusctl interface set p0 n_rxq=        (takes the option away)
                """)
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The interface.") var name: String
        @Argument(help: ArgumentHelp("Options to set; without a value, to take away.", valueName: "key=value")) var settings: [String] = []
        @Option(help: ArgumentHelp("A key of other_config, likewise; may be repeated.", valueName: "key=value")) var otherConfig: [String] =
            []
        @Option(help: ArgumentHelp("The MTU to have.", valueName: "bytes")) var mtu: Int?
        @Option(help: ArgumentHelp("The OpenFlow port number to have.", valueName: "number")) var ofport: Int?
        @Option(help: ArgumentHelp("Kilobits a second to receive at most; 0 is no limit.", valueName: "kbps")) var policingRate: Int?
        @Option(help: ArgumentHelp("Kilobits that may come at once.", valueName: "kb")) var policingBurst: Int?
        @Option(help: ArgumentHelp("Thousands of packets a second to receive at most; 0 is no limit.", valueName: "kpps"))
        var policingKpktsRate: Int?
        @Option(help: ArgumentHelp("Thousands of packets that may come at once.", valueName: "kpkts")) var policingKpktsBurst: Int?

        func run() throws {
            var columns: [(String, JSON)] = []
            for (column, option, value, range) in [
                ("mtu_request", "--mtu", mtu, 68...65535), ("ofport_request", "--ofport", ofport, 1...65279),
                ("ingress_policing_rate", "--policing-rate", policingRate, 0...Int(UInt32.max)),
                ("ingress_policing_burst", "--policing-burst", policingBurst, 0...Int(UInt32.max)),
                ("ingress_policing_kpkts_rate", "--policing-kpkts-rate", policingKpktsRate, 0...Int(UInt32.max)),
                ("ingress_policing_kpkts_burst", "--policing-kpkts-burst", policingKpktsBurst, 0...Int(UInt32.max)),
            ] {
                guard let value else { continue }
                guard range.contains(value) else {
                    throw ClientError.invalid("\(option) \(value) is out of range; it may be \(range.lowerBound) to \(range.upperBound)")
                }
                columns.append((column, .integer(Int64(value))))
            }
            let interface = try DatabaseClient(options.directory).setInterface(
                name, options: try keysAndValues(settings, "an option"), otherConfig: try keysAndValues(otherConfig, "--other-config"),
                columns: columns)
            options.write(
                Report(text: "interface \(name) is changed\n", json: ["name": .string(interface.name), "type": .string(interface.type)]))
        }
    }
}

/// `key=value` words; an empty value is nil.
func keysAndValues(_ words: [String], _ what: String) throws(ClientError) -> [String: String?] {
    var result: [String: String?] = [:]
    for word in words {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else { throw .invalid("\(word): write \(what) as key=value, as in n_rxq=2") }
        result.updateValue(parts[1].isEmpty ? nil : String(parts[1]), forKey: String(parts[0]))
    }
    return result
}
