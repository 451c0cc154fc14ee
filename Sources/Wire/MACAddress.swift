// Ethernet addresses (IEEE 802).

/// A 48-bit Ethernet address, as the low bits of an integer: 00:00:00:00:00:01 is 1.
public struct MACAddress: RawRepresentable, Hashable, Comparable, Sendable, LosslessStringConvertible {
    public var rawValue: UInt64
    /// Bits above 47 are dropped.
    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue & 0xffff_ffff_ffff }
    @inlinable public init(_ value: UInt64) { self.init(rawValue: value) }

    @inlinable public static var zero: MACAddress { MACAddress(0) }
    @inlinable public static var broadcast: MACAddress { MACAddress(0xffff_ffff_ffff) }

    /// Multicast or broadcast (the individual/group bit).
    @inlinable public var isMulticast: Bool { rawValue & 0x0100_0000_0000 != 0 }
    /// 01:80:c2:00:00:00 to 01:80:c2:00:00:0f, which bridges do not forward (IEEE 802.1Q table 8-1).
    @inlinable public var isReservedForBridges: Bool { rawValue & 0xffff_ffff_fff0 == 0x0180_c200_0000 }

    public static func < (left: MACAddress, right: MACAddress) -> Bool { left.rawValue < right.rawValue }

    /// Six groups of one or two hexadecimal digits with colons between them.
    public init?(_ description: String) {
        var value: UInt64 = 0
        var groups = 0
        var digits = 0
        for byte in description.utf8 {
            if byte == UInt8(ascii: ":") {
                guard digits > 0, groups < 5 else { return nil }
                groups += 1
                digits = 0
                value <<= 8
                continue
            }
            guard let digit = Character(UnicodeScalar(byte)).hexDigitValue, digits < 2 else { return nil }
            value = (value & ~0xff) | (value & 0xf) << 4 | UInt64(digit)
            digits += 1
        }
        guard groups == 5, digits > 0 else { return nil }
        self.init(rawValue: value)
    }

    public var description: String {
        var text = ""
        text.reserveCapacity(17)
        for index in 0..<6 {
            if index > 0 { text.append(":") }
            let byte = UInt8(truncatingIfNeeded: rawValue >> UInt64((5 - index) * 8))
            text.append(hexDigit(byte >> 4))
            text.append(hexDigit(byte & 15))
        }
        return text
    }
}

/// The lower-case hexadecimal digit of 0 to 15.
func hexDigit(_ value: UInt8) -> Character {
    Character(UnicodeScalar(value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10))
}
