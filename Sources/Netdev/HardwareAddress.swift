/// An Ethernet address, as ports report and accept it.
public struct HardwareAddress: Hashable, Sendable, CustomStringConvertible {
    /// The six bytes, the first transmitted in bits 40 to 47.
    public var bits: UInt64

    /// Uses the low 48 bits.
    public init(bits: UInt64) { self.bits = bits & 0xffff_ffff_ffff }

    /// Six hexadecimal bytes with colons between; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 6 else { return nil }
        var bits: UInt64 = 0
        for part in parts {
            guard (1...2).contains(part.utf8.count), part.allSatisfy(\.isHexDigit), let byte = UInt8(part, radix: 16) else { return nil }
            bits = bits << 8 | UInt64(byte)
        }
        self.bits = bits
    }

    /// Six bytes in transmission order.
    public init(bytes: some Sequence<UInt8>) { self.init(bits: bytes.reduce(0) { $0 << 8 | UInt64($1) }) }

    /// The six bytes in transmission order.
    public var bytes: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: bits >> (40 - 8 * UInt64($0))) } }

    /// Sent to a group, not to one station.
    public var isMulticast: Bool { bits & 0x0100_0000_0000 != 0 }

    public var description: String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined(separator: ":")
    }
}
