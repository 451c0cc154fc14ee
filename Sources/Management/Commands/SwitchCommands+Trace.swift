// `ofproto/trace` and `ofproto/trace-packet-out`: what would happen to a packet.

internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Pipeline

extension SwitchCommands {
    func registerTrace(on registry: CommandRegistry) {
        registry.register(
            "ofproto/trace", usage: "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]", arguments: 1...Int(Int16.max)
        ) { (words) throws(CommandError) in
            let request = try parse(words)
            return trace(request)
        }
        registry.register(
            "ofproto/trace-packet-out",
            usage: "[-consistent] {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet] actions",
            arguments: 2...Int(Int16.max)
        ) { (words) throws(CommandError) in
            var rest = words
            let text = rest.removeLast()
            var request = try parse(rest)
            do throws(FlowTextError) {
                request.options.actions = try FlowText.parseActions(text, ports: request.ports)
            } catch {
                throw CommandError(error.message)
            }
            return trace(request)
        }
    }

    private struct TraceRequest {
        var bridge: Bridge
        var ports: PortNames
        var key: FlowKey
        var options = TraceOptions()
        var hasNames = false
    }

    /// Connection states that `--ct-next` may name.
    private static let connectionStates = ["trk", "new", "est", "rel", "rpl", "inv", "snat", "dnat"]

    private func parse(_ words: [String]) throws(CommandError) -> TraceRequest {
        var positional: [String] = []
        var generates = false
        var hasNames = false
        var index = 0
        while index < words.count {
            let word = words[index]
            index += 1
            switch word {
            case "-generate", "--generate": generates = true
            case "-consistent", "--consistent", "--no-names": continue
            case "--names": hasNames = true
            case "--ct-next":
                guard index < words.count else { throw CommandError("Missing argument for option --ct-next") }
                for state in words[index].split(whereSeparator: { ",|".contains($0) }).map(String.init)
                where !SwitchCommands.connectionStates.contains(state) {
                    throw CommandError("\(state): unknown connection tracking state flag")
                }
                index += 1
            case _ where word.hasPrefix("-"): throw CommandError("\(word): unknown option")
            default: positional.append(word)
            }
        }
        let known = positional.first.flatMap { pipeline.bridge(named: $0) }
        if let bridge = known, positional.count >= 2 {
            guard positional.count <= 3 else { throw CommandError("too many arguments") }
            let packet = positional.count > 2 ? positional[2] : nil
            return named(try request(bridge, flow: positional[1], packet: packet, generates: generates), hasNames)
        }
        // Not a bridge: a flow of the datapath, perhaps behind the datapath's name.
        var flow = positional.first ?? ""
        var rest = positional.dropFirst()
        if !flow.contains("(") {
            guard let second = rest.first else {
                throw CommandError("syntax error at \(flow) (or the bridge name was omitted)")
            }
            guard second.contains("(") else { throw CommandError("\(flow): unknown bridge") }
            guard datapathType(named: flow) != nil else { throw CommandError("Cannot find the datapath") }
            flow = second
            rest = rest.dropFirst()
        }
        guard rest.count <= 1 else { throw CommandError("too many arguments") }
        return named(try request(datapathFlow: flow, packet: rest.first, generates: generates), hasNames)
    }

    private func named(_ request: TraceRequest, _ hasNames: Bool) -> TraceRequest {
        guard hasNames else { return request }
        var request = request
        request.options.datapathPortNames = Dictionary(datapath.ports().map { ($0.port, $0.name) }, uniquingKeysWith: { $1 })
        request.hasNames = true
        return request
    }

    private func trace(_ request: TraceRequest) -> String {
        let key = pipeline.tagLimit == 1 ? request.key.withOneTag : request.key
        let text = request.bridge.trace(key, options: request.options)
        guard request.hasNames else { return text }
        let names = Dictionary(
            request.bridge.ports.map { ($0.number == .local ? "LOCAL" : String($0.number.rawValue), $0.name) }, uniquingKeysWith: { $1 })
        return ["in_port=", "output:"].reduce(text) { SwitchCommands.naming($0, behind: $1, names) }
    }

    /// The text with names instead of the numbers that stand behind a word.
    private static func naming(_ text: String, behind word: String, _ names: [String: String]) -> String {
        var result = ""
        var rest = Substring(text)
        while let place = rest.firstRange(of: word) {
            result += rest[..<place.upperBound]
            rest = rest[place.upperBound...]
            let number = rest.prefix { $0.isASCII && ($0.isNumber || $0.isLetter) }
            result += names[String(number)] ?? String(number)
            rest = rest[number.endIndex...]
        }
        return result + rest
    }

    private func portNames(of bridge: Bridge) -> PortNames {
        PortNames(Dictionary(bridge.ports.map { ($0.name, $0.number) }, uniquingKeysWith: { $1 }))
    }

    /// A flow in OpenFlow's syntax, by a bridge.
    private func request(_ bridge: Bridge, flow: String, packet: String?, generates: Bool) throws(CommandError) -> TraceRequest {
        let ports = portNames(of: bridge)
        var described: FlowKey
        do throws(FlowTextError) {
            described = try FlowText.parsePacket(flow, ports: ports)
            if try FlowText.parseMatch(flow, ports: ports).mask.bits[.inPort] == 0 {
                described[.inPort] = UInt128(OpenFlowPort.any.rawValue)
            }
        } catch {
            throw CommandError("Bad openflow flow syntax: \(flow): \(error.message)")
        }
        return try complete(TraceRequest(bridge: bridge, ports: ports, key: described), packet: packet, generates: generates)
    }

    /// A flow in the datapath's syntax: its input port says which bridge.
    private func request(datapathFlow flow: String, packet: String?, generates: Bool) throws(CommandError) -> TraceRequest {
        let numbers = Dictionary(datapath.ports().map { ($0.name, $0.port) }, uniquingKeysWith: { $1 })
        var key: FlowKey
        do throws(DatapathTextError) {
            key = try DatapathText.parseMatch(flow) { numbers[$0] }.key
        } catch {
            throw CommandError("\(error.description) (or the bridge name was omitted)")
        }
        let number = DatapathPort(UInt32(truncatingIfNeeded: key[.datapathInPort]))
        guard let (bridge, port) = Bridge.receiving(number, in: pipeline) else {
            throw CommandError("no OpenFlow port for datapath port \(number.rawValue)")
        }
        key[.inPort] = UInt128(port.number.rawValue)
        return try complete(TraceRequest(bridge: bridge, ports: portNames(of: bridge), key: key), packet: packet, generates: generates)
    }

    private func complete(_ request: TraceRequest, packet: String?, generates: Bool) throws(CommandError) -> TraceRequest {
        var request = request
        guard let packet else {
            request.options.isReal = generates
            return request
        }
        if generates { throw CommandError("Use only one of -generate, packet or actions") }
        guard let bytes = PacketText.bytes(packet) else { throw CommandError("Trailing garbage in packet data") }
        guard bytes.count >= 14 else { throw CommandError("Packet data too short for Ethernet") }
        let described = request.key
        var key = FlowKey(packet: bytes, inPort: UInt32(truncatingIfNeeded: described[.datapathInPort]))
        // The packet says what is in its headers; the flow says what is around it.
        for field in [.inPort, .metadata, .tunID, .pktMark, .recircID, .skbPriority, .dpHash] as [Field] { key[field] = described[field] }
        for field in Field.allCases where Field.reg0.rawValue...Field.reg31.rawValue ~= field.rawValue { key[field] = described[field] }
        request.key = key
        request.options.isReal = true
        return request
    }
}
