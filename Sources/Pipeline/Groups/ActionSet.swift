// The order in which an action set is carried out (OpenFlow 1.5 section 5.6).

internal import Flow

enum ActionSet {
    /// Whether an action set may hold an action: those that change the packet, and those that send it.
    static func mayHold(_ action: Action) -> Bool {
        switch action {
        case .output, .group, .resubmit, .resubmitTracked, .setQueue, .setField, .move, .setVLANID, .setVLANPriority, .pushVLAN, .popVLAN,
            .pushMPLS, .popMPLS, .setMPLSLabel, .setMPLSTC, .setMPLSTTL, .decrementMPLSTTL, .pushPBB, .popPBB, .copyTTLOut, .copyTTLIn,
            .setEthSrc, .setEthDst, .setIPv4Src, .setIPv4Dst, .setIPDSCP, .setIPECN, .setIPTTL, .setL4Src, .setL4Dst, .decrementTTL,
            .setTunnelID, .connectionTrack, .encapsulate, .decapsulate, .decrementNSHTTL:
            true
        default: false
        }
    }

    /// A set's actions in order: TTL inwards, pops, pushes, TTL outwards, decrements, changes of fields in the order in which
    /// they were written, queue, and at the end a group or an output. Of each kind the one written last counts, a group goes
    /// before an output, and a set that leads nowhere is empty.
    static func ordered(_ set: [Action]) -> [Action] {
        var firsts = [Action?](repeating: nil, count: 10)
        var sets: [Action] = []
        var queue: Action?
        var group: Action?
        var output: Action?
        var resubmit: Action?
        for action in set {
            switch action {
            case .copyTTLIn: firsts[0] = action
            case .popVLAN: firsts[1] = action
            case .popMPLS: firsts[2] = action
            case .popPBB: firsts[3] = action
            case .pushMPLS: firsts[4] = action
            case .pushPBB: firsts[5] = action
            case .pushVLAN: firsts[6] = action
            case .copyTTLOut: firsts[7] = action
            case .decrementTTL: firsts[8] = action
            case .decrementMPLSTTL: firsts[9] = action
            case .setQueue, .popQueue: queue = action
            case .group: group = action
            case .output, .outputField, .outputTruncated, .controller, .enqueue: output = action
            case .resubmit, .resubmitTracked: resubmit = action
            default: sets.append(action)
            }
        }
        guard let final = group ?? output ?? resubmit else { return [] }
        return firsts.compactMap { $0 } + sets + [queue, final].compactMap { $0 }
    }
}
