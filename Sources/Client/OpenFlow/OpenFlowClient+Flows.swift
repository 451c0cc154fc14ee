// Flows, as people write them and as programs read them.

internal import Flow
internal import OpenFlow

extension OpenFlowClient {
    /// Adds a flow; one with the same match, priority and table is replaced.
    public func addFlow(_ text: String) throws(ClientError) {
        let ports = try PortNames(portNames())
        try execute([.flowMod(try addition(text, ports))])
    }

    /// Adds flows, one a line, `#` begins a comment: all of them or none.
    ///
    /// - Parameter name: where the text is from, for errors.
    /// - Returns: how many.
    public func addFlows(_ text: String, from name: String) throws(ClientError) -> Int {
        let ports = try PortNames(portNames())
        var commands: [Message] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let words = line.prefix { $0 != "#" }
            guard words.contains(where: { $0 != " " && $0 != "\t" && $0 != "\r" }) else { continue }
            do throws(ClientError) {
                commands.append(.flowMod(try addition(String(words), ports)))
            } catch {
                throw .invalid("\(name), line \(index + 1): \(error)")
            }
        }
        if !commands.isEmpty { try executeAtomically(commands) }
        return commands.count
    }

    /// Deletes the flows that `text` describes.
    ///
    /// - Parameter isStrict: only the one with exactly this match and priority; else all that are at least as specific.
    public func deleteFlows(_ text: String, isStrict: Bool) throws(ClientError) {
        let spec = try parse(text, .delete, try PortNames(portNames()))
        var mod = FlowMod(
            command: isStrict ? .deleteStrict : .delete, tableID: spec.table ?? 0xff, match: spec.match, priority: spec.priority ?? 0x8000)
        mod.cookie = spec.cookie
        mod.cookieMask = spec.cookieMask
        mod.outPort = spec.outPort ?? .any
        mod.outGroup = spec.outGroup ?? FlowMod.anyGroup
        try execute([.flowMod(mod)])
    }

    /// The flows that `text` describes (all, if it is empty), in the order of table and priority.
    public func flows(_ text: String) throws(ClientError) -> FlowListing {
        let names = try portNames()
        let spec = try parse(text, .delete, PortNames(names))
        let request = FlowStatsRequest(
            tableID: spec.table ?? 0xff, outPort: spec.outPort ?? .any, outGroup: spec.outGroup ?? FlowMod.anyGroup, cookie: spec.cookie,
            cookieMask: spec.cookieMask, match: spec.match)
        var flows: [FlowDescription] = []
        for case .flow(let part, _) in try statistics(.flow(request)) { flows += part.map(FlowDescription.init) }
        flows.sort { $0.table != $1.table ? $0.table < $1.table : $0.priority > $1.priority }
        return FlowListing(flows: flows, ports: PortNames(names))
    }

    private func addition(_ text: String, _ ports: PortNames) throws(ClientError) -> FlowMod {
        let spec = try parse(text, .add, ports)
        return FlowMod(
            command: .add, tableID: spec.table ?? 0, match: spec.match, priority: spec.priority ?? 0x8000, newCookie: spec.cookie,
            idleTimeout: spec.idleTimeout, hardTimeout: spec.hardTimeout, importance: spec.importance,
            flags: FlowMod.Flags(rawValue: spec.flags.rawValue), actions: spec.actions ?? [])
    }

    private func parse(_ text: String, _ purpose: FlowTextPurpose, _ ports: PortNames) throws(ClientError) -> FlowSpec {
        do throws(FlowTextError) {
            return try FlowText.parseFlow(text, for: purpose, ports: ports)
        } catch {
            throw .invalid(error.message)
        }
    }
}

extension FlowDescription {
    fileprivate init(_ flow: FlowStats) {
        self.init()
        cookie = flow.cookie
        durationNanoseconds = UInt64(flow.durationSeconds) * 1_000_000_000 + UInt64(flow.durationNanoseconds)
        table = flow.tableID
        packets = flow.packetCount
        bytes = flow.byteCount
        idleTimeout = flow.idleTimeout
        hardTimeout = flow.hardTimeout
        importance = flow.importance
        flags = FlowFlags(rawValue: flow.flags.rawValue)
        idleAge = flow.idleAge.map(Int.init)
        hardAge = flow.hardAge.map(Int.init)
        priority = flow.priority
        match = flow.match
        actions = flow.actions
    }
}
