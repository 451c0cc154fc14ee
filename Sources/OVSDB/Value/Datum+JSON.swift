// RFC 7047 section 5.1: <value>, <set>, <map>.

extension Datum {
    /// Parses a column value of `type`: an atom, `["set", [...]]`, or `["map", [[key, value], ...]]`.
    ///
    /// - Parameters:
    ///   - symbols: resolves named-uuids; nil where there are none
    ///   - checked: whether constraints on the atoms hold too
    public init(_ json: JSON, _ type: ColumnType, symbols: SymbolTable? = nil, checked: Bool = true) throws(OVSDBError) {
        if type.isMap {
            self = try Datum.map(json, type, symbols, checked)
        } else if case .array(let parts) = json, case .string("set")? = parts.first {
            self = try Datum.set(json, parts, type, symbols, checked)
        } else {
            let atom = try Atom(json, type: type.key.type, symbols: symbols)
            if checked { try type.key.check(atom) }
            self.init(atom)
        }
    }

    private static func checkCount(_ count: Int, _ type: ColumnType, _ json: JSON) throws(OVSDBError) {
        guard count < type.min || count > type.max else { return }
        let kind = type.isMap ? "map" : "set"
        if type.min == 1 && type.max == 1 {
            throw .syntax("\(kind) must have exactly one member but \(count) are present", json)
        }
        let limit = type.max == .max ? Int(UInt32.max) : type.max
        throw .syntax("\(kind) must have \(type.min) to \(limit) members but \(count) are present", json)
    }

    private static func set(
        _ json: JSON, _ parts: [JSON], _ type: ColumnType, _ symbols: SymbolTable?, _ checked: Bool
    )
        throws(OVSDBError) -> Datum
    {
        guard parts.count == 2, case .array(let elements) = parts[1] else { throw .syntax("expected [\"set\", <array>]", json) }
        try checkCount(elements.count, type, json)
        var atoms: [Atom] = []
        atoms.reserveCapacity(elements.count)
        var ascending = true
        for element in elements {
            let atom = try Atom(element, type: type.key.type, symbols: symbols)
            if checked { try type.key.check(atom) }
            if let last = atoms.last, !(last < atom) { ascending = false }
            atoms.append(atom)
        }
        if !ascending {
            atoms.sort()
            removeDuplicates(&atoms)
            guard atoms.count == elements.count else { throw OVSDBError("ovsdb error", "set contains duplicate") }
        }
        return Datum(sortedSet: atoms)
    }

    private static func map(_ json: JSON, _ type: ColumnType, _ symbols: SymbolTable?, _ checked: Bool) throws(OVSDBError) -> Datum {
        guard case .array(let parts) = json, parts.count == 2, case .string("map") = parts[0], case .array(let elements) = parts[1]
        else { throw .syntax("expected [\"map\", <array>]", json) }
        try checkCount(elements.count, type, json)
        var pairs: [(Atom, Atom)] = []
        pairs.reserveCapacity(elements.count)
        for element in elements {
            guard case .array(let pair) = element, pair.count == 2 else { throw .syntax("expected 2-element array", element) }
            let key = try Atom(pair[0], type: type.key.type, symbols: symbols)
            let value = try Atom(pair[1], type: type.value!.type, symbols: symbols)
            if checked {
                try type.key.check(key)
                try type.value!.check(value)
            }
            pairs.append((key, value))
        }
        let datum = Datum(map: pairs)
        guard datum.count == elements.count else { throw OVSDBError("ovsdb error", "map contains duplicate key") }
        return datum
    }

    /// The value in `type`'s notation. A set of one element is written as the element.
    public func json(_ type: ColumnType) -> JSON {
        switch storage {
        case .none: .array([.string(type.isMap ? "map" : "set"), .array([])])
        case .one(let atom): atom.json
        case .many(let keys): .array([.string("set"), .array(keys.map(\.json))])
        case .map(let keys, let values):
            .array([.string("map"), .array(keys.indices.map { .array([keys[$0].json, values[$0].json]) })])
        }
    }

    /// Whether this is what a new row's column of `type` holds.
    public func isDefault(_ type: ColumnType) -> Bool { self == type.defaultDatum }

    /// Checks the number of elements, and every element's constraints.
    public func check(_ type: ColumnType) throws(OVSDBError) {
        guard count >= type.min, count <= type.max else {
            throw .constraint("Attempted to store \(count) elements in \(type.englishText).")
        }
        for key in keys { try type.key.check(key) }
        if let value = type.value { for atom in values { try value.check(atom) } }
    }

    /// As it stands in a sentence for people.
    var text: String {
        switch storage {
        case .none: "[]"
        case .one(let atom): atom.text
        case .many(let keys): "[" + keys.map(\.text).joined(separator: ", ") + "]"
        case .map(let keys, let values):
            "{" + keys.indices.map { keys[$0].text + "=" + values[$0].text }.joined(separator: ", ") + "}"
        }
    }
}
