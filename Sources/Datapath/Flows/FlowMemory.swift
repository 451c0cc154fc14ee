// How megaflows lie in memory: what PMD threads read.
//
// ## Entry, 128 bytes, never moved; number 0 is none
//
//     line 0    key line 0, masked
//     line 1     0  checked      the dependencies' sequence at which it was last found current; 0: no such megaflow,
//                             all ones: stale, whatever its slots say
//                8  sequence     the sequence its decision was taken at
//               16  dependencies slots of `DependencyVersions`
//               24  mask         subtable number (4 bytes)
//               28  opCount      number of actions (2 bytes)
//               30  flags        `EntryFlag`
//               31  further      lines 1 to 4 that the mask has bits in, as `FlowLine.rawValue`
//               32  the actions, if there are at most two and the key has no further line; else
//               32  pointer to the actions   40  pointer to key lines 1 to 4, masked, or 0
//
// ## Subtable, 512 bytes, one a mask
//
//     0..319    mask, lines 0 to 4
//     320       lines that the mask has bits in, as `FlowLine.rawValue`
//     328       pointer to the bucket table
//
// ## Bucket table
//
// 64 bytes of header (word 0: number of buckets less one), then buckets of one line: 7 slots of {tag, entry} and a word that
// counts what had to go to the alternate bucket. A slot's word is tag << 32 | entry, 0 if empty.
//
// ## Port's flow list
//
// Which subtables hold flows of a port, most hit first, and the union of their masks (`PortFlowList`). Bits outside the
// union cannot change a verdict, so the flow cache is keyed by the rest.
//
//     0     number of subtables (4 bytes)    4  lines of the union    5  whether to do without the flow cache
//     8     up to four entries, 4 bytes each, 0: none; and at 24 1 if these are all that the port has
//     64    the union of masks, 320 bytes
//     384   subtables: number (4 bytes), and at 8 a summary of the protocols in it
//
// ## Thread safety
//
// One writer at a time (`FlowTable`'s lock). Writers fill an entry and then store `checked` with release, and publish slots,
// bucket tables and port lists with release stores; readers load with acquire. An entry taken out has `checked` 0; its other bytes,
// bucket tables and lists stay as they are until a grace period has passed. PMD threads write only `checked` (by
// compare-and-exchange, never from 0).

internal import Base
internal import CLinux
internal import Flow
internal import Synchronization

typealias AtomicWord = UnsafeMutablePointer<Atomic<UInt64>>
typealias AtomicPointer = UnsafeMutablePointer<Atomic<UnsafeMutableRawPointer?>>

extension UnsafeMutableRawPointer {
    @_noLocks @inline(__always) func atomicWord(_ offset: Int) -> AtomicWord {
        (self + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }
    @_noLocks @inline(__always) func atomicPointer(_ offset: Int) -> AtomicPointer {
        (self + offset).assumingMemoryBound(to: Atomic<UnsafeMutableRawPointer?>.self)
    }
}

/// Bits of an entry's flags, and of a program's.
enum EntryFlag {
    /// Actions (and key lines 1 to 4) are elsewhere.
    static var external: UInt8 { @_noLocks @inline(__always) get { 1 } }
    /// Exactly one action consumes the packet, the last.
    static var simple: UInt8 { @_noLocks @inline(__always) get { 2 } }
    /// At most one rewrite of addresses and TTL, then one whole output; all of it inline.
    static var light: UInt8 { @_noLocks @inline(__always) get { 4 } }
    /// Light without any rewrite.
    static var plain: UInt8 { @_noLocks @inline(__always) get { 8 } }
}

enum FlowLayout {
    static var entryBytes: Int { @_noLocks @inline(__always) get { 128 } }
    static var checked: Int { @_noLocks @inline(__always) get { 64 } }
    /// A `checked` that says that the megaflow is stale whatever its slots say.
    static var stale: UInt64 { @_noLocks @inline(__always) get { .max } }
    static var sequence: Int { @_noLocks @inline(__always) get { 72 } }
    static var dependencies: Int { @_noLocks @inline(__always) get { 80 } }
    static var mask: Int { @_noLocks @inline(__always) get { 88 } }
    static var opCount: Int { @_noLocks @inline(__always) get { 92 } }
    static var flags: Int { @_noLocks @inline(__always) get { 94 } }
    static var further: Int { @_noLocks @inline(__always) get { 95 } }
    static var actions: Int { @_noLocks @inline(__always) get { 96 } }
    static var keyExtension: Int { @_noLocks @inline(__always) get { 104 } }
    static var inlineOps: Int { @_noLocks @inline(__always) get { 2 } }

    static var subtableBytes: Int { @_noLocks @inline(__always) get { 512 } }
    static var subtableLines: Int { @_noLocks @inline(__always) get { 320 } }
    static var subtableTable: Int { @_noLocks @inline(__always) get { 328 } }

    static var tableHeader: Int { @_noLocks @inline(__always) get { 64 } }
    static var slotsPerBucket: Int { @_noLocks @inline(__always) get { 7 } }

    static var listDirect: Int { @_noLocks @inline(__always) get { 8 } }
    static var listIsDirect: Int { @_noLocks @inline(__always) get { 24 } }
    static var directEntries: Int { @_noLocks @inline(__always) get { 4 } }
    static var listUnion: Int { @_noLocks @inline(__always) get { 64 } }
    static var listEntries: Int { @_noLocks @inline(__always) get { 384 } }
    static var listEntryBytes: Int { @_noLocks @inline(__always) get { 16 } }

    /// Counters of an entry, per thread: packets, bytes, last use (nanoseconds), TCP flags.
    static var flowCounterBytes: Int { @_noLocks @inline(__always) get { 32 } }
    /// Words of a key in the datapath, and bytes.
    static var keyWords: Int { @_noLocks @inline(__always) get { 40 } }
    static var keyBytes: Int { @_noLocks @inline(__always) get { 320 } }
}

/// What all threads of a datapath share, by raw pointers that stay the same from start to end.
struct SharedState {
    var versions: AtomicWord
    var entries: UnsafeMutableRawPointer
    var subtables: UnsafeMutableRawPointer
    /// By port number: `PortRecord` and `PortFlowList`.
    var ports: AtomicPointer
    var portFlows: AtomicPointer
    /// 16 secret words.
    var secrets: UnsafePointer<UInt64>
    /// 64 zero bytes.
    var zeroLine: UnsafeRawPointer
    /// By number: `MeterRecord`.
    var meters: AtomicPointer
    /// How many meters and policers there are: while there are any, each burst looks at the clock.
    var timeUsers: AtomicWord
    /// VLAN tags of a packet that are looked at (`vlan-limit`).
    var tagLimit: AtomicWord
    /// Where their time begins, in the clock's nanoseconds.
    var timeOrigin: UInt64
}

/// Reads of megaflows by lock-free readers. Callers are online in the datapath's quiescent state.
enum FlowReader {
    /// Line `line` (1 to 4) of a key whose lines are `lines`; zeros if it has none.
    @_noLocks @inline(__always)
    static func keyLine(_ shared: UnsafePointer<SharedState>, _ key: UnsafeRawPointer, _ lines: UInt8, _ line: Int) -> UnsafeRawPointer {
        lines >> UInt8(truncatingIfNeeded: line) & 1 != 0 ? key + line &* 64 : shared.pointee.zeroLine
    }

    /// Hash of a key under a mask of lines 0 to 4. The top bit is always set, so that no hash and no tag is 0.
    @_noLocks @inline(__always)
    static func hash(
        _ shared: UnsafePointer<SharedState>, _ key: UnsafeRawPointer, _ lines: UInt8, _ mask: UnsafeRawPointer, _ maskLines: UInt8
    ) -> UInt64 {
        let base = KeyedHash.maskedLine(key, mask, shared.pointee.secrets, 0)
        if maskLines & 0x1e == 0 { return base | 1 << 63 }
        return hashFurther(shared, key, lines, mask, maskLines, base) | 1 << 63
    }

    @_noLocks @inline(never)
    static func hashFurther(
        _ shared: UnsafePointer<SharedState>, _ key: UnsafeRawPointer, _ lines: UInt8, _ mask: UnsafeRawPointer, _ maskLines: UInt8,
        _ base: UInt64
    ) -> UInt64 {
        var state = base
        var line = 1
        while line < 5 {
            if maskLines >> UInt8(truncatingIfNeeded: line) & 1 != 0 {
                state = KeyedHash.maskedLine(keyLine(shared, key, lines, line), mask + line &* 64, shared.pointee.secrets, state)
            }
            line &+= 1
        }
        return state
    }

    /// Whether a 64-byte line agrees with a masked one.
    @_noLocks @inline(__always)
    static func lineAgrees(_ line: UnsafeRawPointer, _ mask: UnsafeRawPointer, _ masked: UnsafeRawPointer) -> Bool {
        let k = line.assumingMemoryBound(to: UInt64.self)
        let m = mask.assumingMemoryBound(to: UInt64.self)
        let e = masked.assumingMemoryBound(to: UInt64.self)
        var difference = (k[0] & m[0]) ^ e[0]
        difference |= (k[1] & m[1]) ^ e[1]
        difference |= (k[2] & m[2]) ^ e[2]
        difference |= (k[3] & m[3]) ^ e[3]
        difference |= (k[4] & m[4]) ^ e[4]
        difference |= (k[5] & m[5]) ^ e[5]
        difference |= (k[6] & m[6]) ^ e[6]
        difference |= (k[7] & m[7]) ^ e[7]
        return difference == 0
    }

    @_noLocks @inline(__always)
    static func entry(_ shared: UnsafePointer<SharedState>, _ index: UInt32) -> UnsafeMutableRawPointer {
        shared.pointee.entries + Int(truncatingIfNeeded: index) &* FlowLayout.entryBytes
    }

    @_noLocks @inline(__always)
    static func subtable(_ shared: UnsafePointer<SharedState>, _ number: UInt32) -> UnsafeMutableRawPointer {
        shared.pointee.subtables + Int(truncatingIfNeeded: number) &* FlowLayout.subtableBytes
    }

    /// Whether entry `index` is a megaflow that covers the key. Returns its `checked`, 0 if not.
    @_noLocks @inline(__always)
    static func verify(_ shared: UnsafePointer<SharedState>, _ index: UInt32, _ key: UnsafeRawPointer, _ lines: UInt8) -> UInt64 {
        let entry = entry(shared, index)
        let checked = entry.atomicWord(FlowLayout.checked).pointee.load(ordering: .acquiring)
        if checked == 0 { return 0 }
        let subtable = subtable(shared, entry.load(fromByteOffset: FlowLayout.mask, as: UInt32.self))
        if !lineAgrees(key, subtable, entry) { return 0 }
        let further = entry.load(fromByteOffset: FlowLayout.further, as: UInt8.self)
        if further != 0, !verifyFurther(shared, entry, subtable, further, key, lines) { return 0 }
        return checked
    }

    @_noLocks @inline(never)
    static func verifyFurther(
        _ shared: UnsafePointer<SharedState>, _ entry: UnsafeMutableRawPointer, _ subtable: UnsafeMutableRawPointer, _ further: UInt8,
        _ key: UnsafeRawPointer, _ lines: UInt8
    ) -> Bool {
        // An entry whose mask has further lines is external and has an extension.
        let masked = entry.load(fromByteOffset: FlowLayout.keyExtension, as: UnsafeRawPointer.self)
        var line = 1
        while line < 5 {
            if further >> UInt8(truncatingIfNeeded: line) & 1 != 0,
                !lineAgrees(keyLine(shared, key, lines, line), subtable + line &* 64, masked + (line &- 1) &* 64)
            {
                return false
            }
            line &+= 1
        }
        return true
    }

    /// The bucket of a hash.
    @_noLocks @inline(__always)
    static func bucket(_ table: UnsafeMutableRawPointer, _ hash: UInt64) -> UnsafeMutableRawPointer {
        let mask = table.load(as: UInt64.self)
        return table + FlowLayout.tableHeader + Int(truncatingIfNeeded: hash & mask) &* 64
    }

    /// The other bucket where a hash may be; of that one, the other is this.
    @_noLocks @inline(__always)
    static func alternateIndex(_ bucketIndex: UInt64, _ tag: UInt32, _ mask: UInt64) -> UInt64 {
        (bucketIndex ^ (UInt64(tag) &* 0x5bd1_e995 | 1)) & mask
    }

    /// The entry that a bucket has under a hash's tag, 0 if there is none; if several have that tag, nothing of use, which
    /// comparing with the key shows. The words are read at once: each is whole, as writers store them.
    @_noLocks @inline(__always)
    static func scanBucket(_ bucket: UnsafeRawPointer, _ hash: UInt64) -> UInt32 {
        let tag = SIMD4<UInt64>(repeating: hash & 0xffff_ffff_0000_0000)
        let low = bucket.load(as: SIMD4<UInt64>.self)
        let high = bucket.load(fromByteOffset: 32, as: SIMD4<UInt64>.self)
        let shift = SIMD4<UInt64>(repeating: 32)
        let isLow = ((low ^ tag) &>> shift) .== SIMD4<UInt64>.zero
        let isHigh = ((high ^ tag) &>> shift) .== SIMD4<UInt64>.zero
        let found = SIMD4<UInt64>.zero.replacing(with: low, where: isLow) | SIMD4<UInt64>.zero.replacing(with: high, where: isHigh)
        let half = found.lowHalf | found.highHalf
        return UInt32(truncatingIfNeeded: half[0] | half[1])
    }

    /// Looks for the key in a bucket. Returns the entry, 0 if there is none, and its `checked`.
    @_noLocks @inline(__always)
    static func probeBucket(
        _ shared: UnsafePointer<SharedState>, _ bucket: UnsafeMutableRawPointer, _ tag: UInt32, _ key: UnsafeRawPointer, _ lines: UInt8,
        _ checked: inout UInt64
    ) -> UInt32 {
        let slots = bucket.assumingMemoryBound(to: Atomic<UInt64>.self)
        var slot = 0
        while slot < FlowLayout.slotsPerBucket {
            let word = slots[slot].load(ordering: .acquiring)
            if UInt32(truncatingIfNeeded: word >> 32) == tag, word != 0 {
                let index = UInt32(truncatingIfNeeded: word)
                let found = verify(shared, index, key, lines)
                if found != 0 {
                    checked = found
                    return index
                }
            }
            slot &+= 1
        }
        return 0
    }

    /// Looks for the key in a bucket table. Returns the entry, 0 if there is none, and its `checked`.
    @_noLocks @inline(__always)
    static func probe(
        _ shared: UnsafePointer<SharedState>, _ table: UnsafeMutableRawPointer, _ hash: UInt64, _ key: UnsafeRawPointer, _ lines: UInt8,
        _ checked: inout UInt64
    ) -> UInt32 {
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        let first = bucket(table, hash)
        let found = probeBucket(shared, first, tag, key, lines, &checked)
        if found != 0 { return found }
        if first.atomicWord(56).pointee.load(ordering: .acquiring) == 0 { return 0 }
        let mask = table.load(as: UInt64.self)
        let other = table + FlowLayout.tableHeader + Int(truncatingIfNeeded: alternateIndex(hash & mask, tag, mask)) &* 64
        return probeBucket(shared, other, tag, key, lines, &checked)
    }

    /// Bit of the summary that stands for the key's EtherType and protocol.
    @_noLocks @inline(__always)
    static func summaryBit(_ key: UnsafeRawPointer) -> UInt64 {
        let etherType = UInt64(key.load(fromByteOffset: 4, as: UInt16.self))
        let proto = UInt64(key.load(fromByteOffset: 36, as: UInt8.self))
        return 1 << (((etherType << 8 | proto) &* 0x9e37_79b9_7f4a_7c15) >> 58)
    }

    /// Whether entry `index`, last found current at `checked`, still is; `sequence` is the newest change. Remembers if so.
    @_noLocks @inline(never)
    static func refresh(_ shared: UnsafePointer<SharedState>, _ index: UInt32, _ checked: UInt64, _ sequence: UInt64) -> Bool {
        if checked == FlowLayout.stale { return false }
        let entry = entry(shared, index)
        let decided = entry.load(fromByteOffset: FlowLayout.sequence, as: UInt64.self)
        var rest = entry.load(fromByteOffset: FlowLayout.dependencies, as: UInt64.self)
        while rest != 0 {
            let slot = shared.pointee.versions + (8 &+ rest.trailingZeroBitCount)
            if slot.pointee.load(ordering: .acquiring) > decided { return false }
            rest &= rest &- 1
        }
        // Lost races are harmless: somebody else remembered, or the megaflow is gone and must stay so.
        _ = entry.atomicWord(FlowLayout.checked).pointee.compareExchange(
            expected: checked, desired: sequence, ordering: .acquiringAndReleasing)
        return true
    }

    /// Looks for a current or stale megaflow that covers the key in all subtables of the port. 0 if there is none.
    @_noLocks
    static func find(
        _ shared: UnsafePointer<SharedState>, port: UInt32, _ key: UnsafeRawPointer, _ lines: UInt8, _ checked: inout UInt64
    ) -> UInt32 {
        guard let list = shared.pointee.portFlows[Int(truncatingIfNeeded: port)].load(ordering: .acquiring) else { return 0 }
        let count = Int(truncatingIfNeeded: list.load(as: UInt32.self))
        var position = 0
        while position < count {
            let number = list.load(fromByteOffset: FlowLayout.listEntries &+ position &* FlowLayout.listEntryBytes, as: UInt32.self)
            let subtable = subtable(shared, number)
            let hash = hash(shared, key, lines, subtable, subtable.load(fromByteOffset: FlowLayout.subtableLines, as: UInt8.self))
            if let table = subtable.atomicPointer(FlowLayout.subtableTable).pointee.load(ordering: .acquiring) {
                let index = probe(shared, table, hash, key, lines, &checked)
                if index != 0 { return index }
            }
            position &+= 1
        }
        return 0
    }
}
