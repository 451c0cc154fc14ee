// Reading column values as they stand on the wire (RFC 7047 section 5.1), without the schema.

internal import OVSDB

extension JSON {
    /// The elements of a set; a single element stands for the set of it.
    var elements: [JSON] {
        if case .array(let parts) = self, parts.count == 2, parts[0] == "set", let elements = parts[1].array { return elements }
        return [self]
    }
    /// The only element of an optional value.
    var optional: JSON? { elements.first }
    var optionalString: String? { optional?.string }
    var optionalInteger: Int64? { optional?.integer }

    /// The pairs of a map.
    var pairs: [(key: JSON, value: JSON)] {
        guard case .array(let parts) = self, parts.count == 2, parts[0] == "map", let pairs = parts[1].array else { return [] }
        return pairs.compactMap { pair in
            guard let key = pair[0], let value = pair[1] else { return nil }
            return (key, value)
        }
    }
    var strings: [String: String] {
        Dictionary(
            pairs.compactMap { pair in pair.key.string.flatMap { key in pair.value.string.map { (key, $0) } } }, uniquingKeysWith: { $1 })
    }
    var integers: [String: Int64] {
        Dictionary(
            pairs.compactMap { pair in pair.key.string.flatMap { key in pair.value.integer.map { (key, $0) } } }, uniquingKeysWith: { $1 })
    }

    /// The text of a UUID value.
    var uuidText: String? {
        guard case .array(let parts) = self, parts.count == 2, parts[0] == "uuid" else { return nil }
        return parts[1].string
    }
    var uuidTexts: [String] { elements.compactMap(\.uuidText) }

    static func map(_ values: [String: String]) -> JSON {
        ["map", .array(values.sorted { $0.key < $1.key }.map { [.string($0.key), .string($0.value)] as JSON })]
    }
    static func set(_ elements: [JSON]) -> JSON { ["set", .array(elements)] }
    static func uuid(_ text: String) -> JSON { ["uuid", .string(text)] }
    static func named(_ name: String) -> JSON { ["named-uuid", .string(name)] }
}
