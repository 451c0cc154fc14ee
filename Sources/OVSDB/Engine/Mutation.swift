// Mutations (RFC 7047 section 5.1, <mutation>), compiled against a table.

internal import Glibc

enum Mutator: String {
    case add = "+="
    case subtract = "-="
    case multiply = "*="
    case divide = "/="
    case remainder = "%="
    case insert
    case delete
}

struct Mutation {
    let column: Int
    let mutator: Mutator
    let argument: Datum

    init(_ json: JSON, _ table: TableSchema, _ symbols: SymbolTable?) throws(OVSDBError) {
        guard case .array(let parts) = json, parts.count == 3, case .string(let name) = parts[0], case .string(let operation) = parts[1]
        else { throw .syntax("Parse error in mutation.", json) }
        guard let column = table.column(name) else {
            throw OVSDBError("unknown column", "No column \(name) in table \(table.name).", syntax: json)
        }
        guard column.isMutable else { throw .constraint("Cannot mutate immutable column \(name) in table \(table.name).", json) }
        guard let mutator = Mutator(rawValue: operation) else {
            throw OVSDBError("unknown mutator", "No mutator named \(operation).")
        }
        var type = column.type
        let mismatch = OVSDBError.syntax(
            "Type mismatch: \"\(operation)\" operator may not be applied to column \(name) of type \(type.englishText).", json)
        switch mutator {
        case .add, .subtract, .multiply, .divide, .remainder:
            let numeric = type.key.type == .integer || type.key.type == .real && mutator != .remainder
            guard numeric, !type.isMap else { throw mismatch }
            // The operand is any number: only the result has to satisfy the column's constraints.
            argument = try Datum(parts[2], ColumnType(BaseType(type.key.type)), symbols: symbols)
        case .insert:
            guard !type.isScalar else { throw mismatch }
            type.min = 0
            argument = try Datum(parts[2], type, symbols: symbols)
        case .delete:
            guard !type.isScalar else { throw mismatch }
            type.min = 0
            type.max = .max
            if type.isMap, parts[2][0]?.string != "map" { type.value = nil }
            argument = try Datum(parts[2], type, symbols: symbols)
        }
        self.column = column.index
        self.mutator = mutator
        // In "delete", a datum without values removes by key alone.
    }

    /// The mutated value.
    func apply(_ value: Datum, _ type: ColumnType) throws(OVSDBError) -> Datum {
        switch mutator {
        case .insert:
            let result = value.union(argument, type)
            if result.count > type.max { try result.check(type) }
            return result
        case .delete:
            let result = value.subtracting(argument, type)
            if result.count < type.min { try result.check(type) }
            return result
        default:
            guard let operand = argument.single else { return value }
            var atoms: [Atom] = []
            for key in value.keys {
                let result = try apply(key, operand)
                try type.key.check(result)
                atoms.append(result)
            }
            let datum = Datum(set: atoms)
            guard datum.count == atoms.count else {
                throw .constraint("Result of \"\(mutator.rawValue)\" operation contains duplicates.")
            }
            return datum
        }
    }

    private func apply(_ value: Atom, _ operand: Atom) throws(OVSDBError) -> Atom {
        let outOfRange = OVSDBError("range error", "Result of \"\(mutator.rawValue)\" operation is out of range.")
        switch (value, operand) {
        case (.integer(let left), .integer(let right)):
            let (result, overflowed): (Int64, Bool)
            switch mutator {
            case .add: (result, overflowed) = left.addingReportingOverflow(right)
            case .subtract: (result, overflowed) = left.subtractingReportingOverflow(right)
            case .multiply: (result, overflowed) = left.multipliedReportingOverflow(by: right)
            case .divide, .remainder:
                guard right != 0 else { throw OVSDBError("domain error", "Division by zero.") }
                (result, overflowed) =
                    mutator == .divide ? left.dividedReportingOverflow(by: right) : left.remainderReportingOverflow(dividingBy: right)
            case .insert, .delete: return value
            }
            guard !overflowed else { throw outOfRange }
            return .integer(result)
        case (.real(let left), .real(let right)):
            let result: Double
            switch mutator {
            case .add: result = left + right
            case .subtract: result = left - right
            case .multiply: result = left * right
            case .divide:
                guard right != 0 else { throw OVSDBError("domain error", "Division by zero.") }
                result = left / right
            default: return value
            }
            guard result.isFinite else { throw outOfRange }
            return .real(result)
        default: return value
        }
    }
}
