// A column's value (RFC 7047 section 3.1): scalar, optional scalar, set or map.
//
// All of them are sorted, distinct keys, with values beside them for maps. Sorting makes equality, differences and
// serialization linear and unambiguous. The overwhelming majority of values hold no element or one, so those two need
// no allocation.

/// The value of one column of one row. Which of the shapes it has, the column's type says.
public struct Datum: Hashable, Sendable {
    enum Storage: Hashable, Sendable {
        case none
        case one(Atom)
        /// Two or more, ascending, distinct.
        case many([Atom])
        /// One or more pairs; keys ascending, distinct.
        case map([Atom], [Atom])
    }
    let storage: Storage

    init(storage: Storage) { self.storage = storage }

    /// The empty set, and the empty map.
    public static let empty = Datum(storage: .none)

    /// A scalar.
    public init(_ atom: Atom) { storage = .one(atom) }

    /// A set; sorts and drops duplicates.
    public init(set atoms: some Sequence<Atom>) {
        var sorted = atoms.sorted()
        Datum.removeDuplicates(&sorted)
        self.init(sortedSet: sorted)
    }

    /// A set from ascending distinct atoms.
    init(sortedSet atoms: [Atom]) {
        switch atoms.count {
        case 0: storage = .none
        case 1: storage = .one(atoms[0])
        default: storage = .many(atoms)
        }
    }

    /// A map; of equal keys the last one wins.
    public init(map pairs: some Sequence<(Atom, Atom)>) {
        var keys: [Atom] = []
        var values: [Atom] = []
        for (key, value) in pairs.sorted(by: { $0.0 < $1.0 }) {
            if keys.last == key {
                values[values.count - 1] = value
            } else {
                keys.append(key)
                values.append(value)
            }
        }
        self.init(sortedKeys: keys, values: values)
    }

    init(sortedKeys: [Atom], values: [Atom]) { storage = sortedKeys.isEmpty ? .none : .map(sortedKeys, values) }

    /// Number of elements, or of pairs.
    public var count: Int {
        switch storage {
        case .none: 0
        case .one: 1
        case .many(let keys): keys.count
        case .map(let keys, _): keys.count
        }
    }
    public var isEmpty: Bool { if case .none = storage { true } else { false } }

    /// The elements of a set, or the keys of a map, ascending.
    public var keys: [Atom] {
        switch storage {
        case .none: []
        case .one(let key): [key]
        case .many(let keys): keys
        case .map(let keys, _): keys
        }
    }

    /// The values of a map, in the order of their keys; empty for anything else.
    public var values: [Atom] { if case .map(_, let values) = storage { values } else { [] } }

    /// The only element, if there is exactly one.
    public var single: Atom? {
        switch storage {
        case .one(let atom): atom
        case .map(let keys, _) where keys.count == 1: keys[0]
        default: nil
        }
    }

    /// Position of `key`, if it is there.
    ///
    /// - Complexity: O(log n)
    func position(of key: Atom) -> Int? {
        switch storage {
        case .none: return nil
        case .one(let only): return only == key ? 0 : nil
        case .many(let keys), .map(let keys, _):
            let index = Datum.lowerBound(keys, key)
            return index < keys.count && keys[index] == key ? index : nil
        }
    }

    /// Whether the set has the element, or the map the key.
    public func contains(_ key: Atom) -> Bool { position(of: key) != nil }

    /// The value of a map's `key`.
    public func value(forKey key: Atom) -> Atom? {
        guard case .map(_, let values) = storage, let index = position(of: key) else { return nil }
        return values[index]
    }

    /// An order of all values of one type: the shorter first, then key by key, then value by value.
    func compare(_ other: Datum) -> Int {
        if count != other.count { return count < other.count ? -1 : 1 }
        for (left, right) in [(keys, other.keys), (values, other.values)] {
            for (l, r) in zip(left, right) {
                if l < r { return -1 }
                if r < l { return 1 }
            }
        }
        return 0
    }

    /// Calls `body` with each key.
    @inline(__always)
    func forEachKey(_ body: (Atom) -> Void) {
        switch storage {
        case .none: break
        case .one(let atom): body(atom)
        case .many(let keys), .map(let keys, _): for key in keys { body(key) }
        }
    }

    static func lowerBound(_ atoms: [Atom], _ atom: Atom) -> Int {
        var low = 0
        var high = atoms.count
        while low < high {
            let middle = (low + high) / 2
            if atoms[middle] < atom { low = middle + 1 } else { high = middle }
        }
        return low
    }

    static func removeDuplicates(_ sorted: inout [Atom]) {
        guard sorted.count > 1 else { return }
        var kept = 1
        for index in 1..<sorted.count where sorted[index] != sorted[kept - 1] {
            sorted[kept] = sorted[index]
            kept += 1
        }
        sorted.removeLast(sorted.count - kept)
    }
}

// MARK: - What programs mean by a column

extension Datum {
    public init(_ value: Int) { self.init(.integer(Int64(value))) }
    public init(_ value: Int64) { self.init(.integer(value)) }
    public init(_ value: Double) { self.init(.real(value)) }
    public init(_ value: Bool) { self.init(.boolean(value)) }
    public init(_ value: String) { self.init(.string(value)) }
    public init(_ value: UUID) { self.init(.uuid(value)) }
    /// An optional scalar: nil is the empty set.
    public init(_ value: String?) { self = value.map { Datum($0) } ?? .empty }
    public init(_ value: Int64?) { self = value.map { Datum($0) } ?? .empty }
    public init(_ value: Int?) { self = value.map { Datum($0) } ?? .empty }
    public init(_ value: Bool?) { self = value.map { Datum($0) } ?? .empty }
    public init(_ value: UUID?) { self = value.map { Datum($0) } ?? .empty }
    public init(strings: some Sequence<String>) { self.init(set: strings.map { .string($0) }) }
    public init(integers: some Sequence<Int64>) { self.init(set: integers.map { .integer($0) }) }
    public init(uuids: some Sequence<UUID>) { self.init(set: uuids.map { .uuid($0) }) }
    public init(_ map: [String: String]) { self.init(map: map.map { (.string($0.key), .string($0.value)) }) }
    public init(_ map: [String: Int64]) { self.init(map: map.map { (.string($0.key), .integer($0.value)) }) }
    public init(_ map: [String: UUID]) { self.init(map: map.map { (.string($0.key), .uuid($0.value)) }) }

    /// The only element as the type asked for; nil if there is none, several, or another type.
    public var string: String? { single?.string }
    public var integer: Int64? { single?.integer }
    public var real: Double? { single?.real }
    public var boolean: Bool? { single?.boolean }
    public var uuid: UUID? { single?.uuid }
    /// All elements (or keys) of that type.
    public var strings: [String] { keys.compactMap(\.string) }
    public var integers: [Int64] { keys.compactMap(\.integer) }
    public var uuids: [UUID] { keys.compactMap(\.uuid) }

    /// A string-to-string map as a dictionary.
    public var stringMap: [String: String] {
        guard case .map(let keys, let values) = storage else { return [:] }
        var result: [String: String] = [:]
        for index in keys.indices { if let key = keys[index].string, let value = values[index].string { result[key] = value } }
        return result
    }
    /// A string-to-integer map as a dictionary.
    public var integerMap: [String: Int64] {
        guard case .map(let keys, let values) = storage else { return [:] }
        var result: [String: Int64] = [:]
        for index in keys.indices { if let key = keys[index].string, let value = values[index].integer { result[key] = value } }
        return result
    }
    /// An integer-to-uuid map (queues, flow tables) as a dictionary.
    public var uuidsByInteger: [Int64: UUID] {
        guard case .map(let keys, let values) = storage else { return [:] }
        var result: [Int64: UUID] = [:]
        for index in keys.indices { if let key = keys[index].integer, let value = values[index].uuid { result[key] = value } }
        return result
    }
    /// A string-to-uuid map as a dictionary.
    public var uuidsByString: [String: UUID] {
        guard case .map(let keys, let values) = storage else { return [:] }
        var result: [String: UUID] = [:]
        for index in keys.indices { if let key = keys[index].string, let value = values[index].uuid { result[key] = value } }
        return result
    }
    /// The value of `key` in a string-to-string map, without making a dictionary of it.
    public subscript(key: String) -> String? { value(forKey: .string(key))?.string }
}
