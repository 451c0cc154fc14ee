// Mirroring: what enters or leaves a port is copied as it is at that moment.

internal import DatapathAPI
internal import Flow

extension Translator {
    /// Copies the packet, as it is now, to mirrors that select what enters or leaves by `port`.
    ///
    /// A place that got a copy gets another one only once the packet has changed.
    func mirror(_ port: PortView, _ candidates: UInt32) {
        if mirrorChange != changeMark {
            mirrorChange = changeMark
            mirrored = 0
        }
        var left = candidates & ~mirrored
        if left == 0 { return }
        let lanes = self.lanes
        guard isValid(lanes, from: port) else { return }
        guard let inside = lanes.entering(port.port) else { return }
        while left != 0 {
            let mirror = view.mirrors[left.trailingZeroBitCount]
            left &= left - 1
            let settings = mirror.settings
            if let vlans = settings.vlans {
                lookBits16(FlowOffset.vlanTCI, 0x1fff)
                if !vlans.contains(inside.outer.id) { continue }
            }
            if let filter = settings.filter, !passes(filter) { continue }
            mirrored |= mirror.duplicates
            mirrorVisits.append(mirror)
            let outer = snapLength
            snapLength = settings.snapLength
            if let number = settings.outputPort {
                if let target = view.byNumber[number.rawValue] { sendNormal(to: target, inside) }
            } else if let vlan = settings.outputVLAN, inside.outer.id != vlan {
                lookBytes(FlowOffset.ethDst, 6)
                if !Translator.isReserved(load48(FlowOffset.ethDst)) {
                    var moved = inside
                    moved.outer.id = vlan
                    for target in view.ports where !target.isMirrorOutput && includes(moved, target) { sendNormal(to: target, moved) }
                }
            }
            snapLength = outer
            left &= ~mirrored
        }
    }

    /// Whether the packet matches; looks at what the match looks at.
    private func passes(_ filter: Match) -> Bool {
        let all = UnsafeMutableRawPointer(looked).assumingMemoryBound(to: UInt64.self)
        let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt64.self)
        var difference: UInt64 = 0
        for word in 0..<FlowKey.wordCount {
            let bits = filter.mask.bits.words[word]
            if bits == 0 { continue }
            if word < 40 { all[word] |= bits & ~own[word] }
            difference |= (key.pointee.words[word] ^ filter.key.words[word]) & bits
        }
        return difference == 0
    }
}
