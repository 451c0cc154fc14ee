// What a megaflow's packets count for: the pipeline's side of a cached decision.

internal import Base
internal import DatapathAPI
internal import Flow

/// A table that a translation looked in, and what it found.
struct TableVisit {
    let bridge: Bridge
    let table: UInt8
    let rule: FlowRule?
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
