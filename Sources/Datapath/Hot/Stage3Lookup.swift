// Stages 3 and 4: flow cache and megaflow table.
//
// First all hashes with their prefetches, then all looks: the burst's cache misses overlap. The cache is keyed by the bits
// that any megaflow of the port looks at. A port with very few masks has no use for it: its first subtable is
// probed at once.

internal import Base
internal import CDPDK
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

extension Stages {
    /// Looks up `count` packets: `found[i]` is the megaflow or 0, and `misses[i]` says whether to translate.
    /// Returns the number of misses.
    @_noLocks
    static func lookup(_ worker: Worker, _ count: Int) -> Int {
        let shared = worker.pointee.shared
        // After the burst was received: a change acknowledged before that is seen by all of it.
        let sequence = shared.pointee.versions.pointee.load(ordering: .acquiring)
        worker.pointee.sequence = sequence

        var index = 0
        var lastPort: UInt32 = 0
        var list: UnsafeMutableRawPointer?
        while index < count {
            let port = worker.pointee.inPorts[index]
            if port != lastPort {
                list = shared.pointee.portFlows[Int(truncatingIfNeeded: port)].load(ordering: .acquiring)
                lastPort = port
            }
            if let list {
                let key = worker.pointee.key(index)
                let hash = FlowReader.hash(
                    shared, key, worker.pointee.lines(index), list + FlowLayout.listUnion, list.load(fromByteOffset: 4, as: UInt8.self))
                worker.pointee.hashes[index] = hash
                if list.load(fromByteOffset: 5, as: UInt8.self) == 0 {
                    cdpdk_prefetch(worker.pointee.cache + Int(truncatingIfNeeded: hash & worker.pointee.cacheMask) &* 64)
                }
            }
            index &+= 1
        }

        var cacheHits: UInt64 = 0
        var cacheLookups: UInt64 = 0
        var unresolved = 0
        var missed = 0
        lastPort = 0
        index = 0
        while index < count {
            let port = worker.pointee.inPorts[index]
            if port != lastPort {
                list = shared.pointee.portFlows[Int(truncatingIfNeeded: port)].load(ordering: .acquiring)
                lastPort = port
            }
            worker.pointee.found[index] = 0
            worker.pointee.misses[index] = LookupState.unresolved
            guard let list else {
                worker.pointee.misses[index] = LookupState.missed
                missed &+= 1
                index &+= 1
                continue
            }
            if list.load(fromByteOffset: 5, as: UInt8.self) == 0 {
                cacheLookups &+= 1
                var checked: UInt64 = 0
                let entry = cacheProbe(worker, index, &checked)
                if entry != 0 {
                    cacheHits &+= 1
                    if checked == sequence || FlowReader.refresh(shared, entry, checked, sequence) {
                        worker.pointee.found[index] = entry
                        worker.pointee.misses[index] = LookupState.found
                    } else {
                        worker.pointee.misses[index] = LookupState.missed
                        missed &+= 1
                    }
                    index &+= 1
                    continue
                }
            }
            unresolved &+= 1
            index &+= 1
        }
        worker.pointee.cacheLookups &+= cacheLookups
        worker.pointee.cacheFound &+= cacheHits
        if cacheHits != 0 { bump(worker.pointee.statistics + WorkerCounter.cacheHits, cacheHits) }
        if unresolved != 0 { missed &+= lookupMegaflows(worker, count, unresolved) }
        return missed
    }

    /// Looks the unresolved packets up in their ports' subtables, the most hit first: one subtable after the other for the
    /// whole burst, the prefetches of a round together. Returns how many were found in none (or stale).
    @_noLocks
    private static func lookupMegaflows(_ worker: Worker, _ count: Int, _ unresolvedCount: Int) -> Int {
        let shared = worker.pointee.shared
        let sequence = worker.pointee.sequence
        var unresolved = unresolvedCount
        var missed = 0
        var hits: UInt64 = 0
        var probes: UInt64 = 0
        var position = 0
        // Hashes of this round; those of the union of masks stay for inserting into the cache.
        var roundHashes = InlineArray<32, UInt64>(repeating: 0)
        while unresolved > 0, position < DatapathLimits.masks {
            var index = 0
            while index < count {
                if worker.pointee.misses[index] == LookupState.unresolved {
                    let list = shared.pointee.portFlows[Int(truncatingIfNeeded: worker.pointee.inPorts[index])].load(ordering: .acquiring)
                    if let list, position < Int(truncatingIfNeeded: list.load(as: UInt32.self)) {
                        let place = list + FlowLayout.listEntries + position &* FlowLayout.listEntryBytes
                        let key = worker.pointee.key(index)
                        let summary = place.atomicWord(8).pointee.load(ordering: .relaxed)
                        if summary & FlowReader.summaryBit(key) != 0 {
                            let subtable = FlowReader.subtable(shared, place.load(as: UInt32.self))
                            let hash = FlowReader.hash(
                                shared, key, worker.pointee.lines(index), subtable,
                                subtable.load(fromByteOffset: FlowLayout.subtableLines, as: UInt8.self))
                            // Never 0, which says that the subtable was skipped.
                            roundHashes[index] = hash
                            if let table = subtable.atomicPointer(FlowLayout.subtableTable).pointee.load(ordering: .acquiring) {
                                cdpdk_prefetch(FlowReader.bucket(table, hash))
                            }
                        } else {
                            roundHashes[index] = 0
                        }
                    } else {
                        worker.pointee.misses[index] = LookupState.missed
                        missed &+= 1
                        unresolved &-= 1
                    }
                }
                index &+= 1
            }
            index = 0
            while index < count {
                if worker.pointee.misses[index] == LookupState.unresolved, roundHashes[index] != 0,
                    let list = shared.pointee.portFlows[Int(truncatingIfNeeded: worker.pointee.inPorts[index])].load(ordering: .acquiring),
                    position < Int(truncatingIfNeeded: list.load(as: UInt32.self))
                {
                    let place = list + FlowLayout.listEntries + position &* FlowLayout.listEntryBytes
                    let subtable = FlowReader.subtable(shared, place.load(as: UInt32.self))
                    if let table = subtable.atomicPointer(FlowLayout.subtableTable).pointee.load(ordering: .acquiring) {
                        probes &+= 1
                        var checked: UInt64 = 0
                        let entry = FlowReader.probe(
                            shared, table, roundHashes[index], worker.pointee.key(index), worker.pointee.lines(index), &checked)
                        if entry != 0 {
                            unresolved &-= 1
                            if checked == sequence || FlowReader.refresh(shared, entry, checked, sequence) {
                                hits &+= 1
                                worker.pointee.found[index] = entry
                                worker.pointee.misses[index] = LookupState.found
                                if list.load(fromByteOffset: 5, as: UInt8.self) == 0 { cacheInsert(worker, index, entry) }
                            } else {
                                worker.pointee.misses[index] = LookupState.missed
                                missed &+= 1
                            }
                        }
                    }
                }
                index &+= 1
            }
            position &+= 1
        }
        if hits != 0 { bump(worker.pointee.statistics + WorkerCounter.megaflowHits, hits) }
        bump(worker.pointee.statistics + WorkerCounter.subtableProbes, probes)
        return missed
    }

    /// Looks packet `index` up in the flow cache. Returns the megaflow, 0 if none, and its `checked`.
    ///
    /// A bucket is one line: eight tags, then eight megaflow numbers.
    @_noLocks @inline(__always)
    private static func cacheProbe(_ worker: Worker, _ index: Int, _ checked: inout UInt64) -> UInt32 {
        let hash = worker.pointee.hashes[index]
        let bucket = worker.pointee.cache + Int(truncatingIfNeeded: hash & worker.pointee.cacheMask) &* 64
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        let tags = bucket.assumingMemoryBound(to: UInt32.self)
        var slot = 0
        while slot < 8 {
            if tags[slot] == tag, tags[slot &+ 8] != 0 {
                let entry = tags[slot &+ 8]
                checked = FlowReader.verify(worker.pointee.shared, entry, worker.pointee.key(index), worker.pointee.lines(index))
                if checked != 0 { return entry }
            }
            slot &+= 1
        }
        return 0
    }

    /// Remembers that packet `index` belongs to a megaflow, unless the cache is being scanned and it is not its turn.
    @_noLocks
    static func cacheInsert(_ worker: Worker, _ index: Int, _ entry: UInt32) {
        worker.pointee.cacheTick &+= 1
        if worker.pointee.cacheTick & worker.pointee.cacheInsertMask != 0 { return }
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
