// Stage 4: the megaflow table, for what stage 3 does not know, and for ports of one mask at once.
//
// As there, first all hashes with their prefetches, then all looks: the burst's cache misses overlap.

internal import Base
internal import CDPDK
internal import CLinux
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

extension Stages {
    /// A port with one mask: its bucket table is probed at once. First the buckets are fetched, then the entries that
    /// their tags name, and then all are looked at.
    @_noLocks
    static func lookupSingle(_ worker: Worker, _ count: Int, _ list: UnsafeMutableRawPointer) -> Int {
        let shared = worker.pointee.shared
        let sequence = worker.pointee.sequence
        let (hashes, found, misses) = (worker.pointee.hashes, worker.pointee.found, worker.pointee.misses)
        let (headers, keys) = (worker.pointee.headers, worker.pointee.keys)
        let (entries, counters) = (shared.pointee.entries, worker.pointee.flowCounters)
        let subtable = FlowReader.subtable(shared, list.load(fromByteOffset: FlowLayout.listEntries, as: UInt32.self))
        let lines = subtable.load(fromByteOffset: FlowLayout.subtableLines, as: UInt8.self)
        let table = subtable.atomicPointer(FlowLayout.subtableTable).pointee.load(ordering: .acquiring)
        guard let table else { return markAll(worker, count, LookupState.missed) }
        let (buckets, bucketMask) = (table + FlowLayout.tableHeader, table.load(as: UInt64.self))
        var index = 0
        if worker.pointee.burst.isCommon, lines & 0x1e == 0 {
            let hasher = CommonHash(shared.pointee.secrets, subtable, BurstTraits.commonWord(worker.pointee.inPorts[0]))
            while index < count {
                let hash = hasher.hash((keys + index &* FlowLayout.keyBytes).assumingMemoryBound(to: UInt64.self))
                hashes[index] = hash
                cdpdk_prefetch(buckets + Int(truncatingIfNeeded: hash & bucketMask) &* 64)
                index &+= 1
            }
        } else {
            while index < count {
                let hash = FlowReader.hash(shared, keys + index &* FlowLayout.keyBytes, headers[index].lineBits, subtable, lines)
                hashes[index] = hash
                cdpdk_prefetch(buckets + Int(truncatingIfNeeded: hash & bucketMask) &* 64)
                index &+= 1
            }
        }
        index = 0
        while index < count {
            let hash = hashes[index]
            let candidate = FlowReader.scanBucket(buckets + Int(truncatingIfNeeded: hash & bucketMask) &* 64, hash)
            found[index] = candidate
            prefetchEntry(entries, counters, candidate)
            index &+= 1
        }
        var missed = 0
        var hits: UInt64 = 0
        var flags = UInt8.max
        index = 0
        while index < count {
            let key = UnsafeRawPointer(keys + index &* FlowLayout.keyBytes)
            var number = found[index]
            var checked: UInt64 = 0
            if number != 0 {
                let entry = FlowReader.entry(shared, number)
                checked = entry.atomicWord(FlowLayout.checked).pointee.load(ordering: .acquiring)
                if !FlowReader.lineAgrees(key, subtable, entry) { checked = 0 }
                if lines & 0x1e != 0, checked != 0,
                    !FlowReader.verifyFurther(shared, entry, subtable, lines & 0x1e, key, headers[index].lineBits)
                {
                    checked = 0
                }
            }
            // No tag of the first bucket, or a neighbour's tag: the thorough way.
            if checked == 0 { number = FlowReader.probe(shared, table, hashes[index], key, headers[index].lineBits, &checked) }
            if number != 0, checked == sequence || FlowReader.refresh(shared, number, checked, sequence) {
                hits &+= 1
                flags &= FlowReader.entry(shared, number).load(fromByteOffset: FlowLayout.flags, as: UInt8.self)
                found[index] = number
                misses[index] = LookupState.found
            } else {
                found[index] = 0
                misses[index] = LookupState.missed
                missed &+= 1
            }
            index &+= 1
        }
        if hits != 0 { bump(worker.pointee.statistics + WorkerCounter.megaflowHits, hits) }
        bump(worker.pointee.statistics + WorkerCounter.subtableProbes, UInt64(count))
        if missed == 0 { concludeAllFound(worker, flags) }
        return missed
    }

    /// Looks the unresolved packets up in their ports' subtables, the most hit first: one subtable after the other for the
    /// whole burst, the prefetches of a round together. Returns how many were found in none (or stale).
    @_noLocks
    static func lookupMegaflows(_ worker: Worker, _ count: Int, _ unresolvedCount: Int, insertsIntoCache: Bool) -> Int {
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
                                if insertsIntoCache { cacheInsert(worker, index, entry) }
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
}
