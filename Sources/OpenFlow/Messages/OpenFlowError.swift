// What a decoder or a service refuses, and how that is said on the wire.

/// A refusal with the standard's error code, and a sentence for the log.
public struct OpenFlowError: Error, Equatable, Sendable, CustomStringConvertible {
    public var code: ErrorCode
    /// What was wrong, with the offending value. May be empty.
    public var detail: String
    public init(_ code: ErrorCode, _ detail: String = "") {
        self.code = code
        self.detail = detail
    }
    public var description: String { detail.isEmpty ? code.rawValue : "\(code.rawValue): \(detail)" }
}

/// An `OFPT_ERROR` message.
public struct ErrorMessage: Equatable, Sendable {
    public var number: ErrorNumber
    /// The beginning of the message that failed (or text, for a failed hello).
    public var data: [UInt8]
    public init(number: ErrorNumber, data: [UInt8]) {
        self.number = number
        self.data = data
    }
    /// The error `code` in `version`. A code that the version cannot say becomes the nearest that it can.
    public init(_ code: ErrorCode, version: OpenFlowVersion, data: [UInt8]) {
        number =
            ErrorTable.number(of: code, in: version)
            ?? ErrorMessage.nearest[code].flatMap { ErrorTable.number(of: $0, in: version) }
            ?? ErrorNumber(type: 1, code: 5)
        self.data = data
    }

    /// What to say where a version has no number for an error; beyond these, OFPBRC_EPERM.
    private static let nearest: [ErrorCode: ErrorCode] = [
        .fmfcBadTableId: .brcBadTableId, .bicBadTableId: .brcBadTableId, .brcBadPacket: .brcBadLen, .bicBadLen: .brcBadLen,
        .bmcBadLen: .nxbrcNxmInvalid, .bmcBadType: .nxbrcNxmInvalid, .mmfcUnknownMeter: .bacBadArgument, .bicUnknownInst: .bacBadType,
        .bpcBadLen: .brcBadLen, .bpcBadType: .brcBadType, .fmfcUnknown: .brcEperm,
    ]

    /// The error's name in `version`, if it has one.
    public func code(in version: OpenFlowVersion) -> ErrorCode? { ErrorTable.code(of: number, in: version) }
}
