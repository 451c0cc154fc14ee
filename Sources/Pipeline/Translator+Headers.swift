// VLAN tags, MPLS labels and PBB: what is put on and taken off.

internal import DatapathAPI
internal import Flow

extension Translator {
    static let vlanOffsets = [FlowOffset.vlanTCI, FlowOffset.vlanTCI2, FlowOffset.vlanTPID, FlowOffset.vlanTPID2]
    static let etherTypeIPv4: UInt16 = 0x0800
    static let etherTypeIPv6: UInt16 = 0x86dd
    static let etherTypeARP: UInt16 = 0x0806
    static let etherTypeRARP: UInt16 = 0x8035
    static let etherTypeNSH: UInt16 = 0x894f
    static let etherTypePBB: UInt16 = 0x88e7
    static func isMPLS(_ etherType: UInt16) -> Bool { etherType == 0x8847 || etherType == 0x8848 }

    var isTagged: Bool { load16(FlowOffset.vlanTCI) & Translator.vlanPresent != 0 }

    // MARK: VLAN

    /// Looks at all tags of the packet as the datapath has it, so that tags can be added and removed. That there is none is
    /// always looked at, and says it all.
    func lookAtTags() {
        let tci = UInt16(bigEndian: UnsafeRawPointer(base).load(fromByteOffset: FlowOffset.vlanTCI, as: UInt16.self))
        if tci & Translator.vlanPresent == 0 { return }
        let all = UnsafeMutableRawPointer(looked).assumingMemoryBound(to: UInt8.self)
        let known = UnsafeMutableRawPointer(committed).assumingMemoryBound(to: UInt8.self)
        for offset in Translator.vlanOffsets {
            for index in offset..<offset + 2 { all[index] |= ~known[index] }
        }
    }

    /// All tags of `key` are known from now on.
    private func markTagsWritten() {
        let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt8.self)
        for offset in Translator.vlanOffsets {
            for index in offset..<offset + 2 { own[index] = 0xff }
        }
        isVLANStructureDirty = true
        changeMark += 1
    }

    /// Writes bits of the outer tag; setting the presence bit adds a tag, clearing it removes one.
    func setVLAN(_ value: UInt16, mask: UInt16) {
        // The field's switches take the old tag off and put the new one on.
        if isNarrow, isTagged { lookBits16(FlowOffset.vlanTCI, 0xffff) }
        let old = load16(FlowOffset.vlanTCI)
        let new = old & ~mask | value & mask
        switch (isTagged, new & Translator.vlanPresent != 0) {
        case (false, false): break
        case (true, false): popVLAN()
        case (false, true): pushVLAN(tpid: 0x8100, tci: new)
        case (true, true): write(.vlanTCI, UInt128(value), bits: UInt128(mask))
        }
    }

    /// A new outer tag. `tci` nil is the standard's default: what the tag that was the outer one has (OpenFlow 1.5 section 7.2.6.4).
    func pushVLAN(tpid: UInt16, tci given: UInt16?) {
        lookAtTags()
        let outer = load16(FlowOffset.vlanTCI)
        let tci = given ?? (isTagged ? outer : 0) | Translator.vlanPresent
        if isTagged, load16(FlowOffset.vlanTCI2) & Translator.vlanPresent != 0 {
            // The key has room for two tags: what the datapath does to more of them is said at once.
            commit()
            buriedTags.append((load16(FlowOffset.vlanTCI2), load16(FlowOffset.vlanTPID2)))
            actions.append(.pushVLAN(tpid: tpid, tci: tci))
            changeCount += 1
            storeTags((tci, tpid), (outer, load16(FlowOffset.vlanTPID)))
            settleTags()
            return
        }
        storeTags((tci, tpid), (outer, load16(FlowOffset.vlanTPID)))
        markTagsWritten()
    }

    func popVLAN() {
        guard isTagged else { return }
        lookAtTags()
        let inner = (tci: load16(FlowOffset.vlanTCI2), tpid: load16(FlowOffset.vlanTPID2))
        let isThirdVisible = [0x8100, 0x88a8].contains(load16(FlowOffset.etherType))
        if inner.tci & Translator.vlanPresent != 0, isThirdVisible || !buriedTags.isEmpty {
            commit()
            actions.append(.popVLAN)
            changeCount += 1
            storeTags(inner, buriedTags.popLast() ?? (0, 0))
            settleTags()
            // What comes up then was not read.
            if isThirdVisible { staleness = .frame }
            return
        }
        storeTags(inner, (0, 0))
        markTagsWritten()
    }

    private func storeTags(_ outer: (tci: UInt16, tpid: UInt16), _ inner: (tci: UInt16, tpid: UInt16)) {
        store16(FlowOffset.vlanTCI, outer.tci)
        store16(FlowOffset.vlanTPID, outer.tpid)
        store16(FlowOffset.vlanTCI2, inner.tci)
        store16(FlowOffset.vlanTPID2, inner.tpid)
    }

    /// All tags of `key` are the datapath's too, and known.
    private func settleTags() {
        for offset in Translator.vlanOffsets { settle(offset..<offset + 2) }
    }

    /// The tags of `key`, in words: outer TCI and TPID, inner TCI and TPID.
    var tags: (UInt16, UInt16, UInt16, UInt16) {
        get {
            (load16(FlowOffset.vlanTCI), load16(FlowOffset.vlanTPID), load16(FlowOffset.vlanTCI2), load16(FlowOffset.vlanTPID2))
        }
        set {
            store16(FlowOffset.vlanTCI, newValue.0)
            store16(FlowOffset.vlanTPID, newValue.1)
            store16(FlowOffset.vlanTCI2, newValue.2)
            store16(FlowOffset.vlanTPID2, newValue.3)
            isVLANStructureDirty = true
        }
    }

    func commitTags() {
        isVLANStructureDirty = false
        func tags(_ key: UnsafePointer<FlowKey>) -> [(tci: UInt16, tpid: UInt16)] {
            func half(_ offset: Int) -> UInt16 { UInt16(bigEndian: UnsafeRawPointer(key).load(fromByteOffset: offset, as: UInt16.self)) }
            var result: [(UInt16, UInt16)] = []
            if half(FlowOffset.vlanTCI) & Translator.vlanPresent != 0 {
                if half(FlowOffset.vlanTCI2) & Translator.vlanPresent != 0 {
                    result.append((half(FlowOffset.vlanTCI2), half(FlowOffset.vlanTPID2)))
                }
                result.append((half(FlowOffset.vlanTCI), half(FlowOffset.vlanTPID)))
            }
            return result
        }
        // Innermost first.
        let have = tags(base)
        let want = tags(key)
        var common = 0
        while common < min(have.count, want.count), have[common] == want[common] { common += 1 }
        if have.count == want.count, common == have.count - 1, have[common].tpid == want[common].tpid {
            actions.append(.set(.vlanTCI, value: UInt128(want[common].tci & ~Translator.vlanPresent), mask: 0xefff))
            changeCount += 1
        } else {
            for _ in common..<have.count { actions.append(.popVLAN) }
            for tag in want[common...] { actions.append(.pushVLAN(tpid: tag.tpid, tci: tag.tci)) }
            changeCount += have.count + want.count - 2 * common
        }
        let known = UnsafeMutableRawPointer(committed).assumingMemoryBound(to: UInt8.self)
        let pending = UnsafeMutableRawPointer(dirty).assumingMemoryBound(to: UInt8.self)
        let now = UnsafeMutableRawPointer(base).assumingMemoryBound(to: UInt8.self)
        for offset in Translator.vlanOffsets {
            for index in offset..<offset + 2 {
                now[index] = memory.load(fromByteOffset: index, as: UInt8.self)
                known[index] = 0xff
                pending[index] = 0
            }
        }
    }

    // MARK: MPLS

    /// Labels are pushed and popped at once: what the packet is afterwards depends on it.
    func pushMPLS(_ etherType: UInt16) {
        if refusesLabels("an MPLS push") { return }
        commit()
        let count = Int(load8(FlowOffset.mplsCount))
        let old = load16(FlowOffset.etherType)
        var entry: UInt32
        if Translator.isMPLS(old) {
            lookAtLabels()
            entry = load32(FlowOffset.mplsLSE0) & ~0x100
        } else {
            // Label 0, bottom of stack; TTL and class from the IP header, or 0 (OpenFlow 1.5 section 7.2.6.4).
            entry = 0x100
            if old == Translator.etherTypeIPv4 || old == Translator.etherTypeIPv6 {
                lookBytes(FlowOffset.nwTOS, 2)
                entry |= UInt32(load8(FlowOffset.nwTOS) >> 2 & 7) << 9
                entry |= UInt32(load8(FlowOffset.nwTTL))
            }
        }
        actions.append(.pushMPLS(etherType: etherType, entry: entry))
        changeCount += 1
        store32(FlowOffset.mplsLSE2, load32(FlowOffset.mplsLSE1))
        store32(FlowOffset.mplsLSE1, load32(FlowOffset.mplsLSE0))
        store32(FlowOffset.mplsLSE0, entry)
        knownLabels = min(3, knownLabels + 1)
        changeNetwork(to: etherType, labels: min(3, count + 1))
    }

    func popMPLS(_ etherType: UInt16) {
        guard Translator.isMPLS(load16(FlowOffset.etherType)) else { return }
        let count = Int(load8(FlowOffset.mplsCount))
        commit()
        lookAtLabels(asPopped: count)
        actions.append(.popMPLS(etherType: etherType))
        changeCount += 1
        store32(FlowOffset.mplsLSE0, load32(FlowOffset.mplsLSE1))
        store32(FlowOffset.mplsLSE1, load32(FlowOffset.mplsLSE2))
        store32(FlowOffset.mplsLSE2, 0)
        knownLabels -= 1
        changeNetwork(to: etherType, labels: max(0, count - 1))
        // What comes up is not in the key, unless it is a label that was.
        if !Translator.isMPLS(etherType) || knownLabels <= 0 { staleness = max(staleness, .network) }
    }

    // MARK: PBB

    /// The packet becomes the payload of a backbone frame with its own addresses (OpenFlow 1.5 section 7.2.6.4).
    func pushPBB() {
        commit()
        lookAtTags()
        var tag: UInt32 = isTagged ? UInt32(load16(FlowOffset.vlanTCI) >> 13) << 29 : 0
        if load16(FlowOffset.etherType) == Translator.etherTypePBB {
            lookBytes(FlowOffset.pbbISID, 5)
            tag |= load32(FlowOffset.pbbISID) & 0xff_ffff
        }
        actions.append(.pushPBB(tag: tag))
        changeCount += 1
        storeTags((0, 0), (0, 0))
        buriedTags.removeAll()
        settleTags()
        store32(FlowOffset.pbbISID, tag & 0xff_ffff)
        store8(FlowOffset.pbbUCA, 0)
        changeNetwork(to: Translator.etherTypePBB, labels: 0, keepsPBB: true)
    }

    func popPBB() {
        guard load16(FlowOffset.etherType) == Translator.etherTypePBB else { return }
        commit()
        actions.append(.popPBB)
        changeCount += 1
        changeNetwork(to: 0, labels: 0)
        staleness = .frame
    }

    /// A TTL that another header is to have, which the key may not show.
    func copyTTL(outwards: Bool) {
        guard Translator.isMPLS(load16(FlowOffset.etherType)) else { return }
        commit()
        lookAtLabels()
        actions.append(outwards ? .copyTTLOut : .copyTTLIn)
        changeCount += 1
        fixedChangeCount += 1
        staleness = max(staleness, .network)
    }

    // MARK: Types

    /// Another EtherType or protocol over the same bytes: what follows is to be read anew.
    func retype(_ field: Field, _ value: UInt128) {
        commit()
        look(field, bits: field.layout.allOnes)
        if RawField.load(key, field) == value { return }
        actions.append(.set(field, value: value, mask: field.layout.allOnes))
        changeCount += 1
        changeNetwork(to: field == .ethType ? UInt16(truncatingIfNeeded: value) : load16(FlowOffset.etherType), labels: 0)
        staleness = max(staleness, .network)
    }

    /// Looks at the label stack.
    ///
    /// - Parameter asPopped: how many labels there are, where the outermost goes: of that one only counts whether it is the last.
    private func lookAtLabels(asPopped count: Int? = nil) {
        let all = UnsafeMutableRawPointer(looked).assumingMemoryBound(to: UInt8.self)
        let known = UnsafeMutableRawPointer(committed).assumingMemoryBound(to: UInt8.self)
        if let count {
            let bottom = FlowOffset.mplsLSE0 + 2
            all[bottom] |= 1 & ~known[bottom]
            if count <= 1 { return }
            for index in FlowOffset.mplsLSE1..<FlowOffset.mplsLSE0 + 12 { all[index] |= ~known[index] }
            return
        }
        for index in FlowOffset.mplsLSE0..<FlowOffset.mplsLSE0 + 12 { all[index] |= ~known[index] }
    }

    /// The packet has another EtherType now, and of its network header nothing is known: it reads as zeros.
    func changeNetwork(to etherType: UInt16, labels: Int, keepsPBB: Bool = false) {
        store16(FlowOffset.etherType, etherType)
        store8(FlowOffset.mplsCount, UInt8(labels))
        store8(FlowOffset.ipFragment, 0)
        let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt8.self)
        let known = UnsafeMutableRawPointer(committed).assumingMemoryBound(to: UInt8.self)
        func mark(_ range: Range<Int>, zero: Bool) {
            for index in range {
                if zero { store8(index, 0) }
                own[index] = 0xff
                known[index] = 0xff
            }
        }
        mark(FlowOffset.etherType..<FlowOffset.mplsCount + 1, zero: false)
        mark(FlowOffset.mplsLSE0..<FlowOffset.mplsLSE0 + 12, zero: false)
        mark(FlowOffset.nwSrc..<FlowOffset.nwTTL + 1, zero: true)
        mark(FlowOffset.tcpFlags..<FlowOffset.tcpFlags + 2, zero: true)
        mark(FlowOffset.ipv6Src..<FlowOffset.mplsLSE0, zero: true)
        mark(FlowOffset.nshFlags..<FlowOffset.pbbISID, zero: true)
        mark(FlowOffset.pbbISID..<FlowOffset.tunID, zero: !keepsPBB)
        base.pointee = key.pointee
        changeMark += 1
        fixedChangeCount += 1
    }
}
