// What TCP, UDP, ICMPv6 and SCTP share when built: the checksum over a pseudo header.

/// Fills in L4 checksums of packets being built.
public enum TransportChecksum {
    /// Computes the checksum of the L4 part that begins at `start` and ends where the packet does.
    ///
    /// - Parameters:
    ///   - ipOffset: where the IPv4 or IPv6 header begins (its version nibble decides).
    ///   - proto: 6, 17, 58 take a pseudo header, 1 does not, 132 is a CRC32c; others are left alone.
    public static func finish(_ packet: inout PacketBuilder, proto: UInt8, ipOffset: Int, at start: Int) {
        let position: Int
        switch proto {
        case IPProtocol.tcp: position = start + 16
        case IPProtocol.udp: position = start + 6
        case IPProtocol.icmp, IPProtocol.icmpv6: position = start + 2
        case IPProtocol.sctp:
            let crc = packet.bytes.withUnsafeBytes {
                CRC32C.of($0.baseAddress! + start, count: $0.count - start, zeroedAt: 8)
            }
            packet.patch(crc.byteSwapped, at: start + 8)
            return
        default: return
        }
        if proto == IPProtocol.udp { packet.patch(UInt16(truncatingIfNeeded: packet.count - start), at: start + 4) }
        packet.patch(UInt16(0), at: position)
        let checksum = packet.bytes.withUnsafeBytes { bytes -> UInt16 in
            let base = bytes.baseAddress!
            let length = bytes.count - start
            var sum = InternetChecksum.sum(base + start, count: length)
            if bytes[ipOffset] >> 4 == 6 {
                sum += InternetChecksum.pseudoHeaderSum(addresses: base + ipOffset + 8, protocol: proto, length: length)
            } else if proto != IPProtocol.icmp {
                sum += InternetChecksum.pseudoHeaderSum(
                    source: base.loadUnaligned(fromByteOffset: ipOffset + 12, as: UInt32.self),
                    destination: base.loadUnaligned(fromByteOffset: ipOffset + 16, as: UInt32.self), protocol: proto, length: length)
            }
            return UInt16(bigEndian: InternetChecksum.finish(sum))
        }
        // UDP sends a checksum of zero as all ones: zero means there is none (RFC 768).
        packet.patch(checksum == 0 && proto == IPProtocol.udp ? 0xffff : checksum, at: position)
    }
}
