// `qos/show`, `qos/show-types`.

internal import Switch

extension SwitchCommands {
    func registerQoS(on registry: CommandRegistry) {
        registry.register("qos/show", usage: "interface", arguments: 1...1) { (words) throws(CommandError) in
            guard let text = theSwitch.describeQoS(words[0]) else { throw CommandError("no such interface") }
            return text
        }
        registry.register("qos/show-types", usage: "interface", arguments: 1...1) { (words) throws(CommandError) in
            guard let text = theSwitch.describeQoSTypes(words[0]) else { throw CommandError("no such interface") }
            return text
        }
    }
}
