// The configuration source for a database in this process.

/// A monitor of a client in this process.
final class LocalMonitor: ConfigurationMonitor {
    private weak var database: HostedDatabase?
    /// Columns by table index; nil is all.
    private let tables: [Int: Set<Int>?]
    private let onChange: (ConfigurationUpdate) -> Void
    private var isCancelled = false

    init(_ database: HostedDatabase, _ tables: [Int: Set<Int>?], _ onChange: @escaping (ConfigurationUpdate) -> Void) {
        self.database = database
        self.tables = tables
        self.onChange = onChange
    }

    func start(_ server: DatabaseServer) {
        guard let database else { return }
        var changes: [RowChange] = []
        for index in tables.keys.sorted() {
            for row in database.database.tables[index].rows.values {
                changes.append(RowChange(table: index, uuid: row.uuid, old: nil, new: row))
            }
        }
        database.locals.append(self)
        deliver(ConfigurationUpdate(isInitial: true, changes: changes), server)
    }

    func enqueue(_ changes: ChangeSet, _ server: DatabaseServer) {
        let visible = changes.rows.filter { change in
            guard let columns = tables[change.table] else { return false }
            guard let columns, change.old != nil, change.new != nil else { return true }
            return change.changedColumns.contains(where: columns.contains)
        }
        if !visible.isEmpty { deliver(ConfigurationUpdate(isInitial: false, changes: visible), server) }
    }

    private func deliver(_ update: ConfigurationUpdate, _ server: DatabaseServer) {
        server.later { [self] in if !isCancelled { onChange(update) } }
    }

    func cancel() {
        isCancelled = true
        database?.locals.removeAll { $0 === self }
    }
}

/// `ConfigurationSource` over a database of a `DatabaseServer` in this process.
///
/// ## Thread safety
/// None: see `DatabaseServer`.
public final class EmbeddedConfiguration: ConfigurationSource {
    private let server: DatabaseServer
    private let name: String

    /// Nil if the server has no database of that name. Add it with `isPinned`, so that its schema stays.
    public init?(_ server: DatabaseServer, database name: String) {
        guard server.database(name) != nil else { return nil }
        self.server = server
        self.name = name
    }

    public var schema: DatabaseSchema { server.database(name)!.schema }

    public func monitor(_ tables: [String: [String]?], onChange: @escaping (ConfigurationUpdate) -> Void) -> any ConfigurationMonitor {
        let hosted = server.hostedDatabase(name)!
        var byIndex: [Int: Set<Int>?] = [:]
        for (name, columns) in tables {
            guard let table = schema.table(name) else { continue }
            byIndex[table.index] = .some(columns.map { Set($0.compactMap { table.column($0)?.index }) })
        }
        let monitor = LocalMonitor(hosted, byIndex, onChange)
        server.perform { monitor.start(server) }
        return monitor
    }

    public func transact(_ transaction: TransactionBuilder, completion: @escaping (TransactionReply) -> Void) {
        let hosted = server.hostedDatabase(name)!
        server.perform {
            server.transact(hosted, transaction.operations[...], session: nil) { [server] results in
                let reply = results.map { TransactionReply(results: $0) } ?? TransactionReply(error: OVSDBError("canceled"))
                server.later { completion(reply) }
            }
        }
    }
}
