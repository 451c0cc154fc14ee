// Reading the actions that carry more than a value.

internal import Wire

extension FlowText {
    /// Reads the action `name`; nil if it is not one of these.
    static func parseExtension(
        _ name: String, _ word: FlowToken, ports: PortNames, depth: Int, budget: inout Int
    ) throws(FlowTextError) -> Action? {
        switch name {
        case "multipath": return try parseMultipath(word)
        case "bundle", "bundle_load": return try parseBundle(word, isLoad: name == "bundle_load", ports: ports)
        case "learn": return try parseLearn(word, ports: ports)
        case "fin_timeout":
            var idle: UInt16 = 0
            var hard: UInt16 = 0
            for part in try tokens(word.value) {
                switch part.key {
                case "idle_timeout": idle = try seconds(part, word)
                case "hard_timeout": hard = try seconds(part, word)
                default: throw unknownArgument(part, word, "idle_timeout and hard_timeout")
                }
            }
            return .finTimeout(idle: idle, hard: hard)
        case "sample": return try parseSample(word, ports: ports)
        case "check_pkt_larger": return try parseCheckPacketLarger(word)
        case "delete_field": return .deleteField(try fieldNamed(word.value, in: word.text))
        case "encap": return try parseEncapsulate(word)
        case "decap": return try parseDecapsulate(word)
        case "ct": return try parseConnectionTrack(word, ports: ports, depth: depth, budget: &budget)
        case "nat": return .nat(try parseNAT(word))
        default: return nil
        }
    }

    private static func unknownArgument(_ part: FlowToken, _ word: FlowToken, _ known: String) -> FlowTextError {
        FlowTextError("\(excerpt(word.text)): \(word.key) takes \(known), not \"\(excerpt(part.key))\"")
    }

    private static func seconds(_ part: FlowToken, _ word: FlowToken) throws(FlowTextError) -> UInt16 {
        try parseNumber(part.value, UInt16.self, excerpt(word.text), "a number of seconds")
    }

    private static func hashFields(_ text: Substring, _ word: FlowToken) throws(FlowTextError) -> HashFields {
        guard let fields = HashFields.allCases.first(where: { $0.text == text }) else {
            throw FlowTextError(
                "\(excerpt(word.text)): \"\(excerpt(text))\" is not one of \(HashFields.allCases.map(\.text).joined(separator: ", "))")
        }
        return fields
    }

    private static func parseMultipath(_ word: FlowToken) throws(FlowTextError) -> Action {
        let parts = word.value.split(whereSeparator: { $0 == "," || $0 == " " })
        guard parts.count == 6 else {
            throw FlowTextError("\(excerpt(word.text)): write multipath(FIELDS,BASIS,ALGORITHM,LINKS,ARGUMENT,FIELD[bits])")
        }
        guard let algorithm = MultipathAction.Algorithm.allCases.first(where: { $0.text == parts[2] }) else {
            throw FlowTextError(
                "\(excerpt(word.text)): \"\(excerpt(parts[2]))\" is not one of "
                    + MultipathAction.Algorithm.allCases.map(\.text).joined(separator: ", "))
        }
        let links = try parseNumber(parts[3], UInt32.self, excerpt(word.text), "a number of links", max: 65536)
        guard links >= 1 else { throw FlowTextError("\(excerpt(word.text)): there is at least one link") }
        let destination = try parseSubField(parts[5], in: word.text)
        try requireWritable(destination.field, word)
        guard destination.bits >= 16 || links <= 1 << UInt32(destination.bits) else {
            throw FlowTextError("\(excerpt(word.text)): \(destination.bits) bits are not enough for \(links) links")
        }
        return .multipath(
            MultipathAction(
                fields: try hashFields(parts[0], word), basis: try parseNumber(parts[1], UInt16.self, excerpt(word.text), "a basis"),
                algorithm: algorithm, lastLink: UInt16(links - 1),
                argument: try parseNumber(parts[4], UInt32.self, excerpt(word.text), "an argument"), destination: destination))
    }

    private static func parseBundle(_ word: FlowToken, isLoad: Bool, ports: PortNames) throws(FlowTextError) -> Action {
        let parts = word.value.split(whereSeparator: { $0 == "," || $0 == " " || $0 == ":" })
        let head = isLoad ? 5 : 4
        let usage = "\(word.key)(FIELDS,BASIS,ALGORITHM,ofport,\(isLoad ? "FIELD[bits]," : "")members:PORT,...)"
        guard parts.count > head, parts[3] == "ofport", parts[head] == "members" || parts[head] == "slaves" else {
            throw FlowTextError("\(excerpt(word.text)): write \(usage)")
        }
        guard let algorithm = BundleAction.Algorithm.allCases.first(where: { $0.text == parts[2] }) else {
            throw FlowTextError("\(excerpt(word.text)): \"\(excerpt(parts[2]))\" is neither active_backup nor hrw")
        }
        var destination: SubField?
        if isLoad {
            let target = try parseSubField(parts[4], in: word.text)
            try requireWritable(target.field, word)
            guard target.bits >= 16 else { throw FlowTextError("\(excerpt(word.text)): a port number takes 16 bits, not \(target.bits)") }
            destination = target
        }
        guard parts.count - head - 1 <= BundleAction.memberLimit else {
            throw FlowTextError("\(excerpt(word.text)): more than \(BundleAction.memberLimit) members")
        }
        var members: [OpenFlowPort] = []
        for part in parts[(head + 1)...] { members.append(try port(part, word, ports)) }
        return .bundle(
            BundleAction(
                fields: try hashFields(parts[0], word), basis: try parseNumber(parts[1], UInt16.self, excerpt(word.text), "a basis"),
                algorithm: algorithm, members: members, destination: destination))
    }

    private static func parseSample(_ word: FlowToken, ports: PortNames) throws(FlowTextError) -> Action {
        var action = SampleAction(probability: 0)
        func number(_ part: FlowToken) throws(FlowTextError) -> ActionNumber {
            if let value = integer(part.value), value <= UInt128(UInt32.max) { return .value(UInt32(value)) }
            let field = try parseSubField(part.value, in: word.text)
            guard field.bits <= 32 else { throw FlowTextError("\(excerpt(word.text)): an id has at most 32 bits, not \(field.bits)") }
            return .field(field)
        }
        for part in try tokens(word.value) {
            switch part.key {
            case "probability": action.probability = try parseNumber(part.value, UInt16.self, excerpt(word.text), "a probability")
            case "collector_set_id": action.collectorSetID = try parseNumber(part.value, UInt32.self, excerpt(word.text), "an id")
            case "obs_domain_id": action.observationDomain = try number(part)
            case "obs_point_id": action.observationPoint = try number(part)
            case "sampling_port": action.samplingPort = try port(part.value, word, ports)
            case "ingress": action.direction = .ingress
            case "egress": action.direction = .egress
            default:
                throw unknownArgument(
                    part, word, "probability, collector_set_id, obs_domain_id, obs_point_id, sampling_port, ingress and egress")
            }
        }
        guard action.probability != 0 else { throw FlowTextError("\(excerpt(word.text)): probability= is missing; it is 1 to 65535") }
        return .sample(action)
    }

    /// `check_pkt_larger(1500)->NXM_NX_REG0[0]`: the arrow comes behind the parentheses, so the word is cut there.
    private static func parseCheckPacketLarger(_ word: FlowToken) throws(FlowTextError) -> Action {
        let (text, name) = try arrow(word)
        var number = text
        if number.last == ")" { number.removeLast() }
        let target = try parseSubField(name, in: word.text)
        try requireWritable(target.field, word)
        guard target.bits == 1 else { throw FlowTextError("\(excerpt(word.text)): the result is one bit, not \(target.bits)") }
        return .checkPacketLarger(
            length: try parseNumber(number, UInt16.self, excerpt(word.text), "a length in bytes"), to: target)
    }

    private static func parseEncapsulate(_ word: FlowToken) throws(FlowTextError) -> Action {
        let known = encapsulations.map(\.name).joined(separator: ", ")
        let words = try tokens(word.value)
        guard words.count == 1, let type = encapsulations.first(where: { $0.name == words[0].key })?.type else {
            throw FlowTextError("\(excerpt(word.text)): the headers to add are \(known)")
        }
        var action = EncapsulateAction(packetType: type)
        for part in try tokens(words[0].value) {
            switch (type, part.key) {
            case (.nsh, "md_type"):
                let mdType = try parseNumber(part.value, UInt8.self, excerpt(word.text), "an MD type", max: 2)
                guard mdType >= 1 else { throw FlowTextError("\(excerpt(word.text)): the MD types are 1 and 2") }
                action.properties.append(.mdType(mdType))
            case (.nsh, "tlv"):
                let values = part.value.split(separator: ",")
                guard values.count == 3, values[2].hasPrefix("0x") else {
                    throw FlowTextError("\(excerpt(word.text)): write tlv(CLASS,TYPE,0xVALUE)")
                }
                action.properties.append(
                    .tlv(
                        class: try parseNumber(values[0], UInt16.self, excerpt(word.text), "a class"),
                        type: try parseNumber(values[1], UInt8.self, excerpt(word.text), "a type"),
                        data: try hexBytes(values[2].dropFirst(2), word)))
            default: throw unknownArgument(part, word, type == .nsh ? "md_type and tlv" : "no properties")
            }
        }
        return .encapsulate(action)
    }

    private static func parseDecapsulate(_ word: FlowToken) throws(FlowTextError) -> Action {
        guard let part = try tokens(word.value).first else { return .decapsulate(.useNextProtocol) }
        guard part.key == "packet_type" else { throw unknownArgument(part, word, "packet_type(ns=N,type=N)") }
        var type = PacketType.ethernet
        for piece in try tokens(part.value) {
            let value = try parseNumber(piece.value, UInt16.self, excerpt(word.text), "a number")
            switch piece.key {
            case "ns": type = PacketType(value, type.type)
            case "type": type = PacketType(type.nameSpace, value)
            default: throw unknownArgument(piece, word, "ns and type")
            }
        }
        guard type.nameSpace <= 1 else { throw FlowTextError("\(excerpt(word.text)): the name spaces are 0 and 1") }
        return .decapsulate(type)
    }
}
