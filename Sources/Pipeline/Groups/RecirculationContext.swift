// What recirculation ids stand for.
//
// A megaflow that sends packets round again holds the ids that it names; a packet comes back with its id (`TokenRegistry`).

internal import Flow

/// Where the translation of a packet goes on that comes back from the datapath.
struct RecirculationContext: Hashable, Sendable {
    var bridge: UInt32
    var group: UInt32
    var table: UInt8
    /// The rule that sent it to the group.
    var rule: RuleReference?
    var isPacketOut: Bool
    var inActionSet: Bool
    /// The mirrors that have their copy.
    var mirrored: UInt32
    /// Words of the key's lines 5 to 7: registers, metadata, OpenFlow port.
    var metadata: [UInt64]

    /// A rule by identity.
    struct RuleReference: Hashable, Sendable {
        let rule: FlowRule
        static func == (left: RuleReference, right: RuleReference) -> Bool { left.rule === right.rule }
        func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(rule)) }
    }

    static let metadataWords = 40..<64
}
