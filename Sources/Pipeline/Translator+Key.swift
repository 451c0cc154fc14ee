// The packet's two pictures in raw memory: reading, writing, copying them.

internal import DatapathAPI
internal import Flow

extension Translator {
    // MARK: Reading and writing the key

    @inline(__always) func load8(_ offset: Int) -> UInt8 { memory.load(fromByteOffset: offset, as: UInt8.self) }
    @inline(__always) func load16(_ offset: Int) -> UInt16 { UInt16(bigEndian: memory.load(fromByteOffset: offset, as: UInt16.self)) }
    @inline(__always) func load32(_ offset: Int) -> UInt32 { UInt32(bigEndian: memory.load(fromByteOffset: offset, as: UInt32.self)) }
    @inline(__always) func load48(_ offset: Int) -> UInt64 {
        UInt64(load16(offset)) << 32 | UInt64(load16(offset + 2)) << 16 | UInt64(load16(offset + 4))
    }
    @inline(__always) func store8(_ offset: Int, _ value: UInt8) { memory.storeBytes(of: value, toByteOffset: offset, as: UInt8.self) }
    @inline(__always) func store16(_ offset: Int, _ value: UInt16) {
        memory.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }
    @inline(__always) func store32(_ offset: Int, _ value: UInt32) {
        memory.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    /// Looks at bytes of the received packet, as far as `key` still has them from there.
    func lookBytes(_ offset: Int, _ count: Int) {
        let all = UnsafeMutableRawPointer(looked).assumingMemoryBound(to: UInt8.self)
        let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt8.self)
        for index in offset..<offset + count { all[index] |= ~own[index] }
    }

    func lookBits16(_ offset: Int, _ bits: UInt16) {
        let all = UnsafeMutableRawPointer(looked).assumingMemoryBound(to: UInt8.self)
        let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt8.self)
        all[offset] |= UInt8(bits >> 8) & ~own[offset]
        all[offset + 1] |= UInt8(bits & 0xff) & ~own[offset + 1]
    }

    /// Looks at bits of a field.
    func look(_ field: Field, bits: UInt128) {
        if field.layout.byteOffset >= 320 { return }
        RawField.store(looked, field, .max, mask: bits & ~RawField.load(written, field))
    }

    /// Whether the packet has what `field` needs; looks at what says so. Types and fragment class are always looked at, as
    /// is the presence of a tag; what is left are the protocol and, for neighbour discovery, type and code.
    func meetsPrerequisites(of field: Field) -> Bool {
        switch field.prerequisite {
        case .tcp, .udp, .sctp, .icmpv4, .icmpv6: lookBytes(FlowOffset.nwProto, 1)
        case .nd, .ndSolicit, .ndAdvert:
            lookBytes(FlowOffset.nwProto, 1)
            lookBytes(FlowOffset.tpSrc, 4)
        default: break
        }
        return hasPrerequisites(of: field)
    }

    /// The same, without looking: for what only depends on what is always looked at.
    func hasPrerequisites(of field: Field) -> Bool {
        let etherType = load16(FlowOffset.etherType)
        let isIP = etherType == 0x0800 || etherType == 0x86dd
        func has(_ proto: UInt8) -> Bool { isIP && load8(FlowOffset.nwProto) == proto && load8(FlowOffset.ipFragment) & 2 == 0 }
        return switch field.prerequisite {
        case .none: true
        case .vlan: isTagged
        case .ipv4: etherType == 0x0800
        case .ipv6: etherType == 0x86dd
        case .ip: isIP
        case .arp: etherType == 0x0806 || etherType == 0x8035
        case .tcp: has(6)
        case .udp: has(17)
        case .sctp: has(132)
        default: key.pointee.meetsPrerequisites(of: field)
        }
    }

    /// Writes bits of a field that the packet has.
    func write(_ field: Field, _ value: UInt128, bits: UInt128) {
        if !isFrame, pendingHeader == nil, field.isHeaderField {
            fail("\(field.name) of a packet without an Ethernet header cannot be set")
            return
        }
        RawField.store(key, field, value, mask: bits)
        if field.layout.byteOffset >= 320 { return }
        RawField.store(written, field, .max, mask: bits)
        RawField.store(dirty, field, .max, mask: bits)
        isDirty = true
        changeMark += 1
    }

    // MARK: Copies

    /// Has the next output make of the datapath's packet, changed for a copy, what `key` says.
    private func setBack() {
        for field in Translator.headerFields {
            let bits = RawField.load(committed, field)
            if bits == 0 || (RawField.load(base, field) ^ RawField.load(key, field)) & bits == 0 { continue }
            RawField.store(dirty, field, .max, mask: bits)
            isDirty = true
        }
        for offset in Translator.vlanOffsets where base.pointee.load(at: offset, count: 2) != key.pointee.load(at: offset, count: 2) {
            isVLANStructureDirty = true
        }
    }

    /// Carries out `body` on a copy of the packet: afterwards everything is as before, but for what was looked at and sent.
    ///
    /// - Parameter isWrapped: false where the caller makes the datapath's copy itself.
    func isolated(wrapping isWrapped: Bool = true, _ body: () -> Void) {
        depth += 1
        defer { depth -= 1 }
        if depth > PipelineLimits.translationDepth {
            fail("over max translation depth \(PipelineLimits.translationDepth)", .recursionTooDeep)
            return
        }
        if frameCount == frames.count { frames.append(.allocate(byteCount: Translator.savedBytes, alignment: 64)) }
        let frame = frames[frameCount]
        frameCount += 1
        frame.copyMemory(from: memory, byteCount: Translator.savedBytes)
        let saved = (isDirty, isVLANStructureDirty, hasExited, inActionSet, actionSet, stack, table, rule, trace, version)
        let savedView = view
        let fixedBefore = fixedChangeCount
        let savedEncapsulation = (pendingHeader, isInnerKnown, isOuterOwn)
        let savedThaw = (staleness, knownLabels, buriedTags, thawedCookie, thawedIsTableMiss, freezing, frozenSegments, isPacketOut)
        freezing = nil
        let mark = actions.count
        let changesBefore = changeCount
        let mirrorsBefore = (mirrored, mirrorChange, changeMark)
        body()
        finishFreezing(withActionSet: false)
        // What was copied of the packet as it is again counts; what was copied of a changed one does not.
        if changeMark != mirrorsBefore.2 { (mirrored, mirrorChange, changeMark) = mirrorsBefore }
        // Where what was changed can be set back, the next output does so.
        let isSetBack = isNarrow && isWrapped && fixedChangeCount == fixedBefore
        if isSetBack {
            memory.copyMemory(from: frame, byteCount: FlowKey.byteCount)
            let rest = 2 * FlowKey.byteCount
            (memory + rest).copyMemory(from: frame + rest, byteCount: 2 * FlowKey.byteCount)
        } else {
            memory.copyMemory(from: frame, byteCount: Translator.savedBytes)
        }
        frameCount -= 1
        (isDirty, isVLANStructureDirty, hasExited, inActionSet, actionSet, stack, table, rule, trace, version) = saved
        view = savedView
        (pendingHeader, isInnerKnown, isOuterOwn) = savedEncapsulation
        (staleness, knownLabels, buriedTags, thawedCookie, thawedIsTableMiss, freezing, frozenSegments, isPacketOut) = savedThaw
        if isSetBack {
            if changeCount != changesBefore { setBack() }
            return
        }
        if isWrapped, changeCount != changesBefore {
            // The datapath's packet was changed for the copy only.
            var nested = Array(actions[mark...])
            actions.removeSubrange(mark...)
            Translator.trim(&nested)
            if !nested.isEmpty { actions.append(.clone(nested)) }
        }
    }
}
