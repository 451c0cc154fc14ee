// Flow monitors: requests, and what the bridge's changes mean for them.

internal import Base
internal import Flow
internal import OpenFlow

extension OpenFlowService {
    /// Carries out a request; none of its monitors is made if one of them cannot be.
    func answer(_ requests: [FlowMonitorRequest], xid: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError) {
        let id = ObjectIdentifier(connection)
        var changed = monitors[id] ?? FlowMonitors()
        for request in requests {
            if request.command != .delete, request.tableID != 0xff, Int(request.tableID) >= PipelineLimits.tableCount,
                request.tableID != 254
            {
                throw OpenFlowError(
                    (connection.version ?? .v1_0) >= .v1_4 ? .mofcBadTableId : .brcBadTableId, "table \(request.tableID) does not exist")
            }
            switch request.command {
            case .add: try changed.add(request)
            case .modify: try changed.replace(request)
            case .delete: try changed.remove(request.id)
            }
        }
        set(changed, for: id)
        guard let version = connection.version, var writer = MultipartWriter(.flowMonitor([]), version: version, xid: xid) else { return }
        let wanted = requests.filter { $0.command != .delete && $0.flags.contains(.initial) }
        let event: FlowUpdate.Full.Event = version >= .v1_4 ? .initial : .added
        for (rule, flags) in initialRules(wanted) {
            writer.append(
                .flowMonitor([
                    .full(
                        FlowUpdate.Full(
                            event: event, tableID: rule.table, priority: rule.priority, idleTimeout: rule.idleTimeoutSeconds,
                            hardTimeout: rule.hardTimeoutSeconds, cookie: rule.cookie, match: rule.match,
                            actions: flags.contains(.instructions) ? rule.actions : []))
                ]))
        }
        for part in writer.finish() { connection.sendBytes(part) }
    }

    /// The rules that monitors begin with, each once, with the flags of all monitors that want it.
    private func initialRules(_ requests: [FlowMonitorRequest]) -> [(FlowRule, FlowMonitorRequest.Flags)] {
        guard !requests.isEmpty else { return [] }
        var result: [(FlowRule, FlowMonitorRequest.Flags)] = []
        for rule in bridge.flows(matching: FlowFilter()) {
            var flags: FlowMonitorRequest.Flags = []
            for request in requests where request.selects(rule, old: nil) { flags.formUnion(request.flags) }
            if !flags.isEmpty { result.append((rule, flags)) }
        }
        // In the order in which `dump-flows` lists them.
        return result.sorted {
            ($0.0.table, $1.0.priority, $0.0.created.nanoseconds) < ($1.0.table, $0.0.priority, $1.0.created.nanoseconds)
        }
    }

    func cancelMonitor(_ monitor: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError) {
        var changed = monitors[ObjectIdentifier(connection)] ?? FlowMonitors()
        try changed.remove(monitor)
        set(changed, for: ObjectIdentifier(connection))
    }

    private func set(_ changed: FlowMonitors, for id: ObjectIdentifier) {
        monitors[id] = changed.isEmpty ? nil : changed
        events?.setMonitored(!monitors.isEmpty)
    }

    func forgetMonitors(of connection: OpenFlowConnection) {
        guard monitors[ObjectIdentifier(connection)] != nil else { return }
        set(FlowMonitors(), for: ObjectIdentifier(connection))
    }

    // MARK: Changes

    /// A rule has changed.
    func note(_ rule: FlowRule, _ change: FlowChange) {
        guard !monitors.isEmpty else { return }
        let seen: MonitoredChange
        switch change {
        case .added, .modified: seen = .added(replacing: nil)
        case .replaced(let old, let isAdd):
            if !isAdd, old.cookie == rule.cookie, old.actions == rule.actions { return }
            seen = isAdd ? .added(replacing: old) : .modified(from: old)
        case .deleted(let reason): seen = .removed(reason)
        }
        for connection in connections {
            let isOwn = connection === currentSource
            monitors[ObjectIdentifier(connection)]?.note(rule, seen, ownXID: isOwn ? currentXID : nil)
        }
        if currentSource == nil { flushMonitors() }
    }

    /// Sends what monitors have to tell; a request's changes together, before anything else is answered.
    func flushMonitors() {
        for connection in connections {
            let id = ObjectIdentifier(connection)
            guard let updates = monitors[id]?.takeUpdates() else { continue }
            send(updates, to: connection)
            guard monitors[id]?.isPaused == false, connection.pendingOutputBytes() > FlowMonitors.pauseBytes else { continue }
            monitors[id]?.pause()
            sendTurn(.paused, to: connection)
            connection.onOutputEmpty = { [weak self, weak connection] in
                if let connection { self?.resumeMonitors(of: connection) }
            }
        }
    }

    private func resumeMonitors(of connection: OpenFlowConnection) {
        connection.onOutputEmpty = nil
        guard let updates = monitors[ObjectIdentifier(connection)]?.resume() else { return }
        send(updates, to: connection)
        sendTurn(.resumed, to: connection)
    }

    /// Says that telling is paused or resumed.
    private func sendTurn(_ turn: FlowUpdate, to connection: OpenFlowConnection) {
        if (connection.version ?? .v1_0) >= .v1_4 {
            send([turn], to: connection)
        } else {
            connection.send(turn == .paused ? .flowMonitorPaused : .flowMonitorResumed, xid: 0)
        }
    }

    private func send(_ updates: [FlowUpdate], to connection: OpenFlowConnection) {
        guard !updates.isEmpty, let version = connection.version,
            var writer = MultipartWriter(.flowMonitor([]), version: version, xid: 0)
        else { return }
        for update in updates { writer.append(.flowMonitor([update])) }
        for part in writer.finish() { connection.sendBytes(part) }
    }
}
