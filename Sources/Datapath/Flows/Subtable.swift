internal import Flow

/// A mask and its megaflows, under the flow table's lock.
final class Subtable {
    let mask: FlowMask
    /// Of the mask.
    let hash: UInt64
    var flows = 0
    var buckets: Int
    let summary: MaskSummary

    init(_ mask: borrowing FlowMask, hash: UInt64, buckets: Int, links: EntryLinks, shared: UnsafePointer<SharedState>) {
        self.mask = copy mask
        self.hash = hash
        self.buckets = buckets
        summary = MaskSummary(mask, links: links, shared: shared)
    }
}

/// What a port's lookups go through, under the flow table's lock.
final class PortFlows {
    /// Its masks, most hit first.
    var uses: [PortUse] = []
    /// All its megaflows, as long as they are few.
    var direct = DirectEntries()
}

/// A port's use of a mask.
struct PortUse {
    var subtable: UInt32
    var flows = 0
    var summary: UInt64 = 0
    /// Packets since the last ordering.
    var hits: UInt64 = 0
}

/// A port's first few megaflows, and how many there are in all.
struct DirectEntries {
    var flows = 0
    var slots = InlineArray<4, UInt32>(repeating: 0)

    mutating func exchange(_ old: UInt32, _ new: UInt32) {
        for index in 0..<FlowLayout.directEntries where slots[index] == old {
            slots[index] = new
            return
        }
    }
    var areAll: Bool {
        var count = 0
        for index in 0..<FlowLayout.directEntries where slots[index] != 0 { count += 1 }
        return count == flows
    }
}
