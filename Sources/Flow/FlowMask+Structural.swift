// The bits that say what extraction read.
//
// A field that a packet does not have reads as zero, so "the packet has no such field" and "the field is zero" look the
// same in the field itself; what tells them apart is in the *structural* bits: EtherType, fragment class and number of
// MPLS labels. They share word 0 of the key with the input port, and every megaflow matches all of word 0, and the
// recirculation id, exactly (`structural`). Beyond that, a decision that looks at a field must also un-wildcard what
// makes the field that field: `addPrerequisites(of:)`.

extension FlowMask {
    /// What every megaflow matches: input port, EtherType, fragment class, MPLS label count, recirculation id.
    @inlinable public static var structural: FlowMask {
        var mask = FlowMask()
        mask.bits.words[0] = .max
        mask.bits.store(0xffff_ffff, at: FlowOffset.recircID, count: 4)
        return mask
    }

    /// Adds what every megaflow matches; see `structural`.
    @inlinable public mutating func addStructural() {
        bits.words[0] = .max
        bits.words[FlowOffset.recircID / 8] |= UInt64(0xffff_ffff)
    }

    /// Un-wildcards all of a field, and what makes it that field.
    public mutating func add(_ field: Field) {
        bits[field] = field.layout.allOnes
        addPrerequisites(of: field)
    }

    /// Adds the bits that decide whether a packet has `field` at all: EtherType, protocol, fragment class, ICMPv6 type and
    /// code, presence of a VLAN tag, label count. Whoever reads or writes a field on behalf of a megaflow calls this.
    public mutating func addPrerequisites(of field: Field) {
        switch field.prerequisite {
        case .none: break
        case .vlan: bits.store(bits.load(at: FlowOffset.vlanTCI, count: 2) | 0x1000, at: FlowOffset.vlanTCI, count: 2)
        case .pbb, .ipv4, .ipv6, .arp, .mpls, .nsh, .ip: bits.words[0] = .max
        case .tcp, .udp, .sctp, .icmpv4, .icmpv6:
            bits.words[0] = .max
            bits.store(0xff, at: FlowOffset.nwProto, count: 1)
        case .nd, .ndSolicit, .ndAdvert:
            bits.words[0] = .max
            bits.store(0xff, at: FlowOffset.nwProto, count: 1)
            bits.store(0xffff_ffff, at: FlowOffset.tpSrc, count: 4)
        }
    }
}

extension FlowKey {
    /// Whether the packet has what `field` needs (OpenFlow 1.5 section 7.2.3.6): only then may it be matched or written.
    public func meetsPrerequisites(of field: Field) -> Bool {
        let etherType = UInt16(truncatingIfNeeded: load(at: FlowOffset.etherType, count: 2))
        let proto = UInt8(truncatingIfNeeded: load(at: FlowOffset.nwProto, count: 1))
        func isIP(_ wanted: UInt8) -> Bool {
            (etherType == 0x0800 || etherType == 0x86dd) && proto == wanted && load(at: FlowOffset.ipFragment, count: 1) & 2 == 0
        }
        func isNeighbor(_ types: ClosedRange<UInt8>) -> Bool {
            etherType == 0x86dd && isIP(58) && types.contains(UInt8(truncatingIfNeeded: load(at: FlowOffset.tpSrc, count: 2)))
                && load(at: FlowOffset.tpDst, count: 2) == 0
        }
        return switch field.prerequisite {
        case .none: true
        case .vlan: load(at: FlowOffset.vlanTCI, count: 2) & 0x1000 != 0
        case .pbb: etherType == 0x88e7
        case .mpls: etherType == 0x8847 || etherType == 0x8848
        case .ipv4: etherType == 0x0800
        case .ipv6: etherType == 0x86dd
        case .ip: etherType == 0x0800 || etherType == 0x86dd
        case .arp: etherType == 0x0806 || etherType == 0x8035
        case .tcp: isIP(6)
        case .udp: isIP(17)
        case .sctp: isIP(132)
        case .icmpv4: etherType == 0x0800 && isIP(1)
        case .icmpv6: etherType == 0x86dd && isIP(58)
        case .nd: isNeighbor(135...136)
        case .ndSolicit: isNeighbor(135...135)
        case .ndAdvert: isNeighbor(136...136)
        case .nsh: etherType == 0x894f
        }
    }
}

extension Match {
    /// Whether the match already says what `field` needs (OpenFlow 1.5 section 7.2.3.6). Bits that are wild read as zero,
    /// which no prerequisite asks for but ICMPv6 code 0, which may be left wild. What the match says of fragments is no
    /// prerequisite: the ports of later fragments are zero, and may be matched so.
    public func meetsPrerequisites(of field: Field) -> Bool {
        var key = key
        key[.ipFrag] = 0
        return key.meetsPrerequisites(of: field)
    }
}
