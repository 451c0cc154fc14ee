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
    private let tokens: [PuntToken]
    private let recirculations: [UInt32]
    private let recirculationRegistry: RecirculationRegistry
    private let registry: PuntRegistry

    /// Takes over the holds on `tokens` and `recirculations`.
    init(
        visits: [TableVisit], stations: [StationSighting], tokens: [PuntToken], registry: PuntRegistry, groups: [GroupVisit],
        mirrors: [Mirror], recirculations: [UInt32], recirculationRegistry: RecirculationRegistry
    ) {
        self.groups = groups
        self.mirrors = mirrors
        self.recirculations = recirculations
        self.recirculationRegistry = recirculationRegistry
        self.visits = visits
        self.stations = stations
        self.tokens = tokens
        self.registry = registry
    }

    deinit {
        for token in tokens { registry.release(token) }
        for id in recirculations { recirculationRegistry.release(id) }
    }
}
