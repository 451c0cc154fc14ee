// The engine against a model that is small and slow: it keeps rows as plain dictionaries, copies everything for each transaction, and
// at its end looks at every row for every constraint. Schemas, transactions and conditions are random.

import Base
import Testing

@testable import OVSDB

/// A value: pairs of key and value (nil in sets) by the key's text.
private typealias ModelValue = [String: (key: JSON, value: JSON?)]

private enum ModelKind: CaseIterable { case integer, optionalInteger, integers, text, map, strong, weak, someWeak }

private struct ModelColumn {
    var name: String
    var kind: ModelKind
    /// The table that references point to.
    var target = ""
    var isMutable = true

    var json: JSON {
        let reference = { (weak: Bool) -> JSON in
            .object(JSONObject([("type", "uuid"), ("refTable", .string(target)), ("refType", weak ? "weak" : "strong")]))
        }
        let type: JSON
        switch kind {
        case .integer: type = "integer"
        case .optionalInteger: type = ["key": "integer", "min": 0, "max": 1]
        case .integers: type = ["key": "integer", "min": 0, "max": 3]
        case .text: type = "string"
        case .map: type = ["key": "string", "value": "integer", "min": 0, "max": "unlimited"]
        case .strong: type = ["key": reference(false), "min": 0, "max": "unlimited"]
        case .weak: type = ["key": reference(true), "min": 0, "max": "unlimited"]
        case .someWeak: type = ["key": reference(true), "min": 1, "max": 2]
        }
        return ["type": type, "mutable": .boolean(isMutable)]
    }

    var limits: ClosedRange<Int> {
        switch kind {
        case .integer, .text: 1...1
        case .optionalInteger: 0...1
        case .integers: 0...3
        case .someWeak: 1...2
        case .map, .strong, .weak: 0...Int.max
        }
    }

    var initial: ModelValue {
        switch kind {
        case .integer: value([0])
        case .text: value([""])
        case .someWeak: value([.array(["uuid", .string(UUID.zero.description)])])
        default: [:]
        }
    }

    func value(_ keys: [JSON]) -> ModelValue { Dictionary(keys.map { ($0.text, ($0, nil)) }) { $1 } }

    /// From the notation of RFC 7047.
    func value(_ json: JSON) -> ModelValue {
        if kind == .map {
            return Dictionary(json[1]!.array!.map { ($0[0]!.text, ($0[0]!, $0[1]!)) }) { $1 }
        }
        if case .array(let parts) = json, parts.first == "set" { return value(parts[1].array!) }
        return value([json])
    }
}

private struct ModelTable {
    var name: String
    var isRoot: Bool
    var maxRows: Int?
    var isIndexed: Bool
    var columns: [ModelColumn]
}

private struct ModelError: Error { var text: String }

private struct Model {
    let tables: [ModelTable]
    /// By table, row, column.
    var rows: [String: [String: [String: ModelValue]]] = [:]

    init(_ source: inout RandomSource) {
        let names = (0..<(1 + source.below(4))).map { "T\($0)" }
        tables = names.enumerated().map { number, name in
            var columns = [ModelColumn(name: "name", kind: .text)]
            for index in 0..<(1 + source.below(6)) {
                // The first table has nothing to refer to it strongly, so it is a root.
                var column = ModelColumn(name: "c\(index)", kind: source.pick(ModelKind.allCases), target: source.pick(names))
                if column.kind == .someWeak && source.chance(50) { column.kind = .weak }
                if [.integer, .map].contains(column.kind), source.chance(10) { column.isMutable = false }
                columns.append(column)
            }
            return ModelTable(
                name: name, isRoot: number == 0 || source.chance(40), maxRows: source.chance(20) ? 1 + source.below(6) : nil,
                isIndexed: source.chance(40), columns: columns)
        }
        for name in names { rows[name] = [:] }
    }

    var schema: JSON {
        .object(
            JSONObject([
                ("name", "model"), ("version", "1.0.0"),
                (
                    "tables",
                    .object(
                        JSONObject(
                            tables.map { table in
                                var members: [(String, JSON)] = [
                                    ("columns", .object(JSONObject(table.columns.map { ($0.name, $0.json) }))),
                                    ("isRoot", .boolean(table.isRoot)),
                                ]
                                if let limit = table.maxRows { members.append(("maxRows", .integer(Int64(limit)))) }
                                if table.isIndexed { members.append(("indexes", [["name"]])) }
                                return (table.name, .object(JSONObject(members)))
                            }))
                ),
            ]))
    }

    private func column(_ table: String, _ name: String) -> ModelColumn {
        tables.first { $0.name == table }!.columns.first { $0.name == name }!
    }

    private func matches(_ table: String, _ condition: JSON) -> [String] {
        rows[table]!.filter { uuid, row in
            condition.array!.allSatisfy { clause in
                let name = clause[0]!.string!
                let argument = name == "_uuid" ? [clause[2]!.text: (clause[2]!, nil)] : column(table, name).value(clause[2]!)
                let key: JSON = .array(["uuid", .string(uuid)])
                let value: ModelValue = name == "_uuid" ? [key.text: (key, nil)] : row[name]!
                let isEqual = { (left: ModelValue, right: ModelValue) in left.mapValues(\.value) == right.mapValues(\.value) }
                switch clause[1]!.string! {
                case "==": return isEqual(value, argument)
                case "!=": return !isEqual(value, argument)
                case "includes": return argument.allSatisfy { value[$0.key].map { [$0.value] } == [$0.value.value] }
                case "excludes": return argument.allSatisfy { value[$0.key].map { [$0.value] } != [$0.value.value] }
                case let comparison:
                    guard let left = value.values.first?.key.integer, let right = argument.values.first?.key.integer else { return false }
                    return comparison == "<" ? left < right : left >= right
                }
            }
        }.map(\.key).sorted()
    }

    /// Carries a transaction out, or throws the class of the error, and has changed nothing then.
    mutating func transact(_ operations: [JSON]) throws(ModelError) -> [Int] {
        var next = self
        var counts: [Int] = []
        for operation in operations {
            let table = operation["table"]!.string!
            if operation["op"] == "insert" {
                var row: [String: ModelValue] = [:]
                for column in tables.first(where: { $0.name == table })!.columns { row[column.name] = column.initial }
                for (name, value) in operation["row"]!.object!.members { row[name] = column(table, name).value(value) }
                next.rows[table]![operation["uuid"]!.string!] = row
                counts.append(1)
                continue
            }
            let found = next.matches(table, operation["where"]!)
            for uuid in found {
                switch operation["op"]!.string! {
                case "delete": next.rows[table]![uuid] = nil
                case "update":
                    for (name, value) in operation["row"]!.object!.members {
                        next.rows[table]![uuid]![name] = column(table, name).value(value)
                    }
                case "mutate":
                    for mutation in operation["mutations"]!.array! {
                        let column = column(table, mutation[0]!.string!)
                        var value = next.rows[table]![uuid]![column.name]!
                        let argument = column.value(mutation[2]!)
                        switch mutation[1]!.string! {
                        case "insert": value.merge(argument) { held, _ in held }
                        // Of a map, pairs that are there as given; other values under these keys stay.
                        case "delete": for (key, pair) in argument where value[key]?.value == pair.value { value[key] = nil }
                        default:
                            value = column.value(value.values.map { .integer($0.key.integer! + argument.values.first!.key.integer!) })
                        }
                        guard column.limits.contains(value.count) else { throw ModelError(text: "constraint violation") }
                        next.rows[table]![uuid]![column.name] = value
                    }
                default: break
                }
            }
            counts.append(found.count)
        }
        try next.finish(before: self)
        self = next
        return counts
    }

    /// References of a kind: who, and to whom.
    private func references(_ wanted: [ModelKind]) -> [(table: String, uuid: String, column: String, target: String, to: String)] {
        var result: [(String, String, String, String, String)] = []
        for table in tables {
            for column in table.columns where wanted.contains(column.kind) {
                for (uuid, row) in rows[table.name]! {
                    for key in row[column.name]!.values {
                        result.append((table.name, uuid, column.name, column.target, key.key[1]!.string!))
                    }
                }
            }
        }
        return result
    }

    private mutating func finish(before: Model) throws(ModelError) {
        // A row that refers to itself is neither kept alive by that nor kept from going.
        for reference in references([.strong]) where rows[reference.target]![reference.to] == nil {
            if reference.target != reference.table || reference.to != reference.uuid {
                throw ModelError(text: "referential integrity violation")
            }
        }
        while true {
            var counted: Set<String> = []
            for reference in references([.strong]) where reference.target != reference.table || reference.to != reference.uuid {
                counted.insert(reference.target + reference.to)
            }
            var isDone = true
            for table in tables where !table.isRoot {
                for uuid in rows[table.name]!.keys where !counted.contains(table.name + uuid) {
                    rows[table.name]![uuid] = nil
                    isDone = false
                }
            }
            if isDone { break }
        }
        for reference in references([.weak, .someWeak]) where rows[reference.target]![reference.to] == nil {
            let key: JSON = .array(["uuid", .string(reference.to)])
            rows[reference.table]![reference.uuid]![reference.column]![key.text] = nil
            if rows[reference.table]![reference.uuid]![reference.column]!.isEmpty,
                column(reference.table, reference.column).kind == .someWeak
            {
                throw ModelError(text: "constraint violation")
            }
        }
        for table in tables {
            // A limit that was passed before (by nothing here) would not matter; only inserts look at it.
            if let limit = table.maxRows, rows[table.name]!.count > limit { throw ModelError(text: "constraint violation") }
            let names = rows[table.name]!.values.map { $0["name"]!.keys.first! }
            if table.isIndexed, Set(names).count < names.count { throw ModelError(text: "constraint violation") }
        }
    }

    // MARK: Random transactions

    func operations(_ source: inout RandomSource, _ uuids: inout UUIDGenerator) -> [JSON] {
        var known = rows.mapValues { $0.keys.sorted() }
        return (0..<(1 + source.below(4))).map { _ in
            let table = source.pick(tables)
            let name: JSON = .string(table.name)
            switch source.below(10) {
            case 0..<5:
                let uuid = uuids.next().description
                let row = self.row(table, known, &source, isNew: true)
                known[table.name]!.append(uuid)
                return ["op": "insert", "table": name, "uuid": .string(uuid), "row": row]
            case 5..<7:
                return [
                    "op": "update", "table": name, "where": condition(table, known, &source),
                    "row": row(table, known, &source, isNew: false),
                ]
            case 7..<9:
                let columns = table.columns.filter { ![.text, .optionalInteger].contains($0.kind) && $0.isMutable }
                guard let column = columns.randomElement(using: &source) else {
                    return ["op": "comment", "comment": "none", "table": name]
                }
                let value = self.value(column, known, &source)
                let argument: JSON =
                    column.kind == .integer || column.kind == .map ? value : value[0] == "set" ? value : ["set", .array([value])]
                let mutator: JSON = column.kind == .integer ? "+=" : source.chance(60) ? "insert" : "delete"
                return [
                    "op": "mutate", "table": name, "where": condition(table, known, &source),
                    "mutations": [[.string(column.name), mutator, argument] as JSON] as JSON,
                ]
            default: return ["op": "delete", "table": name, "where": condition(table, known, &source)]
            }
        }
    }

    private func row(_ table: ModelTable, _ known: [String: [String]], _ source: inout RandomSource, isNew: Bool) -> JSON {
        var members: [(String, JSON)] = []
        for column in table.columns where isNew || column.isMutable {
            // A weak reference that must be there is given, mostly.
            if source.chance(column.kind == .someWeak ? 90 : 50) { members.append((column.name, value(column, known, &source))) }
        }
        return .object(JSONObject(members))
    }

    private func value(_ column: ModelColumn, _ known: [String: [String]], _ source: inout RandomSource) -> JSON {
        func distinct(_ keys: [JSON]) -> [JSON] { Set(keys.map(\.text)).sorted().map { text in keys.first { $0.text == text }! } }
        func set(_ keys: [JSON]) -> JSON { ["set", .array(distinct(keys))] }
        let integer = { (source: inout RandomSource) -> JSON in .integer(Int64(source.below(6))) }
        switch column.kind {
        case .integer: return integer(&source)
        case .text: return .string("n\(source.below(8))")
        case .optionalInteger: return source.chance(30) ? set([]) : integer(&source)
        case .integers: return set((0..<source.below(4)).map { _ in integer(&source) })
        case .map:
            let keys = distinct((0..<source.below(4)).map { _ in .string("k\(source.below(4))") })
            return ["map", .array(keys.map { [$0, integer(&source)] as JSON })]
        case .strong, .weak, .someWeak:
            let rows = known[column.target]!
            let count = column.kind == .someWeak ? 1 + source.below(2) : source.below(3)
            return set(
                (0..<count).map { _ in
                    // Now and then to nowhere.
                    let uuid = rows.isEmpty || source.chance(3) ? UUID(high: 1, low: 1).description : source.pick(rows)
                    return .array(["uuid", .string(uuid)])
                })
        }
    }

    private func condition(_ table: ModelTable, _ known: [String: [String]], _ source: inout RandomSource) -> JSON {
        if source.chance(5) { return [] }
        if source.chance(40), let uuid = known[table.name]!.randomElement(using: &source) {
            return [["_uuid", "==", ["uuid", .string(uuid)] as JSON] as JSON]
        }
        let clauses = (0..<(1 + source.below(2))).map { _ -> JSON in
            let column = source.pick(table.columns)
            var functions = ["==", "!=", "includes", "excludes"]
            if column.kind == .integer || column.kind == .optionalInteger { functions += ["<", ">="] }
            let function = source.pick(functions)
            var argument = value(column, known, &source)
            if function == "<" || function == ">=", argument.integer == nil { argument = 3 }
            return [.string(column.name), .string(function), argument]
        }
        return .array(clauses)
    }
}

@Suite struct ModelTests {
    @Test(arguments: [UInt64](1...16)) func engineDoesWhatTheModelDoes(seed: UInt64) throws {
        var source = RandomSource(seed: seed)
        var uuids = UUIDGenerator(seed: seed)
        var model = Model(&source)
        let database = Database(schema: try DatabaseSchema(model.schema), uuids: UUIDGenerator(seed: seed + 1))
        var outcomes: [String: Int] = [:]
        for number in 0..<120 {
            let operations = model.operations(&source, &uuids).filter { $0["op"] != "comment" }
            if operations.isEmpty { continue }
            guard case .finished(let results, _) = database.execute(operations[...]) else {
                Issue.record("seed \(seed): a transaction without wait waits")
                return
            }
            let failure = results.lazy.compactMap { $0["error"]?.string }.first
            var expected: String?
            var counts: [Int] = []
            do throws(ModelError) { counts = try model.transact(operations) } catch { expected = error.text }
            outcomes[failure ?? "ok", default: 0] += 1
            let answered = results.map { $0["count"]?.integer.map(Int.init) ?? 1 }
            let content = describe(database)
            guard failure == expected, failure != nil || answered == counts, content == describe(model) else {
                Issue.record(
                    "seed \(seed), transaction \(number): \(failure ?? "ok") where \(expected ?? "ok") was expected: \(operations)")
                return
            }
        }
        #expect(outcomes["ok", default: 0] > 10, "seed \(seed): \(outcomes)")
        #expect(database.inconsistencies() == [])
    }

    private func describe(_ database: Database) -> [String: [String: [String: String]]] {
        var result: [String: [String: [String: String]]] = [:]
        for table in database.schema.tables {
            for row in database.rows(table.name) {
                for column in table.columns {
                    let datum = row[column]
                    let pairs = datum.keys.enumerated().map { index, key in
                        key.json.text + (column.type.isMap ? "=" + datum.values[index].json.text : "")
                    }
                    result[table.name, default: [:]][row.uuid.description, default: [:]][column.name] = pairs.sorted().joined(
                        separator: " ")
                }
            }
        }
        return result
    }

    private func describe(_ model: Model) -> [String: [String: [String: String]]] {
        var result: [String: [String: [String: String]]] = [:]
        for (table, rows) in model.rows {
            for (uuid, row) in rows {
                for (column, value) in row {
                    let pairs = value.map { $0.key + ($0.value.value.map { "=" + $0.text } ?? "") }
                    result[table, default: [:]][uuid, default: [:]][column] = pairs.sorted().joined(separator: " ")
                }
            }
        }
        return result
    }
}
