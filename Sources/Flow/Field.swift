// The registry of match fields: one line a field, and nothing else in the project knows these facts (a field's place in
// `FlowKey` and its width are in `Field+Layout.swift`).
//
// A line gives the name (`ovs-fields(7)`'s), other names the field's tools accept, whether matches may mask it and actions may write it, what must be matched first (`Prerequisite`), its NXM and
// OXM numbers, and how it is printed. OpenFlow 1.5 section 7.2.3 for OXM; the Nicira extensions for NXM.

/// A match field.
public enum Field: UInt8, CaseIterable, Hashable, Sendable {
    case inPort, metadata, packetType, actsetOutput, conjID, dpHash, recircID, skbPriority, pktMark, datapathInPort, tunID
    case tunSrc, tunDst, tunIPv6Src, tunIPv6Dst, tunFlags, tunTTL, tunTOS, tunGBPID, tunGBPFlags, ctState, ctZone, ctMark
    case ctLabel, ctNWProto, ctNWSrc, ctNWDst, ctIPv6Src, ctIPv6Dst, ctTPSrc, ctTPDst, reg0, reg1, reg2, reg3, reg4, reg5, reg6
    case reg7, reg8, reg9, reg10, reg11, reg12, reg13, reg14, reg15
    case reg16, reg17, reg18, reg19, reg20, reg21, reg22, reg23, reg24, reg25, reg26, reg27, reg28, reg29, reg30, reg31
    case xreg0, xreg1, xreg2, xreg3, xreg4, xreg5, xreg6, xreg7, xreg8, xreg9, xreg10, xreg11, xreg12, xreg13, xreg14, xreg15
    case xxreg0, xxreg1, xxreg2, xxreg3, xxreg4, xxreg5, xxreg6, xxreg7, ethSrc, ethDst, ethType, vlanTCI, vlanVID, vlanVID12, vlanPCP,
        pbbISID, pbbUCA
    case mplsLabel, mplsTC, mplsBOS, mplsTTL, nwSrc, nwDst, ipv6Src, ipv6Dst, ipv6Label, ipv6ExtensionHeaders, nwProto, nwTOS
    case ipDSCP, nwECN, nwTTL, ipFrag, arpOp, arpSPA, arpTPA, arpSHA, arpTHA, tcpSrc, tcpDst, udpSrc, udpDst, sctpSrc, sctpDst
    case tcpFlags, icmpType, icmpCode, icmpv6Type, icmpv6Code, ndTarget, ndSLL, ndTLL, ndReserved, ndOptionsType, nshFlags
    case nshTTL, nshMDType, nshNP, nshSPI, nshSI, nshC1, nshC2, nshC3, nshC4
}

/// What a match must already say before a field may be matched (OpenFlow 1.5 section 7.2.3.6).
public enum Prerequisite: Sendable {
    case none, vlan, pbb, mpls, ipv4, ipv6, ip, arp, tcp, udp, sctp, icmpv4, icmpv6, nd, ndSolicit, ndAdvert, nsh
}

/// How a field's value is written in text.
public enum FieldFormat: Sendable {
    case decimal, hex, mac, ipv4, ipv6, port, frag, tcpFlags
}

/// A field's number in one of the match classes: NXM_OF (0x0000), NXM_NX (0x0001), OpenFlow basic (0x8000),
/// packet registers (0x8001), ONF experimenter (0xffff with 0x4f4e4600), Nicira experimenter (0xffff with 0x00002320).
public enum FieldNumber: Hashable, Sendable {
    case nxmOF(UInt8), nxmNX(UInt8), oxm(UInt8), packetRegister(UInt8), onf(UInt8), nicira(UInt8)
}

/// A field's place in a key: bits `shift ..< shift + bits` of the big-endian integer of `byteCount` bytes at `byteOffset`.
public struct FieldLayout: Sendable {
    public var byteOffset: Int
    public var byteCount: Int
    public var shift: Int
    public var bits: Int
    /// `bits` ones, right-aligned.
    @inlinable public var allOnes: UInt128 { bits == 128 ? .max : (1 << UInt128(bits)) - 1 }
    @inlinable public init(byteOffset: Int, byteCount: Int, shift: Int, bits: Int) {
        self.byteOffset = byteOffset
        self.byteCount = byteCount
        self.shift = shift
        self.bits = bits
    }
}

/// Everything known of a field.
public struct FieldInfo: Sendable {
    public var field: Field
    public var name: String
    public var aliases: [String]
    public var layout: FieldLayout
    public var isMaskable: Bool
    public var isWritable: Bool
    public var prerequisite: Prerequisite
    public var nxm: FieldNumber?
    public var oxm: FieldNumber?
    public var format: FieldFormat
}

extension Field {
    public var info: FieldInfo { Field.registry[Int(rawValue)] }
    public var name: String { info.name }

    /// The fields by name and alias.
    public static let byName: [String: Field] = {
        var result: [String: Field] = [:]
        for info in registry {
            for name in [info.name] + info.aliases { result[name] = info.field }
        }
        return result
    }()

    /// One entry for each field, in the order of the cases.
    public static let registry: [FieldInfo] = [
        entry(.inPort, "in_port", [], mask: false, write: true, nil, .oxm(0), .port),
        entry(.metadata, "metadata", [], mask: true, write: true, nil, .oxm(2), .hex),
        entry(.packetType, "packet_type", [], mask: false, write: false, nil, .oxm(44), .hex),
        entry(.actsetOutput, "actset_output", [], mask: false, write: false, nil, .onf(43), .port),
        entry(.conjID, "conj_id", [], mask: false, write: false, .nxmNX(37), nil, .decimal),
        entry(.dpHash, "dp_hash", [], mask: true, write: false, .nxmNX(35), nil, .hex),
        entry(.recircID, "recirc_id", [], mask: false, write: false, .nxmNX(36), nil, .hex),
        entry(.skbPriority, "skb_priority", [], mask: false, write: false, nil, nil, .hex),
        entry(.pktMark, "pkt_mark", [], mask: true, write: true, .nxmNX(33), nil, .hex),
        entry(.datapathInPort, "dp_in_port", [], mask: false, write: false, nil, nil, .decimal),
        entry(.tunID, "tun_id", ["tunnel_id"], mask: true, write: true, .nxmNX(16), .oxm(38), .hex),
        entry(.tunSrc, "tun_src", [], mask: true, write: true, .nxmNX(31), nil, .ipv4),
        entry(.tunDst, "tun_dst", [], mask: true, write: true, .nxmNX(32), nil, .ipv4),
        entry(.tunIPv6Src, "tun_ipv6_src", [], mask: true, write: true, .nxmNX(109), nil, .ipv6),
        entry(.tunIPv6Dst, "tun_ipv6_dst", [], mask: true, write: true, .nxmNX(110), nil, .ipv6),
        entry(.tunFlags, "tun_flags", [], mask: true, write: true, .nxmNX(104), nil, .hex),
        entry(.tunTTL, "tun_ttl", [], mask: false, write: false, nil, nil, .decimal),
        entry(.tunTOS, "tun_tos", [], mask: false, write: false, nil, nil, .hex),
        entry(.tunGBPID, "tun_gbp_id", [], mask: true, write: true, .nxmNX(38), nil, .decimal),
        entry(.tunGBPFlags, "tun_gbp_flags", [], mask: true, write: true, .nxmNX(39), nil, .hex),
        entry(.ctState, "ct_state", [], mask: true, write: false, .nxmNX(105), nil, .hex),
        entry(.ctZone, "ct_zone", [], mask: false, write: false, .nxmNX(106), nil, .decimal),
        entry(.ctMark, "ct_mark", [], mask: true, write: true, .nxmNX(107), nil, .hex),
        entry(.ctLabel, "ct_label", [], mask: true, write: true, .nxmNX(108), nil, .hex),
        entry(.ctNWProto, "ct_nw_proto", [], mask: false, write: false, .nxmNX(119), nil, .decimal),
        entry(.ctNWSrc, "ct_nw_src", [], mask: true, write: false, .nxmNX(120), nil, .ipv4),
        entry(.ctNWDst, "ct_nw_dst", [], mask: true, write: false, .nxmNX(121), nil, .ipv4),
        entry(.ctIPv6Src, "ct_ipv6_src", [], mask: true, write: false, .nxmNX(122), nil, .ipv6),
        entry(.ctIPv6Dst, "ct_ipv6_dst", [], mask: true, write: false, .nxmNX(123), nil, .ipv6),
        entry(.ctTPSrc, "ct_tp_src", [], mask: true, write: false, .nxmNX(124), nil, .decimal),
        entry(.ctTPDst, "ct_tp_dst", [], mask: true, write: false, .nxmNX(125), nil, .decimal),
        entry(.reg0, "reg0", [], mask: true, write: true, .nxmNX(0), nil, .hex),
        entry(.reg1, "reg1", [], mask: true, write: true, .nxmNX(1), nil, .hex),
        entry(.reg2, "reg2", [], mask: true, write: true, .nxmNX(2), nil, .hex),
        entry(.reg3, "reg3", [], mask: true, write: true, .nxmNX(3), nil, .hex),
        entry(.reg4, "reg4", [], mask: true, write: true, .nxmNX(4), nil, .hex),
        entry(.reg5, "reg5", [], mask: true, write: true, .nxmNX(5), nil, .hex),
        entry(.reg6, "reg6", [], mask: true, write: true, .nxmNX(6), nil, .hex),
        entry(.reg7, "reg7", [], mask: true, write: true, .nxmNX(7), nil, .hex),
        entry(.reg8, "reg8", [], mask: true, write: true, .nxmNX(8), nil, .hex),
        entry(.reg9, "reg9", [], mask: true, write: true, .nxmNX(9), nil, .hex),
        entry(.reg10, "reg10", [], mask: true, write: true, .nxmNX(10), nil, .hex),
        entry(.reg11, "reg11", [], mask: true, write: true, .nxmNX(11), nil, .hex),
        entry(.reg12, "reg12", [], mask: true, write: true, .nxmNX(12), nil, .hex),
        entry(.reg13, "reg13", [], mask: true, write: true, .nxmNX(13), nil, .hex),
        entry(.reg14, "reg14", [], mask: true, write: true, .nxmNX(14), nil, .hex),
        entry(.reg15, "reg15", [], mask: true, write: true, .nxmNX(15), nil, .hex),
        entry(.reg16, "reg16", [], mask: true, write: true, nil, .nicira(17), .hex),
        entry(.reg17, "reg17", [], mask: true, write: true, nil, .nicira(18), .hex),
        entry(.reg18, "reg18", [], mask: true, write: true, nil, .nicira(19), .hex),
        entry(.reg19, "reg19", [], mask: true, write: true, nil, .nicira(20), .hex),
        entry(.reg20, "reg20", [], mask: true, write: true, nil, .nicira(21), .hex),
        entry(.reg21, "reg21", [], mask: true, write: true, nil, .nicira(22), .hex),
        entry(.reg22, "reg22", [], mask: true, write: true, nil, .nicira(23), .hex),
        entry(.reg23, "reg23", [], mask: true, write: true, nil, .nicira(24), .hex),
        entry(.reg24, "reg24", [], mask: true, write: true, nil, .nicira(25), .hex),
        entry(.reg25, "reg25", [], mask: true, write: true, nil, .nicira(26), .hex),
        entry(.reg26, "reg26", [], mask: true, write: true, nil, .nicira(27), .hex),
        entry(.reg27, "reg27", [], mask: true, write: true, nil, .nicira(28), .hex),
        entry(.reg28, "reg28", [], mask: true, write: true, nil, .nicira(29), .hex),
        entry(.reg29, "reg29", [], mask: true, write: true, nil, .nicira(30), .hex),
        entry(.reg30, "reg30", [], mask: true, write: true, nil, .nicira(31), .hex),
        entry(.reg31, "reg31", [], mask: true, write: true, nil, .nicira(32), .hex),
        entry(.xreg0, "xreg0", [], mask: true, write: true, nil, .packetRegister(0), .hex),
        entry(.xreg1, "xreg1", [], mask: true, write: true, nil, .packetRegister(1), .hex),
        entry(.xreg2, "xreg2", [], mask: true, write: true, nil, .packetRegister(2), .hex),
        entry(.xreg3, "xreg3", [], mask: true, write: true, nil, .packetRegister(3), .hex),
        entry(.xreg4, "xreg4", [], mask: true, write: true, nil, .packetRegister(4), .hex),
        entry(.xreg5, "xreg5", [], mask: true, write: true, nil, .packetRegister(5), .hex),
        entry(.xreg6, "xreg6", [], mask: true, write: true, nil, .packetRegister(6), .hex),
        entry(.xreg7, "xreg7", [], mask: true, write: true, nil, .packetRegister(7), .hex),
        entry(.xreg8, "xreg8", [], mask: true, write: true, nil, .packetRegister(8), .hex),
        entry(.xreg9, "xreg9", [], mask: true, write: true, nil, .packetRegister(9), .hex),
        entry(.xreg10, "xreg10", [], mask: true, write: true, nil, .packetRegister(10), .hex),
        entry(.xreg11, "xreg11", [], mask: true, write: true, nil, .packetRegister(11), .hex),
        entry(.xreg12, "xreg12", [], mask: true, write: true, nil, .packetRegister(12), .hex),
        entry(.xreg13, "xreg13", [], mask: true, write: true, nil, .packetRegister(13), .hex),
        entry(.xreg14, "xreg14", [], mask: true, write: true, nil, .packetRegister(14), .hex),
        entry(.xreg15, "xreg15", [], mask: true, write: true, nil, .packetRegister(15), .hex),
        entry(.xxreg0, "xxreg0", [], mask: true, write: true, .nxmNX(111), nil, .hex),
        entry(.xxreg1, "xxreg1", [], mask: true, write: true, .nxmNX(112), nil, .hex),
        entry(.xxreg2, "xxreg2", [], mask: true, write: true, .nxmNX(113), nil, .hex),
        entry(.xxreg3, "xxreg3", [], mask: true, write: true, .nxmNX(114), nil, .hex),
        entry(.xxreg4, "xxreg4", [], mask: true, write: true, nil, .nicira(33), .hex),
        entry(.xxreg5, "xxreg5", [], mask: true, write: true, nil, .nicira(34), .hex),
        entry(.xxreg6, "xxreg6", [], mask: true, write: true, nil, .nicira(35), .hex),
        entry(.xxreg7, "xxreg7", [], mask: true, write: true, nil, .nicira(36), .hex),
        entry(.ethSrc, "eth_src", ["dl_src"], mask: true, write: true, .nxmOF(2), .oxm(4), .mac),
        entry(.ethDst, "eth_dst", ["dl_dst"], mask: true, write: true, .nxmOF(1), .oxm(3), .mac),
        entry(.ethType, "eth_type", ["dl_type"], mask: false, write: true, .nxmOF(3), .oxm(5), .hex),
        entry(.vlanTCI, "vlan_tci", [], mask: true, write: true, .nxmOF(4), nil, .hex),
        entry(.vlanVID, "vlan_vid", [], mask: true, write: true, nil, .oxm(6), .hex),
        entry(.vlanVID12, "dl_vlan", [], mask: false, write: true, nil, nil, .decimal),
        entry(.vlanPCP, "vlan_pcp", ["dl_vlan_pcp"], mask: false, write: true, nil, .oxm(7), .decimal),
        entry(.pbbISID, "pbb_isid", [], mask: true, write: true, nil, .oxm(37), .hex),
        entry(.pbbUCA, "pbb_uca", [], mask: false, write: true, nil, .oxm(41), .hex),
        entry(.mplsLabel, "mpls_label", [], mask: false, write: true, nil, .oxm(34), .decimal),
        entry(.mplsTC, "mpls_tc", [], mask: false, write: true, nil, .oxm(35), .decimal),
        entry(.mplsBOS, "mpls_bos", [], mask: false, write: true, nil, .oxm(36), .decimal),
        entry(.mplsTTL, "mpls_ttl", [], mask: false, write: true, .nxmNX(30), nil, .decimal),
        entry(.nwSrc, "ip_src", ["nw_src", "ipv4_src"], mask: true, write: true, .nxmOF(7), .oxm(11), .ipv4),
        entry(.nwDst, "ip_dst", ["nw_dst", "ipv4_dst"], mask: true, write: true, .nxmOF(8), .oxm(12), .ipv4),
        entry(.ipv6Src, "ipv6_src", [], mask: true, write: true, .nxmNX(19), .oxm(26), .ipv6),
        entry(.ipv6Dst, "ipv6_dst", [], mask: true, write: true, .nxmNX(20), .oxm(27), .ipv6),
        entry(.ipv6Label, "ipv6_label", [], mask: true, write: true, .nxmNX(27), .oxm(28), .hex),
        entry(.ipv6ExtensionHeaders, "ipv6_exthdr", [], mask: true, write: false, nil, .oxm(39), .hex),
        entry(.nwProto, "nw_proto", ["ip_proto"], mask: false, write: true, .nxmOF(6), .oxm(10), .decimal),
        entry(.nwTOS, "nw_tos", [], mask: false, write: true, .nxmOF(5), nil, .decimal),
        entry(.ipDSCP, "ip_dscp", [], mask: false, write: true, nil, .oxm(8), .decimal),
        entry(.nwECN, "nw_ecn", ["ip_ecn"], mask: false, write: true, .nxmNX(28), .oxm(9), .decimal),
        entry(.nwTTL, "nw_ttl", [], mask: false, write: true, .nxmNX(29), nil, .decimal),
        entry(.ipFrag, "ip_frag", ["nw_frag"], mask: true, write: false, .nxmNX(26), nil, .frag),
        entry(.arpOp, "arp_op", [], mask: false, write: true, .nxmOF(15), .oxm(21), .decimal),
        entry(.arpSPA, "arp_spa", [], mask: true, write: true, .nxmOF(16), .oxm(22), .ipv4),
        entry(.arpTPA, "arp_tpa", [], mask: true, write: true, .nxmOF(17), .oxm(23), .ipv4),
        entry(.arpSHA, "arp_sha", [], mask: true, write: true, .nxmNX(17), .oxm(24), .mac),
        entry(.arpTHA, "arp_tha", [], mask: true, write: true, .nxmNX(18), .oxm(25), .mac),
        entry(.tcpSrc, "tcp_src", [], mask: true, write: true, .nxmOF(9), .oxm(13), .decimal),
        entry(.tcpDst, "tcp_dst", [], mask: true, write: true, .nxmOF(10), .oxm(14), .decimal),
        entry(.udpSrc, "udp_src", [], mask: true, write: true, .nxmOF(11), .oxm(15), .decimal),
        entry(.udpDst, "udp_dst", [], mask: true, write: true, .nxmOF(12), .oxm(16), .decimal),
        entry(.sctpSrc, "sctp_src", [], mask: true, write: true, nil, .oxm(17), .decimal),
        entry(.sctpDst, "sctp_dst", [], mask: true, write: true, nil, .oxm(18), .decimal),
        entry(.tcpFlags, "tcp_flags", [], mask: true, write: false, .nxmNX(34), .onf(42), .tcpFlags),
        entry(.icmpType, "icmp_type", [], mask: false, write: true, .nxmOF(13), .oxm(19), .decimal),
        entry(.icmpCode, "icmp_code", [], mask: false, write: true, .nxmOF(14), .oxm(20), .decimal),
        entry(.icmpv6Type, "icmpv6_type", [], mask: false, write: true, .nxmNX(21), .oxm(29), .decimal),
        entry(.icmpv6Code, "icmpv6_code", [], mask: false, write: true, .nxmNX(22), .oxm(30), .decimal),
        entry(.ndTarget, "nd_target", [], mask: true, write: true, .nxmNX(23), .oxm(31), .ipv6),
        entry(.ndSLL, "nd_sll", [], mask: true, write: true, .nxmNX(24), .oxm(32), .mac),
        entry(.ndTLL, "nd_tll", [], mask: true, write: true, .nxmNX(25), .oxm(33), .mac),
        entry(.ndReserved, "nd_reserved", [], mask: true, write: true, nil, nil, .hex),
        entry(.ndOptionsType, "nd_options_type", [], mask: false, write: true, nil, nil, .decimal),
        entry(.nshFlags, "nsh_flags", [], mask: true, write: true, nil, nil, .decimal),
        entry(.nshTTL, "nsh_ttl", [], mask: false, write: true, nil, nil, .decimal),
        entry(.nshMDType, "nsh_mdtype", [], mask: false, write: false, nil, nil, .decimal),
        entry(.nshNP, "nsh_np", [], mask: false, write: false, nil, nil, .decimal),
        entry(.nshSPI, "nsh_spi", [], mask: true, write: true, nil, nil, .hex),
        entry(.nshSI, "nsh_si", [], mask: true, write: true, nil, nil, .decimal),
        entry(.nshC1, "nsh_c1", [], mask: true, write: true, nil, nil, .hex),
        entry(.nshC2, "nsh_c2", [], mask: true, write: true, nil, nil, .hex),
        entry(.nshC3, "nsh_c3", [], mask: true, write: true, nil, nil, .hex),
        entry(.nshC4, "nsh_c4", [], mask: true, write: true, nil, nil, .hex),
    ]

    private static func entry(
        _ field: Field, _ name: String, _ aliases: [String], mask: Bool, write: Bool, _ nxm: FieldNumber?,
        _ oxm: FieldNumber?, _ format: FieldFormat
    ) -> FieldInfo {
        FieldInfo(
            field: field, name: name, aliases: aliases, layout: field.layout, isMaskable: mask, isWritable: write,
            prerequisite: field.prerequisite, nxm: nxm, oxm: oxm, format: format)
    }
}

extension Field {
    /// Whether the field is read from the packet's headers; else it goes through the pipeline beside the packet.
    public var isHeaderField: Bool { rawValue >= Field.ethSrc.rawValue }

    /// What a match must already say before this field may be matched.
    public var prerequisite: Prerequisite {
        switch self {
        case .vlanPCP: .vlan
        case .pbbISID, .pbbUCA: .pbb
        case .mplsLabel, .mplsTC, .mplsBOS, .mplsTTL: .mpls
        case .nwSrc, .nwDst: .ipv4
        case .ipv6Src, .ipv6Dst, .ipv6Label, .ipv6ExtensionHeaders: .ipv6
        case .nwProto, .nwTOS, .ipDSCP, .nwECN, .nwTTL, .ipFrag: .ip
        case .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA: .arp
        case .tcpSrc, .tcpDst, .tcpFlags: .tcp
        case .udpSrc, .udpDst: .udp
        case .sctpSrc, .sctpDst: .sctp
        case .icmpType, .icmpCode: .icmpv4
        case .icmpv6Type, .icmpv6Code: .icmpv6
        case .ndTarget, .ndReserved, .ndOptionsType: .nd
        case .ndSLL: .ndSolicit
        case .ndTLL: .ndAdvert
        case .nshFlags, .nshTTL, .nshMDType, .nshNP, .nshSPI, .nshSI, .nshC1, .nshC2, .nshC3, .nshC4: .nsh
        default: .none
        }
    }
}
