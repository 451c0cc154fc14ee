// The groups and meters of a bridge as translations see them: an immutable picture, replaced with every change.
//
// A change makes a new table that shares all but the changed shard with the old one, stores it in the bridge, and then
// publishes the flow tables' version that it belongs to. A translation takes the version first; if the table it then finds
// is newer, it goes back along `previous`. So flows and groups of one bundle are seen together, or not at all.

internal import DatapathAPI
internal import OpenFlow

/// A meter as translations see it.
struct MeterReference {
    /// The datapath's number for it.
    var datapathMeter: UInt32
}

/// Groups and meters whose numbers are equal modulo the number of shards.
///
/// ## Thread safety
/// Immutable.
final class GroupShard: Sendable {
    let groups: [UInt32: Group]
    let meters: [UInt32: MeterReference]

    init(groups: [UInt32: Group] = [:], meters: [UInt32: MeterReference] = [:]) {
        self.groups = groups
        self.meters = meters
    }
}

/// The picture.
///
/// ## Thread safety
/// Immutable. Readers hold a slot of the pipeline's `ReaderEpochs`; `previous` is followed only by readers that entered before
/// this table was published, and lives until they left.
final class GroupTable: @unchecked Sendable {
    private static let shardCount = 64

    /// The first version of the flow tables that this table goes with.
    let version: UInt64
    let previous: Unmanaged<GroupTable>?
    private let shards: [GroupShard]

    /// The table of a bridge without groups.
    init() {
        version = 0
        previous = nil
        shards = Array(repeating: GroupShard(), count: GroupTable.shardCount)
    }

    private init(version: UInt64, previous: Unmanaged<GroupTable>, shards: [GroupShard]) {
        self.version = version
        self.previous = previous
        self.shards = shards
    }

    private static func shard(_ id: UInt32) -> Int { Int(id) % shardCount }

    func group(_ id: UInt32) -> Group? { shards[GroupTable.shard(id)].groups[id] }
    func meter(_ id: UInt32) -> MeterReference? { shards[GroupTable.shard(id)].meters[id] }

    /// All groups, by number.
    var groups: [Group] { shards.flatMap(\.groups.values).sorted { $0.id < $1.id } }
    var groupCount: Int { shards.reduce(0) { $0 + $1.groups.count } }

    /// A table to be published after `previous`, with changes.
    static func changing(
        _ previous: Unmanaged<GroupTable>, version: UInt64, groups: [UInt32: Group?], meters: [UInt32: MeterReference?]
    ) -> GroupTable {
        var shards = previous.takeUnretainedValue().shards
        var groupsByShard: [Int: [UInt32]] = [:]
        for id in groups.keys { groupsByShard[shard(id), default: []].append(id) }
        for id in meters.keys { groupsByShard[shard(id), default: []] += [] }
        for index in groupsByShard.keys {
            var newGroups = shards[index].groups
            var newMeters = shards[index].meters
            for (id, group) in groups where shard(id) == index { newGroups[id] = group }
            for (id, meter) in meters where shard(id) == index { newMeters[id] = meter }
            shards[index] = GroupShard(groups: newGroups, meters: newMeters)
        }
        return GroupTable(version: version, previous: previous, shards: shards)
    }
}
