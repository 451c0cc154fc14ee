// A bridge's groups: changing them and reading them.

internal import Base
internal import DatapathAPI
public import Flow
public import OpenFlow
internal import Synchronization

/// One change of a bridge's tables.
public enum BridgeChange: Sendable {
    case flow(FlowModification)
    case group(GroupMod)
    /// Nothing changes; what the actions of a packet-out at this place refer to must be there by then.
    case packetOut([Action])
}

extension Bridge {
    // MARK: The table

    var currentGroupTable: Unmanaged<GroupTable> {
        Unmanaged.fromOpaque(UnsafeRawPointer(bitPattern: groupTableWord.load(ordering: .acquiring))!)
    }

    /// Groups and meters as they go with a version of the flow tables; for holders of a slot of the pipeline's `epochs` who took
    /// the version in that slot.
    func groupTable(at version: UInt64) -> GroupTable {
        var table = currentGroupTable
        while table._withUnsafeGuaranteedRef({ $0.version }) > version {
            guard let previous = table._withUnsafeGuaranteedRef({ $0.previous }) else { break }
            table = previous
        }
        return table.takeUnretainedValue()
    }

    /// Releases tables that nobody can be looking at any more; under the writer lock.
    func reclaimGroupTables(_ state: inout Writer) {
        if state.retiredGroupTables.isEmpty { return }
        let oldest = pipeline.epochs.oldestReader()
        let passed = state.retiredGroupTables.prefix { $0.tag < oldest }.count
        for entry in state.retiredGroupTables.prefix(passed) { entry.table.release() }
        state.retiredGroupTables.removeFirst(passed)
    }

    // MARK: Changing

    /// Carries out one group-mod. When it returns, every packet received from now on meets the new groups.
    public func apply(_ mod: GroupMod) throws(FlowModError) {
        do throws(BundleError) {
            try apply(changes: [.group(mod)])
        } catch {
            throw error.error
        }
    }

    /// Throws unless all groups and meters that actions name exist.
    func checkReferences(_ actions: [Action]) throws(FlowModError) {
        let table = writer.withLock { _ in currentGroupTable.takeUnretainedValue() }
        try ActionReferences.check(actions, hasGroup: { table.group($0) != nil }, hasMeter: { table.meter($0) != nil })
    }

    // MARK: Reading

    private func groups(_ id: UInt32) -> [Group] {
        let table = writer.withLock { _ in currentGroupTable.takeUnretainedValue() }
        return id == GroupMod.allGroups ? table.groups : table.group(id).map { [$0] } ?? []
    }

    /// The groups as their controllers described them, by number.
    public func groupDescriptions(_ id: UInt32 = GroupMod.allGroups) -> [GroupDescription] {
        groups(id).map {
            GroupDescription(
                kind: $0.kind, groupID: $0.id, buckets: $0.buckets.map(\.description), selection: $0.selectionProperty)
        }
    }

    /// The groups' counts, by number; exact when it returns.
    public func groupStatistics(_ id: UInt32 = GroupMod.allGroups) -> [GroupStats] {
        pipeline.refreshStatistics()
        let now = pipeline.clock.now
        let groups = groups(id)
        let references = writer.withLock { state in groups.map { state.referrers[.group($0.id)]?.count ?? 0 } }
        return zip(groups, references).map { group, references in
            let (seconds, nanoseconds) = OpenFlowService.duration(since: group.created, now: now)
            return GroupStats(
                groupID: group.id, referenceCount: UInt32(clamping: references), packetCount: group.counters.packets,
                byteCount: group.counters.bytes, durationSeconds: seconds, durationNanoseconds: nanoseconds,
                buckets: group.buckets.map { .init(packetCount: $0.counters.packets, byteCount: $0.counters.bytes) })
        }
    }
}
