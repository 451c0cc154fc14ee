// JSON to bytes.

internal import Base
internal import Glibc

/// Serializes JSON values into a growing byte array.
public struct JSONWriter: Sendable {
    public private(set) var bytes: [UInt8] = []
    /// Whether reals are written so that they read back as the same double, as a file must have them; else with 15 digits, as the
    /// field's server tells them.
    private let isExact: Bool
    /// Values written, for taking breath now and then.
    private var valueCount = 0

    public init(exact: Bool = false) { isExact = exact }

    /// Appends `value` as compact text.
    ///
    /// - Complexity: O(size of the text)
    public mutating func write(_ value: JSON) {
        valueCount &+= 1
        if valueCount & 1023 == 0 { Breath.take() }
        switch value {
        case .serialized(let text): raw(text)
        case .null: raw("null")
        case .boolean(let flag): raw(flag ? "true" : "false")
        case .integer(let number): write(integer: number)
        case .real(let number): write(real: number)
        case .string(let string): write(string: string)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            var first = true
            for element in elements {
                if first { first = false } else { bytes.append(UInt8(ascii: ",")) }
                write(element)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let object):
            bytes.append(UInt8(ascii: "{"))
            var first = true
            for member in object.members {
                if first { first = false } else { bytes.append(UInt8(ascii: ",")) }
                write(string: member.key)
                bytes.append(UInt8(ascii: ":"))
                write(member.value)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Appends text that is JSON already.
    public mutating func raw(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    /// Appends bytes that are JSON already.
    public mutating func raw(_ text: [UInt8]) {
        // Megabytes take as long to copy as hundreds of values to write.
        if text.count >= JSONWriter.largePiece { Breath.take() }
        bytes.append(contentsOf: text)
        if text.count >= JSONWriter.largePiece { Breath.take() }
    }
    static let largePiece = 1 << 20

    /// Makes room for so many bytes in all.
    mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }
    mutating func raw(_ text: UnsafeBufferPointer<UInt8>) { bytes.append(contentsOf: text) }

    public mutating func write(integer: Int64) {
        if integer >= 0 && integer < 10 {
            bytes.append(UInt8(ascii: "0") + UInt8(integer))
            return
        }
        // 20 bytes hold the longest, "-9223372036854775808".
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var position = 20
            var rest = integer.magnitude
            repeat {
                position -= 1
                digits[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            if integer < 0 {
                position -= 1
                digits[position] = UInt8(ascii: "-")
            }
            bytes.append(contentsOf: digits[position...])
        }
    }

    /// A real; one without a fraction looks like an integer. Infinities and NaN do not exist in JSON and become null.
    public mutating func write(real: Double) {
        guard real.isFinite else { return raw("null") }
        if let integer = Int64(exactly: real) { return write(integer: integer) }
        if isExact { return bytes.append(contentsOf: real.description.utf8) }
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { text in
            // 15 digits, sign, point and exponent have room in 32 bytes.
            let count = withVaList([real]) { vsnprintf(text.baseAddress!, 32, "%.15g", $0) }
            bytes.append(contentsOf: text[..<Int(count)].lazy.map { UInt8(bitPattern: $0) })
        }
    }

    public mutating func write(string: String) {
        bytes.append(UInt8(ascii: "\""))
        var string = string
        string.withUTF8 { utf8 in
            var start = 0
            for index in utf8.indices {
                let byte = utf8[index]
                if byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") { continue }
                bytes.append(contentsOf: utf8[start..<index])
                start = index + 1
                escape(byte)
            }
            bytes.append(contentsOf: utf8[start...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): raw("\\\"")
        case UInt8(ascii: "\\"): raw("\\\\")
        case 0x08: raw("\\b")
        case 0x09: raw("\\t")
        case 0x0a: raw("\\n")
        case 0x0c: raw("\\f")
        case 0x0d: raw("\\r")
        default:
            raw("\\u00")
            bytes.append(hexadecimalDigit(byte >> 4))
            bytes.append(hexadecimalDigit(byte & 15))
        }
    }
}

/// Lower-case digit for 0...15.
@inline(__always)
func hexadecimalDigit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10 }

/// 0...15 for a digit of either case, nil for anything else.
@inline(__always)
func hexadecimalValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// memcmp, the shorter first among equal prefixes.
func compareBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let common = min(left.count, right.count)
    if common > 0 {
        let order = memcmp(left.baseAddress!, right.baseAddress!, common)
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}
