// The NORMAL action: an Ethernet switch with VLANs and MAC learning (IEEE 802.1Q).

internal import DatapathAPI
internal import Flow

extension Translator {
    /// Whether bridges keep an address to themselves: 01:80:c2:00:00:0x (IEEE 802.1Q section 8.6.3), and what vendors' own
    /// protocols of that kind use: Cisco's CDP, VTP, PVST+, UplinkFast, ISL and CFM, Extreme's EDP and EAPS.
    private static func isReserved(_ address: UInt64) -> Bool {
        switch address & ~0xf {
        case 0x0180_c200_0000, 0x0100_0ccc_ccc0: true
        case 0x0100_0ccd_cdc0: address == 0x0100_0ccd_cdcd
        case 0x0100_0c00_0000: address == 0x0100_0c00_0000
        case 0x00e0_2b00_0000: [0, 4, 6].contains(address & 0xf)
        default: false
        }
    }

    func normal() {
        let destination = load48(FlowOffset.ethDst)
        let source = load48(FlowOffset.ethSrc)
        // The source is looked at because a station not seen before has to be learned.
        lookBytes(FlowOffset.ethDst, 12)
        lookBits16(FlowOffset.vlanTCI, 0x1fff)
        let id = isTagged ? load16(FlowOffset.vlanTCI) & 0xfff : 0
        let number = load32(FlowOffset.inPort)
        let from = view.byNumber[number]
        if from == nil, !isPacketOut {
            refuse("the input port \(number) is not a port of the bridge")
            return
        }
        if Translator.isReserved(destination), !view.settings.forwardsReservedMulticast {
            refuse("reserved multicast address, not forwarded")
            return
        }
        var vlan = id
        if let from {
            switch from.port.vlanMode {
            case .access:
                if id != 0 {
                    refuse("VLAN \(id) tagged packet on an access port of VLAN \(from.port.tag)")
                    return
                }
                vlan = from.port.tag
            case .trunk: break
            case .nativeTagged, .nativeUntagged: if id == 0 { vlan = from.port.tag }
            }
            if !from.port.carries(vlan: vlan) {
                refuse("the input port does not carry VLAN \(vlan)")
                return
            }
            learn(source, vlan: vlan, from: from)
        }
        let isGroup = destination >> 40 & 1 == 1
        if !isGroup {
            dependencies.formUnion(view.macTable.dependency(destination, vlan: vlan))
            if let learned = view.macTable.lookup(destination, vlan: vlan), let port = view.byNumber[learned.rawValue] {
                if learned.rawValue == number {
                    refuse("learned port is input port, dropping")
                } else if !port.port.carries(vlan: vlan) {
                    refuse("the learned port does not carry VLAN \(vlan)")
                } else {
                    report(.detail, "forwarding to learned port")
                    sendNormal(to: port, vlan: vlan)
                }
                return
            }
        }
        report(.detail, isGroup ? "group address, flooding" : "no learned MAC for destination, flooding")
        let before = outputCount
        for port in view.ports where port.number.rawValue != number && port.floods && port.port.carries(vlan: vlan) {
            if failure != nil { return }
            sendNormal(to: port, vlan: vlan)
        }
        if outputCount == before { drop(.normalFiltered) }
    }

    private func refuse(_ reason: String) {
        report(.detail, reason)
        drop(.normalFiltered)
    }

    /// Notes where a station is. Learning itself waits for the end of the translation, and for a real packet.
    private func learn(_ address: UInt64, vlan: UInt16, from port: PortView) {
        // Group addresses are no station's; the all-zero one is nobody's.
        if address >> 40 & 1 == 1 || address == 0 { return }
        let sighting = StationSighting(table: view.macTable, address: address, vlan: vlan, port: port.number)
        stations.append(sighting)
        if hasSideEffects, !view.macTable.touch(address, vlan: vlan, port: port.number, now: now) { newStations.append(sighting) }
    }

    /// Sends a packet of a VLAN by a port, tagged as the port wants it.
    private func sendNormal(to port: PortView, vlan: UInt16) {
        let id: UInt16 =
            switch port.port.vlanMode {
            case .access: 0
            case .trunk, .nativeTagged: vlan
            case .nativeUntagged: vlan == port.port.tag ? 0 : vlan
            }
        let current = load16(FlowOffset.vlanTCI)
        if isTagged ? (id != 0 && current & 0xfff == id) : id == 0 {
            send(to: port)
            return
        }
        lookAtTags()
        let saved = tags
        if id == 0 {
            tags = (saved.2, saved.3, 0, 0)
        } else if isTagged {
            tags.0 = current & 0xf000 | id
        } else {
            tags = (Translator.vlanPresent | id, 0x8100, 0, 0)
        }
        send(to: port)
        tags = saved
    }
}
