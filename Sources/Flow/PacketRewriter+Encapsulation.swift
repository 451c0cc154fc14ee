// Backbone frames (IEEE 802.1ah), and TTLs that go from one header to another.

extension PacketRewriter {
    /// Bytes that a backbone header takes: two addresses, an EtherType, a service tag.
    @inlinable public static var pbbLength: Int { @_noLocks get { 18 } }

    /// Makes the packet the payload of a backbone frame with its own addresses. `newStart` is where the packet begins after the
    /// caller made room for `pbbLength` bytes.
    @_noLocks
    public static func pushPBB(newStart: UnsafeMutableRawPointer, tag: UInt32) {
        var at = 0
        while at < 12 {
            store32(newStart, at, load32(newStart, pbbLength &+ at))
            at &+= 4
        }
        store16(newStart, 12, 0xe788)
        store32(newStart, 14, tag.bigEndian)
    }

    /// Bytes before the packet that a backbone frame carries, or 0 if it is none: the frame's header with what tags it has,
    /// and the service tag.
    @_noLocks
    public static func pbbHeaderLength(_ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult) -> Int {
        let offset = Int(headers.l3Offset)
        guard headers.isFrame, offset >= 14, length >= offset &+ 4 &+ 14, load16(packet, offset &- 2) == 0xe788 else { return 0 }
        return offset &+ 4
    }

    @_noLocks
    static func setPBB(
        _ field: Field, _ value: UInt64, _ mask: UInt64, _ packet: UnsafeMutableRawPointer, _ length: Int, _ headers: ExtractResult
    ) -> Bool {
        guard isL3(0xe788, 4, packet, length, headers) else { return false }
        if case .pbbISID = field { return write32(packet, Int(headers.l3Offset), value, mask & 0xff_ffff) }
        // PCP 3, DEI 1, then UCA.
        return write32(packet, Int(headers.l3Offset), value << 27, (mask & 1) << 27)
    }

    /// Copies the TTL of the next-to-outermost header with one to the outermost (`outwards`) or back: between labels, or
    /// between the only label and the IP header behind it. False if there are no such two headers.
    @_noLocks @discardableResult
    public static func copyTTL(
        outwards: Bool, packet: UnsafeMutableRawPointer, length: Int, headers: ExtractResult
    ) -> Bool {
        guard isL3(0x4788, 4, packet, length, headers) || isL3(0x4888, 4, packet, length, headers) else { return false }
        let outer = Int(headers.l3Offset)
        let inner = outer &+ 4
        let outerTTL = packet.load(fromByteOffset: outer &+ 3, as: UInt8.self)
        if packet.load(fromByteOffset: outer &+ 2, as: UInt8.self) & 1 == 0 {
            guard length &- inner >= 4 else { return false }
            let innerTTL = packet.load(fromByteOffset: inner &+ 3, as: UInt8.self)
            if outwards {
                packet.storeBytes(of: innerTTL, toByteOffset: outer &+ 3, as: UInt8.self)
            } else {
                packet.storeBytes(of: outerTTL, toByteOffset: inner &+ 3, as: UInt8.self)
            }
            return true
        }
        // What is behind the last label says itself what it is (RFC 3032 section 2.2 leaves it to the label).
        guard length &- inner >= 20 else { return false }
        let first = packet.load(fromByteOffset: inner, as: UInt8.self)
        switch first >> 4 {
        case 4:
            guard first & 0xf >= 5 else { return false }
            if outwards {
                let ttl = packet.load(fromByteOffset: inner &+ 8, as: UInt8.self)
                packet.storeBytes(of: ttl, toByteOffset: outer &+ 3, as: UInt8.self)
            } else {
                setIPv4TTL(packet, inner, outerTTL)
            }
            return true
        case 6:
            guard length &- inner >= 40 else { return false }
            if outwards {
                let ttl = packet.load(fromByteOffset: inner &+ 7, as: UInt8.self)
                packet.storeBytes(of: ttl, toByteOffset: outer &+ 3, as: UInt8.self)
            } else {
                packet.storeBytes(of: outerTTL, toByteOffset: inner &+ 7, as: UInt8.self)
            }
            return true
        default: return false
        }
    }
}
