// IPv6 addresses: text as RFC 4291 section 2.2 reads it and RFC 5952 prints it.

/// An IPv6 address as one integer: ::1 is 1.
public struct IPv6Address: RawRepresentable, Hashable, Comparable, Sendable, LosslessStringConvertible {
    public var rawValue: UInt128
    @inlinable public init(rawValue: UInt128) { self.rawValue = rawValue }
    @inlinable public init(_ value: UInt128) { rawValue = value }

    @inlinable public var isMulticast: Bool { rawValue >> 120 == 0xff }
    public static func < (left: IPv6Address, right: IPv6Address) -> Bool { left.rawValue < right.rawValue }

    /// The netmask of a prefix length of 0 to 128.
    @inlinable public static func netmask(prefix: Int) -> UInt128 { prefix == 0 ? 0 : ~0 << UInt128(128 - prefix) }
    /// The prefix length of a netmask, or nil if its ones are not contiguous from the left.
    @inlinable public static func prefix(ofNetmask mask: UInt128) -> Int? {
        let ones = (~mask).leadingZeroBitCount
        return netmask(prefix: ones) == mask ? ones : nil
    }

    /// Reads the forms of RFC 4291: full, with one `::`, with a dotted IPv4 address at the end.
    public init?(_ description: String) {
        var groups: [UInt16] = []
        var gap: Int?
        let text = Array(description.utf8)
        let colon = UInt8(ascii: ":")
        var at = 0
        guard text.count >= 2, text.count <= 45 else { return nil }
        if text[0] == colon {
            guard text[1] == colon else { return nil }
            gap = 0
            at = 2
        }
        while at < text.count {
            guard groups.count < 8 else { return nil }
            var value: UInt32 = 0
            let begin = at
            while at < text.count, let digit = Character(UnicodeScalar(text[at])).hexDigitValue, at - begin < 4 {
                value = value << 4 | UInt32(digit)
                at += 1
            }
            guard at > begin else { return nil }
            if at < text.count, text[at] == UInt8(ascii: ".") {
                guard groups.count <= 6, let tail = IPv4Address(String(decoding: text[begin...], as: UTF8.self)) else { return nil }
                groups.append(UInt16(tail.rawValue >> 16))
                groups.append(UInt16(tail.rawValue & 0xffff))
                at = text.count
                break
            }
            groups.append(UInt16(value))
            if at == text.count { break }
            guard text[at] == colon else { return nil }
            at += 1
            guard at < text.count else { return nil }
            if text[at] == colon {
                guard gap == nil else { return nil }
                gap = groups.count
                at += 1
            }
        }
        if let gap {
            guard groups.count < 8 else { return nil }
            groups.insert(contentsOf: Array(repeating: 0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        rawValue = groups.reduce(0) { $0 << 16 | UInt128($1) }
    }

    /// RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as `::` (the first of equals),
    /// IPv4-mapped addresses with a dotted end.
    public var description: String {
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: rawValue >> UInt128((7 - $0) * 16)) }
        var best = 0..<0
        var index = 0
        while index < 8 {
            var end = index
            while end < 8, groups[end] == 0 { end += 1 }
            if end - index >= 2, end - index > best.count { best = index..<end }
            index = max(end, index + 1)
        }
        // ::ffff:a.b.c.d, and as inet_ntop does the old IPv4-compatible ::a.b.c.d.
        let isMapped = rawValue >> 32 == 0xffff
        let isCompatible = rawValue >> 32 == 0 && rawValue >> 16 != 0
        let hexGroups = isMapped || isCompatible ? 6 : 8
        var text = ""
        index = 0
        while index < hexGroups {
            if index == best.lowerBound, !best.isEmpty {
                text += "::"
                index = best.upperBound
                continue
            }
            if index > 0, !text.hasSuffix(":") { text += ":" }
            text += String(groups[index], radix: 16)
            index += 1
        }
        if hexGroups == 6 {
            if !text.hasSuffix(":") { text += ":" }
            text += IPv4Address(UInt32(truncatingIfNeeded: rawValue)).description
        }
        return text
    }
}
