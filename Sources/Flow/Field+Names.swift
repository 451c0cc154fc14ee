// The fields' names in the match classes (`NXM_NX_REG0`, `OXM_OF_VLAN_VID`), and the numbers that go with them.
//
// NXM's numbers are in the registry; some facts only concern how NXM says them: `NXM_OF_IN_PORT` is 16 bits wide although
// the key holds 32, `NXM_OF_IP_TOS` carries the DSCP in place while `OXM_OF_IP_DSCP` carries it shifted, and TCP flags
// are 12 bits in a 16-bit field.

extension FieldNumber {
    /// Class and field number as in an OXM or NXM header; the ONF class is `0xffff` with an experimenter id behind.
    public var header: (oxmClass: UInt16, number: UInt8) {
        switch self {
        case .nxmOF(let number): (0x0000, number)
        case .nxmNX(let number): (0x0001, number)
        case .oxm(let number): (0x8000, number)
        case .packetRegister(let number): (0x8001, number)
        case .onf(let number), .nicira(let number): (0xffff, number)
        }
    }
}

extension Field {
    /// Payload bytes of the field under `number`: those of its key place, but two for `NXM_OF_IN_PORT`.
    public func byteCount(under number: FieldNumber) -> Int {
        switch number {
        case .nxmOF(0): 2
        case .oxm(37): 3
        default: layout.byteCount == 4 && layout.bits <= 8 ? 1 : layout.byteCount
        }
    }

    /// The field with this number.
    public static func numbered(_ number: FieldNumber) -> Field? { byNumber[number] }

    private static let byNumber: [FieldNumber: Field] = {
        var result: [FieldNumber: Field] = [:]
        for info in registry {
            if let number = info.nxm { result[number] = info.field }
            if let number = info.oxm { result[number] = info.field }
        }
        return result
    }()

    /// `NXM_OF_...` or `NXM_NX_...`, if the field has an NXM number.
    public var nxmName: String? {
        guard let number = info.nxm else { return nil }
        let prefix = if case .nxmOF = number { "NXM_OF_" } else { "NXM_NX_" }
        let suffix =
            switch self {
            case .ethType: "ETH_TYPE"
            case .nwSrc: "IP_SRC"
            case .nwDst: "IP_DST"
            case .nwTOS: "IP_TOS"
            case .nwProto: "IP_PROTO"
            case .nwECN: "IP_ECN"
            case .nwTTL: "IP_TTL"
            case .tunSrc: "TUN_IPV4_SRC"
            case .tunDst: "TUN_IPV4_DST"
            case .ipFrag: "IP_FRAG"
            default: name.uppercased()
            }
        return prefix + suffix
    }

    /// `OXM_OF_...` (or the name in an extension), if the field has an OXM number.
    public var oxmName: String? {
        if name.hasPrefix("nsh_") { return "NXOXM_NSH_" + name.dropFirst(4).uppercased() }
        guard let number = info.oxm else { return nil }
        switch number {
        case .nicira: return "NXOXM_ET_" + name.uppercased()
        case .packetRegister(let register): return "OXM_OF_PKT_REG\(register)"
        case .onf: return self == .tcpFlags ? "ONFOXM_ET_TCP_FLAGS" : "ONFOXM_ET_ACTSET_OUTPUT"
        default: break
        }
        let suffix =
            switch self {
            case .tunID: "TUNNEL_ID"
            case .nwSrc: "IPV4_SRC"
            case .nwDst: "IPV4_DST"
            case .nwProto: "IP_PROTO"
            case .ipDSCP: "IP_DSCP"
            case .nwECN: "IP_ECN"
            case .ipv6Label: "IPV6_FLABEL"
            case .icmpType: "ICMPV4_TYPE"
            case .icmpCode: "ICMPV4_CODE"
            case .ndTarget: "IPV6_ND_TARGET"
            case .ndSLL: "IPV6_ND_SLL"
            case .ndTLL: "IPV6_ND_TLL"
            default: name.uppercased()
            }
        return "OXM_OF_" + suffix
    }

    /// The name actions print: NXM's if there is one, else OXM's, else the plain one.
    public var headerName: String { nxmName ?? oxmName ?? name }

    /// A field by any of its names: plain (any case), NXM or OXM.
    public static func named(_ name: some StringProtocol) -> Field? {
        byName[String(name)] ?? byHeaderName[String(name)] ?? byName[name.lowercased()]
    }

    /// Fields by NXM and OXM name.
    static let byHeaderName: [String: Field] = {
        var result: [String: Field] = [
            "OXM_OF_TCP_FLAGS": .tcpFlags, "OXM_OF_ACTSET_OUTPUT": .actsetOutput, "NXM_OF_IN_PORT": .inPort,
        ]
        for info in registry {
            if let name = info.field.nxmName { result[name] = info.field }
            if let name = info.field.oxmName { result[name] = info.field }
        }
        return result
    }()
}
