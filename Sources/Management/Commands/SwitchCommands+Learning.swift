// `fdb/*`: the bridges' MAC-learning tables.

internal import Flow
internal import Pipeline

extension SwitchCommands {
    func registerLearningCommands(on registry: CommandRegistry) {
        registry.register("fdb/show", usage: "bridge", arguments: 1...1) { (words) throws(CommandError) in try fdbShow(words[0]) }
        registry.register("fdb/flush", usage: "[bridge]", arguments: 0...1) { (words) throws(CommandError) in
            for bridge in words.isEmpty ? pipeline.bridges : [try self.bridge(words[0])] { bridge.flushLearnedAddresses() }
            return "table successfully flushed\n"
        }
    }

    private func fdbShow(_ name: String) throws(CommandError) -> String {
        var text = " port  VLAN  MAC                Age\n"
        for entry in try bridge(name).learnedAddresses() {
            let port = entry.port == .local ? "LOCAL" : String(entry.port.rawValue)
            let address = FlowText.formatValue(.ethSrc, UInt128(entry.address), mask: Field.ethSrc.layout.allOnes)
            text += "\(right(port, 5))  \(right(String(entry.vlan), 4))  \(address)  \(right(String(entry.ageSeconds), 3))\n"
        }
        return text
    }
}
