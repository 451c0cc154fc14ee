// The order in which an action set is carried out (OpenFlow 1.5 section 5.6).

internal import Flow

enum ActionSet {
    /// A set's actions in order: pops, pushes, TTL, changes of fields in the order in which they were written, queue, and at the
    /// end a group or an output. Of each kind the one written last counts, a group goes before an output, and a set that leads
    /// nowhere is empty.
    static func ordered(_ set: [Action]) -> [Action] {
        var pops: [Action?] = [nil, nil]
        var pushes: [Action?] = [nil, nil]
        var decrements: [Action?] = [nil, nil]
        var sets: [Action] = []
        var queue: Action?
        var group: Action?
        var output: Action?
        var resubmit: Action?
        for action in set {
            switch action {
            case .popVLAN: pops[0] = action
            case .popMPLS: pops[1] = action
            case .pushMPLS: pushes[0] = action
            case .pushVLAN: pushes[1] = action
            case .decrementTTL: decrements[0] = action
            case .decrementMPLSTTL: decrements[1] = action
            case .setQueue, .popQueue: queue = action
            case .group: group = action
            case .output, .outputField, .outputTruncated, .controller, .enqueue: output = action
            case .resubmit: resubmit = action
            default: sets.append(action)
            }
        }
        guard let final = group ?? output ?? resubmit else { return [] }
        return (pops + pushes + decrements).compactMap { $0 } + sets + [queue, final].compactMap { $0 }
    }
}
