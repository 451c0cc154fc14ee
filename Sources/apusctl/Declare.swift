import ArgumentParser
import Client
import Glibc
import OVSDB

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the configuration as a document that `apply` reads.",
        discussion: "YAML; with --json the same as JSON. Columns at their defaults are left out.")
    @OptionGroup var options: GlobalOptions

    func run() throws { options.write(try DatabaseClient(options.directory).export()) }
}

struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the configuration as a document says, all of it or nothing.",
        discussion: """
            The document is what `export` writes: bridges with their ports and interfaces, in YAML or JSON. All of it is meant: bridges and \
            ports that it does not name are removed, columns that it does not name are emptied. Returns when the switch has carried it out.

            Example: apusctl export > net.yaml; edit net.yaml; apusctl apply --dry-run net.yaml; apusctl apply net.yaml
            """)
    @OptionGroup var options: GlobalOptions
    @Argument(help: "The document's file; - is standard input.", completion: .file()) var file: String
    @Flag(help: "Only say what would change.") var dryRun = false

    func run() throws {
        let document = try Declaration(yaml: try Apply.read(file))
        let changes = try DatabaseClient(options.directory).apply(document, isDryRun: dryRun)
        let text = changes.lines.isEmpty ? "nothing to change\n" : changes.lines.map { $0 + "\n" }.joined()
        options.write(
            Report(text: text, json: ["changes": .array(changes.lines.map { .string($0) }), "applied": .boolean(!dryRun)] as JSON))
    }

    private static func read(_ path: String) throws(ClientError) -> String {
        let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .invalid("cannot read \(path): \(String(cString: strerror(errno)))") }
        defer { if descriptor > 0 { close(descriptor) } }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0 { throw .invalid("cannot read \(path): \(String(cString: strerror(errno)))") }
            if count == 0 { break }
            bytes += buffer[..<count]
            if bytes.count > 32 << 20 { throw .invalid("\(path) is longer than 32 MiB") }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

struct FDB: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fdb", abstract: "Show and change what bridges have learned of MAC addresses.",
        subcommands: [Show.self, Flush.self, Add.self, Delete.self, Stats.self])

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show the stations a bridge knows.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String

        func run() throws {
            let text = try FDB.run("fdb/show", bridge, [], options)
            let entries = text.split(separator: "\n").dropFirst().map { line -> JSON in
                let words = line.split(separator: " ").map(String.init)
                guard words.count == 4 else { return .string(String(line)) }
                let isStatic = words[3] == "static"
                return [
                    "port": Int64(words[0]).map { .integer($0) } ?? .string(words[0]), "vlan": .integer(Int64(words[1]) ?? 0),
                    "mac": .string(words[2]), "age_seconds": isStatic ? .null : .integer(Int64(words[3]) ?? 0),
                    "static": .boolean(isStatic),
                ] as JSON
            }
            options.write(Report(text: text, json: .array(entries)))
        }
    }

    struct Flush: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Forget the stations of a bridge.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        func run() throws { FDB.done(try FDB.run("fdb/flush", bridge, [], options), options) }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Put a station behind a port for good.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "The port.") var port: String
        @Argument(help: "The MAC address.") var mac: String
        @Option(help: "The VLAN.") var vlan = 0
        func run() throws {
            _ = try FDB.run("fdb/add", bridge, [port, String(vlan), mac], options)
            FDB.done("\(mac) is behind \(port)\n", options)
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "del", abstract: "Take such a station away.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        @Argument(help: "The MAC address.") var mac: String
        @Option(help: "The VLAN.") var vlan = 0
        func run() throws {
            _ = try FDB.run("fdb/del", bridge, [String(vlan), mac], options)
            FDB.done("\(mac) is gone\n", options)
        }
    }

    struct Stats: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what MAC learning did so far.")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The bridge.") var bridge: String
        func run() throws { FDB.done(try FDB.run("fdb/stats-show", bridge, [], options), options) }
    }

    private static func run(_ command: String, _ bridge: String, _ words: [String], _ options: GlobalOptions) throws -> String {
        // The database knows the names; so a typing error gets a better answer than the control socket's.
        _ = try DatabaseClient(options.directory).view().bridge(bridge)
        return try ControlClient(options.directory).run(command, [bridge] + words)
    }

    private static func done(_ text: String, _ options: GlobalOptions) {
        options.write(Report(text: text, json: ["text": .string(text)]))
    }
}

struct Database: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db", abstract: "Look into the configuration database, and change it by raw operations.",
        subcommands: [Rows.self, Transact.self])

    struct Rows: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "Show rows of a table, as JSON in the form of RFC 7047.",
            discussion: "Example: apusctl db list Interface --name p1")
        @OptionGroup var options: GlobalOptions
        @Argument(help: "The table.") var table: String
        @Option(help: "Only the row of this name.") var name: String?
        @Option(help: "Only these columns, separated by commas.") var columns: String?

        func run() throws {
            var operation: [(String, JSON)] = [("op", "select"), ("table", .string(table))]
            operation.append(("where", name.map { [["name", "==", .string($0)] as JSON] as JSON } ?? []))
            if let columns { operation.append(("columns", .array(columns.split(separator: ",").map { .string(String($0)) }))) }
            let rows = try DatabaseClient(options.directory).transact([.object(JSONObject(operation))])[0]["rows"] ?? []
            options.write(Report(text: (rows.array ?? []).map { $0.text + "\n" }.joined(), json: rows))
        }
    }

    struct Transact: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Carry out operations of RFC 7047 as one transaction.",
            discussion: #"Example: apusctl db transact '[{"op":"comment","comment":"hello"}]'"#)
        @OptionGroup var options: GlobalOptions
        @Argument(help: "A JSON array of operations.") var operations: String

        func run() throws {
            guard let parsed = try? JSON(parsing: operations), let list = parsed.array else {
                throw ClientError.invalid("the operations must be a JSON array")
            }
            let results = JSON.array(try DatabaseClient(options.directory).transact(list))
            options.write(Report(text: results.text + "\n", json: results))
        }
    }
}
