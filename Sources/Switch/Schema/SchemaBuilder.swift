// A compact notation for schemas: one line a column.

internal import OVSDB

/// Column shapes, in the words the schema's documentation uses.
struct Column {
    var schema: ColumnSchema

    private init(_ name: String, _ type: ColumnType) { schema = ColumnSchema(name, type) }

    // Atomic types

    static func integer(_ range: ClosedRange<Int64>? = nil) -> BaseType {
        var type = BaseType(.integer)
        if let range { (type.minInteger, type.maxInteger) = (range.lowerBound, range.upperBound) }
        return type
    }
    static func oneOf(_ values: [String]) -> BaseType {
        var type = BaseType(.string)
        type.allowed = values.map { .string($0) }.sorted()
        return type
    }
    static func reference(_ table: String, weak: Bool = false) -> BaseType {
        var type = BaseType(.uuid)
        type.refTable = table
        type.refKind = weak ? .weak : .strong
        return type
    }
    static var string: BaseType { BaseType(.string) }
    static var boolean: BaseType { BaseType(.boolean) }

    // Shapes

    /// Exactly one.
    static func one(_ name: String, _ type: BaseType) -> Column { Column(name, ColumnType(type)) }
    /// None or one.
    static func maybe(_ name: String, _ type: BaseType) -> Column { Column(name, ColumnType(type, min: 0)) }
    /// Any number, or up to `max`.
    static func many(_ name: String, _ type: BaseType, max: Int = .max) -> Column { Column(name, ColumnType(type, min: 0, max: max)) }
    /// One or more.
    static func some(_ name: String, _ type: BaseType) -> Column { Column(name, ColumnType(type, max: .max)) }
    static func map(_ name: String, _ key: BaseType = string, to value: BaseType = string) -> Column {
        Column(name, ColumnType(key, value: value, min: 0, max: .max))
    }

    /// Not kept in the database file: the switch writes it anew.
    var ephemeral: Column {
        var copy = self
        copy.schema.isEphemeral = true
        return copy
    }
    /// Fixed once the row is there.
    var immutable: Column {
        var copy = self
        copy.schema.isMutable = false
        return copy
    }
}

/// A table of `columns`.
func table(
    _ name: String, isRoot: Bool = false, maxRows: Int? = nil, index: [String]? = nil, _ columns: [Column]
) throws(OVSDBError) -> TableSchema {
    try TableSchema(name, columns: columns.map(\.schema), isRoot: isRoot, maxRows: maxRows, indexes: index.map { [$0] } ?? [])
}
