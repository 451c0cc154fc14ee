// Writing big-endian values.

/// A growing byte array with the few operations that a codec needs.
struct ByteWriter {
    var bytes: [UInt8] = []

    var count: Int { bytes.count }

    mutating func u8(_ value: UInt8) { bytes.append(value) }
    mutating func u16(_ value: UInt16) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }
    mutating func u32(_ value: UInt32) {
        u16(UInt16(truncatingIfNeeded: value >> 16))
        u16(UInt16(truncatingIfNeeded: value))
    }
    mutating func u64(_ value: UInt64) {
        u32(UInt32(truncatingIfNeeded: value >> 32))
        u32(UInt32(truncatingIfNeeded: value))
    }
    /// The low `count` (1 to 16) bytes.
    mutating func integer(_ value: UInt128, count: Int) {
        for index in (0..<count).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> UInt128(8 * index))) }
    }
    mutating func ethernetAddress(_ value: UInt64) { integer(UInt128(value), count: 6) }
    mutating func zeros(_ count: Int) { for _ in 0..<count { bytes.append(0) } }
    mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }
    /// A zero-padded string of `count` bytes, the last of them zero.
    mutating func string(_ value: String, count: Int) {
        let raw = Array(value.utf8.prefix(count - 1))
        bytes.append(contentsOf: raw)
        zeros(count - raw.count)
    }
    /// Zeros until `start + multiple * n`.
    mutating func pad(to multiple: Int, from start: Int) {
        let odd = (bytes.count - start) % multiple
        if odd != 0 { zeros(multiple - odd) }
    }
    /// Overwrites two bytes at `offset`; a length above 65,535 is cut, which `Message.encode` checks for the whole message.
    mutating func patch16(_ value: Int, at offset: Int) {
        bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
        bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
    }
    /// Writes a type and a length around what `body` writes; the length does not count the padding to `multiple` that follows
    /// unless `countsPadding`.
    mutating func property(_ type: UInt16, padTo multiple: Int = 8, countsPadding: Bool = false, _ body: (inout ByteWriter) -> Void) {
        let start = count
        u16(type)
        u16(0)
        body(&self)
        if countsPadding { pad(to: multiple, from: start) }
        patch16(count - start, at: start + 2)
        pad(to: multiple, from: start)
    }
}
