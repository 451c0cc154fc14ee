// A configuration as a document: what `apusctl export` writes and `apusctl apply` makes so.
//
// A document names bridges with their ports and interfaces, and everything in it is meant: a bridge or port that is not in the document
// goes, a column that is not is empty. Columns are called as in the database. YAML, of which JSON is a part.

internal import OVSDB
internal import Yams

/// What kind of value a column has, in documents and on the wire.
enum ColumnKind {
    case string, optionalString, optionalInteger, integer, boolean, strings, integers, map
}

/// Columns of a table that documents may have.
struct TableShape {
    let table: String
    let columns: [(name: String, kind: ColumnKind)]

    static let bridge = TableShape(
        table: "Bridge",
        columns: [
            ("fail_mode", .optionalString), ("datapath_type", .string), ("protocols", .strings), ("flood_vlans", .integers),
            ("mcast_snooping_enable", .boolean), ("stp_enable", .boolean), ("rstp_enable", .boolean), ("other_config", .map),
            ("external_ids", .map),
        ])
    static let port = TableShape(
        table: "Port",
        columns: [
            ("tag", .optionalInteger), ("trunks", .integers), ("vlan_mode", .optionalString), ("cvlans", .integers),
            ("protected", .boolean), ("other_config", .map), ("external_ids", .map),
        ])
    static let interface = TableShape(
        table: "Interface",
        columns: [
            ("type", .string), ("options", .map), ("ofport_request", .optionalInteger), ("mtu_request", .optionalInteger),
            ("mac", .optionalString), ("ingress_policing_rate", .integer), ("ingress_policing_burst", .integer), ("other_config", .map),
            ("external_ids", .map),
        ])

    /// Columns whose values the switch or its agents write: no document's business.
    static let root = TableShape(table: "Open_vSwitch", columns: [("other_config", .map)])
}

/// A row's columns in the wire's form, those at their defaults left out.
typealias ColumnValues = [String: JSON]

/// A document, read.
public struct Declaration: Sendable {
    struct Interface: Sendable {
        var name: String
        var columns: ColumnValues
    }
    struct Port: Sendable {
        var name: String
        var columns: ColumnValues
        var interfaces: [Interface]
    }
    struct Bridge: Sendable {
        var name: String
        var columns: ColumnValues
        var controllers: [String]
        var ports: [Port]
    }

    var root: ColumnValues
    var managers: [String]
    var bridges: [Bridge]

    /// Nodes that a document may have; real ones have some thousands.
    private static let bytesLimit = 16 << 20

    /// Reads a document.
    public init(yaml text: String) throws(ClientError) {
        guard text.utf8.count <= Declaration.bytesLimit else {
            throw .invalid("the document has \(text.utf8.count) bytes; at most \(Declaration.bytesLimit) are read")
        }
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch {
            throw .invalid("the document is not YAML: \(error)")
        }
        guard let node else {
            (root, managers, bridges) = ([:], [], [])
            return
        }
        let reader = DocumentReader(path: "document")
        var rest = try reader.members(node)
        root = try reader.columns(&rest, .root)
        managers = try reader.texts(rest.removeValue(forKey: "managers"), "managers")
        bridges = try reader.list(rest.removeValue(forKey: "bridges"), "bridges") { (node, reader) throws(ClientError) in
            try Declaration.bridge(node, reader)
        }
        try reader.refuse(rest, known: ["bridges", "managers"] + TableShape.root.columns.map(\.name))
        try check()
    }

    private static func bridge(_ node: Node, _ reader: DocumentReader) throws(ClientError) -> Bridge {
        var rest = try reader.members(node)
        let name = try reader.name(&rest)
        let inner = DocumentReader(path: "bridge \(name)")
        let columns = try inner.columns(&rest, .bridge)
        let controllers = try inner.texts(rest.removeValue(forKey: "controllers"), "controllers")
        let ports = try inner.list(rest.removeValue(forKey: "ports"), "ports") { (node, reader) throws(ClientError) in
            try port(node, reader)
        }
        try inner.refuse(rest, known: ["name", "ports", "controllers"] + TableShape.bridge.columns.map(\.name))
        return Bridge(name: name, columns: columns, controllers: controllers, ports: ports)
    }

    private static func port(_ node: Node, _ reader: DocumentReader) throws(ClientError) -> Port {
        // A name alone is a port of the host's device of that name.
        if let name = node.scalar?.string {
            return Port(name: name, columns: [:], interfaces: [Interface(name: name, columns: [:])])
        }
        var rest = try reader.members(node)
        let name = try reader.name(&rest)
        let inner = DocumentReader(path: "port \(name)")
        var interfaces = try inner.list(rest.removeValue(forKey: "interfaces"), "interfaces") { (node, reader) throws(ClientError) in
            var rest = try reader.members(node)
            let name = try reader.name(&rest)
            let own = DocumentReader(path: "interface \(name)")
            let columns = try own.columns(&rest, .interface)
            try own.refuse(rest, known: ["name"] + TableShape.interface.columns.map(\.name))
            return Interface(name: name, columns: columns)
        }
        let columns = try inner.columns(&rest, .port)
        if interfaces.isEmpty {
            // A port of one interface may have that one's columns itself.
            let shared = Set(TableShape.port.columns.map(\.name))
            let own = TableShape(table: "Interface", columns: TableShape.interface.columns.filter { !shared.contains($0.name) })
            interfaces = [Interface(name: name, columns: try inner.columns(&rest, own))]
        }
        try inner.refuse(
            rest, known: ["name", "interfaces"] + TableShape.port.columns.map(\.name) + TableShape.interface.columns.map(\.name))
        return Port(name: name, columns: columns, interfaces: interfaces)
    }

    /// What no single row shows: names that are there twice, bridges without a local port.
    private mutating func check() throws(ClientError) {
        var bridgeNames: Set<String> = []
        var portNames: Set<String> = []
        var interfaceNames: Set<String> = []
        for index in bridges.indices {
            let name = bridges[index].name
            guard bridgeNames.insert(name).inserted else { throw .invalid("bridge \(name) is in the document twice") }
            if !bridges[index].ports.contains(where: { $0.name == name }) {
                bridges[index].ports.insert(
                    Port(name: name, columns: [:], interfaces: [Interface(name: name, columns: ["type": "internal"])]), at: 0)
            }
            for port in bridges[index].ports {
                guard portNames.insert(port.name).inserted else { throw .invalid("port \(port.name) is in the document twice") }
                for interface in port.interfaces where !interfaceNames.insert(interface.name).inserted {
                    throw .invalid("interface \(interface.name) is in the document twice")
                }
            }
        }
    }
}

/// Reads nodes, and says where they stand when they are wrong.
struct DocumentReader {
    let path: String

    func members(_ node: Node) throws(ClientError) -> [String: Node] {
        guard let mapping = node.mapping else { throw .invalid("\(path)\(DocumentReader.place(node)): a mapping is expected here") }
        var result: [String: Node] = [:]
        for (key, value) in mapping {
            guard let name = key.scalar?.string else { throw .invalid("\(path)\(DocumentReader.place(key)): a key must be a word") }
            if result.updateValue(value, forKey: name) != nil {
                throw .invalid("\(path)\(DocumentReader.place(key)): \(name) is there twice")
            }
        }
        return result
    }

    func name(_ rest: inout [String: Node]) throws(ClientError) -> String {
        guard let name = rest.removeValue(forKey: "name")?.scalar?.string, !name.isEmpty else {
            throw .invalid("\(path): each entry needs a name")
        }
        return name
    }

    func list<Element>(
        _ node: Node?, _ name: String, _ read: (Node, DocumentReader) throws(ClientError) -> Element
    ) throws(ClientError) -> [Element] {
        guard let node, !DocumentReader.isNull(node) else { return [] }
        guard let sequence = node.sequence else { throw .invalid("\(path)\(DocumentReader.place(node)): \(name) must be a list") }
        var result: [Element] = []
        for element in sequence { result.append(try read(element, DocumentReader(path: "\(path): \(name)"))) }
        return result
    }

    func texts(_ node: Node?, _ name: String) throws(ClientError) -> [String] {
        try list(node, name) { (node, reader) throws(ClientError) in
            guard let text = node.scalar?.string else { throw .invalid("\(reader.path): words are expected here") }
            return text
        }
    }

    func refuse(_ rest: [String: Node], known: [String]) throws(ClientError) {
        guard let unknown = rest.keys.sorted().first else { return }
        throw .unknown(kind: "column in \(path)", name: unknown, known: known)
    }

    /// Takes a table's columns out of the members.
    func columns(_ rest: inout [String: Node], _ shape: TableShape) throws(ClientError) -> ColumnValues {
        var result: ColumnValues = [:]
        for (name, kind) in shape.columns {
            guard let node = rest.removeValue(forKey: name), !DocumentReader.isNull(node) else { continue }
            let value = try value(node, kind, name)
            if value != DocumentReader.standard(kind) { result[name] = value }
        }
        return result
    }

    /// A column's value where nothing is said.
    static func standard(_ kind: ColumnKind) -> JSON {
        switch kind {
        case .string: ""
        case .optionalString, .optionalInteger, .strings, .integers: .set([])
        case .integer: 0
        case .boolean: false
        case .map: .map([:])
        }
    }

    private func value(_ node: Node, _ kind: ColumnKind, _ name: String) throws(ClientError) -> JSON {
        func fault(_ what: String) -> ClientError { .invalid("\(path)\(DocumentReader.place(node)): \(name) must be \(what)") }
        func integer(_ node: Node) throws(ClientError) -> JSON {
            guard let number = node.scalar.flatMap({ Int64($0.string) }) else { throw fault("a whole number") }
            return .integer(number)
        }
        switch kind {
        case .string, .optionalString:
            guard let text = node.scalar?.string else { throw fault("a word") }
            return .string(text)
        case .integer, .optionalInteger: return try integer(node)
        case .boolean:
            guard let text = node.scalar?.string, text == "true" || text == "false" else { throw fault("true or false") }
            return .boolean(text == "true")
        case .strings:
            return DocumentReader.sortedSet(try texts(node, name).map { .string($0) })
        case .integers:
            guard let sequence = node.sequence else { throw fault("a list of whole numbers") }
            var elements: [JSON] = []
            for element in sequence { elements.append(try integer(element)) }
            return DocumentReader.sortedSet(elements)
        case .map:
            var values: [String: String] = [:]
            for (key, element) in try members(node) {
                guard let text = element.scalar?.string else { throw fault("a mapping of words to words") }
                values[key] = text
            }
            return .map(values)
        }
    }

    /// A set in one form: without repetitions, in order, one element as itself.
    static func sortedSet(_ elements: [JSON]) -> JSON {
        let unique = Array(Set(elements)).sorted { ($0.integer ?? 0, $0.string ?? "") < ($1.integer ?? 0, $1.string ?? "") }
        return unique.count == 1 ? unique[0] : .set(unique)
    }

    static func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar else { return false }
        return scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
    }

    private static func place(_ node: Node) -> String { node.mark.map { " (line \($0.line))" } ?? "" }
}
