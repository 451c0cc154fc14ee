// The megaflow table's slots: where an entry is found by its hash. All of it with the lock held.

internal import Base
internal import DatapathAPI
internal import Flow
internal import Glibc
internal import Synchronization

extension FlowTable {
    func entrySubtable(_ entry: UInt32) -> UInt32 {
        FlowReader.entry(shared, entry).load(fromByteOffset: FlowLayout.mask, as: UInt32.self)
    }

    /// The hash under which an entry is filed: of its own key, which is masked already.
    func hash(of entry: UInt32, _ subtable: UInt32) -> UInt64 {
        let memory = FlowReader.entry(shared, entry)
        let mask = FlowReader.subtable(shared, subtable)
        let lines = mask.load(fromByteOffset: FlowLayout.subtableLines, as: UInt8.self)
        guard lines & 0x1e != 0, let record = record(entry), let further = record.keyExtension else {
            return FlowReader.hash(shared, memory, 1, mask, 1)
        }
        return withUnsafeTemporaryAllocation(byteCount: FlowLayout.keyBytes, alignment: 64) { buffer in
            buffer.baseAddress!.copyMemory(from: memory, byteCount: 64)
            (buffer.baseAddress! + 64).copyMemory(from: further, byteCount: 256)
            return FlowReader.hash(shared, buffer.baseAddress!, 0x1f, mask, lines)
        }
    }

    func hasSameKey(_ left: UInt32, _ right: UInt32) -> Bool {
        guard let leftRecord = record(left), let rightRecord = record(right) else { return false }
        return memcmp(FlowReader.entry(shared, left), FlowReader.entry(shared, right), 64) == 0
            && (leftRecord.keyExtension == nil || memcmp(leftRecord.keyExtension!, rightRecord.keyExtension!, 256) == 0)
    }

    /// The slot of an entry in a bucket table, and whether it lies in its alternate bucket.
    static func slot(
        in table: UnsafeMutableRawPointer, of entry: UInt32, _ hash: UInt64
    ) -> (word: AtomicWord, first: UnsafeMutableRawPointer, isAlternate: Bool)? {
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        let wanted = UInt64(tag) << 32 | UInt64(entry)
        let mask = table.load(as: UInt64.self)
        let first = FlowReader.bucket(table, hash)
        let other = table + FlowLayout.tableHeader + Int(FlowReader.alternateIndex(hash & mask, tag, mask)) * 64
        for (bucket, isAlternate) in [(first, false), (other, true)] {
            for slot in 0..<FlowLayout.slotsPerBucket {
                let word = bucket.atomicWord(slot * 8)
                if word.pointee.load(ordering: .relaxed) == wanted { return (word, first, isAlternate) }
            }
        }
        return nil
    }

    /// The bucket tables an entry's slot may be in: the readers', and the one that is being filled.
    func tables(_ number: UInt32) -> [UnsafeMutableRawPointer] {
        guard let table = bucketTable(number) else { return [] }
        guard let migration, migration.subtable == number else { return [table] }
        return [table, migration.table]
    }

    func replaceSlot(_ old: UInt32, with new: UInt32) {
        let subtable = entrySubtable(old)
        let hash = hash(of: old, subtable)
        for table in tables(subtable) {
            guard let place = FlowTable.slot(in: table, of: old, hash) else { continue }
            let word = place.word.pointee.load(ordering: .relaxed)
            place.word.pointee.store(word & 0xffff_ffff_0000_0000 | UInt64(new), ordering: .releasing)
        }
    }

    func clearSlot(_ entry: UInt32) {
        let subtable = entrySubtable(entry)
        let hash = hash(of: entry, subtable)
        for table in tables(subtable) { FlowTable.clear(table, entry, hash) }
    }

    static func clear(_ table: UnsafeMutableRawPointer, _ entry: UInt32, _ hash: UInt64) {
        guard let place = slot(in: table, of: entry, hash) else { return }
        place.word.pointee.store(0, ordering: .releasing)
        if place.isAlternate {
            let spills = place.first.atomicWord(56)
            spills.pointee.store(spills.pointee.load(ordering: .relaxed) &- 1, ordering: .releasing)
        }
    }

    func insertSlot(_ entry: UInt32, subtable number: UInt32) -> Bool {
        guard let table = bucketTable(number) else { return false }
        let (buckets, flows) = (subtables[Int(number)]!.buckets, subtables[Int(number)]!.flows)
        if !growsAtOnce, buckets >= DatapathLimits.bucketsGrownAtOnce {
            // Maintenance fills a larger table, a slice at a time; meanwhile this one has room for as much again.
            if flows + 1 > buckets * 3 { requestGrowth(number) }
            let hash = hash(of: entry, number)
            guard FlowTable.place(table, hash, entry) else {
                if mayGrow(number) { requestGrowth(number) }
                return false
            }
            if let migration, migration.subtable == number, !FlowTable.place(migration.table, hash, entry) { abandonMigration() }
        } else {
            guard insertGrowing(entry, number, table) else { return false }
        }
        subtables[Int(number)]!.flows += 1
        return true
    }

    /// Inserts into a small bucket table, which grows at once if it has to.
    func insertGrowing(_ entry: UInt32, _ number: UInt32, _ start: UnsafeMutableRawPointer) -> Bool {
        var table = start
        if subtables[Int(number)]!.flows + 1 > subtables[Int(number)]!.buckets * 4 {
            guard let grown = grow(number, table) else { return false }
            table = grown
        }
        let hash = hash(of: entry, number)
        while !FlowTable.place(table, hash, entry) {
            guard mayGrow(number), let grown = grow(number, table) else { return false }
            table = grown
        }
        return true
    }

    /// Whether more room may help where both buckets are full: beyond 64 times what the flows need it does not.
    func mayGrow(_ number: UInt32) -> Bool { subtables[Int(number)]!.buckets < 64 * (subtables[Int(number)]!.flows + 1) }

    func requestGrowth(_ number: UInt32) {
        if migration?.subtable != number, !growing.contains(number) { growing.append(number) }
    }

    /// Puts an entry into one of its two buckets.
    static func place(_ table: UnsafeMutableRawPointer, _ hash: UInt64, _ entry: UInt32) -> Bool {
        let tag = UInt32(truncatingIfNeeded: hash >> 32)
        let word = UInt64(tag) << 32 | UInt64(entry)
        let mask = table.load(as: UInt64.self)
        let first = FlowReader.bucket(table, hash)
        for slot in 0..<FlowLayout.slotsPerBucket where first.atomicWord(slot * 8).pointee.load(ordering: .relaxed) == 0 {
            first.atomicWord(slot * 8).pointee.store(word, ordering: .releasing)
            return true
        }
        let other = table + FlowLayout.tableHeader + Int(FlowReader.alternateIndex(hash & mask, tag, mask)) * 64
        if other == first { return false }
        for slot in 0..<FlowLayout.slotsPerBucket where other.atomicWord(slot * 8).pointee.load(ordering: .relaxed) == 0 {
            // Readers look there only if the first bucket says so: say it first.
            let spills = first.atomicWord(56)
            spills.pointee.store(spills.pointee.load(ordering: .relaxed) &+ 1, ordering: .releasing)
            other.atomicWord(slot * 8).pointee.store(word, ordering: .releasing)
            return true
        }
        return false
    }

    /// A larger bucket table with the same content, published. Nil if even that has no room for it.
    func grow(_ number: UInt32, _ old: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        var buckets = subtables[Int(number)]!.buckets
        let oldBuckets = buckets
        attempts: for _ in 0..<8 {
            buckets *= 4
            let table = SubtableSet.makeBuckets(buckets)
            for bucket in 0..<oldBuckets {
                for slot in 0..<FlowLayout.slotsPerBucket {
                    let word = old.atomicWord(FlowLayout.tableHeader + bucket * 64 + slot * 8).pointee.load(ordering: .relaxed)
                    if word == 0 { continue }
                    let entry = UInt32(truncatingIfNeeded: word)
                    if !FlowTable.place(table, hash(of: entry, number), entry) {
                        table.deallocate()
                        continue attempts
                    }
                }
            }
            subtables[Int(number)]!.buckets = buckets
            FlowReader.subtable(shared, number).atomicPointer(FlowLayout.subtableTable).pointee.store(table, ordering: .releasing)
            retired.append(old)
            return table
        }
        return nil
    }
}
