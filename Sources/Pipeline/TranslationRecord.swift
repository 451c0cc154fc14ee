// What a megaflow's packets count for: the pipeline's side of a cached decision.

internal import Base
internal import DatapathAPI
internal import Flow

/// A table that a translation looked in, and what it found.
struct TableVisit {
    let bridge: Bridge
    let table: UInt8
    let rule: FlowRule?

    func isSame(as other: TableVisit) -> Bool { rule === other.rule && table == other.table && bridge === other.bridge }
}

/// A station that packets of this decision come from.
struct StationSighting {
    let table: MACTable
    let address: UInt64
    let vlan: UInt16
    let port: OpenFlowPort
}

/// Rules to credit, stations to keep alive, and punt tokens in use.
///
/// ## Thread safety
/// Immutable.
final class TranslationRecord: TranslationEffects, @unchecked Sendable {
    let visits: [TableVisit]
    let stations: [StationSighting]
    let groups: [GroupVisit]
    let mirrors: [Mirror]
    /// Of patch ports that the packets cross.
    let crossings: [GroupCounters]
    private let tokens: [PuntToken]
    let lessons: [Lesson]
    var isOrdered: Bool { !lessons.isEmpty }
    var needsPackets: Bool { !lessons.isEmpty || !finTimeouts.isEmpty }
    let finTimeouts: [FinTimeout]
    private let recirculations: [UInt32]
    private let recirculationRegistry: TokenRegistry<RecirculationContext>
    private let registry: PuntRegistry
    private let frozenTokens: [UInt32]
    private let frozen: TokenRegistry<FrozenState>

    /// Takes over the holds on `tokens`, `recirculations` and `frozenTokens`.
    init(
        visits: [TableVisit], stations: [StationSighting], tokens: [PuntToken], registry: PuntRegistry, groups: [GroupVisit],
        mirrors: [Mirror], crossings: [GroupCounters], recirculations: [UInt32], recirculationRegistry: TokenRegistry<RecirculationContext>,
        frozenTokens: [UInt32],
        frozen: TokenRegistry<FrozenState>, lessons: [Lesson], finTimeouts: [FinTimeout]
    ) {
        self.groups = groups
        self.mirrors = mirrors
        self.crossings = crossings
        self.recirculations = recirculations
        self.recirculationRegistry = recirculationRegistry
        self.lessons = lessons
        self.finTimeouts = finTimeouts
        self.visits = visits
        self.stations = stations
        self.tokens = tokens
        self.registry = registry
        self.frozenTokens = frozenTokens
        self.frozen = frozen
    }

    deinit {
        for token in tokens { registry.release(token) }
        for id in recirculations { recirculationRegistry.release(id) }
        for token in frozenTokens { frozen.release(token) }
    }
}

/// The latest records of a translator that have nothing but visits: flows that take the same way through the tables share one.
/// They are forgotten at any change, so that they keep no rule alive for longer than its megaflows might.
struct RecentRecords {
    private static let count = 16
    private var records = [TranslationRecord?](repeating: nil, count: RecentRecords.count)
    private var sequence: UInt64 = 0

    /// The record of these visits, if it is known. `sequence` is that of the change that the decision saw last.
    mutating func find(_ visits: [TableVisit], sequence: UInt64) -> TranslationRecord? {
        if sequence != self.sequence {
            for index in records.indices { records[index] = nil }
            self.sequence = sequence
        }
        guard let record = records[RecentRecords.place(visits)], record.visits.count == visits.count else { return nil }
        for index in visits.indices where !record.visits[index].isSame(as: visits[index]) { return nil }
        return record
    }

    mutating func remember(_ record: TranslationRecord) { records[RecentRecords.place(record.visits)] = record }

    private static func place(_ visits: [TableVisit]) -> Int {
        guard let rule = visits.last?.rule else { return 0 }
        return Int(truncatingIfNeeded: (UInt64(UInt(bitPattern: ObjectIdentifier(rule))) &* 0x9e37_79b9_7f4a_7c15) >> 60)
    }
}
