// Changing a classifier: for one writer at a time.
//
// The writer makes its changes at the version after the published one, calls `prepare`, publishes the version, and calls
// `settle`. To give up instead, it calls `withdraw` and `restore` for what it did, in reverse order, and then `settle`.

internal import Base
public import Flow

extension Classifier {
    /// The shape for rules with this mask. Rules of one mask share it.
    public func shape(for mask: FlowMask) -> MaskShape { shape(for: CompactMatch(Match(key: FlowKey(), mask: mask))) }

    /// The shape for rules with this match. Rules of one mask share it.
    public func shape(for match: borrowing CompactMatch) -> MaskShape { subtable(of: match)?.shape ?? MaskShape(match) }

    /// The subtable of the rules that have the match's mask, if there is one.
    private func subtable(of match: borrowing CompactMatch) -> Subtable? {
        let hash = MaskShape.hash(match)
        // Rules tend to come in rows of the same mask.
        if let latest, latest.shape.fits(match, hash: hash) { return latest }
        guard let candidates = subtables[hash] else { return nil }
        for candidate in candidates where candidate.shape.fits(match, hash: hash) {
            latest = candidate
            return candidate
        }
        return nil
    }

    /// Adds a rule, visible from `version` on. A rule of the same match and priority must have been removed at `version`.
    public func insert(_ rule: ClassifierRule, version: UInt64) {
        let subtable = subtable(for: rule.shape)
        rule.node.storeBytes(of: version, toByteOffset: ClassifierRule.addedInWord * 8, as: UInt64.self)
        rule.node.storeBytes(
            of: UnsafeRawPointer(Unmanaged.passRetained(rule).toOpaque()), toByteOffset: ClassifierRule.objectWord * 8,
            as: UnsafeRawPointer.self)
        let before = subtable.maximumPriority
        rule.keyPrefixes { field, prefix, length in
            tries[field.rawValue].insert(prefix, length: length) { retiring.memory.append($0) }
        }
        subtable.group.count(rule.keyWords, of: subtable, by: 1) { retiring.memory.append($0) }
        subtable.insert(rule) { retiring.memory.append($0) }
        linkedCount += 1
        if subtable.maximumPriority != before { noteStale(subtable.group) }
    }

    /// Makes a rule invisible from `version` on.
    public func remove(_ rule: ClassifierRule, version: UInt64) {
        storeWord(rule.node, ClassifierRule.removedInWord, version)
        removed.append(rule)
    }

    /// Takes back an insertion that was not published.
    public func withdraw(_ rule: ClassifierRule) { remove(rule, version: rule.addedIn) }

    /// Takes back a removal that was not published.
    public func restore(_ rule: ClassifierRule) {
        storeWord(rule.node, ClassifierRule.removedInWord, .max)
        if let place = removed.lastIndex(where: { $0 === rule }) { removed.remove(at: place) }
    }

    /// The rule of exactly this match and priority that is visible at `version`.
    public func find(_ match: Match, priority: Int32, version: UInt64) -> ClassifierRule? {
        find(CompactMatch(match), priority: priority, version: version)
    }

    /// The rule of exactly this match and priority that is visible at `version`.
    public func find(_ match: borrowing CompactMatch, priority: Int32, version: UInt64) -> ClassifierRule? {
        guard let subtable = subtable(of: match) else { return nil }
        var found: ClassifierRule?
        forEachRule(of: match, in: subtable) { rule in
            if found == nil, rule.rank == priority, rule.isVisible(in: version) { found = rule }
        }
        return found
    }

    /// Visits the rules of exactly this match in the subtable of its mask.
    private func forEachRule(of match: borrowing CompactMatch, in subtable: Subtable, _ visit: (ClassifierRule) -> Void) {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: FlowKey.wordCount) { key in
            subtable.shape.copyKey(of: match, to: key.baseAddress!)
            subtable.forEachInChain(of: UnsafePointer(key.baseAddress!), visit)
        }
    }

    /// Whether a rule of this priority, visible at `version`, matches some packet that `match` matches.
    public func hasOverlap(_ match: Match, priority: Int32, version: UInt64) -> Bool {
        for group in groups {
            for subtable in group.subtables where subtable.maximumPriority >= priority {
                var found = false
                subtable.forEach { rule in
                    if !found, rule.rank == priority, rule.isVisible(in: version), rule.overlaps(match) { found = true }
                }
                if found { return true }
            }
        }
        return false
    }

    /// Visits, for the writer, every rule visible at `version` and at least as specific as `filter`.
    public func forEach(at version: UInt64, matching filter: Match, _ visit: (ClassifierRule) -> Void) {
        let compact = CompactMatch(filter)
        let exact = subtable(of: compact)
        for group in groups {
            for subtable in group.subtables where subtable.shape.isSuperset(of: filter.mask) {
                // Rules of the filter's very mask agree with it in one place.
                if subtable === exact {
                    forEachRule(of: compact, in: subtable) { rule in
                        if rule.isVisible(in: version) { visit(rule) }
                    }
                    continue
                }
                subtable.forEach { rule in
                    if rule.isVisible(in: version), rule.agrees(with: filter) { visit(rule) }
                }
            }
        }
    }

    /// Makes everything that was inserted reachable for readers; before the version is published.
    public func prepare() {
        if !staleGroups.isEmpty {
            for group in staleGroups where group.publish({ retiring.memory.append($0) }) { isOrderStale = true }
            staleGroups.removeAll()
        }
        guard isOrderStale else { return }
        isOrderStale = false
        for group in groups where group.subtables.isEmpty { forget(group) }
        groups.removeAll { $0.subtables.isEmpty }
        groups.sort { $0.maximumPriority > $1.maximumPriority }
        if let old = pointer(loadWord(shared, 0)) { retiring.memory.append(old) }
        storeWord(shared, 0, word(Classifier.makeList(groups)))
    }

    /// Reclaims if much has been removed or replaced since the last time: looking at all readers costs as much as a change.
    public func settleIfDue() {
        if removed.count + retiring.memory.count >= Classifier.settlingThreshold { settle(atMost: Classifier.settledWithAChange) }
    }

    /// Begins to reclaim what was removed; after the version is published, and now and then.
    ///
    /// - Parameter limit: rules that are unlinked at most; what is left stays for the next call.
    public func settle(atMost limit: Int = .max) {
        if !removed.isEmpty {
            unlinking.append((epochs.advance(), removed))
            removed.removeAll()
        }
        retire()
        if unlinking.isEmpty && freeing.isEmpty { return }
        // Readers that come after this look may still see what is retired below it: that waits for the next call, also when
        // there is no reader now.
        let waiting = freeing.count
        let oldest = epochs.oldestReader()
        if unlink(olderThan: oldest, atMost: limit) {
            prepare()
            retiring.subtables += emptied
            retiring.groups += emptiedGroups
            emptied.removeAll()
            emptiedGroups.removeAll()
            retire()
        }
        let passed = freeing.prefix(waiting).prefix { $0.tag < oldest }.count
        for entry in freeing.prefix(passed) { entry.what.memory.forEach { $0.deallocate() } }
        freeing.removeFirst(passed)
    }

    /// Gives what was replaced a tag.
    private func retire() {
        if retiring.isEmpty { return }
        freeing.append((epochs.advance(), retiring))
        retiring = Retired()
    }

    /// Unlinks removed rules that no reader can find visible any more. False if there was none.
    private func unlink(olderThan oldest: UInt64, atMost limit: Int) -> Bool {
        var left = limit
        var finished = 0
        while left > 0, finished < unlinking.count, unlinking[finished].tag < oldest {
            let count = min(left, unlinking[finished].rules.count)
            left -= count
            // Let go of one by one: 100,000 at once would take as long as to unlink them.
            for _ in 0..<count { unlink(unlinking[finished].rules.removeLast()) }
            if unlinking[finished].rules.isEmpty { finished += 1 }
        }
        unlinking.removeFirst(finished)
        return left != limit || finished > 0
    }

    /// Whether something waits to be reclaimed by `settle`.
    public var isUnsettled: Bool { !removed.isEmpty || !retiring.isEmpty || !unlinking.isEmpty || !freeing.isEmpty }

    private func unlink(_ rule: ClassifierRule) {
        guard let subtable = known(rule.shape) else { preconditionFailure("the rule's subtable is gone") }
        let before = subtable.maximumPriority
        subtable.unlink(rule)
        subtable.group.count(rule.keyWords, of: subtable, by: -1) { retiring.memory.append($0) }
        rule.keyPrefixes { field, prefix, length in
            tries[field.rawValue].remove(prefix, length: length) { retiring.memory.append($0) }
        }
        // The table's own reference goes with the memory: readers may be at the node.
        retiring.rules.append(Subtable.rule(rule.node).takeRetainedValue())
        linkedCount -= 1
        if subtable.ruleCount == 0 {
            if latest === subtable { latest = nil }
            subtables[rule.shape.hash]?.removeAll { $0 === subtable }
            if subtables[rule.shape.hash]?.isEmpty == true { subtables[rule.shape.hash] = nil }
            emptied.append(subtable)
            noteStale(subtable.group)
        } else if subtable.maximumPriority != before {
            noteStale(subtable.group)
        }
    }

    // MARK: Subtables

    /// The subtable of a shape, if there is one.
    private func known(_ shape: MaskShape) -> Subtable? {
        if let latest, latest.shape === shape { return latest }
        guard let found = subtables[shape.hash]?.first(where: { $0.shape === shape || $0.shape.isEqual(to: shape) }) else { return nil }
        latest = found
        return found
    }

    private func subtable(for shape: MaskShape) -> Subtable {
        if let found = known(shape) { return found }
        let group = group(for: shape)
        let subtable = Subtable(shape: shape, seed: seed, group: group)
        subtables[shape.hash, default: []].append(subtable)
        group.subtables.append(subtable)
        noteStale(group)
        latest = subtable
        return subtable
    }

    private func group(for shape: MaskShape) -> SubtableGroup {
        let hash = SubtableGroup.hash(shape)
        if let found = groupsByHash[hash]?.first(where: { $0.belongs(shape) }) { return found }
        let group = SubtableGroup(shape: shape, metadata: metadataStage(for: shape), seed: seed)
        groupsByHash[hash, default: []].append(group)
        groups.append(group)
        isOrderStale = true
        return group
    }

    private func metadataStage(for shape: MaskShape) -> MetadataStage? {
        guard let hash = MetadataStage.hash(shape) else { return nil }
        if let found = metadataByHash[hash]?.first(where: { $0.belongs(shape) }) { return found }
        let stage = MetadataStage(shape: shape)
        metadataByHash[hash, default: []].append(stage)
        return stage
    }

    /// A group without subtables goes once no reader can find it, and with the last one their metadata stage.
    private func forget(_ group: SubtableGroup) {
        if let stage = group.metadata?.stage {
            stage.leave()
            if stage.groupCount == 0, let hash = MetadataStage.hash(group.shape) {
                metadataByHash[hash]?.removeAll { $0 === stage }
                if metadataByHash[hash]?.isEmpty == true { metadataByHash[hash] = nil }
            }
        }
        let hash = SubtableGroup.hash(group.shape)
        groupsByHash[hash]?.removeAll { $0 === group }
        if groupsByHash[hash]?.isEmpty == true { groupsByHash[hash] = nil }
        emptiedGroups.append(group)
    }

    private func noteStale(_ group: SubtableGroup) {
        if group.isStale { return }
        group.isStale = true
        staleGroups.append(group)
    }
}

extension ClassifierRule {
    /// The prefixes of the fields that have tries: what of the field's mask are leading ones.
    final func keyPrefixes(_ visit: (TrieField, UInt128, Int) -> Void) {
        let lengths = shape.prefixLengths
        if lengths.0 | lengths.1 | lengths.2 | lengths.3 == 0 { return }
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 12) { words in
            words.initialize(repeating: 0)
            for index in 0..<shape.count where shape.words[index] < 12 { words[Int(shape.words[index])] = keyWords[index] }
            for field in TrieField.allCases {
                let length = field.prefixLength(lengths)
                if length > 0 { visit(field, PrefixTrie.cut(field.load(UnsafePointer(words.baseAddress!)), length), length) }
            }
        }
    }
}
