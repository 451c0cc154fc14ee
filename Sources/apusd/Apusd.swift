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
            """,
        version: "apusd (Apus) \(Daemon.version)")

    @Option(help: "The run directory: sockets and the pid file. Default: $OVS_RUNDIR, else /var/run/apus.")
    var rundir: String?

    @Option(
        help: """
            The configuration database's file, created if there is none. Default: conf.db in $OVS_DBDIR; without that, in the \
            run directory if one is given, else in /var/lib/apus.
            """)
    var db: String?

    @Flag(help: "Go to the background once the sockets are served.")
    var detach = false

    @Flag(help: "Accepted for compatibility: the pid file RUNDIR/apusd.pid is always written.")
    var pidfile = false

    @Option(help: "The least severe level to log: off, emer, err, warn, info or dbg.")
    var logLevel = "info"

    @Option(help: "Log to this file too.")
    var logFile: String?

    @Flag(help: ArgumentHelp("Allow interfaces of type dummy, and time/stop and time/warp, for tests.", visibility: .hidden))
    var enableDummy = false

    func run() throws {
        if detach {
            throw ExitCode(Detach.runInBackground(arguments: CommandLine.arguments))
        }
        let environment = { (name: String) -> String? in getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }
        let givenDirectory = rundir ?? environment("OVS_RUNDIR")
        let directory = givenDirectory ?? "/var/run/apus"
        let database = db ?? environment("OVS_DBDIR").map { $0 + "/conf.db" } ?? (givenDirectory ?? "/var/lib/apus") + "/conf.db"
        let options = DaemonOptions(
            runDirectory: directory, databasePath: database, logLevel: logLevel, logFile: logFile, allowsDummyPorts: enableDummy)
        do {
            try Daemon.run(options)
        } catch {
            writeToStandardError("apusd: \(error)\n")
            throw ExitCode(1)
        }
    }
}

/// Without a buffer.
private func writeToStandardError(_ text: String) {
    _ = text.withCString { write(2, $0, strlen($0)) }
}
