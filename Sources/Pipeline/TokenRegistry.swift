// Small numbers that stand for descriptions.
//
// What a megaflow refers to must be found again when a packet comes back with it, perhaps after the megaflow has gone.
// Equal descriptions share a number. A number is forgotten some time after the last holder let go of it: the registry keeps
// a fixed number of such numbers.

internal import Synchronization

/// The registry.
///
/// ## Thread safety
/// All members may be called from any thread; a lock is held for a dictionary operation.
final class TokenRegistry<Description: Hashable & Sendable>: Sendable {
    private struct Entry {
        var description: Description
        var holders: Int
    }
    private struct State {
        var tokens: [Description: UInt32] = [:]
        var entries: [UInt32: Entry] = [:]
        /// Numbers without holders, oldest first; some have found a holder again.
        var lingering: [UInt32] = []
        var next: UInt32
    }
    private let state: Mutex<State>
    private let step: UInt32
    private let lingering: Int

    /// - Parameters:
    ///   - first: the first number, not 0.
    ///   - step: between numbers: where two registries share a space of numbers, each takes every other.
    ///   - lingering: numbers without holders that are kept at least.
    init(first: UInt32 = 1, step: UInt32 = 1, lingering: Int = PipelineLimits.lingeringPuntTokens) {
        state = Mutex(State(next: first))
        self.step = step
        self.lingering = lingering
    }

    /// The number for a description, never 0; to be given back with `release`.
    func acquire(_ description: Description) -> UInt32 {
        state.withLock { state in
            if let token = state.tokens[description] {
                state.entries[token]!.holders += 1
                return token
            }
            while state.entries[state.next] != nil || state.next == 0 { state.next &+= step }
            let token = state.next
            state.next &+= step
            state.tokens[description] = token
            state.entries[token] = Entry(description: description, holders: 1)
            return token
        }
    }

    func release(_ token: UInt32) {
        state.withLock { state in
            guard let holders = state.entries[token]?.holders else { return }
            state.entries[token]!.holders = holders - 1
            if holders > 1 { return }
            state.lingering.append(token)
            guard state.lingering.count > 2 * lingering else { return }
            for old in state.lingering.prefix(lingering) {
                guard let entry = state.entries[old], entry.holders == 0 else { continue }
                state.entries[old] = nil
                state.tokens[entry.description] = nil
            }
            state.lingering.removeFirst(lingering)
        }
    }

    func description(of token: UInt32) -> Description? { state.withLock { $0.entries[token]?.description } }
}
