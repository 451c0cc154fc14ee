// What the tokens of punted packets stand for.
//
// A megaflow with a controller action holds a token; the packet comes back with it, perhaps after the megaflow has gone.
// Equal descriptions share a token. A token is forgotten some time after the last holder let go of it: the registry keeps
// a fixed number of such tokens.

internal import DatapathAPI
internal import Flow
internal import Synchronization

/// Everything a packet-in says beside the packet.
struct PuntDescription: Hashable, Sendable {
    var bridge: UInt32
    var reason: PacketInReason
    var table: UInt8
    var cookie: UInt64
    var inPort: OpenFlowPort
    var controllerID: UInt16
    var maxLength: UInt16
    var userdata: [UInt8]
    /// Words of the key's lines 3, 5 and 6 (tunnel, registers, metadata), or empty if they are all zero.
    var metadata: [UInt64]
}

/// The registry.
///
/// ## Thread safety
/// All members may be called from any thread; a lock is held for a dictionary operation.
final class PuntRegistry: Sendable {
    private struct Entry {
        var description: PuntDescription
        var holders: Int
    }
    private struct State {
        var tokens: [PuntDescription: UInt32] = [:]
        var entries: [UInt32: Entry] = [:]
        /// Tokens without holders, oldest first; some have found a holder again.
        var lingering: [UInt32] = []
        var next: UInt32 = 1
    }
    private let state = Mutex(State())

    /// The token for a description; to be given back with `release`.
    func acquire(_ description: PuntDescription) -> PuntToken {
        state.withLock { state in
            if let token = state.tokens[description] {
                state.entries[token]!.holders += 1
                return PuntToken(rawValue: token)
            }
            while state.entries[state.next] != nil || state.next == 0 { state.next &+= 1 }
            let token = state.next
            state.next &+= 1
            state.tokens[description] = token
            state.entries[token] = Entry(description: description, holders: 1)
            return PuntToken(rawValue: token)
        }
    }

    func release(_ token: PuntToken) {
        state.withLock { state in
            guard let holders = state.entries[token.rawValue]?.holders else { return }
            state.entries[token.rawValue]!.holders = holders - 1
            if holders > 1 { return }
            state.lingering.append(token.rawValue)
            guard state.lingering.count > 2 * PipelineLimits.lingeringPuntTokens else { return }
            for old in state.lingering.prefix(PipelineLimits.lingeringPuntTokens) {
                guard let entry = state.entries[old], entry.holders == 0 else { continue }
                state.entries[old] = nil
                state.tokens[entry.description] = nil
            }
            state.lingering.removeFirst(PipelineLimits.lingeringPuntTokens)
        }
    }

    func description(of token: PuntToken) -> PuntDescription? { state.withLock { $0.entries[token.rawValue]?.description } }
}
