// A packet's VLANs on their way through NORMAL: as it comes in, inside the bridge, as it goes out (IEEE 802.1Q).

internal import Flow

/// The outer two tags. A tag that is not there has type 0.
struct VLANLanes: Equatable {
    struct Lane: Equatable {
        /// 0x8100 or 0x88a8; 0: no tag.
        var type: UInt16 = 0
        var id: UInt16 = 0
        /// In the tag's top three bits.
        var priority: UInt16 = 0
    }
    var outer = Lane()
    var inner = Lane()

    /// Inside the bridge, for a packet that comes in by a port; nil if it would have more tags than there is room for.
    func entering(_ port: BridgePort) -> VLANLanes? {
        var result = self
        switch port.vlanMode {
        case .trunk: break
        case .access, .nativeTagged, .nativeUntagged:
            if outer.id == 0 {
                if outer.type == 0 { result.outer.type = 0x8100 }
                result.outer.id = port.tag
            }
        case .dot1qTunnel:
            if inner.type != 0 { return nil }
            result.inner = outer
            result.outer = Lane(type: port.tunnelEtherType, id: port.tag)
        }
        return result
    }

    /// As a packet inside the bridge goes out by a port. `priority` is that of the packet's outer tag now.
    func leaving(_ port: BridgePort, priority: UInt16) -> VLANLanes {
        var result = self
        switch port.vlanMode {
        case .trunk, .nativeTagged: break
        case .access, .dot1qTunnel: result = popped
        case .nativeUntagged: if outer.id == port.tag { result = popped }
        }
        // VLAN 0 is no VLAN: a tag with nothing but a priority is kept only where it is wanted.
        if port.priorityTags != .never { result.outer.priority = priority }
        if result.outer.id | result.outer.priority == 0, !(port.priorityTags == .always && result.outer.type != 0) {
            result.outer = Lane()
        } else if result.outer.type == 0 {
            result.outer.type = 0x8100
        }
        return result
    }

    private var popped: VLANLanes { VLANLanes(outer: inner, inner: Lane()) }
}

extension Translator {
    /// The tags that the packet has now.
    var lanes: VLANLanes {
        func lane(_ tci: UInt16, _ type: UInt16) -> VLANLanes.Lane {
            tci & Translator.vlanPresent == 0
                ? VLANLanes.Lane() : VLANLanes.Lane(type: type == 0 ? 0x8100 : type, id: tci & 0xfff, priority: tci & 0xe000)
        }
        let (outer, outerType, inner, innerType) = tags
        let first = lane(outer, outerType)
        return VLANLanes(outer: first, inner: first.type == 0 ? VLANLanes.Lane() : lane(inner, innerType))
    }

    /// Whether a port takes a packet with these tags.
    func isValid(_ lanes: VLANLanes, from port: PortView) -> Bool {
        let vlan = lanes.outer.id
        switch port.port.vlanMode {
        case .access:
            if vlan == 0 { return true }
            report(
                .error,
                "dropping VLAN \(vlan) tagged packet received on port \(port.port.name) configured as VLAN \(port.port.tag) access port")
        case .trunk, .nativeTagged, .nativeUntagged:
            if vlan == 0, port.port.vlanMode != .trunk { return true }
            if port.port.trunks?.contains(vlan) ?? true { return true }
            if vlan == port.port.tag, port.port.vlanMode != .trunk { return true }
            report(
                .error,
                "dropping VLAN \(vlan) packet received on port \(port.port.name) not configured for trunking VLAN \(vlan)")
        case .dot1qTunnel:
            if port.port.customerVLANs?.contains(vlan) ?? true { return true }
            report(
                .error,
                "dropping VLAN \(vlan) packet received on dot1q-tunnel port \(port.port.name) that excludes this VLAN")
        }
        return false
    }

    /// Whether a packet inside the bridge may leave by a port.
    func includes(_ lanes: VLANLanes, _ port: PortView) -> Bool {
        if port.port.vlanMode == .dot1qTunnel, port.port.customerVLANs != nil { lookAtTags() }
        return port.port.carries(vlan: lanes.outer.id, customer: lanes.inner.id)
    }

    /// Sends a packet inside the bridge by a port, tagged as the port wants it.
    func sendNormal(to port: PortView, _ lanes: VLANLanes) {
        let now = self.lanes
        let wanted = lanes.leaving(port.port, priority: now.outer.priority)
        // A tag of VLAN 0 may be kept or not, depending on its priority.
        if isTagged, wanted != now || now.outer.id == 0 { lookAtTags() }
        if wanted == now {
            send(to: port)
            return
        }
        let saved = tags
        func tci(_ lane: VLANLanes.Lane) -> UInt16 { lane.type == 0 ? 0 : Translator.vlanPresent | lane.priority | lane.id }
        tags = (tci(wanted.outer), wanted.outer.type, tci(wanted.inner), wanted.inner.type)
        send(to: port)
        tags = saved
    }
}
