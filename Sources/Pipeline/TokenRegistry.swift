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
        /// The same for numbers below a limit, once the others have gone beyond it.
        var nextSmall: UInt32 = 1
        var used: Set<UInt32> = []
    }
    private let state = Mutex(State())

    /// Numbers are below this; what has the bit set means something else.
    static let end: UInt32 = 1 << 31
    /// Numbers below a limit that are looked at for one that is free.
    private static let smallAttempts = 4096

    /// The next number that nobody has; never 0, and below 2^31.
    ///
    /// - Parameter limit: the number is to be below this. Nil if none is found.
    func take(below limit: UInt32 = end) -> UInt32? {
        state.withLock { state in
            if limit == TokenNumbers.end || state.next < limit {
                while state.used.contains(state.next) { state.next = TokenNumbers.after(state.next, TokenNumbers.end) }
                if state.next < limit {
                    state.used.insert(state.next)
                    defer { state.next = TokenNumbers.after(state.next, TokenNumbers.end) }
                    return state.next
                }
            }
            for _ in 0..<TokenNumbers.smallAttempts {
                defer { state.nextSmall = TokenNumbers.after(state.nextSmall, limit) }
                if state.used.insert(state.nextSmall).inserted { return state.nextSmall }
            }
            return nil
        }
    }

    private static func after(_ number: UInt32, _ end: UInt32) -> UInt32 { number + 1 >= end ? 1 : number + 1 }

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
    private let limit: UInt32

    /// - Parameters:
    ///   - numbers: where its numbers come from.
    ///   - lingering: numbers without holders that are kept at least.
    ///   - limit: numbers are to be below this.
    init(
        numbers: TokenNumbers = TokenNumbers(), lingering: Int = PipelineLimits.lingeringPuntTokens, limit: UInt32 = 1 << 31
    ) {
        state = Mutex(State())
        self.numbers = numbers
        self.lingering = lingering
        self.limit = limit
    }

    /// The number for a description, to be given back with `release`; 0 if there is none left below the limit.
    func acquire(_ description: Description) -> UInt32 {
        state.withLock { state in
            if let token = state.tokens[description] {
                state.entries[token]!.holders += 1
                return token
            }
            guard let token = numbers.take(below: limit) else { return 0 }
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
