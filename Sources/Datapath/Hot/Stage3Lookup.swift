// Stage 3: the few megaflows of a port at once, or the flow cache; then what stage 4 finds.
//
// First all hashes with their prefetches, then all looks: the burst's cache misses overlap. The cache is keyed by the bits
// that any megaflow of the port looks at. A port with very few masks has no use for it: its first subtable is
// probed at once.

internal import Base
internal import CDPDK
internal import CLinux
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

extension Stages {
    /// Looks up `count` packets: `found[i]` is the megaflow or 0, and `misses[i]` says whether to translate. Says in `isLight`
    /// and `onlyEntry` whether there is a short way to act. Returns the number of misses.
    @_noLocks
    static func lookup(_ worker: Worker, _ count: Int) -> Int {
        let shared = worker.pointee.shared
        // After the burst was received: a change acknowledged before that is seen by all of it.
        worker.pointee.sequence = shared.pointee.versions.pointee.load(ordering: .acquiring)
        worker.pointee.isLight = false
        worker.pointee.onlyEntry = 0
        guard worker.pointee.burst.isOfOnePort else {
            // Only what was deferred or recirculated.
            return lookupMegaflows(worker, count, markAll(worker, count, LookupState.unresolved), insertsIntoCache: false)
        }
        let port = worker.pointee.inPorts[0]
        guard let list = shared.pointee.portFlows[Int(truncatingIfNeeded: port)].load(ordering: .acquiring) else {
            return markAll(worker, count, LookupState.missed)
        }
        if list.atomicWord(FlowLayout.listIsDirect).pointee.load(ordering: .acquiring) != 0, lookupDirect(worker, count, list) { return 0 }
        if list.load(fromByteOffset: 5, as: UInt8.self) != 0 || worker.pointee.cacheInsertInverse == 0 {
            if list.load(as: UInt32.self) == 1 { return lookupSingle(worker, count, list) }
            return lookupMegaflows(worker, count, markAll(worker, count, LookupState.unresolved), insertsIntoCache: false)
        }
        return lookupCached(worker, count, list)
    }

    /// Nothing is found, and all packets are in `state`. Returns `count`.
    @_noLocks
    static func markAll(_ worker: Worker, _ count: Int, _ state: UInt8) -> Int {
        let (found, misses) = (worker.pointee.found, worker.pointee.misses)
        var index = 0
        while index < count {
            found[index] = 0
            misses[index] = state
            index &+= 1
        }
        return count
    }

    /// All packets are found: says so, and whether the entries' `flags`, those that all have, allow for the short way.
    @_noLocks @inline(__always)
    static func concludeAllFound(_ worker: Worker, _ flags: UInt8) {
        UnsafeMutableRawPointer(worker.pointee.misses).storeBytes(of: SIMD32<UInt8>(repeating: LookupState.found), as: SIMD32<UInt8>.self)
        let burst = worker.pointee.burst
        let wanted = burst.isOfOnePort && burst.isCommon && burst.isExclusive ? EntryFlag.light : EntryFlag.plain
        worker.pointee.isLight = flags & wanted != 0
    }

    /// A port with a handful of megaflows: every packet is held against every one of them, which is cheaper than a hash.
    /// Returns false, with nothing done, unless that finds them all.
    @_noLocks
    private static func lookupDirect(_ worker: Worker, _ count: Int, _ list: UnsafeMutableRawPointer) -> Bool {
        let shared = worker.pointee.shared
        let sequence = worker.pointee.sequence
        let (found, keys) = (worker.pointee.found, worker.pointee.keys)
        var numbers = InlineArray<4, UInt32>(repeating: 0)
        var entries = InlineArray<4, UnsafeRawPointer>(repeating: shared.pointee.zeroLine)
        var masks = InlineArray<4, UnsafeRawPointer>(repeating: shared.pointee.zeroLine)
        var flags = UInt8.max
        var known = 0
        var slot = 0
        while slot < FlowLayout.directEntries {
            let word = list.atomicWord(FlowLayout.listDirect &+ (slot >> 1) &* 8).pointee.load(ordering: .acquiring)
            let number = UInt32(truncatingIfNeeded: word >> UInt64((slot & 1) &* 32))
            slot &+= 1
            if number == 0 { continue }
            let entry = FlowReader.entry(shared, number)
            let checked = entry.atomicWord(FlowLayout.checked).pointee.load(ordering: .acquiring)
            // Gone, or with more to compare, or stale: the other ways know what to do.
            if checked == 0 || entry.load(fromByteOffset: FlowLayout.further, as: UInt8.self) != 0 { continue }
            if checked != sequence, !FlowReader.refresh(shared, number, checked, sequence) { continue }
            flags &= entry.load(fromByteOffset: FlowLayout.flags, as: UInt8.self)
            numbers[known] = number
            entries[known] = UnsafeRawPointer(entry)
            masks[known] = UnsafeRawPointer(FlowReader.subtable(shared, entry.load(fromByteOffset: FlowLayout.mask, as: UInt32.self)))
            known &+= 1
        }
        if known == 0 { return false }
        var areAll = true
        var index = 0
        if known == 1 {
            let (number, entry, mask) = (numbers[0], entries[0], masks[0])
            while index < count {
                areAll = FlowReader.lineAgrees(keys + index &* FlowLayout.keyBytes, mask, entry) && areAll
                found[index] = number
                index &+= 1
            }
            if areAll { worker.pointee.onlyEntry = number }
        } else {
            while index < count {
                let key = UnsafeRawPointer(keys + index &* FlowLayout.keyBytes)
                // No branches: which of the megaflows it is cannot be foretold. The first one that covers the packet counts.
                var number = select(key, masks[0], entries[0], numbers[0], 0)
                number = select(key, masks[1], entries[1], numbers[1], number)
                if known > 2 {
                    number = select(key, masks[2], entries[2], numbers[2], number)
                    if known > 3 { number = select(key, masks[3], entries[3], numbers[3], number) }
                }
                areAll = (number != 0) && areAll
                found[index] = number
                index &+= 1
            }
        }
        if !areAll {
            worker.pointee.onlyEntry = 0
            return false
        }
        bump(worker.pointee.statistics + WorkerCounter.megaflowHits, UInt64(count))
        concludeAllFound(worker, flags)
        return true
    }

    /// `known` unless it is 0, else `number` if the entry covers the key, else 0.
    @_noLocks @inline(__always)
    private static func select(
        _ key: UnsafeRawPointer, _ mask: UnsafeRawPointer, _ entry: UnsafeRawPointer, _ number: UInt32, _ known: UInt32
    ) -> UInt32 {
        let covers: UInt32 = FlowReader.lineAgrees(key, mask, entry) ? .max : 0
        let isFree: UInt32 = known == 0 ? .max : 0
        return known | number & covers & isFree
    }

    /// Flow cache first; what it does not know goes to the megaflow table.
    @_noLocks
    private static func lookupCached(_ worker: Worker, _ count: Int, _ list: UnsafeMutableRawPointer) -> Int {
        let shared = worker.pointee.shared
        let sequence = worker.pointee.sequence
        let (hashes, found, misses) = (worker.pointee.hashes, worker.pointee.found, worker.pointee.misses)
        let (headers, keys) = (worker.pointee.headers, worker.pointee.keys)
        let (entries, counters) = (shared.pointee.entries, worker.pointee.flowCounters)
        let (cache, cacheMask) = (worker.pointee.cache, worker.pointee.cacheMask)
        let unionLines = list.load(fromByteOffset: 4, as: UInt8.self)
        var index = 0
        if worker.pointee.burst.isCommon, unionLines & 0x1e == 0 {
            let hasher = CommonHash(
                shared.pointee.secrets, list + FlowLayout.listUnion, BurstTraits.commonWord(worker.pointee.inPorts[0]))
            while index < count {
                let hash = hasher.hash((keys + index &* FlowLayout.keyBytes).assumingMemoryBound(to: UInt64.self))
                hashes[index] = hash
                cdpdk_prefetch(cache + Int(truncatingIfNeeded: hash & cacheMask) &* 64)
                index &+= 1
            }
        } else {
            while index < count {
                let hash = FlowReader.hash(
                    shared, keys + index &* FlowLayout.keyBytes, headers[index].lineBits, list + FlowLayout.listUnion, unionLines)
                hashes[index] = hash
                cdpdk_prefetch(cache + Int(truncatingIfNeeded: hash & cacheMask) &* 64)
                index &+= 1
            }
        }
        // A bucket is one line: eight tags, then eight megaflow numbers.
        index = 0
        while index < count {
            let bucket = cache + Int(truncatingIfNeeded: hashes[index] & cacheMask) &* 64
            let matches = clinux_match_8(bucket, UInt32(truncatingIfNeeded: hashes[index] >> 32))
            var candidate: UInt32 = 0
            if matches != 0 { candidate = bucket.load(fromByteOffset: 32 &+ 4 &* matches.trailingZeroBitCount, as: UInt32.self) }
            found[index] = candidate
            prefetchEntry(entries, counters, candidate)
            index &+= 1
        }
        var hits: UInt64 = 0
        var unresolved = 0
        var missed = 0
        var flags = UInt8.max
        index = 0
        while index < count {
            let number = found[index]
            // Inserting keeps a bucket's tags distinct: there is one candidate or none.
            let checked = number == 0 ? 0 : FlowReader.verify(shared, number, keys + index &* FlowLayout.keyBytes, headers[index].lineBits)
            if checked == 0 {
                found[index] = 0
                misses[index] = LookupState.unresolved
                unresolved &+= 1
            } else if checked == sequence || FlowReader.refresh(shared, number, checked, sequence) {
                hits &+= 1
                flags &= FlowReader.entry(shared, number).load(fromByteOffset: FlowLayout.flags, as: UInt8.self)
                misses[index] = LookupState.found
            } else {
                found[index] = 0
                misses[index] = LookupState.missed
                missed &+= 1
            }
            index &+= 1
        }
        worker.pointee.cacheLookups &+= UInt64(count)
        worker.pointee.cacheFound &+= hits
        if hits != 0 { bump(worker.pointee.statistics + WorkerCounter.cacheHits, hits) }
        if unresolved != 0 {
            missed &+= lookupMegaflows(worker, count, unresolved, insertsIntoCache: true)
        } else if missed == 0 {
            concludeAllFound(worker, flags)
        }
        return missed
    }

    /// Fetches both lines of an entry and its counters; of entry 0 too, which is harmless and saves a branch.
    @_noLocks @inline(__always)
    static func prefetchEntry(_ entries: UnsafeMutableRawPointer, _ counters: UnsafeMutableRawPointer, _ entry: UInt32) {
        let memory = entries + Int(truncatingIfNeeded: entry) &* FlowLayout.entryBytes
        cdpdk_prefetch(memory)
        cdpdk_prefetch(memory + 64)
        cdpdk_prefetch_write(counters + Int(truncatingIfNeeded: entry) &* FlowLayout.flowCounterBytes)
    }

    /// Remembers that packet `index` belongs to a megaflow, unless the cache is being scanned and it is not its turn.
    @_noLocks
    static func cacheInsert(_ worker: Worker, _ index: Int, _ entry: UInt32) {
        let inverse = worker.pointee.cacheInsertInverse
        if inverse > 1 {
            worker.pointee.cacheVictim = worker.pointee.cacheVictim &* 1_664_525 &+ 1_013_904_223
            if (UInt64(worker.pointee.cacheVictim) &* UInt64(inverse)) >> 32 != 0 { return }
        }
        let hash = worker.pointee.hashes[index]
        let bucket = worker.pointee.cache + Int(truncatingIfNeeded: hash & worker.pointee.cacheMask) &* 64
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        let tags = bucket.assumingMemoryBound(to: UInt32.self)
        var chosen = -1
        var slot = 0
        while slot < 8 {
            // The same tag: a megaflow that is gone, or an unlikely neighbour.
            if tags[slot] == tag {
                chosen = slot
                break
            }
            if tags[slot &+ 8] == 0, chosen < 0 { chosen = slot }
            slot &+= 1
        }
        if chosen < 0 {
            worker.pointee.cacheVictim = worker.pointee.cacheVictim &* 1_664_525 &+ 1_013_904_223
            chosen = Int(worker.pointee.cacheVictim >> 29)
            worker.pointee.cacheReplaced &+= 1
        }
        tags[chosen] = tag
        tags[chosen &+ 8] = entry
    }
}
