// Lookup as the field's switches do it, bit for bit in what it looks at, for tests that compare that.
//
// A subtable is looked at stage by stage: metadata, L2, L3, L4. Before a stage, the tries of those prefixes that are in it say
// whether any rule can match; after it, whether any rule of the subtable agrees so far. In the last stage, where nothing
// matches, a trie of the ports says how many of their bits show it. This is for small tables: rules are compared one by one.

internal import Base
public import Flow
internal import Synchronization

/// The order in which prefixes are looked at; each of the fields at most once.
public struct PrefixOrder: Equatable, Sendable {
    /// Four bits a field, the first one lowest: its `TrieField.rawValue` and one.
    var rawValue: UInt32

    init(rawValue: UInt32) { self.rawValue = rawValue }

    /// What a table has unless it was told otherwise.
    public static let standard = PrefixOrder([.nwDst, .nwSrc, .ipv6Dst, .ipv6Src])!

    /// Nil if a field has no prefixes that are kept.
    public init?(_ fields: [Field]) {
        rawValue = 0
        for (place, field) in fields.prefix(8).enumerated() {
            let known: TrieField
            switch field {
            case .nwSrc: known = .nwSrc
            case .nwDst: known = .nwDst
            case .ipv6Src: known = .ipv6Src
            case .ipv6Dst: known = .ipv6Dst
            default: return nil
            }
            rawValue |= UInt32(known.rawValue + 1) << UInt32(4 * place)
        }
    }

    var fields: [TrieField] {
        (0..<8).compactMap { place in
            let value = Int(rawValue >> UInt32(4 * place) & 15)
            return value == 0 ? nil : TrieField(rawValue: value - 1)
        }
    }
}

extension Classifier {
    /// Which prefixes staged lookups look at, in which order.
    public var prefixOrder: PrefixOrder {
        get { PrefixOrder(rawValue: prefixOrderValue.load(ordering: .relaxed)) }
        set { prefixOrderValue.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// Visits, subtable after subtable, the rules that match `key` at `version`, in each by falling priority.
    ///
    /// - Parameters:
    ///   - mask: gets the bits that were looked at.
    ///   - visit: says below which priority further rules are of no interest; nil: all are.
    /// - Returns: false if there are more rules than can be compared one by one: nothing was visited, and nothing looked at.
    /// - Complexity: O(rules)
    @discardableResult
    public func forEachStagedMatch(
        _ key: UnsafePointer<FlowKey>, version: UInt64, mask: UnsafeMutablePointer<FlowMask>, _ visit: (ClassifierRule) -> Int32?
    ) -> Bool {
        var lookup = StagedLookup(self, UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self), mask)
        if lookup.isTooLarge { return false }
        var least = Int32.min
        for subtable in lookup.subtables where subtable.priority > least {
            for rule in lookup.matches(subtable, version) {
                if let limit = visit(rule) { least = max(least, limit) }
            }
        }
        return true
    }
}

/// One lookup.
private struct StagedLookup {
    /// The rules of one mask, with their keys spread out.
    struct Table {
        var mask = [UInt64](repeating: 0, count: FlowKey.wordCount)
        var rules: [(rule: ClassifierRule, key: [UInt64])] = []
        var priority = Int32.min
        /// The length of the prefix in each field that has one.
        var prefixLengths = [0, 0, 0, 0]
    }

    private let key: UnsafePointer<UInt64>
    private let looked: UnsafeMutablePointer<UInt64>
    private let order: [TrieField]
    /// Rules that are compared one by one at most.
    private static let limit = 2000
    private(set) var isTooLarge = false
    /// By falling priority.
    private(set) var subtables: [Table] = []
    private var walked: [(lengths: Set<Int>, checkedBits: Int)?] = [nil, nil, nil, nil]

    /// The key's bits of each stage.
    private static let stages: [[UInt64]] = {
        var bytes = [[UInt8]](repeating: [UInt8](repeating: 0, count: FlowKey.byteCount), count: 4)
        func put(_ stage: Int, _ range: Range<Int>) { for index in range { bytes[stage][index] = 0xff } }
        put(0, 0..<FlowKey.byteCount)
        func move(_ stage: Int, _ range: Range<Int>) {
            for index in range { bytes[0][index] = 0 }
            put(stage, range)
        }
        move(1, FlowOffset.etherType..<FlowOffset.nwSrc)
        move(2, FlowOffset.ipFragment..<FlowOffset.mplsCount)
        for index in FlowOffset.ipFragment..<FlowOffset.mplsCount { bytes[1][index] = 0 }
        move(2, FlowOffset.nwSrc..<FlowOffset.tpSrc)
        move(3, FlowOffset.tpSrc..<FlowOffset.nwProto)
        move(2, FlowOffset.nwProto..<FlowOffset.tcpFlags)
        move(3, FlowOffset.tcpFlags..<FlowOffset.vlanTPID)
        move(1, FlowOffset.vlanTPID..<FlowOffset.recircID)
        move(2, FlowOffset.ipv6Src..<FlowOffset.ndReserved)
        move(3, FlowOffset.ndReserved..<FlowOffset.mplsLSE0)
        move(1, FlowOffset.mplsLSE0..<FlowOffset.nshFlags)
        move(3, FlowOffset.nshFlags..<24 * 8)
        return bytes.map { stage in
            (0..<FlowKey.wordCount).map { word in
                stage[word * 8..<word * 8 + 8].withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
            }
        }
    }()

    init(_ classifier: Classifier, _ key: UnsafePointer<UInt64>, _ mask: UnsafeMutablePointer<FlowMask>) {
        self.key = key
        looked = UnsafeMutableRawPointer(mask).assumingMemoryBound(to: UInt64.self)
        order = classifier.prefixOrder.fields
        var count = 0
        classifier.forEachBody { body in
            if count > StagedLookup.limit { return }
            let layout = (body + Subtable.layoutOffset).assumingMemoryBound(to: Subtable.Layout.self)
            var table = Table()
            for place in 0..<layout.pointee.wordCount { table.mask[Int(layout.pointee.words[place])] |= layout.pointee.bits[place] }
            Subtable.forEach(body) { rule in
                count += 1
                if count > StagedLookup.limit { return }
                var words = [UInt64](repeating: 0, count: FlowKey.wordCount)
                for place in 0..<rule.shape.count { words[Int(rule.shape.words[place])] |= rule.keyWords[place] }
                table.rules.append((rule, words))
                table.priority = max(table.priority, rule.rank)
            }
            for field in TrieField.allCases {
                let bits = table.mask.withUnsafeBufferPointer { field.load($0.baseAddress!) }
                let length = min(field.width, (~bits).leadingZeroBitCount)
                // Bits behind a gap are no prefix.
                table.prefixLengths[field.rawValue] = length > 0 && bits == UInt128.max << UInt128(128 - length) ? length : 0
            }
            subtables.append(table)
        }
        isTooLarge = count > StagedLookup.limit
        subtables.sort { $0.priority > $1.priority }
    }

    /// The rules of a subtable that match, by falling priority; notes what was looked at.
    mutating func matches(_ table: Table, _ version: UInt64) -> [ClassifierRule] {
        var mask = table.mask
        var rules = table.rules
        let parts = StagedLookup.stages.map { stage in zip(mask, stage).map { $0 & $1 } }
        let used = (0..<4).filter { stage in parts[stage].contains { $0 != 0 } }
        var seen = [UInt64](repeating: 0, count: FlowKey.wordCount)
        for stage in used {
            if isExcluded(table, stage) {
                fold(seen)
                return []
            }
            for word in 0..<FlowKey.wordCount { seen[word] |= parts[stage][word] }
            rules.removeAll { rule in (0..<FlowKey.wordCount).contains { (rule.key[$0] ^ key[$0]) & seen[$0] != 0 } }
            if stage != used.last, rules.isEmpty {
                fold(seen)
                return []
            }
        }
        let found = rules.filter { $0.rule.isVisible(in: version) }.map(\.rule).sorted { $0.rank > $1.rank }
        if found.isEmpty { narrowPorts(table, &mask) }
        fold(mask)
        return found
    }

    private func fold(_ bits: [UInt64]) { for word in 0..<FlowKey.wordCount { looked[word] |= bits[word] } }

    /// Whether a prefix of a stage says that no rule of the subtable can match; notes the bits that say so.
    private mutating func isExcluded(_ table: Table, _ stage: Int) -> Bool {
        // All prefixes are in the third stage.
        guard stage == 2 else { return false }
        let type = UInt16(truncatingIfNeeded: UInt64(bigEndian: key[0]) >> 16)
        for field in order {
            let length = table.prefixLengths[field.rawValue]
            guard length > 0, type == (field.width == 32 ? 0x0800 : 0x86dd) else { continue }
            let result = walked[field.rawValue] ?? walk(field)
            walked[field.rawValue] = result
            if result.lengths.contains(length) { continue }
            if result.checkedBits <= length || isLooked(field, result.checkedBits) {
                field.unwildcard(result.checkedBits, in: looked)
                return true
            }
        }
        return false
    }

    /// What a trie of all rules' prefixes says of the packet's address: the lengths of those that it is in, and how many of its
    /// bits say so.
    private func walk(_ field: TrieField) -> (lengths: Set<Int>, checkedBits: Int) {
        let address = field.load(key)
        var lengths: Set<Int> = []
        var common = 0
        var isLeft = false
        for table in subtables {
            let length = table.prefixLengths[field.rawValue]
            if length == 0 { continue }
            for rule in table.rules {
                let prefix = rule.key.withUnsafeBufferPointer { field.load($0.baseAddress!) }
                let own = min(length, (prefix ^ address).leadingZeroBitCount)
                if own == length { lengths.insert(length) }
                // At the deepest place, the bit after it counts where some prefix goes another way there.
                if own > common { (common, isLeft) = (own, own < length) } else if own == common, own < length { isLeft = true }
            }
        }
        return (lengths, min(field.width, common + (isLeft ? 1 : 0)))
    }

    private func isLooked(_ field: TrieField, _ length: Int) -> Bool { (~field.load(looked)).leadingZeroBitCount >= length }

    /// Where nothing matches, as many bits of the ports count as show that no rule has them.
    private func narrowPorts(_ table: Table, _ mask: inout [UInt64]) {
        let word = FlowOffset.tpSrc / 8
        func ports(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: UInt64(bigEndian: value) >> 32) }
        let counted = ports(mask[word])
        if counted == 0 { return }
        let length = 32 - counted.trailingZeroBitCount
        let own = ports(key[word]) & counted
        let common = table.rules.map { min(length, (ports($0.key[word]) & counted ^ own).leadingZeroBitCount) }.max() ?? length
        guard common < length else { return }
        let kept = counted & ~(UInt32.max >> UInt32(common + 1))
        mask[word] = mask[word] & ~(UInt64(UInt32.max) << 32).bigEndian | (UInt64(kept) << 32).bigEndian
    }
}
