// What each port's lookups go through: its masks, most hit first, and its megaflows while they are few. All of it with the lock held.

internal import Base
internal import DatapathAPI
internal import Flow
internal import Synchronization

extension FlowTable {
    func addUse(_ port: UInt32, _ subtable: UInt32, _ entry: UInt32) {
        let mask = subtables[Int(subtable)]!.mask
        let knowsProtocol = mask.bits.load(at: FlowOffset.nwProto, count: 1) == 0xff
        let bit = knowsProtocol ? FlowReader.summaryBit(FlowReader.entry(shared, entry)) : UInt64.max
        if let position = uses[port]?.firstIndex(where: { $0.subtable == subtable }) {
            uses[port]![position].flows += 1
            if uses[port]![position].summary & bit != bit {
                uses[port]![position].summary |= bit
                let list = shared.pointee.portFlows[Int(port)].load(ordering: .relaxed)!
                let place = list + FlowLayout.listEntries + position * FlowLayout.listEntryBytes
                place.atomicWord(8).pointee.store(uses[port]![position].summary, ordering: .releasing)
            }
        } else {
            uses[port, default: []].append(PortUse(subtable: subtable, flows: 1, summary: bit))
            publishList(port)
        }
    }

    /// A port's megaflow came (`old` 0), went (`new` 0) or was replaced.
    func changeDirect(_ port: UInt32, _ old: UInt32, _ new: UInt32) {
        var direct = directs[port] ?? DirectEntries()
        direct.flows += (new == 0 ? 0 : 1) - (old == 0 ? 0 : 1)
        direct.exchange(old, new)
        directs[port] = direct.flows == 0 ? nil : direct
        if let list = shared.pointee.portFlows[Int(port)].load(ordering: .relaxed) { publish(direct, list) }
    }

    /// Readers take an entry that is gone already for none, and look elsewhere for one that is not there yet.
    func publish(_ direct: DirectEntries, _ list: UnsafeMutableRawPointer) {
        let (first, second) = (list.atomicWord(FlowLayout.listDirect), list.atomicWord(FlowLayout.listDirect + 8))
        first.pointee.store(UInt64(direct.slots[1]) << 32 | UInt64(direct.slots[0]), ordering: .releasing)
        second.pointee.store(UInt64(direct.slots[3]) << 32 | UInt64(direct.slots[2]), ordering: .releasing)
        list.atomicWord(FlowLayout.listIsDirect).pointee.store(direct.areAll ? 1 : 0, ordering: .releasing)
    }

    /// Publishes a port's list anew.
    func publishList(_ port: UInt32) {
        let old = shared.pointee.portFlows[Int(port)].load(ordering: .relaxed)
        let entries = uses[port] ?? []
        if entries.isEmpty {
            uses[port] = nil
            shared.pointee.portFlows[Int(port)].store(nil, ordering: .releasing)
        } else {
            let bytes = FlowLayout.listEntries + entries.count * FlowLayout.listEntryBytes
            let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
            memory.initializeMemory(as: UInt64.self, repeating: 0, count: bytes / 8)
            var union = FlowMask()
            for (position, use) in entries.enumerated() {
                union.formUnion(subtables[Int(use.subtable)]!.mask)
                let place = memory + FlowLayout.listEntries + position * FlowLayout.listEntryBytes
                place.storeBytes(of: use.subtable, as: UInt32.self)
                place.storeBytes(of: use.summary, toByteOffset: 8, as: UInt64.self)
            }
            memory.storeBytes(of: UInt32(entries.count), as: UInt32.self)
            memory.storeBytes(of: union.bits.lines.rawValue & 0x1f, toByteOffset: 4, as: UInt8.self)
            memory.storeBytes(of: entries.count <= directProbeMasks ? 1 : 0, toByteOffset: 5, as: UInt8.self)
            let words = (memory + FlowLayout.listUnion).assumingMemoryBound(to: UInt64.self)
            for word in 0..<FlowLayout.keyWords { words[word] = union.bits.words[word] }
            if let direct = directs[port] { publish(direct, memory) }
            shared.pointee.portFlows[Int(port)].store(memory, ordering: .releasing)
        }
        if let old { retired.append(old) }
    }

    /// Notes packets of a flow, for ordering its port's subtables. Locked.
    func noteHitsLocked(_ hits: [UInt64: UInt64]) {
        for (name, packets) in hits {
            let port = UInt32(truncatingIfNeeded: name >> 32)
            let subtable = UInt32(truncatingIfNeeded: name)
            if let position = uses[port]?.firstIndex(where: { $0.subtable == subtable }) { uses[port]![position].hits += packets }
        }
    }

    /// Puts each port's most hit subtables first, and halves what was counted. Locked.
    func orderSubtablesLocked() {
        for (port, old) in uses {
            var ordered = old
            ordered.sort { $0.hits > $1.hits }
            let changed = zip(old, ordered).contains { $0.subtable != $1.subtable }
            for position in ordered.indices { ordered[position].hits /= 2 }
            uses[port] = ordered
            if changed { publishList(port) }
        }
    }
}
