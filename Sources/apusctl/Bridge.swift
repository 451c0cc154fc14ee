import ArgumentParser
import Client
import OVSDB

struct Bridge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add, remove and list bridges.", subcommands: [Add.self, Delete.self, List.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Add a bridge with its local port.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The new bridge's name.") var name: String
        @Flag(help: "Forward nothing but what flows say (fail mode \"secure\"); else the bridge learns MAC addresses.") var secure = false
        @Flag(help: "It is fine if there is such a bridge already.") var mayExist = false

        func run() throws {
            let bridge = try DatabaseClient(options.directory).addBridge(name, isSecure: secure, mayExist: mayExist)
            options.write(Report(text: "bridge \(name) is there\n", json: bridge.json))
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "del", abstract: "Remove a bridge and its ports.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge's name.") var name: String
        @Flag(help: "It is fine if there is no such bridge.") var ifExists = false

        func run() throws {
            try DatabaseClient(options.directory).removeBridge(name, ifExists: ifExists)
            options.write(Report(text: "bridge \(name) is gone\n", json: ["removed": .string(name)]))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the bridges.")
        @OptionGroup var options: GlobalOptions

        func run() throws { options.write(try DatabaseClient(options.directory).view().bridgeReport) }
    }
}
