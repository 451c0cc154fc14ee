// Growth of large bucket tables without a stall.
//
// Who installs must not move a hundred thousand slots. So a table that is getting full is only noted (`growing`), and the
// maintenance thread fills a larger one beside it, a slice of buckets at a time, each under the lock for some tens of microseconds.
// Meanwhile readers use the old one; who installs, replaces or removes does it in both. Then the larger one is published.

internal import Synchronization

extension FlowTable {
    /// A larger bucket table that is being filled.
    struct Migration {
        var subtable: UInt32
        var table: UnsafeMutableRawPointer
        var buckets: Int
        /// The first bucket of the old table that was not carried over yet.
        var next = 0
    }

    /// Whether a bucket table is to grow. Locked.
    var wantsGrowth: Bool { migration != nil || !growing.isEmpty }

    /// Lets all tables grow that are to, or carries some slices over only. By one thread at a time, without the lock.
    func growTables(slices: Int = .max) {
        var left = slices
        while left > 0 {
            if withLock({ migration != nil }) {
                left -= 1
                withLock { migrateSlice() }
                continue
            }
            guard let (number, buckets) = withLock({ nextToGrow() }) else { return }
            // Its pages are made without the lock.
            let table = SubtableSet.makeBuckets(buckets * 4)
            let hasBegun = withLock {
                guard subtables[Int(number)]?.buckets == buckets, migration == nil else { return false }
                migration = Migration(subtable: number, table: table, buckets: buckets * 4)
                return true
            }
            if !hasBegun { table.deallocate() }
        }
    }

    private func nextToGrow() -> (UInt32, Int)? {
        while let number = growing.popLast() {
            if let subtable = subtables[Int(number)], subtable.buckets * 4 * 64 <= 1 << 32 { return (number, subtable.buckets) }
        }
        return nil
    }

    /// Carries some buckets over; the last ones publish the table. Locked.
    private func migrateSlice() {
        guard var current = migration, let subtable = subtables[Int(current.subtable)], let old = bucketTable(current.subtable) else {
            return abandonMigration()
        }
        let end = min(subtable.buckets, current.next + DatapathLimits.bucketsMovedAtOnce)
        while current.next < end {
            for slot in 0..<FlowLayout.slotsPerBucket {
                let word = old.atomicWord(FlowLayout.tableHeader + current.next * 64 + slot * 8).pointee.load(ordering: .relaxed)
                if word == 0 { continue }
                let entry = UInt32(truncatingIfNeeded: word)
                let hash = hash(of: entry, current.subtable)
                // Installed meanwhile: it is in both.
                if FlowTable.slot(in: current.table, of: entry, hash) != nil { continue }
                guard FlowTable.place(current.table, hash, entry) else {
                    // Four times the room and yet no place: by chance only. The next install asks again.
                    return abandonMigration()
                }
            }
            current.next += 1
        }
        migration = current
        if end < subtable.buckets { return }
        subtables[Int(current.subtable)]!.buckets = current.buckets
        FlowReader.subtable(shared, current.subtable).atomicPointer(FlowLayout.subtableTable).pointee.store(
            current.table, ordering: .releasing)
        retired.append(old)
        migration = nil
    }

    /// Nobody but us has seen the new table. Locked.
    func abandonMigration() {
        migration?.table.deallocate()
        migration = nil
    }
}
