// The one interface through which the switch reads its configuration and writes its status.
//
// Two implementations: `EmbeddedConfiguration`, for a database in this process, and a client of another process's server. The
// switch cannot tell them apart, so each half can be run and tested against the other half of another installation.

/// A set of row changes, as a monitor's callback gets it.
public struct ConfigurationUpdate {
    /// The monitor's first call, with every row as an insert. Comes again when the source had to start over (a reconnection).
    public let isInitial: Bool
    /// No row twice; only tables and columns the monitor asked for.
    public let changes: [RowChange]
}

/// A monitor; it ends when `cancel` is called.
public protocol ConfigurationMonitor: AnyObject {
    func cancel()
}

/// The outcome of a transaction.
public struct TransactionReply: Sendable {
    /// One element an operation, as in RFC 7047 section 4.1.3.
    public let results: [JSON]
    /// The first error, if there was one: then nothing has been changed.
    public let error: OVSDBError?

    public init(results: [JSON]) {
        self.results = results
        var found: OVSDBError?
        for result in results {
            guard let text = result["error"]?.string else { continue }
            found = OVSDBError(text, result["details"]?.string)
            break
        }
        error = found
    }
    public init(error: OVSDBError) {
        results = []
        self.error = error
    }

    /// The rows of the "select" that was operation `index`.
    public func rows(_ index: Int) -> [JSON] { results.indices.contains(index) ? results[index]["rows"]?.array ?? [] : [] }
    /// How many rows the "update", "mutate" or "delete" that was operation `index` matched.
    public func count(_ index: Int) -> Int64 { results.indices.contains(index) ? results[index]["count"]?.integer ?? 0 : 0 }
}

/// Monitor and transact: what the switch needs of an OVSDB database.
///
/// ## Thread safety
/// One executor makes all calls and gets all callbacks.
public protocol ConfigurationSource: AnyObject {
    /// The schema of the database as it is served.
    var schema: DatabaseSchema { get }

    /// Watches tables. `onChange` is called with the present content first (before `monitor` returns if the content is at hand),
    /// then after every commit that changes something in sight. A callback may call `transact`.
    ///
    /// - Parameter tables: columns by table name; nil means all columns. Tables and columns the schema lacks are left out.
    func monitor(_ tables: [String: [String]?], onChange: @escaping (ConfigurationUpdate) -> Void) -> any ConfigurationMonitor

    /// Runs a transaction. `completion` is called once, after the callbacks for what it changed.
    func transact(_ transaction: TransactionBuilder, completion: @escaping (TransactionReply) -> Void)
}

/// A copy of the monitored rows, kept up to date by a monitor's callback.
///
/// Rows are shared with the source, not copied.
public final class ConfigurationReplica {
    private var tables: [String: [UUID: Row]] = [:]

    public init() {}

    public func apply(_ update: ConfigurationUpdate) {
        if update.isInitial { tables = [:] }
        for change in update.changes {
            guard let name = (change.new ?? change.old)?.table.name else { continue }
            tables[name, default: [:]][change.uuid] = change.new
        }
    }

    /// All rows of a table, in the order of their UUIDs (so that passes over them are reproducible).
    public func rows(_ table: String) -> [Row] { (tables[table] ?? [:]).values.sorted { $0.uuid < $1.uuid } }
    public func row(_ table: String, _ uuid: UUID) -> Row? { tables[table]?[uuid] }
    /// The rows a column of references names, in the order of their UUIDs; references out of sight are left out.
    public func rows(_ table: String, _ uuids: [UUID]) -> [Row] { uuids.compactMap { tables[table]?[$0] } }
    /// The first row whose `column` is `value`.
    public func row(_ table: String, where column: String, is value: String) -> Row? {
        tables[table]?.values.first { $0[column].string == value }
    }
    public func count(_ table: String) -> Int { tables[table]?.count ?? 0 }
}
