// Reading `other_config` and `options` columns: maps of strings with numbers and booleans in them.

/// A string map with typed reads. Whatever is malformed is reported by name, with what would be valid, and the default holds.
struct OtherConfig {
    let values: [String: String]
    /// Where the map stands, for messages: `other_config of Open_vSwitch`.
    let origin: String

    /// The value under `key` as an unsigned number (decimal, or hexadecimal with 0x) within `range`.
    func number(_ key: String, in range: ClosedRange<UInt64>, complaints: inout [String]) -> UInt64? {
        guard let text = values[key] else { return nil }
        let parsed = text.hasPrefix("0x") || text.hasPrefix("0X") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
        guard let number = parsed, range.contains(number) else {
            complaints.append(
                "\(key)=\(text) in \(origin) is ignored: it must be a number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    /// The value under `key` as a boolean: `true` or `false`.
    func flag(_ key: String, complaints: inout [String]) -> Bool? {
        guard let text = values[key] else { return nil }
        switch text {
        case "true": return true
        case "false": return false
        default:
            complaints.append("\(key)=\(text) in \(origin) is ignored: it must be true or false")
            return nil
        }
    }

    /// A hexadecimal core mask such as `0x6`, as core numbers in ascending order.
    func coreMask(_ key: String, complaints: inout [String]) -> [Int]? {
        guard let text = values[key], !text.isEmpty else { return nil }
        let digits = text.hasPrefix("0x") || text.hasPrefix("0X") ? text.dropFirst(2) : text[...]
        var cores: [Int] = []
        for (position, digit) in digits.reversed().enumerated() {
            guard let nibble = digit.hexDigitValue else {
                complaints.append("\(key)=\(text) in \(origin) is ignored: it must be a hexadecimal core mask such as 0x6")
                return nil
            }
            for bit in 0..<4 where nibble & (1 << bit) != 0 { cores.append(position * 4 + bit) }
        }
        guard !cores.isEmpty else {
            complaints.append("\(key)=\(text) in \(origin) is ignored: it names no core")
            return nil
        }
        return cores
    }

    /// `QUEUE:CORE,...`, as cores by queue.
    func queueAffinity(_ key: String, complaints: inout [String]) -> [Int: Int]? {
        guard let text = values[key], !text.isEmpty else { return nil }
        var result: [Int: Int] = [:]
        for pair in text.split(separator: ",") {
            let numbers = pair.split(separator: ":", omittingEmptySubsequences: false)
            guard numbers.count == 2, let queue = UInt16(numbers[0]), let core = UInt16(numbers[1]) else {
                complaints.append("\(key)=\(text) in \(origin) is ignored: it must be QUEUE:CORE pairs such as 0:2,1:3")
                return nil
            }
            result[Int(queue)] = Int(core)
        }
        return result
    }
}
