// Types of columns (RFC 7047 section 3.2).

/// A reference's strength: a strong one keeps its row alive, a weak one vanishes with its row.
public enum ReferenceKind: String, Hashable, Sendable { case strong, weak }

/// An atomic type with its constraints.
public struct BaseType: Hashable, Sendable {
    public var type: AtomType
    /// The only values allowed, ascending; nil without such a constraint.
    public var allowed: [Atom]?
    public var minInteger: Int64 = .min
    public var maxInteger: Int64 = .max
    public var minReal: Double = -.greatestFiniteMagnitude
    public var maxReal: Double = .greatestFiniteMagnitude
    /// In Unicode scalars.
    public var minLength: Int = 0
    public var maxLength: Int = .max
    /// The table a uuid refers to.
    public var refTable: String?
    public var refKind: ReferenceKind = .strong
    /// `refTable`'s index in the schema; set when the schema is put together.
    public internal(set) var refTableIndex: Int?

    public init(_ type: AtomType) { self.type = type }

    public var isStrongReference: Bool { refTableIndex != nil && refKind == .strong }
    public var isWeakReference: Bool { refTableIndex != nil && refKind == .weak }

    private var hasConstraints: Bool {
        allowed != nil || minInteger != .min || maxInteger != .max || minReal != -.greatestFiniteMagnitude
            || maxReal != .greatestFiniteMagnitude || minLength != 0 || maxLength != .max
    }

    /// Parses `<base-type>`.
    public init(_ json: JSON) throws(OVSDBError) {
        if case .string(let name) = json {
            type = try BaseType.atomType(json, name)
            return
        }
        guard case .object = json else { throw .syntax("Parsing ovsdb type failed: Object expected.") }
        var members = MemberReader(json, name: "ovsdb type")
        guard case .string(let name) = try members.required("type", .any) else { throw .syntax("type must be a string", json) }
        type = try BaseType.atomType(.string(name), name)
        if let list = try members.optional("enum", .any) {
            let set = try Datum(list, ColumnType(BaseType(type), min: 1, max: .max))
            allowed = set.keys
        }
        switch type {
        case .integer:
            if let value = try members.optional("minInteger", .integer) { minInteger = value.integer! }
            if let value = try members.optional("maxInteger", .integer) { maxInteger = value.integer! }
            guard minInteger <= maxInteger else { throw .syntax("minInteger exceeds maxInteger", json) }
        case .real:
            if let value = try members.optional("minReal", .number) { minReal = try Atom(value, type: .real).real! }
            if let value = try members.optional("maxReal", .number) { maxReal = try Atom(value, type: .real).real! }
            guard minReal <= maxReal else { throw .syntax("minReal exceeds maxReal", json) }
        case .string:
            if let value = try members.optional("minLength", .integer) { minLength = try BaseType.length(value, "minLength") }
            if let value = try members.optional("maxLength", .integer) { maxLength = try BaseType.length(value, "maxLength") }
            guard minLength <= maxLength else { throw .syntax("minLength exceeds maxLength", json) }
        case .uuid:
            if case .string(let table)? = try members.optional("refTable", .identifier) {
                refTable = table
                if case .string(let kind)? = try members.optional("refType", .string) {
                    guard let known = ReferenceKind(rawValue: kind) else {
                        throw .syntax("refType must be \"strong\" or \"weak\" (not \"\(kind)\")", json)
                    }
                    refKind = known
                }
            }
        case .boolean: break
        }
        try members.finish()
        if allowed != nil,
            minInteger != .min || maxInteger != .max || minReal != -.greatestFiniteMagnitude
                || maxReal != .greatestFiniteMagnitude || minLength != 0 || maxLength != .max
        {
            throw .syntax("enum and other constraints are mutually exclusive", json)
        }
    }

    private static func atomType(_ json: JSON, _ name: String) throws(OVSDBError) -> AtomType {
        guard let type = AtomType(rawValue: name) else { throw .syntax("\"\(name)\" is not an atomic-type", json) }
        return type
    }

    private static func length(_ json: JSON, _ name: String) throws(OVSDBError) -> Int {
        guard let value = json.integer, value >= 0, value <= UInt32.max else {
            throw .syntax("\(name) out of valid range 0 to \(UInt32.max)", json)
        }
        return Int(value)
    }

    /// Checks an atom of this type against the constraints (not references: they are checked at commit).
    public func check(_ atom: Atom) throws(OVSDBError) {
        guard hasConstraints else { return }
        if let allowed {
            let index = Datum.lowerBound(allowed, atom)
            guard index < allowed.count, allowed[index] == atom else {
                throw .constraint("\(atom.text) is not one of the allowed values ([\(allowed.map(\.text).joined(separator: ", "))])")
            }
            return
        }
        switch atom {
        case .integer(let value):
            guard value < minInteger || value > maxInteger else { return }
            throw .constraint(
                BaseType.rangeText(
                    String(value), minInteger == .min ? nil : String(minInteger), maxInteger == .max ? nil : String(maxInteger)))
        case .real(let value):
            guard value < minReal || value > maxReal else { return }
            throw .constraint(
                BaseType.rangeText(
                    atom.text, minReal == -.greatestFiniteMagnitude ? nil : Atom.real(minReal).text,
                    maxReal == .greatestFiniteMagnitude ? nil : Atom.real(maxReal).text))
        case .string(let value):
            if minLength == 0 && value.utf8.count <= maxLength { return }
            let length = value.unicodeScalars.count
            if length < minLength { throw .constraint("\"\(value)\" length \(length) is less than minimum allowed length \(minLength)") }
            if length > maxLength { throw .constraint("\"\(value)\" length \(length) is greater than maximum allowed length \(maxLength)") }
        case .boolean, .uuid: break
        }
    }

    private static func rangeText(_ value: String, _ minimum: String?, _ maximum: String?) -> String {
        switch (minimum, maximum) {
        case (let low?, let high?): "\(value) is not in the valid range \(low) to \(high) (inclusive)"
        case (let low?, nil): "\(value) is less than minimum allowed value \(low)"
        case (nil, let high?): "\(value) is greater than maximum allowed value \(high)"
        case (nil, nil): "\(value) is not allowed"
        }
    }

    /// `<base-type>` as JSON; a bare string where there is nothing to say.
    public var json: JSON {
        var members: [(String, JSON)] = [("type", .string(type.rawValue))]
        if let allowed { members.append(("enum", .array([.string("set"), .array(allowed.map(\.json))]))) }
        if minInteger != .min { members.append(("minInteger", .integer(minInteger))) }
        if maxInteger != .max { members.append(("maxInteger", .integer(maxInteger))) }
        if minReal != -.greatestFiniteMagnitude { members.append(("minReal", Atom.real(minReal).json)) }
        if maxReal != .greatestFiniteMagnitude { members.append(("maxReal", Atom.real(maxReal).json)) }
        if minLength != 0 { members.append(("minLength", .integer(Int64(minLength)))) }
        if maxLength != .max { members.append(("maxLength", .integer(Int64(maxLength)))) }
        if let refTable {
            members.append(("refTable", .string(refTable)))
            if refKind == .weak { members.append(("refType", "weak")) }
        }
        return members.count == 1 ? .string(type.rawValue) : .object(JSONObject(members))
    }
}

/// The type of a column: a key type, for maps a value type, and how many elements.
public struct ColumnType: Hashable, Sendable {
    public var key: BaseType
    public var value: BaseType?
    /// 0 or 1.
    public var min: Int
    /// At least 1; `Int.max` is "unlimited".
    public var max: Int

    public init(_ key: BaseType, value: BaseType? = nil, min: Int = 1, max: Int = 1) {
        self.key = key
        self.value = value
        self.min = min
        self.max = max
    }

    public var isMap: Bool { value != nil }
    public var isScalar: Bool { value == nil && min == 1 && max == 1 }
    /// Whether values are written in set notation: neither scalar nor map.
    public var isSet: Bool { value == nil && !(min == 1 && max == 1) }

    /// Parses `<type>`.
    public init(_ json: JSON) throws(OVSDBError) {
        if case .string = json {
            self.init(try BaseType(json))
            return
        }
        guard case .object = json else { throw .syntax("Parsing ovsdb type failed: Object expected.") }
        var members = MemberReader(json, name: "ovsdb type")
        let key = try BaseType(try members.required("key", .any))
        var value: BaseType?
        if let given = try members.optional("value", .any) { value = try BaseType(given) }
        var min = 1
        var max = 1
        if let given = try members.optional("min", .any) {
            guard case .integer(let number) = given, number == 0 || number == 1 else {
                throw .syntax("ovsdb type fails constraint checks", json)
            }
            min = Int(number)
        }
        switch try members.optional("max", .any) {
        case nil: break
        case .string("unlimited")?: max = .max
        case .integer(let number)? where number >= 1 && number <= UInt32.max: max = Int(number)
        default: throw .syntax("ovsdb type fails constraint checks", json)
        }
        try members.finish()
        self.init(key, value: value, min: min, max: max)
    }

    /// The value of a new row's column.
    public var defaultDatum: Datum {
        if min == 0 { return .empty }
        guard let value else { return Datum(key.type.defaultAtom) }
        return Datum(sortedKeys: [key.type.defaultAtom], values: [value.type.defaultAtom])
    }

    /// `<type>` as JSON.
    public var json: JSON {
        let keyJSON = key.json
        if value == nil, min == 1, max == 1, case .string = keyJSON { return keyJSON }
        var members: [(String, JSON)] = [("key", keyJSON)]
        if let value { members.append(("value", value.json)) }
        if min != 1 { members.append(("min", .integer(Int64(min)))) }
        if max == .max { members.append(("max", "unlimited")) } else if max != 1 { members.append(("max", .integer(Int64(max)))) }
        return .object(JSONObject(members))
    }

    /// "set of up to 3 integers", for messages to people.
    var englishText: String {
        if isScalar { return key.type.rawValue }
        if let value {
            let count = max == .max ? (min == 0 ? "" : " of 1 or more") : (min == 0 ? " of up to \(max)" : " of \(min) to \(max)")
            return "map of\(count.isEmpty ? "" : String(count.dropFirst(3))) (\(key.type.rawValue), \(value.type.rawValue)) pairs"
        }
        if max == .max { return min == 0 ? "set of \(key.type.rawValue)s" : "set of 1 or more \(key.type.rawValue)s" }
        return min == 0 ? "set of up to \(max) \(key.type.rawValue)s" : "set of \(min) to \(max) \(key.type.rawValue)s"
    }
}
