// A change of one rule, precise enough to tell which megaflows it may concern.
//
// Stamping a table's slot makes every megaflow stale that looked in the table: right, and expensive when rules change ten
// thousand times a second while traffic flows. A change of a rule concerns only megaflows whose packets the rule matches;
// the datapath can find those by comparing keys, and mark them alone.

public import Flow

/// Packets that a change of a flow table may concern: those that agree with `match` and came in by `inPort`, as far as
/// they are looked up in the table as they were received.
public struct TableChange: Sendable {
    /// The table's slot: only decisions that depended on it are concerned.
    public var slots: DependencySet
    /// What the changed rule matches of the packet. Words of the pipeline's own lines are ignored.
    public var match: CompactMatch
    /// The port that packets must have come in by; nil is any.
    public var inPort: DatapathPort?

    public init(slots: DependencySet, match: CompactMatch, inPort: DatapathPort?) {
        self.slots = slots
        self.match = match
        self.inPort = inPort
    }

    /// Bit of `Translation.rewrittenWords` that says that the input port was another one in some lookup: the word of the key
    /// that has it.
    public static let inPortWord = FlowOffset.inPort / 8
}
