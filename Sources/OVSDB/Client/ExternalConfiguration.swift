// The configuration source for a database in another process: the client's side of RFC 7047 and of ovsdb-server's extensions.
//
// A connection begins with the schema, goes on with the lock where one is wanted, and then asks for the monitors, by
// `monitor_cond_since` with the last transaction seen, so that a reconnection costs just what was missed; servers that do not
// know it are asked by `monitor_cond`, then by `monitor`. Nothing here knows of sockets: somebody else connects, and brings and takes
// bytes.

internal import Base

/// A client of an external OVSDB server, for one database.
///
/// ## Thread safety
/// None: one executor makes all calls and gets all callbacks.
public final class ExternalConfiguration: ConfigurationSource {
    /// How the server is asked for updates; each server is asked by the first of these it knows.
    enum Method: String, CaseIterable {
        case since = "monitor_cond_since"
        case conditional = "monitor_cond"
        case plain = "monitor"
    }

    public let database: String
    /// The lock without which nothing is monitored or written; nil if none is wanted.
    public let lock: String?
    /// As the server has it. Only once `onReady` was called.
    public private(set) var schema: DatabaseSchema
    /// Called once, when the schema is known and the lock is held for the first time.
    public var onReady: (() -> Void)?
    /// Receives sentences for the log.
    public var onNote: (String) -> Void = { _ in }
    public private(set) var isReady = false

    private var send: (([UInt8]) -> Void)?
    private(set) var hasLock = false
    private var isSchemaKnown = false
    private var method = Method.since
    private var monitors: [Int: ExternalMonitor] = [:]
    private var nextMonitor = 0
    private var nextRequest: Int64 = 0
    /// What to do with answers, by request.
    private var pending: [Int64: (JSON) throws(OVSDBError) -> Void] = [:]
    /// Transactions under way, which end with the connection.
    private var transactions: [Int64: (TransactionReply) -> Void] = [:]

    public init(database: String, lock: String?) {
        self.database = database
        self.lock = lock
        do throws(OVSDBError) {
            schema = try DatabaseSchema(name: database, tables: [])
        } catch {
            fatalError("an empty schema is invalid: \(error)")
        }
    }

    // MARK: The connection's side

    /// A connection is there; `send` takes what is to be written on it.
    public func connected(send: @escaping ([UInt8]) -> Void) {
        disconnected()
        self.send = send
        method = .since
        begin()
    }

    /// The connection is gone: transactions under way fail, monitors wait for the next one.
    public func disconnected() {
        send = nil
        hasLock = false
        isSchemaKnown = false
        pending = [:]
        for monitor in monitors.values { monitor.isActive = false }
        let failed = transactions
        transactions = [:]
        for id in failed.keys.sorted() {
            failed[id]?(TransactionReply(error: OVSDBError("canceled", "the connection to the database server ended")))
        }
    }

    /// A message came in.
    ///
    /// - Throws: what is wrong with it; the connection is of no use then.
    public func receive(_ message: JSON) throws(OVSDBError) {
        if let method = message["method"]?.string {
            try notified(method, message["params"]?.array ?? [], message["id"])
        } else if let id = message["id"]?.integer {
            if let transaction = transactions.removeValue(forKey: id) {
                finish(transaction, message)
            } else if let next = pending.removeValue(forKey: id) {
                try next(message)
            }
        }
    }

    private func request(_ method: String, _ parameters: JSON, _ answered: @escaping (JSON) throws(OVSDBError) -> Void) {
        nextRequest += 1
        pending[nextRequest] = answered
        send?((["id": .integer(nextRequest), "method": .string(method), "params": parameters] as JSON).bytes)
    }

    // MARK: Beginning

    private func begin() {
        request("get_schema", [.string(database)]) { [unowned self] (reply) throws(OVSDBError) in
            guard let json = reply["result"], !json.isNull else {
                throw OVSDBError("unknown database", "the server does not have database \(database): \(reply["error"]?.text ?? "")")
            }
            schema = try DatabaseSchema(json)
            isSchemaKnown = true
            // Servers before 2.9 do not know it, and do not matter.
            request("set_db_change_aware", [true]) { (_) throws(OVSDBError) in }
            askForLock()
        }
    }

    private func askForLock() {
        guard let lock else { return proceed() }
        request("lock", [.string(lock)]) { [unowned self] (reply) throws(OVSDBError) in
            guard let locked = reply["result"]?["locked"]?.boolean else { throw OVSDBError("protocol error", "no answer to lock \(lock)") }
            if locked { return proceed() }
            onNote("another process holds the lock \(lock) of the database; this switch does nothing until it lets go")
        }
    }

    private func proceed() {
        hasLock = true
        if !isReady {
            isReady = true
            onReady?()
        }
        for number in monitors.keys.sorted() { if let monitor = monitors[number], !monitor.isActive { start(monitor) } }
    }

    // MARK: Notifications

    private func notified(_ method: String, _ parameters: [JSON], _ id: JSON?) throws(OVSDBError) {
        switch method {
        case "echo":
            if let id, !id.isNull { send?((["id": id, "error": .null, "result": .array(parameters)] as JSON).bytes) }
        case "locked":
            guard parameters.first?.string == lock, lock != nil, isSchemaKnown, !hasLock else { return }
            onNote("the lock \(lock!) of the database is held now")
            proceed()
        case "stolen":
            guard parameters.first?.string == lock, lock != nil else { return }
            hasLock = false
            onNote("another process took the lock \(lock!) of the database; this switch changes nothing until it is back")
            // It comes back, if at all, to who asks again.
            request("unlock", [.string(lock!)]) { (_) throws(OVSDBError) in }
            askForLock()
        case "update", "update2", "update3":
            guard let number = parameters.first?.integer, let monitor = monitors[Int(truncatingIfNeeded: number)], monitor.isActive else {
                return
            }
            let position = method == "update3" ? 2 : 1
            guard parameters.count > position else { throw OVSDBError("protocol error", "\(method) without updates") }
            if method == "update3" { monitor.lastTransaction = parameters[1].string ?? ExternalMonitor.noTransaction }
            try monitor.apply(parameters[position], method == "update" ? .rows : .differences, schema, isInitial: false)
        case "monitor_canceled":
            // The database went away or was converted: whatever comes next begins with its schema.
            for monitor in monitors.values { monitor.forget() }
            isSchemaKnown = false
            hasLock = false
            if let lock { request("unlock", [.string(lock)]) { (_) throws(OVSDBError) in } }
            begin()
        default: break
        }
    }

    // MARK: Monitors

    public func monitor(_ tables: [String: [String]?], onChange: @escaping (ConfigurationUpdate) -> Void) -> any ConfigurationMonitor {
        nextMonitor += 1
        let monitor = ExternalMonitor(number: nextMonitor, tables: tables, onChange: onChange) { [weak self] in self?.cancel($0) }
        monitors[nextMonitor] = monitor
        if isSchemaKnown && hasLock { start(monitor) }
        return monitor
    }

    private func cancel(_ monitor: ExternalMonitor) {
        guard monitors.removeValue(forKey: monitor.number) != nil, monitor.isActive else { return }
        request("monitor_cancel", [.integer(Int64(monitor.number))]) { (_) throws(OVSDBError) in }
    }

    private func start(_ monitor: ExternalMonitor) {
        monitor.isActive = true
        let asked = method
        var parameters: [JSON] = [.string(database), .integer(Int64(monitor.number)), monitor.requests(schema)]
        if asked == .since { parameters.append(.string(monitor.lastTransaction)) }
        request(asked.rawValue, .array(parameters)) { [unowned self, unowned monitor] (reply) throws(OVSDBError) in
            if reply["error"]?.string == "unknown method", let simpler = ExternalConfiguration.simpler(than: asked) {
                if method == asked { method = simpler }
                return start(monitor)
            }
            guard let result = reply["result"], !result.isNull else {
                throw OVSDBError("protocol error", "the server refused \(asked.rawValue): \(reply["error"]?.text ?? "no result")")
            }
            guard asked == .since else {
                return try monitor.apply(result, asked == .plain ? .rows : .differences, schema, isInitial: true)
            }
            guard let found = result[0]?.boolean, let last = result[1]?.string, let updates = result[2] else {
                throw OVSDBError("protocol error", "the answer to \(asked.rawValue) is not [<found>, <id>, <updates>]")
            }
            monitor.lastTransaction = last
            try monitor.apply(updates, .differences, schema, isInitial: !found)
        }
    }

    private static func simpler(than method: Method) -> Method? {
        switch method {
        case .since: .conditional
        case .conditional: .plain
        case .plain: nil
        }
    }

    // MARK: Transactions

    public func transact(_ transaction: TransactionBuilder, completion: @escaping (TransactionReply) -> Void) {
        guard send != nil, hasLock else {
            let reason = send == nil ? "there is no connection to the database server" : "the lock \(lock ?? "") is not held"
            return completion(TransactionReply(error: OVSDBError(send == nil ? "canceled" : "not owner", reason)))
        }
        var parameters: [JSON] = [.string(database)]
        // Whoever has lost the lock without knowing it yet must not write.
        if let lock { parameters.append(["op": "assert", "lock": .string(lock)]) }
        parameters.append(contentsOf: transaction.operations)
        nextRequest += 1
        transactions[nextRequest] = completion
        send?((["id": .integer(nextRequest), "method": "transact", "params": .array(parameters)] as JSON).bytes)
    }

    private func finish(_ completion: (TransactionReply) -> Void, _ message: JSON) {
        guard let results = message["result"]?.array else {
            return completion(
                TransactionReply(error: OVSDBError(message["error"]?.string ?? message["error"]?["error"]?.string ?? "canceled")))
        }
        let reply = TransactionReply(results: results)
        // The caller knows nothing of the assertion in front.
        completion(reply.error != nil || lock == nil ? reply : TransactionReply(results: Array(results.dropFirst())))
    }
}
