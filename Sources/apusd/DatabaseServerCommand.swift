// The command line of the field's database server: what a link named `ovsdb-server` to this program understands.
//
// Scripts, service files and tests that start `ovsdb-server` then start the same engine that serves the switch's database. Databases are
// arguments, nothing is served but what `--remote` says, and there is no pid file unless `--pidfile` asks for it.

internal import Glibc
internal import Management

/// A parsed command line, or what is wrong with it.
struct DatabaseServerCommand {
    var databases: [String] = []
    var remotes: [String] = []
    var tls = TLSSettings()
    /// `--config-file=FILE`.
    var configurationFile: String?
    /// `--no-dbs`: without arguments there is no database, instead of the default one.
    private var hasNoDatabases = false
    /// `--run=COMMAND`: serve while this shell command runs.
    var command: String?
    /// To be printed, instead of serving anything.
    var text: String?
    var fault: String?
    var notes: [String] = []

    /// The field's name of this program.
    static let name = "ovsdb-server"

    private static let usage = """
        ovsdb-server: Open vSwitch database server (Apus)
        usage: ovsdb-server [OPTIONS] [DATABASE...]
        where each DATABASE is a database file in ovsdb format (default: conf.db in $OVS_DBDIR, or in $OVS_SYSCONFDIR/openvswitch).
        Options: --remote=REMOTE --private-key=FILE --certificate=FILE --ca-cert=FILE --bootstrap-ca-cert=FILE --peer-ca-cert=FILE
          --ssl-protocols=VERSIONS --ssl-ciphers=LIST --run=COMMAND --no-dbs --config-file=FILE --monitor
          --detach --no-chdir --pidfile[=FILE] --log-file[=FILE] --unixctl=SOCKET -v[SPEC] -V --version -h --help

        """

    /// Options with a value that ask for what is not there: replication, clusters, a file of remotes.
    private static let refused = [
        "--sync-from": "replication is not supported", "--sync-exclude-tables": "replication is not supported",
    ]
    /// Options with a value that have no effect.
    private static let ignored: Set<String> = ["--ssl-ciphersuites", "--record", "--replay"]
    private static let short: [String: String] = ["-p": "--private-key", "-c": "--certificate", "-C": "--ca-cert"]
    private static let long: Set<String> = refused.keys.reduce(into: ignored) { $0.insert($1) }.union([
        "--remote", "--run", "--private-key", "--certificate", "--ca-cert", "--bootstrap-ca-cert", "--peer-ca-cert", "--no-dbs",
        "--config-file", "--ssl-protocols", "--ssl-ciphers",
        "--version",
        "--help", "--disable-file-column-diff", "--disable-file-no-data-conversion", "--active",
    ])

    /// An option's name, which may be cut short as long as it can be told from others.
    private static func fullName(_ given: String) -> String {
        if let name = short[given] { return name }
        guard given.hasPrefix("--"), !long.contains(given) else { return given }
        let candidates = long.filter { $0.hasPrefix(given) }
        return candidates.count == 1 ? candidates.first! : given
    }

    /// - Parameter arguments: what `FieldOptions` has left
    init(_ arguments: [String]) {
        var index = 0
        var isOver = false
        while index < arguments.count, fault == nil, text == nil {
            let word = arguments[index]
            index += 1
            guard !isOver, word.hasPrefix("-"), word != "-" else {
                databases.append(word)
                continue
            }
            if word == "--" {
                isOver = true
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = DatabaseServerCommand.fullName(String(parts[0]))
            switch name {
            case "--no-dbs": hasNoDatabases = true
            case "--version": text = "ovsdb-server (Open vSwitch) \(Daemon.compatibleVersion)\nserved by apusd (Apus) \(Daemon.version)\n"
            case "--help", "-h": text = DatabaseServerCommand.usage
            case "--disable-file-column-diff", "--disable-file-no-data-conversion", "--active":
                notes.append("\(name) has no effect")
            default:
                var value = parts.count > 1 ? String(parts[1]) : nil
                if value == nil, index < arguments.count {
                    value = arguments[index]
                    index += 1
                }
                guard let value else {
                    fault = "option '\(word)' requires an argument, or is not known"
                    break
                }
                take(name, value)
            }
        }
        if configurationFile != nil, !databases.isEmpty || !remotes.isEmpty {
            fault = "--config-file is mutually exclusive with --remote and with databases on the command line"
        }
        if databases.isEmpty, !hasNoDatabases, configurationFile == nil { databases = [DatabaseServerCommand.defaultDatabase] }
    }

    private mutating func take(_ name: String, _ value: String) {
        switch name {
        case "--remote": remotes.append(value)
        case "--run": command = value
        case "--config-file": configurationFile = value
        case "--private-key": tls.privateKey = value
        case "--certificate": tls.certificate = value
        case "--ca-cert": tls.caCertificate = value
        case "--peer-ca-cert": tls.peerCACertificate = value
        case "--ssl-protocols": tls.protocols = value
        case "--ssl-ciphers": tls.ciphers = value
        case "--bootstrap-ca-cert":
            tls.caCertificate = value
            tls.bootstrapsCA = true
        case _ where DatabaseServerCommand.ignored.contains(name): notes.append("\(name) \(value) has no effect")
        default:
            fault = DatabaseServerCommand.refused[name].map { "\(name) \(value): \($0)" } ?? "unrecognized option '\(name)'"
        }
    }

    private static var defaultDatabase: String {
        func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        return environment("OVS_DBDIR").map { $0 + "/conf.db" } ?? (environment("OVS_SYSCONFDIR") ?? "/etc") + "/openvswitch/conf.db"
    }
}
