// `fdb/*`: the bridges' MAC-learning tables.

internal import Flow
internal import OVSDB
internal import Pipeline

extension SwitchCommands {
    func registerLearningCommands(on registry: CommandRegistry) {
        registry.register("fdb/show", usage: "bridge", arguments: 1...1) { (words) throws(CommandError) in try fdbShow(words[0]) }
        registry.registerJSON("fdb/show", arguments: 1...1) { (words) throws(CommandError) in try fdbShowJSON(words[0]) }
        registry.register("fdb/flush", usage: "[bridge]", arguments: 0...1) { (words) throws(CommandError) in
            for bridge in words.isEmpty ? pipeline.bridges : [try self.bridge(words[0])] { bridge.flushLearnedAddresses() }
            return "table successfully flushed\n"
        }
        registry.register("fdb/add", usage: "bridge port vlan mac", arguments: 4...4) { (words) throws(CommandError) in
            let bridge = try self.bridge(words[0])
            guard let port = bridge.port(named: words[1]) else {
                throw CommandError("software error, odp port is present but no ofp port")
            }
            let (address, vlan) = (try address(words[3]), try vlan(words[2]))
            let old = bridge.learnedAddresses().first { $0.address == address && $0.vlan == vlan }
            bridge.addStaticAddress(address, vlan: vlan, port: port.number)
            guard let old, !old.isStatic || old.port != port.number else { return "" }
            let place = old.port == .local ? "LOCAL" : String(old.port.rawValue)
            return "Overriding already existing \(old.isStatic ? "static" : "dynamic") entry on \(place)\n"
        }
        registry.register("fdb/del", usage: "bridge vlan mac", arguments: 3...3) { (words) throws(CommandError) in
            let bridge = try self.bridge(words[0])
            guard bridge.removeStaticAddress(try address(words[2]), vlan: try vlan(words[1])) else {
                throw CommandError("could not find static mac entry")
            }
            return ""
        }
        registry.register("fdb/stats-show", usage: "bridge", arguments: 1...1) { (words) throws(CommandError) in
            let bridge = try self.bridge(words[0])
            bridge.expireLearnedAddresses()
            let counts = bridge.learningStatistics()
            return """
                Statistics for bridge "\(words[0])":
                  Current/maximum MAC entries in the table: \(counts.entries)/\(counts.capacity)
                  Current static MAC entries in the table : \(counts.staticEntries)
                  Total number of learned MAC entries     : \(counts.learned)
                  Total number of expired MAC entries     : \(counts.expired)
                  Total number of evicted MAC entries     : \(counts.evicted)
                  Total number of port moved MAC entries  : \(counts.moved)

                """
        }
        registry.register("fdb/stats-clear", usage: "[bridge]", arguments: 0...1) { (words) throws(CommandError) in
            for bridge in words.isEmpty ? pipeline.bridges : [try self.bridge(words[0])] { bridge.clearLearningStatistics() }
            return "statistics successfully cleared\n"
        }
    }

    private func address(_ text: String) throws(CommandError) -> UInt64 {
        guard let (value, _) = try? FlowText.parseValue(.ethSrc, text), !text.contains("/") else { throw CommandError("bad MAC address") }
        return UInt64(value)
    }

    private func vlan(_ text: String) throws(CommandError) -> UInt16 {
        guard let number = UInt16(text), number < 4096 else { throw CommandError("bad VLAN \(text): it must be from 0 to 4095") }
        return number
    }

    private func fdbShowJSON(_ name: String) throws(CommandError) -> JSON {
        .array(
            try bridge(name).learnedAddresses().map { entry in
                var members: [(String, JSON)] = [
                    ("mac", .string(FlowText.formatValue(.ethSrc, UInt128(entry.address), mask: Field.ethSrc.layout.allOnes))),
                    ("port", .integer(entry.port == .local ? 65534 : Int64(entry.port.rawValue))), ("vlan", .integer(Int64(entry.vlan))),
                ]
                members.append(entry.isStatic ? ("static", .boolean(true)) : ("age", .integer(Int64(entry.ageSeconds))))
                return .object(JSONObject(members))
            })
    }

    private func fdbShow(_ name: String) throws(CommandError) -> String {
        var text = " port  VLAN  MAC                Age\n"
        for entry in try bridge(name).learnedAddresses() {
            let port = entry.port == .local ? "LOCAL" : String(entry.port.rawValue)
            let address = FlowText.formatValue(.ethSrc, UInt128(entry.address), mask: Field.ethSrc.layout.allOnes)
            let age = entry.isStatic ? "static" : right(String(entry.ageSeconds), 3)
            text += "\(right(port, 5))  \(right(String(entry.vlan), 4))  \(address)  \(age)\n"
        }
        return text
    }
}
