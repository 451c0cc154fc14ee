// The match fields on the wire: class, number, width.
//
// `Flow.Field`'s registry has the numbers of the common classes; here is what only the wire knows: the width in bytes where
// it is not the field's own, the further classes (NSH, ND options), and which number each kind of message prefers.

internal import Flow

/// Which numbers to write: Nicira's (OpenFlow 1.0 and 1.1) or the standard's with a version's own choices.
enum MatchDialect: Equatable, Sendable {
    case nxm
    case oxm(OpenFlowVersion)
}

/// A field's header: class, number, experimenter, and the bytes of its value.
struct WireField: Sendable {
    var field: Field
    var wireClass: UInt16
    var number: UInt8
    /// 0 unless the class is 0xffff.
    var experimenter: UInt32
    var byteCount: Int

    /// The 32-bit header: class 16, number 7, has-mask 1, length 8.
    func header(hasMask: Bool) -> UInt32 {
        let length = (experimenter != 0 ? 4 : 0) + byteCount * (hasMask ? 2 : 1)
        return UInt32(wireClass) << 16 | UInt32(number) << 9 | (hasMask ? 0x100 : 0) | UInt32(length)
    }
}

enum FieldCatalog {
    static let classNXMOF: UInt16 = 0x0000
    static let classNXMNX: UInt16 = 0x0001
    static let classBasic: UInt16 = 0x8000
    static let classPacketRegisters: UInt16 = 0x8001
    static let classStatistics: UInt16 = 0x8002
    static let classEricsson: UInt16 = 0x1000
    static let classExperimenter: UInt16 = 0xffff

    /// Number of NXM_NX_COOKIE, told from `mpls_ttl` (which has the same number) by its eight bytes.
    static let cookieNumber: UInt8 = 30

    /// All headers of a field, in the order of the fields.
    private static let all: [[WireField]] = Field.allCases.map { headers(of: $0) }

    /// The fields by header without length and mask bit.
    private static let byKey: [UInt64: WireField] = {
        var result: [UInt64: WireField] = [:]
        for headers in all {
            for header in headers { result[key(header.wireClass, header.number, header.experimenter)] = header }
        }
        return result
    }()

    /// The header to write for `field`; nil if it has none.
    static func header(of field: Field, _ dialect: MatchDialect) -> WireField? {
        switch dialect {
        case .nxm: preferredNXM[Int(field.rawValue)]
        case .oxm(let version):
            version >= .v1_5 && field == .tcpFlags
                ? WireField(field: .tcpFlags, wireClass: classBasic, number: 42, experimenter: 0, byteCount: 2)
                : preferredOXM[Int(field.rawValue)]
        }
    }

    private static let preferredNXM: [WireField?] = all.map { headers in
        headers.first { $0.wireClass == classNXMOF || $0.wireClass == classNXMNX } ?? headers.first
    }
    private static let preferredOXM: [WireField?] = all.map { headers in
        headers.first { $0.wireClass != classNXMOF && $0.wireClass != classNXMNX } ?? headers.first
    }

    /// The field with this header; nil if there is none.
    static func field(wireClass: UInt16, number: UInt8, experimenter: UInt32) -> WireField? {
        if wireClass == classBasic { return number < 128 ? basic[Int(number)] : nil }
        return byKey[key(wireClass, number, experimenter)]
    }

    /// The basic class by number: most of what comes is of it.
    private static let basic: [WireField?] = (0..<128).map { byKey[key(classBasic, UInt8($0), 0)] }

    private static func key(_ wireClass: UInt16, _ number: UInt8, _ experimenter: UInt32) -> UInt64 {
        UInt64(experimenter) << 32 | UInt64(wireClass) << 8 | UInt64(number)
    }

    private static func headers(of field: Field) -> [WireField] {
        let bytes = byteCount(of: field)
        func plain(_ wireClass: UInt16, _ number: UInt8, bytes: Int) -> WireField {
            WireField(field: field, wireClass: wireClass, number: number, experimenter: 0, byteCount: bytes)
        }
        var result: [WireField] = []
        for number in [field.info.nxm, field.info.oxm] {
            switch number {
            case .nxmOF(let number): result.append(plain(classNXMOF, number, bytes: field == .inPort ? 2 : bytes))
            case .nxmNX(let number): result.append(plain(classNXMNX, number, bytes: bytes))
            case .oxm(let number): result.append(plain(classBasic, number, bytes: bytes))
            case .packetRegister(let number): result.append(plain(classPacketRegisters, number, bytes: bytes))
            case .onf(let number):
                result.append(
                    WireField(
                        field: field, wireClass: classExperimenter, number: number, experimenter: Experimenter.onf, byteCount: bytes))
            case .nicira(let number):
                result.append(
                    WireField(
                        field: field, wireClass: classExperimenter, number: number, experimenter: Experimenter.nicira, byteCount: bytes))
            case nil: break
            }
        }
        switch field {
        case .inPort where !result.contains { $0.wireClass == classNXMOF }: result.append(plain(classNXMOF, 0, bytes: 2))
        // 1.5 took ONF's experimenter fields into the basic class; both are read.
        case .tcpFlags: result.append(plain(classBasic, 42, bytes: bytes))
        case .actsetOutput: result.append(plain(classBasic, 43, bytes: bytes))
        case .ndReserved: result.append(plain(classEricsson, 1, bytes: bytes))
        case .ndOptionsType: result.append(plain(classEricsson, 2, bytes: bytes))
        default: break
        }
        if let number = nshNumbers[field] {
            result.append(
                WireField(field: field, wireClass: classExperimenter, number: number, experimenter: Experimenter.nsh, byteCount: bytes))
        }
        return result
    }

    private static let nshNumbers: [Field: UInt8] = [
        .nshFlags: 1, .nshMDType: 2, .nshNP: 3, .nshSPI: 4, .nshSI: 5, .nshC1: 6, .nshC2: 7, .nshC3: 8, .nshC4: 9, .nshTTL: 10,
    ]

    /// Bytes of a value on the wire, where they are not the fewest that hold the field.
    private static func byteCount(of field: Field) -> Int {
        switch field {
        case .ctState, .ipv6Label, .mplsLabel, .nshSPI: 4
        case .arpOp, .tunFlags: 2
        default: (field.layout.bits + 7) / 8
        }
    }

    /// The order in which a match's fields are written: a field comes after what it needs.
    static let matchOrder: [Field] = {
        var result: [Field] = [
            .recircID, .dpHash, .conjID, .packetType, .actsetOutput, .inPort, .ethSrc, .ethDst, .ethType, .vlanTCI, .mplsLabel, .mplsTC,
            .mplsBOS, .mplsTTL, .pbbISID, .pbbUCA, .nwSrc, .nwDst, .arpSPA, .arpTPA, .ipv6Src, .ipv6Dst, .ipFrag, .nwTTL, .nwECN, .ipDSCP,
            .ipv6Label, .ipv6ExtensionHeaders, .nwProto, .arpOp, .tcpSrc, .tcpDst, .tcpFlags, .udpSrc, .udpDst, .sctpSrc, .sctpDst,
            .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code, .ndTarget, .ndReserved, .ndOptionsType, .ndSLL, .ndTLL, .arpSHA, .arpTHA,
            .nshFlags, .nshTTL, .nshMDType, .nshNP, .nshSPI, .nshSI, .nshC1, .nshC2, .nshC3, .nshC4, .tunID, .tunSrc, .tunDst,
            .tunIPv6Src, .tunIPv6Dst, .tunFlags, .tunGBPID, .tunGBPFlags,
        ]
        result += [.reg0, .reg1, .reg2, .reg3, .reg4, .reg5, .reg6, .reg7, .reg8, .reg9, .reg10, .reg11, .reg12, .reg13, .reg14, .reg15]
        result += [.reg16, .reg17, .reg18, .reg19, .reg20, .reg21, .reg22, .reg23, .reg24, .reg25, .reg26, .reg27, .reg28, .reg29]
        result += [.reg30, .reg31]
        result += [.pktMark, .ctState, .ctZone, .ctMark, .ctLabel, .ctNWProto, .ctNWSrc, .ctNWDst, .ctIPv6Src, .ctIPv6Dst]
        result += [.ctTPSrc, .ctTPDst, .metadata]
        return result
    }()
}
