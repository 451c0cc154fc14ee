// `ofproto/trace`: what would happen to a packet.

internal import DatapathAPI
internal import Flow
internal import Pipeline

extension SwitchCommands {
    func registerTrace(on registry: CommandRegistry) {
        registry.register(
            "ofproto/trace", usage: "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]", arguments: 1...Int(Int16.max)
        ) { (words) throws(CommandError) in try trace(words) }
    }

    private func trace(_ words: [String]) throws(CommandError) -> String {
        var positional: [String] = []
        for word in words {
            if !word.hasPrefix("-") {
                positional.append(word)
            } else if !["-generate", "--generate", "-consistent", "--consistent", "--names", "--no-names"].contains(word) {
                throw CommandError("\(word): unknown option")
            }
        }
        guard positional.count >= 2 else {
            throw CommandError("syntax error at \(positional.first ?? "the end") (or the bridge name was omitted)")
        }
        guard let bridge = pipeline.bridge(named: positional[0]) else { throw CommandError("\(positional[0]): unknown bridge") }
        guard positional.count <= 3 else { throw CommandError("\(positional[3]): one flow and one packet are enough") }

        let ports = PortNames(Dictionary(bridge.ports.map { ($0.name, $0.number) }, uniquingKeysWith: { $1 }))
        let described: FlowKey
        do throws(FlowTextError) {
            described = try FlowText.parsePacket(positional[1], ports: ports)
        } catch {
            throw CommandError("Bad openflow flow syntax: \(positional[1]): \(error.message)")
        }
        guard positional.count == 3 else { return bridge.trace(described) }
        var key = FlowKey(packet: try SwitchCommands.packet(positional[2]), inPort: UInt32(truncatingIfNeeded: described[.datapathInPort]))
        // The packet says what is in its headers; the flow says what is around it.
        for field in [.inPort, .metadata, .tunID, .pktMark, .recircID] as [Field] { key[field] = described[field] }
        for field in Field.allCases where Field.reg0.rawValue...Field.reg15.rawValue ~= field.rawValue { key[field] = described[field] }
        return bridge.trace(key)
    }

    /// Bytes from hexadecimal digits.
    private static func packet(_ text: String) throws(CommandError) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text where character != " " && character != ":" && character != "." {
            guard let digit = character.hexDigitValue else { throw CommandError("\(text): trailing garbage in packet data") }
            if let first = high {
                bytes.append(first << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        guard high == nil else { throw CommandError("\(text): an odd number of hexadecimal digits is no packet") }
        guard bytes.count >= 14 else { throw CommandError("Packet data too short for Ethernet") }
        return bytes
    }
}
