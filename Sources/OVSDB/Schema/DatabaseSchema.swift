// Schemas (RFC 7047 section 3.2): a database's tables, their columns, and what must hold.

/// One column of a table.
public struct ColumnSchema: Hashable, Sendable {
    public var name: String
    public var type: ColumnType
    /// Whether it may change after the insert.
    public var isMutable = true
    /// Whether it is left out of the log file.
    public var isEphemeral = false
    /// Position among the table's columns, which are sorted by name; `_uuid` and `_version` have negative ones.
    public internal(set) var index = 0

    public init(_ name: String, _ type: ColumnType, isMutable: Bool = true, isEphemeral: Bool = false) {
        self.name = name
        self.type = type
        self.isMutable = isMutable
        self.isEphemeral = isEphemeral
    }

    static let uuidIndex = -1
    static let versionIndex = -2
    /// The row's name.
    public static let uuid = special("_uuid", uuidIndex)
    /// Changes with every change of the row.
    public static let version = special("_version", versionIndex)

    private static func special(_ name: String, _ index: Int) -> ColumnSchema {
        var column = ColumnSchema(name, ColumnType(BaseType(.uuid)), isMutable: false)
        column.index = index
        return column
    }

    init(_ json: JSON, name: String) throws(OVSDBError) {
        guard case .object = json else { throw .syntax("Parsing schema for column \(name) failed: Object expected.") }
        var members = MemberReader(json, name: "schema for column \(name)")
        isMutable = try members.optional("mutable", .boolean)?.boolean ?? true
        isEphemeral = try members.optional("ephemeral", .boolean)?.boolean ?? false
        type = try ColumnType(try members.required("type", .any))
        self.name = name
        try members.finish()
    }

    public var json: JSON {
        var members: [(String, JSON)] = [("type", type.json)]
        if !isMutable { members.append(("mutable", false)) }
        if isEphemeral { members.append(("ephemeral", true)) }
        return .object(JSONObject(members))
    }
}

/// One table of a database.
public struct TableSchema: Sendable {
    public var name: String
    /// Sorted by name; `columns[i].index == i`.
    public private(set) var columns: [ColumnSchema]
    /// Nil is "no limit".
    public var maxRows: Int?
    /// Whether rows live without being referred to.
    public internal(set) var isRoot: Bool
    /// Sets of columns (by index) whose values together differ from row to row.
    public private(set) var indexes: [[Int]]
    /// Position among the database's tables.
    public internal(set) var index = 0
    private let positions: [String: Int]
    /// Columns that hold references, for the work at commit.
    public internal(set) var strongColumns: [Int] = []
    public internal(set) var weakColumns: [Int] = []
    private(set) var strongColumnsInFieldOrder: [Int] = []
    /// All columns (by index, `_uuid` and `_version` among them) in the field's order.
    let fieldOrder: [Int]
    /// Defaults of a new row.
    let defaults: [Datum]
    /// Columns whose default their own constraints forbid: an insert has to give them.
    let columnsWithoutDefault: [Int]

    /// - Parameter indexes: by column name
    public init(
        _ name: String, columns unsorted: [ColumnSchema], isRoot: Bool = false, maxRows: Int? = nil, indexes: [[String]] = []
    ) throws(OVSDBError) {
        self.name = name
        self.isRoot = isRoot
        self.maxRows = maxRows
        var columns = unsorted.sorted { utf8Precedes($0.name, $1.name) }
        var positions: [String: Int] = [:]
        for position in columns.indices {
            columns[position].index = position
            positions[columns[position].name] = position
        }
        guard positions.count == columns.count else { throw .syntax("table \(name) has two columns of one name") }
        self.columns = columns
        self.positions = positions
        let inserted = ["_uuid", "_version"] + FieldOrder.positions(columns.map(\.name)).map { columns[$0].name }
        fieldOrder = FieldOrder.positions(inserted).map {
            $0 == 0 ? ColumnSchema.uuidIndex : $0 == 1 ? ColumnSchema.versionIndex : positions[inserted[$0]]!
        }
        defaults = columns.map(\.type.defaultDatum)
        columnsWithoutDefault = fieldOrder.filter { index in
            guard index >= 0 else { return false }
            do throws(OVSDBError) {
                try columns[index].type.defaultDatum.check(columns[index].type)
                return false
            } catch {
                return true
            }
        }
        self.indexes = []
        for names in indexes {
            var columns: [Int] = []
            for name in names {
                guard let position = positions[name] else {
                    throw .syntax("\(name) is not a valid column name", .array(names.map { .string($0) }))
                }
                columns.append(position)
            }
            self.indexes.append(columns)
        }
    }

    /// The column `name`, also `_uuid` and `_version`.
    public func column(_ name: String) -> ColumnSchema? {
        if let position = positions[name] { return columns[position] }
        switch name {
        case "_uuid": return .uuid
        case "_version": return .version
        default: return nil
        }
    }

    init(_ json: JSON, name: String) throws(OVSDBError) {
        let what = "table schema for table \(name)"
        guard case .object = json else { throw .syntax("Parsing \(what) failed: Object expected.") }
        var members = MemberReader(json, name: what)
        guard case .object(let given) = try members.required("columns", .object) else { throw .syntax("columns must be an object", json) }
        let maxRows = try members.optional("maxRows", .integer)?.integer
        let isRoot = try members.optional("isRoot", .boolean)?.boolean ?? false
        let indexes = try members.optional("indexes", .array)?.array ?? []
        try members.finish()
        if let maxRows, maxRows <= 0 { throw .syntax("maxRows must be at least 1", json) }
        guard !given.isEmpty else { throw .syntax("table must have at least one column", json) }
        var columns: [ColumnSchema] = []
        for (name, value) in given.members {
            guard !name.utf8.starts(with: "_".utf8) else { throw .syntax("names beginning with \"_\" are reserved", json) }
            guard isIdentifier(name) else { throw .syntax("name must be a valid id", json) }
            columns.append(try ColumnSchema(value, name: name))
        }
        var indexNames: [[String]] = []
        for index in indexes {
            guard case .array(let elements) = index, !elements.isEmpty else {
                throw .syntax("array of distinct column names expected", index)
            }
            var names: [String] = []
            for element in elements {
                guard case .string(let name) = element, !names.contains(name) else {
                    throw .syntax("array of distinct column names expected", index)
                }
                guard let column = columns.first(where: { $0.name == name }) else {
                    throw .syntax("\(name) is not a valid column name", index)
                }
                guard !column.isEphemeral else { throw .syntax("ephemeral columns (such as \(name)) may not be indexed", json) }
                names.append(name)
            }
            indexNames.append(names)
        }
        try self.init(name, columns: columns, isRoot: isRoot, maxRows: maxRows.map { Int($0) }, indexes: indexNames)
    }

    func json(defaultIsRoot: Bool) -> JSON {
        var members: [(String, JSON)] = [
            ("columns", .object(JSONObject(columns.map { ($0.name, $0.json) })))
        ]
        if let maxRows { members.append(("maxRows", .integer(Int64(maxRows)))) }
        if isRoot && !defaultIsRoot { members.append(("isRoot", true)) }
        if !indexes.isEmpty {
            members.append(("indexes", .array(indexes.map { .array($0.map { .string(columns[$0].name) }) })))
        }
        return .object(JSONObject(members))
    }

    mutating func resolveReferences(_ tables: [String: Int]) throws(OVSDBError) {
        strongColumns = []
        weakColumns = []
        for position in columns.indices {
            let name = columns[position].name
            try TableSchema.resolve(&columns[position].type.key, "column \(name) key", tables)
            if columns[position].type.value != nil {
                try TableSchema.resolve(&columns[position].type.value!, "column \(name) value", tables)
            }
            let type = columns[position].type
            if type.key.isStrongReference || type.value?.isStrongReference == true { strongColumns.append(position) }
            if type.key.isWeakReference || type.value?.isWeakReference == true { weakColumns.append(position) }
        }
        strongColumnsInFieldOrder = fieldOrder.filter(strongColumns.contains)
    }

    private static func resolve(_ type: inout BaseType, _ what: String, _ tables: [String: Int]) throws(OVSDBError) {
        guard let name = type.refTable else { return }
        guard let index = tables[name] else { throw .syntax("\(what) refers to undefined table \(name)") }
        type.refTableIndex = index
    }
}

/// A database's schema.
public struct DatabaseSchema: Sendable {
    public var name: String
    /// "x.y.z"; empty if the schema has none.
    public var version: String
    /// Free text, by habit "CRC length"; empty if the schema has none.
    public var checksum: String
    /// Sorted by name; `tables[i].index == i`.
    public private(set) var tables: [TableSchema]
    private let positions: [String: Int]
    /// Set when no table says `isRoot`: then all are root tables (RFC 7047 section 3.2), and none says so in JSON.
    private let allRootByDefault: Bool

    public init(name: String, version: String = "", checksum: String = "", tables unsorted: [TableSchema]) throws(OVSDBError) {
        self.name = name
        self.version = version
        self.checksum = checksum
        tables = unsorted.sorted { utf8Precedes($0.name, $1.name) }
        allRootByDefault = !tables.contains { $0.isRoot }
        var positions: [String: Int] = [:]
        for index in tables.indices {
            tables[index].index = index
            positions[tables[index].name] = index
            if allRootByDefault { tables[index].isRoot = true }
        }
        guard positions.count == tables.count else { throw .syntax("schema \(name) has two tables of one name") }
        self.positions = positions
        for index in tables.indices { try tables[index].resolveReferences(positions) }
    }

    public func table(_ name: String) -> TableSchema? { positions[name].map { tables[$0] } }

    /// Parses `<database-schema>`.
    public init(_ json: JSON) throws(OVSDBError) {
        guard case .object = json else { throw .syntax("Parsing database schema failed: Object expected.") }
        var members = MemberReader(json, name: "database schema")
        let name = try members.required("name", .identifier).string!
        let version = try members.optional("version", .string)?.string ?? ""
        let checksum = try members.optional("cksum", .string)?.string ?? ""
        let given = try members.required("tables", .object).object!
        try members.finish()
        if !version.isEmpty {
            let parts = version.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } }) else {
                throw .syntax("schema version \"\(version)\" not in format x.y.z", json)
            }
        }
        var tables: [TableSchema] = []
        for (name, value) in given.members {
            guard !name.utf8.starts(with: "_".utf8) else { throw .syntax("names beginning with \"_\" are reserved", json) }
            guard isIdentifier(name) else { throw .syntax("name must be a valid id", json) }
            tables.append(try TableSchema(value, name: name))
        }
        try self.init(name: name, version: version, checksum: checksum, tables: tables)
    }

    /// `<database-schema>`, with "cksum" where there is one.
    public var json: JSON {
        var members: [(String, JSON)] = [("name", .string(name)), ("tables", tablesJSON)]
        if !version.isEmpty { members.append(("version", .string(version))) }
        if !checksum.isEmpty { members.append(("cksum", .string(checksum))) }
        return .object(JSONObject(members))
    }

    private var tablesJSON: JSON {
        .object(JSONObject(tables.map { ($0.name, $0.json(defaultIsRoot: allRootByDefault)) }))
    }

    /// Whether the two have the same tables with the same columns and constraints, whatever their versions.
    public func isEquivalent(to other: DatabaseSchema) -> Bool { name == other.name && tablesJSON == other.tablesJSON }

    /// POSIX `cksum` of the schema's compact text without "cksum" itself: "CRC length".
    public var computedChecksum: String {
        var plain = self
        plain.checksum = ""
        let bytes = plain.json.bytes
        return "\(posixChecksum(bytes)) \(bytes.count)"
    }
}

/// The CRC of POSIX `cksum`: polynomial 0x04C11DB7, the length appended, inverted.
func posixChecksum(_ bytes: [UInt8]) -> UInt32 {
    var crc: UInt32 = 0
    func update(_ byte: UInt8) {
        crc ^= UInt32(byte) << 24
        for _ in 0..<8 { crc = crc & 0x8000_0000 != 0 ? crc << 1 ^ 0x04c1_1db7 : crc << 1 }
    }
    for byte in bytes { update(byte) }
    var length = bytes.count
    while length != 0 {
        update(UInt8(truncatingIfNeeded: length))
        length >>= 8
    }
    return ~crc
}
