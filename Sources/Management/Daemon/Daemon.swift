// The daemon: everything put together, started in order, stopped in reverse.

internal import Base
internal import CLinux
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
    /// Where neither a database nor a server was named: a server that is at `db.sock` in the run directory is taken, with these
    /// in the place of `database`.
    public var inPlace: DatabaseOptions?
    /// The NUMA nodes of CPUs that are made up, for tests; nil: the CPUs are the machine's.
    public var dummyNodes: [Int]?
    /// More databases, served as they are.
    public var otherDatabases: [String] = []
    /// Serve databases only: no switch, no schema of its own.
    public var hasSwitch = true
    public var database = DatabaseOptions()
    /// A file that says which databases and remotes there are, in the place of `databasePath`, `otherDatabases` and `database.remotes`.
    public var configurationFile: String?
    /// Be what the field's database server is: no sockets but those asked for, no lock on the run directory, no pid file unless asked for.
    public var isOnlyServer = false
    /// A shell command to serve for: the daemon ends when that does.
    public var command: String?
    /// A pid file beside the one in the run directory.
    public var pidFile: String?
    /// The control socket; nil for `PROGRAM.PID.ctl` in the run directory.
    public var controlSocket: String?
    /// `vlog/set` specifications to begin with.
    public var logSpecifications: [String] = []
    public var isDetached = false
    /// Be watched by another process, which starts the daemon again if it crashes.
    public var isMonitored = false
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
    /// The release of Open vSwitch whose behaviour clients may expect.
    public static let compatibleVersion = ProductVersion.compatibleWith

    /// What runs on the control loop, in the order in which it was started.
    private struct Parts {
        var databases: DatabaseService
        var control: ControlServer
        /// Nil if only databases are served.
        var running: RunningSwitch?
        /// The server the switch is configured from, if that is not this process.
        var external: ExternalDatabase?
    }

    /// The switch half.
    private struct RunningSwitch {
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
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
        // One that was started by way of /proc/self/exe would be called after that.
        _ = clinux_set_thread_name(options.program)
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
        if let nodes = options.dummyNodes {
            let distinct = Set(nodes).sorted()
            for node in distinct {
                registry.log("ovs_numa", .info, "Discovered \(nodes.filter { $0 == node }.count) CPU cores on NUMA node \(node)")
            }
            registry.log("ovs_numa", .info, "Discovered \(distinct.count) NUMA nodes and \(nodes.count) CPU cores")
        }

        if options.isMonitored, let status = ProcessMonitor.run(registry) { exit(status) }
        let directory = options.isOnlyServer ? nil : try RunDirectory(path: options.runDirectory, program: options.program)
        var options = options
        if let database = options.inPlace, let directory, UnixSocket.isServed(directory.file("db.sock")) {
            options.externalDatabase = "unix:" + directory.file("db.sock")
            options.database = database
        }
        let given = options
        defer { directory?.release() }
        let pidFile = try options.pidFile.flatMap { $0 == directory?.file(options.program + ".pid") ? nil : try PidFile(path: $0) }
        defer { pidFile?.release() }
        let loop = ControlLoop(clock: clock)
        defer { loop.shutDown() }

        log.notice(
            "apusd (Apus) \(version), run directory \(options.runDirectory), database \(options.externalDatabase ?? options.databasePath)")
        let directoryPath = directory?.path ?? options.runDirectory
        let parts: Confined<Parts> = try loop.run {
            Confined(try start(given, directoryPath, loop, registry, log), to: loop)
        }
        log.notice("ready")
        if options.isDetached, !options.staysInDirectory { _ = chdir("/") }
        Detach.reportReady()

        let child = try options.command.map { try ShellCommand($0) }
        var childFault: String?
        var received: Int32 = 0
        repeat {
            sigwait(&signals, &received)
            if received == SIGHUP, let complaint = registry.reopenFile() { log.debug("\(complaint)") }
            if received == SIGCHLD, let child, let status = child.ended() {
                if status != 0 { childFault = "\(child.text): child exited, \(ShellCommand.describe(status))" }
                break
            }
        } while received == SIGHUP || received == SIGCHLD
        switch received {
        case SIGUSR2: log.notice("told to exit")
        case SIGCHLD: log.notice("the command has ended, stopping")
        default: log.notice("received \(received == SIGTERM ? "SIGTERM" : "SIGINT"), stopping")
        }

        try loop.run {
            let parts = parts.value
            parts.databases.stopListening()
            parts.control.close()
            if let running = parts.running {
                running.theSwitch.stop()
                running.openFlow.close()
                running.datapath.shutdown()
            }
            parts.external?.close()
            parts.databases.close()
        }
        DPDKRuntime.shutDown()
        log.notice("stopped")
        if let childFault { throw DaemonError(childFault) }
    }

    private static func start(
        _ options: DaemonOptions, _ directory: String, _ loop: ControlLoop, _ registry: LogRegistry, _ log: Logger
    ) throws -> Parts {
        let databases = DatabaseService(loop: loop, directory: directory, tls: options.database.tls, log: registry)
        let external = try options.externalDatabase.map { try connect($0, databases, directory, loop, registry) }
        // The database first: without it nothing else makes sense, and its lock says whether another server has it.
        var configuration: (any ConfigurationSource)?
        if options.hasSwitch { configuration = try external?.configuration ?? openConfiguration(options, databases, log) }
        let state = options.isMonitored ? ProcessMonitor.stateDescriptor : nil
        let kept = options.hasSwitch ? nil : state.flatMap { DatabaseService.kept(in: $0) }
        if let file = options.configurationFile {
            databases.configurationFile = file
            do throws(CommandError) { try databases.load(file) } catch {
                throw DaemonError("\(error.description)\nserver configuration failed")
            }
        }
        if let kept {
            // A database that cannot be opened any more is missed, and said; the others are served.
            do throws(CommandError) { try databases.apply(kept) } catch { log.error("\(error.description)") }
        }
        let paths = (options.hasSwitch ? [] : [options.databasePath]) + options.otherDatabases
        for path in kept == nil ? paths : [] where !path.isEmpty { try databases.open(path) }
        if kept == nil { try serve(options, databases, directory, log) }
        if !options.hasSwitch, options.configurationFile == nil, let state { databases.keepConfiguration(in: state) }
        let control: ControlServer
        let controlPath = options.controlSocket ?? directory + "/\(options.program).\(getpid()).ctl"
        do throws(UnixSocketError) {
            control = try ControlServer(loop: loop, path: controlPath, log: registry, program: "apusd (Apus) \(version)") { _ in
                kill(getpid(), SIGUSR2)
            }
        } catch {
            throw DaemonError("\(controlPath): could not initialize control socket (\(error))")
        }
        databases.register(on: control.registry)
        guard let configuration else {
            if options.dummies != .none { control.registerTimeCommands(loop: loop) {} }
            return Parts(databases: databases, control: control)
        }
        let running = try makeSwitch(options, directory, loop, registry, configuration, control)
        if let external = external?.configuration {
            external.onReady = { running.theSwitch.start() }
        } else {
            running.theSwitch.start()
        }
        return Parts(databases: databases, control: control, running: running, external: external)
    }

    /// Where clients find the databases.
    private static func serve(_ options: DaemonOptions, _ databases: DatabaseService, _ directory: String, _ log: Logger) throws {
        // The daemon's own socket is there unless a server of databases alone was told where to listen.
        if options.externalDatabase == nil, options.hasSwitch || options.database.remotes.isEmpty && !options.isOnlyServer {
            try databases.listen(at: directory + "/db.sock")
        }
        for remote in options.database.remotes {
            do throws(CommandError) { try databases.remotes.add(remote) } catch { throw DaemonError("--remote \(error)") }
        }
        guard options.hasSwitch, options.externalDatabase == nil else { return databases.remotes.reconfigure() }
        do throws(CommandError) {
            try databases.remotes.add("db:Open_vSwitch,Open_vSwitch,manager_options")
        } catch {
            log.error("\(error)")
        }
    }

    /// Begins to connect to the server that has the switch's configuration.
    private static func connect(
        _ server: String, _ databases: DatabaseService, _ directory: String, _ loop: ControlLoop, _ registry: LogRegistry
    ) throws -> ExternalDatabase {
        guard let target = StreamTarget(databases.remotes.resolved(server), defaultPort: DatabaseRemotes.defaultPort), !target.isPassive
        else {
            throw DaemonError("\(server): not a database server's address; valid are unix:FILE, tcp:IP[:PORT] and ssl:IP[:PORT]")
        }
        // The lock that keeps two switches from one configuration.
        let configuration = ExternalConfiguration(database: "Open_vSwitch", lock: "ovs_vswitchd")
        return ExternalDatabase(loop: loop, target: target, configuration: configuration, tls: databases.remotes.tls, log: registry)
    }

    /// Opens the switch's database, and sees to it that it has its one row.
    private static func openConfiguration(
        _ options: DaemonOptions, _ databases: DatabaseService, _ log: Logger
    ) throws -> any ConfigurationSource {
        try makeParent(of: options.databasePath)
        let opened = try databases.open(options.databasePath, schema: makeOpenVSwitchSchema())
        guard let configuration = EmbeddedConfiguration(databases.server, database: "Open_vSwitch") else {
            throw DaemonError("\(options.databasePath) is not an Open_vSwitch database")
        }
        if opened.isNew || opened.database.rows("Open_vSwitch").isEmpty {
            var first = TransactionBuilder(configuration.schema)
            first.insert("Open_vSwitch", [:])
            configuration.transact(first) { reply in
                if let error = reply.error { log.error("the database's first row could not be written: \(error)") }
            }
        }
        return configuration
    }

    private static func makeSwitch(
        _ options: DaemonOptions, _ directory: String, _ loop: ControlLoop, _ registry: LogRegistry,
        _ configuration: any ConfigurationSource, _ control: ControlServer
    ) throws -> RunningSwitch {
        var random = SystemRandomNumberGenerator()
        let pipeline = SwitchPipeline(clock: loop.clock, seed: random.next())
        let datapath = Datapath(
            translator: pipeline, clock: loop.clock, versions: pipeline.versions,
            dummyNodes: options.dummies == .none ? nil : options.dummyNodes)
        pipeline.attach(datapath)
        if options.dummies != .none {
            datapath.keepPackets()
            pipeline.matchesWhatIsSet = true
        }
        FlowLog.connect(registry, to: datapath, pipeline)
        FlowLog.connect(registry, to: pipeline)
        let openFlow = OpenFlowServers(loop: loop, directory: directory, datapath: datapath, log: registry)
        let theSwitch = Switch(
            configuration: configuration, pipeline: pipeline, datapath: datapath, clock: loop.clock, timers: loop.timers,
            runDirectory: directory, dummies: options.dummies, observer: openFlow)
        theSwitch.elsewhere = { loop.waitElsewhere($0) }
        openFlow.onReport = { [unowned theSwitch] in theSwitch.publish($0) }
        openFlow.onPortSwitched = { [unowned theSwitch] in theSwitch.setPort($1, of: $0, isUp: $2) }
        SwitchCommands(theSwitch: theSwitch, pipeline: pipeline, datapath: datapath, loop: loop, program: options.program)
            .register(on: control.registry)
        if options.dummies != .none {
            control.registerTimeCommands(loop: loop) { datapath.runMaintenance(isWhole: false) }
            DummyCommands(theSwitch: theSwitch, datapath: datapath).register(on: control.registry)
        }
        return RunningSwitch(openFlow: openFlow, theSwitch: theSwitch, datapath: datapath)
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
