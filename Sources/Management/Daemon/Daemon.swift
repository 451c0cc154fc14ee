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
    let dummies: DummyMode
    /// The name in the files of the run directory: pid file and control socket.
    public var program = "apusd"
    /// An OVSDB server to be configured from; nil for the database of its own.
    public var externalDatabase: String?
    /// A pid file beside the one in the run directory.
    public var pidFile: String?
    /// The control socket; nil for `PROGRAM.PID.ctl` in the run directory.
    public var controlSocket: String?
    /// `vlog/set` specifications to begin with.
    public var logSpecifications: [String] = []
    public var isDetached = false
    /// Keep the working directory although detached.
    public var staysInDirectory = false
    /// Remarks on the command line, for the log.
    public var notes: [String] = []

    /// - Parameter dummies: the word of `--enable-dummy`: `override`, `system` or empty; nil without the option.
    public init(runDirectory: String, databasePath: String, logLevel: String, logFile: String?, dummies: String?) {
        self.runDirectory = runDirectory
        self.databasePath = databasePath
        self.logLevel = logLevel
        self.logFile = logFile
        self.dummies = dummies.map { $0 == "override" ? .override : $0 == "system" ? .system : .available } ?? .none
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
        registry.register(modules: LogRegistry.fieldModules)
        // Where a file has the log, standard error is silent but for what is asked for.
        if options.isDetached || options.logFile != nil { _ = registry.set(specification: "console:off") }
        for specification in options.logSpecifications {
            if let complaint = registry.set(specification: specification) { throw DaemonError("-v\(specification): \(complaint)") }
        }
        if options.isDetached { _ = registry.set(specification: "console:off") }
        if let file = options.logFile {
            try makeParent(of: file)
            if let complaint = registry.openFile(file) { throw DaemonError(complaint) }
            registry.log("vlog", .info, "opened log file \(file)")
        }
        let log = Logger(label: "apusd")
        for note in options.notes { log.info("\(note)") }
        DPDKLog.forward(to: registry)

        let directory = try RunDirectory(path: options.runDirectory, program: options.program)
        defer { directory.release() }
        let pidFile = try options.pidFile.flatMap { $0 == directory.file(options.program + ".pid") ? nil : try PidFile(path: $0) }
        defer { pidFile?.release() }
        let loop = ControlLoop(clock: clock)
        defer { loop.shutDown() }

        log.notice("apusd (Apus) \(version), run directory \(directory.path), database \(options.databasePath)")
        let directoryPath = directory.path
        let parts: Confined<Parts> = try loop.run {
            Confined(try start(options, directoryPath, loop, registry, log), to: loop)
        }
        log.notice("ready")
        if options.isDetached, !options.staysInDirectory { _ = chdir("/") }
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
        if let server = options.externalDatabase {
            throw DaemonError("\(server): configuration from another OVSDB server is not supported yet")
        }
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
            runDirectory: directory, dummies: options.dummies, observer: openFlow)
        openFlow.onReport = { [unowned theSwitch] in theSwitch.publish($0) }
        let control = try ControlServer(
            loop: loop, path: options.controlSocket ?? directory + "/\(options.program).\(getpid()).ctl", log: registry,
            program: "apusd (Apus) \(version)"
        ) { _ in kill(getpid(), SIGUSR2) }
        SwitchCommands(theSwitch: theSwitch, pipeline: pipeline, datapath: datapath, loop: loop, program: options.program)
            .register(on: control.registry)
        if options.dummies != .none {
            control.registerTimeCommands(loop: loop) { datapath.runMaintenance(isWhole: false) }
            DummyCommands(theSwitch: theSwitch, datapath: datapath).register(on: control.registry)
        }
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
