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
    private let tokens: [PuntToken]
    private let registry: PuntRegistry

    /// Takes over the holds on `tokens`.
    init(visits: [TableVisit], stations: [StationSighting], tokens: [PuntToken], registry: PuntRegistry) {
        self.visits = visits
        self.stations = stations
        self.tokens = tokens
        self.registry = registry
    }

    deinit {
        for token in tokens { registry.release(token) }
    }
}
