// What a monitor wants to see, parsed from monitor, monitor_cond and monitor_cond_since requests
// (RFC 7047 section 4.1.5 and ovsdb-server's extensions).

/// Which notifications a monitor gets.
enum MonitorVersion: Int {
    /// "update": old and new values (RFC 7047).
    case rows = 1
    /// "update2": differences.
    case differences = 2
    /// "update3": differences, with the transaction's name.
    case history = 3

    var method: String {
        switch self {
        case .rows: "update"
        case .differences: "update2"
        case .history: "update3"
        }
    }
}

/// Kinds of row updates a monitor may leave out.
struct MonitorSelect: OptionSet {
    var rawValue: UInt8
    static let initial = MonitorSelect(rawValue: 1)
    static let insert = MonitorSelect(rawValue: 2)
    static let delete = MonitorSelect(rawValue: 4)
    static let modify = MonitorSelect(rawValue: 8)
    static let all: MonitorSelect = [.initial, .insert, .delete, .modify]
}

/// One table of a monitor.
struct MonitoredTable {
    let table: Int
    var columns: [(column: ColumnSchema, select: MonitorSelect)] = []
    /// What any of the columns selects.
    var select: MonitorSelect = []
    /// Alternatives: a row is seen if one holds, or if there are none.
    var condition: [Clause] = []
    /// The alternatives' text, to tell equal monitors.
    var conditionText = ""
    /// Columns any condition has named so far: of a row that stays in sight they are told to have changed, though not what to.
    var conditionColumns: Set<Int> = []

    mutating func noteConditionColumns() {
        for case .comparison(let column, _, _) in condition { conditionColumns.insert(column) }
    }

    /// Whether the monitor sees `row`.
    func sees(_ row: Row) -> Bool { condition.isEmpty || condition.contains { $0.holds(row) } }

    static func condition(_ json: JSON, _ table: TableSchema) throws(OVSDBError) -> [Clause] {
        guard case .array(let elements) = json else { throw .syntax("array expected", json) }
        var clauses: [Clause] = []
        for element in elements { clauses.append(try Clause(element, table, nil)) }
        return clauses
    }
}

/// All tables of a monitor, with what tells it from others.
struct MonitorSpecification {
    let version: MonitorVersion
    /// By table index.
    var tables: [Int: MonitoredTable] = [:]

    /// Parses `<monitor-requests>`.
    init(_ json: JSON, version: MonitorVersion, schema: DatabaseSchema) throws(OVSDBError) {
        self.version = version
        guard case .object(let requests) = json else { throw .syntax("monitor-requests must be object", json) }
        for (name, value) in requests.members {
            guard let table = schema.table(name) else { throw .syntax("no table named \(name)") }
            var monitored = MonitoredTable(table: table.index)
            // RFC 7047 wants an array of requests; one alone is accepted as well.
            let list: [JSON]
            if case .array(let elements) = value { list = elements } else { list = [value] }
            var seen: Set<Int> = []
            for request in list { try monitored.add(request, table, version, &seen) }
            tables[table.index] = monitored
        }
    }

    /// Equal for monitors that always get the same updates.
    var key: String {
        var text = "\(version.rawValue)"
        for (index, table) in tables.sorted(by: { $0.key < $1.key }) {
            text += "|\(index)"
            for (column, select) in table.columns { text += ",\(column.index):\(select.rawValue)" }
            text += table.conditionText
            for column in table.conditionColumns.sorted() { text += ";\(column)" }
        }
        return text
    }
}

extension MonitoredTable {
    fileprivate mutating func add(_ json: JSON, _ table: TableSchema, _ version: MonitorVersion, _ seen: inout Set<Int>) throws(OVSDBError)
    {
        let what = "table \(table.name)"
        guard case .object = json else { throw .syntax("Parsing \(what) failed: Object expected.") }
        var members = MemberReader(json, name: what)
        let whereJSON = version == .rows ? nil : try members.optional("where", .array)
        let columnsJSON = try members.optional("columns", .array)
        let selectJSON = try members.optional("select", .object)
        try members.finish()
        var select = MonitorSelect.all
        if let selectJSON {
            var flags = MemberReader(selectJSON, name: "\(what) select")
            for (name, flag) in [("initial", MonitorSelect.initial), ("insert", .insert), ("delete", .delete), ("modify", .modify)]
                as [(StaticString, MonitorSelect)]
            {
                if try flags.optional(name, .boolean)?.boolean == false { select.remove(flag) }
            }
            try flags.finish()
        }
        self.select.formUnion(select)
        for column in try named(columnsJSON, table) {
            guard seen.insert(column.index).inserted else {
                throw .syntax("column \(column.name) mentioned more than once", columnsJSON)
            }
            columns.append((column, select))
        }
        if let whereJSON {
            condition.append(contentsOf: try MonitoredTable.condition(whereJSON, table))
            conditionText += whereJSON.text
            noteConditionColumns()
        }
    }

    private func named(_ json: JSON?, _ table: TableSchema) throws(OVSDBError) -> [ColumnSchema] {
        guard let elements = json?.array else { return table.columns + [.version] }
        var columns: [ColumnSchema] = []
        var names: Set<String> = []
        for element in elements {
            guard case .string(let name) = element else { throw .syntax("array of column names expected", json) }
            guard let column = table.column(name) else { throw .syntax("\(name) is not a valid column name", json) }
            guard names.insert(name).inserted else { throw .syntax("column \(name) mentioned more than once", json) }
            columns.append(column)
        }
        return columns
    }
}
