// Packets in text: what `ofproto/trace` is given, and how it prints a packet's key.

internal import Wire

extension FlowText {
    /// Reads a packet description like `in_port=1,udp,nw_src=10.0.0.1,tp_dst=53`: a match whose fields are all exact.
    /// What is not said is zero.
    public static func parsePacket(_ text: some StringProtocol, ports: PortNames = .none) throws(FlowTextError) -> FlowKey {
        let match = try parseMatch(text, ports: ports)
        for field in Field.allCases where field != .vlanTCI && field != .vlanVID && field != .nwTOS && field != .ipFrag {
            let mask = match.mask.bits[field]
            guard mask != 0, mask != field.layout.allOnes, match.meetsPrerequisites(of: field) else { continue }
            // Registers overlay each other: half of an xreg is a whole reg.
            switch field {
            case _ where (Field.xreg0.rawValue...Field.xxreg7.rawValue).contains(field.rawValue): continue
            case .vlanVID12, .vlanPCP, .nwECN, .ipDSCP: continue
            default: throw FlowTextError("\(field.name) is masked; a packet has one value for each field")
            }
        }
        var key = match.key
        // "later" is said with one bit and means both in a packet.
        if key[.ipFrag] & 2 != 0 { key[.ipFrag] = 3 }
        if key[.vlanTCI] & 0x1000 != 0, key.load(at: FlowOffset.vlanTPID, count: 2) == 0 {
            key.store(0x8100, at: FlowOffset.vlanTPID, count: 2)
        }
        if [0x8847, 0x8848].contains(key[.ethType]) { key.store(1, at: FlowOffset.mplsCount, count: 1) }
        return key
    }

    /// Prints a packet's key as traces do: every field that a packet of its kind has, metadata only where it is not zero.
    public static func format(packet key: FlowKey, ports: PortNames = .none) -> String {
        let etherType = key[.ethType]
        let isIP = etherType == 0x0800 || etherType == 0x86dd
        var fields: [Field] = [.inPort, .ethSrc, .ethDst, .ethType, .vlanTCI]
        switch etherType {
        case 0x0800: fields += [.nwSrc, .nwDst]
        case 0x86dd: fields += [.ipv6Src, .ipv6Dst, .ipv6Label]
        case 0x0806, 0x8035: fields += [.arpSPA, .arpTPA, .arpOp, .arpSHA, .arpTHA]
        case 0x8847, 0x8848: fields += [.mplsLabel, .mplsTC, .mplsTTL, .mplsBOS]
        case 0x894f: fields += [.nshFlags, .nshTTL, .nshMDType, .nshNP, .nshSPI, .nshSI, .nshC1, .nshC2, .nshC3, .nshC4]
        default: break
        }
        if isIP { fields += [.nwProto, .ipDSCP, .nwECN, .nwTTL, .ipFrag] }
        if isIP, key[.ipFrag] & 2 == 0 {
            switch (key[.nwProto], etherType) {
            case (6, _): fields += [.tcpSrc, .tcpDst, .tcpFlags]
            case (17, _), (132, _): fields += [.tcpSrc, .tcpDst]
            case (1, 0x0800), (2, 0x0800), (58, 0x86dd): fields += [.icmpType, .icmpCode]
            default: break
            }
            if key.meetsPrerequisites(of: .ndTarget) { fields += [.ndTarget] }
            if key.meetsPrerequisites(of: .ndTarget) { fields += [.ndSLL, .ndTLL] }
        }
        var mask = FlowMask()
        for field in fields { mask.bits[field] = field.layout.allOnes }
        if key[.vlanTCI] != 0 { mask.bits.store(0xffff, at: FlowOffset.vlanTCI2, count: 2) }
        let metadata: [Field] = [
            .pktMark, .recircID, .dpHash, .conjID, .skbPriority, .ctState, .ctZone, .ctMark, .ctLabel, .ctNWProto, .ctNWSrc, .ctNWDst,
            .ctIPv6Src,
            .ctIPv6Dst, .ctTPSrc, .ctTPDst, .tunID, .tunSrc, .tunDst, .tunIPv6Src, .tunIPv6Dst, .metadata, .xxreg0, .xxreg1, .xxreg2,
            .xxreg3, .xxreg4, .xxreg5, .xxreg6, .xxreg7,
        ]
        for field in metadata where key[field] != 0 {
            if field.rawValue >= Field.xxreg0.rawValue, field.rawValue <= Field.xxreg7.rawValue {
                for part in 0..<4 {
                    let register = Field(rawValue: Field.reg0.rawValue + (field.rawValue - Field.xxreg0.rawValue) * 4 + UInt8(part))!
                    if key[register] != 0 { mask.bits[register] = register.layout.allOnes }
                }
            } else {
                mask.bits[field] = field.layout.allOnes
            }
        }
        var text = format(Match(key: key, mask: mask), ports: ports)
        if etherType == 0x8847 || etherType == 0x8848 {
            for index in 1..<max(2, min(3, Int(key.load(at: FlowOffset.mplsCount, count: 1)))) {
                let entry = key.load(at: FlowOffset.mplsLSE0 + 4 * index, count: 4)
                if entry != 0 { text += ",mpls_lse\(index)=\(entry)" }
            }
        }
        return text
    }
}

extension FlowKey {
    /// Builds a packet that extraction reads back as this key: headers with right lengths and checksums, `payload` behind
    /// them, padded to `minimumLength`, Ethernet's 60 bytes by default.
    ///
    /// What no packet can say (ports of a later fragment, metadata) is ignored.
    public func compose(payload: [UInt8] = [], minimumLength: Int = 60) -> [UInt8] {
        var packet = PacketBuilder()
        var tags: [VLANTag] = []
        for (offset, typeOffset) in [(FlowOffset.vlanTCI, FlowOffset.vlanTPID), (FlowOffset.vlanTCI2, FlowOffset.vlanTPID2)] {
            let tci = UInt16(load(at: offset, count: 2))
            guard tci & 0x1000 != 0 else { break }
            let tpid = UInt16(load(at: typeOffset, count: 2))
            tags.append(VLANTag(identifier: tci & 0xfff, priority: UInt8(tci >> 13), tpid: tpid == 0 ? EtherType.vlan : tpid))
        }
        let etherType = UInt16(self[.ethType])
        let destination = MACAddress(UInt64(self[.ethDst]))
        let source = MACAddress(UInt64(self[.ethSrc]))
        if etherType < EtherType.minimum {
            // An 802.3 frame: length and an LLC header that is not SNAP.
            EthernetHeader(destination: destination, source: source, tags: tags, etherType: UInt16(3 + payload.count)).emit(into: &packet)
            packet.append([0x42, 0x42, 0x03])
            packet.append(payload)
            packet.pad(to: minimumLength)
            return packet.bytes
        }
        EthernetHeader(destination: destination, source: source, tags: tags, etherType: etherType).emit(into: &packet)
        switch etherType {
        case EtherType.ipv4: composeIPv4(into: &packet, payload)
        case EtherType.ipv6: composeIPv6(into: &packet, payload)
        case EtherType.arp, EtherType.rarp:
            ARPMessage(
                operation: UInt16(self[.arpOp]), senderHardware: MACAddress(UInt64(self[.arpSHA])),
                senderProtocol: IPv4Address(UInt32(self[.arpSPA])), targetHardware: MACAddress(UInt64(self[.arpTHA])),
                targetProtocol: IPv4Address(UInt32(self[.arpTPA]))
            ).emit(into: &packet)
        case EtherType.mpls, EtherType.mplsMulticast:
            for index in 0..<max(1, min(3, Int(load(at: FlowOffset.mplsCount, count: 1)))) {
                packet.append(UInt32(load(at: FlowOffset.mplsLSE0 + 4 * index, count: 4)))
            }
            packet.append(payload)
        case EtherType.nsh:
            let isType1 = self[.nshMDType] == 1
            let length: UInt16 = isType1 ? 6 : 2
            packet.append(UInt16(self[.nshFlags] & 3) << 12 | UInt16(self[.nshTTL] & 63) << 6 | length)
            packet.append(UInt8(self[.nshMDType]))
            packet.append(UInt8(self[.nshNP]))
            packet.append(UInt32(load(at: FlowOffset.nshPathHeader, count: 4)))
            if isType1 {
                for index in 0..<4 { packet.append(UInt32(load(at: FlowOffset.nshContext + 4 * index, count: 4))) }
            }
            packet.append(payload)
        default: packet.append(payload)
        }
        packet.pad(to: minimumLength)
        return packet.bytes
    }

    private func composeIPv4(into packet: inout PacketBuilder, _ payload: [UInt8]) {
        let proto = UInt8(self[.nwProto])
        var header = IPv4Header(source: IPv4Address(UInt32(self[.nwSrc])), destination: IPv4Address(UInt32(self[.nwDst])), proto: proto)
        header.tos = UInt8(self[.nwTOS])
        header.ttl = UInt8(self[.nwTTL])
        let fragment = UInt8(self[.ipFrag])
        header.fragment = fragment & 2 != 0 ? 100 : fragment & 1 != 0 ? 0x2000 : 0
        let ip = header.emit(into: &packet)
        composeL4(proto, isIPv6: false, isLater: fragment & 2 != 0, ipOffset: ip, into: &packet, payload)
        IPv4Header.finish(&packet, at: ip)
    }

    private func composeIPv6(into packet: inout PacketBuilder, _ payload: [UInt8]) {
        let proto = UInt8(self[.nwProto])
        let fragment = UInt8(self[.ipFrag])
        let isLater = fragment & 2 != 0
        var header = IPv6Header(
            source: IPv6Address(self[.ipv6Src]), destination: IPv6Address(self[.ipv6Dst]),
            nextHeader: fragment == 0 ? proto : IPProtocol.fragment)
        header.trafficClass = UInt8(self[.nwTOS])
        header.flowLabel = UInt32(self[.ipv6Label])
        header.hopLimit = UInt8(self[.nwTTL])
        let ip = header.emit(into: &packet)
        if fragment != 0 {
            let next = isLater && proto == IPProtocol.fragment ? IPProtocol.noNextHeader : proto
            IPv6Header.emitFragment(nextHeader: next, offset: isLater ? 800 : 0, more: !isLater, identification: 1, into: &packet)
        }
        composeL4(proto, isIPv6: true, isLater: isLater, ipOffset: ip, into: &packet, payload)
        IPv6Header.finish(&packet, at: ip)
    }

    private func composeL4(
        _ proto: UInt8, isIPv6: Bool, isLater: Bool, ipOffset: Int, into packet: inout PacketBuilder, _ payload: [UInt8]
    ) {
        let source = UInt16(load(at: FlowOffset.tpSrc, count: 2))
        let destination = UInt16(load(at: FlowOffset.tpDst, count: 2))
        let start: Int
        switch (isLater, proto) {
        case (false, IPProtocol.tcp):
            var header = TCPHeader(source: source, destination: destination, flags: UInt16(self[.tcpFlags]))
            // A flow says nothing of windows.
            header.window = 0
            start = header.emit(into: &packet)
        case (false, IPProtocol.udp): start = UDPHeader(source: source, destination: destination).emit(into: &packet)
        case (false, IPProtocol.sctp): start = SCTPHeader(source: source, destination: destination).emit(into: &packet)
        case (false, IPProtocol.icmpv6) where isIPv6 && meetsPrerequisites(of: .ndTarget):
            var message = NeighborMessage(isSolicitation: source == 135, target: IPv6Address(self[.ndTarget]))
            message.reserved = UInt32(self[.ndReserved])
            if self[.ndSLL] != 0 { message.sourceLinkLayer = MACAddress(UInt64(self[.ndSLL])) }
            if self[.ndTLL] != 0 { message.targetLinkLayer = MACAddress(UInt64(self[.ndTLL])) }
            start = message.emit(into: &packet)
        case (false, IPProtocol.icmp) where !isIPv6, (false, IPProtocol.igmp) where !isIPv6, (false, IPProtocol.icmpv6) where isIPv6:
            start = ICMPHeader(type: UInt8(source & 0xff), code: UInt8(destination & 0xff)).emit(into: &packet)
        default:
            packet.append(payload)
            return
        }
        packet.append(payload)
        TransportChecksum.finish(&packet, proto: proto, ipOffset: ipOffset, at: start)
    }
}
