// What goes wrong when people write flows, and what they probably meant.

/// A mistake in a match, action, flow or packet description: one sentence that names the offending words and says what
/// would be valid.
public struct FlowTextError: Error, Equatable, CustomStringConvertible, Sendable {
    public var message: String
    public init(_ message: String) { self.message = message }
    public var description: String { message }
}

/// Guesses at misspelled words.
public enum Suggestion {
    /// Longest word that is compared with candidates.
    static let lengthLimit = 32

    /// ` (did you mean "x"?)`, or nothing if no candidate is near.
    public static func hint(for word: some StringProtocol, among candidates: some Sequence<String>) -> String {
        nearest(to: word, among: candidates).map { " (did you mean \"\($0)\"?)" } ?? ""
    }

    /// The candidate with the smallest edit distance, if that is at most a third of the word's length (at least 1).
    public static func nearest(to word: some StringProtocol, among candidates: some Sequence<String>) -> String? {
        let wanted = Array(word.lowercased().utf8)
        guard !wanted.isEmpty, wanted.count <= lengthLimit else { return nil }
        var best: (distance: Int, name: String)?
        for candidate in candidates {
            let distance = editDistance(wanted, Array(candidate.lowercased().utf8))
            if distance <= max(1, wanted.count / 3), best == nil || (distance, candidate) < (best!.distance, best!.name) {
                best = (distance, candidate)
            }
        }
        return best?.name
    }

    /// Insertions, deletions, replacements and swaps of neighbours.
    static func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (row, byte) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                var cost = min(last[column + 1] + 1, current[column] + 1, last[column] + (byte == other ? 0 : 1))
                if row > 0, column > 0, byte == right[column - 1], left[row - 1] == other {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}

/// Names of ports in text. Numbers always work; names only where there is a switch to ask.
public struct PortNames: Sendable {
    public var number: @Sendable (String) -> OpenFlowPort?
    public var name: @Sendable (OpenFlowPort) -> String?
    public init(number: @escaping @Sendable (String) -> OpenFlowPort?, name: @escaping @Sendable (OpenFlowPort) -> String?) {
        self.number = number
        self.name = name
    }
    /// Numbers only.
    public static let none = PortNames(number: { _ in nil }, name: { _ in nil })

    /// A fixed table of names, printed and read.
    public init(_ table: [String: OpenFlowPort]) {
        var names: [OpenFlowPort: String] = [:]
        for (name, port) in table { names[port] = name }
        let reverse = names
        self.init(number: { table[$0] }, name: { reverse[$0] })
    }
}

extension OpenFlowPort {
    /// The reserved ports' names, as printed; they are read in any case.
    static let reserved: [(name: String, port: OpenFlowPort)] = [
        ("IN_PORT", .inPort), ("TABLE", .table), ("NORMAL", .normal), ("FLOOD", .flood), ("ALL", .all), ("CONTROLLER", .controller),
        ("LOCAL", .local), ("ANY", .any), ("NONE", .any),
    ]

    /// A reserved name, a number (decimal or 0x; 16-bit reserved numbers count as the 32-bit ones), or a name that
    /// `names` knows.
    public init?(text: some StringProtocol, names: PortNames = .none) {
        if let value = FlowText.integer(text), value <= UInt128(UInt32.max) {
            let number = UInt32(value)
            self.init(number >= 0xff00 && number <= 0xffff ? number | 0xffff_0000 : number)
            return
        }
        var word = String(text)
        if word.count >= 2, word.hasPrefix("\""), word.hasSuffix("\"") { word = String(word.dropFirst().dropLast()) }
        if let port = names.number(word) {
            self = port
            return
        }
        let upper = word.uppercased()
        guard let known = OpenFlowPort.reserved.first(where: { $0.name == upper }) else { return nil }
        self = known.port
    }

    /// Name of a reserved port, or what `names` says (quoted if it is not a plain word), or the number.
    public func text(names: PortNames = .none) -> String {
        if let known = OpenFlowPort.reserved.first(where: { $0.port == self }) { return known.name }
        guard let name = names.name(self) else { return String(rawValue) }
        let isPlain = name.utf8.allSatisfy {
            $0 == 0x5f || $0 == 0x2d || $0 == 0x2e || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a) || ($0 >= 0x30 && $0 <= 0x39)
        }
        let startsWithLetter = name.utf8.first.map { $0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7a } ?? false
        return isPlain && startsWithLetter ? name : "\"\(name)\""
    }
}
