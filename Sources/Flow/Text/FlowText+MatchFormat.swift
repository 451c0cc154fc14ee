// Printing a match, in the field's order.

internal import Wire

extension FlowText {
    /// Prints a match as `ovs-ofctl dump-flows` does; empty for a match of everything.
    ///
    /// - Parameter priority: printed first unless it is nil or OpenFlow's default, 32768.
    /// - Parameter showsPacketType: adds `eth`, as traces do for megaflows.
    public static func format(_ match: Match, priority: UInt16? = nil, ports: PortNames = .none, showsPacketType: Bool = false) -> String {
        var words: [String] = []
        if let priority, priority != 32768 { words.append("priority=\(priority)") }

        func mask(_ field: Field) -> UInt128 { match.mask.bits[field] }
        func add(_ field: Field, _ name: String) {
            let bits = mask(field)
            if bits != 0 { words.append("\(name)=\(formatValue(field, match.key[field], mask: bits, ports: ports))") }
        }
        for field in [.pktMark, .recircID, .dpHash, .conjID, .skbPriority, .actsetOutput, .ctState, .ctZone, .ctMark, .ctLabel] as [Field] {
            add(field, field.name)
        }
        for field in [.ctNWSrc, .ctIPv6Src, .ctNWDst, .ctIPv6Dst, .ctNWProto] as [Field] { add(field, field.name) }
        for field in [.ctTPSrc, .ctTPDst] as [Field] where mask(field) != 0 {
            // Part of a port is a pattern of bits.
            let isWhole = mask(field) == 0xffff
            words.append("\(field.name)=" + (isWhole ? "\(match.key[field])" : "\(hex(match.key[field]))/\(hex(mask(field)))"))
        }
        if mask(.packetType) != 0 {
            add(.packetType, "packet_type")
        } else if showsPacketType {
            words.append("eth")
        }

        let etherType = mask(.ethType) != 0 ? UInt16(truncatingIfNeeded: match.key[.ethType]) : 0
        let proto: UInt8? = mask(.nwProto) == 0xff ? UInt8(truncatingIfNeeded: match.key[.nwProto]) : nil
        let short = shorthand(etherType: etherType, proto: proto)
        if let short { words.append(short.name) }
        for register in 0..<32 { add(Field(rawValue: Field.reg0.rawValue + UInt8(register))!, "reg\(register)") }
        for field in [.tunID, .tunSrc, .tunDst, .tunIPv6Src, .tunIPv6Dst, .tunGBPID, .tunGBPFlags, .tunTOS, .tunTTL, .tunFlags] as [Field] {
            add(field, field.name)
        }
        for field in [.metadata, .inPort] as [Field] { add(field, field.name) }
        if mask(.datapathInPort) != 0, mask(.inPort) == 0 { words.append("in_port=\(match.key[.datapathInPort])") }
        words += formatVLAN(match)
        add(.ethSrc, "dl_src")
        add(.ethDst, "dl_dst")
        if mask(.ethType) != 0, short == nil { words.append("dl_type=\(hex(etherType, digits: 4))") }
        addNetwork(match, etherType: etherType, proto: short?.proto == nil ? proto : nil, to: &words)
        addTransport(match, etherType: etherType, proto: proto, to: &words)
        return words.joined(separator: ",")
    }

    private static func shorthand(etherType: UInt16, proto: UInt8?) -> (name: String, proto: UInt8?)? {
        // nsh and igmp are words here only: the field's tools neither read nor print them.
        if let proto, proto != 2,
            let exact = shorthands.first(where: { $0.etherType == etherType && $0.proto == proto })
        {
            return (exact.name, exact.proto)
        }
        if etherType == 0x894f { return nil }
        return shorthands.first { $0.etherType == etherType && $0.proto == nil }.map { ($0.name, nil) }
    }

    private static func formatVLAN(_ match: Match) -> [String] {
        var words: [String] = []
        for index in 0..<2 {
            let offset = index == 0 ? FlowOffset.vlanTCI : FlowOffset.vlanTCI2
            let mask = match.mask.bits.load(at: offset, count: 2)
            let tci = match.key.load(at: offset, count: 2)
            let suffix = index == 0 ? "" : "\(index)"
            guard mask != 0 else { continue }
            let isVIDExact = mask & 0x0fff == 0x0fff
            let isPCPExact = mask & 0xe000 == 0xe000
            if mask & 0x1000 != 0, tci & 0x1000 != 0, isVIDExact || isPCPExact, isVIDExact || mask & 0x0fff == 0,
                isPCPExact || mask & 0xe000 == 0
            {
                if isVIDExact { words.append("dl_vlan\(suffix)=\(tci & 0x0fff)") }
                if isPCPExact { words.append("dl_vlan_pcp\(suffix)=\(tci >> 13)") }
            } else if mask == 0xffff {
                words.append("vlan_tci\(suffix)=\(hex(tci, digits: 4))")
            } else {
                words.append("vlan_tci\(suffix)=\(hex(tci, digits: 4))/\(hex(mask, digits: 4))")
            }
        }
        return words
    }

    /// - Parameter proto: the protocol if no shorthand says it.
    private static func addNetwork(_ match: Match, etherType: UInt16, proto: UInt8?, to words: inout [String]) {
        func add(_ field: Field, _ name: String) {
            let bits = match.mask.bits[field]
            if bits != 0 { words.append("\(name)=\(formatValue(field, match.key[field], mask: bits))") }
        }
        let isARP = etherType == 0x0806 || etherType == 0x8035
        if etherType == 0x86dd {
            add(.ipv6Src, "ipv6_src")
            add(.ipv6Dst, "ipv6_dst")
            let label = match.mask.bits[.ipv6Label]
            if label != 0 {
                let value = hex(match.key[.ipv6Label], digits: 5)
                words.append("ipv6_label=\(value)" + (label == 0xfffff ? "" : "/\(hex(label, digits: 5))"))
            }
            add(.ipv6ExtensionHeaders, "ipv6_exthdr")
        } else if isARP {
            add(.arpSPA, "arp_spa")
            add(.arpTPA, "arp_tpa")
        } else if etherType == 0x894f {
            for field in [.nshFlags, .nshTTL, .nshMDType, .nshNP, .nshSPI, .nshSI, .nshC1, .nshC2, .nshC3, .nshC4] as [Field] {
                add(field, field.name)
            }
        } else {
            add(.nwSrc, "nw_src")
            add(.nwDst, "nw_dst")
        }
        add(.pbbISID, "pbb_isid")
        add(.pbbUCA, "pbb_uca")
        if let proto { words.append("\(isARP ? "arp_op" : "nw_proto")=\(proto)") }
        if isARP {
            add(.arpSHA, "arp_sha")
            add(.arpTHA, "arp_tha")
        }
        if match.mask.bits[.ipDSCP] != 0 { words.append("nw_tos=\(match.key[.ipDSCP] << 2)") }
        if match.mask.bits[.nwECN] != 0 { words.append("nw_ecn=\(match.key[.nwECN])") }
        add(.nwTTL, "nw_ttl")
        for field in [.mplsLabel, .mplsTC, .mplsTTL, .mplsBOS] as [Field] { add(field, field.name) }
        add(.ipFrag, "nw_frag")
    }

    private static func addTransport(_ match: Match, etherType: UInt16, proto: UInt8?, to words: inout [String]) {
        func add(_ offset: Int, _ name: String) {
            let mask = match.mask.bits.load(at: offset, count: 2)
            let value = match.key.load(at: offset, count: 2)
            if mask == 0xffff {
                words.append("\(name)=\(value)")
            } else if mask != 0 {
                words.append("\(name)=0x\(String(value, radix: 16))/0x\(String(mask, radix: 16))")
            }
        }
        let isICMP = etherType == 0x0800 && proto == 1
        let isICMPv6 = etherType == 0x86dd && proto == 58
        if isICMP || isICMPv6 || (etherType == 0x0800 && proto == 2) {
            let prefix = proto == 2 ? "igmp" : "icmp"
            if match.mask.bits[.icmpType] != 0 { words.append("\(prefix)_type=\(match.key[.icmpType])") }
            if match.mask.bits[.icmpCode] != 0 { words.append("\(prefix)_code=\(match.key[.icmpCode])") }
        } else {
            add(FlowOffset.tpSrc, "tp_src")
            add(FlowOffset.tpDst, "tp_dst")
        }
        if isICMPv6 {
            for field in [.ndTarget, .ndSLL, .ndTLL, .ndReserved, .ndOptionsType] as [Field] {
                let bits = match.mask.bits[field]
                if bits != 0 { words.append("\(field.name)=\(formatValue(field, match.key[field], mask: bits))") }
            }
        }
        let flags = match.mask.bits[.tcpFlags]
        if flags != 0, proto == 6 { words.append("tcp_flags=\(formatValue(.tcpFlags, match.key[.tcpFlags], mask: flags))") }
    }
}
