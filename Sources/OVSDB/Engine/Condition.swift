// Conditions (RFC 7047 section 5.1, <condition>), compiled against a table.

enum ConditionFunction: String {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case includes
    case excludes
}

/// One clause.
enum Clause {
    case constant(Bool)
    /// Column index, function, argument. No more than that: it is looked at for every row.
    case comparison(Int, ConditionFunction, Datum)

    init(_ json: JSON, _ table: TableSchema, _ symbols: SymbolTable?) throws(OVSDBError) {
        if case .boolean(let value) = json {
            self = .constant(value)
            return
        }
        guard case .array(let parts) = json, parts.count == 3, case .string(let name) = parts[0], case .string(let operation) = parts[1]
        else { throw .syntax("Parse error in condition.", json) }
        guard let column = table.column(name) else {
            throw OVSDBError("unknown column", "No column \(name) in table \(table.name).", syntax: json)
        }
        guard let function = ConditionFunction(rawValue: operation) else {
            throw OVSDBError("unknown function", "No function named \(operation).")
        }
        var type = column.type
        switch function {
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            guard !type.isMap, type.max == 1, type.key.type == .integer || type.key.type == .real else {
                throw .syntax(
                    "Type mismatch: \"\(operation)\" operator may not be applied to column \(name) of type \(type.englishText).", json)
            }
            type.min = 1
        case .includes:
            if !type.isScalar { type.min = 0 }
        case .excludes:
            if !type.isScalar {
                type.min = 0
                type.max = .max
            }
        case .equal, .notEqual: break
        }
        self = .comparison(column.index, function, try Datum(parts[2], type, symbols: symbols))
    }

    func holds(_ row: Row) -> Bool {
        switch self {
        case .constant(let value): return value
        case .comparison(let column, let function, let argument):
            if column >= 0, case .one(.integer(let left)) = row.fields[column].storage, case .one(.integer(let right)) = argument.storage {
                return Clause.holds(left, function, right)
            }
            let value = column >= 0 ? row.fields[column] : Datum(column == ColumnSchema.uuidIndex ? row.uuid : row.version)
            switch function {
            case .equal: return value == argument
            case .notEqual: return value != argument
            case .includes: return value.includes(argument)
            case .excludes: return value.excludes(argument)
            case .less, .lessOrEqual, .greater, .greaterOrEqual:
                // An empty optional scalar compares to nothing.
                guard let left = value.single, let right = argument.single else { return false }
                switch function {
                case .less: return left < right
                case .lessOrEqual: return left <= right
                case .greater: return left > right
                default: return left >= right
                }
            }
        }
    }
}

extension Clause {
    /// The commonest case by far.
    @inline(__always)
    fileprivate static func holds(_ left: Int64, _ function: ConditionFunction, _ right: Int64) -> Bool {
        switch function {
        case .equal, .includes: left == right
        case .notEqual, .excludes: left != right
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        }
    }
}

/// A conjunction, as in "where" of a transaction.
struct Condition {
    var clauses: [Clause]

    init(_ json: JSON, _ table: TableSchema, _ symbols: SymbolTable?) throws(OVSDBError) {
        guard case .array(let elements) = json else { throw .syntax("array expected", json) }
        clauses = []
        for element in elements { clauses.append(try Clause(element, table, symbols)) }
    }

    func holds(_ row: Row) -> Bool {
        for clause in clauses where !clause.holds(row) { return false }
        return true
    }

    /// The column that is looked at first.
    var firstColumn: Int {
        for case .comparison(let column, _, _) in clauses { return column }
        return 0
    }

    /// The one row that can match, when a clause names it.
    var uuid: UUID? {
        for case .comparison(let column, .equal, let argument) in clauses where column == ColumnSchema.uuidIndex {
            return argument.uuid
        }
        return nil
    }

    /// The values an index's columns must have, when clauses pin all of them.
    func key(_ columns: [Int]) -> IndexKey? {
        var values: [Datum] = []
        for wanted in columns {
            var found: Datum?
            for case .comparison(let column, .equal, let argument) in clauses where column == wanted { found = argument }
            guard let found else { return nil }
            values.append(found)
        }
        return IndexKey(values: values)
    }
}
