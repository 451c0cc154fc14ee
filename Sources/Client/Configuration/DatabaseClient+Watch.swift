// Following the configuration: changes as they happen, and waiting for one.

public import OVSDB

/// What happened to one row.
public struct RowEvent: Sendable {
    public enum Kind: String, Sendable { case added, changed, removed }
    public var kind: Kind
    public var table: String
    /// The row's name where it has one (or its target), else its identifier.
    public var name: String
    /// Columns with what they were and what they are.
    public var columns: [(name: String, before: JSON?, now: JSON?)]

    /// For programs.
    public var json: JSON {
        [
            "event": .string(kind.rawValue), "table": .string(table), "name": .string(name),
            "columns": .object(JSONObject(columns.map { ($0.name, ["before": $0.before ?? .null, "now": $0.now ?? .null] as JSON) })),
        ]
    }

    /// For people: a line.
    public var text: String {
        switch kind {
        case .added: return "+ \(table) \(name)\n"
        case .removed: return "- \(table) \(name)\n"
        case .changed:
            let changes = columns.map { "\($0.name): \(RowEvent.text($0.before)) -> \(RowEvent.text($0.now))" }
            return "~ \(table) \(name)  \(changes.joined(separator: ", "))\n"
        }
    }

    /// A column's value, short.
    static func text(_ value: JSON?) -> String {
        guard let value else { return "?" }
        let pairs = value.pairs
        if !pairs.isEmpty { return "{" + pairs.map { "\(text($0.key))=\(text($0.value))" }.joined(separator: ", ") + "}" }
        let elements = value.elements
        if elements.isEmpty || value == ["map", []] { return "-" }
        return elements.map { $0.uuidText.map { String($0.prefix(8)) } ?? $0.string ?? $0.text }.joined(separator: ",")
    }
}

extension DatabaseClient {
    /// Columns that change all the time.
    private static let busyColumns: Set<String> = ["statistics", "rstp_statistics"]

    private func schema() throws(ClientError) -> JSON {
        switch try rpc.call("get_schema", [.string(DatabaseClient.database)]) {
        case .success(let schema): return schema
        case .failure(let failure): throw .refused("the database refuses: \(failure.text)")
        }
    }

    /// Tells of changes, until there were enough or the deadline comes.
    ///
    /// - Parameters:
    ///   - tables: which; empty is all
    ///   - statistics: whether counters count as changes
    ///   - limit: how many; 0 is no limit
    public func watch(_ tables: [String], statistics: Bool, limit: Int, _ body: (RowEvent) -> Void) throws(ClientError) {
        let schema = try schema()["tables"]?.object?.members ?? []
        let known = schema.map(\.key)
        let tables = try DatabaseClient.tables(tables, known)
        var requests: [(String, JSON)] = []
        for (name, table) in schema where tables.isEmpty || tables.contains(name) {
            let columns = (table["columns"]?.object?.members.map(\.key) ?? []).filter {
                statistics || !DatabaseClient.busyColumns.contains($0)
            }
            requests.append((name, ["columns": .array(columns.map { .string($0) })] as JSON))
        }
        var names: [String: String] = [:]
        switch try rpc.call("monitor", [.string(DatabaseClient.database), "apusctl-watch", .object(JSONObject(requests))]) {
        case .failure(let failure): throw .refused("the database refuses: \(failure.text)")
        case .success(let content): _ = DatabaseClient.events(content, &names)
        }
        var seen = 0
        while true {
            let (method, parameters) = try rpc.nextNotification("change of the configuration")
            guard method == "update", parameters.count == 2 else { continue }
            for event in DatabaseClient.events(parameters[1], &names) {
                body(event)
                seen += 1
                if seen == limit { return }
            }
        }
    }

    /// The tables as the schema spells them: people write them in any case.
    static func tables(_ given: [String], _ known: [String]) throws(ClientError) -> [String] {
        var result: [String] = []
        for name in given {
            guard let table = known.first(where: { $0.lowercased() == name.lowercased() }) else {
                throw .unknown(kind: "table", name: name, known: known)
            }
            result.append(table)
        }
        return result
    }

    private static func events(_ updates: JSON, _ names: inout [String: String]) -> [RowEvent] {
        var result: [RowEvent] = []
        for (table, rows) in updates.object?.members ?? [] {
            for (uuid, update) in rows.object?.members ?? [] {
                let (before, now) = (update["old"], update["new"])
                if let name = now?["name"]?.optionalString ?? now?["target"]?.string, !name.isEmpty { names[uuid] = name }
                let kind: RowEvent.Kind = now == nil ? .removed : before == nil ? .added : .changed
                let changed = (kind == .changed ? before : now ?? before)?.object?.members.map(\.key) ?? []
                result.append(
                    RowEvent(
                        kind: kind, table: table, name: names[uuid] ?? (table == "Open_vSwitch" ? "." : uuid),
                        columns: changed.map { ($0, before?[$0], now?[$0]) }))
                if kind == .removed { names[uuid] = nil }
            }
        }
        return result
    }

    // MARK: Waiting

    /// Waits until a row's columns are as `conditions` say: `column=value` or `column:key=value`; an empty value is an empty column.
    public func wait(_ table: String, _ name: String, _ conditions: [String]) throws(ClientError) {
        let schema = try schema()["tables"]?.object?.members ?? []
        guard let table = try DatabaseClient.tables([table], schema.map(\.key)).first,
            let known = schema.first(where: { $0.key == table })?.value["columns"]?.object?.members.map(\.key)
        else { return }
        guard known.contains("name") || table == "Open_vSwitch" else {
            throw .invalid("rows of table \(table) have no names; wait for rows of Bridge, Port, Interface or Open_vSwitch")
        }
        var wanted: [(column: String, key: String?, value: String)] = []
        for condition in conditions {
            let parts = condition.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw .invalid("\(condition): write column=value, as in link_state=up") }
            let place = parts[0].split(separator: ":", maxSplits: 1).map(String.init)
            guard let column = place.first, known.contains(column) else {
                throw .unknown(kind: "column", name: place.first ?? "", known: known)
            }
            wanted.append((column, place.count > 1 ? place[1] : nil, String(parts[1])))
        }
        func holds(_ row: JSON) -> Bool {
            guard table == "Open_vSwitch" || row["name"]?.string == name else { return false }
            return wanted.allSatisfy { condition in
                guard let value = row[condition.column] else { return false }
                if let key = condition.key {
                    let found = value.pairs.first { RowEvent.text($0.key) == key }.map { RowEvent.text($0.value) } ?? ""
                    return found == condition.value
                }
                if condition.value.isEmpty { return value.elements.isEmpty || value == ["map", []] || value == "" }
                return value.elements.contains { RowEvent.text($0) == condition.value }
            }
        }
        func anyHolds(_ updates: JSON) -> Bool {
            (updates[table]?.object?.members ?? []).contains { $0.value["new"].map(holds) ?? false }
        }
        let columns = Set(wanted.map(\.column) + (known.contains("name") ? ["name"] : []))
        let request: JSON = .object(JSONObject([(table, ["columns": .array(columns.sorted().map { .string($0) })] as JSON)]))
        switch try rpc.call("monitor", [.string(DatabaseClient.database), "apusctl-wait", request]) {
        case .failure(let failure): throw .refused("the database refuses: \(failure.text)")
        case .success(let content): if anyHolds(content) { return }
        }
        while true {
            let what = "\(table) \(name) with \(conditions.isEmpty ? "that name" : conditions.joined(separator: ", "))"
            let (method, parameters) = try rpc.nextNotification(what)
            if method == "update", parameters.count == 2, anyHolds(parameters[1]) { return }
        }
    }
}
