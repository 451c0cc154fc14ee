internal import DatapathAPI

/// A list of actions and its program, shared by the megaflows that have the same one.
///
/// ## Thread safety
/// Immutable.
final class CompiledActions: Sendable {
    let actions: [DatapathAction]
    private let memory: Program

    /// `@unchecked Sendable`: the memory is written before anybody else sees it, and never again.
    private struct Program: @unchecked Sendable { let program: ActionProgram }

    var program: ActionProgram { memory.program }

    init(_ actions: [DatapathAction]) {
        self.actions = actions
        memory = Program(program: ActionProgram(compiling: actions))
    }

    deinit { program.deallocate() }
}

/// The lists that were compiled last: flows that come in a row mostly have one of a few.
struct RecentActions {
    private static let limit = 8
    /// The latest first.
    private var lists: [CompiledActions] = []

    mutating func compile(_ actions: [DatapathAction]) -> CompiledActions {
        if let place = lists.firstIndex(where: { $0.actions == actions }) {
            if place != 0 { lists.swapAt(place, place - 1) }
            return lists[max(place - 1, 0)]
        }
        let made = CompiledActions(actions)
        if lists.count == RecentActions.limit { lists.removeLast() }
        lists.insert(made, at: 0)
        return made
    }
}
