// The flow monitors of one connection, and what they have to tell.

internal import Flow
internal import OpenFlow

/// A change of a rule, as monitors see it.
enum MonitoredChange {
    case added(replacing: FlowRule?)
    /// The old rule differs in cookie or actions.
    case modified(from: FlowRule)
    case removed(FlowRemovedReason)

    var flag: FlowMonitorRequest.Flags {
        switch self {
        case .added: .add
        case .modified: .modify
        case .removed: .removed
        }
    }
}

struct FlowMonitors {
    /// Bytes that wait for the peer from which it is not told more, until it has read all of them.
    static let pauseBytes = 128 << 10
    /// Monitors a connection may have.
    static let limit = 1024

    private(set) var byID: [UInt32: FlowMonitorRequest] = [:]
    /// What is to be sent with the next flush.
    private var updates: [FlowUpdate] = []
    private var hasAbbreviated = false

    private(set) var isPaused = false
    /// Rules that came or changed while paused, by identity, and whether they had been told of before.
    private var missed: [ObjectIdentifier: (rule: FlowRule, wasKnown: Bool)] = [:]

    var isEmpty: Bool { byID.isEmpty }

    mutating func add(_ monitor: FlowMonitorRequest) throws(OpenFlowError) {
        if byID[monitor.id] != nil { throw OpenFlowError(.mofcMonitorExists, "flow monitor \(monitor.id) exists already") }
        if byID.count >= FlowMonitors.limit {
            throw OpenFlowError(.mofcUnknown, "a connection has at most \(FlowMonitors.limit) flow monitors")
        }
        byID[monitor.id] = monitor
    }

    mutating func replace(_ monitor: FlowMonitorRequest) throws(OpenFlowError) {
        if byID[monitor.id] == nil { throw OpenFlowError(.mofcUnknownMonitor, "flow monitor \(monitor.id) does not exist") }
        byID[monitor.id] = monitor
    }

    mutating func remove(_ id: UInt32) throws(OpenFlowError) {
        if byID.removeValue(forKey: id) == nil { throw OpenFlowError(.mofcUnknownMonitor, "flow monitor \(id) does not exist") }
    }

    // MARK: Changes

    /// The flags of all monitors that a rule's change is for; empty if none.
    private func flags(_ rule: FlowRule, _ flag: FlowMonitorRequest.Flags, old: FlowRule?) -> FlowMonitorRequest.Flags {
        var result: FlowMonitorRequest.Flags = []
        for monitor in byID.values where monitor.flags.contains(flag) && monitor.selects(rule, old: old) { result.formUnion(monitor.flags) }
        return result
    }

    /// Notes a change.
    ///
    /// - Parameter ownXID: the xid of the connection's own request that made the change; nil if somebody else did.
    mutating func note(_ rule: FlowRule, _ change: MonitoredChange, ownXID: UInt32?) {
        if isPaused {
            if let reason = noteWhilePaused(rule, change) { tell(rule, .removed, reason, flags(rule, .removed, old: nil)) }
            return
        }
        let event: FlowUpdate.Full.Event
        var reason = FlowRemoved.Reason.idleTimeout
        var old: FlowRule?
        switch change {
        case .added(let replaced): (event, old) = (.added, replaced)
        case .modified(let before): (event, old) = (.modified, before)
        case .removed(let why): (event, reason) = (.removed, FlowRemoved.Reason(rawValue: why.rawValue) ?? .delete)
        }
        let flags = flags(rule, change.flag, old: old)
        if flags.isEmpty { return }
        if let ownXID, flags.isDisjoint(with: [.noAbbreviation, .onlyOwn]) {
            if !hasAbbreviated { updates.append(.abbreviated(xid: ownXID)) }
            hasAbbreviated = true
        } else {
            tell(rule, event, reason, flags)
        }
    }

    private mutating func tell(
        _ rule: FlowRule, _ event: FlowUpdate.Full.Event, _ reason: FlowRemoved.Reason, _ flags: FlowMonitorRequest.Flags
    ) {
        if flags.isEmpty { return }
        updates.append(
            .full(
                FlowUpdate.Full(
                    event: event, reason: reason, tableID: rule.table, priority: rule.priority, idleTimeout: rule.idleTimeoutSeconds,
                    hardTimeout: rule.hardTimeoutSeconds, cookie: rule.cookie, match: rule.match,
                    actions: flags.contains(.instructions) ? rule.actions : [])))
    }

    /// Keeps what is to be told on resuming. Returns the reason if the removal of a rule that the peer knows is to be told now.
    private mutating func noteWhilePaused(_ rule: FlowRule, _ change: MonitoredChange) -> FlowRemoved.Reason? {
        switch change {
        case .added(let old):
            noteMissed(rule, replacing: old)
            return nil
        case .modified(let old):
            noteMissed(rule, replacing: old)
            return nil
        case .removed(let why):
            if let before = missed.removeValue(forKey: ObjectIdentifier(rule)), !before.wasKnown { return nil }
            return FlowRemoved.Reason(rawValue: why.rawValue) ?? .delete
        }
    }

    private mutating func noteMissed(_ rule: FlowRule, replacing old: FlowRule?) {
        var wasKnown = old != nil
        if let old, let before = missed.removeValue(forKey: ObjectIdentifier(old)) { wasKnown = before.wasKnown }
        missed[ObjectIdentifier(rule)] = (rule, wasKnown)
    }

    // MARK: Sending

    /// What is to be sent now.
    mutating func takeUpdates() -> [FlowUpdate] {
        defer {
            updates = []
            hasAbbreviated = false
        }
        return updates
    }

    mutating func pause() { isPaused = true }

    /// What happened while paused, for the peer to catch up.
    mutating func resume() -> [FlowUpdate] {
        isPaused = false
        let rules = missed.values.sorted { ($0.rule.modified, $0.rule.table) < ($1.rule.modified, $1.rule.table) }
        missed = [:]
        for (rule, wasKnown) in rules {
            let flags = flags(rule, wasKnown ? .modify : .add, old: nil)
            tell(rule, wasKnown ? .modified : .added, .idleTimeout, flags)
        }
        return takeUpdates()
    }
}

extension FlowMonitorRequest {
    /// Whether the monitor is about a rule; before its change it may have been by its output.
    func selects(_ rule: FlowRule, old: FlowRule?) -> Bool {
        if tableID != 0xff, tableID != rule.table { return false }
        if outPort != .any, !rule.outputs(to: outPort), old?.outputs(to: outPort) != true { return false }
        if outGroup != FlowMod.anyGroup, !rule.sends(toGroup: outGroup) { return false }
        return match.covers(rule.match)
    }
}

extension Match {
    /// Whether everything that `other` matches is matched by this, too, bit for bit.
    func covers(_ other: Match) -> Bool {
        for word in 0..<FlowKey.wordCount {
            let bits = mask.bits.words[word]
            if bits & ~other.mask.bits.words[word] != 0 || (key.words[word] ^ other.key.words[word]) & bits != 0 { return false }
        }
        return true
    }
}
