// Versions of what translations depend on.
//
// A bridge's tables, MAC-learning table, ports and groups are hashed to 64 slots. A change stamps the slots it may affect
// with the next sequence number; a megaflow remembers the slots its decision used and the sequence number from before the
// decision. It is stale if one of its slots has been stamped since. One stamp marks any number of megaflows, before the
// barrier reply, in nanoseconds. Slots may be shared: that costs needless re-translation, never a stale decision.

public import Synchronization

/// Some of the 64 slots.
public struct DependencySet: OptionSet, Hashable, Sendable {
    public var rawValue: UInt64
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Slots 0 to 39: OpenFlow tables, by bridge and table number.
    public static func table(bridge: UInt32, table: UInt8) -> DependencySet {
        DependencySet(rawValue: 1 << UInt64((bridge &* 7 &+ UInt32(table)) % 40))
    }
    /// Slots 40 to 51: MAC-learning entries, by a hash of bridge, VLAN and address.
    public static func macLearning(hash: UInt32) -> DependencySet {
        DependencySet(rawValue: 1 << UInt64(40 + hash % 12))
    }
    /// Slots 52 to 59: groups and meters, by bridge and number.
    public static func group(bridge: UInt32, group: UInt32) -> DependencySet {
        DependencySet(rawValue: 1 << UInt64(52 + (bridge &+ group) % 8))
    }
    /// Slots 60 to 62: a bridge's ports and configuration.
    public static func ports(bridge: UInt32) -> DependencySet {
        DependencySet(rawValue: 1 << UInt64(60 + bridge % 3))
    }
    /// Slot 63: which ports belong to which bridge.
    public static let topology = DependencySet(rawValue: 1 << 63)
    public static let all = DependencySet(rawValue: .max)
}

/// The slots' versions.
///
/// ## Thread safety
/// `stamp` may be called by any thread; it first stamps the slots, then advances `sequence` (release). A reader that loads
/// `sequence` (acquire) and finds the value it remembers knows that none of its slots changed since. The memory lives as
/// long as the process: readers hold raw pointers to it.
public final class DependencyVersions: Sendable {
    /// Word 0 is the sequence; words 8 to 71 are the slots (so that the sequence has a cache line of its own); word 72 is the
    /// number of the latest `TableChange`.
    /// Sound: written only by atomic operations, never freed.
    public nonisolated(unsafe) let words: UnsafeMutablePointer<Atomic<UInt64>>

    public init() {
        let raw = UnsafeMutableRawPointer.allocate(byteCount: 80 * 8, alignment: 64)
        raw.initializeMemory(as: UInt64.self, repeating: 0, count: 80)
        raw.storeBytes(of: 1, as: UInt64.self)
        words = raw.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The number of the latest change. Never 0.
    @inlinable public var sequence: UInt64 { words.pointee.load(ordering: .acquiring) }

    /// The number of the latest `TableChange` that a datapath was told of; it counts them.
    @inlinable public var tableSequence: UInt64 { words[72].load(ordering: .acquiring) }

    /// Counts a `TableChange`: for the datapath, before it looks which megaflows the change concerns.
    @inlinable public func advanceTableSequence() -> UInt64 {
        words[72].wrappingAdd(1, ordering: .acquiringAndReleasing).newValue
    }

    /// Marks every megaflow that depends on one of `slots` and was decided before now.
    public func stamp(_ slots: DependencySet) {
        // A slot's stamp is above every sequence a reader can have taken before the change was visible: the next number is
        // taken first, so a translation that began before this call has a smaller one.
        let next = words.pointee.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue
        var rest = slots.rawValue
        while rest != 0 {
            let slot = words + 8 + rest.trailingZeroBitCount
            rest &= rest - 1
            var old = slot.pointee.load(ordering: .relaxed)
            while old < next {
                let (exchanged, original) = slot.pointee.compareExchange(
                    expected: old, desired: next, ordering: .acquiringAndReleasing)
                if exchanged { break }
                old = original
            }
        }
        // A reader that took `next` between the two steps may have seen old slot values: a second step makes it look again.
        words.pointee.wrappingAdd(1, ordering: .acquiringAndReleasing)
    }

    /// Whether a decision taken at `sequence` that depended on `slots` still stands.
    @inlinable public func isCurrent(_ slots: DependencySet, since sequence: UInt64) -> Bool {
        var rest = slots.rawValue
        var newest: UInt64 = 0
        while rest != 0 {
            newest = max(newest, (words + 8 + rest.trailingZeroBitCount).pointee.load(ordering: .acquiring))
            rest &= rest - 1
        }
        return newest <= sequence
    }
}
