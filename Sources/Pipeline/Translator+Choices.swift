// Choices by a hash of the packet: `multipath` and `bundle`.

internal import Base
internal import DatapathAPI
internal import Flow

extension Translator {
    func run(_ action: MultipathAction) {
        let hash = hash(action.fields, basis: action.basis)
        let links = UInt32(action.lastLink) + 1
        let link: UInt32
        switch action.algorithm {
        case .moduloN: link = hash % links
        case .hashThreshold: link = UInt32(UInt64(hash) * UInt64(links) >> 32)
        case .highestRandomWeight: link = Translator.highestWeight(hash, among: links) { _ in true } ?? 0
        case .iterativeHash: link = Translator.iterativeChoice(hash, among: links, modulo: action.argument)
        }
        set(action.destination, UInt128(link))
        reportValue(of: action.destination)
    }

    func run(_ action: BundleAction) {
        // The choice depends on which members are up, and that on the bridge's ports, which every translation depends on.
        func isUp(_ index: Int) -> Bool {
            guard let port = view.byNumber[action.members[index].rawValue] else { return false }
            return port.port.isLinkUp && port.sends
        }
        let choice: Int?
        switch action.algorithm {
        case .activeBackup: choice = action.members.indices.first(where: isUp)
        case .highestRandomWeight:
            let hash = hash(action.fields, basis: action.basis)
            choice = Translator.highestWeight(hash, among: UInt32(action.members.count)) { isUp(Int($0)) }.map { Int($0) }
        }
        let port = choice.map { action.members[$0] } ?? .any
        if let destination = action.destination {
            set(destination, UInt128(port.rawValue))
            reportValue(of: destination)
        } else if port != .any {
            output(to: port, maxLength: 0)
        }
    }

    // MARK: Algorithms

    /// The candidate whose own hash with the packet's is highest (Thaler and Ravishankar): a candidate that goes moves only the
    /// packets that it had.
    static func highestWeight(_ hash: UInt32, among count: UInt32, where isCandidate: (UInt32) -> Bool) -> UInt32? {
        var best: (weight: UInt64, index: UInt32)?
        for index in 0..<count where isCandidate(index) {
            let weight = mix(UInt64(hash) << 32 | UInt64(index))
            if best == nil || weight > best!.weight { best = (weight, index) }
        }
        return best?.index
    }

    /// Hashes anew until the remainder is a link's number; `modulo` says up to which number links may come to be.
    static func iterativeChoice(_ hash: UInt32, among count: UInt32, modulo: UInt32) -> UInt32 {
        var modulo = modulo
        if modulo < count || modulo / 2 > count {
            modulo = 1
            while modulo < count { modulo *= 2 }
        }
        var value = UInt64(hash)
        // The chance of a miss is below one half each time.
        for _ in 0..<64 {
            let remainder = UInt32(value % UInt64(modulo))
            if remainder < count { return remainder }
            value = mix(value)
        }
        return 0
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var generator = SplitMix64(seed: value)
        return generator.next()
    }

    // MARK: Hashes

    /// A hash of what `fields` names, which is looked at.
    func hash(_ fields: HashFields, basis: UInt16) -> UInt32 {
        var hash = Translator.mix(UInt64(basis))
        func add(_ value: UInt128) {
            hash = Translator.mix(hash ^ UInt64(truncatingIfNeeded: value) ^ Translator.mix(UInt64(truncatingIfNeeded: value >> 64)))
        }
        func part(_ field: Field) -> UInt128 {
            look(field, bits: field.layout.allOnes)
            return RawField.load(key, field)
        }
        let etherType = load16(FlowOffset.etherType)
        let isIPv4 = etherType == 0x0800
        let isIPv6 = etherType == 0x86dd
        func addAddresses() {
            if isIPv4 { add(part(.nwSrc) ^ part(.nwDst)) }
            if isIPv6 { add(part(.ipv6Src) ^ part(.ipv6Dst)) }
        }
        func addPorts(_ protocols: [UInt8]) {
            guard isIPv4 || isIPv6 else { return }
            let proto = UInt8(truncatingIfNeeded: part(.nwProto))
            add(UInt128(proto))
            if protocols.contains(proto), load8(FlowOffset.ipFragment) & 2 == 0 { add(part(.tcpSrc) ^ part(.tcpDst)) }
        }
        switch fields {
        case .ethSrc: add(part(.ethSrc))
        case .symmetricL4:
            add(part(.ethSrc) ^ part(.ethDst))
            add(UInt128(etherType))
            add(part(.vlanTCI) & 0xfff)
            addAddresses()
            addPorts([6, 132])
        case .symmetricL3L4:
            addAddresses()
            addPorts([6, 132])
        case .symmetricL3L4UDP:
            addAddresses()
            addPorts([6, 17, 132])
        case .nwSrc:
            if isIPv4 { add(part(.nwSrc)) }
            if isIPv6 { add(part(.ipv6Src)) }
        case .nwDst:
            if isIPv4 { add(part(.nwDst)) }
            if isIPv6 { add(part(.ipv6Dst)) }
        case .symmetricL3: addAddresses()
        }
        return UInt32(truncatingIfNeeded: hash >> 32)
    }
}
