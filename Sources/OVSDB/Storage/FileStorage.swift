// A database in a file: creating, opening, taking over, converting.

internal import Glibc

/// The log file behind a database, with its lock.
///
/// ## Thread safety
/// None: the database's executor owns it.
public final class FileStorage: DatabaseStorage {
    private let lock: LockFile
    private let log: LogFile
    private var baseBytes = 0
    private var transactions = 0
    public var path: String { log.path }

    private init(lock: LockFile, log: LogFile) {
        self.lock = lock
        self.log = log
    }

    public func append(_ record: JSON, durable: Bool) throws(OVSDBError) {
        try log.append(record, synchronize: durable)
        transactions += 1
    }
    public func synchronize() throws(OVSDBError) { try log.synchronize() }
    public var growth: (bytes: Int, baseBytes: Int, transactions: Int) { (log.endOffset, baseBytes, transactions) }

    public var synchronization: (@Sendable () -> OVSDBError?)? { { [file = log.file, path = log.path] in LogFile.synchronize(file, path) } }
    public func takeBack(to bytes: Int) {
        log.cut(to: bytes)
        transactions -= 1
    }
    public func makeCompaction(limits: DatabaseLimits) -> LogCompaction? {
        LogCompaction(of: log.file, path: log.path, until: log.endOffset, transactions: transactions, limits: limits)
    }
    public func adopt(_ compaction: LogCompaction) {
        guard let fresh = compaction.fresh else { return }
        log.adopt(fresh)
        baseBytes = compaction.contentBytes
        transactions -= compaction.transactions
    }

    public func replace(schema: JSON, content: JSON) throws(OVSDBError) {
        try log.replace(by: [schema, content])
        baseBytes = log.endOffset
        transactions = 0
    }

    /// What opening a file found.
    public struct Opened {
        public let database: Database
        /// Sentences for the log: a torn tail that was cut, a conversion, rows dropped.
        public let warnings: [String]
        /// Whether the file did not exist before.
        public let isNew: Bool
    }

    /// Opens a database file, or creates it.
    ///
    /// - Parameters:
    ///   - schema: the schema this server needs. A file with an older one is converted, one with columns or tables this
    ///     schema lacks is refused. Nil serves the file with the schema it has.
    ///   - creating: whether a missing file is created (needs `schema`)
    /// - Throws: what is wrong with the file; it has not been touched then.
    public static func open(
        path given: String, schema: DatabaseSchema?, creating: Bool = true, limits: DatabaseLimits = DatabaseLimits(),
        uuids: UUIDGenerator = UUIDGenerator()
    ) throws(StorageError) -> Opened {
        // The lock belongs to the file itself, whatever name it was given by.
        let path = resolvingLinks(given)
        let lock = try LockFile(for: path)
        var status = stat()
        if stat(path, &status) != 0 && errno == ENOENT {
            guard creating, let schema else { throw .system("\(given): no such database file") }
            let log = try LogFile(creating: path, recordLimit: limits.logRecordBytes)
            let storage = FileStorage(lock: lock, log: log)
            let database = Database(schema: schema, storage: storage, limits: limits, uuids: uuids)
            do throws(OVSDBError) {
                try log.append(database.schemaJSON, synchronize: true)
            } catch {
                unlink(path)
                throw .system("\(given): cannot write the new database: \(error.details ?? error.error)")
            }
            LogFile.synchronizeDirectory(of: path)
            storage.baseBytes = log.endOffset
            return Opened(database: database, warnings: [], isNew: true)
        }
        return try openExisting(path, given, lock, schema, limits, uuids)
    }

    private static func openExisting(
        _ path: String, _ given: String, _ lock: LockFile, _ wanted: DatabaseSchema?, _ limits: DatabaseLimits, _ uuids: UUIDGenerator
    ) throws(StorageError) -> Opened {
        let log = try LogFile(reading: path, name: given, recordLimit: limits.logRecordBytes)
        let storage = FileStorage(lock: lock, log: log)
        var warnings: [String] = []
        var loaded: Database?
        let restart = {
            loaded = nil
            storage.transactions = 0
        }
        let tail = try log.readAll(restart: restart) { (record: JSON) throws(OVSDBError) in
            guard let database = loaded else {
                loaded = Database(schema: try DatabaseSchema(record), storage: storage, limits: limits, uuids: uuids)
                return
            }
            try database.replay(record)
            storage.transactions += 1
        }
        guard let source = loaded else { throw .corrupt("\(path): file holds no schema") }
        if log.isReadOnly { warnings.append("\(path): read-only; it is served, and every change will be refused") }
        if let tail { warnings.append("\(path): \(tail); everything before it was read, the rest will be cut off") }
        storage.baseBytes = log.endOffset
        let problem: OVSDBError
        do throws(OVSDBError) {
            let dropped = try source.finishReplay()
            if dropped > 0 { warnings.append("\(path): dropped \(dropped) rows that nothing refers to") }
            guard let wanted, !wanted.isEquivalent(to: source.schema) else {
                return Opened(database: source, warnings: warnings, isNew: false)
            }
            if let reason = wanted.reasonNotToConvert(from: source.schema) { throw OVSDBError("schema", reason) }
            let database = Database(schema: wanted, storage: storage, limits: limits, uuids: uuids)
            try database.adopt(source)
            try database.compact()
            warnings.append("\(path): converted from schema version \(source.schema.version) to \(wanted.version)")
            return Opened(database: database, warnings: warnings, isNew: false)
        } catch {
            problem = error
        }
        if problem.error == "schema" { throw .schemaMismatch("\(path): \(problem.details ?? "")") }
        if problem.error == "I/O error" { throw .system("\(path): cannot convert the database: \(problem.details ?? "")") }
        throw .corrupt("\(path): content breaks its schema: \(problem)")
    }
}

extension DatabaseSchema {
    /// Why a database of schema `old` cannot be taken over without losing something; nil if it can.
    public func reasonNotToConvert(from old: DatabaseSchema) -> String? {
        guard old.name == name else { return "file holds database \(old.name), this server needs \(name)" }
        for table in old.tables {
            guard let mine = self.table(table.name) else {
                return "file has schema version \(old.version) with table \(table.name), which version \(version) lacks"
            }
            for column in table.columns where mine.column(column.name) == nil {
                return
                    "file has schema version \(old.version) with column \(column.name) in table \(table.name), which version \(version) lacks"
            }
        }
        return nil
    }
}
