// The slow path's rule table: which rule of highest priority matches a packet, and which bits of the packet said so.
//
// Rules are grouped by mask into subtables (tuple space search), and subtables whose masks differ in L4 only into groups. A lookup
// visits groups, and in them subtables, by falling highest priority and stops when none that is left can beat what it has. On the
// way it avoids whole groups: when none of their rules has the packet's metadata; by tries of the IPv4 and IPv6 prefixes, when no rule
// anywhere has a prefix of that group's length that the address is in; and by stages (L2, L3), when no rule of the group agrees
// with the packet so far.
//
// What a lookup looked at is reported as a mask, for the megaflow. The invariant: a packet that agrees with this one on the
// mask's bits gets the same rule. Superfluous bits are harmless, missing ones are wrong; every avoided subtable still adds
// the bits that showed it could be avoided.
//
// Rules carry versions. A change is made at a version above the published one, where no lookup sees it, and becomes
// visible, however big, by the one store that publishes the version. What was removed stays linked until no reader of an
// older version is left.

public import Base
public import Flow
public import Synchronization

/// A table of prioritised rules.
///
/// ## Thread safety
/// Readers (`lookup`, `forEachVisible`) may be any threads at any time; they hold a slot of `epochs` while they look and
/// while they use what they found without retaining it. They wait for nobody. Everything else is for one writer at a time.
public final class Classifier: @unchecked Sendable {
    /// Word 0 points to the published list of groups, words 1 to 4 to the tries' roots.
    /// Sound: atomic words, freed with the object.
    let shared: UnsafeMutableRawPointer
    let tries: [PrefixTrie]
    let epochs: ReaderEpochs
    let seed: UInt64

    // The writer's.
    /// The subtable that was looked up last.
    var latest: Subtable?
    /// Removed rules and replaced tables that are worth a look at all readers.
    static let settlingThreshold = 64
    /// Removed rules that a change unlinks at most, so that none waits long for another's many.
    static let settledWithAChange = 256
    var subtables: [UInt64: [Subtable]] = [:]
    var groupsByHash: [UInt64: [SubtableGroup]] = [:]
    var metadataByHash: [UInt64: [MetadataStage]] = [:]
    /// In falling order of priority as of the last `prepare`.
    var groups: [SubtableGroup] = []
    var isOrderStale = false
    /// Groups whose own lists are not up to date.
    var staleGroups: [SubtableGroup] = []
    /// Subtables and groups without rules that readers may still find in a list.
    var emptied: [Subtable] = []
    var emptiedGroups: [SubtableGroup] = []
    /// Removed at a version that is not published yet.
    var removed: [ClassifierRule] = []
    /// Removed and published; to unlink when readers of older versions are gone.
    var unlinking: [(tag: UInt64, rules: [ClassifierRule])] = []
    /// Out of reach for new readers; to free when the present ones are gone.
    var retiring = Retired()
    var freeing: [(tag: UInt64, what: Retired)] = []
    /// Rules linked, whatever their version.
    public internal(set) var linkedCount = 0
    /// Whether rules were put in that decide together, so that lookups must see every match (`forEachMatch`). Sound: atomic.
    public let needsAllMatches = Atomic<Bool>(false)
    /// `PrefixOrder.rawValue`.
    let prefixOrderValue = Atomic<UInt32>(PrefixOrder.standard.rawValue)

    /// What to free together.
    struct Retired {
        var memory: [UnsafeMutableRawPointer] = []
        var rules: [ClassifierRule] = []
        var subtables: [Subtable] = []
        var groups: [SubtableGroup] = []
        var isEmpty: Bool { memory.isEmpty && rules.isEmpty && subtables.isEmpty && groups.isEmpty }
    }

    /// - Parameter seed: keeps outsiders from aiming at hash collisions.
    public init(epochs: ReaderEpochs, seed: UInt64) {
        self.epochs = epochs
        self.seed = seed
        let shared = allocateWords(1 + TrieField.allCases.count)
        self.shared = shared
        tries = TrieField.allCases.map { PrefixTrie(root: atomicWord(shared, 1 + $0.rawValue), width: $0.width) }
        storeWord(shared, 0, word(Classifier.makeList([])))
    }

    /// No reader may be left.
    deinit {
        for subtable in groups.flatMap(\.subtables) {
            subtable.forEach { Subtable.rule($0.node).release() }
        }
        for retired in freeing.map(\.what) + [retiring] { retired.memory.forEach { $0.deallocate() } }
        tries.forEach { $0.removeAll() }
        pointer(loadWord(shared, 0))?.deallocate()
        shared.deallocate()
    }

    // MARK: Lookup

    static let addressMask: UInt64 = 0x0000_ffff_ffff_ffff

    /// The groups as readers see them: word 0 the count; then the bodies of metadata stages; then of each group its body, with the
    /// number of its metadata stage (0: none) and its bit in that one's filters above, and its highest priority above the lengths of
    /// its prefixes.
    static func makeList(_ groups: [SubtableGroup]) -> UnsafeMutableRawPointer {
        let list = allocateWords(listHeaderWords + 2 * groups.count)
        list.storeBytes(of: UInt64(groups.count), as: UInt64.self)
        var stages: [ObjectIdentifier: Int] = [:]
        for (index, group) in groups.enumerated() {
            let lengths = group.shape.prefixLengths
            let packed = UInt64(lengths.0) | UInt64(lengths.1) << 8 | UInt64(lengths.2) << 16 | UInt64(lengths.3) << 24
            let priority = UInt64(UInt32(bitPattern: group.maximumPriority))
            var body = word(group.body)
            if let (stage, filterBit) = group.metadata {
                var number = stages[ObjectIdentifier(stage)] ?? 0
                if number == 0, stages.count < MetadataStage.listed {
                    number = stages.count + 1
                    stages[ObjectIdentifier(stage)] = number
                    list.storeBytes(of: word(stage.body), toByteOffset: 8 * number, as: UInt64.self)
                }
                body |= UInt64(number) << 56 | UInt64(filterBit) << 48
            }
            list.storeBytes(of: body, toByteOffset: (listHeaderWords + 2 * index) * 8, as: UInt64.self)
            list.storeBytes(of: priority << 32 | packed, toByteOffset: (listHeaderWords + 2 * index + 1) * 8, as: UInt64.self)
        }
        return list
    }

    /// The count, and the metadata stages numbered from 1.
    static var listHeaderWords: Int { @inline(__always) get { 1 + MetadataStage.listed } }

    /// A group's body in a list.
    @inline(__always) static func groupBody(_ list: UnsafeMutableRawPointer, _ index: Int) -> UInt64 {
        list.load(fromByteOffset: (listHeaderWords + 2 * index) * 8, as: UInt64.self)
    }

    /// Its highest priority and the lengths of its prefixes.
    @inline(__always) static func groupSummary(_ list: UnsafeMutableRawPointer, _ index: Int) -> UInt64 {
        list.load(fromByteOffset: (listHeaderWords + 2 * index + 1) * 8, as: UInt64.self)
    }

    /// Calls `visit` with the body of each published subtable.
    @inline(__always) func forEachBody(_ visit: (UnsafeMutableRawPointer) -> Void) {
        let list = pointer(loadWord(shared, 0)).unsafelyUnwrapped
        for index in 0..<list.load(as: Int.self) {
            let group = pointer(Classifier.groupBody(list, index) & Classifier.addressMask).unsafelyUnwrapped
            let members = pointer(loadWord(group, 0)).unsafelyUnwrapped
            for member in 0..<members.load(as: Int.self) { visit(SubtableGroup.members(members)[member].body) }
        }
    }

    /// Visits every rule that is visible at `version` and at least as specific as `filter`, in no order.
    public func forEachVisible(at version: UInt64, matching filter: Match, _ visit: (ClassifierRule) -> Void) {
        forEachBody { body in
            var covers: Bool?
            Subtable.forEach(body) { rule in
                guard rule.isVisible(in: version) else { return }
                if covers == nil { covers = rule.shape.isSuperset(of: filter.mask) }
                if covers!, rule.agrees(with: filter) { visit(rule) }
            }
        }
    }
}
