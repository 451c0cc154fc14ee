// What can be set on a flow table: by the configuration (`Flow_Table` rows) and by controllers (`OFPT_TABLE_MOD`).

public import Flow

/// What a `Flow_Table` row says.
public struct TableConfiguration: Equatable, Sendable {
    /// Shown to controllers; goes before a name that one of them gave.
    public var name = ""
    /// Rules that the table may have; nil is no limit but the bridge's.
    public var flowLimit: Int?
    /// What happens to a rule beyond the limit: whether another one makes room (`overflow_policy=evict`).
    public var evictsWhenFull = false
    /// Rules that have the same in these bits form a group; the largest group loses a rule first.
    public var groups: [SubField] = []
    /// Fields whose prefixes lookups that go stage by stage consider, in this order; nil is the standard ones.
    public var prefixes: [Field]?
    public init() {}
}

/// What becomes of a packet that no rule of a table matches (`OFPTC_TABLE_MISS_*`).
public enum TableMiss: UInt8, Sendable {
    /// What the versions of the connected controllers ask for: to controllers up to 1.2, a drop from 1.3 on.
    case standard
    case toController
    case nextTable
    case drop
}

/// Free room, in percent of a table's limit, whose crossing controllers are told of (`OFPTMPT_VACANCY`).
public struct VacancyLimits: Equatable, Sendable {
    public var down: UInt8
    public var up: UInt8
    public init(down: UInt8, up: UInt8) {
        self.down = down
        self.up = up
    }
}

/// A change by a controller; nil leaves things as they are.
public struct TableModification: Sendable {
    public enum Vacancy: Sendable {
        case off
        case on(VacancyLimits)
    }
    public var miss: TableMiss?
    public var evicts: Bool?
    public var vacancy: Vacancy?
    public init() {}
}

/// `OFPTR_VACANCY_*`.
public enum TableStatusReason: UInt8, Sendable {
    case vacancyDown = 3
    case vacancyUp = 4
}

/// A table as controllers see it.
public struct TableState: Equatable, Sendable {
    public var table: UInt8
    public var name: String
    public var flowLimit: Int?
    public var miss: TableMiss
    /// By a controller's wish.
    public var evicts: Bool
    /// Nil while vacancy events are off.
    public var vacancyLimits: VacancyLimits?
    /// Percent of the limit that is free.
    public var vacancy: UInt8
}

/// What is set on one table; under the bridge's writer lock.
struct TableSettings {
    var configured = TableConfiguration()
    var givenName = ""
    var miss = TableMiss.standard
    var evictsForControllers = false
    var vacancyLimits: VacancyLimits?
    /// The event that is due next; nil while events are off.
    var nextEvent: TableStatusReason?

    var evicts: Bool { configured.evictsWhenFull || evictsForControllers }

    /// Percent of the limit that is free; a table without a limit is as large as a bridge may be.
    func vacancy(active: Int) -> UInt8 {
        let limit = configured.flowLimit ?? PipelineLimits.rulesPerBridge
        return limit > 0 && active < limit ? UInt8((limit - active) * 100 / limit) : 0
    }
}
