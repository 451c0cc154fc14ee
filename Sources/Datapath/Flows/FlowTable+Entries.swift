// A megaflow's memory: written when it is made, read back for maintenance. Its layout is in FlowMemory.

internal import DatapathAPI
internal import Flow
internal import Synchronization

extension FlowTable {
    /// Writes a megaflow that no slot refers to yet. Nil if there is no entry left. Locked.
    func makeEntry(
        _ key: borrowing FlowKey, subtable: UInt32, port: UInt32, _ translation: borrowing Translation, now: UInt64
    ) -> UInt32? {
        let entry: UInt32
        if let reused = free.popLast() {
            entry = reused
        } else if Int(nextUnused) < DatapathLimits.megaflows {
            entry = nextUnused
            nextUnused += 1
        } else {
            return nil
        }
        let compiled = recentActions.compile(translation.actions)
        let program = compiled.program
        let memory = FlowReader.entry(shared, entry)
        let words = memory.assumingMemoryBound(to: UInt64.self)
        let subtableMemory = FlowReader.subtable(shared, subtable)
        let bits = subtableMemory.assumingMemoryBound(to: UInt64.self)
        for word in 0..<8 { words[word] = key.words[word] & bits[word] }
        let further = subtableMemory.load(fromByteOffset: FlowLayout.subtableLines, as: UInt8.self) & 0x1e
        var keyExtension: UnsafeMutableRawPointer?
        if further != 0 {
            let memory = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 64)
            let words = memory.assumingMemoryBound(to: UInt64.self)
            for word in 0..<32 { words[word] = key.words[8 + word] & bits[8 + word] }
            keyExtension = memory
        }
        memory.storeBytes(of: translation.sequence, toByteOffset: FlowLayout.sequence, as: UInt64.self)
        memory.storeBytes(of: translation.dependencies.rawValue, toByteOffset: FlowLayout.dependencies, as: UInt64.self)
        memory.storeBytes(of: subtable, toByteOffset: FlowLayout.mask, as: UInt32.self)
        memory.storeBytes(of: UInt16(program.count), toByteOffset: FlowLayout.opCount, as: UInt16.self)
        memory.storeBytes(of: further, toByteOffset: FlowLayout.further, as: UInt8.self)
        if keyExtension == nil, program.count <= FlowLayout.inlineOps {
            memory.storeBytes(of: program.flags, toByteOffset: FlowLayout.flags, as: UInt8.self)
            (memory + FlowLayout.actions).copyMemory(from: program.ops, byteCount: program.count * MemoryLayout<ActionOp>.stride)
        } else {
            let flags = program.flags & ~(EntryFlag.light | EntryFlag.plain) | EntryFlag.external
            memory.storeBytes(of: flags, toByteOffset: FlowLayout.flags, as: UInt8.self)
            memory.storeBytes(of: UInt(bitPattern: program.ops), toByteOffset: FlowLayout.actions, as: UInt.self)
            memory.storeBytes(of: UInt(bitPattern: keyExtension), toByteOffset: FlowLayout.keyExtension, as: UInt.self)
        }
        let record = MegaflowRecord(
            effects: translation.effects, compiled: compiled, keyExtension: keyExtension, port: port, subtable: subtable,
            installedAt: now)
        records[Int(entry)].store(Unmanaged.passRetained(record).toOpaque(), ordering: .releasing)
        // Publishes everything above to whoever finds the number, be it in a flow cache from an earlier life.
        changes.note(entry, translation)
        let owner = subtables[Int(subtable)]!
        owner.summary.count(entry, rewritten: translation.rewrittenWords, 1)
        let isConcerned = changes.hasConcerned(entry, mask: owner.mask, port: port, translation, shared)
        memory.atomicWord(FlowLayout.checked).pointee.store(
            isConcerned ? FlowLayout.stale : max(translation.sequence, 1), ordering: .releasing)
        return entry
    }

    /// Takes back an entry that no slot refers to yet. A flow cache may still remember its number from an earlier life, so
    /// it waits for a grace period like any other.
    func discard(_ entry: UInt32) { noteRemoved(entry, successor: 0) }

    func noteRemoved(_ entry: UInt32, successor: UInt32) {
        let summary = subtables[Int(entrySubtable(entry))]?.summary
        summary?.count(entry, rewritten: changes.rewrittenWords(entry), -1)
        FlowReader.entry(shared, entry).atomicWord(FlowLayout.checked).pointee.store(0, ordering: .releasing)
        removed.append(Removed(entry: entry, successor: successor))
    }

    /// The match of an entry that cannot be freed meanwhile (maintenance lock held).
    func match(_ entry: UInt32, _ record: MegaflowRecord) -> Match {
        let memory = FlowReader.entry(shared, entry)
        var match = Match()
        match.mask = mask(record.subtable)
        let words = memory.assumingMemoryBound(to: UInt64.self)
        for word in 0..<8 { match.key.words[word] = words[word] }
        if let further = record.keyExtension?.assumingMemoryBound(to: UInt64.self) {
            for word in 0..<32 { match.key.words[8 + word] = further[word] }
        }
        return match
    }

    /// A mask from the subtable's memory: it stays as long as an entry refers to it.
    private func mask(_ number: UInt32) -> FlowMask {
        var mask = FlowMask()
        let words = FlowReader.subtable(shared, number).assumingMemoryBound(to: UInt64.self)
        for word in 0..<FlowLayout.keyWords { mask.bits.words[word] = words[word] }
        return mask
    }
}
