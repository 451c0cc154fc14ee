// The daemon: everything put together, started in order, stopped in reverse.

internal import Base
internal import Datapath
internal import Glibc
internal import Logging
internal import Netdev
internal import OVSDB
internal import Pipeline
internal import Switch

/// What the command line says.
public struct DaemonOptions: Sendable {
    public var runDirectory: String
    public var databasePath: String
    public var logLevel: String
    public var logFile: String?
    public var allowsDummyPorts: Bool

    public init(runDirectory: String, databasePath: String, logLevel: String, logFile: String?, allowsDummyPorts: Bool) {
        self.runDirectory = runDirectory
        self.databasePath = databasePath
        self.logLevel = logLevel
        self.logFile = logFile
        self.allowsDummyPorts = allowsDummyPorts
    }
}

/// Why the daemon cannot start: one sentence.
public struct DaemonError: Error, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}

/// ## Thread safety
/// Made on the main thread; `parts` belongs to the control loop.
public final class Daemon {
    public static let version = ProductVersion.apus

    /// What runs on the control loop, in the order in which it was started.
    private struct Parts {
        var databaseServer: DatabaseServer
        var databaseSocket: DatabaseListener
        var control: ControlServer
        /// The switch holds its observer weakly.
        var openFlow: OpenFlowServers
        var theSwitch: Switch
        var datapath: Datapath
    }

    /// Runs until SIGTERM or SIGINT, or `exit` over the control socket.
    public static func run(_ options: DaemonOptions) throws {
        // Before any thread exists: all of them inherit the mask, so that only `sigwait` below sees these signals.
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR2] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
        DescriptorLimit.raise()

        let clock = Clock()
        let registry = LogRegistry(clock: clock)
        registry.bootstrap()
        if let complaint = registry.set(specification: "console:\(options.logLevel)") {
            throw DaemonError("--log-level \(options.logLevel): \(complaint)")
        }
        if let file = options.logFile, let complaint = registry.openFile(file) { throw DaemonError(complaint) }
        let log = Logger(label: "apusd")
        DPDKLog.forward(to: registry)

        let directory = try RunDirectory(path: options.runDirectory)
        defer { directory.release() }
        let loop = ControlLoop(clock: clock)
        defer { loop.shutDown() }

        log.notice("apusd (Apus) \(version), run directory \(directory.path), database \(options.databasePath)")
        let directoryPath = directory.path
        let parts: Confined<Parts> = try loop.run {
            Confined(try start(options, directoryPath, loop, registry, log), to: loop)
        }
        log.notice("ready")
        Detach.reportReady()

        var received: Int32 = 0
        repeat {
            sigwait(&signals, &received)
            if received == SIGHUP, let complaint = registry.reopenFile() { log.debug("\(complaint)") }
        } while received == SIGHUP
        log.notice(received == SIGUSR2 ? "told to exit" : "received \(received == SIGTERM ? "SIGTERM" : "SIGINT"), stopping")

        try loop.run {
            let parts = parts.value
            parts.databaseSocket.close()
            parts.control.close()
            parts.theSwitch.stop()
            parts.openFlow.close()
            parts.datapath.shutdown()
            parts.databaseServer.remove("Open_vSwitch")
        }
        DPDKRuntime.shutDown()
        log.notice("stopped")
    }

    private static func start(
        _ options: DaemonOptions, _ directory: String, _ loop: ControlLoop, _ registry: LogRegistry, _ log: Logger
    ) throws -> Parts {
        // The database first: without it nothing else makes sense, and its lock says whether another server has it.
        try makeParent(of: options.databasePath)
        let opened = try FileStorage.open(path: options.databasePath, schema: makeOpenVSwitchSchema())
        for warning in opened.warnings { log.warning("\(warning)") }
        opened.database.onWarning = { log.warning("\($0)") }
        let server = DatabaseServer(clock: loop.clock)
        try server.add(opened.database, isPinned: true)
        guard let configuration = EmbeddedConfiguration(server, database: "Open_vSwitch") else {
            throw DaemonError("\(options.databasePath) is not an Open_vSwitch database")
        }
        if opened.isNew || opened.database.rows("Open_vSwitch").isEmpty {
            var first = TransactionBuilder(configuration.schema)
            first.insert("Open_vSwitch", [:])
            configuration.transact(first) { reply in
                if let error = reply.error { log.error("the database's first row could not be written: \(error)") }
            }
        }

        var random = SystemRandomNumberGenerator()
        let pipeline = SwitchPipeline(clock: loop.clock, seed: random.next())
        let datapath = Datapath(translator: pipeline, clock: loop.clock, versions: pipeline.versions)
        pipeline.attach(datapath)

        let databaseSocket = try DatabaseListener(loop: loop, path: directory + "/db.sock", database: server, log: registry)
        let openFlow = OpenFlowServers(loop: loop, directory: directory, datapath: datapath, log: registry)
        let theSwitch = Switch(
            configuration: configuration, pipeline: pipeline, datapath: datapath, clock: loop.clock, timers: loop.timers,
            runDirectory: directory, allowsDummyPorts: options.allowsDummyPorts, observer: openFlow)
        let control = try ControlServer(
            loop: loop, path: directory + "/apusd.\(getpid()).ctl", log: registry, program: "apusd (Apus) \(version)"
        ) { _ in kill(getpid(), SIGUSR2) }
        SwitchCommands(theSwitch: theSwitch, pipeline: pipeline, datapath: datapath, loop: loop).register(on: control.registry)
        if options.allowsDummyPorts { control.registerTimeCommands(loop: loop) }
        theSwitch.start()
        return Parts(
            databaseServer: server, databaseSocket: databaseSocket, control: control, openFlow: openFlow, theSwitch: theSwitch,
            datapath: datapath)
    }

    private static func makeParent(of path: String) throws {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
        let parent = String(path[..<slash])
        var status = stat()
        if stat(parent, &status) == 0 { return }
        if mkdir(parent, 0o755) != 0 && errno != EEXIST {
            throw DaemonError("cannot create \(parent) for the database: \(String(cString: strerror(errno))); give another file with --db")
        }
    }
}
