// Splitting flow text into words: `key`, `key=value`, `key:value`, `key(value)`, separated by commas and blanks.

/// One word of a match or action list.
struct FlowToken {
    var key: Substring
    /// `=` or `:` or `(`, or nil for a key alone.
    var delimiter: UInt8?
    var value: Substring
    /// The whole word as written, for errors.
    var text: Substring

    var hasValue: Bool { delimiter != nil }
}

extension FlowText {
    /// Words in one text.
    static let tokenLimit = 65_536

    static func isSeparator(_ byte: UInt8) -> Bool { byte == 0x2c || byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d }

    /// Cuts `text` into words. Commas and blanks within parentheses or double quotes do not separate.
    static func tokens(_ text: Substring) throws(FlowTextError) -> [FlowToken] {
        var result: [FlowToken] = []
        let bytes = text.utf8
        var at = bytes.startIndex
        while true {
            while at < bytes.endIndex, isSeparator(bytes[at]) { at = bytes.index(after: at) }
            guard at < bytes.endIndex else { return result }
            guard result.count < tokenLimit else { throw FlowTextError("more than \(tokenLimit) words in one flow") }
            let begin = at
            var keyEnd: String.Index?
            var delimiter: UInt8?
            var valueBegin = at
            var depth = 0
            var isQuoted = false
            scan: while at < bytes.endIndex {
                let byte = bytes[at]
                if isQuoted {
                    if byte == 0x22 { isQuoted = false }
                } else {
                    switch byte {
                    case 0x22: isQuoted = true
                    case 0x28:
                        if keyEnd == nil {
                            keyEnd = at
                            delimiter = byte
                            valueBegin = bytes.index(after: at)
                        }
                        depth += 1
                    case 0x29:
                        depth -= 1
                        if depth < 0 { throw FlowTextError("\")\" without \"(\" in \"\(excerpt(text[begin...]))\"") }
                    case 0x3d, 0x3a:
                        if keyEnd == nil {
                            keyEnd = at
                            delimiter = byte
                            valueBegin = bytes.index(after: at)
                        }
                    default:
                        if depth == 0, isSeparator(byte) { break scan }
                    }
                }
                at = bytes.index(after: at)
            }
            if depth > 0 { throw FlowTextError("\")\" is missing in \"\(excerpt(text[begin..<at]))\"") }
            if isQuoted { throw FlowTextError("a closing quotation mark is missing in \"\(excerpt(text[begin..<at]))\"") }
            var value = delimiter == nil ? text[at..<at] : text[valueBegin..<at]
            if delimiter == 0x28, value.last == ")" {
                value.removeLast()
            } else if delimiter == 0x28, !value.contains(")->") {
                throw FlowTextError("nothing may follow \")\" in \"\(excerpt(text[begin..<at]))\"")
            }
            result.append(FlowToken(key: text[begin..<(keyEnd ?? at)], delimiter: delimiter, value: value, text: text[begin..<at]))
        }
    }

    /// A text short enough for an error message.
    static func excerpt(_ text: some StringProtocol) -> String {
        text.utf8.count <= 60 ? String(text) : String(text.prefix(57)) + "..."
    }

    /// A decimal or 0x-hexadecimal number of up to 128 bits; nil for anything else, signs included.
    static func integer(_ text: some StringProtocol) -> UInt128? {
        var bytes = Substring(text).utf8
        var radix: UInt128 = 10
        if bytes.count > 2, bytes.first == 0x30, bytes[bytes.index(after: bytes.startIndex)] | 0x20 == 0x78 {
            radix = 16
            bytes = bytes.dropFirst(2)
        }
        guard !bytes.isEmpty, bytes.count <= 40 else { return nil }
        var value: UInt128 = 0
        for byte in bytes {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x61...0x66: digit = byte - 0x61 + 10
            case 0x41...0x46: digit = byte - 0x41 + 10
            default: return nil
            }
            guard UInt128(digit) < radix else { return nil }
            let (product, overflowed) = value.multipliedReportingOverflow(by: radix)
            let (sum, carried) = product.addingReportingOverflow(UInt128(digit))
            if overflowed || carried { return nil }
            value = sum
        }
        return value
    }

    /// `0x1f`; zero is `0` as in the field's tools.
    static func hex(_ value: some BinaryInteger) -> String { value == 0 ? "0" : "0x" + String(value, radix: 16) }
    /// `0x` and at least `digits` digits.
    static func hex(_ value: some BinaryInteger, digits: Int) -> String {
        let text = String(value, radix: 16)
        return "0x" + String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
