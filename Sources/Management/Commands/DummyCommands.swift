// `netdev-dummy/*`: packets and states of test devices.

internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Switch

/// Registers the commands of a daemon with dummies. Only on the control loop's thread.
struct DummyCommands {
    let theSwitch: Switch
    let datapath: Datapath

    func register(on registry: CommandRegistry) {
        registry.register(
            "netdev-dummy/receive", usage: "name [--qid queue_id] packet|flow [--len packet_len]", arguments: 2...Int(Int16.max)
        ) { (words) throws(CommandError) in try receive(words) }
        registry.register("netdev-dummy/set-admin-state", usage: "[netdev] up|down", arguments: 1...2) { (words) throws(CommandError) in
            let state = words.last!.lowercased()
            guard state == "up" || state == "down" else { throw CommandError("Invalid Admin State") }
            for port in try ports(words.count > 1 ? words[0] : nil) { port.setLink(isUp: state == "up") }
            theSwitch.refreshLinks()
            return "OK\n"
        }
        registry.register("netdev-dummy/conn-state", usage: "[netdev]", arguments: 0...1) { words in
            if let name = words.first { return "\(name): \(theSwitch.dummyPort(name)?.streamState ?? "unknown")\n" }
            return theSwitch.dummyPorts().filter(\.hasStream).map { "\($0.name): \($0.streamState)\n" }.joined()
        }
        registry.register("netdev-dummy/ip4addr", usage: "[netdev] ipaddr/mask-prefix-len", arguments: 2...2) {
            (words) throws(CommandError) in
            let port = try ports(words[0])[0]
            let parts = words[1].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= 2, (try? FlowText.parseValue(.nwSrc, parts[0])) != nil,
                parts.count == 1 || Int(parts[1]).map({ (0...32).contains($0) }) == true
            else { throw CommandError("Invalid IPv4 address") }
            port.addAddress(words[1])
            return "OK\n"
        }
        registry.register("netdev-dummy/ip6addr", usage: "[netdev] ip6addr", arguments: 2...2) { (words) throws(CommandError) in
            let port = try ports(words[0])[0]
            let parts = words[1].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= 2, (try? FlowText.parseValue(.ipv6Src, parts[0])) != nil,
                parts.count == 1 || Int(parts[1]).map({ (0...128).contains($0) }) == true
            else { throw CommandError("\(words[1]): invalid IPv6 address") }
            port.addAddress(words[1])
            return "OK\n"
        }
    }

    private func ports(_ name: String?) throws(CommandError) -> [DummyPort] {
        guard let name else { return theSwitch.dummyPorts() }
        guard let port = theSwitch.dummyPort(name) else { throw CommandError("Unknown Dummy Interface") }
        return [port]
    }

    // MARK: Packets

    private func receive(_ words: [String]) throws(CommandError) -> String {
        guard let port = theSwitch.dummyPort(words[0]) else { throw CommandError("no such dummy netdev") }
        var index = 1
        var queue: Int?
        if words.count > 3, words[1] == "--qid" {
            guard let number = Int(words[2]), (0..<port.rxQueueCount).contains(number) else { throw CommandError("bad rx queue id.") }
            queue = number
            index = 3
        }
        while index < words.count {
            let word = words[index]
            index += 1
            let frame: [UInt8]
            if let bytes = PacketText.bytes(word) {
                guard bytes.count >= 14 else { throw CommandError("Packet data too short for Ethernet") }
                frame = bytes
            } else {
                var length: Int?
                if index < words.count, words[index] == "--len" {
                    guard index + 1 < words.count, let number = Int(words[index + 1]) else { throw CommandError("--len needs a number") }
                    guard number >= 60 else { throw CommandError("too small packet len") }
                    guard number <= Int(UInt16.max) else { throw CommandError("too large packet len") }
                    length = number
                    index += 2
                }
                let names = Dictionary(datapath.ports().map { ($0.name, $0.port) }, uniquingKeysWith: { $1 })
                do throws(DatapathTextError) {
                    frame = PacketText.compose(try DatapathText.parseMatch(word) { names[$0] }.key, length: length)
                } catch {
                    throw CommandError(error.description)
                }
            }
            guard port.inject(frame, queue: queue ?? 0) else {
                throw CommandError("\(port.name) cannot take \(frame.count) bytes: its queue is full, or the frame too long")
            }
            datapath.settle { (0..<port.rxQueueCount).allSatisfy { port.pendingReceive(queue: $0) == 0 } }
        }
        return ""
    }
}
