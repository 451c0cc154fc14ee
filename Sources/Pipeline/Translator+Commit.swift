// Making changes of headers into datapath actions.

internal import DatapathAPI
internal import Flow

extension Translator {
    private static let etherFields: [Field] = [.ethSrc, .ethDst, .vlanTCI]
    private static let metadataFields: [Field] = [
        .pktMark, .tunID, .tunSrc, .tunDst, .tunIPv6Src, .tunIPv6Dst, .tunFlags, .tunTTL, .tunTOS, .tunGBPID, .tunGBPFlags, .ctMark,
        .ctLabel,
    ]
    private static let ipv4Fields: [Field] = [.nwSrc, .nwDst, .nwTOS, .nwTTL]
    private static let ipv6Fields: [Field] = [.ipv6Src, .ipv6Dst, .ipv6Label, .nwTOS, .nwTTL]
    private static let arpFields: [Field] = [.arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA]
    private static let mplsFields: [Field] = [.mplsLabel, .mplsTC, .mplsBOS, .mplsTTL]
    private static let pbbFields: [Field] = [.pbbISID, .pbbUCA]
    private static let nshFields: [Field] = [.nshFlags, .nshTTL, .nshSPI, .nshSI, .nshC1, .nshC2, .nshC3, .nshC4]
    private static let tcpFields: [Field] = [.tcpSrc, .tcpDst]
    private static let udpFields: [Field] = [.udpSrc, .udpDst]
    private static let sctpFields: [Field] = [.sctpSrc, .sctpDst]
    private static let icmpFields: [Field] = [.icmpType, .icmpCode]
    private static let icmpv6Fields: [Field] = [
        .icmpv6Type, .icmpv6Code, .ndTarget, .ndSLL, .ndTLL, .ndReserved, .ndOptionsType,
    ]

    /// What the field's datapath cannot set.
    private static let slowFields: Set<Field> = [
        .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA, .ndTarget, .ndSLL, .ndTLL, .ndReserved, .ndOptionsType, .icmpType, .icmpCode,
        .icmpv6Type, .icmpv6Code,
    ]

    /// What `commit` may change, tags aside.
    static let headerFields: [Field] =
        [.ethSrc, .ethDst] + ipv4Fields + ipv6Fields + arpFields + mplsFields + tcpFields + udpFields + sctpFields + icmpv6Fields
        + icmpFields + metadataFields + nshFields + pbbFields

    /// Brings the datapath's packet up to date with `key`: before each output.
    func commit() {
        pushPending()
        if isVLANStructureDirty { commitTags() }
        if isDirty { commitFields() }
        commitQueue()
    }

    /// The queue goes beside the packet.
    private func commitQueue() {
        let queue = load32(FlowOffset.skbPriority)
        if UInt32(truncatingIfNeeded: RawField.load(base, .skbPriority)) == queue { return }
        RawField.store(base, .skbPriority, UInt128(queue), mask: .max)
        actions.append(.set(.skbPriority, value: UInt128(queue), mask: 0xffff_ffff))
        changeCount += 1
    }

    private func commitFields() {
        isDirty = false
        commit(Translator.etherFields)
        switch load16(FlowOffset.etherType) {
        // The field's switches take a header without a protocol for one that was not read.
        case Translator.etherTypeIPv4 where isNarrow && load8(FlowOffset.nwProto) == 0,
            Translator.etherTypeIPv6 where isNarrow && load8(FlowOffset.nwProto) == 0:
            break
        case Translator.etherTypeIPv4:
            commit(Translator.ipv4Fields)
            commitTransport()
        case Translator.etherTypeIPv6:
            commit(Translator.ipv6Fields)
            commitTransport()
        case Translator.etherTypeARP, Translator.etherTypeRARP:
            if isNarrow {
                lookBytes(FlowOffset.nwProto, 1)
                if load8(FlowOffset.nwProto) == 0 { break }
            }
            commit(Translator.arpFields)
        case let type where Translator.isMPLS(type): commit(Translator.mplsFields)
        case Translator.etherTypeNSH: commit(Translator.nshFields)
        case Translator.etherTypePBB: commit(Translator.pbbFields)
        default: break
        }
        commit(Translator.metadataFields)
        dirty.pointee = FlowMask()
    }

    private func commitTransport() {
        switch (load8(FlowOffset.nwProto), load16(FlowOffset.etherType)) {
        case (6, _): commit(Translator.tcpFields)
        case (17, _): commit(Translator.udpFields)
        case (132, _): commit(Translator.sctpFields)
        case (1, Translator.etherTypeIPv4): commit(Translator.icmpFields)
        case (58, Translator.etherTypeIPv6): commit(Translator.icmpv6Fields)
        default: break
        }
    }

    private func commit(_ fields: [Field]) {
        for field in fields {
            let bits = RawField.load(dirty, field)
            if bits == 0 { continue }
            RawField.store(dirty, field, 0, mask: .max)
            let value = RawField.load(key, field) & bits
            // What is known to be so already need not be done.
            let known = RawField.load(looked, field) | RawField.load(committed, field)
            if bits & ~known == 0, RawField.load(base, field) & bits == value { continue }
            actions.append(.set(field, value: value, mask: bits))
            changeCount += 1
            if Translator.slowFields.contains(field) { isSlow = true }
            RawField.store(base, field, value, mask: bits)
            RawField.store(committed, field, .max, mask: bits)
        }
    }
}
