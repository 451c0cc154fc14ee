// What each port's lookups go through: its masks, most hit first, and its megaflows while they are few. All of it with the lock held.

internal import Base
internal import DatapathAPI
internal import Flow
internal import Synchronization

extension FlowTable {
    func addUse(_ port: UInt32, _ subtable: UInt32, _ entry: UInt32) {
        let knowsProtocol = subtables[Int(subtable)]!.mask.bits.load(at: FlowOffset.nwProto, count: 1) == 0xff
        let bit = knowsProtocol ? FlowReader.summaryBit(FlowReader.entry(shared, entry)) : UInt64.max
        let flows = flows(of: port)
        if let position = flows.uses.firstIndex(where: { $0.subtable == subtable }) {
            flows.uses[position].flows += 1
            if flows.uses[position].summary & bit != bit {
                flows.uses[position].summary |= bit
                let list = shared.pointee.portFlows[Int(port)].load(ordering: .relaxed)!
                let place = list + FlowLayout.listEntries + position * FlowLayout.listEntryBytes
                place.atomicWord(8).pointee.store(flows.uses[position].summary, ordering: .releasing)
            }
        } else {
            flows.uses.append(PortUse(subtable: subtable, flows: 1, summary: bit))
            publishList(port)
        }
    }

    func removeUse(_ port: UInt32, _ subtable: UInt32) {
        guard let flows = ports[Int(port)], let position = flows.uses.firstIndex(where: { $0.subtable == subtable }) else { return }
        flows.uses[position].flows -= 1
        if flows.uses[position].flows == 0 {
            flows.uses.remove(at: position)
            publishList(port)
        }
    }

    private func flows(of port: UInt32) -> PortFlows {
        if let flows = ports[Int(port)] { return flows }
        let made = PortFlows()
        ports[Int(port)] = made
        portsInUse += 1
        return made
    }

    /// A port's megaflow came (`old` 0), went (`new` 0) or was replaced.
    func changeDirect(_ port: UInt32, _ old: UInt32, _ new: UInt32) {
        let flows = flows(of: port)
        flows.direct.flows += (new == 0 ? 0 : 1) - (old == 0 ? 0 : 1)
        flows.direct.exchange(old, new)
        if let list = shared.pointee.portFlows[Int(port)].load(ordering: .relaxed) { publish(flows.direct, list) }
        if flows.direct.flows == 0, flows.uses.isEmpty {
            ports[Int(port)] = nil
            portsInUse -= 1
        }
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
        let flows = ports[Int(port)]
        let entries = flows?.uses ?? []
        if entries.isEmpty {
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
            if let flows { publish(flows.direct, memory) }
            shared.pointee.portFlows[Int(port)].store(memory, ordering: .releasing)
        }
        if let old { retired.append(old) }
    }

    /// Notes packets of a flow, for ordering its port's subtables. Locked.
    func noteHitsLocked(_ hits: [UInt64: UInt64]) {
        for (name, packets) in hits {
            let port = UInt32(truncatingIfNeeded: name >> 32)
            let subtable = UInt32(truncatingIfNeeded: name)
            guard Int(port) < ports.count, let flows = ports[Int(port)] else { continue }
            if let position = flows.uses.firstIndex(where: { $0.subtable == subtable }) { flows.uses[position].hits += packets }
        }
    }

    /// Puts each port's most hit subtables first, and halves what was counted. Locked.
    func orderSubtablesLocked() {
        for port in ports.indices {
            guard let flows = ports[port] else { continue }
            let ordered = flows.uses.sorted { $0.hits > $1.hits }
            let changed = zip(flows.uses, ordered).contains { $0.subtable != $1.subtable }
            flows.uses = ordered
            for position in flows.uses.indices { flows.uses[position].hits /= 2 }
            if changed { publishList(UInt32(port)) }
        }
    }
}
