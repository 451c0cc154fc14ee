// The registry of match fields: one line a field, and nothing else in the project knows these facts.
//
// A line gives the name (`ovs-fields(7)`'s), other names the field's tools accept, its place in `FlowKey`, width in
// bits, whether matches may mask it and actions may write it, what must be matched first (`Prerequisite`), its NXM and
// OXM numbers, and how it is printed. OpenFlow 1.5 section 7.2.3 for OXM; the Nicira extensions for NXM.

/// A match field.
public enum Field: UInt8, CaseIterable, Hashable, Sendable {
    case inPort, metadata, packetType, actsetOutput, conjID, dpHash, recircID, skbPriority, pktMark, datapathInPort, tunID
    case tunSrc, tunDst, tunIPv6Src, tunIPv6Dst, tunFlags, tunTTL, tunTOS, tunGBPID, tunGBPFlags, ctState, ctZone, ctMark
    case ctLabel, ctNWProto, ctNWSrc, ctNWDst, ctIPv6Src, ctIPv6Dst, ctTPSrc, ctTPDst, reg0, reg1, reg2, reg3, reg4, reg5, reg6
    case reg7, reg8, reg9, reg10, reg11, reg12, reg13, reg14, reg15, xreg0, xreg1, xreg2, xreg3, xreg4, xreg5, xreg6, xreg7
    case xxreg0, xxreg1, xxreg2, xxreg3, ethSrc, ethDst, ethType, vlanTCI, vlanVID, vlanVID12, vlanPCP, pbbISID, pbbUCA
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
/// packet registers (0x8001), ONF experimenter (0xffff with 0x4f4e4600).
public enum FieldNumber: Hashable, Sendable {
    case nxmOF(UInt8), nxmNX(UInt8), oxm(UInt8), packetRegister(UInt8), onf(UInt8)
}

/// A field's place in a key: bits `shift ..< shift + bits` of the big-endian integer of `byteCount` bytes at `byteOffset`.
public struct FieldLayout: Sendable {
    public var byteOffset: Int
    public var byteCount: Int
    public var shift: Int
    public var bits: Int
    /// `bits` ones, right-aligned.
    public var allOnes: UInt128 { bits == 128 ? .max : (1 << UInt128(bits)) - 1 }
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
    public var layout: FieldLayout { Field.registry[Int(rawValue)].layout }
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
        entry(.inPort, "in_port", [], FlowOffset.inPort, 4, 0, 32, mask: false, write: true, .none, nil, .oxm(0), .port),
        entry(.metadata, "metadata", [], FlowOffset.metadata, 8, 0, 64, mask: true, write: true, .none, nil, .oxm(2), .hex),
        entry(.packetType, "packet_type", [], FlowOffset.packetType, 4, 0, 32, mask: false, write: false, .none, nil, .oxm(44), .hex),
        entry(.actsetOutput, "actset_output", [], FlowOffset.actsetOutput, 4, 0, 32, mask: false, write: false, .none, nil, .onf(43), .port),
        entry(.conjID, "conj_id", [], FlowOffset.conjID, 4, 0, 32, mask: false, write: false, .none, .nxmNX(37), nil, .decimal),
        entry(.dpHash, "dp_hash", [], FlowOffset.dpHash, 4, 0, 32, mask: true, write: false, .none, .nxmNX(35), nil, .hex),
        entry(.recircID, "recirc_id", [], FlowOffset.recircID, 4, 0, 32, mask: false, write: false, .none, .nxmNX(36), nil, .hex),
        entry(.skbPriority, "skb_priority", [], FlowOffset.skbPriority, 4, 0, 32, mask: false, write: false, .none, nil, nil, .hex),
        entry(.pktMark, "pkt_mark", [], FlowOffset.pktMark, 4, 0, 32, mask: true, write: true, .none, .nxmNX(33), nil, .hex),
        entry(.datapathInPort, "dp_in_port", [], FlowOffset.datapathInPort, 4, 0, 32, mask: false, write: false, .none, nil, nil, .decimal),
        entry(.tunID, "tun_id", ["tunnel_id"], FlowOffset.tunID, 8, 0, 64, mask: true, write: true, .none, .nxmNX(16), .oxm(38), .hex),
        entry(.tunSrc, "tun_src", [], FlowOffset.tunSrc, 4, 0, 32, mask: true, write: true, .none, .nxmNX(31), nil, .ipv4),
        entry(.tunDst, "tun_dst", [], FlowOffset.tunDst, 4, 0, 32, mask: true, write: true, .none, .nxmNX(32), nil, .ipv4),
        entry(.tunIPv6Src, "tun_ipv6_src", [], FlowOffset.tunIPv6Src, 16, 0, 128, mask: true, write: true, .none, .nxmNX(109), nil, .ipv6),
        entry(.tunIPv6Dst, "tun_ipv6_dst", [], FlowOffset.tunIPv6Dst, 16, 0, 128, mask: true, write: true, .none, .nxmNX(110), nil, .ipv6),
        entry(.tunFlags, "tun_flags", [], FlowOffset.tunFlags, 2, 0, 16, mask: true, write: true, .none, .nxmNX(104), nil, .hex),
        entry(.tunTTL, "tun_ttl", [], FlowOffset.tunTTL, 1, 0, 8, mask: false, write: false, .none, nil, nil, .decimal),
        entry(.tunTOS, "tun_tos", [], FlowOffset.tunTOS, 1, 0, 8, mask: false, write: false, .none, nil, nil, .hex),
        entry(.tunGBPID, "tun_gbp_id", [], FlowOffset.tunGBPID, 2, 0, 16, mask: true, write: true, .none, .nxmNX(38), nil, .decimal),
        entry(.tunGBPFlags, "tun_gbp_flags", [], FlowOffset.tunGBPFlags, 1, 0, 8, mask: true, write: true, .none, .nxmNX(39), nil, .hex),
        entry(.ctState, "ct_state", [], FlowOffset.ctState, 1, 0, 8, mask: true, write: false, .none, .nxmNX(105), nil, .hex),
        entry(.ctZone, "ct_zone", [], FlowOffset.ctZone, 2, 0, 16, mask: false, write: false, .none, .nxmNX(106), nil, .hex),
        entry(.ctMark, "ct_mark", [], FlowOffset.ctMark, 4, 0, 32, mask: true, write: true, .none, .nxmNX(107), nil, .hex),
        entry(.ctLabel, "ct_label", [], FlowOffset.ctLabel, 16, 0, 128, mask: true, write: true, .none, .nxmNX(108), nil, .hex),
        entry(.ctNWProto, "ct_nw_proto", [], FlowOffset.ctNWProto, 1, 0, 8, mask: false, write: false, .none, .nxmNX(119), nil, .decimal),
        entry(.ctNWSrc, "ct_nw_src", [], FlowOffset.ctNWSrc, 4, 0, 32, mask: true, write: false, .none, .nxmNX(120), nil, .ipv4),
        entry(.ctNWDst, "ct_nw_dst", [], FlowOffset.ctNWDst, 4, 0, 32, mask: true, write: false, .none, .nxmNX(121), nil, .ipv4),
        entry(.ctIPv6Src, "ct_ipv6_src", [], FlowOffset.ctIPv6Src, 16, 0, 128, mask: true, write: false, .none, .nxmNX(122), nil, .ipv6),
        entry(.ctIPv6Dst, "ct_ipv6_dst", [], FlowOffset.ctIPv6Dst, 16, 0, 128, mask: true, write: false, .none, .nxmNX(123), nil, .ipv6),
        entry(.ctTPSrc, "ct_tp_src", [], FlowOffset.ctTPSrc, 2, 0, 16, mask: true, write: false, .none, .nxmNX(124), nil, .decimal),
        entry(.ctTPDst, "ct_tp_dst", [], FlowOffset.ctTPDst, 2, 0, 16, mask: true, write: false, .none, .nxmNX(125), nil, .decimal),
        entry(.reg0, "reg0", [], FlowOffset.registers + 0, 4, 0, 32, mask: true, write: true, .none, .nxmNX(0), nil, .hex),
        entry(.reg1, "reg1", [], FlowOffset.registers + 4, 4, 0, 32, mask: true, write: true, .none, .nxmNX(1), nil, .hex),
        entry(.reg2, "reg2", [], FlowOffset.registers + 8, 4, 0, 32, mask: true, write: true, .none, .nxmNX(2), nil, .hex),
        entry(.reg3, "reg3", [], FlowOffset.registers + 12, 4, 0, 32, mask: true, write: true, .none, .nxmNX(3), nil, .hex),
        entry(.reg4, "reg4", [], FlowOffset.registers + 16, 4, 0, 32, mask: true, write: true, .none, .nxmNX(4), nil, .hex),
        entry(.reg5, "reg5", [], FlowOffset.registers + 20, 4, 0, 32, mask: true, write: true, .none, .nxmNX(5), nil, .hex),
        entry(.reg6, "reg6", [], FlowOffset.registers + 24, 4, 0, 32, mask: true, write: true, .none, .nxmNX(6), nil, .hex),
        entry(.reg7, "reg7", [], FlowOffset.registers + 28, 4, 0, 32, mask: true, write: true, .none, .nxmNX(7), nil, .hex),
        entry(.reg8, "reg8", [], FlowOffset.registers + 32, 4, 0, 32, mask: true, write: true, .none, .nxmNX(8), nil, .hex),
        entry(.reg9, "reg9", [], FlowOffset.registers + 36, 4, 0, 32, mask: true, write: true, .none, .nxmNX(9), nil, .hex),
        entry(.reg10, "reg10", [], FlowOffset.registers + 40, 4, 0, 32, mask: true, write: true, .none, .nxmNX(10), nil, .hex),
        entry(.reg11, "reg11", [], FlowOffset.registers + 44, 4, 0, 32, mask: true, write: true, .none, .nxmNX(11), nil, .hex),
        entry(.reg12, "reg12", [], FlowOffset.registers + 48, 4, 0, 32, mask: true, write: true, .none, .nxmNX(12), nil, .hex),
        entry(.reg13, "reg13", [], FlowOffset.registers + 52, 4, 0, 32, mask: true, write: true, .none, .nxmNX(13), nil, .hex),
        entry(.reg14, "reg14", [], FlowOffset.registers + 56, 4, 0, 32, mask: true, write: true, .none, .nxmNX(14), nil, .hex),
        entry(.reg15, "reg15", [], FlowOffset.registers + 60, 4, 0, 32, mask: true, write: true, .none, .nxmNX(15), nil, .hex),
        entry(.xreg0, "xreg0", [], FlowOffset.registers + 0, 8, 0, 64, mask: true, write: true, .none, nil, .packetRegister(0), .hex),
        entry(.xreg1, "xreg1", [], FlowOffset.registers + 8, 8, 0, 64, mask: true, write: true, .none, nil, .packetRegister(1), .hex),
        entry(.xreg2, "xreg2", [], FlowOffset.registers + 16, 8, 0, 64, mask: true, write: true, .none, nil, .packetRegister(2), .hex),
        entry(.xreg3, "xreg3", [], FlowOffset.registers + 24, 8, 0, 64, mask: true, write: true, .none, nil, .packetRegister(3), .hex),
        entry(.xreg4, "xreg4", [], FlowOffset.registers + 32, 8, 0, 64, mask: true, write: true, .none, nil, .packetRegister(4), .hex),
        entry(.xreg5, "xreg5", [], FlowOffset.registers + 40, 8, 0, 64, mask: true, write: true, .none, nil, .packetRegister(5), .hex),
        entry(.xreg6, "xreg6", [], FlowOffset.registers + 48, 8, 0, 64, mask: true, write: true, .none, nil, .packetRegister(6), .hex),
        entry(.xreg7, "xreg7", [], FlowOffset.registers + 56, 8, 0, 64, mask: true, write: true, .none, nil, .packetRegister(7), .hex),
        entry(.xxreg0, "xxreg0", [], FlowOffset.registers + 0, 16, 0, 128, mask: true, write: true, .none, .nxmNX(111), nil, .hex),
        entry(.xxreg1, "xxreg1", [], FlowOffset.registers + 16, 16, 0, 128, mask: true, write: true, .none, .nxmNX(112), nil, .hex),
        entry(.xxreg2, "xxreg2", [], FlowOffset.registers + 32, 16, 0, 128, mask: true, write: true, .none, .nxmNX(113), nil, .hex),
        entry(.xxreg3, "xxreg3", [], FlowOffset.registers + 48, 16, 0, 128, mask: true, write: true, .none, .nxmNX(114), nil, .hex),
        entry(.ethSrc, "eth_src", ["dl_src"], FlowOffset.ethSrc, 6, 0, 48, mask: true, write: true, .none, .nxmOF(2), .oxm(4), .mac),
        entry(.ethDst, "eth_dst", ["dl_dst"], FlowOffset.ethDst, 6, 0, 48, mask: true, write: true, .none, .nxmOF(1), .oxm(3), .mac),
        entry(.ethType, "eth_type", ["dl_type"], FlowOffset.etherType, 2, 0, 16, mask: false, write: false, .none, .nxmOF(3), .oxm(5), .hex),
        entry(.vlanTCI, "vlan_tci", [], FlowOffset.vlanTCI, 2, 0, 16, mask: true, write: true, .none, .nxmOF(4), nil, .hex),
        entry(.vlanVID, "vlan_vid", [], FlowOffset.vlanTCI, 2, 0, 13, mask: true, write: true, .none, nil, .oxm(6), .hex),
        entry(.vlanVID12, "dl_vlan", [], FlowOffset.vlanTCI, 2, 0, 12, mask: false, write: true, .none, nil, nil, .decimal),
        entry(.vlanPCP, "vlan_pcp", ["dl_vlan_pcp"], FlowOffset.vlanTCI, 2, 13, 3, mask: false, write: true, .vlan, nil, .oxm(7), .decimal),
        entry(.pbbISID, "pbb_isid", [], FlowOffset.pbbISID, 4, 0, 24, mask: true, write: true, .pbb, nil, .oxm(37), .hex),
        entry(.pbbUCA, "pbb_uca", [], FlowOffset.pbbUCA, 1, 0, 1, mask: false, write: true, .pbb, nil, .oxm(41), .hex),
        entry(.mplsLabel, "mpls_label", [], FlowOffset.mplsLSE0, 4, 12, 20, mask: false, write: true, .mpls, nil, .oxm(34), .decimal),
        entry(.mplsTC, "mpls_tc", [], FlowOffset.mplsLSE0, 4, 9, 3, mask: false, write: true, .mpls, nil, .oxm(35), .decimal),
        entry(.mplsBOS, "mpls_bos", [], FlowOffset.mplsLSE0, 4, 8, 1, mask: false, write: false, .mpls, nil, .oxm(36), .decimal),
        entry(.mplsTTL, "mpls_ttl", [], FlowOffset.mplsLSE0, 4, 0, 8, mask: false, write: true, .mpls, .nxmNX(30), nil, .decimal),
        entry(.nwSrc, "nw_src", ["ip_src", "ipv4_src"], FlowOffset.nwSrc, 4, 0, 32, mask: true, write: true, .ipv4, .nxmOF(7), .oxm(11), .ipv4),
        entry(.nwDst, "nw_dst", ["ip_dst", "ipv4_dst"], FlowOffset.nwDst, 4, 0, 32, mask: true, write: true, .ipv4, .nxmOF(8), .oxm(12), .ipv4),
        entry(.ipv6Src, "ipv6_src", [], FlowOffset.ipv6Src, 16, 0, 128, mask: true, write: true, .ipv6, .nxmNX(19), .oxm(26), .ipv6),
        entry(.ipv6Dst, "ipv6_dst", [], FlowOffset.ipv6Dst, 16, 0, 128, mask: true, write: true, .ipv6, .nxmNX(20), .oxm(27), .ipv6),
        entry(.ipv6Label, "ipv6_label", [], FlowOffset.ipv6Label, 4, 0, 20, mask: true, write: true, .ipv6, .nxmNX(27), .oxm(28), .hex),
        entry(.ipv6ExtensionHeaders, "ipv6_exthdr", [], FlowOffset.ipv6ExtensionHeaders, 2, 0, 9, mask: true, write: false, .ipv6, nil, .oxm(39), .hex),
        entry(.nwProto, "nw_proto", ["ip_proto"], FlowOffset.nwProto, 1, 0, 8, mask: false, write: false, .ip, .nxmOF(6), .oxm(10), .decimal),
        entry(.nwTOS, "nw_tos", [], FlowOffset.nwTOS, 1, 0, 8, mask: false, write: true, .ip, .nxmOF(5), nil, .decimal),
        entry(.ipDSCP, "ip_dscp", [], FlowOffset.nwTOS, 1, 2, 6, mask: false, write: true, .ip, nil, .oxm(8), .decimal),
        entry(.nwECN, "nw_ecn", ["ip_ecn"], FlowOffset.nwTOS, 1, 0, 2, mask: false, write: true, .ip, .nxmNX(28), .oxm(9), .decimal),
        entry(.nwTTL, "nw_ttl", [], FlowOffset.nwTTL, 1, 0, 8, mask: false, write: true, .ip, .nxmNX(29), nil, .decimal),
        entry(.ipFrag, "ip_frag", ["nw_frag"], FlowOffset.ipFragment, 1, 0, 2, mask: true, write: false, .ip, .nxmNX(26), nil, .frag),
        entry(.arpOp, "arp_op", [], FlowOffset.nwProto, 1, 0, 8, mask: false, write: true, .arp, .nxmOF(15), .oxm(21), .decimal),
        entry(.arpSPA, "arp_spa", [], FlowOffset.nwSrc, 4, 0, 32, mask: true, write: true, .arp, .nxmOF(16), .oxm(22), .ipv4),
        entry(.arpTPA, "arp_tpa", [], FlowOffset.nwDst, 4, 0, 32, mask: true, write: true, .arp, .nxmOF(17), .oxm(23), .ipv4),
        entry(.arpSHA, "arp_sha", [], FlowOffset.arpSHA, 6, 0, 48, mask: true, write: true, .arp, .nxmNX(17), .oxm(24), .mac),
        entry(.arpTHA, "arp_tha", [], FlowOffset.arpTHA, 6, 0, 48, mask: true, write: true, .arp, .nxmNX(18), .oxm(25), .mac),
        entry(.tcpSrc, "tcp_src", [], FlowOffset.tpSrc, 2, 0, 16, mask: true, write: true, .tcp, .nxmOF(9), .oxm(13), .decimal),
        entry(.tcpDst, "tcp_dst", [], FlowOffset.tpDst, 2, 0, 16, mask: true, write: true, .tcp, .nxmOF(10), .oxm(14), .decimal),
        entry(.udpSrc, "udp_src", [], FlowOffset.tpSrc, 2, 0, 16, mask: true, write: true, .udp, .nxmOF(11), .oxm(15), .decimal),
        entry(.udpDst, "udp_dst", [], FlowOffset.tpDst, 2, 0, 16, mask: true, write: true, .udp, .nxmOF(12), .oxm(16), .decimal),
        entry(.sctpSrc, "sctp_src", [], FlowOffset.tpSrc, 2, 0, 16, mask: true, write: true, .sctp, nil, .oxm(17), .decimal),
        entry(.sctpDst, "sctp_dst", [], FlowOffset.tpDst, 2, 0, 16, mask: true, write: true, .sctp, nil, .oxm(18), .decimal),
        entry(.tcpFlags, "tcp_flags", [], FlowOffset.tcpFlags, 2, 0, 12, mask: true, write: false, .tcp, .nxmNX(34), .onf(42), .tcpFlags),
        entry(.icmpType, "icmp_type", [], FlowOffset.tpSrc + 1, 1, 0, 8, mask: false, write: true, .icmpv4, .nxmOF(13), .oxm(19), .decimal),
        entry(.icmpCode, "icmp_code", [], FlowOffset.tpDst + 1, 1, 0, 8, mask: false, write: true, .icmpv4, .nxmOF(14), .oxm(20), .decimal),
        entry(.icmpv6Type, "icmpv6_type", [], FlowOffset.tpSrc + 1, 1, 0, 8, mask: false, write: true, .icmpv6, .nxmNX(21), .oxm(29), .decimal),
        entry(.icmpv6Code, "icmpv6_code", [], FlowOffset.tpDst + 1, 1, 0, 8, mask: false, write: true, .icmpv6, .nxmNX(22), .oxm(30), .decimal),
        entry(.ndTarget, "nd_target", [], FlowOffset.ndTarget, 16, 0, 128, mask: true, write: true, .nd, .nxmNX(23), .oxm(31), .ipv6),
        entry(.ndSLL, "nd_sll", [], FlowOffset.arpSHA, 6, 0, 48, mask: true, write: true, .ndSolicit, .nxmNX(24), .oxm(32), .mac),
        entry(.ndTLL, "nd_tll", [], FlowOffset.arpTHA, 6, 0, 48, mask: true, write: true, .ndAdvert, .nxmNX(25), .oxm(33), .mac),
        entry(.ndReserved, "nd_reserved", [], FlowOffset.ndReserved, 4, 0, 32, mask: true, write: true, .nd, nil, nil, .hex),
        entry(.ndOptionsType, "nd_options_type", [], FlowOffset.ndOptionsType, 1, 0, 8, mask: false, write: true, .nd, nil, nil, .decimal),
        entry(.nshFlags, "nsh_flags", [], FlowOffset.nshFlags, 1, 0, 8, mask: true, write: true, .nsh, nil, nil, .decimal),
        entry(.nshTTL, "nsh_ttl", [], FlowOffset.nshTTL, 1, 0, 8, mask: false, write: true, .nsh, nil, nil, .decimal),
        entry(.nshMDType, "nsh_mdtype", [], FlowOffset.nshMDType, 1, 0, 8, mask: false, write: false, .nsh, nil, nil, .decimal),
        entry(.nshNP, "nsh_np", [], FlowOffset.nshNextProtocol, 1, 0, 8, mask: false, write: false, .nsh, nil, nil, .decimal),
        entry(.nshSPI, "nsh_spi", [], FlowOffset.nshPathHeader, 4, 8, 24, mask: true, write: true, .nsh, nil, nil, .hex),
        entry(.nshSI, "nsh_si", [], FlowOffset.nshPathHeader, 4, 0, 8, mask: true, write: true, .nsh, nil, nil, .decimal),
        entry(.nshC1, "nsh_c1", [], FlowOffset.nshContext + 0, 4, 0, 32, mask: true, write: true, .nsh, nil, nil, .hex),
        entry(.nshC2, "nsh_c2", [], FlowOffset.nshContext + 4, 4, 0, 32, mask: true, write: true, .nsh, nil, nil, .hex),
        entry(.nshC3, "nsh_c3", [], FlowOffset.nshContext + 8, 4, 0, 32, mask: true, write: true, .nsh, nil, nil, .hex),
        entry(.nshC4, "nsh_c4", [], FlowOffset.nshContext + 12, 4, 0, 32, mask: true, write: true, .nsh, nil, nil, .hex),
    ]

    private static func entry(
        _ field: Field, _ name: String, _ aliases: [String], _ offset: Int, _ bytes: Int, _ shift: Int, _ bits: Int, mask: Bool,
        write: Bool, _ prerequisite: Prerequisite, _ nxm: FieldNumber?, _ oxm: FieldNumber?, _ format: FieldFormat
    ) -> FieldInfo {
        FieldInfo(
            field: field, name: name, aliases: aliases, layout: FieldLayout(byteOffset: offset, byteCount: bytes, shift: shift, bits: bits),
            isMaskable: mask, isWritable: write, prerequisite: prerequisite, nxm: nxm, oxm: oxm, format: format)
    }
}
