// Small numbers that stand for descriptions.
//
// What a megaflow refers to must be found again when a packet comes back with it, perhaps after the megaflow has gone.
// Equal descriptions share a number. A number is forgotten some time after the last holder let go of it: the registry keeps
// a fixed number of such numbers.

internal import Synchronization

/// A space of numbers, for one registry or several.
///
/// ## Thread safety
/// Any thread may call it.
final class TokenNumbers: Sendable {
    private struct State {
        var next: UInt32 = 1
        var used: Set<UInt32> = []
    }
    private let state = Mutex(State())

    /// The next number that nobody has; never 0.
    func take() -> UInt32 {
        state.withLock { state in
            while state.next == 0 || state.used.contains(state.next) { state.next &+= 1 }
            state.used.insert(state.next)
            defer { state.next &+= 1 }
            return state.next
        }
    }

    func giveBack(_ number: UInt32) { state.withLock { _ = $0.used.remove(number) } }
}

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
    }
    private let state: Mutex<State>
    private let numbers: TokenNumbers
    private let lingering: Int

    /// - Parameters:
    ///   - numbers: where its numbers come from.
    ///   - lingering: numbers without holders that are kept at least.
    init(numbers: TokenNumbers = TokenNumbers(), lingering: Int = PipelineLimits.lingeringPuntTokens) {
        state = Mutex(State())
        self.numbers = numbers
        self.lingering = lingering
    }

    /// The number for a description, never 0; to be given back with `release`.
    func acquire(_ description: Description) -> UInt32 {
        state.withLock { state in
            if let token = state.tokens[description] {
                state.entries[token]!.holders += 1
                return token
            }
            let token = numbers.take()
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
                numbers.giveBack(old)
                state.tokens[entry.description] = nil
            }
            state.lingering.removeFirst(lingering)
        }
    }

    func description(of token: UInt32) -> Description? { state.withLock { $0.entries[token]?.description } }
}
