// The database half of the daemon: files, the server over them, its remotes, and the commands that change all of that while it runs.

internal import Base
internal import Glibc
internal import Logging
internal import OVSDB

/// What the command line says about databases.
public struct DatabaseOptions: Sendable {
    /// Remotes to serve, as the field writes them.
    public var remotes: [String]
    /// The files of TLS connections, each by name or as `db:DATABASE,TABLE,COLUMN`, which names the column that holds it.
    public var tls: TLSSettings

    public init(remotes: [String] = [], tls: TLSSettings = TLSSettings()) {
        self.remotes = remotes
        self.tls = tls
    }
}

/// Serves database files. Only on the control loop's thread.
final class DatabaseService {
    let server: DatabaseServer
    let remotes: DatabaseRemotes
    private let loop: ControlLoop
    private let log: LogRegistry
    let logger: Logger
    /// The daemon's own socket.
    private var own: StreamServer?
    private let background: BackgroundThreads
    /// Files by database name, with what tells whether two paths are one file.
    private var files: [String: (path: String, device: dev_t, inode: ino_t)] = [:]
    /// The file that says what is served, which commands therefore do not change.
    var configurationFile: String?
    /// Where what is served is kept for a restart.
    var stateDescriptor: Int32?

    /// - Parameter directory: what relative socket names are relative to
    init(loop: ControlLoop, directory: String, tls: TLSSettings, log: LogRegistry) {
        self.loop = loop
        self.log = log
        logger = log.logger("ovsdb_server")
        server = DatabaseServer(clock: loop.clock)
        background = BackgroundThreads(loop: loop)
        server.background = background
        remotes = DatabaseRemotes(loop: loop, database: server, directory: directory, tls: tls, log: log)
        server.onChange = { [weak remotes] name, tables in remotes?.databaseChanged(name, tables: tables) }
        loop.drive(server)
    }

    /// Opens a file and serves it.
    ///
    /// - Parameter schema: what it must become (created, converted, pinned); nil serves the schema it has
    @discardableResult
    func open(_ path: String, schema: DatabaseSchema? = nil) throws -> FileStorage.Opened {
        let opened = try FileStorage.open(path: path, schema: schema, creating: schema != nil)
        for warning in opened.warnings { logger.warning("\(warning)") }
        opened.database.onWarning = { [logger] in logger.warning("\($0)") }
        let name = opened.database.name
        guard !name.hasPrefix("_") else { throw CommandError("ovsdb error: \(path): names beginning with \"_\" are reserved") }
        guard server.database(name) == nil else { throw CommandError("ovsdb error: \(path): duplicate database name") }
        try server.add(opened.database, isPinned: schema != nil)
        var status = stat()
        _ = stat(path, &status)
        files[name] = (path, status.st_dev, status.st_ino)
        return opened
    }

    /// Serves a local socket besides the remotes.
    ///
    /// - Throws: `UnixSocketError`, in particular if a live process serves the path
    func listen(at path: String) throws(UnixSocketError) {
        let logger = log.logger("jsonrpc")
        own = try StreamServer(loop: loop, path: path, limits: .database, logger: logger) { [server] connection in
            DatabaseConnection(connection: connection, session: server.makeSession(name: connection.name), logger: logger)
        }
    }

    /// Stops serving clients.
    func stopListening() {
        own?.close()
        remotes.close()
    }

    /// Closes the databases.
    func close() {
        stopListening()
        for name in server.databaseNames { server.remove(name, force: true) }
        background.shutDown()
    }

    // MARK: Commands

    func register(on registry: CommandRegistry) {
        registry.register("ovsdb-server/list-dbs", arguments: 0...0) { [server] _ in
            server.databaseNames.map { $0 + "\n" }.joined()
        }
        /// A command that changes what is served.
        func registerChange(_ name: String, usage: String, _ body: @escaping (DatabaseService, String) throws(CommandError) -> Void) {
            registry.register(name, usage: usage, arguments: 1...1) { [weak self] (arguments) throws(CommandError) in
                guard let self else { return "" }
                if let file = configurationFile { throw CommandError("Update the \(file) and use ovsdb-server/reload instead") }
                try body(self, arguments[0])
                saveConfiguration()
                return ""
            }
        }
        registerChange("ovsdb-server/add-db", usage: "DB") { (me, name) throws(CommandError) in try me.addDatabase(name) }
        registerChange("ovsdb-server/remove-db", usage: "DB") { (me, name) throws(CommandError) in try me.removeDatabase(name) }
        registerChange("ovsdb-server/add-remote", usage: "REMOTE") { (me, name) throws(CommandError) in try me.remotes.add(name) }
        registerChange("ovsdb-server/remove-remote", usage: "REMOTE") { (me, name) throws(CommandError) in
            guard me.remotes.remove(name) else { throw CommandError("no such remote") }
        }
        registry.register("ovsdb-server/reload", arguments: 0...0) { [weak self] (_) throws(CommandError) in
            guard let self else { return "" }
            guard let file = configurationFile else { throw CommandError("Configuration file was not specified on command line") }
            try load(file)
            return ""
        }
        registry.register("ovsdb-server/list-remotes", arguments: 0...0) { [remotes] _ in
            remotes.names.sorted().map { $0 + "\n" }.joined()
        }
        registry.register("ovsdb-server/reconnect", arguments: 0...0) { [weak self] _ in
            self?.own?.dropConnections()
            self?.remotes.reconnectAll()
            return ""
        }
        registry.register("ovsdb-server/disable-monitor-cond", arguments: 0...0) { [weak self] _ in
            self?.server.hasConditionalMonitors = false
            self?.own?.dropConnections()
            self?.remotes.reconnectAll()
            return ""
        }
        registry.register("ovsdb-server/sync-status", arguments: 0...0) { _ in "state: active\n" }
        registry.register("ovsdb-server/get-active-ovsdb-server", arguments: 0...0) { _ in "" }
        registry.register(
            "ovsdb-server/compact", usage: "[DB]", arguments: 0...1,
            deferred: { [weak self] call in self?.compact(call.arguments.first, call) })
        registry.allowInterruption(by: [
            "ovsdb-server/list-dbs", "ovsdb-server/list-remotes", "ovsdb-server/sync-status", "ovsdb-server/get-active-ovsdb-server",
            "ovsdb-server/get-db-storage-status",
        ])
        registry.register("ovsdb-server/get-db-storage-status", usage: "DB", arguments: 1...1) {
            [server] (arguments) throws(CommandError) in
            guard let database = server.database(arguments[0]) else { throw CommandError("Failed to find the database.") }
            return database.storageProblem.map { "status: not ok (\($0))\n" } ?? "status: ok\n"
        }
    }

    /// Files in the order of their databases' names.
    var paths: [String] { files.sorted { $0.key < $1.key }.map(\.value.path) }

    func removeFile(_ path: String) {
        for (name, file) in files where file.path == path && server.remove(name) { files[name] = nil }
    }

    func addDatabase(_ path: String) throws(CommandError) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw CommandError("I/O error: \(path): open failed (\(String(cString: strerror(errno))))")
        }
        guard !files.values.contains(where: { $0.device == status.st_dev && $0.inode == status.st_ino }) else {
            throw CommandError("ovsdb error: \(path): already open")
        }
        do {
            try open(path)
        } catch let error as CommandError {
            throw error
        } catch {
            throw CommandError("\(error)")
        }
    }

    private func removeDatabase(_ name: String) throws(CommandError) {
        guard !name.hasPrefix("_") || server.database(name) == nil else { throw CommandError("Cannot remove reserved database.") }
        guard server.database(name) != nil else { throw CommandError("Failed to find the database.") }
        guard server.remove(name) else {
            throw CommandError("database \(name) holds the configuration of this switch and stays as long as it runs")
        }
        files[name] = nil
    }

    private func compact(_ name: String?, _ call: CommandCall) {
        if let name, name.hasPrefix("_") { return call.fail("cannot compact built-in databases") }
        let databases = server.databaseNames.filter { !$0.hasPrefix("_") && (name == nil || $0 == name) }
        guard !databases.isEmpty else { return call.fail("no database by that name") }
        var failures = ""
        var left = databases.count
        for name in databases {
            logger.info("compacting \(name) database by user request")
            server.compact(name) { error in
                if let error { failures += "\(error)\n" }
                left -= 1
                if left == 0 { if failures.isEmpty { call.reply("") } else { call.fail(failures) } }
            }
        }
    }
}
