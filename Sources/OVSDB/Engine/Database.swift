// One database: schema, rows, the log behind it, and who watches.

internal import Base

/// Where committed transactions go before anybody hears of them.
public protocol DatabaseStorage: AnyObject {
    /// Appends one record. On failure nothing of it may remain.
    ///
    /// - Parameter durable: return only when it, and all before it, would survive a crash of the machine
    /// - Throws: "I/O error", with what the system said.
    func append(_ record: JSON, durable: Bool) throws(OVSDBError)
    /// Makes everything appended survive a crash of the machine.
    func synchronize() throws(OVSDBError)
    /// Bytes now and after the last compaction, and transactions since.
    var growth: (bytes: Int, baseBytes: Int, transactions: Int) { get }
    /// Replaces everything by a schema and one record that rebuilds the content.
    func replace(schema: JSON, content: JSON) throws(OVSDBError)
    /// Makes everything appended so far survive a crash of the machine, on whatever thread it is called; what is wrong if it cannot.
    var synchronization: (@Sendable () -> OVSDBError?)? { get }
    /// Takes the last record back, which began at this size.
    func takeBack(to bytes: Int)
    /// A compaction of what is there now, for the background; `adopt` it when it has finished.
    func makeCompaction(limits: DatabaseLimits) -> LogCompaction?
    func adopt(_ compaction: LogCompaction)
}

/// How a transaction ended.
enum TransactionOutcome {
    /// The elements of the reply's result array; what changed, if anything.
    case finished(results: [JSON], changes: ChangeSet?)
    /// A "wait" does not hold yet: try again when the database changes, or when this much time has passed since the request.
    case waiting(timeoutMilliseconds: UInt64?)
    /// It is written, and has to reach the disk before anybody hears of it. Nothing else may run until `Database.finish`.
    case synchronizing(PendingCommit)
}

/// A durable transaction between being written and being on disk. Meanwhile the rows are as they were before it.
final class PendingCommit {
    let synchronize: @Sendable () -> OVSDBError?
    fileprivate let transaction: Transaction
    fileprivate let prepared: Transaction.Prepared
    fileprivate let results: [JSON]
    /// Where its record begins; nil if it has none.
    fileprivate let recordOffset: Int?

    fileprivate init(
        _ transaction: Transaction, _ prepared: Transaction.Prepared, _ results: [JSON], recordOffset: Int?,
        synchronize: @escaping @Sendable () -> OVSDBError?
    ) {
        self.transaction = transaction
        self.prepared = prepared
        self.results = results
        self.recordOffset = recordOffset
        self.synchronize = synchronize
    }
}

/// A database and the engine that runs transactions on it.
///
/// ## Thread safety
/// None: one executor owns a database, its sessions and its monitors.
public final class Database {
    public var name: String { schema.name }
    public private(set) var schema: DatabaseSchema
    /// `schema` with its checksum, and its text, as clients get it.
    let schemaJSON: JSON
    var tables: [Table]
    private var uuids: UUIDGenerator
    let storage: (any DatabaseStorage)?
    let limits: DatabaseLimits
    /// Names the state before the oldest transaction in `history`.
    private(set) var historyBase: UUID
    private(set) var history: [ChangeSet] = []
    private var historyRows = 0
    /// Called after each commit that changed something, before the transaction's own reply.
    var observers: [(ChangeSet) -> Void] = []
    /// Set when something not yet on disk would be lost with the machine.
    private var hasUnsynchronized = false
    /// Set by a compaction that failed: the size of the log from which on the next one is tried.
    private var compactionRetryBytes = 0
    /// Why the last write to storage failed; nil if it did not.
    public private(set) var storageProblem: String?
    /// Receives a sentence for the log when storage work that no client waits for fails.
    public var onWarning: (String) -> Void = { _ in }

    /// An empty database.
    ///
    /// - Parameter storage: nil for a database that lives in memory
    public init(
        schema: DatabaseSchema, storage: (any DatabaseStorage)? = nil, limits: DatabaseLimits = DatabaseLimits(),
        uuids: UUIDGenerator = UUIDGenerator()
    ) {
        self.schema = schema
        schemaJSON = schema.json
        tables = schema.tables.map { Table($0) }
        self.uuids = uuids
        self.storage = storage
        self.limits = limits
        historyBase = .zero
        historyBase = makeUUID()
    }

    func makeUUID() -> UUID { uuids.next() }

    /// Names the present state.
    var lastTransaction: UUID { history.last?.id ?? historyBase }

    /// The rows of a table, in no order.
    public func rows(_ table: String) -> [Row] { schema.table(table).map { Array(tables[$0.index].rows.values) } ?? [] }

    /// The row `uuid` of `table`.
    public func row(_ table: String, _ uuid: UUID) -> Row? { schema.table(table).flatMap { tables[$0.index].rows[uuid] } }

    /// Number of rows in all tables.
    public var rowCount: Int { tables.reduce(0) { $0 + $1.rows.count } }

    // MARK: Transactions

    /// Runs a transaction to its end, or to a "wait" that does not hold yet.
    func execute(_ operations: ArraySlice<JSON>, _ context: TransactionContext = TransactionContext()) -> TransactionOutcome {
        guard operations.count <= limits.operationsPerTransaction else {
            let error = OVSDBError(
                "resources exhausted",
                "transaction has \(operations.count) operations; the limit is \(limits.operationsPerTransaction)")
            return .finished(results: [error.json], changes: nil)
        }
        let transaction = Transaction(self, context)
        var (results, succeeded) = transaction.run(operations)
        guard succeeded else {
            transaction.rollBack()
            if transaction.mustWait { return .waiting(timeoutMilliseconds: transaction.waitMilliseconds) }
            return .finished(results: results, changes: nil)
        }
        do throws(OVSDBError) {
            return try commit(transaction, results, defersSynchronization: context.defersSynchronization)
        } catch {
            transaction.rollBack()
            results.append(error.json)
            return .finished(results: results, changes: nil)
        }
    }

    private func commit(
        _ transaction: Transaction, _ results: [JSON], defersSynchronization: Bool
    ) throws(OVSDBError) -> TransactionOutcome {
        let prepared = try transaction.prepare()
        let offset = storage?.growth.bytes
        let deferred = defersSynchronization && transaction.isDurable ? storage?.synchronization : nil
        var hasRecord = false
        if let storage, !prepared.changes.isEmpty, let record = logRecord(prepared.changes, comment: transaction.comment) {
            hasRecord = true
            try noting { () throws(OVSDBError) in try storage.append(record, durable: transaction.isDurable && deferred == nil) }
            hasUnsynchronized = !transaction.isDurable || deferred != nil
        } else if transaction.isDurable, deferred == nil {
            try synchronize()
        }
        if let deferred, hasUnsynchronized {
            transaction.suspend()
            return .synchronizing(
                PendingCommit(transaction, prepared, results, recordOffset: hasRecord ? offset : nil, synchronize: deferred))
        }
        return .finished(results: results, changes: prepared.changes.isEmpty ? nil : publish(transaction, prepared))
    }

    /// Ends a durable transaction, once `synchronize` has said how it went.
    func finish(_ pending: PendingCommit, _ error: OVSDBError?) -> [JSON] {
        do throws(OVSDBError) {
            try noting { () throws(OVSDBError) in if let error { throw error } }
        } catch {
            if let offset = pending.recordOffset { storage?.takeBack(to: offset) }
            return pending.results + [error.json]
        }
        hasUnsynchronized = false
        pending.transaction.resume()
        if !pending.prepared.changes.isEmpty { _ = publish(pending.transaction, pending.prepared) }
        return pending.results
    }

    /// Writes to storage, and remembers how that went.
    private func noting(_ body: () throws(OVSDBError) -> Void) throws(OVSDBError) {
        do throws(OVSDBError) {
            try body()
            storageProblem = nil
        } catch {
            if storageProblem == nil { onWarning("database \(name): \(error); changes are refused, reading goes on") }
            storageProblem = error.details ?? error.error
            throw error
        }
    }

    private func publish(_ transaction: Transaction, _ prepared: Transaction.Prepared) -> ChangeSet {
        transaction.commit(prepared)
        let changes = ChangeSet(id: makeUUID(), rows: prepared.changes, comment: transaction.comment)
        remember(changes)
        for observer in observers { observer(changes) }
        return changes
    }

    private func synchronize() throws(OVSDBError) {
        guard hasUnsynchronized, let storage else { return }
        try storage.synchronize()
        hasUnsynchronized = false
    }

    private func remember(_ changes: ChangeSet) {
        history.append(changes)
        historyRows += changes.rows.count
        guard history.count > limits.historyTransactions || historyRows > limits.historyRowChanges else { return }
        // Halving keeps the removal's cost constant per transaction.
        let dropped = Swift.max(1, history.count / 2)
        for old in history.prefix(dropped) { historyRows -= old.rows.count }
        historyBase = history[dropped - 1].id
        history.removeFirst(dropped)
    }

    /// The changes since the state `id` names, oldest first; nil if that is not known any more.
    func changes(since id: UUID) -> ArraySlice<ChangeSet>? {
        if id == historyBase { return history[...] }
        guard let index = history.lastIndex(where: { $0.id == id }) else { return nil }
        return history[(index + 1)...]
    }

    // MARK: The log

    /// What the log says about `changes`; nil if all of it is ephemeral.
    func logRecord(_ changes: [RowChange], comment: String?) -> JSON? {
        var byTable: [Int: [(String, JSON)]] = [:]
        for change in changes {
            let table = schema.tables[change.table]
            guard let new = change.new else {
                byTable[change.table, default: []].append((change.uuid.description, .null))
                continue
            }
            var values: [(String, JSON)] = []
            for index in change.changedColumns {
                let column = table.columns[index]
                if column.isEphemeral { continue }
                let value = new.fields[index]
                if let old = change.old, old.fields[index] != table.defaults[index] {
                    values.append((column.name, old.fields[index].difference(to: value, column.type).json(column.type)))
                } else if change.old != nil || value != table.defaults[index] {
                    values.append((column.name, value.json(column.type)))
                }
            }
            if change.old != nil && values.isEmpty { continue }
            byTable[change.table, default: []].append((change.uuid.description, .object(JSONObject(values))))
        }
        guard !byTable.isEmpty else { return nil }
        var members: [(String, JSON)] = byTable.map { (schema.tables[$0.key].name, .object(JSONObject($0.value))) }
        members.append(("_date", .integer(Int64(Clock.wallMilliseconds()))))
        members.append(("_is_diff", true))
        if let comment { members.append(("_comment", .string(comment))) }
        return .object(JSONObject(members))
    }

    /// One record that rebuilds the whole content.
    func contentRecord() -> JSON {
        var members: [(String, JSON)] = []
        for table in tables where !table.rows.isEmpty {
            var rows: [(String, JSON)] = []
            rows.reserveCapacity(table.rows.count)
            for row in table.sortedRows {
                var values: [(String, JSON)] = []
                for column in table.schema.columns
                where !column.isEphemeral && row.fields[column.index] != table.schema.defaults[column.index] {
                    values.append((column.name, row.fields[column.index].json(column.type)))
                }
                rows.append((row.uuid.description, .object(JSONObject(values))))
            }
            members.append((table.schema.name, .object(JSONObject(rows))))
        }
        members.append(("_date", .integer(Int64(Clock.wallMilliseconds()))))
        members.append(("_is_diff", true))
        members.append(("_comment", "compacting database online"))
        return .object(JSONObject(members))
    }

    /// Whether the log has grown out of proportion.
    var isCompactionDue: Bool {
        guard let storage else { return false }
        let growth = storage.growth
        return growth.transactions >= limits.compactionMinimumTransactions && growth.bytes >= limits.compactionMinimumBytes
            && growth.bytes / limits.compactionGrowthFactor >= growth.baseBytes && growth.bytes >= compactionRetryBytes
    }

    /// Says that an automatic compaction has failed, and puts the next one off.
    func compactionFailed(_ error: OVSDBError) {
        compactionRetryBytes = (storage?.growth.bytes ?? 0) * 2
        onWarning("database \(name) could not be compacted: \(error)")
    }

    /// Goes on with the log that a compaction has made.
    func adopt(_ compaction: LogCompaction) {
        storage?.adopt(compaction)
        hasUnsynchronized = false
    }

    /// Rewrites the log if it has grown out of proportion.
    ///
    /// - Returns: whether it did
    @discardableResult
    public func compactIfNeeded() -> Bool {
        guard isCompactionDue else { return false }
        do throws(OVSDBError) {
            try compact()
            return true
        } catch {
            compactionFailed(error)
            return false
        }
    }

    /// Rewrites the log as the schema and the present content.
    public func compact() throws(OVSDBError) {
        try storage?.replace(schema: schemaJSON, content: contentRecord())
        hasUnsynchronized = false
    }
}
