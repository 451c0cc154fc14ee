// One field's value and mask, read and printed.

internal import Wire

extension FlowText {
    /// Names of flag bits, least significant first.
    static let tcpFlagNames = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"]
    static let ctStateNames = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"]
    static let tunnelFlagNames = ["oam"]

    static func flagNames(of field: Field) -> [String]? {
        switch field {
        case .tcpFlags: tcpFlagNames
        case .ctState: ctStateNames
        case .tunFlags: tunnelFlagNames
        default: nil
        }
    }

    /// Reads `VALUE` or `VALUE/MASK` in the field's own notation. The value comes back with bits outside the mask cleared.
    ///
    /// - Parameter name: the field's name as the user wrote it, for errors.
    public static func parseValue(
        _ field: Field, _ text: some StringProtocol, name: String? = nil, ports: PortNames = .none
    ) throws(FlowTextError) -> (value: UInt128, mask: UInt128) {
        let ones = field.layout.allOnes
        let label = name ?? field.name
        if text.isEmpty { throw FlowTextError("\(label) needs a value: \(label)=\(example(of: field))") }
        if let names = flagNames(of: field), let flags = try parseFlags(Substring(text), names: names, label: label, ones: ones) {
            return flags
        }
        if field == .ipFrag { return try parseFragment(text, label: label) }
        if field == .packetType { return (try parsePacketType(text, label: label), ones) }

        let slash = text.firstIndex(of: "/")
        let valueText = slash.map { text[..<$0] } ?? text[...]
        let maskText = slash.map { text[text.index(after: $0)...] }
        var value: UInt128
        var mask = ones
        switch field.info.format {
        case .mac:
            guard let address = mac(valueText) else {
                throw FlowTextError(
                    "\(label)=\(excerpt(text)): \"\(excerpt(valueText))\" is not an Ethernet address like 00:11:22:33:44:55")
            }
            value = address
            if let maskText {
                guard let bits = mac(maskText) else {
                    throw FlowTextError(
                        "\(label)=\(excerpt(text)): \"\(excerpt(maskText))\" is not an Ethernet mask like ff:ff:ff:00:00:00")
                }
                mask = bits
            }
        case .ipv4:
            guard let address = IPv4(valueText) else {
                throw FlowTextError(
                    "\(label)=\(excerpt(text)): \"\(excerpt(valueText))\" is not an IPv4 address like 10.0.0.1 or 10.0.0.0/8")
            }
            value = address
            if let maskText {
                guard let bits = IPv4(maskText) ?? prefixMask(maskText, width: 32) else {
                    throw FlowTextError(
                        "\(label)=\(excerpt(text)): \"\(excerpt(maskText))\" is neither a prefix length of 0 to 32 nor a netmask")
                }
                mask = bits
            }
        case .ipv6:
            guard let address = IPv6(valueText) else {
                throw FlowTextError(
                    "\(label)=\(excerpt(text)): \"\(excerpt(valueText))\" is not an IPv6 address like fe80::1 or 2001:db8::/32")
            }
            value = address
            if let maskText {
                guard let bits = IPv6(maskText) ?? prefixMask(maskText, width: 128) else {
                    throw FlowTextError(
                        "\(label)=\(excerpt(text)): \"\(excerpt(maskText))\" is neither a prefix length of 0 to 128 nor a netmask")
                }
                mask = bits
            }
        case .port:
            guard let port = OpenFlowPort(text: valueText, names: ports) else {
                throw FlowTextError(
                    "\(label)=\(excerpt(text)): there is no port \"\(excerpt(valueText))\"; a number, LOCAL or the name of a port would do")
            }
            value = UInt128(port.rawValue)
            if let maskText { mask = try integerMask(maskText, field, label: label, text: text) }
        default:
            value = try integerValue(valueText, field, label: label, text: text)
            if let maskText { mask = try integerMask(maskText, field, label: label, text: text) }
        }
        if mask != ones, mask != 0, !field.info.isMaskable {
            throw FlowTextError("\(label)=\(excerpt(text)): \(label) takes no mask; it is matched or set as a whole")
        }
        return (value & mask, mask)
    }

    private static func mac(_ text: some StringProtocol) -> UInt128? { MACAddress(String(text)).map { UInt128($0.rawValue) } }
    private static func IPv4(_ text: some StringProtocol) -> UInt128? { IPv4Address(String(text)).map { UInt128($0.rawValue) } }
    private static func IPv6(_ text: some StringProtocol) -> UInt128? { IPv6Address(String(text))?.rawValue }
    private static func prefixMask(_ text: some StringProtocol, width: Int) -> UInt128? {
        guard let length = integer(text), length <= UInt128(width) else { return nil }
        return width == 32 ? UInt128(IPv4Address.netmask(prefix: Int(length))) : IPv6Address.netmask(prefix: Int(length))
    }

    private static func integerValue(
        _ part: some StringProtocol, _ field: Field, label: String, text: some StringProtocol
    ) throws(FlowTextError) -> UInt128 {
        guard let value = integer(part) else {
            throw FlowTextError("\(label)=\(excerpt(text)): \"\(excerpt(part))\" is not a number like 5 or 0x5")
        }
        guard value <= field.layout.allOnes else {
            throw FlowTextError(
                "\(label)=\(excerpt(text)): \(excerpt(part)) does not fit into \(field.layout.bits) bits; the largest is \(limit(of: field))"
            )
        }
        return value
    }

    private static func integerMask(
        _ part: some StringProtocol, _ field: Field, label: String, text: some StringProtocol
    ) throws(FlowTextError) -> UInt128 {
        // "-1" is what people write for "all bits".
        if part == "-1" { return field.layout.allOnes }
        return try integerValue(part, field, label: label, text: text)
    }

    private static func limit(of field: Field) -> String {
        let ones = field.layout.allOnes
        return field.info.format == .decimal ? String(ones) : hex(ones)
    }

    private static func example(of field: Field) -> String {
        switch field.info.format {
        case .mac: "00:11:22:33:44:55"
        case .ipv4: "10.0.0.0/8"
        case .ipv6: "2001:db8::/32"
        case .port: "1"
        case .frag: "no"
        case .tcpFlags: "+syn-ack"
        case .decimal, .hex: "1"
        }
    }

    /// `+syn-ack` (those set, those clear), `syn|ack` (exactly these), or nil if it is a number.
    private static func parseFlags(
        _ text: Substring, names: [String], label: String, ones: UInt128
    ) throws(FlowTextError) -> (value: UInt128, mask: UInt128)? {
        func bit(_ word: Substring) throws(FlowTextError) -> UInt128 {
            guard let index = names.firstIndex(of: word.lowercased()) else {
                throw FlowTextError(
                    "\(label)=\(excerpt(text)): there is no flag \"\(excerpt(word))\"; the flags are \(names.joined(separator: ", "))")
            }
            return 1 << UInt128(index)
        }
        var value: UInt128 = 0
        var mask: UInt128 = 0
        guard let first = text.first else { return nil }
        if first == "+" || first == "-" {
            var rest = text
            while let sign = rest.first {
                guard sign == "+" || sign == "-" else {
                    throw FlowTextError("\(label)=\(excerpt(text)): each flag begins with + (set) or - (clear)")
                }
                rest = rest.dropFirst()
                let end = rest.firstIndex { $0 == "+" || $0 == "-" } ?? rest.endIndex
                let flag = try bit(rest[..<end])
                guard mask & flag == 0 else {
                    throw FlowTextError("\(label)=\(excerpt(text)): the flag \"\(rest[..<end])\" is there twice")
                }
                mask |= flag
                if sign == "+" { value |= flag }
                rest = rest[end...]
            }
            return (value, mask)
        }
        if first.isNumber { return nil }
        for word in text.split(separator: "|", omittingEmptySubsequences: false) { value |= try bit(word) }
        return (value, ones)
    }

    static let fragmentNames: [(name: String, value: UInt128, mask: UInt128)] = [
        ("no", 0, 3), ("yes", 1, 1), ("first", 1, 3), ("later", 2, 2), ("not_later", 0, 2),
    ]

    private static func parseFragment(_ text: some StringProtocol, label: String) throws(FlowTextError) -> (value: UInt128, mask: UInt128) {
        let word = text.lowercased()
        if let known = fragmentNames.first(where: { $0.name == word }) { return (known.value, known.mask) }
        let parts = text.split(separator: "/", maxSplits: 1)
        if let value = parts.first.flatMap({ integer($0) }), value <= 3 {
            let mask = parts.count == 2 ? integer(parts[1]) : 3
            // A later fragment is always a fragment too: both bits say no more than one.
            if value == 3, mask == 3 { return (2, 2) }
            if let mask, mask <= 3 { return (value & mask, mask) }
        }
        throw FlowTextError("\(label)=\(excerpt(text)): no fragment type; the types are no, yes, first, later and not_later")
    }

    private static func parsePacketType(_ text: some StringProtocol, label: String) throws(FlowTextError) -> UInt128 {
        var inner = Substring(text)
        if inner.first == "(", inner.last == ")" { inner = inner.dropFirst().dropLast() }
        let parts = inner.split(separator: ",").map { $0.trimmingPrefix { $0 == " " } }
        if parts.count == 2, let space = integer(parts[0]), let type = integer(parts[1]), space <= 0xffff, type <= 0xffff {
            return space << 16 | type
        }
        if parts.count == 1, let value = integer(parts[0]), value <= 0xffff_ffff { return value }
        throw FlowTextError("\(label)=\(excerpt(text)): not a packet type like (0,0) or (1,0x800)")
    }

    /// A value (and mask, unless it is all ones) in the field's own notation, as `set_field` and packet-in print them.
    public static func formatValue(_ field: Field, _ value: UInt128, mask: UInt128, ports: PortNames = .none) -> String {
        let ones = field.layout.allOnes
        let isExact = mask == ones
        if let names = flagNames(of: field) { return formatFlags(value, mask: mask, names: names, ones: ones, exactly: field == .tcpFlags) }
        switch field.info.format {
        case .mac:
            let text = MACAddress(UInt64(truncatingIfNeeded: value)).description
            return isExact ? text : text + "/" + MACAddress(UInt64(truncatingIfNeeded: mask)).description
        case .ipv4:
            let text = IPv4Address(UInt32(truncatingIfNeeded: value)).description
            if isExact { return text }
            let bits = UInt32(truncatingIfNeeded: mask)
            return text + "/" + (IPv4Address.prefix(ofNetmask: bits).map(String.init) ?? IPv4Address(bits).description)
        case .ipv6:
            let text = IPv6Address(value).description
            if isExact { return text }
            return text + "/" + (IPv6Address.prefix(ofNetmask: mask).map(String.init) ?? IPv6Address(mask).description)
        case .port:
            let text = OpenFlowPort(UInt32(truncatingIfNeeded: value)).text(names: ports)
            return isExact ? text : text + "/" + hex(mask)
        case .frag:
            if let known = fragmentNames.first(where: { $0.mask == mask && $0.value == value & mask }) { return known.name }
            if mask == 3, value == 3 { return "later" }
            if mask == 1 { return value & 1 == 0 ? "no" : "yes" }
            return "\(hex(value))/\(hex(mask))"
        case .decimal: return isExact ? String(value) : "\(value)/\(hex(mask))"
        case .hex, .tcpFlags:
            if field == .packetType { return "(\(value >> 16),\(hex(value & 0xffff)))" }
            return isExact ? hex(value) : "\(hex(value))/\(hex(mask))"
        }
    }

    /// `+a-b`, or with every bit matched and `exactly`, `a|b`.
    static func formatFlags(_ value: UInt128, mask: UInt128, names: [String], ones: UInt128, exactly: Bool) -> String {
        if exactly, mask == ones {
            let set = names.indices.filter { value >> UInt128($0) & 1 != 0 }.map { names[$0] }
            return set.isEmpty ? "0" : set.joined(separator: "|")
        }
        var text = ""
        for (index, name) in names.enumerated() where mask >> UInt128(index) & 1 != 0 {
            text += (value >> UInt128(index) & 1 != 0 ? "+" : "-") + name
        }
        return text.isEmpty ? "0/0" : text
    }
}
