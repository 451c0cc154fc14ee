// What the tokens of punted packets stand for.
//
// A megaflow with a controller action holds a token; the packet comes back with it (`TokenRegistry`).

internal import DatapathAPI
internal import Flow

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
    /// What a paused packet goes on with; nil if it does not.
    var frozen: UInt32?
    /// Whether no rule sent it: the table's own behaviour on a miss did.
    var isImplicitMiss = false
    /// Whether OpenFlow 1.3's table-miss rule sent it.
    var isMissRule = false
    /// The mark that the packet has got; nil if it has the one that it came with.
    var packetMark: UInt32?
    /// The tunnel's key that the packet has got; nil if it has that of the tunnel it came by.
    var tunnelID: UInt64?
    /// Those of the key's words that `metadataWords` names, or empty if they are all zero.
    var metadata: [UInt64]

    /// Registers and metadata.
    static let metadataWords = Array(40..<49) + Array(56..<64)
}

/// The registry.
///
/// ## Thread safety
/// All members may be called from any thread; a lock is held for a dictionary operation.
final class PuntRegistry: Sendable {
    private let registry = TokenRegistry<PuntDescription>()

    /// The token for a description; to be given back with `release`.
    func acquire(_ description: PuntDescription) -> PuntToken { PuntToken(rawValue: registry.acquire(description)) }
    func release(_ token: PuntToken) { registry.release(token.rawValue) }
    func description(of token: PuntToken) -> PuntDescription? { registry.description(of: token.rawValue) }
}
