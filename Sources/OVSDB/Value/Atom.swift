// The scalar values of RFC 7047 section 3.1.

/// What an atom can be.
public enum AtomType: String, Hashable, Sendable, CaseIterable {
    case integer, real, boolean, string, uuid

    /// The value of a new row's column of this type.
    public var defaultAtom: Atom {
        switch self {
        case .integer: .integer(0)
        case .real: .real(0)
        case .boolean: .boolean(false)
        case .string: .string("")
        case .uuid: .uuid(.zero)
        }
    }
}

/// One scalar.
///
/// Ordered within a type, strings by their bytes; across types by the type's position, which no valid datum needs.
public enum Atom: Sendable {
    case integer(Int64)
    case real(Double)
    case boolean(Bool)
    case string(String)
    case uuid(UUID)

    public var type: AtomType {
        switch self {
        case .integer: .integer
        case .real: .real
        case .boolean: .boolean
        case .string: .string
        case .uuid: .uuid
        }
    }

    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    public var real: Double? { if case .real(let value) = self { value } else { nil } }
    public var boolean: Bool? { if case .boolean(let value) = self { value } else { nil } }
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var uuid: UUID? { if case .uuid(let value) = self { value } else { nil } }

    /// Whether this is its type's default.
    public var isDefault: Bool { self == type.defaultAtom }

    private var rank: Int {
        switch self {
        case .integer: 0
        case .real: 1
        case .boolean: 2
        case .string: 3
        case .uuid: 4
        }
    }
}

extension Atom: Hashable, Comparable {
    public static func == (left: Atom, right: Atom) -> Bool {
        switch (left, right) {
        case (.integer(let l), .integer(let r)): l == r
        case (.real(let l), .real(let r)): l == r
        case (.boolean(let l), .boolean(let r)): l == r
        case (.string(let l), .string(let r)): utf8Equal(l, r)
        case (.uuid(let l), .uuid(let r)): l == r
        default: false
        }
    }

    public static func < (left: Atom, right: Atom) -> Bool {
        switch (left, right) {
        case (.integer(let l), .integer(let r)): l < r
        case (.real(let l), .real(let r)): l < r
        case (.boolean(let l), .boolean(let r)): !l && r
        case (.string(let l), .string(let r)): utf8Precedes(l, r)
        case (.uuid(let l), .uuid(let r)): l < r
        default: left.rank < right.rank
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .integer(let value): hasher.combine(value)
        case .real(let value): hasher.combine(value)
        case .boolean(let value): hasher.combine(value)
        case .string(let value): hasher.combine(value)
        case .uuid(let value): hasher.combine(value)
        }
    }
}

extension Atom {
    /// RFC 7047's notation: `["uuid", "..."]` for uuids, the plain value for the rest.
    public var json: JSON {
        switch self {
        case .integer(let value): .integer(value)
        // ovsdb-server prints a real without fraction like an integer; readers of its output and log expect it.
        case .real(let value): Int64(exactly: value).map { .integer($0) } ?? .real(value)
        case .boolean(let value): .boolean(value)
        case .string(let value): .string(value)
        case .uuid(let value): .array([.string("uuid"), .string(value.description)])
        }
    }

    /// Parses an atom of `type`.
    ///
    /// - Parameter symbols: resolves `["named-uuid", ...]`; nil where names mean nothing (files, monitors).
    public init(_ json: JSON, type: AtomType, symbols: SymbolTable? = nil) throws(OVSDBError) {
        switch (type, json) {
        case (.integer, .integer(let value)): self = .integer(value)
        case (.real, .integer(let value)): self = .real(Double(value))
        case (.real, .real(let value)): self = .real(value)
        case (.boolean, .boolean(let value)): self = .boolean(value)
        case (.string, .string(let value)): self = .string(value)
        case (.uuid, .array(let pair)): self = .uuid(try Atom.uuid(pair, json, symbols))
        case (.uuid, _): throw .syntax("expected [\"uuid\", <string>]", json)
        default: throw .syntax("expected \(type.rawValue)", json)
        }
    }

    private static func uuid(_ pair: [JSON], _ json: JSON, _ symbols: SymbolTable?) throws(OVSDBError) -> UUID {
        guard pair.count == 2, case .string(let kind) = pair[0], case .string(let text) = pair[1] else {
            throw .syntax("expected [\"uuid\", <string>]", json)
        }
        switch kind {
        case "uuid":
            guard let uuid = UUID(text) else { throw .syntax("\"\(text)\" is not a valid UUID", json) }
            return uuid
        case "named-uuid":
            guard let symbols else { throw .syntax("expected [\"uuid\", <string>]", json) }
            guard isIdentifier(text) else { throw .syntax("named-uuid string is not a valid <id>", json) }
            return symbols.uuid(named: text)
        default: throw .syntax("expected [\"uuid\", <string>]", json)
        }
    }

    /// As it stands in a sentence for people: strings bare where that is unambiguous, else quoted.
    var text: String {
        switch self {
        case .integer(let value): return String(value)
        case .real(let value): return JSON.real(value).text
        case .boolean(let value): return value ? "true" : "false"
        case .uuid(let value): return value.description
        case .string(let value):
            let bare = !value.isEmpty && value != "true" && value != "false" && UUID(value) == nil && isWord(value)
            return bare ? value : JSON.string(value).text
        }
    }
}

/// Whether `text` is an `<id>` of RFC 7047 section 3.1: a letter or "_", then letters, digits, "_".
public func isIdentifier(_ text: String) -> Bool {
    guard let first = text.utf8.first, first == UInt8(ascii: "_") || isLetter(first) else { return false }
    return text.utf8.allSatisfy { $0 == UInt8(ascii: "_") || isLetter($0) || ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) }
}

private func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z") }

/// Whether `text` reads as one word: starts like an identifier, and also holds "-" and ".".
private func isWord(_ text: String) -> Bool {
    guard let first = text.utf8.first, first == UInt8(ascii: "_") || isLetter(first) else { return false }
    return text.utf8.allSatisfy {
        $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || isLetter($0)
            || ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9"))
    }
}

/// The named-uuids of one transaction: a name stands for one UUID throughout, used before or after its insert.
public final class SymbolTable {
    private var symbols: [String: (uuid: UUID, created: Bool)] = [:]
    private let generate: () -> UUID

    public init(generate: @escaping () -> UUID) { self.generate = generate }

    /// The UUID `name` stands for; a new one at first use.
    public func uuid(named name: String) -> UUID {
        if let known = symbols[name] { return known.uuid }
        let uuid = generate()
        symbols[name] = (uuid, false)
        return uuid
    }

    /// Lets `name` stand for `uuid`, unless it stands for something already.
    func reserve(_ name: String, _ uuid: UUID) { if symbols[name] == nil { symbols[name] = (uuid, false) } }

    /// Makes `name` the name of an inserted row. Nil if an earlier insert has taken it.
    ///
    /// - Parameter chosen: the UUID the insert asks for; it wins over one given out before
    func define(_ name: String, chosen: UUID?) -> UUID? {
        if symbols[name]?.created == true { return nil }
        let uuid = chosen ?? uuid(named: name)
        symbols[name] = (uuid, true)
        return uuid
    }
}
