// What the megaflows of one mask have in their keys, value by value: enough to tell, without looking at any of them, that
// a changed rule concerns none.
//
// Key line 0 is taken in pieces of four bytes (ports in two). For each piece that the mask looks at, the values that occur
// are counted. A rule that requires a value no megaflow has is no business of these megaflows. The pieces of megaflows whose
// decision saw them rewritten say nothing; while there are such megaflows, the piece excludes nothing.
//
// One of the pieces, the one in which the megaflows differ most, also lists them by value. A rule that requires a value of it
// concerns megaflows of that list only: with thousands of megaflows that are exact in an address, a change of one address is
// compared with one of them.

internal import DatapathAPI
internal import Flow

/// The summary of one mask's megaflows, under the flow table's lock.
final class MaskSummary {
    private struct Piece {
        let offset: Int
        let size: Int
        let mask: UInt32
        /// Megaflows whose decision saw the piece rewritten.
        var blind = 0
        var counts: ValueMap
        /// The value that came last, whose count is kept here: most pieces hardly change.
        var latest: UInt32 = 0
        var latestCount = 0

        mutating func add(_ value: UInt32, _ change: Int) {
            if value != latest {
                flush()
                latest = value
            }
            latestCount += change
        }

        mutating func flush() {
            if latestCount == 0 { return }
            counts[latest] = UInt32(Int(counts[latest]) + latestCount)
            latestCount = 0
        }
    }

    /// A rule's requirements of key line 0, in memory order.
    struct Requirement {
        fileprivate var key = InlineArray<8, UInt64>(repeating: 0)
        fileprivate var mask = InlineArray<8, UInt64>(repeating: 0)
        fileprivate var hasPort = false

        init(_ change: borrowing TableChange) {
            var rest = change.match.present & 0xff
            while rest != 0 {
                let word = rest.trailingZeroBitCount
                rest &= rest - 1
                let place = change.match.place(of: word)
                key[word] = change.match.words[place]
                mask[word] = change.match.words[place + 1]
            }
            guard let port = change.inPort else { return }
            hasPort = true
            // The first four bytes are the input port's.
            key[0] = key[0] & ~0xffff_ffff | UInt64(port.rawValue.bigEndian)
            mask[0] |= 0xffff_ffff
        }
    }

    /// Values of a piece that are tried one by one where a rule does not require all of its bits.
    private static let triedValues = 16
    private var pieces: [Piece] = []

    /// The piece that lists, and the first entry of each value's list.
    private var listing = 0
    private var heads: ValueMap
    private var flows = 0
    /// Megaflows at which the listing piece is chosen anew: then they tell more of themselves than before.
    private var nextChoice = 64
    private let links: EntryLinks
    private let shared: UnsafePointer<SharedState>

    init(_ mask: borrowing FlowMask, links: EntryLinks, shared: UnsafePointer<SharedState>) {
        self.links = links
        self.shared = shared
        heads = ValueMap(shared)
        for offset in stride(from: 0, to: 64, by: 4) {
            // Ports are two things.
            let size = offset == FlowOffset.tpSrc ? 2 : 4
            for place in stride(from: offset, to: offset + 4, by: size) {
                let bits = MaskSummary.part(mask.bits.words[place / 8], place, size)
                if bits != 0 { pieces.append(Piece(offset: place, size: size, mask: bits, counts: ValueMap(shared))) }
            }
        }
    }

    @inline(__always) private static func part(_ word: UInt64, _ offset: Int, _ size: Int) -> UInt32 {
        let value = UInt32(truncatingIfNeeded: word >> UInt64((offset & 7) * 8))
        return size == 2 ? value & 0xffff : value
    }

    /// The bit of `Translation.rewrittenWords` that makes a piece blind.
    @inline(__always) private static func isBlind(_ offset: Int, _ rewritten: UInt64) -> Bool {
        if offset == FlowOffset.datapathInPort { return rewritten >> UInt64(TableChange.inPortWord) & 1 == 1 || rewritten & 1 == 1 }
        return rewritten >> UInt64(offset / 8) & 1 == 1
    }

    /// Counts a megaflow in (1) or out (-1).
    func count(_ entry: UInt32, rewritten: UInt64, _ change: Int) {
        let memory = FlowReader.entry(shared, entry)
        let words = memory.assumingMemoryBound(to: UInt64.self)
        for index in pieces.indices {
            let offset = pieces[index].offset
            if MaskSummary.isBlind(offset, rewritten) { pieces[index].blind += change }
            pieces[index].add(MaskSummary.part(words[offset / 8], offset, pieces[index].size), change)
        }
        flows += change
        if change < 0 { return unlist(entry) }
        list(entry)
        if flows >= nextChoice { chooseListing() }
    }

    // MARK: Lists

    /// The listing piece of an entry's key.
    private func listed(_ entry: UInt32) -> UInt32 {
        guard listing < pieces.count else { return 0 }
        let offset = pieces[listing].offset
        let words = FlowReader.entry(shared, entry).assumingMemoryBound(to: UInt64.self)
        return MaskSummary.part(words[offset / 8], offset, pieces[listing].size)
    }

    private func list(_ entry: UInt32) {
        let value = listed(entry)
        let head = heads[value]
        links.set(entry, previous: 0, next: head)
        if head != 0 { links.setPrevious(head, entry) }
        heads[value] = entry
    }

    private func unlist(_ entry: UInt32) {
        let (previous, next) = links.get(entry)
        if next != 0 { links.setPrevious(next, previous) }
        if previous != 0 {
            links.setNext(previous, next)
        } else {
            heads[listed(entry)] = next
        }
    }

    /// Lists by the piece of most values from now on.
    private func chooseListing() {
        nextChoice *= 8
        for index in pieces.indices { pieces[index].flush() }
        let best = pieces.indices.max { pieces[$0].counts.count < pieces[$1].counts.count } ?? 0
        if best == listing { return }
        let old = heads.numbers
        heads = ValueMap(shared)
        listing = best
        for head in old {
            var entry = head
            while entry != 0 {
                let next = links.get(entry).next
                list(entry)
                entry = next
            }
        }
    }

    /// The list of all megaflows that a change which requires this can concern, and its length. Nil if it may be any.
    func list(_ requirement: borrowing Requirement) -> (first: UInt32, count: Int)? {
        guard listing < pieces.count, pieces[listing].blind == 0 else { return nil }
        let (offset, size, bits) = (pieces[listing].offset, pieces[listing].size, pieces[listing].mask)
        guard MaskSummary.part(requirement.mask[offset / 8], offset, size) & bits == bits else { return nil }
        let value = MaskSummary.part(requirement.key[offset / 8], offset, size) & bits
        pieces[listing].flush()
        return (heads[value], Int(pieces[listing].counts[value]))
    }

    /// Whether no megaflow of the mask can be concerned by a change that requires this.
    func excludes(_ requirement: borrowing Requirement) -> Bool {
        for index in pieces.indices where pieces[index].blind == 0 {
            let (offset, size, bits) = (pieces[index].offset, pieces[index].size, pieces[index].mask)
            let required = MaskSummary.part(requirement.mask[offset / 8], offset, size) & bits
            if required == 0 { continue }
            let value = MaskSummary.part(requirement.key[offset / 8], offset, size) & bits
            pieces[index].flush()
            if required == bits {
                if pieces[index].counts[value] == 0 { return true }
            } else if pieces[index].counts.count <= MaskSummary.triedValues {
                if !pieces[index].counts.contains(where: { ($0 ^ value) & required == 0 }) { return true }
            }
        }
        return false
    }
}
