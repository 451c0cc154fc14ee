// Rules that do the same share one list of actions: most of a table's rules do one of a few things.

internal import Flow

/// The action lists used last.
struct ActionLists {
    private static let slots = 64
    private var lists: [[Action]] = Array(repeating: [], count: slots)

    /// The same list, shared if it was seen lately.
    mutating func shared(_ list: [Action]) -> [Action] {
        guard let first = list.first else { return list }
        var slot = list.count
        if case .output(let port, _) = first { slot &+= Int(port.rawValue) &* 8 }
        slot &= ActionLists.slots - 1
        if lists[slot] == list { return lists[slot] }
        lists[slot] = list
        return list
    }
}
