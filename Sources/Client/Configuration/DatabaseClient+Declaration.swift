// Making the database as a document says, in one transaction; and writing a document of what it says.

internal import OVSDB

/// What applying a document would change, or changed.
public struct DeclarationChanges: Sendable {
    /// One line a change: `+` what comes, `-` what goes, `~` what becomes different.
    public var lines: [String] = []
    var operations: [JSON] = []
    public init() {}
}

extension DatabaseClient {
    /// The rows of a table, by UUID.
    private func rows(_ tables: [String]) throws(ClientError) -> [[String: JSON]] {
        let results = try transact(tables.map { ["op": "select", "table": .string($0), "where": []] })
        return tables.indices.map { index in
            Dictionary(
                (results[index]["rows"]?.array ?? []).compactMap { row in row["_uuid"]?.uuidText.map { ($0, row) } },
                uniquingKeysWith: { $1 })
        }
    }

    /// Makes the configuration as `wanted` says; with `isDryRun` only tells what would change.
    public func apply(_ wanted: Declaration, isDryRun: Bool = false) throws(ClientError) -> DeclarationChanges {
        let tables = try rows(["Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Manager"])
        guard let root = tables[0].first else { throw .refused("the database has no Open_vSwitch row: apusd has not set it up yet") }
        var plan = DeclarationPlan(tables: tables, root: root.value)
        plan.make(wanted)
        if isDryRun || plan.changes.operations.isEmpty { return plan.changes }
        // Who changed something meanwhile counted next_cfg up: then this is not the difference any more.
        let guardian: JSON = [
            "op": "wait", "timeout": 0, "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"] as JSON, "until": "==",
            "rows": [["next_cfg": root.value["next_cfg"] ?? 0] as JSON] as JSON,
        ]
        let count: [JSON] = [
            ["op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1] as JSON] as JSON],
            ["op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"] as JSON],
        ]
        let results = try transact([guardian] + plan.changes.operations + count)
        guard let number = results.last(where: { $0["rows"] != nil })?["rows"]?[0]?["next_cfg"]?.integer else {
            throw .refused("the database did not tell the number of the new configuration")
        }
        try waitForConfiguration(number)
        return plan.changes
    }

    /// The configuration as a document.
    public func export() throws(ClientError) -> Report {
        let tables = try rows(["Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Manager"])
        guard let root = tables[0].values.first else { throw .refused("the database has no Open_vSwitch row: apusd has not set it up yet") }
        func named(_ uuids: JSON?, _ rows: [String: JSON]) -> [JSON] {
            (uuids?.uuidTexts ?? []).compactMap { rows[$0] }.sorted { ($0["name"]?.string ?? "") < ($1["name"]?.string ?? "") }
        }
        func targets(_ uuids: JSON?, _ rows: [String: JSON]) -> JSON {
            .array((uuids?.uuidTexts ?? []).compactMap { rows[$0]?["target"]?.string }.sorted().map { .string($0) })
        }
        var document: [(String, JSON)] = DeclarationPlan.document(root, .root)
        let managers = targets(root["manager_options"], tables[5])
        if managers != [] { document.append(("managers", managers)) }
        let bridges = named(root["bridges"], tables[1]).map { bridge -> JSON in
            var members: [(String, JSON)] = [("name", bridge["name"] ?? "")] + DeclarationPlan.document(bridge, .bridge)
            let controllers = targets(bridge["controller"], tables[4])
            if controllers != [] { members.append(("controllers", controllers)) }
            let ports = named(bridge["ports"], tables[2]).map { port -> JSON in
                let interfaces = named(port["interfaces"], tables[3]).map { interface -> JSON in
                    .object(JSONObject([("name", interface["name"] ?? "")] + DeclarationPlan.document(interface, .interface)))
                }
                return .object(
                    JSONObject(
                        [("name", port["name"] ?? "")] + DeclarationPlan.document(port, .port) + [("interfaces", .array(interfaces))]))
            }
            members.append(("ports", .array(ports)))
            return .object(JSONObject(members))
        }
        document.append(("bridges", .array(bridges)))
        let json = JSON.object(JSONObject(document))
        return Report(text: YAMLText.write(json), json: json)
    }
}

/// From what is there to what is wanted.
struct DeclarationPlan {
    let tables: [[String: JSON]]
    let root: JSON
    var changes = DeclarationChanges()
    private var nextName = 0

    init(tables: [[String: JSON]], root: JSON) {
        self.tables = tables
        self.root = root
    }

    mutating func make(_ wanted: Declaration) {
        update("Open_vSwitch", root, wanted.root, .root, "the switch")
        let managers = references(root["manager_options"], 5, wanted.managers, "Manager", "manager", "")
        var top: [(String, JSON)] = []
        if let managers { top.append(("manager_options", managers)) }
        var there = byName(root["bridges"], 1)
        var bridges: [JSON] = []
        var isDifferent = false
        for bridge in wanted.bridges {
            let old = there.removeValue(forKey: bridge.name)
            var columns: [(String, JSON)] = []
            var ports: [JSON] = []
            var oldPorts = old.map { byName($0["ports"], 2) } ?? [:]
            var portsDiffer = old == nil
            if old == nil { changes.lines.append("+ bridge \(bridge.name)") }
            for port in bridge.ports {
                let oldPort = oldPorts.removeValue(forKey: port.name)
                let reference = make(port, oldPort, on: bridge.name)
                if oldPort == nil { portsDiffer = true }
                ports.append(reference)
            }
            for name in oldPorts.keys.sorted() {
                changes.lines.append("- port \(name) of bridge \(bridge.name)")
                portsDiffer = true
            }
            let controllers = references(old?["controller"], 4, bridge.controllers, "Controller", "controller", " of bridge \(bridge.name)")
            if portsDiffer { columns.append(("ports", .set(ports))) }
            if let controllers { columns.append(("controller", controllers)) }
            if let old {
                update("Bridge", old, bridge.columns, .bridge, "bridge \(bridge.name)", more: columns)
                bridges.append(.uuid(old["_uuid"]?.uuidText ?? ""))
            } else {
                isDifferent = true
                bridges.append(
                    insert(
                        "Bridge",
                        [("name", .string(bridge.name))] + bridge.columns.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } + columns))
            }
        }
        for name in there.keys.sorted() {
            changes.lines.append("- bridge \(name)")
            isDifferent = true
        }
        if isDifferent { top.append(("bridges", .set(bridges))) }
        if !top.isEmpty {
            changes.operations.append(["op": "update", "table": "Open_vSwitch", "where": [], "row": .object(JSONObject(top))])
        }
    }

    /// Makes a port as wanted; returns the reference to it.
    private mutating func make(_ port: Declaration.Port, _ old: JSON?, on bridge: String) -> JSON {
        var there = old.map { byName($0["interfaces"], 3) } ?? [:]
        var interfaces: [JSON] = []
        var isDifferent = old == nil
        if old == nil { changes.lines.append("+ port \(port.name) of bridge \(bridge)") }
        for interface in port.interfaces {
            if let row = there.removeValue(forKey: interface.name) {
                update("Interface", row, interface.columns, .interface, "interface \(interface.name)")
                interfaces.append(.uuid(row["_uuid"]?.uuidText ?? ""))
            } else {
                if old != nil { changes.lines.append("+ interface \(interface.name) of port \(port.name)") }
                isDifferent = true
                interfaces.append(
                    insert(
                        "Interface",
                        [("name", .string(interface.name))] + interface.columns.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
            }
        }
        for name in there.keys.sorted() {
            changes.lines.append("- interface \(name) of port \(port.name)")
            isDifferent = true
        }
        let columns: [(String, JSON)] = isDifferent ? [("interfaces", .set(interfaces))] : []
        guard let old else {
            return insert(
                "Port", [("name", .string(port.name))] + port.columns.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } + columns)
        }
        update("Port", old, port.columns, .port, "port \(port.name)", more: columns)
        return .uuid(old["_uuid"]?.uuidText ?? "")
    }

    // MARK: Rows

    private func byName(_ uuids: JSON?, _ table: Int) -> [String: JSON] {
        Dictionary(
            (uuids?.uuidTexts ?? []).compactMap { tables[table][$0] }.compactMap { row in row["name"]?.string.map { ($0, row) } },
            uniquingKeysWith: { $1 })
    }

    private mutating func insert(_ table: String, _ columns: [(String, JSON)]) -> JSON {
        nextName += 1
        let name = "row\(nextName)"
        changes.operations.append(
            ["op": "insert", "table": .string(table), "uuid-name": .string(name), "row": .object(JSONObject(columns))])
        return .named(name)
    }

    /// Rows that are known by their target: what the column shall hold, or nil if it does.
    private mutating func references(
        _ uuids: JSON?, _ table: Int, _ wanted: [String], _ name: String, _ word: String, _ place: String
    ) -> JSON? {
        let there = Dictionary(
            (uuids?.uuidTexts ?? []).compactMap { uuid in tables[table][uuid]?["target"]?.string.map { ($0, uuid) } },
            uniquingKeysWith: { $1 })
        guard Set(there.keys) != Set(wanted) else { return nil }
        for target in there.keys.sorted() where !wanted.contains(target) { changes.lines.append("- \(word) \(target)\(place)") }
        var result: [JSON] = []
        for target in wanted {
            if let uuid = there[target] {
                result.append(.uuid(uuid))
            } else {
                changes.lines.append("+ \(word) \(target)\(place)")
                result.append(insert(name, [("target", .string(target))]))
            }
        }
        return .set(result)
    }

    /// Brings a row's columns up to date, where they differ.
    private mutating func update(
        _ table: String, _ row: JSON, _ wanted: ColumnValues, _ shape: TableShape, _ place: String, more: [(String, JSON)] = []
    ) {
        var columns = more
        for (name, kind) in shape.columns {
            guard let raw = row[name] else { continue }
            let now = DeclarationPlan.normal(raw, kind)
            let value = wanted[name] ?? DocumentReader.standard(kind)
            if now == value { continue }
            changes.lines.append(
                "~ \(place): \(name) \(DeclarationPlan.plain(now, kind).text) -> \(DeclarationPlan.plain(value, kind).text)")
            columns.append((name, value))
        }
        guard !columns.isEmpty, let uuid = row["_uuid"]?.uuidText else { return }
        changes.operations.append(
            [
                "op": "update", "table": .string(table), "where": [["_uuid", "==", .uuid(uuid)] as JSON] as JSON,
                "row": .object(JSONObject(columns)),
            ])
    }

    /// A value of the database in the form in which documents are read.
    static func normal(_ value: JSON, _ kind: ColumnKind) -> JSON {
        switch kind {
        case .strings, .integers: DocumentReader.sortedSet(value.elements)
        case .map: .map(value.strings)
        case .string, .optionalString, .optionalInteger, .integer, .boolean: value
        }
    }

    /// A value as documents have it.
    static func plain(_ value: JSON, _ kind: ColumnKind) -> JSON {
        switch kind {
        case .strings, .integers: .array(value.elements)
        case .map: .object(JSONObject(value.strings.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        case .optionalString, .optionalInteger: value.optional ?? .null
        case .string, .integer, .boolean: value
        }
    }

    /// A row's columns that are not at their defaults, for a document.
    static func document(_ row: JSON, _ shape: TableShape) -> [(String, JSON)] {
        shape.columns.compactMap { name, kind in
            guard let raw = row[name] else { return nil }
            let value = normal(raw, kind)
            return value == DocumentReader.standard(kind) ? nil : (name, plain(value, kind))
        }
    }
}

/// Writes YAML: block style for what nests, words in double quotes unless they are plain.
enum YAMLText {
    static func write(_ value: JSON) -> String {
        var text = ""
        block(value, "", &text)
        return text
    }

    private static func block(_ value: JSON, _ indent: String, _ text: inout String) {
        for (key, member) in value.object?.members.map({ ($0.key, $0.value) }) ?? [] {
            text += indent + word(key) + ":"
            if let elements = member.array, elements.contains(where: { $0.object != nil }) {
                text += "\n"
                for element in elements {
                    var inner = ""
                    block(element, indent + "    ", &inner)
                    text += indent + "  - " + inner.dropFirst(indent.count + 4)
                }
            } else if let object = member.object, !object.members.isEmpty {
                text += "\n"
                block(member, indent + "  ", &text)
            } else {
                text += " " + flow(member) + "\n"
            }
        }
    }

    private static func flow(_ value: JSON) -> String {
        switch value {
        case .array(let elements): "[" + elements.map(flow).joined(separator: ", ") + "]"
        case .object: "{}"
        case .string(let text): word(text)
        default: value.text
        }
    }

    /// A word, quoted unless nothing in it could be taken for anything else.
    private static func word(_ text: String) -> String {
        let isPlain =
            !text.isEmpty && text.first!.isLetter && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-.".contains($0)) }
            && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(text.lowercased())
        return isPlain ? text : JSON.string(text).text
    }
}
