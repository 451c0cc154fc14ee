// One client's connection, without the connection: bytes in, bytes out.

internal import Base

/// The server's side of one JSON-RPC connection (RFC 7047 section 4).
///
/// The owner calls `receive` with what arrives, writes out `takeOutput` whenever `onOutput` says there is some, and lets the session
/// go with `close` when the connection ends. `bufferedOutputBytes` lets it disconnect a client that does not read.
///
/// ## Thread safety
/// None: see `DatabaseServer`.
public final class Session {
    let server: DatabaseServer
    /// For logs: who is at the other end.
    public let name: String
    private var framer: JSONFramer
    private var output: [UInt8] = []
    /// Called when there is output after there was none.
    public var onOutput: (() -> Void)?
    /// Called once when the session closes by itself, with the reason; the owner then drops the connection.
    public var onClose: ((String) -> Void)?
    /// Called once when the server ends the session in good order, with the reason; the owner then drops the connection.
    public var onDisconnect: ((String) -> Void)?
    public private(set) var isClosed = false
    /// Whether this client may only look.
    public var isReadOnly = false
    /// The role of this client, in databases that have rules for roles; empty: no rules.
    public var role = ""
    /// What the client's certificate calls it; nil if it has shown none.
    public var clientName: () -> String? = { nil }
    /// Set by the owner while the peer does not take what was sent to it: monitors then collect, and tell what happened meanwhile
    /// as one update when it is over.
    public var isPeerBehind = false {
        didSet { if oldValue && !isPeerBehind { server.perform { flushMonitors() } } }
    }

    /// Whether any monitor may have collected something.
    var hasCollected = false
    /// By id (JSON text).
    var monitors: [String: Monitor] = [:]
    /// Transactions that wait, by request id (JSON text).
    private var waiting: [String: (transaction: WaitingTransaction, database: HostedDatabase)] = [:]
    private var isChangeAware = false
    /// While a transaction of this session is on its way to the disk: what follows it waits, so that answers keep their order.
    public var isHeld: Bool { heldBy != nil }
    /// The request (JSON text) that all others wait for.
    private var heldBy: String?
    /// Called when `isHeld` is over: the owner, who had better read no more meanwhile, goes on.
    public var onRelease: (() -> Void)?

    /// Milliseconds of silence after which the peer is asked whether it lives, and after as many again given up; 0 never asks.
    public var probeIntervalMilliseconds: UInt64 = 0 { didSet { scheduleProbe() } }
    private var probeTimer: TimerQueue.Token?
    private var isProbing = false

    init(_ server: DatabaseServer, name: String) {
        self.server = server
        self.name = name
        framer = JSONFramer(limits: server.limits)
    }

    // MARK: The owner's side

    /// Takes in what arrived, and answers.
    public func receive(_ bytes: some Collection<UInt8>) {
        server.perform {
            guard !isClosed else { return }
            heardFromPeer()
            framer.append(bytes)
            handleMessages()
        }
    }

    private func handleMessages() {
        do throws(JSONSyntaxError) {
            while !isClosed, !isHeld, let message = try framer.next() {
                handle(message)
                // Nothing is half done here.
                Breath.take()
            }
        } catch {
            close("received invalid JSON: \(error)")
        }
    }

    private func hold(_ request: String) { heldBy = request }

    /// Goes on behind a transaction that was on its way to the disk. Its answer comes first.
    private func release(_ request: String) {
        guard heldBy == request else { return }
        server.later { [self] in
            heldBy = nil
            handleMessages()
            if !isHeld { onRelease?() }
        }
    }

    /// Takes in one message.
    public func receive(_ message: JSON) {
        server.perform {
            guard !isClosed else { return }
            heardFromPeer()
            handle(message)
        }
    }

    /// Bytes waiting in `takeOutput`.
    public var bufferedOutputBytes: Int { output.count }

    /// What is to be written, all of it; the session forgets it.
    public func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    /// Ends the session: monitors, locks and waiting transactions go. Call it when the connection has ended.
    public func close() { if !isClosed { server.perform { shutDown() } } }

    func close(_ reason: String) {
        guard !isClosed else { return }
        shutDown()
        server.later { [self] in onClose?(reason) }
    }

    private func shutDown() {
        isClosed = true
        for monitor in monitors.values { monitor.database.remove(monitor) }
        monitors = [:]
        waiting = [:]
        probeTimer.map(server.cancel)
        server.forget(self)
    }

    // MARK: Sending

    func send(_ message: JSON) {
        flushMonitors()
        send(message.bytes)
    }

    private func send(_ bytes: [UInt8]) {
        guard !isClosed else { return }
        if output.isEmpty {
            output = bytes
            server.markDirty(self)
        } else {
            output.append(contentsOf: bytes)
        }
        if bytes.count >= JSONWriter.largePiece { Breath.take() }
        if output.count > server.limits.outputBytesPerSession {
            output = []
            close("peer does not read: more than \(server.limits.outputBytesPerSession) bytes are waiting for it")
        }
    }

    /// The locks this client has, waits for, and has lost.
    public var locks: (held: [String], waiting: [String], lost: [String]) { server.locks.status(ObjectIdentifier(self)) }

    /// Sends what monitors have collected, so that what comes next does not overtake it.
    func flushMonitors() {
        guard hasCollected else { return }
        hasCollected = false
        for monitor in Array(monitors.values) where !monitor.collected.isEmpty {
            let collected = monitor.collected
            monitor.collected = []
            monitor.collectedRows = 0
            let database = monitor.database.database
            guard let updates = monitor.specification.mergedUpdates(collected[...], database.schema) else { continue }
            notify(monitor, updates: updates.bytes, transaction: collected[collected.count - 1].id)
        }
    }

    func reply(_ id: JSON, _ result: JSON) { send(["error": .null, "id": id, "result": result]) }
    func reply(_ id: JSON, error: JSON) { send(["error": error, "id": id, "result": .null]) }
    func reply(_ id: JSON, _ error: OVSDBError) { reply(id, error: error.json) }

    /// An update for `monitor`, the `<table-updates>` serialized already.
    func notify(_ monitor: Monitor, updates: [UInt8], transaction: UUID) {
        var writer = JSONWriter()
        writer.raw("{\"id\":null,\"method\":")
        writer.write(string: monitor.specification.version.method)
        writer.raw(",\"params\":[")
        writer.raw(monitor.id)
        if monitor.specification.version == .history {
            writer.raw(",")
            writer.write(string: transaction.description)
        }
        writer.raw(",")
        writer.raw(updates)
        writer.raw("]}")
        send(writer.bytes)
    }

    func notifyLock(_ method: String, _ name: String) { send(["id": .null, "method": .string(method), "params": [.string(name)]]) }

    /// Databases have come or gone: a client that does not know that they can finds out by reconnecting.
    func databasesChanged(_ reason: String) {
        if !isChangeAware { disconnect(reason) }
    }

    /// Ends the session in good order: what was answered is still sent.
    func disconnect(_ reason: String) {
        guard !isClosed else { return }
        shutDown()
        server.later { [self] in onDisconnect?(reason) }
    }

    /// A database goes, or gets another schema: nothing can be monitored in it any more.
    func databaseGoes(_ database: HostedDatabase) {
        for (key, monitor) in monitors where monitor.database === database {
            if isChangeAware { flushMonitors() }
            monitors[key] = nil
            database.remove(monitor)
            guard isChangeAware else { continue }
            var writer = JSONWriter()
            writer.raw("{\"id\":null,\"method\":\"monitor_canceled\",\"params\":[")
            writer.raw(monitor.id)
            writer.raw("]}")
            send(writer.bytes)
        }
    }

    // MARK: Probing

    private func scheduleProbe() {
        probeTimer.map(server.cancel)
        probeTimer = nil
        guard probeIntervalMilliseconds > 0, !isClosed else { return }
        probeTimer = server.schedule(afterMilliseconds: probeIntervalMilliseconds) { [weak self] in self?.probe() }
    }

    private func heardFromPeer() {
        isProbing = false
        if probeIntervalMilliseconds > 0 { scheduleProbe() }
    }

    private func probe() {
        // What the peer says while it is held is not looked at.
        guard !isHeld else { return scheduleProbe() }
        guard !isProbing else {
            close("no response to inactivity probe after \(probeIntervalMilliseconds) ms")
            return
        }
        isProbing = true
        send(["id": "echo", "method": "echo", "params": []])
        scheduleProbe()
    }

    // MARK: Receiving

    private func handle(_ message: JSON) {
        guard let methodJSON = message["method"], !methodJSON.isNull else {
            // A reply; the only request a server makes is the probe.
            if message["result"] == nil && message["error"] == nil {
                return close("received bad JSON-RPC message: neither request nor reply")
            }
            if message["id"]?.string != "echo" { close("received unexpected reply message") }
            return
        }
        guard let method = methodJSON.string else { return close("received bad JSON-RPC message: method is not a JSON string") }
        guard let parameters = message["params"]?.array else { return close("received bad JSON-RPC message: params is not a JSON array") }
        guard let id = message["id"], !id.isNull else {
            if method == "cancel", let request = parameters.first { cancel(request) }
            return
        }
        do throws(OVSDBError) {
            try handle(method, parameters, id)
        } catch {
            reply(id, error)
        }
    }

    private func handle(_ method: String, _ parameters: [JSON], _ id: JSON) throws(OVSDBError) {
        switch method {
        case "transact": try transact(parameters, id)
        case "monitor": try startMonitor(.rows, parameters, id)
        case "monitor_cond", "monitor_cond_since", "monitor_cond_change":
            guard server.hasConditionalMonitors else { return reply(id, error: "unknown method") }
            if method == "monitor_cond_change" { return try changeMonitor(parameters, id) }
            try startMonitor(method == "monitor_cond" ? .differences : .history, parameters, id)
        case "monitor_cancel": cancelMonitor(parameters, id)
        case "echo": reply(id, .array(parameters))
        case "get_schema": reply(id, try database(method, parameters).database.schemaJSON)
        case "list_dbs": reply(id, .array(server.databaseNames.map { .string($0) }))
        case "lock", "steal", "unlock": try lock(method, parameters, id)
        case "get_server_id": reply(id, .string(server.serverID.description))
        case "set_db_change_aware":
            guard parameters.count == 1, let aware = parameters[0].boolean else {
                throw .syntax("set_db_change_aware: true or false parameter expected", .array(parameters))
            }
            isChangeAware = aware
            reply(id, .object(JSONObject()))
        case "convert":
            guard parameters.count == 2 else { throw .syntax("array expected", .array(parameters)) }
            convert(try database(method, parameters), try DatabaseSchema(parameters[1]), id)
        default: reply(id, error: "unknown method")
        }
    }

    /// The database the first parameter names.
    func database(_ method: String, _ parameters: [JSON]) throws(OVSDBError) -> HostedDatabase {
        guard let name = parameters.first?.string else {
            throw .syntax("\(method) request params must begin with <db-name>", .array(parameters))
        }
        guard let database = server.hostedDatabase(name) else {
            throw OVSDBError("unknown database", "\(method) request specifies unknown database \(name)", syntax: .array(parameters))
        }
        return database
    }

    // MARK: Transactions

    private func transact(_ parameters: [JSON], _ id: JSON) throws(OVSDBError) {
        let database = try database("transact", parameters)
        let key = id.text
        guard waiting[key] == nil else { throw .syntax("transact: duplicate request ID", .array(parameters)) }
        let mayWait = parameters.contains { $0["op"]?.string == "wait" }
        guard !mayWait || waiting.count < server.limits.waitsPerSession else {
            throw OVSDBError("resources exhausted", "session has \(waiting.count) waiting transactions, the limit")
        }
        let waits = { [weak self] (transaction: WaitingTransaction) in
            guard let self, !self.isClosed else { return }
            self.waiting[key] = (transaction, database)
            self.release(key)
        }
        let transaction = server.transact(database, parameters.dropFirst(), session: self, queued: { hold(key) }, waits: waits) {
            [weak self] results in
            guard let self, !self.isClosed else { return }
            self.waiting[key] = nil
            if let results { self.reply(id, .array(results)) } else if self.isChangeAware { self.reply(id, error: "canceled") }
            self.release(key)
        }
        if let transaction { waiting[key] = (transaction, database) }
    }

    private func convert(_ database: HostedDatabase, _ schema: DatabaseSchema, _ id: JSON) {
        let key = id.text
        hold(key)
        server.convert(database, schema) { [weak self] error in
            guard let self, !self.isClosed else { return }
            if let error { self.reply(id, error) } else { self.reply(id, .object(JSONObject())) }
            self.release(key)
        }
    }

    private func cancel(_ request: JSON) {
        guard let (transaction, database) = waiting.removeValue(forKey: request.text) else { return }
        server.cancel(transaction, database)
        // One that knows of database changes has its answer already.
        if !isChangeAware { reply(request, error: "canceled") }
    }

    // MARK: Locks

    private func lock(_ method: String, _ parameters: [JSON], _ id: JSON) throws(OVSDBError) {
        guard !isReadOnly else { return reply(id, error: "lock and unlock methods not allowed, DB server is read only.") }
        guard parameters.count == 1, let name = parameters[0].string, isIdentifier(name) else {
            throw .syntax("\(method) request params must be <id>", .array(parameters))
        }
        let me = ObjectIdentifier(self)
        if method == "unlock" {
            guard server.locks.isQueued(me, name) else {
                throw .syntax("unlock: \"unlock\" without \"lock\" or \"steal\"", .array(parameters))
            }
            let owner = server.locks.unlock(me, name)
            reply(id, .object(JSONObject()))
            if let owner { server.session(owner)?.notifyLock("locked", name) }
            return
        }
        guard !server.locks.isQueued(me, name) else { throw .syntax("must issue \"unlock\" before new \"\(method)\"", .array(parameters)) }
        guard server.locks.count(me) < server.limits.locksPerSession else {
            throw OVSDBError("resources exhausted", "session holds \(server.limits.locksPerSession) locks, the limit")
        }
        if method == "lock" {
            reply(id, ["locked": .boolean(server.locks.lock(me, name))])
        } else {
            let victim = server.locks.steal(me, name)
            reply(id, ["locked": true])
            if let victim { server.session(victim)?.notifyLock("stolen", name) }
        }
    }
}
