// Where a translation stopped, so that it can go on: when the packet has been looked at anew (recirculation), or when a
// controller says so (continuation).
//
// A state is values only: rules that change meanwhile do not change what a packet under way was promised.

internal import Flow

/// What is left to do for a packet, and what the pipeline knows about it beside its bytes.
struct FrozenState: Hashable, Sendable {
    /// Actions that were not carried out, of one rule.
    struct Segment: Hashable, Sendable {
        var table: UInt8
        var cookie: UInt64
        var isTableMiss: Bool
        var actions: [Action]
    }
    var bridge: UInt32
    var inPort: UInt32
    var isPacketOut: Bool
    /// Innermost first.
    var segments: [Segment]
    var actionSet: [Action]
    var stack: [UInt128]
    var packetMark: UInt32
    /// The mirrors that have their copy.
    var mirrored: UInt32 = 0
    /// The key's lines 3 (tunnel), 5, 6 and 7 (registers, metadata).
    var words: [UInt64]

    static let wordRanges = [24..<32, 40..<64]
}
