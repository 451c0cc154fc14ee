// What a match must say before a field means anything (OpenFlow 1.5 section 7.2.3.6).

public import Flow

extension FieldMatching {
    /// The EtherType that the match requires, if it requires one exactly.
    public var requiredEtherType: UInt16? {
        let (value, mask) = get(.ethType)
        return mask == 0xffff ? UInt16(value) : nil
    }

    /// The IP protocol that the match requires, if it is IP's.
    public var requiredIPProtocol: UInt8? {
        guard satisfies(.ip) else { return nil }
        let (value, mask) = get(.nwProto)
        return mask == 0xff ? UInt8(value) : nil
    }

    /// Whether the match requires what `prerequisite` names.
    public func satisfies(_ prerequisite: Prerequisite) -> Bool {
        func icmpv6(_ types: [UInt8]) -> Bool {
            guard satisfies(.icmpv6) else { return false }
            let (value, mask) = get(.icmpv6Type)
            let (code, codeMask) = get(.icmpv6Code)
            return mask == 0xff && types.contains(UInt8(value)) && (codeMask == 0 || code == 0)
        }
        switch prerequisite {
        case .none: return true
        case .vlan: return get(.vlanTCI).value & 0x1000 != 0
        case .pbb: return requiredEtherType == 0x88e7
        case .mpls: return requiredEtherType == 0x8847 || requiredEtherType == 0x8848
        case .ipv4: return requiredEtherType == 0x0800
        case .ipv6: return requiredEtherType == 0x86dd
        case .ip: return requiredEtherType == 0x0800 || requiredEtherType == 0x86dd
        case .arp: return requiredEtherType == 0x0806 || requiredEtherType == 0x8035
        case .tcp: return requiredIPProtocol == 6
        case .udp: return requiredIPProtocol == 17
        case .sctp: return requiredIPProtocol == 132
        case .icmpv4: return satisfies(.ipv4) && requiredIPProtocol == 1
        case .icmpv6: return satisfies(.ipv6) && requiredIPProtocol == 58
        case .nd: return icmpv6([135, 136])
        case .ndSolicit: return icmpv6([135])
        case .ndAdvert: return icmpv6([136])
        case .nsh: return requiredEtherType == 0x894f
        }
    }
}
