// The contract between the pipeline, which decides, and the datapath, which remembers and carries out.
//
// A packet that no megaflow covers is an upcall: the datapath calls `PacketTranslator.translate` and gets back actions,
// the mask of bits that were looked at, and what the decision depended on. It installs a megaflow from them. While the
// dependencies' versions stand, every packet that agrees with the key under the mask gets the same actions.

public import Base
public import Flow

/// The pipeline's bookkeeping for a translation: which rules to credit with packets and bytes, which MAC-learning entries
/// to keep alive. The datapath holds it for as long as the megaflow lives and hands it back with counts.
public protocol TranslationEffects: AnyObject, Sendable {
    /// Whether what packets teach by it depends on which of them came last: then counts are handed over in the order in which
    /// megaflows were last used.
    var isOrdered: Bool { get }
    /// Whether counts are not enough: order, or TCP flags of packets matter, which hardware does not report.
    var needsPackets: Bool { get }
}

extension TranslationEffects {
    public var isOrdered: Bool { false }
    public var needsPackets: Bool { isOrdered }
}

/// Counts since the last time they were handed over.
public struct FlowStatisticsDelta: Sendable {
    public var packets: UInt64
    public var bytes: UInt64
    /// When the newest of these packets came.
    public var lastUsed: Instant
    /// All TCP flags seen, ored (12 bits).
    public var tcpFlags: UInt16
    public init(packets: UInt64, bytes: UInt64, lastUsed: Instant, tcpFlags: UInt16) {
        self.packets = packets
        self.bytes = bytes
        self.lastUsed = lastUsed
        self.tcpFlags = tcpFlags
    }
}

/// The answer to one upcall. Reused from call to call: `reset` keeps the arrays' capacity.
public struct Translation: Sendable {
    public var actions: [DatapathAction] = []
    /// Every bit of the key that the decision looked at. Superfluous bits are harmless, missing ones are wrong. Only the
    /// datapath's lines count.
    public var mask = FlowMask()
    /// What the decision depended on.
    public var dependencies = DependencySet()
    /// `DependencyVersions.sequence` as it was before the decision began: a change in between makes the megaflow stale at once.
    public var sequence: UInt64 = 0
    /// `DependencyVersions.tableSequence` as it was before the decision began.
    public var tableSequence: UInt64 = 0
    /// Bit n: some table lookup saw word n of the key otherwise than it was received, so that the megaflow's match says
    /// nothing about what a rule finds there. Bit `TableChange.inPortWord`: some lookup was not made with the input port.
    public var rewrittenWords: UInt64 = .max
    public var effects: (any TranslationEffects)?
    /// False: carry the actions out for this packet and install nothing.
    public var isCacheable = true

    public init() {}

    /// Back to an empty answer.
    public mutating func reset() {
        actions.removeAll(keepingCapacity: true)
        mask = FlowMask()
        dependencies = DependencySet()
        sequence = 0
        tableSequence = 0
        rewrittenWords = .max
        effects = nil
        isCacheable = true
    }
}

/// A packet that came to the control plane by `DatapathAction.punt`.
public struct PuntedPacket: Sendable {
    public var token: PuntToken
    /// The packet, cut to the punt's length.
    public var bytes: [UInt8]
    /// Its length before the cut.
    public var totalLength: Int
    /// The key as extracted when it was received.
    public var key: FlowKey
    public init(token: PuntToken, bytes: [UInt8], totalLength: Int, key: FlowKey) {
        self.token = token
        self.bytes = bytes
        self.totalLength = totalLength
        self.key = key
    }
}

/// The pipeline, as the datapath sees it.
///
/// ## Thread safety
/// `translate` is called by any number of PMD and handler threads at once and must not wait for controllers.
/// `credit`, `release` and `receive` are called from the datapath's maintenance thread.
public protocol PacketTranslator: AnyObject, Sendable {
    /// Decides what happens to a packet.
    ///
    /// - Parameters:
    ///   - key: the packet's key; pipeline lines are zero; `datapathInPort` and `recircID` are set.
    ///   - packet: the frame's bytes (at least the headers), or empty when there is none (re-translation, trace).
    ///   - hasSideEffects: true for a real packet: MAC addresses are learned, and `packets: 1` of the packet itself is
    ///     *not* counted here (the datapath counts it by `credit`). False for re-translation.
    ///   - translation: reset by the callee, then filled.
    func translate(_ key: borrowing FlowKey, packet: UnsafeRawBufferPointer, hasSideEffects: Bool, into translation: inout Translation)

    /// Hands over what a megaflow (or a packet that was not cached) counted.
    func credit(_ effects: any TranslationEffects, _ delta: FlowStatisticsDelta)

    /// Takes a packet that an action sent up.
    func receive(_ packet: PuntedPacket)
}
