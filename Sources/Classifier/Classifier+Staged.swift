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
    /// - Complexity: O(rules)
    public func forEachStagedMatch(
        _ key: UnsafePointer<FlowKey>, version: UInt64, mask: UnsafeMutablePointer<FlowMask>, _ visit: (ClassifierRule) -> Int32?
    ) {
        var lookup = StagedLookup(self, UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self), mask)
        let list = pointer(loadWord(shared, 0))!
        let count = Int(list.load(as: UInt64.self))
        var least = Int64.min
        for index in 0..<count {
            if list.load(fromByteOffset: 16 + 16 * index, as: Int64.self) <= least { break }
            let body = pointer(list.load(fromByteOffset: 8 + 16 * index, as: UInt64.self))!
            for rule in lookup.matches(body, version) {
                if let limit = visit(rule) { least = max(least, Int64(limit)) }
            }
        }
    }
}

/// One lookup.
private struct StagedLookup {
    private let classifier: Classifier
    private let key: UnsafePointer<UInt64>
    private let looked: UnsafeMutablePointer<UInt64>
    private let order: [TrieField]
    private var walked: [TrieResult?] = [nil, nil, nil, nil]

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
        self.classifier = classifier
        self.key = key
        looked = UnsafeMutableRawPointer(mask).assumingMemoryBound(to: UInt64.self)
        order = classifier.prefixOrder.fields
    }

    /// The rules of a subtable that match, by falling priority; notes what was looked at.
    mutating func matches(_ body: UnsafeMutableRawPointer, _ version: UInt64) -> [ClassifierRule] {
        let layout = (body + Subtable.layoutOffset).assumingMemoryBound(to: Subtable.Layout.self)
        var mask = [UInt64](repeating: 0, count: FlowKey.wordCount)
        for place in 0..<layout.pointee.wordCount { mask[Int(layout.pointee.words[place])] |= layout.pointee.bits[place] }
        var rules: [(rule: ClassifierRule, key: [UInt64])] = []
        Subtable.forEach(body) { rule in
            var words = [UInt64](repeating: 0, count: FlowKey.wordCount)
            for place in 0..<rule.shape.count { words[Int(rule.shape.words[place])] |= rule.keyWords[place] }
            rules.append((rule, words))
        }
        let parts = StagedLookup.stages.map { stage in zip(mask, stage).map { $0 & $1 } }
        let used = (0..<4).filter { stage in parts[stage].contains { $0 != 0 } }
        var seen = [UInt64](repeating: 0, count: FlowKey.wordCount)
        for stage in used {
            if isExcluded(layout.pointee, stage) {
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
        if found.isEmpty { narrowPorts(body, &mask) }
        fold(mask)
        return found
    }

    private func fold(_ bits: [UInt64]) { for word in 0..<FlowKey.wordCount { looked[word] |= bits[word] } }

    /// Whether a prefix of a stage says that no rule of the subtable can match; notes the bits that say so.
    private mutating func isExcluded(_ layout: Subtable.Layout, _ stage: Int) -> Bool {
        // All prefixes are in the third stage.
        guard stage == 2, layout.hasPrefixes else { return false }
        let type = UInt16(truncatingIfNeeded: UInt64(bigEndian: key[0]) >> 16)
        for field in order {
            let length = field.prefixLength(layout.prefixLengths)
            if length == 0 { continue }
            guard type == (field.width == 32 ? 0x0800 : 0x86dd) else { continue }
            if walked[field.rawValue] == nil {
                walked[field.rawValue] = classifier.tries[field.rawValue].lookup(field.load(key), width: field.width)
            }
            guard let result = walked[field.rawValue], !result.contains(length) else { continue }
            if result.checkedBits <= length || isLooked(field, result.checkedBits) {
                field.unwildcard(result.checkedBits, in: looked)
                return true
            }
        }
        return false
    }

    private func isLooked(_ field: TrieField, _ length: Int) -> Bool {
        (~field.load(looked)).leadingZeroBitCount >= length
    }

    /// Where nothing matches, as many bits of the ports count as show that no rule has them.
    private func narrowPorts(_ body: UnsafeMutableRawPointer, _ mask: inout [UInt64]) {
        let word = FlowOffset.tpSrc / 8
        func ports(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: UInt64(bigEndian: value) >> 32) }
        let counted = ports(mask[word])
        if counted == 0 { return }
        let length = 32 - counted.trailingZeroBitCount
        let own = ports(key[word]) & counted
        var common = -1
        Subtable.forEach(body) { rule in
            for place in 0..<rule.shape.count where Int(rule.shape.words[place]) == word {
                common = max(common, min(length, (ports(rule.keyWords[place]) & counted ^ own).leadingZeroBitCount))
            }
        }
        guard common >= 0, common < length else { return }
        let kept = counted & ~(UInt32.max >> UInt32(common + 1))
        mask[word] = mask[word] & ~(UInt64(UInt32.max) << 32).bigEndian | (UInt64(kept) << 32).bigEndian
    }
}
