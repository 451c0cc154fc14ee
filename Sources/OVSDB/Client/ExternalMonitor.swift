// A monitor of an external server: the rows it has shown, and what updates make of them.

/// One monitor. It outlives connections.
final class ExternalMonitor: ConfigurationMonitor {
    static let noTransaction = UUID.zero.description

    let number: Int
    /// Columns by table; nil is all.
    private let tables: [String: [String]?]
    private let onChange: (ConfigurationUpdate) -> Void
    private let cancelled: (ExternalMonitor) -> Void
    /// Whether the present connection's server has been asked for it.
    var isActive = false
    /// What the server called the newest transaction seen.
    var lastTransaction = ExternalMonitor.noTransaction
    private var rows: [String: [UUID: Row]] = [:]
    private var shared: [String: SharedTableSchema] = [:]

    init(
        number: Int, tables: [String: [String]?], onChange: @escaping (ConfigurationUpdate) -> Void,
        cancelled: @escaping (ExternalMonitor) -> Void
    ) {
        self.number = number
        self.tables = tables
        self.onChange = onChange
        self.cancelled = cancelled
    }

    func cancel() { cancelled(self) }

    /// Another schema may come: what was seen says nothing any more.
    func forget() {
        isActive = false
        lastTransaction = ExternalMonitor.noTransaction
        shared = [:]
    }

    /// `<monitor-requests>` for what the schema has of what is wanted.
    func requests(_ schema: DatabaseSchema) -> JSON {
        var members: [(String, JSON)] = []
        for (name, columns) in tables {
            guard let table = schema.table(name) else { continue }
            let names = columns?.filter { table.column($0) != nil } ?? table.columns.map(\.name)
            members.append((name, .array([["columns": .array(names.map { .string($0) })] as JSON])))
        }
        return .object(JSONObject(members))
    }

    /// Takes in `<table-updates>` and tells what changed.
    ///
    /// - Parameter isInitial: whether they are the whole content
    /// - Throws: what the server got wrong; nothing has been taken in then
    func apply(_ updates: JSON, _ version: MonitorVersion, _ schema: DatabaseSchema, isInitial: Bool) throws(OVSDBError) {
        guard let byTable = updates.object else { throw OVSDBError("protocol error", "updates are not an object") }
        var fresh = isInitial ? [:] : rows
        var changes: [RowChange] = []
        for (name, tableUpdates) in byTable.members {
            guard let table = schema.table(name), let byRow = tableUpdates.object else {
                throw OVSDBError("protocol error", "an update of table \(name), which is unknown or not an object")
            }
            let shape = shared[name] ?? SharedTableSchema(table)
            shared[name] = shape
            for (key, update) in byRow.members {
                guard let uuid = UUID(key) else { throw OVSDBError("protocol error", "\(key) in table \(name) is no UUID") }
                let old = fresh[name]?[uuid]
                let new = try version == .rows ? row(update, uuid, shape, old) : differing(update, uuid, shape, old)
                fresh[name, default: [:]][uuid] = new
                if old != nil || new != nil { changes.append(RowChange(table: table.index, uuid: uuid, old: old, new: new)) }
            }
        }
        rows = fresh
        if isInitial || !changes.isEmpty { onChange(ConfigurationUpdate(isInitial: isInitial, changes: changes)) }
    }

    /// From `<row-update>`.
    private func row(_ update: JSON, _ uuid: UUID, _ shape: SharedTableSchema, _ old: Row?) throws(OVSDBError) -> Row? {
        guard let values = update["new"]?.object else { return nil }
        let row = Row(shape, uuid: uuid, version: .zero, fields: old?.fields ?? shape.schema.defaults)
        for (name, value) in values.members {
            guard let column = shape.schema.column(name), column.index >= 0 else { continue }
            row.fields[column.index] = try Datum(value, column.type, checked: false)
        }
        return row
    }

    /// From `<row-update2>`.
    private func differing(_ update: JSON, _ uuid: UUID, _ shape: SharedTableSchema, _ old: Row?) throws(OVSDBError) -> Row? {
        guard let (kind, body) = update.object?.members.first else { throw OVSDBError("protocol error", "an empty row update") }
        if kind == "delete" { return nil }
        guard let values = body.object else { throw OVSDBError("protocol error", "a row update that is no object") }
        if kind == "modify" && old == nil { throw OVSDBError("protocol error", "a change of row \(uuid), which was never told") }
        let row = Row(shape, uuid: uuid, version: .zero, fields: kind == "modify" ? old!.fields : shape.schema.defaults)
        for (name, value) in values.members {
            guard let column = shape.schema.column(name), column.index >= 0 else { continue }
            guard kind == "modify" else {
                row.fields[column.index] = try Datum(value, column.type, checked: false)
                continue
            }
            // A difference may hold more elements than the column may.
            var loose = column.type
            loose.min = 0
            if loose.isMap || loose.max > 1 { loose.max = .max }
            let difference = try Datum(value, loose, checked: false)
            row.fields[column.index] = row.fields[column.index].applying(difference: difference, column.type)
        }
        return row
    }
}
