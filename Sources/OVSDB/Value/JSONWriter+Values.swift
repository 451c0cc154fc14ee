// Rows straight to bytes, without a tree of JSON values in between: what makes whole tables cheap to tell, and to forget.

internal import Base

extension JSONWriter {
    mutating func write(_ uuid: UUID) {
        raw("\"")
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { text in
            uuid.write(to: text)
            raw(UnsafeBufferPointer(text))
        }
        raw("\"")
    }

    /// As `Atom.json`.
    mutating func write(_ atom: Atom) {
        switch atom {
        case .integer(let value): write(integer: value)
        case .real(let value): write(real: value)
        case .boolean(let value): if value { raw("true") } else { raw("false") }
        case .string(let value): write(string: value)
        case .uuid(let value):
            raw("[\"uuid\",")
            write(value)
            raw("]")
        }
    }

    /// As `Datum.json`.
    mutating func write(_ datum: Datum, isMap: Bool) {
        switch datum.storage {
        case .none: if isMap { raw("[\"map\",[]]") } else { raw("[\"set\",[]]") }
        case .one(let atom): write(atom)
        case .many(let keys):
            raw("[\"set\",[")
            for index in keys.indices {
                if index > 0 { raw(",") }
                write(keys[index])
            }
            raw("]]")
        case .map(let keys, let values):
            raw("[\"map\",[")
            for index in keys.indices {
                if index > 0 { raw(",[") } else { raw("[") }
                write(keys[index])
                raw(",")
                write(values[index])
                raw("]")
            }
            raw("]]")
        }
    }
}

/// Columns as they stand in the text of many rows.
struct ColumnTexts {
    private let columns: [(column: ColumnSchema, prefix: [UInt8], isMap: Bool, empty: Datum)]

    init(_ columns: [ColumnSchema]) {
        // Members of an object stand in the order of their names, each once.
        var seen: Set<Int> = []
        self.columns = columns.filter { seen.insert($0.index).inserted }.sorted { utf8Precedes($0.name, $1.name) }.map { column in
            var writer = JSONWriter()
            writer.write(string: column.name)
            writer.raw(":")
            return (column, writer.bytes, column.type.isMap, column.type.defaultDatum)
        }
    }

    /// An object of `row`'s columns; `skippingDefaults` leaves out those that hold what a new row does.
    func write(_ row: Row, to writer: inout JSONWriter, skippingDefaults: Bool = false) {
        writer.raw("{")
        var isFirst = true
        for entry in columns {
            let index = entry.column.index
            if skippingDefaults, index >= 0, row.fields[index] == entry.empty { continue }
            if isFirst { isFirst = false } else { writer.raw(",") }
            writer.raw(entry.prefix)
            switch index {
            case ColumnSchema.uuidIndex: writer.write(Atom.uuid(row.uuid))
            case ColumnSchema.versionIndex: writer.write(Atom.uuid(row.version))
            default: writer.write(row.fields[index], isMap: entry.isMap)
            }
        }
        writer.raw("}")
    }
}
