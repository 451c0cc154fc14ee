// JSON values (RFC 8259) as OVSDB uses them (RFC 7047 section 3).
//
// Integers and reals are kept apart: a 64-bit integer never takes a detour through a double. Objects are kept sorted by
// the bytes of their keys, so that equal objects serialize equally; of duplicate keys the last one wins.

/// A JSON value.
public enum JSON: Hashable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int64)
    case real(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
    /// Text that is JSON already, as it goes out. Nobody looks into it: it has no members, no elements, no value.
    case serialized([UInt8])

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    public var boolean: Bool? { if case .boolean(let value) = self { value } else { nil } }
    public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var isNull: Bool { if case .null = self { true } else { false } }

    /// The member `key` of an object; nil for anything else, or without such a member.
    public subscript(key: String) -> JSON? { object?[key] }
    /// The element `index` of an array; nil for anything else, or out of range.
    public subscript(index: Int) -> JSON? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// Compact text: no spaces, members in key order.
    public var text: String {
        var writer = JSONWriter()
        writer.write(self)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    /// Compact text as bytes.
    public var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.write(self)
        return writer.bytes
    }
}

// No nil literal: in a place for an optional `JSON?` it would silently mean `.null`.
extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral, ExpressibleByFloatLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .boolean(value) }
    public init(floatLiteral value: Double) { self = .real(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(elements)) }
}

extension JSON: CustomStringConvertible {
    public var description: String { text }
}

/// The members of a JSON object, sorted by the bytes of their keys, keys distinct.
public struct JSONObject: Sendable {
    public private(set) var members: [(key: String, value: JSON)]

    public init() { members = [] }

    /// Sorts; of equal keys the last one wins.
    ///
    /// - Complexity: O(n log n); O(n) if sorted already
    public init(_ unsorted: [(String, JSON)]) {
        members = unsorted.map { (key: $0.0, value: $0.1) }
        var sorted = true
        for index in members.indices.dropFirst() where !utf8Precedes(members[index - 1].key, members[index].key) {
            sorted = false
            break
        }
        guard !sorted else { return }
        // Swift's sort is stable, so the last of equal keys stays last.
        members.sort { utf8Precedes($0.key, $1.key) }
        var distinct: [(key: String, value: JSON)] = []
        distinct.reserveCapacity(members.count)
        for member in members {
            if let last = distinct.last, utf8Equal(last.key, member.key) { distinct.removeLast() }
            distinct.append(member)
        }
        members = distinct
    }

    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }

    /// - Complexity: O(log n) to read, O(n) to add or remove a member
    public subscript(key: String) -> JSON? {
        get {
            let index = position(of: key)
            return index < members.count && utf8Equal(members[index].key, key) ? members[index].value : nil
        }
        set {
            let index = position(of: key)
            let exists = index < members.count && utf8Equal(members[index].key, key)
            switch (newValue, exists) {
            case (let value?, true): members[index].value = value
            case (let value?, false): members.insert((key: key, value: value), at: index)
            case (nil, true): members.remove(at: index)
            case (nil, false): break
            }
        }
    }

    private func position(of key: String) -> Int {
        var low = 0
        var high = members.count
        while low < high {
            let middle = (low + high) / 2
            if utf8Precedes(members[middle].key, key) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension JSONObject: Hashable {
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.members.count == right.members.count else { return false }
        for index in left.members.indices {
            guard utf8Equal(left.members[index].key, right.members[index].key), left.members[index].value == right.members[index].value
            else { return false }
        }
        return true
    }
    public func hash(into hasher: inout Hasher) {
        for member in members {
            hasher.combine(member.key)
            hasher.combine(member.value)
        }
    }
}

// Swift's String compares by canonical equivalence; OVSDB (RFC 7047 section 3.1) and its files compare strings by their bytes.

/// Whether two strings have the same UTF-8 bytes.
@inline(__always)
func utf8Equal(_ left: String, _ right: String) -> Bool {
    left.utf8.count == right.utf8.count && utf8Compare(left, right) == 0
}

/// Whether `left`'s bytes come before `right`'s.
@inline(__always)
func utf8Precedes(_ left: String, _ right: String) -> Bool { utf8Compare(left, right) < 0 }

/// Negative, zero or positive as memcmp over the UTF-8 bytes says, the shorter first.
func utf8Compare(_ left: String, _ right: String) -> Int {
    let fast = left.utf8.withContiguousStorageIfAvailable { l in
        right.utf8.withContiguousStorageIfAvailable { r in compareBytes(UnsafeRawBufferPointer(l), UnsafeRawBufferPointer(r)) }
    }
    if let fast, let result = fast { return result }
    let l = Array(left.utf8)
    let r = Array(right.utf8)
    return l.withUnsafeBytes { l in r.withUnsafeBytes { r in compareBytes(l, r) } }
}
