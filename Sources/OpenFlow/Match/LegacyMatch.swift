// The fixed matches of OpenFlow 1.0 (`ofp_match`, 40 bytes) and 1.1 (`ofp_match` of type OFPMT_STANDARD, 88 bytes).
//
// What a field means depends on others: a wild EtherType makes addresses mean nothing. Such leftovers are dropped when
// reading, as the field's switches do, so that the same flow written in different ways is one flow.

internal import Flow

enum LegacyMatch {
    static let byteCount10 = 40
    static let byteCount11 = 88
    /// All bits of 1.0's `wildcards` (`OFPFW_ALL`).
    static let wildcards10: UInt32 = 0x3f_ffff

    /// Bits of `wildcards` that both versions share, and 1.0's own.
    private enum Wild {
        static let inPort: UInt32 = 1 << 0
        static let vlanID: UInt32 = 1 << 1
        static let ethSrc: UInt32 = 1 << 2
        static let ethDst: UInt32 = 1 << 3
        static let etherType10: UInt32 = 1 << 4
        static let nwProto10: UInt32 = 1 << 5
        static let tpSrc10: UInt32 = 1 << 6
        static let tpDst10: UInt32 = 1 << 7
        static let vlanPriority10: UInt32 = 1 << 20
        static let nwTOS10: UInt32 = 1 << 21
        static let vlanPriority11: UInt32 = 1 << 2
        static let etherType11: UInt32 = 1 << 3
        static let nwTOS11: UInt32 = 1 << 4
        static let nwProto11: UInt32 = 1 << 5
        static let tpSrc11: UInt32 = 1 << 6
        static let tpDst11: UInt32 = 1 << 7
        static let mplsLabel11: UInt32 = 1 << 8
        static let mplsTC11: UInt32 = 1 << 9
    }

    // MARK: 1.0

    static func decode10(_ reader: inout ByteReader) throws(OpenFlowError) -> Match {
        try reader.require(byteCount10)
        let wild = try reader.u32()
        let inPort = OpenFlowPort(wire16: try reader.u16())
        let ethSrc = try reader.ethernetAddress()
        let ethDst = try reader.ethernetAddress()
        let vlan = try reader.u16()
        let priority = try reader.u8()
        try reader.skip(1)
        let etherType = try reader.u16()
        let tos = try reader.u8()
        let proto = try reader.u8()
        try reader.skip(2)
        let source = try reader.u32()
        let destination = try reader.u32()
        let tpSrc = try reader.u16()
        let tpDst = try reader.u16()

        var match = Match()
        if wild & Wild.inPort == 0 { match.set(.inPort, UInt128(inPort.rawValue)) }
        if wild & Wild.ethSrc == 0 { match.set(.ethSrc, UInt128(ethSrc)) }
        if wild & Wild.ethDst == 0 { match.set(.ethDst, UInt128(ethDst)) }
        setVLAN(
            &match, id: wild & Wild.vlanID == 0 ? vlan : nil, idMask: 0xfff, priority: wild & Wild.vlanPriority10 == 0 ? priority : nil,
            none: 0xffff)
        if wild & Wild.etherType10 == 0 { match.set(.ethType, UInt128(etherType)) }
        // The field counts wildcarded low bits; 32 and more is all.
        let sourceBits = min(32, wild >> 8 & 0x3f)
        let destinationBits = min(32, wild >> 14 & 0x3f)
        setNetwork(
            &match, tos: wild & Wild.nwTOS10 == 0 ? tos : nil, proto: wild & Wild.nwProto10 == 0 ? proto : nil, source: source,
            sourceMask: sourceBits == 32 ? 0 : .max << sourceBits, destination: destination,
            destinationMask: destinationBits == 32 ? 0 : .max << destinationBits, tpSrc: wild & Wild.tpSrc10 == 0 ? tpSrc : nil,
            tpDst: wild & Wild.tpDst10 == 0 ? tpDst : nil)
        return match
    }

    static func encode10(_ match: Match, to writer: inout ByteWriter) {
        let fields = Fields(match)
        var wild: UInt32 = 0
        if !fields.hasInPort { wild |= Wild.inPort }
        if fields.ethSrcMask != 0xffff_ffff_ffff { wild |= Wild.ethSrc }
        if fields.ethDstMask != 0xffff_ffff_ffff { wild |= Wild.ethDst }
        if fields.etherType == nil { wild |= Wild.etherType10 }
        if fields.proto == nil { wild |= Wild.nwProto10 }
        if fields.tos == nil { wild |= Wild.nwTOS10 }
        if fields.tpSrc == nil || fields.tpSrcMask != 0xffff { wild |= Wild.tpSrc10 }
        if fields.tpDst == nil || fields.tpDstMask != 0xffff { wild |= Wild.tpDst10 }
        if fields.vlanID == nil { wild |= Wild.vlanID }
        if fields.vlanPriority == nil { wild |= Wild.vlanPriority10 }
        wild |= UInt32(fields.sourceMask.trailingZeroBitCount) << 8
        wild |= UInt32(fields.destinationMask.trailingZeroBitCount) << 14
        writer.u32(wild)
        writer.u16(fields.hasInPort ? fields.inPort.wire16 : 0)
        writer.ethernetAddress(wild & Wild.ethSrc == 0 ? fields.ethSrc : 0)
        writer.ethernetAddress(wild & Wild.ethDst == 0 ? fields.ethDst : 0)
        writer.u16(fields.vlanID.map { $0 == Fields.untagged ? 0xffff : $0 } ?? 0)
        writer.u8(fields.vlanPriority ?? 0)
        writer.u8(0)
        writer.u16(fields.etherType ?? 0)
        writer.u8(fields.tos ?? 0)
        writer.u8(fields.proto ?? 0)
        writer.u16(0)
        writer.u32(fields.source & fields.sourceMask)
        writer.u32(fields.destination & fields.destinationMask)
        writer.u16(wild & Wild.tpSrc10 == 0 ? fields.tpSrc ?? 0 : 0)
        writer.u16(wild & Wild.tpDst10 == 0 ? fields.tpDst ?? 0 : 0)
    }

    // MARK: 1.1

    static func decode11(_ reader: inout ByteReader) throws(OpenFlowError) -> Match {
        let type = try reader.u16()
        guard type == 0 else { throw OpenFlowError(.bmcBadType, "match type \(type) is not OFPMT_STANDARD (0)") }
        let length = try reader.u16()
        guard length == byteCount11 else { throw OpenFlowError(.bmcBadLen, "match length \(length) is not \(byteCount11)") }
        try reader.require(byteCount11 - 4)
        let inPort = OpenFlowPort(try reader.u32())
        let wild = try reader.u32()
        let ethSrc = try reader.ethernetAddress()
        let ethSrcMask = ~(try reader.ethernetAddress()) & 0xffff_ffff_ffff
        let ethDst = try reader.ethernetAddress()
        let ethDstMask = ~(try reader.ethernetAddress()) & 0xffff_ffff_ffff
        let vlan = try reader.u16()
        let priority = try reader.u8()
        try reader.skip(1)
        let etherType = try reader.u16()
        let tos = try reader.u8()
        let proto = try reader.u8()
        let source = try reader.u32()
        let sourceMask = ~(try reader.u32())
        let destination = try reader.u32()
        let destinationMask = ~(try reader.u32())
        let tpSrc = try reader.u16()
        let tpDst = try reader.u16()
        let label = try reader.u32()
        let trafficClass = try reader.u8()
        try reader.skip(3)
        let metadata = try reader.u64()
        let metadataMask = ~(try reader.u64())

        var match = Match()
        if wild & Wild.inPort == 0 {
            guard inPort.isEncodable else { throw OpenFlowError(.brcBadPort, "in_port \(inPort.rawValue) is not a port") }
            match.set(.inPort, UInt128(inPort.rawValue))
        }
        match.set(.ethSrc, UInt128(ethSrc), mask: UInt128(ethSrcMask))
        match.set(.ethDst, UInt128(ethDst), mask: UInt128(ethDstMask))
        if wild & Wild.vlanID == 0, vlan == 0xfffe {
            // Any tag.
            let hasPriority = wild & Wild.vlanPriority11 == 0
            match.set(.vlanTCI, 0x1000 | UInt128(hasPriority ? priority & 7 : 0) << 13, mask: hasPriority ? 0xf000 : 0x1000)
        } else {
            if wild & Wild.vlanID == 0, vlan != 0xffff, vlan > 0xfff { throw OpenFlowError(.bmcBadValue, "dl_vlan=\(vlan) is above 4095") }
            setVLAN(
                &match, id: wild & Wild.vlanID == 0 ? vlan : nil, idMask: 0xfff,
                priority: wild & Wild.vlanPriority11 == 0 ? priority : nil, none: 0xffff)
        }
        if wild & Wild.etherType11 == 0 { match.set(.ethType, UInt128(etherType)) }
        setNetwork(
            &match, tos: wild & Wild.nwTOS11 == 0 ? tos << 2 : nil, proto: wild & Wild.nwProto11 == 0 ? proto : nil, source: source,
            sourceMask: sourceMask, destination: destination, destinationMask: destinationMask,
            tpSrc: wild & Wild.tpSrc11 == 0 ? tpSrc : nil, tpDst: wild & Wild.tpDst11 == 0 ? tpDst : nil)
        if match.satisfies(.mpls) {
            if wild & Wild.mplsLabel11 == 0 { match.set(.mplsLabel, UInt128(label & 0xfffff)) }
            if wild & Wild.mplsTC11 == 0 { match.set(.mplsTC, UInt128(trafficClass & 7)) }
        }
        match.set(.metadata, UInt128(metadata), mask: UInt128(metadataMask))
        return match
    }

    static func encode11(_ match: Match, to writer: inout ByteWriter) {
        let fields = Fields(match)
        let label = match.get(.mplsLabel)
        let trafficClass = match.get(.mplsTC)
        let metadata = match.get(.metadata)
        let tci = match.get(.vlanTCI)
        // A tag with no id asked for is "any tag".
        let isAnyTag = fields.vlanID == nil && tci.mask & 0x1000 != 0 && tci.value & 0x1000 != 0
        var wild: UInt32 = 0
        if !fields.hasInPort { wild |= Wild.inPort }
        if fields.vlanID == nil, !isAnyTag { wild |= Wild.vlanID }
        if fields.vlanPriority == nil { wild |= Wild.vlanPriority11 }
        if fields.etherType == nil { wild |= Wild.etherType11 }
        if fields.tos == nil { wild |= Wild.nwTOS11 }
        if fields.proto == nil { wild |= Wild.nwProto11 }
        if fields.tpSrc == nil || fields.tpSrcMask != 0xffff { wild |= Wild.tpSrc11 }
        if fields.tpDst == nil || fields.tpDstMask != 0xffff { wild |= Wild.tpDst11 }
        if label.mask == 0 { wild |= Wild.mplsLabel11 }
        if trafficClass.mask == 0 { wild |= Wild.mplsTC11 }
        writer.u16(0)
        writer.u16(UInt16(byteCount11))
        writer.u32(fields.hasInPort ? fields.inPort.rawValue : 0)
        writer.u32(wild)
        writer.ethernetAddress(fields.ethSrc)
        writer.ethernetAddress(~fields.ethSrcMask & 0xffff_ffff_ffff)
        writer.ethernetAddress(fields.ethDst)
        writer.ethernetAddress(~fields.ethDstMask & 0xffff_ffff_ffff)
        writer.u16(isAnyTag ? 0xfffe : fields.vlanID.map { $0 == Fields.untagged ? 0xffff : $0 } ?? 0)
        writer.u8(fields.vlanPriority ?? 0)
        writer.u8(0)
        writer.u16(fields.etherType ?? 0)
        writer.u8((fields.tos ?? 0) >> 2)
        writer.u8(fields.proto ?? 0)
        writer.u32(fields.source)
        writer.u32(~fields.sourceMask)
        writer.u32(fields.destination)
        writer.u32(~fields.destinationMask)
        writer.u16(wild & Wild.tpSrc11 == 0 ? fields.tpSrc ?? 0 : 0)
        writer.u16(wild & Wild.tpDst11 == 0 ? fields.tpDst ?? 0 : 0)
        writer.u32(UInt32(label.value))
        writer.u8(UInt8(trafficClass.value))
        writer.zeros(3)
        writer.u64(UInt64(metadata.value))
        writer.u64(~UInt64(metadata.mask))
    }

    // MARK: Shared

    private static func setVLAN(_ match: inout Match, id: UInt16?, idMask: UInt16, priority: UInt8?, none: UInt16) {
        if id == none {
            match.set(.vlanTCI, 0)
            return
        }
        if id == nil, priority == nil { return }
        var value: UInt128 = 0x1000
        var mask: UInt128 = 0x1000
        if let id {
            value |= UInt128(id & idMask)
            mask |= 0xfff
        }
        if let priority {
            value |= UInt128(priority & 7) << 13
            mask |= 0xe000
        }
        match.set(.vlanTCI, value, mask: mask)
    }

    private static func setNetwork(
        _ match: inout Match, tos: UInt8?, proto: UInt8?, source: UInt32, sourceMask: UInt32, destination: UInt32,
        destinationMask: UInt32, tpSrc: UInt16?, tpDst: UInt16?
    ) {
        if match.satisfies(.arp) {
            if let proto { match.set(.arpOp, UInt128(proto)) }
            match.set(.arpSPA, UInt128(source), mask: UInt128(sourceMask))
            match.set(.arpTPA, UInt128(destination), mask: UInt128(destinationMask))
            return
        }
        guard match.satisfies(.ip) else { return }
        if let tos { match.set(.ipDSCP, UInt128(tos >> 2)) }
        if let proto { match.set(.nwProto, UInt128(proto)) }
        if match.satisfies(.ipv4) {
            match.set(.nwSrc, UInt128(source), mask: UInt128(sourceMask))
            match.set(.nwDst, UInt128(destination), mask: UInt128(destinationMask))
        }
        let fields: (Field, Field)? =
            switch match.requiredIPProtocol {
            case 6: (.tcpSrc, .tcpDst)
            case 17: (.udpSrc, .udpDst)
            case 132: (.sctpSrc, .sctpDst)
            case 1 where match.satisfies(.icmpv4): (.icmpType, .icmpCode)
            case 58 where match.satisfies(.icmpv6): (.icmpv6Type, .icmpv6Code)
            default: nil
            }
        guard let fields else { return }
        if let tpSrc { match.set(fields.0, UInt128(tpSrc)) }
        if let tpDst { match.set(fields.1, UInt128(tpDst)) }
    }

    /// A match's fields as the fixed forms want them.
    private struct Fields {
        static let untagged: UInt16 = 0xffff
        var hasInPort: Bool
        var inPort: OpenFlowPort
        var ethSrc: UInt64
        var ethSrcMask: UInt64
        var ethDst: UInt64
        var ethDstMask: UInt64
        /// `untagged`, an id, or nil if wild.
        var vlanID: UInt16?
        var vlanPriority: UInt8?
        var etherType: UInt16?
        var tos: UInt8?
        var proto: UInt8?
        var source: UInt32 = 0
        var sourceMask: UInt32 = 0
        var destination: UInt32 = 0
        var destinationMask: UInt32 = 0
        var tpSrc: UInt16?
        var tpSrcMask: UInt16 = 0xffff
        var tpDst: UInt16?
        var tpDstMask: UInt16 = 0xffff

        init(_ match: Match) {
            let port = match.get(.inPort)
            hasInPort = port.mask != 0
            inPort = OpenFlowPort(UInt32(port.value))
            ethSrc = UInt64(match.get(.ethSrc).value)
            ethSrcMask = UInt64(match.get(.ethSrc).mask)
            ethDst = UInt64(match.get(.ethDst).value)
            ethDstMask = UInt64(match.get(.ethDst).mask)
            let (tci, tciMask) = match.get(.vlanTCI)
            if tciMask & 0x1000 != 0, tci & 0x1000 == 0 {
                vlanID = Fields.untagged
            } else {
                if tciMask & 0xfff == 0xfff { vlanID = UInt16(tci & 0xfff) }
                if tciMask & 0xe000 == 0xe000 { vlanPriority = UInt8(tci >> 13) }
            }
            etherType = match.requiredEtherType
            let isARP = match.satisfies(.arp)
            if match.satisfies(.ip), match.get(.ipDSCP).mask == 0x3f { tos = UInt8(match.get(.ipDSCP).value << 2) }
            if isARP || match.satisfies(.ip), match.get(.nwProto).mask == 0xff { proto = UInt8(match.get(.nwProto).value) }
            if isARP || match.satisfies(.ipv4) {
                source = UInt32(match.get(.nwSrc).value)
                sourceMask = UInt32(match.get(.nwSrc).mask)
                destination = UInt32(match.get(.nwDst).value)
                destinationMask = UInt32(match.get(.nwDst).mask)
            }
            switch match.requiredIPProtocol {
            case 6, 17, 132:
                (tpSrc, tpSrcMask) = Fields.port(match.get(.tcpSrc))
                (tpDst, tpDstMask) = Fields.port(match.get(.tcpDst))
            case 1 where match.satisfies(.icmpv4), 58 where match.satisfies(.icmpv6):
                if match.get(.icmpType).mask == 0xff { tpSrc = UInt16(match.get(.icmpType).value) }
                if match.get(.icmpCode).mask == 0xff { tpDst = UInt16(match.get(.icmpCode).value) }
            default: break
            }
        }

        private static func port(_ field: (value: UInt128, mask: UInt128)) -> (UInt16?, UInt16) {
            field.mask == 0 ? (nil, 0xffff) : (UInt16(field.value), UInt16(field.mask))
        }
    }
}
