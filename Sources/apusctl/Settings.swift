// Mirrors, QoS, controllers and managers.

import ArgumentParser
import Client
import OVSDB

struct Mirror: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copy packets of a bridge to a port or a VLAN.", subcommands: [Add.self, Delete.self, List.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a mirror.",
            discussion: """
                Examples:
                  apusctl mirror add br0 m0 --from vm1 --to tap0
                  apusctl mirror add br0 m1 --all --to-vlan 100 --snaplen 64 --filter tcp,tp_dst=80
                """)
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "The mirror's name.") var name: String
        @Flag(help: "Copy what all ports receive and send.") var all = false
        @Option(name: .customLong("from"), help: ArgumentHelp("Copy what this port receives; may be repeated.", valueName: "port"))
        var sources: [String] = []
        @Option(name: .customLong("sent-by"), help: ArgumentHelp("Copy what this port sends; may be repeated.", valueName: "port"))
        var destinations: [String] = []
        @Option(name: .customLong("vlan"), help: ArgumentHelp("Of these only packets of this VLAN; may be repeated.", valueName: "vlan"))
        var vlans: [Int] = []
        @Option(help: ArgumentHelp("The port that the copies leave by; it takes part in nothing else then.", valueName: "port")) var to:
            String?
        @Option(help: ArgumentHelp("The VLAN that the copies are flooded into.", valueName: "vlan")) var toVlan: Int?
        @Option(help: ArgumentHelp("Bytes of a packet to copy at most.", valueName: "bytes")) var snaplen: Int?
        @Option(help: ArgumentHelp("Of these only packets that match this.", valueName: "match")) var filter: String?

        func run() throws {
            guard all || !sources.isEmpty || !destinations.isEmpty || !vlans.isEmpty else {
                throw ClientError.invalid("nothing is selected: give --all, --from PORT, --sent-by PORT or --vlan VLAN")
            }
            var request = MirrorRequest(name: name)
            // A mirror that selects VLANs and no ports takes them from all ports.
            request.selectsAll = all || sources.isEmpty && destinations.isEmpty
            request.sources = sources
            request.destinations = destinations
            request.vlans = vlans
            request.outputPort = to
            request.outputVLAN = toVlan
            request.snapLength = snaplen
            request.filter = filter
            try DatabaseClient(options.directory).addMirror(request, to: bridge)
            options.write(
                Report(text: "mirror \(name) is on bridge \(bridge)\n", json: ["bridge": .string(bridge), "name": .string(name)]))
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "del", abstract: "Remove a mirror.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "The mirror.") var name: String
        @Flag(help: "It is fine if there is no such mirror.") var ifExists = false

        func run() throws {
            try DatabaseClient(options.directory).removeMirror(name, from: bridge, ifExists: ifExists)
            options.write(Report(text: "mirror \(name) is gone\n", json: ["removed": .string(name)]))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List mirrors and what they copied.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge (default: all).") var bridge: String?

        func run() throws { options.write(try DatabaseClient(options.directory).mirrors(of: bridge)) }
    }
}

struct QoS: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "qos", abstract: "Police what ports send.", subcommands: [Set.self, Clear.self, List.self])

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Police what a port sends.",
            discussion: """
                Rates and bursts are bytes a second and bytes. Examples:
                  apusctl qos set p0 egress-policer cir=46000000 cbs=2048
                  apusctl qos set p0 trtcm-policer cir=52000 cbs=2048 eir=52000 ebs=2048
                """)
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The port.") var port: String
        @Argument(help: "egress-policer or trtcm-policer.") var type: String
        @Argument(help: ArgumentHelp("Settings.", valueName: "key=value")) var settings: [String]

        func run() throws {
            let values = try keysAndValues(settings, "a setting").compactMapValues { $0 }
            try DatabaseClient(options.directory).setQoS(port, (type, values))
            options.write(Report(text: "port \(port) polices what it sends\n", json: ["port": .string(port), "type": .string(type)]))
        }
    }

    struct Clear: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Police nothing any more.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The port.") var port: String

        func run() throws {
            try DatabaseClient(options.directory).setQoS(port, nil)
            options.write(Report(text: "port \(port) polices nothing\n", json: ["port": .string(port), "type": .null]))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List ports that police.")
        @OptionGroup var options: GlobalOptions
        func run() throws { options.write(try DatabaseClient(options.directory).qosReport()) }
    }
}

struct Controller: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Set and show a bridge's OpenFlow controllers.", subcommands: [Set.self, Delete.self, List.self])

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replace the bridge's controllers.",
            discussion: "Example: apusctl controller set br0 tcp:192.0.2.1:6653 ssl:192.0.2.2:6653")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "tcp:IP[:PORT], ssl:IP[:PORT], unix:FILE, ptcp:[PORT][:IP], pssl:[PORT][:IP], punix:FILE.") var targets: [String]

        func run() throws {
            try DatabaseClient(options.directory).setTargets(of: bridge, targets)
            options.write(
                Report(
                    text: "bridge \(bridge) has \(targets.count) controller\(targets.count == 1 ? "" : "s")\n",
                    json: ["bridge": .string(bridge), "controllers": .array(targets.map { .string($0) })]))
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "del", abstract: "Remove the bridge's controllers.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String

        func run() throws {
            try DatabaseClient(options.directory).setTargets(of: bridge, [])
            options.write(Report(text: "bridge \(bridge) has no controllers\n", json: ["bridge": .string(bridge), "controllers": []]))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the bridge's controllers and how they stand.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        func run() throws { options.write(try DatabaseClient(options.directory).targets(of: bridge)) }
    }
}

struct Manager: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Set and show where the configuration database is served beside its own socket.",
        subcommands: [Set.self, Delete.self, List.self])

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Replace the managers.", discussion: "Example: apusctl manager set ptcp:6640:127.0.0.1")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "ptcp:[PORT][:IP], pssl:[PORT][:IP], punix:FILE, tcp:IP[:PORT], ssl:IP[:PORT], unix:FILE.") var targets: [String]

        func run() throws {
            try DatabaseClient(options.directory).setTargets(of: nil, targets)
            options.write(
                Report(
                    text: "there \(targets.count == 1 ? "is 1 manager" : "are \(targets.count) managers")\n",
                    json: ["managers": .array(targets.map { .string($0) })]))
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "del", abstract: "Remove the managers.")
        @OptionGroup var options: GlobalOptions
        func run() throws {
            try DatabaseClient(options.directory).setTargets(of: nil, [])
            options.write(Report(text: "there are no managers\n", json: ["managers": []]))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the managers and how they stand.")
        @OptionGroup var options: GlobalOptions
        func run() throws { options.write(try DatabaseClient(options.directory).targets(of: nil)) }
    }
}
