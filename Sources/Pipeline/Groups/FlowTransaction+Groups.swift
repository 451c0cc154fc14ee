// Group-mods and changes of meters as part of a transaction: they become visible with its flow-mods.

internal import Base
internal import Classifier
internal import DatapathAPI
internal import Flow
internal import OpenFlow
internal import Synchronization

extension FlowTransaction {
    // MARK: Looking

    private var table: GroupTable { bridge.currentGroupTable.takeUnretainedValue() }

    /// A group as it will be.
    func group(_ id: UInt32) -> Group? { groupChanges[id] ?? table.group(id) }

    private func meter(_ id: UInt32) -> MeterReference? { meterChanges[id] ?? table.meter(id) }

    /// Throws unless all groups and meters that actions name exist.
    func checkReferences(_ actions: [Action]) throws(FlowModError) {
        try ActionReferences.check(actions, hasGroup: { group($0) != nil }, hasMeter: { meter($0) != nil })
    }

    static func addReferences(of rule: FlowRule, _ state: inout Bridge.Writer) {
        ActionReferences.forEach(rule.actions, countsControllers: false) {
            state.referrers[$0, default: [:]][ObjectIdentifier(rule)] = rule
        }
    }

    static func removeReferences(of rule: FlowRule, _ state: inout Bridge.Writer) {
        ActionReferences.forEach(rule.actions, countsControllers: false) { reference in
            state.referrers[reference]?[ObjectIdentifier(rule)] = nil
            if state.referrers[reference]?.isEmpty == true { state.referrers[reference] = nil }
        }
    }

    /// Removes the rules that name a group or meter.
    mutating func removeReferrers(of reference: ActionReferences.Reference, reason: FlowRemovedReason, _ state: inout Bridge.Writer) {
        for rule in (state.referrers[reference] ?? [:]).values { remove(rule, reason: reason, &state) }
    }

    // MARK: Group-mods

    mutating func perform(_ mod: GroupMod, _ state: inout Bridge.Writer) throws(FlowModError) {
        switch mod.command {
        case .add: try add(mod)
        case .modify, .insertBucket, .removeBucket: try modify(mod)
        case .addOrModify: if group(mod.groupID) == nil { try add(mod) } else { try modify(mod) }
        case .delete:
            if mod.groupID == GroupMod.allGroups {
                let known = Set(table.groups.map(\.id)).union(groupChanges.keys)
                for id in known where group(id) != nil { delete(id, &state) }
            } else if group(mod.groupID) != nil {
                delete(mod.groupID, &state)
            }
        }
    }

    private mutating func add(_ mod: GroupMod) throws(FlowModError) {
        if group(mod.groupID) != nil { throw .standard(.gmfcGroupExists, "group \(mod.groupID) exists already") }
        if mod.groupID > GroupMod.maximumGroup {
            throw .standard(.gmfcInvalidGroup, "group \(mod.groupID) is above \(GroupMod.maximumGroup)")
        }
        let added = groupChanges.values.count { $0 != nil }
        if table.groupCount + added >= PipelineLimits.groupsPerBridge {
            throw .standard(.gmfcOutOfGroups, "the bridge has \(PipelineLimits.groupsPerBridge) groups, which is its limit")
        }
        let group = Group(
            id: mod.groupID, kind: mod.kind, buckets: mod.buckets.map { Bucket($0) }, selectionProperty: mod.selection,
            counters: GroupCounters(), created: now)
        try put(group)
        account(group, "Constructing")
    }

    /// Tells how a select group chooses, if somebody wants to know.
    private func account(_ group: Group, _ verb: String) {
        let journal = bridge.pipeline.journal
        guard group.kind == .select, journal.wantsGroups else { return }
        for line in group.account(verb) { journal.write(.groups, .debug, line) }
    }

    /// The new group has the old one's counts; a bucket has its own if it is an old one.
    private mutating func modify(_ mod: GroupMod) throws(FlowModError) {
        guard let old = group(mod.groupID) else { throw .standard(.gmfcUnknownGroup, "group \(mod.groupID) does not exist") }
        var buckets: [Bucket]
        var (kind, selection) = (old.kind, old.selectionProperty)
        switch mod.command {
        case .insertBucket: buckets = try inserting(mod, into: old)
        case .removeBucket: buckets = try removing(mod.commandBucketID, from: old)
        default:
            buckets = mod.buckets.map { Bucket($0) }
            (kind, selection) = (mod.kind, mod.selection)
        }
        if buckets.count > PipelineLimits.bucketsPerGroup {
            throw .standard(.gmfcOutOfBuckets, "a group has at most \(PipelineLimits.bucketsPerGroup) buckets")
        }
        let group = Group(
            id: old.id, kind: kind, buckets: buckets, selectionProperty: selection, counters: old.counters, created: old.created)
        try put(group)
        if bridge.pipeline.journal.wantsGroups {
            // What the message itself has, then what became of the group.
            account(
                Group(
                    id: old.id, kind: kind, buckets: mod.buckets.map { Bucket($0) }, selectionProperty: selection,
                    counters: GroupCounters(),
                    created: now), "Constructing")
            account(group, "Modifying")
        }
    }

    private func inserting(_ mod: GroupMod, into old: Group) throws(FlowModError) -> [Bucket] {
        let known = Set(old.buckets.map(\.id))
        if let twice = mod.buckets.first(where: { known.contains($0.bucketID) }) {
            throw .standard(.gmfcBucketExists, "group \(old.id) has a bucket \(twice.bucketID) already")
        }
        var buckets = old.buckets
        let place: Int
        switch mod.commandBucketID {
        case GroupMod.firstBucket: place = 0
        case GroupMod.lastBucket: place = buckets.count
        default: place = try index(of: mod.commandBucketID, in: old) + 1
        }
        buckets.insert(contentsOf: mod.buckets.map { Bucket($0) }, at: place)
        return buckets
    }

    private func removing(_ id: UInt32, from old: Group) throws(FlowModError) -> [Bucket] {
        var buckets = old.buckets
        switch id {
        case GroupMod.allBuckets: buckets.removeAll()
        case GroupMod.firstBucket: if !buckets.isEmpty { buckets.removeFirst() }
        case GroupMod.lastBucket: if !buckets.isEmpty { buckets.removeLast() }
        default: buckets.remove(at: try index(of: id, in: old))
        }
        return buckets
    }

    private func index(of id: UInt32, in group: Group) throws(FlowModError) -> Int {
        guard let index = group.buckets.firstIndex(where: { $0.id == id }) else {
            throw .standard(.gmfcUnknownBucket, "group \(group.id) does not have a bucket \(id)")
        }
        return index
    }

    private mutating func put(_ group: Group) throws(FlowModError) {
        try checkLoops(group)
        groupChanges[group.id] = .some(group)
    }

    /// Refuses a group that would send to itself, however many groups are in between.
    private func checkLoops(_ new: Group) throws(FlowModError) {
        var pending = Array(new.references)
        var seen: Set<UInt32> = []
        while let id = pending.popLast() {
            if id == new.id { throw .standard(.gmfcLoop, "group \(new.id) would send to itself, directly or through other groups") }
            if seen.insert(id).inserted, let next = group(id) { pending += next.references }
        }
    }

    private mutating func delete(_ id: UInt32, _ state: inout Bridge.Writer) {
        removeReferrers(of: .group(id), reason: .groupDelete, &state)
        groupChanges[id] = .some(nil)
    }

    // MARK: End

    /// Stores the changed table, which counts from this transaction's version on.
    func publishGroups(_ state: inout Bridge.Writer) {
        if groupChanges.isEmpty, meterChanges.isEmpty { return }
        let old = bridge.currentGroupTable
        let new = GroupTable.changing(old, version: version, groups: groupChanges, meters: meterChanges)
        bridge.groupTableWord.store(UInt(bitPattern: Unmanaged.passRetained(new).toOpaque()), ordering: .releasing)
        state.retiredGroupTables.append((bridge.pipeline.epochs.advance(), old))
        bridge.reclaimGroupTables(&state)
    }
}
