// Header rewrites in each version's own words.

internal import Flow

extension ActionEncoder {
    /// A set-field as one of the older versions' own actions, if there is one.
    func legacySetField(_ field: Field, _ value: UInt128, _ writer: inout ByteWriter) -> Bool {
        let action: Action
        switch field {
        case .vlanVID where value & 0x1000 != 0: action = .setVLANID(UInt16(value & 0xfff), pushIfNeeded: version == .v1_0)
        case .vlanVID12: action = .setVLANID(UInt16(value), pushIfNeeded: version == .v1_0)
        case .vlanPCP: action = .setVLANPriority(UInt8(value), pushIfNeeded: version == .v1_0)
        case .ethSrc: action = .setEthSrc(UInt64(value))
        case .ethDst: action = .setEthDst(UInt64(value))
        case .nwSrc: action = .setIPv4Src(UInt32(value))
        case .nwDst: action = .setIPv4Dst(UInt32(value))
        case .ipDSCP: action = .setIPDSCP(UInt8(value) << 2)
        case .nwECN where version == .v1_1: action = .setIPECN(UInt8(value))
        case .nwTTL where version == .v1_1: action = .setIPTTL(UInt8(value))
        case .tcpSrc, .udpSrc, .sctpSrc: action = .setL4Src(UInt16(value))
        case .tcpDst, .udpDst, .sctpDst: action = .setL4Dst(UInt16(value))
        case .mplsLabel: action = .setMPLSLabel(UInt32(value))
        case .mplsTC: action = .setMPLSTC(UInt8(value))
        case .mplsTTL: action = .setMPLSTTL(UInt8(value))
        default: return false
        }
        encode(action, to: &writer)
        return true
    }

    func encodeVLAN(_ action: Action, _ writer: inout ByteWriter) {
        switch action {
        case .setVLANID(let id, let pushIfNeeded):
            if version <= .v1_1 {
                pushVLANIfNeeded(pushIfNeeded && version == .v1_1, &writer)
                standard(ActionType.setVLANID, &writer) {
                    $0.u16(id)
                    $0.u16(0)
                }
            } else {
                pushVLANIfNeeded(pushIfNeeded, &writer)
                setField(.vlanVID, UInt128(id) | 0x1000, 0x1fff, isLoad: false, &writer)
            }
        case .setVLANPriority(let priority, let pushIfNeeded):
            if version <= .v1_1 {
                pushVLANIfNeeded(pushIfNeeded && version == .v1_1, &writer)
                standard(ActionType.setVLANPriority, &writer) {
                    $0.u8(priority)
                    $0.zeros(3)
                }
            } else {
                pushVLANIfNeeded(pushIfNeeded, &writer)
                setField(.vlanPCP, UInt128(priority), 7, isLoad: false, &writer)
            }
        case .pushVLAN(let etherType):
            // 1.0 has no push: its set-vlan actions add the tag.
            guard version >= .v1_1 else { return }
            standard(ActionType.pushVLAN, &writer) {
                $0.u16(etherType)
                $0.u16(0)
            }
        default:
            standard(version == .v1_0 ? ActionType10.stripVLAN : ActionType.popVLAN, &writer) { $0.zeros(4) }
        }
    }

    /// Later versions set ids in tags that are there; a flow that matches untagged packets needs the tag pushed first.
    private func pushVLANIfNeeded(_ isNeeded: Bool, _ writer: inout ByteWriter) {
        guard isNeeded, let match, !match.satisfies(.vlan) else { return }
        let (tci, mask) = match.get(.vlanTCI)
        if mask & 0x1000 != 0, tci & 0x1000 == 0 { encode(.pushVLAN(etherType: 0x8100), to: &writer) }
    }

    func encodeMPLS(_ action: Action, _ writer: inout ByteWriter) {
        let isNicira = version == .v1_0
        func etherType(_ value: UInt16, _ standardType: UInt16, _ niciraType: UInt16) {
            if isNicira {
                nicira(niciraType, &writer) {
                    $0.u16(value)
                    $0.zeros(4)
                }
            } else {
                standard(standardType, &writer) {
                    $0.u16(value)
                    $0.u16(0)
                }
            }
        }
        func byte(_ value: UInt8, _ standardType: UInt16, _ niciraType: UInt16) {
            if isNicira {
                nicira(niciraType, &writer) {
                    $0.u8(value)
                    $0.zeros(5)
                }
            } else {
                standard(standardType, &writer) {
                    $0.u8(value)
                    $0.zeros(3)
                }
            }
        }
        switch action {
        case .pushMPLS(let value): etherType(value, ActionType.pushMPLS, NiciraAction.pushMPLS)
        case .popMPLS(let value): etherType(value, ActionType.popMPLS, NiciraAction.popMPLS)
        case .setMPLSLabel(let label):
            if isNicira {
                nicira(NiciraAction.setMPLSLabel, &writer) {
                    $0.u16(0)
                    $0.u32(label)
                }
            } else if version == .v1_1 {
                standard(ActionType.setMPLSLabel, &writer) { $0.u32(label) }
            } else {
                setField(.mplsLabel, UInt128(label), 0xfffff, isLoad: false, &writer)
            }
        case .setMPLSTC(let value):
            if version >= .v1_2 {
                setField(.mplsTC, UInt128(value), 7, isLoad: false, &writer)
            } else {
                byte(value, ActionType.setMPLSTC, NiciraAction.setMPLSTC)
            }
        case .setMPLSTTL(let value): byte(value, ActionType.setMPLSTTL, NiciraAction.setMPLSTTL)
        default: byte(0, ActionType.decrementMPLSTTL, NiciraAction.decrementMPLSTTL)
        }
    }

    /// The fixed-function rewrites of 1.0 and 1.1; set-field (or, in 1.0, Nicira's load) where there are none.
    func encodeHeaderWrite(_ action: Action, _ writer: inout ByteWriter) {
        switch action {
        case .setEthSrc(let address): ethernet(address, .ethSrc, ActionType10.setEthSrc, ActionType.setEthSrc, &writer)
        case .setEthDst(let address): ethernet(address, .ethDst, ActionType10.setEthDst, ActionType.setEthDst, &writer)
        case .setIPv4Src(let address): word(address, .nwSrc, ActionType10.setIPv4Src, ActionType.setIPv4Src, &writer)
        case .setIPv4Dst(let address): word(address, .nwDst, ActionType10.setIPv4Dst, ActionType.setIPv4Dst, &writer)
        case .setIPDSCP(let tos):
            if version <= .v1_1 {
                standard(version == .v1_0 ? ActionType10.setTOS : ActionType.setTOS, &writer) {
                    $0.u8(tos & 0xfc)
                    $0.zeros(3)
                }
            } else {
                setField(.ipDSCP, UInt128(tos >> 2), 0x3f, isLoad: false, &writer)
            }
        case .setIPECN(let ecn):
            if version == .v1_1 {
                standard(ActionType.setECN, &writer) {
                    $0.u8(ecn)
                    $0.zeros(3)
                }
            } else {
                setField(.nwECN, UInt128(ecn), 3, isLoad: version == .v1_0, &writer)
            }
        case .setIPTTL(let ttl):
            if version >= .v1_1 {
                standard(ActionType.setTTL, &writer) {
                    $0.u8(ttl)
                    $0.zeros(3)
                }
            } else {
                setField(.nwTTL, UInt128(ttl), 0xff, isLoad: true, &writer)
            }
        case .setL4Src(let port): transport(port, isSource: true, &writer)
        case .setL4Dst(let port): transport(port, isSource: false, &writer)
        case .setTunnelID(let id):
            if version >= .v1_2 {
                setField(.tunID, UInt128(id), UInt128(UInt64.max), isLoad: false, &writer)
            } else if id <= UInt64(UInt32.max) {
                nicira(NiciraAction.setTunnel, &writer) {
                    $0.u16(0)
                    $0.u32(UInt32(id))
                }
            } else {
                nicira(NiciraAction.setTunnel64, &writer) {
                    $0.zeros(6)
                    $0.u64(id)
                }
            }
        default: break
        }
    }

    private func ethernet(_ address: UInt64, _ field: Field, _ type10: UInt16, _ type11: UInt16, _ writer: inout ByteWriter) {
        if version >= .v1_2 { return setField(field, UInt128(address), field.layout.allOnes, isLoad: false, &writer) }
        standard(version == .v1_0 ? type10 : type11, &writer) {
            $0.ethernetAddress(address)
            $0.zeros(6)
        }
    }

    private func word(_ value: UInt32, _ field: Field, _ type10: UInt16, _ type11: UInt16, _ writer: inout ByteWriter) {
        if version >= .v1_2 { return setField(field, UInt128(value), field.layout.allOnes, isLoad: false, &writer) }
        standard(version == .v1_0 ? type10 : type11, &writer) { $0.u32(value) }
    }

    private func transport(_ port: UInt16, isSource: Bool, _ writer: inout ByteWriter) {
        if version <= .v1_1 {
            standard(isSource ? ActionType.setL4Src : ActionType.setL4Dst, &writer) {
                $0.u16(port)
                $0.u16(0)
            }
            return
        }
        // From 1.2 on there is one field for each protocol; a flow that names none is taken for TCP.
        let field: Field =
            switch match?.requiredIPProtocol {
            case 17: isSource ? .udpSrc : .udpDst
            case 132: isSource ? .sctpSrc : .sctpDst
            default: isSource ? .tcpSrc : .tcpDst
            }
        setField(field, UInt128(port), 0xffff, isLoad: false, &writer)
    }
}
