// Bytes to JSON. Strict RFC 8259: one value, nothing behind it but white space, UTF-8 checked, depth bounded.
//
// Hostile input is the normal case here: every read is checked against the end, recursion against `depthLimit`.

internal import Base
internal import Glibc

/// What is wrong with a JSON text, and where.
public struct JSONSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Offset of the offending byte from the start of the text.
    public var offset: Int
    public var message: String
    public var description: String { "byte \(offset): \(message)" }
}

extension JSON {
    /// Parses exactly one value.
    public init(parsing bytes: [UInt8], depthLimit: Int = DatabaseLimits().jsonDepth) throws(JSONSyntaxError) {
        self = try JSON.parse(bytes, 0..<bytes.count, depthLimit: depthLimit)
    }

    /// Parses exactly one value.
    public init(parsing text: String, depthLimit: Int = DatabaseLimits().jsonDepth) throws(JSONSyntaxError) {
        try self.init(parsing: Array(text.utf8), depthLimit: depthLimit)
    }

    /// Parses the one value in `range` of `bytes`; offsets in errors count from the range's start.
    static func parse(_ bytes: [UInt8], _ range: Range<Int>, depthLimit: Int) throws(JSONSyntaxError) -> JSON {
        let result: Result<JSON, JSONSyntaxError> = bytes.withUnsafeBufferPointer { buffer in
            var parser = JSONParser(buffer[range], depthLimit: depthLimit)
            do throws(JSONSyntaxError) {
                return .success(try parser.parseDocument())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// A recursive-descent parser over borrowed bytes.
struct JSONParser {
    /// Sound: lives only inside the closure that lends the bytes (`JSON.parse`).
    private let text: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var depthLeft: Int
    private let depthLimit: Int
    /// Values parsed, for taking breath now and then.
    private var valueCount = 0

    init(_ bytes: Slice<UnsafeBufferPointer<UInt8>>, depthLimit: Int) {
        text = UnsafeBufferPointer(rebasing: bytes)
        depthLeft = depthLimit
        self.depthLimit = depthLimit
    }

    mutating func parseDocument() throws(JSONSyntaxError) -> JSON {
        let value = try parseValue()
        skipSpace()
        guard position == text.count else { throw failure("trailing garbage after the JSON value") }
        return value
    }

    private func failure(_ message: String) -> JSONSyntaxError { JSONSyntaxError(offset: position, message: message) }

    @inline(__always)
    private mutating func skipSpace() {
        while position < text.count {
            switch text[position] {
            case 0x20, 0x09, 0x0a, 0x0d: position += 1
            default: return
            }
        }
    }

    private mutating func parseValue() throws(JSONSyntaxError) -> JSON {
        valueCount &+= 1
        if valueCount & 1023 == 0 { Breath.take() }
        skipSpace()
        guard position < text.count else { throw failure("unexpected end of input") }
        switch text[position] {
        case UInt8(ascii: "{"): return try parseObject()
        case UInt8(ascii: "["): return try parseArray()
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        case UInt8(ascii: "t"): return try parseWord("true", .boolean(true))
        case UInt8(ascii: "f"): return try parseWord("false", .boolean(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        default: throw failure("a JSON value cannot start with this byte")
        }
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSON) throws(JSONSyntaxError) -> JSON {
        let length = word.utf8CodeUnitCount
        guard text.count - position >= length, memcmp(text.baseAddress! + position, word.utf8Start, length) == 0 else {
            throw failure("invalid keyword; \"true\", \"false\" and \"null\" are valid")
        }
        position += length
        return value
    }

    private mutating func descend() throws(JSONSyntaxError) {
        guard depthLeft > 0 else { throw failure("nesting exceeds the limit of \(depthLimit) levels") }
        depthLeft -= 1
        position += 1
        skipSpace()
    }

    private mutating func parseArray() throws(JSONSyntaxError) -> JSON {
        try descend()
        var elements: [JSON] = []
        if position < text.count, text[position] == UInt8(ascii: "]") {
            position += 1
            depthLeft += 1
            return .array(elements)
        }
        while true {
            elements.append(try parseValue())
            skipSpace()
            guard position < text.count else { throw failure("unexpected end of input in an array") }
            let byte = text[position]
            position += 1
            if byte == UInt8(ascii: ",") { continue }
            guard byte == UInt8(ascii: "]") else { throw failure("expected ',' or ']' in an array") }
            depthLeft += 1
            return .array(elements)
        }
    }

    private mutating func parseObject() throws(JSONSyntaxError) -> JSON {
        try descend()
        var members: [(String, JSON)] = []
        if position < text.count, text[position] == UInt8(ascii: "}") {
            position += 1
            depthLeft += 1
            return .object(JSONObject())
        }
        while true {
            skipSpace()
            guard position < text.count, text[position] == UInt8(ascii: "\"") else { throw failure("expected a string as member name") }
            let key = try parseString()
            skipSpace()
            guard position < text.count, text[position] == UInt8(ascii: ":") else { throw failure("expected ':' after a member name") }
            position += 1
            members.append((key, try parseValue()))
            skipSpace()
            guard position < text.count else { throw failure("unexpected end of input in an object") }
            let byte = text[position]
            position += 1
            if byte == UInt8(ascii: ",") { continue }
            guard byte == UInt8(ascii: "}") else { throw failure("expected ',' or '}' in an object") }
            depthLeft += 1
            return .object(JSONObject(members))
        }
    }

    private mutating func parseNumber() throws(JSONSyntaxError) -> JSON {
        let start = position
        var integral = true
        if text[position] == UInt8(ascii: "-") { position += 1 }
        let digitsStart = position
        var magnitude: UInt64 = 0
        var overflowed = false
        while position < text.count, case let digit = text[position] &- UInt8(ascii: "0"), digit < 10 {
            let (product, overflow1) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = product.addingReportingOverflow(UInt64(digit))
            magnitude = sum
            overflowed = overflowed || overflow1 || overflow2
            position += 1
        }
        guard position > digitsStart else { throw failure("a number needs a digit after '-'") }
        guard text[digitsStart] != UInt8(ascii: "0") || position == digitsStart + 1 else {
            throw failure("a number must not have leading zeros")
        }
        if position < text.count, text[position] == UInt8(ascii: ".") {
            integral = false
            position += 1
            try skipDigits("'.'")
        }
        if position < text.count, text[position] | 0x20 == UInt8(ascii: "e") {
            integral = false
            position += 1
            if position < text.count, text[position] == UInt8(ascii: "+") || text[position] == UInt8(ascii: "-") { position += 1 }
            try skipDigits("the exponent")
        }
        let negative = digitsStart > start
        if integral && !overflowed {
            if negative {
                if magnitude <= 1 << 63 { return .integer(Int64(truncatingIfNeeded: 0 &- magnitude)) }
            } else if magnitude <= UInt64(Int64.max) {
                return .integer(Int64(magnitude))
            }
        }
        guard let value = Double(String(decoding: text[start..<position], as: UTF8.self)), value.isFinite else {
            throw failure("number outside the range of a double")
        }
        // "3.0" and "1e2" are integers, as in the field's parser; what is written as one and does not fit is none.
        return (integral ? nil : Int64(exactly: value)).map { .integer($0) } ?? .real(value)
    }

    private mutating func skipDigits(_ after: StaticString) throws(JSONSyntaxError) {
        let start = position
        while position < text.count, text[position] &- UInt8(ascii: "0") < 10 { position += 1 }
        if position == start { throw failure("a number needs a digit after \(after)") }
    }

    private mutating func parseString() throws(JSONSyntaxError) -> String {
        position += 1
        let start = position
        // The common case has no escape: one scan, one validated copy.
        while position < text.count {
            let byte = text[position]
            if byte == UInt8(ascii: "\"") {
                let string = try validated(text[start..<position])
                position += 1
                return string
            }
            if byte == UInt8(ascii: "\\") { return try parseEscapedString(start) }
            guard byte >= 0x20 else { throw failure("control characters must be escaped in strings") }
            position += 1
        }
        throw failure("unexpected end of input in a string")
    }

    private func validated(_ bytes: some Collection<UInt8>) throws(JSONSyntaxError) -> String {
        guard let string = String(validating: bytes, as: UTF8.self) else { throw failure("string is not valid UTF-8") }
        return string
    }

    private mutating func parseEscapedString(_ start: Int) throws(JSONSyntaxError) -> String {
        var bytes = Array(text[start..<position])
        while position < text.count {
            let byte = text[position]
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return try validated(bytes)
            case UInt8(ascii: "\\"): try parseEscape(&bytes)
            case 0..<0x20: throw failure("control characters must be escaped in strings")
            default: bytes.append(byte)
            }
        }
        throw failure("unexpected end of input in a string")
    }

    private mutating func parseEscape(_ bytes: inout [UInt8]) throws(JSONSyntaxError) {
        guard position < text.count else { throw failure("unexpected end of input in a string") }
        let byte = text[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(byte)
        case UInt8(ascii: "b"): bytes.append(0x08)
        case UInt8(ascii: "f"): bytes.append(0x0c)
        case UInt8(ascii: "n"): bytes.append(0x0a)
        case UInt8(ascii: "r"): bytes.append(0x0d)
        case UInt8(ascii: "t"): bytes.append(0x09)
        case UInt8(ascii: "u"):
            var scalar = try parseHexadecimal()
            if scalar & 0xfc00 == 0xd800 {
                guard text.count - position >= 2, text[position] == UInt8(ascii: "\\"), text[position + 1] == UInt8(ascii: "u") else {
                    throw failure("unpaired surrogate in a string")
                }
                position += 2
                let low = try parseHexadecimal()
                guard low & 0xfc00 == 0xdc00 else { throw failure("unpaired surrogate in a string") }
                scalar = 0x10000 + (scalar & 0x3ff) << 10 + low & 0x3ff
            }
            guard scalar != 0 else { throw failure("null bytes are not supported in strings") }
            guard let valid = Unicode.Scalar(scalar) else { throw failure("unpaired surrogate in a string") }
            bytes.append(contentsOf: UTF8.encode(valid)!)
        default: throw failure("invalid escape in a string")
        }
    }

    private mutating func parseHexadecimal() throws(JSONSyntaxError) -> UInt32 {
        guard text.count - position >= 4 else { throw failure("\\u needs four hexadecimal digits") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = hexadecimalValue(text[position]) else { throw failure("\\u needs four hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }
}
