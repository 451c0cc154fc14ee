// The NORMAL action: an Ethernet switch with VLANs and MAC learning (IEEE 802.1Q).

internal import DatapathAPI
internal import Flow

extension Translator {
    /// Whether bridges keep an address to themselves: 01:80:c2:00:00:0x (IEEE 802.1Q section 8.6.3), and what vendors' own
    /// protocols of that kind use: Cisco's CDP, VTP, PVST+, UplinkFast, ISL and CFM, Extreme's EDP and EAPS.
    static func isReserved(_ address: UInt64) -> Bool {
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
        let number = load32(FlowOffset.inPort)
        let from = view.byNumber[number]
        // A packet of nobody's, or of a controller's, is flooded to all.
        let isForeign = number == OpenFlowPort.any.rawValue || number == OpenFlowPort.controller.rawValue
        if from == nil, !isPacketOut, !isForeign {
            refuse("the input port \(number) is not a port of the bridge")
            return
        }
        if from?.isMirrorOutput == true {
            report(.warning, "input port is mirror output port, dropping")
            drop(.normalFiltered)
            return
        }
        var lanes = self.lanes
        if let from {
            if !isValid(lanes, from: from) {
                report(.warning, "disallowed VLAN VID for this input port, dropping")
                drop(.normalFiltered)
                return
            }
            if from.port.vlanMode == .dot1qTunnel { lookAtTags() }
            guard let inside = lanes.entering(from.port) else {
                refuse("a packet with two tags came in by dot1q-tunnel port \(from.port.name), which would add a third")
                return
            }
            lanes = inside
        }
        if Translator.isReserved(destination), !view.settings.forwardsReservedMulticast {
            refuse("packet has reserved destination MAC, dropping")
            return
        }
        let vlan = lanes.outer.id
        // Where learning is off, everything is flooded.
        let learns = view.settings.floodVLANs?.contains(vlan) != true
        if let from, learns { learn(source, vlan: vlan, from: from) }
        let isGroup = destination >> 40 & 1 == 1
        if !isGroup, learns {
            dependencies.formUnion(view.macTable.dependency(destination, vlan: vlan))
            if let learned = view.macTable.lookup(destination, vlan: vlan), let port = view.byNumber[learned.rawValue] {
                if learned.rawValue == number {
                    refuse("learned port is input port, dropping")
                } else if port.isMirrorOutput {
                    refuse("learned port is a mirror port, dropping")
                } else if !includes(lanes, port) {
                    refuse("the learned port does not carry VLAN \(vlan)")
                } else {
                    report(.detail, "forwarding to learned port")
                    sendNormal(to: port, lanes)
                }
                return
            }
        }
        report(.detail, isGroup ? "group address, flooding" : "no learned MAC for destination, flooding")
        let before = outputCount
        // The bridge's own port is first, as the oldest.
        let targets = view.ports.filter { $0.number == .local } + view.ports.filter { $0.number != .local }
        for port in targets where port.number.rawValue != number && port.floods && !port.isMirrorOutput && includes(lanes, port) {
            if failure != nil { return }
            sendNormal(to: port, lanes)
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
}
