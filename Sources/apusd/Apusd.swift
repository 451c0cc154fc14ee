// The daemon's command line.

internal import ArgumentParser
internal import Glibc
internal import Management

@main
struct Apusd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apusd", abstract: "A userspace virtual switch.",
        discussion: """
            Serves its configuration database at RUNDIR/db.sock (OVSDB), each bridge's flow tables at RUNDIR/BRIDGE.mgmt \
            (OpenFlow), and control commands at RUNDIR/apusd.PID.ctl. Runs in the foreground and logs to standard error; \
            SIGTERM and SIGINT stop it cleanly.

            Further options, in the field's form:
              --detach                 go to the background once the sockets are served
              --no-chdir               with --detach: stay in this directory instead of going to /
              --pidfile[=FILE]         a pid file beside RUNDIR/apusd.pid, which is always there
              --log-file[=FILE]        log to a file (default: apusd.log in $OVS_LOGDIR) instead of standard error
              -v[MODULE:DEST:LEVEL]    set log levels, as vlog/set does; alone: log everything
              --unixctl=PATH           the control socket
              --enable-dummy[=override|system]  interfaces in memory and a clock that stops, for tests

            Accepted: --overwrite-pidfile --monitor --disable-system --disable-system-route --mlockall --user --syslog-method \
            --no-self-confinement --hw-rawio-access.
            """,
        version: "apusd (Apus) \(Daemon.version)")

    @Option(help: "The run directory: sockets and the pid file. Default: $OVS_RUNDIR, else /var/run/apus.")
    var rundir: String?

    @Option(
        name: .customLong("db"),
        help: """
            The configuration database's file, created if there is none. Default: conf.db in $OVS_DBDIR; without that, in the \
            run directory if one is given, else in /var/lib/apus. May be given again: the others are served as they are.
            """)
    var databases: [String] = []

    @Flag(help: "Serve the databases only, whatever their schemas: no switch.")
    var noSwitch = false

    @Option(
        name: .customLong("remote"),
        help: """
            Serve the databases also at punix:FILE, ptcp:[PORT][:IP] or pssl:[PORT][:IP], at unix:FILE, tcp:IP:PORT or ssl:IP:PORT \
            (connecting there), or at what db:DATABASE,TABLE,COLUMN names. May be given again. With --no-switch nothing else is served.
            """)
    var remotes: [String] = []

    @Option(help: "The private key for TLS: a PEM file, or the column db:DATABASE,TABLE,COLUMN that names it.")
    var privateKey: String?

    @Option(help: "The certificate for TLS: likewise.")
    var certificate: String?

    @Option(help: "The certificates of the authorities that peers' certificates must come from: likewise.")
    var caCert: String?

    @Option(help: "The same, taken from the first server connected to if the file does not exist.")
    var bootstrapCaCert: String?

    @Option(help: "The least severe level to log: off, emer, err, warn, info or dbg.")
    var logLevel = "info"

    @Argument(help: "Configure the switch from this OVSDB server (unix:FILE, tcp:IP:PORT or ssl:IP:PORT) instead of a database of its own.")
    var database: String?

    static func main() {
        FieldOptions.given = FieldOptions(parsing: Array(CommandLine.arguments.dropFirst()))
        if let fault = FieldOptions.given.fault {
            writeToStandardError("apusd: \(fault)\n")
            Glibc.exit(64)
        }
        if called == DatabaseServerCommand.name { return serveDatabases(DatabaseServerCommand(FieldOptions.given.rest)) }
        do {
            var command = try parseAsRoot(FieldOptions.given.rest)
            try command.run()
        } catch {
            Self.exit(withError: error)
        }
    }

    func run() throws {
        let field = FieldOptions.given
        if field.isDetached, !Detach.isChild {
            throw ExitCode(Detach.runInBackground(arguments: CommandLine.arguments))
        }
        let program = Apusd.called == "ovs-vswitchd" ? "ovs-vswitchd" : "apusd"
        let environment = Apusd.environment
        let givenDirectory = rundir ?? environment("OVS_RUNDIR")
        let directory = givenDirectory ?? "/var/run/apus"
        let databasePath =
            databases.first ?? environment("OVS_DBDIR").map { $0 + "/conf.db" } ?? environment("OVS_SYSCONFDIR").map {
                $0 + "/openvswitch/conf.db"
            }
            ?? (givenDirectory ?? "/var/lib/apus") + "/conf.db"
        var options = DaemonOptions(
            runDirectory: directory, databasePath: noSwitch ? databases.first ?? "" : databasePath, logLevel: logLevel,
            logFile: field.logFile.map {
                $0.isEmpty ? (environment("OVS_LOGDIR") ?? givenDirectory ?? "/var/log/apus") + "/\(program).log" : $0
            }, dummies: field.dummy)
        options.program = program
        options.dummyNodes = field.dummyNodes
        options.externalDatabase = noSwitch ? nil : database
        options.otherDatabases = Array(databases.dropFirst())
        options.hasSwitch = !noSwitch
        // The switch's own table of certificates, unless others are named.
        let isEmbedded = !noSwitch && database == nil
        func file(_ given: String?, _ column: String) -> String { given ?? (isEmbedded ? "db:Open_vSwitch,SSL," + column : "") }
        options.database = DatabaseOptions(
            remotes: remotes,
            tls: TLSSettings(
                privateKey: file(privateKey, "private_key"), certificate: file(certificate, "certificate"),
                caCertificate: file(bootstrapCaCert ?? caCert, "ca_cert"), bootstrapsCA: bootstrapCaCert != nil))
        if isEmbedded, databases.isEmpty, remotes.isEmpty {
            options.inPlace = DatabaseOptions(
                remotes: [],
                tls: TLSSettings(
                    privateKey: privateKey ?? "", certificate: certificate ?? "", caCertificate: bootstrapCaCert ?? caCert ?? "",
                    bootstrapsCA: bootstrapCaCert != nil))
        }
        options.take(field, directory)
        do {
            try Daemon.run(options)
        } catch {
            writeToStandardError("apusd: \(error)\n")
            throw ExitCode(1)
        }
    }

    /// Scripts that start Open vSwitch's daemons expect their names in the files.
    private static var called: String? { CommandLine.arguments.first?.split(separator: "/").last.map(String.init) }

    private static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "." }
        defer { free(path) }
        return String(cString: path)
    }

    /// What this program does under the name of the field's database server.
    private static func serveDatabases(_ command: DatabaseServerCommand) {
        let name = DatabaseServerCommand.name
        let field = FieldOptions.given
        if let text = command.text {
            print(text, terminator: "")
            return
        }
        if let fault = command.fault {
            writeToStandardError("\(name): \(fault)\n")
            Glibc.exit(1)
        }
        if field.isDetached, !Detach.isChild { Glibc.exit(Detach.runInBackground(arguments: CommandLine.arguments)) }
        let directory = environment("OVS_RUNDIR") ?? "/var/run/openvswitch"
        var options = DaemonOptions(
            runDirectory: directory, databasePath: command.databases.first ?? "", logLevel: "warn",
            logFile: field.logFile.map { $0.isEmpty ? (environment("OVS_LOGDIR") ?? "/var/log/openvswitch") + "/\(name).log" : $0 },
            dummies: nil)
        options.program = name
        options.hasSwitch = false
        options.isOnlyServer = true
        options.otherDatabases = Array(command.databases.dropFirst())
        options.database = DatabaseOptions(remotes: command.remotes, tls: command.tls)
        options.command = command.command
        options.configurationFile = command.configurationFile.map { $0.hasPrefix("/") ? $0 : Apusd.workingDirectory + "/" + $0 }
        options.take(field, directory)
        if field.hasPidFile, options.pidFile == nil { options.pidFile = "\(directory)/\(name).pid" }
        options.notes += command.notes
        do {
            try Daemon.run(options)
        } catch {
            writeToStandardError("\(name): \(error)\n")
            Glibc.exit(1)
        }
    }
}

extension DaemonOptions {
    fileprivate mutating func take(_ field: FieldOptions, _ directory: String) {
        pidFile = field.pidFile.map { $0.hasPrefix("/") ? $0 : directory + "/" + $0 }
        controlSocket = field.controlSocket.map { $0.hasPrefix("/") || $0 == "none" ? $0 : directory + "/" + $0 }
        logSpecifications = field.logSpecifications
        isDetached = field.isDetached
        isMonitored = field.isMonitored
        staysInDirectory = field.staysInDirectory
        notes = field.notes
    }
}

/// Without a buffer.
private func writeToStandardError(_ text: String) {
    _ = text.withCString { write(2, $0, strlen($0)) }
}
