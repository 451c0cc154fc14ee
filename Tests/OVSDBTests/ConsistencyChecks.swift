@testable import OVSDB

extension Database {
    /// Recomputes from the rows alone what the engine keeps incrementally, and says where the two differ.
    func inconsistencies() -> [String] {
        var problems: [String] = []
        var references: [RowID: Int] = [:]
        var weak: [RowID: Set<RowID>] = [:]
        for table in tables {
            let index = table.schema.index
            for row in table.rows.values {
                for column in table.schema.strongColumns {
                    table.schema.forEachReference(.strong, in: row.fields[column], column: column) { target, uuid in
                        if uuid != row.uuid || target != index { references[RowID(table: target, uuid: uuid), default: 0] += 1 }
                        if tables[target].rows[uuid] == nil {
                            problems.append("\(table.schema.name) \(row.uuid) refers to missing \(uuid)")
                        }
                    }
                }
                for column in table.schema.weakColumns {
                    table.schema.forEachReference(.weak, in: row.fields[column], column: column) { target, uuid in
                        weak[RowID(table: target, uuid: uuid), default: []].insert(RowID(table: index, uuid: row.uuid))
                        if tables[target].rows[uuid] == nil {
                            problems.append("\(table.schema.name) \(row.uuid) weakly refers to missing \(uuid)")
                        }
                    }
                }
                for column in table.schema.columns {
                    do { try row.fields[column.index].check(column.type) } catch {
                        problems.append("\(table.schema.name).\(column.name): \(error)")
                    }
                }
            }
        }
        for table in tables {
            let index = table.schema.index
            for row in table.rows.values {
                let counted = references[RowID(table: index, uuid: row.uuid)] ?? 0
                if row.strongReferences != counted {
                    problems.append("\(table.schema.name) \(row.uuid) has \(counted) references, \(row.strongReferences) are counted")
                }
                if counted == 0 && !table.schema.isRoot { problems.append("\(table.schema.name) \(row.uuid) should have been collected") }
                if table.weakReferrers[row.uuid] ?? [] != weak[RowID(table: index, uuid: row.uuid)] ?? [] {
                    problems.append("\(table.schema.name) \(row.uuid): weak referrers differ")
                }
            }
            for uuid in table.weakReferrers.keys where table.rows[uuid] == nil { problems.append("weak referrers of missing \(uuid)") }
            for (position, columns) in table.schema.indexes.enumerated() {
                if table.indexes[position].count != table.rows.count {
                    problems.append("\(table.schema.name) index \(position) has another size")
                }
                for row in table.rows.values where table.indexes[position][IndexKey(row, columns)] != row.uuid {
                    problems.append("\(table.schema.name) \(row.uuid) is not in index \(position)")
                }
            }
            if let limit = table.schema.maxRows, table.rows.count > limit { problems.append("\(table.schema.name) has too many rows") }
        }
        return problems
    }

    /// The content without versions: by table and row, the non-default values of its columns.
    func content(ephemeral: Bool = true) -> [String: [UUID: [String: Datum]]] {
        var result: [String: [UUID: [String: Datum]]] = [:]
        for table in tables {
            for row in table.rows.values {
                var values: [String: Datum] = [:]
                for column in table.schema.columns where ephemeral || !column.isEphemeral {
                    if row.fields[column.index] != table.schema.defaults[column.index] { values[column.name] = row.fields[column.index] }
                }
                result[table.schema.name, default: [:]][row.uuid] = values
            }
        }
        return result
    }
}

/// Random transactions over the test schema that succeed and fail in all ways.
struct TransactionSource {
    var random: RandomSource
    private let uuids: [UUID]

    init(seed: UInt64) {
        random = RandomSource(seed: seed)
        uuids = (1...12).map { UUID(high: 0, low: UInt64($0)) }
    }

    private func json(_ uuid: UUID) -> JSON { .array([.string("uuid"), .string(uuid.description)]) }

    private mutating func references() -> JSON {
        var chosen: Set<UUID> = []
        for _ in 0..<random.below(3) { chosen.insert(random.pick(uuids)) }
        return .array([.string("set"), .array(chosen.sorted().map(json))])
    }

    private mutating func integers(_ bound: Int) -> JSON {
        var chosen: Set<Int64> = []
        for _ in 0..<random.below(4) { chosen.insert(Int64(random.below(bound))) }
        return .array([.string("set"), .array(chosen.sorted().map { .integer($0) })])
    }

    private mutating func map() -> JSON {
        var chosen: [String: String] = [:]
        for _ in 0..<random.below(4) { chosen["k\(random.below(5))"] = "v\(random.below(3))" }
        return .array([.string("map"), .array(chosen.map { .array([.string($0.key), .string($0.value)]) })])
    }

    private mutating func row(_ table: String, isNew: Bool) -> JSON {
        var members: [(String, JSON)] = []
        switch table {
        case "T":
            if random.chance(60) { members.append(("i", .integer(Int64(random.below(6))))) }
            if random.chance(30) { members.append(("oi", random.chance(50) ? .integer(Int64(random.below(4))) : integers(1))) }
            if random.chance(30) { members.append(("si", integers(6))) }
            if random.chance(30) { members.append(("m", map())) }
            if random.chance(10) { members.append(("ir", integers(14))) }
            if random.chance(20) { members.append(("eph", .string("e\(random.below(3))"))) }
            if random.chance(50) { members.append(("strong", references())) }
            if random.chance(40) { members.append(("weak", references())) }
            if random.chance(20) { members.append(("weak1", json(random.pick(uuids)))) }
        case "C":
            members.append(("name", .string("c\(random.below(20))")))
            if random.chance(50) { members.append(("kids", references())) }
        case "W":
            if isNew || random.chance(50) { members.append(("must", json(random.pick(uuids)))) }
            members.append(("name", .string("w\(random.below(4))")))
        case "I":
            members.append(("a", .integer(Int64(random.below(5)))))
            if random.chance(50) { members.append(("b", .string("b\(random.below(2))"))) }
        default: members.append(("a", .integer(Int64(random.below(5)))))
        }
        return .object(JSONObject(members))
    }

    private mutating func condition(_ table: String) -> JSON {
        switch random.below(5) {
        case 0: return .array([])
        case 1 where table == "T":
            return .array([.array(["i", .string(random.pick(["==", "!=", "<", ">="])), .integer(Int64(random.below(6)))])])
        case 2 where table == "C": return .array([.array(["name", "==", .string("c\(random.below(20))")])])
        case 2 where table == "T": return .array([.array(["si", .string(random.pick(["includes", "excludes"])), integers(6)])])
        default: return .array([.array(["_uuid", "==", json(random.pick(uuids))])])
        }
    }

    mutating func operations() -> [JSON] {
        var operations: [JSON] = []
        for _ in 0..<(1 + random.below(6)) {
            let table = random.pick(["T", "T", "T", "C", "C", "C", "W", "I", "M"])
            switch random.below(10) {
            case 0..<4:
                operations.append(
                    .object(
                        JSONObject([
                            ("op", "insert"), ("table", .string(table)), ("uuid", .string(random.pick(uuids).description)),
                            ("row", row(table, isNew: true)),
                        ])))
            case 4..<6:
                operations.append(
                    .object(
                        JSONObject([
                            ("op", "update"), ("table", .string(table)), ("where", condition(table)), ("row", row(table, isNew: false)),
                        ])))
            case 6..<8 where table == "T":
                let mutation: JSON
                switch random.below(6) {
                case 0: mutation = ["i", "+=", .integer(Int64(random.below(3)) - 1)]
                case 1: mutation = ["si", .string(random.pick(["insert", "delete"])), integers(6)]
                case 2: mutation = ["m", .string(random.pick(["insert", "delete"])), map()]
                case 3: mutation = ["strong", .string(random.pick(["insert", "delete"])), references()]
                case 4: mutation = ["weak", .string(random.pick(["insert", "delete"])), references()]
                default: mutation = ["i", "/=", .integer(Int64(random.below(3)))]
                }
                operations.append(
                    .object(JSONObject([("op", "mutate"), ("table", "T"), ("where", condition("T")), ("mutations", .array([mutation]))])))
            case 8 where random.chance(10): operations.append(["op": "abort"])
            default:
                operations.append(.object(JSONObject([("op", "delete"), ("table", .string(table)), ("where", condition(table))])))
            }
        }
        return operations
    }
}
