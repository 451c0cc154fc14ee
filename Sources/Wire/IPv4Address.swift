// IPv4 addresses.

/// An IPv4 address in host order: 1.2.3.4 is 0x01020304.
public struct IPv4Address: RawRepresentable, Hashable, Comparable, Sendable, LosslessStringConvertible {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ value: UInt32) { rawValue = value }
    @inlinable public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        rawValue = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    @inlinable public var isMulticast: Bool { rawValue >> 28 == 0xe }
    public static func < (left: IPv4Address, right: IPv4Address) -> Bool { left.rawValue < right.rawValue }

    /// The netmask of a prefix length of 0 to 32.
    @inlinable public static func netmask(prefix: Int) -> UInt32 { prefix == 0 ? 0 : ~0 << UInt32(32 - prefix) }
    /// The prefix length of a netmask, or nil if its ones are not contiguous from the left.
    @inlinable public static func prefix(ofNetmask mask: UInt32) -> Int? {
        let ones = (~mask).leadingZeroBitCount
        return netmask(prefix: ones) == mask ? ones : nil
    }

    /// Four decimal numbers of at most three digits, with dots between them.
    public init?(_ description: String) {
        var value: UInt32 = 0
        var part: UInt32 = 0
        var digits = 0
        var parts = 0
        for byte in description.utf8 {
            switch byte {
            case UInt8(ascii: "."):
                guard digits > 0, parts < 3 else { return nil }
                value = value << 8 | part
                part = 0
                digits = 0
                parts += 1
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                part = part * 10 + UInt32(byte - UInt8(ascii: "0"))
                digits += 1
                guard digits <= 3, part <= 255 else { return nil }
            default: return nil
            }
        }
        guard parts == 3, digits > 0 else { return nil }
        rawValue = value << 8 | part
    }

    public var description: String {
        "\(rawValue >> 24).\(rawValue >> 16 & 255).\(rawValue >> 8 & 255).\(rawValue & 255)"
    }
}
