// Reading big-endian values from hostile bytes, lengths first.

/// A cursor over part of a byte array. Whoever reads past the end gets `lengthError`.
struct ByteReader {
    let bytes: [UInt8]
    private(set) var position: Int
    let end: Int
    /// What too few bytes mean here: `brcBadLen` in a message, `bacBadLen` in an action, `bmcBadLen` in a match.
    var lengthError: ErrorCode

    init(_ bytes: [UInt8], lengthError: ErrorCode = .brcBadLen) {
        self.bytes = bytes
        position = 0
        end = bytes.count
        self.lengthError = lengthError
    }

    private init(_ bytes: [UInt8], from: Int, to: Int, lengthError: ErrorCode) {
        self.bytes = bytes
        position = from
        end = to
        self.lengthError = lengthError
    }

    /// Bytes not yet read.
    var remaining: Int { end - position }
    var isAtEnd: Bool { position == end }

    /// Throws unless `count` (0 or more) bytes are left.
    func require(_ count: Int) throws(OpenFlowError) {
        if count < 0 || count > remaining {
            throw OpenFlowError(lengthError, "\(count) bytes expected at offset \(position), \(remaining) are there")
        }
    }

    mutating func skip(_ count: Int) throws(OpenFlowError) {
        try require(count)
        position += count
    }

    mutating func u8() throws(OpenFlowError) -> UInt8 {
        try require(1)
        defer { position += 1 }
        return bytes[position]
    }

    /// The next two bytes, which must be there; they stay.
    func peek16() -> UInt16 { UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1]) }

    mutating func u16() throws(OpenFlowError) -> UInt16 {
        try require(2)
        defer { position += 2 }
        return UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
    }

    mutating func u32() throws(OpenFlowError) -> UInt32 {
        try require(4)
        defer { position += 4 }
        return UInt32(truncatingIfNeeded: load(4))
    }

    mutating func u64() throws(OpenFlowError) -> UInt64 {
        try require(8)
        defer { position += 8 }
        return load(8)
    }

    /// `count` (1 to 16) bytes as an integer.
    mutating func integer(_ count: Int) throws(OpenFlowError) -> UInt128 {
        try require(count)
        defer { position += count }
        if count <= 8 { return UInt128(load(count)) }
        let high = UInt128(load(count - 8))
        position += count - 8
        defer { position -= count - 8 }
        return high << 64 | UInt128(load(8))
    }

    /// The next `count` (up to 8) bytes, which are there, as an integer.
    @inline(__always) private func load(_ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in position..<position + count { value = value << 8 | UInt64(bytes[index]) }
        return value
    }

    /// Six bytes.
    mutating func ethernetAddress() throws(OpenFlowError) -> UInt64 { UInt64(try integer(6)) }

    mutating func array(_ count: Int) throws(OpenFlowError) -> [UInt8] {
        try require(count)
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    /// All that is left.
    mutating func rest() -> [UInt8] {
        defer { position = end }
        return Array(bytes[position..<end])
    }

    /// A zero-padded string of `count` bytes; what is not UTF-8 is replaced.
    mutating func string(_ count: Int) throws(OpenFlowError) -> String {
        let raw = try array(count)
        return String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// A reader of the next `count` bytes, which this one skips. `lengthError` is also the error if they are not there.
    mutating func sub(_ count: Int, lengthError: ErrorCode? = nil) throws(OpenFlowError) -> ByteReader {
        if let lengthError, count < 0 || count > remaining {
            throw OpenFlowError(lengthError, "\(count) bytes expected at offset \(position), \(remaining) are there")
        }
        try require(count)
        defer { position += count }
        return ByteReader(bytes, from: position, to: position + count, lengthError: lengthError ?? self.lengthError)
    }

    /// The next property of a list (OpenFlow 1.4 section 7.2.1): type, length, body, padding to 8 bytes. The body ends with the
    /// property; the padding is skipped.
    mutating func property() throws(OpenFlowError) -> (type: UInt16, body: ByteReader) {
        let type = try u16()
        let length = Int(try u16())
        guard length >= 4 else { throw OpenFlowError(.bpcBadLen, "property of \(length) bytes") }
        let body = try sub(length - 4, lengthError: .bpcBadLen)
        try skip((8 - length % 8) % 8)
        return (type, body)
    }

    /// The error of a property (as `property` gave it) that is not one of `what`'s.
    static func unknownProperty(_ type: UInt16, _ body: ByteReader, of what: String) -> OpenFlowError {
        guard type >= 0xfffe else { return OpenFlowError(.bpcBadType, "property \(type) of \(what)") }
        // An experimenter's has an id and a type of its own first.
        return body.remaining < 8
            ? OpenFlowError(.bpcBadLen, "experimenter property of \(body.remaining + 4) bytes in \(what)")
            : OpenFlowError(.bpcBadExperimenter, "experimenter property of \(what)")
    }

    /// Throws unless everything was read.
    func expectEnd() throws(OpenFlowError) {
        if !isAtEnd { throw OpenFlowError(lengthError, "\(remaining) bytes too many at offset \(position)") }
    }
}
