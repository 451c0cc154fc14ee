// The actions that carry more than a value: multipath, bundle, learn, sample, ct, nat, encap and the like.

internal import Flow

extension NiciraActionDecoder {
    /// Nil if the subtype is not one of these.
    func extended(_ subtype: UInt16, _ body: inout ByteReader, depth: Int) throws(OpenFlowError) -> Action? {
        switch subtype {
        case NiciraAction.resubmitTracked:
            try base.exactly(6, body)
            let port = OpenFlowPort(wire16: try body.u16())
            let table = try body.u8()
            try base.zeros(&body, error: .bacBadArgument)
            return .resubmitTracked(port: port == .inPort ? nil : port, table: table == 0xff ? nil : table)
        case NiciraAction.multipath: return try multipath(&body)
        case NiciraAction.bundle, NiciraAction.bundleLoad: return try bundle(&body, isLoad: subtype == NiciraAction.bundleLoad)
        case NiciraAction.learn, NiciraAction.learn2: return try learn(&body, isSecond: subtype == NiciraAction.learn2)
        case NiciraAction.finTimeout:
            try base.exactly(6, body)
            let idle = try body.u16()
            let hard = try body.u16()
            try base.zeros(&body)
            return .finTimeout(idle: idle, hard: hard)
        case NiciraAction.sample, NiciraAction.sample2, NiciraAction.sample3, NiciraAction.sample4: return try sample(subtype, &body)
        case NiciraAction.checkPacketLarger:
            try base.exactly(14, body)
            let length = try body.u16()
            let offset = Int(try body.u16())
            let target = try base.writable(try base.subField(&body, offset: offset, bits: 1))
            try base.zeros(&body)
            return .checkPacketLarger(length: length, to: target)
        case NiciraAction.deleteField:
            try base.exactly(14, body)
            let field = try base.field(&body)
            try base.zeros(&body)
            return .deleteField(field)
        case NiciraAction.encapsulate where base.version >= .v1_3: return try encapsulate(&body)
        case NiciraAction.decapsulate where base.version >= .v1_3:
            guard body.remaining == 6 else { throw OpenFlowError(.nxbacUnknownEdProp, "decap with properties") }
            try body.skip(2)
            return .decapsulate(PacketType(rawValue: try body.u32()))
        case NiciraAction.decrementNSHTTL where base.version >= .v1_3:
            try base.exactly(6, body)
            return .decrementNSHTTL
        case NiciraAction.connectionTrack: return try connectionTrack(&body, depth: depth)
        case NiciraAction.nat: return .nat(try nat(&body))
        case NiciraAction.clearConnectionTrack:
            try base.exactly(6, body)
            return .clearConnectionTrack
        default: return nil
        }
    }

    private func hashFields(_ value: UInt16) throws(OpenFlowError) -> HashFields {
        guard let fields = HashFields(rawValue: value) else { throw OpenFlowError(.bacBadArgument, "hash fields \(value) are unknown") }
        return fields
    }

    private func multipath(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        try base.exactly(22, body)
        let fields = try body.u16()
        let basis = try body.u16()
        try body.skip(2)
        let algorithm = try body.u16()
        let lastLink = try body.u16()
        let argument = try body.u32()
        try body.skip(2)
        let (offset, bits) = split(try body.u16())
        let destination = try base.writable(try base.subField(&body, offset: offset, bits: bits))
        guard let algorithm = MultipathAction.Algorithm(rawValue: algorithm) else {
            throw OpenFlowError(.bacBadArgument, "multipath algorithm \(algorithm) is unknown")
        }
        guard bits >= 16 || Int(lastLink) < 1 << bits else {
            throw OpenFlowError(.bacBadArgument, "multipath with \(Int(lastLink) + 1) links needs more than \(bits) bits")
        }
        return .multipath(
            MultipathAction(
                fields: try hashFields(fields), basis: basis, algorithm: algorithm, lastLink: lastLink, argument: argument,
                destination: destination))
    }

    private func bundle(_ body: inout ByteReader, isLoad: Bool) throws(OpenFlowError) -> Action {
        let algorithm = try body.u16()
        let fields = try body.u16()
        let basis = try body.u16()
        let memberType = try body.u32()
        let count = Int(try body.u16())
        let place = try body.u16()
        var destination: SubField?
        if isLoad {
            let (offset, bits) = split(place)
            let target = try base.writable(try base.subField(&body, offset: offset, bits: bits))
            guard bits >= 16 else { throw OpenFlowError(.bacBadArgument, "bundle_load into \(bits) bits, fewer than 16") }
            destination = target
        } else {
            let rest = try body.u32()
            guard place == 0, rest == 0 else { throw OpenFlowError(.bacBadArgument, "bundle with a destination") }
        }
        guard try body.u32() == 0 else { throw OpenFlowError(.bacBadArgument, "padding of bundle is not zero") }
        // The only kind of member there is: a port, said by the header of in_port.
        guard memberType == 0x0000_0002 else { throw OpenFlowError(.bacBadArgument, "bundle members of type \(memberType)") }
        guard count <= BundleAction.memberLimit else { throw OpenFlowError(.bacBadArgument, "bundle of \(count) members") }
        guard let algorithm = BundleAction.Algorithm(rawValue: algorithm) else {
            throw OpenFlowError(.bacBadArgument, "bundle algorithm \(algorithm) is unknown")
        }
        let known = try hashFields(fields)
        try body.require(2 * count)
        var members: [OpenFlowPort] = []
        for _ in 0..<count { members.append(OpenFlowPort(wire16: try body.u16())) }
        return .bundle(BundleAction(fields: known, basis: basis, algorithm: algorithm, members: members, destination: destination))
    }

    private func sample(_ subtype: UInt16, _ body: inout ByteReader) throws(OpenFlowError) -> Action {
        try base.exactly(subtype == NiciraAction.sample ? 14 : subtype == NiciraAction.sample4 ? 30 : 22, body)
        var action = SampleAction(probability: try body.u16())
        action.collectorSetID = try body.u32()
        if subtype == NiciraAction.sample4 {
            action.observationDomain = try number(&body)
            action.observationPoint = try number(&body)
        } else {
            action.observationDomain = .value(try body.u32())
            action.observationPoint = .value(try body.u32())
        }
        if subtype != NiciraAction.sample {
            let port = OpenFlowPort(wire16: try body.u16())
            action.samplingPort = port == .any ? nil : port
        }
        if subtype == NiciraAction.sample3 || subtype == NiciraAction.sample4 {
            let direction = try body.u8()
            guard let known = SampleAction.Direction(rawValue: direction) else {
                throw OpenFlowError(.bacBadArgument, "sample direction \(direction) is unknown")
            }
            action.direction = known
            try base.zeros(&body)
        }
        guard action.probability != 0 else { throw OpenFlowError(.bacBadArgument, "sample with probability 0") }
        return .sample(action)
    }

    /// A field's header and place, or zeros and a number.
    private func number(_ body: inout ByteReader) throws(OpenFlowError) -> ActionNumber {
        var ahead = body
        guard try ahead.u32() != 0 else {
            body = ahead
            return .value(try body.u32())
        }
        let (offset, bits) = split(try ahead.u16())
        guard bits <= 32 else { throw OpenFlowError(.bacBadArgument, "an observation id of \(bits) bits, more than 32") }
        let field = try base.subField(&body, offset: offset, bits: bits)
        try body.skip(4)
        return .field(field)
    }

    private func encapsulate(_ body: inout ByteReader) throws(OpenFlowError) -> Action {
        let size = try body.u16()
        let type = PacketType(rawValue: try body.u32())
        guard [.ethernet, .nsh, .mpls, .mplsMulticast].contains(type) else {
            throw OpenFlowError(.nxbacBadHeaderType, "encap of packet type (\(type.nameSpace),0x\(String(type.type, radix: 16)))")
        }
        var action = EncapsulateAction(packetType: type, headerSize: size)
        while !body.isAtEnd {
            let propertyClass = try body.u16()
            let kind = try body.u8()
            let length = Int(try body.u8())
            guard length >= 4, (length + 7) / 8 * 8 - 4 <= body.remaining else {
                throw OpenFlowError(.bacBadLen, "an encap property of \(length) bytes")
            }
            var value = try body.sub((length + 7) / 8 * 8 - 4)
            switch (propertyClass, kind) {
            case (EncapsulateProperty.nshClass, EncapsulateProperty.mdType):
                guard length <= 8 else { throw OpenFlowError(.nxbacBadEdProp, "an MD type property of \(length) bytes") }
                action.properties.append(.mdType(try value.u8()))
            case (EncapsulateProperty.nshClass, EncapsulateProperty.tlv):
                let tlvClass = try value.u16()
                let tlvType = try value.u8()
                let count = Int(try value.u8())
                guard length == 8 + (count + 7) / 8 * 8 else { throw OpenFlowError(.nxbacBadEdProp, "a TLV property of \(length) bytes") }
                action.properties.append(.tlv(class: tlvClass, type: tlvType, data: try value.array(count)))
            default: throw OpenFlowError(.nxbacUnknownEdProp, "encap property \(kind) of class \(propertyClass)")
            }
        }
        return .encapsulate(action)
    }

    // MARK: ct

    private func connectionTrack(_ body: inout ByteReader, depth: Int) throws(OpenFlowError) -> Action {
        var action = ConnectionTrackAction()
        let flags = try body.u16()
        action.commits = flags & ConnectionTrackBits.commit != 0
        action.forces = flags & ConnectionTrackBits.force != 0
        if action.forces, !action.commits { throw OpenFlowError(.bacBadArgument, "ct with force and without commit") }
        var ahead = body
        if try ahead.u32() == 0 {
            body = ahead
            action.zone = .value(try body.u16())
        } else {
            let (offset, bits) = split(try ahead.u16())
            let field = try base.subField(&body, offset: offset, bits: bits)
            guard bits == 16 else { throw OpenFlowError(.bacBadSetLen, "a ct zone of \(bits) bits, not 16") }
            try body.skip(2)
            action.zone = .field(field)
        }
        let table = try body.u8()
        action.table = table == ConnectionTrackBits.noTable ? nil : table
        try body.skip(3)
        action.helper = try body.u16()
        action.actions = try base.decode(&body, depth: depth + 1)
        for nested in action.actions {
            switch nested {
            case .nat(let nat):
                let isPlain = nat.flags.isEmpty && nat.addresses == .none
                if !isPlain, !action.commits { throw OpenFlowError(.bacBadArgument, "ct with a range to translate to and without commit") }
            case .setField(let field, _, _, _) where field == .ctMark || field == .ctLabel:
                if !action.commits { throw OpenFlowError(.bacBadArgument, "ct with exec and without commit") }
            case .move(_, let to) where to.field == .ctMark || to.field == .ctLabel:
                if !action.commits { throw OpenFlowError(.bacBadArgument, "ct with exec and without commit") }
            default: throw OpenFlowError(.bacBadArgument, "\(FlowText.format(nested)) within ct")
            }
        }
        return .connectionTrack(action)
    }

    private func nat(_ body: inout ByteReader) throws(OpenFlowError) -> NATAction {
        func require(_ condition: Bool, _ what: String) throws(OpenFlowError) {
            if !condition { throw OpenFlowError(.bacBadArgument, "nat with \(what)") }
        }
        body.lengthError = .bacBadArgument
        try body.skip(2)
        var action = NATAction(flags: NATAction.Flags(rawValue: try body.u16()))
        try require(NATAction.Flags.all.isSuperset(of: action.flags), "unknown flags")
        try require(!action.flags.isSuperset(of: [.source, .destination]), "source and destination")
        try require(!action.flags.isSuperset(of: [.hash, .random]), "hash and random")
        let present = try body.u16()
        func has(_ bit: UInt16) -> Bool { present & bit != 0 }
        if has(NATBits.ipv4First) {
            try require(!has(NATBits.ipv6First | NATBits.ipv6Last), "IPv4 and IPv6 addresses")
            let first = try body.u32()
            let last = has(NATBits.ipv4Last) ? try body.u32() : 0
            try require(first != 0 && (!has(NATBits.ipv4Last) || last >= first), "an empty range of addresses")
            action.addresses = .ipv4(first: first, last: last)
        } else if has(NATBits.ipv6First) {
            try require(!has(NATBits.ipv4Last), "IPv4 and IPv6 addresses")
            let first = try body.integer(16)
            let last = has(NATBits.ipv6Last) ? try body.integer(16) : 0
            try require(first != 0 && (!has(NATBits.ipv6Last) || last >= first), "an empty range of addresses")
            action.addresses = .ipv6(first: first, last: last)
        } else {
            try require(!has(NATBits.ipv4Last | NATBits.ipv6Last), "a last address and no first one")
        }
        if has(NATBits.portFirst) {
            try require(action.addresses != .none, "ports and no addresses")
            action.firstPort = try body.u16()
            action.lastPort = has(NATBits.portLast) ? try body.u16() : 0
            try require(action.firstPort != 0 && (!has(NATBits.portLast) || action.lastPort >= action.firstPort), "an empty range of ports")
        } else {
            try require(!has(NATBits.portLast), "a last port and no first one")
        }
        return action
    }
}
