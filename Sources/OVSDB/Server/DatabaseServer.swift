// Databases, the sessions that use them over a wire, and the clients inside this process.
//
// The server has no sockets and no threads. Somebody owns it: feeds sessions with bytes, writes out what they produce, and calls
// `runTimers` when `nextDeadline` comes. All of that happens on one executor.

public import Base

/// Serves databases by RFC 7047 and ovsdb-server's extensions of it.
///
/// ## Thread safety
/// None. One executor makes every call to a server, its databases, sessions and clients; callbacks come on the same executor, never
/// from within the call that caused them being half done: a callback may call back into the server.
public final class DatabaseServer {
    public let clock: Clock
    public let limits: DatabaseLimits
    /// Random for each run, what `get_server_id` tells.
    public let serverID: UUID
    private var hosted: [String: HostedDatabase] = [:]
    private let timers: TimerQueue
    private var sessions: [ObjectIdentifier: Session] = [:]
    var locks = LockTable()
    private var uuids: UUIDGenerator

    /// Work put off until the present call has left everything consistent: callbacks of local clients, transactions that waited.
    private var deferred: [() -> Void] = []
    private var deferredStart = 0
    private var depth = 0
    /// Called after each commit with the database's name and the tables it touched, and without tables when a database has come, gone
    /// or got another schema.
    public var onChange: ((String, Set<String>?) -> Void)?
    /// Whether monitors may have conditions. Without, clients fall back to what RFC 7047 has; connected ones had better come again.
    public var hasConditionalMonitors = true
    /// Where the disk's part of durable transactions and compactions is done; nil does it in place.
    public var background: (any BackgroundWork)?
    private var dirty: [ObjectIdentifier: Session] = [:]

    /// Creates a server with nothing but its own `_Server` database.
    public init(clock: Clock, limits: DatabaseLimits = DatabaseLimits(), uuids: UUIDGenerator = UUIDGenerator()) {
        self.clock = clock
        self.limits = limits
        var uuids = uuids
        serverID = uuids.next()
        self.uuids = uuids
        timers = TimerQueue(clock: clock)
        host(Database(schema: serverSchema, limits: limits, uuids: uuids), isReadOnly: true, isPinned: true)
    }

    // MARK: Databases

    /// Serves `database`. Its name must be free.
    ///
    /// - Parameter isPinned: whether its schema must stay as it is ("convert" is refused)
    public func add(_ database: Database, isPinned: Bool = false) throws(OVSDBError) {
        guard hosted[database.name] == nil else { throw OVSDBError("duplicate database", "database \(database.name) is served already") }
        perform {
            disconnectUnaware("adding \(database.name) database")
            host(database, isReadOnly: false, isPinned: isPinned)
            announce(database.name)
        }
    }

    private func disconnectUnaware(_ reason: String) {
        for session in Array(sessions.values) { session.databasesChanged(reason) }
    }

    private func announce(_ name: String) { if let onChange { later { onChange(name, nil) } } }

    /// Stops serving a database: its monitors are cancelled, its waiting transactions too.
    ///
    /// - Parameter force: also if somebody in this process relies on it
    /// - Returns: whether it is gone
    @discardableResult
    public func remove(_ name: String, force: Bool = false) -> Bool {
        perform {
            guard name != "_Server", let database = hosted[name], force || !database.isPinned else { return false }
            for session in Array(sessions.values) { session.databaseGoes(database) }
            for waiting in database.waiting { finish(waiting, nil, database) }
            cancelCompaction(database)
            disconnectUnaware("removing \(name) database by user request")
            hosted[name] = nil
            removeServerRow(name)
            announce(name)
            return true
        }
    }

    private func host(_ database: Database, isReadOnly: Bool, isPinned: Bool) {
        let entry = HostedDatabase(database, isReadOnly: isReadOnly, isPinned: isPinned)
        hosted[database.name] = entry
        observe(entry)
        addServerRow(database)
    }

    private func observe(_ entry: HostedDatabase) {
        entry.database.observers.append { [unowned self, unowned entry] changes in self.didCommit(changes, entry) }
    }

    /// The databases' names, sorted.
    public var databaseNames: [String] { hosted.keys.sorted(by: utf8Precedes) }
    public func database(_ name: String) -> Database? { hosted[name]?.database }
    func hostedDatabase(_ name: String) -> HostedDatabase? { hosted[name] }

    // MARK: Time

    /// When `runTimers` has something to do next.
    public var nextDeadline: Instant? { timers.nextDeadline }

    /// Does what is due: waits that time out, probes.
    public func runTimers() { perform { timers.runExpired() } }

    func schedule(afterMilliseconds milliseconds: UInt64, _ body: @escaping () -> Void) -> TimerQueue.Token {
        timers.schedule(afterMilliseconds: milliseconds, body)
    }
    func cancel(_ token: TimerQueue.Token) { timers.cancel(token) }

    // MARK: Sessions

    /// A session for one connection.
    public func makeSession(name: String) -> Session {
        let session = Session(self, name: name)
        sessions[ObjectIdentifier(session)] = session
        return session
    }

    public var sessionCount: Int { sessions.count }
    func session(_ id: ObjectIdentifier) -> Session? { sessions[id] }

    func forget(_ session: Session) {
        let id = ObjectIdentifier(session)
        sessions[id] = nil
        dirty[id] = nil
        for (name, owner) in locks.releaseAll(id) { sessions[owner]?.notifyLock("locked", name) }
        for entry in hosted.values {
            for waiting in entry.waiting where waiting.session === session { drop(waiting, entry) }
        }
    }

    func markDirty(_ session: Session) { dirty[ObjectIdentifier(session)] = session }

    // MARK: Running

    /// Every entry point goes through here: what was put off runs when the outermost call is done.
    @discardableResult
    func perform<T>(_ body: () -> T) -> T {
        depth += 1
        let result = body()
        if depth == 1 {
            // Callbacks may be in the midst of their own things.
            Breath.suspended {
                while deferredStart < deferred.count {
                    let next = deferred[deferredStart]
                    deferredStart += 1
                    next()
                }
            }
            deferred.removeAll(keepingCapacity: true)
            deferredStart = 0
        }
        depth -= 1
        if depth == 0 {
            while let (id, session) = dirty.first {
                dirty[id] = nil
                session.onOutput?()
            }
        }
        return result
    }

    func later(_ body: @escaping () -> Void) { deferred.append(body) }

    /// Runs a transaction; `completion` gets the results now or, if it has to wait, later. Nil means it was cancelled.
    ///
    /// - Parameter queued: called if it waits for the disk, its own part of it or another's: everything of the same session that comes
    ///   behind it waits, too, until `completion`, or `waits`, which gets it if it waits for a change after all
    /// - Returns: the transaction if it waits for a change
    @discardableResult
    func transact(
        _ entry: HostedDatabase, _ operations: ArraySlice<JSON>, session: Session?, queued: () -> Void = {},
        waits: @escaping (WaitingTransaction) -> Void = { _ in }, completion: @escaping ([JSON]?) -> Void
    ) -> WaitingTransaction? {
        if mustQueue(operations, entry) {
            queued()
            entry.whenFree { [self] in
                if let waiting = transact(entry, operations, session: session, waits: waits, completion: completion) { waits(waiting) }
            }
            return nil
        }
        switch entry.database.execute(operations, context(entry, session)) {
        case .finished(let results, _):
            completion(results)
            return nil
        case .synchronizing(let pending):
            queued()
            synchronize(pending, entry, completion: completion)
            return nil
        case .waiting(let timeout):
            let waiting = WaitingTransaction(
                session, operations, started: clock.now, schema: entry.database.schema, completion: completion)
            entry.waiting.append(waiting)
            if let timeout { setTimer(waiting, timeout, entry) }
            return waiting
        }
    }

    private func context(_ entry: HostedDatabase, _ session: Session?) -> TransactionContext {
        var context = TransactionContext()
        context.isReadOnly = entry.isReadOnly
        context.isReadOnlySession = session?.isReadOnly ?? false
        context.holdsLock = holdsLock(session)
        if let session, !session.role.isEmpty { context.client = ClientRole(role: session.role, client: session.clientName()) }
        context.wantsText = session != nil
        context.defersSynchronization = background != nil
        return context
    }

    private func holdsLock(_ session: Session?) -> (String) -> Bool {
        guard let session else { return { _ in false } }
        let id = ObjectIdentifier(session)
        return { [unowned self] in self.locks.isOwner(id, $0) }
    }

    private func setTimer(_ waiting: WaitingTransaction, _ timeout: UInt64, _ entry: HostedDatabase) {
        waiting.timer.map(timers.cancel)
        waiting.timer = timers.schedule(at: waiting.started.adding(milliseconds: timeout)) { [weak self, weak entry] in
            if let self, let entry { self.retry(waiting, entry) }
        }
    }

    private func retry(_ waiting: WaitingTransaction, _ entry: HostedDatabase) {
        guard !waiting.isFinished else { return }
        guard !entry.isHeld else {
            return entry.whenFree { [weak self, weak entry] in if let self, let entry { self.retry(waiting, entry) } }
        }
        var context = context(entry, waiting.session)
        context.elapsedMilliseconds = clock.now.milliseconds(since: waiting.started)
        switch entry.database.execute(waiting.operations, context) {
        case .finished(let results, _): finish(waiting, results, entry)
        case .synchronizing(let pending):
            drop(waiting, entry)
            synchronize(pending, entry) { waiting.completion($0) }
        case .waiting(let timeout): if let timeout { setTimer(waiting, timeout, entry) }
        }
    }

    private func finish(_ waiting: WaitingTransaction, _ results: [JSON]?, _ entry: HostedDatabase) {
        drop(waiting, entry)
        waiting.completion(results)
    }

    private func drop(_ waiting: WaitingTransaction, _ entry: HostedDatabase) {
        waiting.isFinished = true
        waiting.timer.map(timers.cancel)
        entry.waiting.removeAll { $0 === waiting }
    }

    /// Cancels a waiting transaction: its completion gets nil.
    func cancel(_ waiting: WaitingTransaction, _ entry: HostedDatabase) {
        if !waiting.isFinished { finish(waiting, nil, entry) }
    }

    private func didCommit(_ changes: ChangeSet, _ entry: HostedDatabase) {
        perform {
            entry.notify(changes)
            for local in entry.locals { local.enqueue(changes, self) }
            if let onChange {
                let names = Set(changes.rows.map { entry.database.schema.tables[$0.table].name })
                later { onChange(entry.database.name, names) }
            }
            // Its cost is spread over the growth that made it necessary.
            later { [unowned self] in compactIfDue(entry) }
            if !entry.waiting.isEmpty {
                let touched = Set(changes.rows.map(\.table))
                for waiting in entry.waiting where !waiting.tables.isDisjoint(with: touched) {
                    later { [unowned self] in self.retry(waiting, entry) }
                }
            }
        }
    }

    // MARK: Conversion

    /// Gives a database another schema, keeping what fits. Other transactions of the database wait meanwhile.
    ///
    /// - Parameter completion: called when it is done, with what went wrong; perhaps before `convert` returns
    func convert(_ entry: HostedDatabase, _ schema: DatabaseSchema, completion: @escaping (OVSDBError?) -> Void) {
        let name = entry.database.name
        guard schema.name == name else {
            return completion(
                OVSDBError("invalid parameters", "new schema name (\(schema.name)) does not match database name (\(name))"))
        }
        if entry.isReadOnly || entry.isPinned {
            return completion(
                schema.isEquivalent(to: entry.database.schema)
                    ? nil : OVSDBError("not allowed", "the schema of database \(name) is fixed: this server's own parts rely on it"))
        }
        entry.whenFree { [self] in
            cancelCompaction(entry)
            let old = entry.database
            let conversion = SchemaConversion(
                old, Database(schema: schema, storage: old.storage, limits: limits, uuids: nextGenerator()), limits: limits)
            let finish = { [self] in
                perform {
                    if conversion.failure == nil { take(conversion, entry) }
                    // It was on its file's old content that the others queued up for: the one who asked gets an answer first.
                    completion(conversion.failure)
                    if conversion.failure == nil { disconnectUnaware("committed \(name) database schema conversion") }
                    entry.release()
                }
                background?.perform(.compaction, { conversion.forget() }, done: {})
            }
            entry.hold()
            guard let background else {
                conversion.run()
                return finish()
            }
            // Behind a compaction that was cancelled: both would write the same file.
            background.perform(.compaction, { conversion.run() }, done: finish)
        }
    }

    /// Serves what a conversion has made.
    private func take(_ conversion: SchemaConversion, _ entry: HostedDatabase) {
        guard let database = conversion.database else { return }
        if let log = conversion.log { database.adopt(log) }
        database.onWarning = entry.database.onWarning
        for session in Array(sessions.values) { session.databaseGoes(entry) }
        for waiting in entry.waiting { finish(waiting, nil, entry) }
        entry.replace(database)
        guard hosted[database.name] === entry else { return }
        observe(entry)
        serverTransact([
            "op": "update", "table": "Database", "where": [["name", "==", .string(database.name)] as JSON] as JSON,
            "row": ["schema": .string(database.schemaJSON.text)] as JSON,
        ])
        announce(database.name)
    }

    private func nextGenerator() -> UUIDGenerator { UUIDGenerator(seed: uuids.next().high) }

    // MARK: The `_Server` database

    private func serverTransact(_ operation: JSON) {
        guard let entry = hosted["_Server"] else { return }
        _ = entry.database.execute([operation])
    }

    private func addServerRow(_ database: Database) {
        serverTransact([
            "op": "insert", "table": "Database",
            "row": [
                "name": .string(database.name), "model": "standalone", "connected": true, "leader": true,
                "schema": .string(database.schemaJSON.text),
            ] as JSON,
        ])
    }

    private func removeServerRow(_ name: String) {
        serverTransact(["op": "delete", "table": "Database", "where": [["name", "==", .string(name)] as JSON] as JSON])
    }
}

/// The schema of `_Server` (ovsdb-server(5)).
let serverSchema: DatabaseSchema = {
    let model: JSON = ["key": ["type": "string", "enum": ["set", ["standalone", "clustered", "relay"] as JSON] as JSON] as JSON]
    let optionalUUID: JSON = ["key": "uuid", "min": 0]
    let columns: JSON = [
        "name": ["type": "string"] as JSON, "model": ["type": model] as JSON, "connected": ["type": "boolean"] as JSON,
        "leader": ["type": "boolean"] as JSON, "schema": ["type": ["key": "string", "min": 0] as JSON] as JSON,
        "cid": ["type": optionalUUID] as JSON, "sid": ["type": optionalUUID] as JSON,
        "index": ["type": ["key": "integer", "min": 0] as JSON] as JSON,
    ]
    do throws(OVSDBError) {
        var schema = try DatabaseSchema([
            "name": "_Server", "version": "1.2.0", "tables": ["Database": ["columns": columns] as JSON] as JSON,
        ])
        schema.checksum = schema.computedChecksum
        return schema
    } catch {
        fatalError("the built-in _Server schema is invalid: \(error)")
    }
}()
