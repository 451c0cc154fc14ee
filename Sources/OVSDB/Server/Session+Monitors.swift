// monitor, monitor_cond, monitor_cond_since, monitor_cond_change, monitor_cancel.

extension Session {
    func startMonitor(_ version: MonitorVersion, _ parameters: [JSON], _ id: JSON) throws(OVSDBError) {
        let method = version == .rows ? "monitor" : version == .differences ? "monitor_cond" : "monitor_cond_since"
        let hosted = try database(method, parameters)
        guard version == .rows ? parameters.count >= 3 : parameters.count == (version == .history ? 4 : 3) else {
            throw .syntax("invalid parameters", .array(parameters))
        }
        let key = parameters[1].text
        if parameters[2].object == nil { throw .syntax("monitor-requests must be object", parameters[2]) }
        guard monitors[key] == nil else { throw .syntax("duplicate monitor ID", parameters[1]) }
        guard monitors.count < server.limits.monitorsPerSession else {
            throw OVSDBError("resources exhausted", "session has \(monitors.count) monitors, the limit")
        }
        let database = hosted.database
        let specification = try MonitorSpecification(parameters[2], version: version, schema: database.schema)
        var since: UUID?
        if version == .history {
            guard let text = parameters[3].string else { throw .syntax("last-txn-id must be string", parameters[3]) }
            guard let uuid = UUID(text) else { throw .syntax("last-txn-id must be UUID format.", parameters[3]) }
            since = uuid
        }
        let monitor = Monitor(self, hosted, id: parameters[1].bytes, specification)
        monitors[key] = monitor
        hosted.add(monitor)
        guard let since else { return reply(id, specification.initialUpdates(database)) }
        let last = JSON.string(database.lastTransaction.description)
        if let missed = database.changes(since: since) {
            reply(id, [true, last, specification.updates(missed, database.schema)])
        } else {
            reply(id, [false, last, specification.initialUpdates(database)])
        }
    }

    func changeMonitor(_ parameters: [JSON], _ id: JSON) throws(OVSDBError) {
        guard parameters.count == 3 else { throw .syntax("invalid parameters", .array(parameters)) }
        let key = parameters[0].text
        guard let monitor = monitors[key] else { throw .syntax("unknown monitor session", parameters[0]) }
        let newKey = parameters[1].text
        guard newKey == key || monitors[newKey] == nil else { throw .syntax("duplicate monitor ID", parameters[1]) }
        guard case .object(let requests) = parameters[2] else {
            throw .syntax("monitor-cond-change-requests must be object")
        }
        let database = monitor.database.database
        var conditions: [Int: [Clause]] = [:]
        var changed = monitor.specification
        for (name, value) in requests.members {
            guard let table = database.schema.table(name) else { throw .syntax("no table named \(name)") }
            guard monitor.specification.tables[table.index] != nil else {
                throw .syntax("no table named \(name) in monitor session")
            }
            guard case .array(let list) = value else { throw .syntax("table \(name) no monitor-cond-change JSON array") }
            var clauses: [Clause] = []
            var text = ""
            for element in list {
                guard case .object = element else { throw .syntax("Parsing table \(name) failed: Object expected.") }
                var members = MemberReader(element, name: "table \(name)")
                let columnsJSON = try members.optional("columns", .array)
                let whereJSON = try members.optional("where", .array)
                try members.finish()
                guard columnsJSON == nil else { throw .syntax("changing columns is unsupported", element) }
                // The last one holds, as in the field's server.
                clauses = try whereJSON.map { (json) throws(OVSDBError) in try MonitoredTable.condition(json, table) } ?? []
                text = whereJSON?.text ?? ""
            }
            conditions[table.index] = clauses
            changed.tables[table.index]!.condition = clauses
            changed.tables[table.index]!.conditionText = text
            changed.tables[table.index]!.noteConditionColumns()
        }
        let updates = monitor.specification.updates(changing: conditions, database)
        monitor.database.remove(monitor)
        monitor.specification = changed
        monitor.id = parameters[1].bytes
        monitor.database.add(monitor)
        monitors[key] = nil
        monitors[newKey] = monitor
        if let updates { notify(monitor, updates: updates.bytes, transaction: database.lastTransaction) }
        reply(id, .object(JSONObject()))
    }

    func cancelMonitor(_ parameters: [JSON], _ id: JSON) {
        guard parameters.count == 1 else { return reply(id, .syntax("invalid parameters", .array(parameters))) }
        guard let monitor = monitors.removeValue(forKey: parameters[0].text) else { return reply(id, error: "unknown monitor") }
        monitor.database.remove(monitor)
        reply(id, .object(JSONObject()))
    }
}
