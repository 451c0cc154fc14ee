// All remotes of the database server: those the command line and the operator name, and those a column of a database names
// (`db:DATABASE,TABLE,COLUMN`), followed as that column changes.
//
// A column of strings holds targets. A column of references holds rows with a column `target`, and perhaps `inactivity_probe`,
// `max_backoff`, `read_only` and `role`, which are obeyed; into their `is_connected` and `status` goes how it stands, every few seconds.

internal import Base
internal import Logging
internal import OVSDB

/// The set of remotes. Only on the control loop's thread.
final class DatabaseRemotes {
    /// How often rows are told how their remotes stand.
    private static let statusIntervalMilliseconds: UInt64 = 2500
    /// How often a target that could not be listened at is tried again.
    private static let retryMilliseconds: UInt64 = 2500
    static let defaultPort: UInt16 = 6640

    private let loop: ControlLoop
    private let database: DatabaseServer
    /// What relative file names are relative to.
    private let directory: String
    private let limits: StreamLimits
    private let log: LogRegistry
    private let logger: Logger
    /// As the command line has it, perhaps naming columns.
    private let tlsNames: TLSSettings
    let tls = TLSContext()
    /// By name, with what their clients get unless a row says otherwise.
    private(set) var given: [String: RemoteOptions] = [:]
    var names: Set<String> { Set(given.keys) }
    private var remotes: [String: DatabaseRemote] = [:]
    private var complaints: Set<String> = []
    private var isScheduled = false
    private var isClosed = false

    init(
        loop: ControlLoop, database: DatabaseServer, directory: String, tls: TLSSettings, log: LogRegistry,
        limits: StreamLimits = .database
    ) {
        self.loop = loop
        self.database = database
        self.directory = directory
        tlsNames = tls
        self.log = log
        self.limits = limits
        logger = log.logger("ovsdb_server")
        scheduleStatus()
    }

    /// Adds a remote by name.
    ///
    /// - Throws: what is wrong with a `db:` name, in the field's words
    func add(_ name: String) throws(CommandError) {
        if name.hasPrefix("db:") { _ = try column(name) }
        if given[name] == nil { given[name] = RemoteOptions() }
        reconfigure()
    }

    /// Has these remotes and no others.
    ///
    /// - Throws: what is wrong with a `db:` name; those that were there before stay then, and no other comes
    func set(_ remotes: [String: RemoteOptions]) throws(CommandError) {
        for name in remotes.keys.sorted() where name.hasPrefix("db:") { _ = try column(name) }
        given = remotes
        reconfigure()
    }

    /// - Returns: whether there was one of that name
    func remove(_ name: String) -> Bool {
        guard given.removeValue(forKey: name) != nil else { return false }
        reconfigure()
        return true
    }

    func reconnectAll() { for remote in remotes.values { remote.reconnect() } }

    func close() {
        isClosed = true
        for remote in remotes.values { remote.close() }
        remotes = [:]
    }

    /// To be told of every commit, and of databases that come and go (then without tables).
    func databaseChanged(_ name: String, tables: Set<String>?) {
        let sources = names.union([
            tlsNames.privateKey, tlsNames.certificate, tlsNames.caCertificate, tlsNames.protocols, tlsNames.ciphers,
        ])
        guard !isScheduled, !isClosed, sources.contains(where: { isConcerned($0, name, tables) }) else { return }
        isScheduled = true
        loop.timers.schedule(afterMilliseconds: 0) { [weak self] in self?.reconfigure() }
    }

    private func isConcerned(_ remote: String, _ database: String, _ tables: Set<String>?) -> Bool {
        guard remote.hasPrefix("db:") else { return false }
        let parts = remote.dropFirst(3).split(separator: ",")
        guard parts.count == 3, parts[0] == database else { return false }
        guard let tables, let source = try? column(remote) else { return true }
        return tables.contains(source.table) || source.referenced.map(tables.contains) == true
    }

    // MARK: db: names

    private struct Source {
        var database: Database
        var table: String
        var column: String
        /// The table the column refers to.
        var referenced: String?
    }

    private func column(_ name: String) throws(CommandError) -> Source {
        let parts = name.dropFirst(3).split(separator: ",").map(String.init)
        guard parts.count >= 3 else { throw CommandError("\"\(name)\": invalid syntax") }
        guard let database = database.database(parts[0]) else { throw CommandError("\"\(name)\": no database named \(parts[0])") }
        guard let table = database.schema.table(parts[1]) else { throw CommandError("\"\(name)\": no table named \(parts[1])") }
        guard let column = table.column(parts[2]) else {
            throw CommandError("\"\(name)\": table \"\(parts[1])\" has no column \"\(parts[2])\"")
        }
        return Source(
            database: database, table: table.name, column: column.name, referenced: column.type.isMap ? nil : column.type.key.refTable)
    }

    /// The rows a column of references names; its strings, if it holds strings.
    private func content(_ source: Source) -> (rows: [Row], strings: [String]) {
        var rows: [Row] = []
        var strings: [String] = []
        for row in source.database.rows(source.table) {
            if let referenced = source.referenced {
                rows.append(contentsOf: row.uuids(source.column).compactMap { source.database.row(referenced, $0) })
            } else {
                strings.append(contentsOf: row[source.column].strings)
            }
        }
        return (rows, strings)
    }

    private func options(_ row: Row) -> RemoteOptions {
        var options = RemoteOptions()
        if let probe = row.optionalInteger("inactivity_probe") { options.probeMilliseconds = UInt64(max(0, probe)) }
        if let backoff = row.optionalInteger("max_backoff") { options.maximumBackoffMilliseconds = UInt64(max(1000, backoff)) }
        options.isReadOnly = row.optionalBoolean("read_only") ?? false
        options.role = row.string("role")
        return options
    }

    // MARK: Configuration

    /// Brings what is served in line with the names and the columns they point at.
    func reconfigure() {
        isScheduled = false
        guard !isClosed else { return }
        var wanted: [String: RemoteOptions] = [:]
        var problems: Set<String> = []
        tls.settings.privateKey = file(tlsNames.privateKey, &problems)
        tls.settings.certificate = file(tlsNames.certificate, &problems)
        tls.settings.caCertificate = file(tlsNames.caCertificate, &problems)
        tls.settings.bootstrapsCA = tlsNames.bootstrapsCA
        tls.settings.peerCACertificate = tlsNames.peerCACertificate
        tls.settings.protocols = file(tlsNames.protocols, &problems)
        tls.settings.ciphers = file(tlsNames.ciphers, &problems)
        for name in names.sorted() {
            guard name.hasPrefix("db:") else {
                if wanted[name] == nil { wanted[name] = given[name] ?? RemoteOptions() }
                continue
            }
            do throws(CommandError) {
                let (rows, strings) = content(try column(name))
                for text in strings where !text.isEmpty && wanted[text] == nil { wanted[text] = RemoteOptions() }
                for row in rows where !row.string("target").isEmpty { wanted[row.string("target")] = options(row) }
            } catch {
                problems.insert(error.description)
            }
        }
        for (name, remote) in remotes where wanted[name] == nil {
            logger.info("\(name): remote deconfigured")
            remote.close()
            remotes[name] = nil
        }
        var mustRetry = false
        for (name, options) in wanted.sorted(by: { $0.key < $1.key }) {
            if let remote = remotes[name] {
                remote.set(options)
            } else if let problem = start(name, options) {
                problems.insert(problem)
                mustRetry = true
            }
        }
        for problem in problems.subtracting(complaints).sorted() { logger.error("\(problem)") }
        complaints = problems
        // Rows that are new say at once how they stand. Not from here: this may be in the midst of a commit.
        loop.timers.schedule(afterMilliseconds: 0) { [weak self] in self?.writeStatus() }
        if mustRetry {
            loop.timers.schedule(afterMilliseconds: DatabaseRemotes.retryMilliseconds) { [weak self] in self?.reconfigure() }
        }
    }

    /// A file's name, perhaps out of a column: the first string there that is not empty.
    private func file(_ name: String, _ problems: inout Set<String>) -> String {
        guard name.hasPrefix("db:") else { return name }
        do throws(CommandError) {
            return content(try column(name)).strings.first { !$0.isEmpty } ?? ""
        } catch {
            problems.insert(error.description)
            return ""
        }
    }

    /// Starts a remote; what is wrong if it cannot be.
    private func start(_ name: String, _ options: RemoteOptions) -> String? {
        guard let target = StreamTarget(resolved(name), defaultPort: DatabaseRemotes.defaultPort) else {
            return
                "\(name): not a valid remote; valid are punix:FILE, ptcp:[PORT][:IP], pssl:[PORT][:IP], unix:FILE, tcp:IP[:PORT], ssl:IP[:PORT], db:DATABASE,TABLE,COLUMN"
        }
        do {
            if target.usesTLS && target.isPassive { try tls.check() }
            remotes[name] = try DatabaseRemote(
                loop: loop, target: target, options: options, database: database, limits: limits, tls: tls, log: log)
            return nil
        } catch {
            return "\(name): listen failed: \(error)"
        }
    }

    /// A target whose file name is relative is relative to the run directory.
    func resolved(_ name: String) -> String {
        for method in ["punix:", "unix:"] where name.hasPrefix(method) && !name.dropFirst(method.count).hasPrefix("/") {
            return method + directory + "/" + name.dropFirst(method.count)
        }
        return name
    }

    // MARK: Status

    private func scheduleStatus() {
        guard !isClosed else { return }
        loop.timers.schedule(afterMilliseconds: DatabaseRemotes.statusIntervalMilliseconds) { [weak self] in
            self?.writeStatus()
            self?.scheduleStatus()
        }
    }

    /// Tells rows how their remotes stand, where that has changed.
    private func writeStatus() {
        guard !isClosed else { return }
        for name in names where name.hasPrefix("db:") {
            guard let source = try? column(name), let referenced = source.referenced,
                let configuration = EmbeddedConfiguration(database, database: source.database.name)
            else { continue }
            var transaction = TransactionBuilder(configuration.schema)
            for row in content(source).rows {
                var status = remotes[row.string("target")]?.status ?? RemoteStatus()
                let keys = row.map("other_config").keys.sorted()
                if !keys.isEmpty {
                    status.status["unsupported"] = keys.map { "other_config:\($0): it has no effect" }.joined(separator: "; ")
                }
                var values: [String: Datum] = [:]
                if row["is_connected"] != Datum(status.isConnected) { values["is_connected"] = Datum(status.isConnected) }
                if row.map("status") != status.status { values["status"] = Datum(status.status) }
                if !values.isEmpty { transaction.update(referenced, row.uuid, values) }
            }
            guard !transaction.isEmpty else { continue }
            configuration.transact(transaction) { [logger] reply in
                if let error = reply.error { logger.error("Failed to update remote status: \(error)") }
            }
        }
    }
}
