// Rewriting one packet that nobody else holds. Headers lie in its first segment.

internal import CDPDK
internal import Flow
internal import Netdev

enum PacketEdit {
    /// Writes a header field, checksums kept right. What the packet does not have is left alone.
    @_noLocks
    static func set(_ packet: Packet, _ operand: UnsafePointer<SetOperand>, _ headers: ExtractResult) {
        PacketRewriter.set(
            operand.pointee.field, value: operand.pointee.value, mask: operand.pointee.mask,
            packet: UnsafeMutableRawPointer(cdpdk_mbuf_data(packet)), length: Int(packet.pointee.data_len), headers: headers)
    }

    /// Sets the TTL or hop limit.
    @_noLocks
    static func setTTL(_ packet: Packet, _ ttl: UInt8, _ headers: ExtractResult) {
        PacketRewriter.set(
            .nwTTL, value: UInt128(ttl), mask: 0xff, packet: UnsafeMutableRawPointer(cdpdk_mbuf_data(packet)),
            length: Int(packet.pointee.data_len), headers: headers)
    }

    /// Adds an outer VLAN tag. False if there is no headroom.
    @_noLocks
    static func pushVLAN(_ packet: Packet, tpid: UInt16, tci: UInt16, _ headers: inout ExtractResult) -> Bool {
        guard packet.pointee.data_len >= 14, let start = cdpdk_mbuf_prepend(packet, UInt16(PacketRewriter.tagLength)) else { return false }
        PacketRewriter.pushVLAN(newStart: UnsafeMutableRawPointer(start), tpid: tpid, tci: tci)
        headers.shift(by: PacketRewriter.tagLength)
        return true
    }

    /// Takes the outer VLAN tag off. A packet without one stays as it is.
    @_noLocks
    static func popVLAN(_ packet: Packet, _ headers: inout ExtractResult) -> Bool {
        let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packet))
        guard PacketRewriter.popVLAN(packet: data, length: Int(packet.pointee.data_len)) else { return true }
        headers.shift(by: 0 &- PacketRewriter.tagLength)
        return cdpdk_mbuf_adj(packet, UInt16(PacketRewriter.tagLength)) != nil
    }

    /// Adds an outermost label behind the VLAN tags and sets the EtherType. False if there is no room. What was L3 is out of
    /// reach from then on; the label is where it began.
    @_noLocks
    static func pushMPLS(_ packet: Packet, etherType: UInt16, entry: UInt32, _ headers: inout ExtractResult) -> Bool {
        let header = Int(headers.l3Offset)
        guard header >= 14, Int(packet.pointee.data_len) >= header,
            let start = cdpdk_mbuf_prepend(packet, UInt16(PacketRewriter.tagLength))
        else { return false }
        PacketRewriter.pushMPLS(newStart: UnsafeMutableRawPointer(start), l2Length: header, etherType: etherType, entry: entry)
        headers.l4Offset = 0
        headers.markRead()
        return true
    }

    /// Takes the outermost label off and sets the EtherType. A packet without labels stays as it is.
    @_noLocks
    static func popMPLS(_ packet: Packet, etherType: UInt16, _ headers: inout ExtractResult) -> Bool {
        let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packet))
        guard
            PacketRewriter.popMPLS(
                packet: data, length: Int(packet.pointee.data_len), l2Length: Int(headers.l3Offset), etherType: etherType)
        else { return true }
        headers.l4Offset = 0
        return cdpdk_mbuf_adj(packet, UInt16(PacketRewriter.tagLength)) != nil
    }

    /// Makes the packet the payload of a backbone frame. False if there is no room.
    @_noLocks
    static func pushPBB(_ packet: Packet, tag: UInt32, _ headers: inout ExtractResult) -> Bool {
        guard packet.pointee.data_len >= 14, let start = cdpdk_mbuf_prepend(packet, UInt16(PacketRewriter.pbbLength)) else { return false }
        PacketRewriter.pushPBB(newStart: UnsafeMutableRawPointer(start), tag: tag)
        headers.l3Offset = 14
        headers.l4Offset = 0
        headers.markRead()
        return true
    }

    /// Takes a backbone frame's header off. Another packet stays as it is. What was inside is out of reach until it is looked at
    /// anew.
    @_noLocks
    static func popPBB(_ packet: Packet, _ headers: inout ExtractResult) -> Bool {
        let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packet))
        let length = PacketRewriter.pbbHeaderLength(data, Int(packet.pointee.data_len), headers)
        guard length > 0 else { return true }
        headers.l3Offset = 0
        headers.l4Offset = 0
        return cdpdk_mbuf_adj(packet, UInt16(length)) != nil
    }

    /// Puts bytes in front of the packet: of several, the last ones are an Ethernet header without tags. False if there is no room.
    @_noLocks
    static func prepend(_ packet: Packet, _ bytes: UnsafeRawPointer?, _ count: UInt16, _ headers: inout ExtractResult) -> Bool {
        guard let bytes, let start = cdpdk_mbuf_prepend(packet, count) else { return false }
        UnsafeMutableRawPointer(start).copyMemory(from: bytes, byteCount: Int(count))
        headers.l3Offset = 14
        headers.l4Offset = 0
        headers.markRead()
        return true
    }

    /// Takes bytes off the packet's front. False if they are not all in its first segment.
    @_noLocks
    static func strip(_ packet: Packet, _ count: UInt16, _ headers: inout ExtractResult) -> Bool {
        guard packet.pointee.data_len >= count else { return false }
        headers.l3Offset = 0
        headers.l4Offset = 0
        return cdpdk_mbuf_adj(packet, count) != nil
    }

    /// Takes off the network service header that the packet begins with: its length, in words, is in its second byte.
    @_noLocks
    static func stripNSH(_ packet: Packet, _ headers: inout ExtractResult) -> Bool {
        guard packet.pointee.data_len >= 8 else { return false }
        let words = UnsafeRawPointer(cdpdk_mbuf_data(packet)).load(fromByteOffset: 1, as: UInt8.self) & 0x3f
        guard words >= 2 else { return false }
        return strip(packet, UInt16(words) &* 4, &headers)
    }

    /// Copies a TTL between headers, if the packet has two with one.
    @_noLocks
    static func copyTTL(_ packet: Packet, outwards: Bool, _ headers: ExtractResult) -> Bool {
        PacketRewriter.copyTTL(
            outwards: outwards, packet: UnsafeMutableRawPointer(cdpdk_mbuf_data(packet)), length: Int(packet.pointee.data_len),
            headers: headers)
        return true
    }

    /// Cuts a packet at its end to `length` bytes, which it has; frees segments that are not needed any more.
    @_noLocks
    static func cut(_ packet: Packet, to length: UInt32) {
        var left = length
        var segment = packet
        var segments: UInt16 = 1
        while UInt32(segment.pointee.data_len) < left {
            guard let next = segment.pointee.next else { return }
            left &-= UInt32(segment.pointee.data_len)
            segment = next
            segments &+= 1
        }
        segment.pointee.data_len = UInt16(truncatingIfNeeded: left)
        if let tail = segment.pointee.next {
            segment.pointee.next = nil
            tail.pointee.nb_segs = packet.pointee.nb_segs &- segments
            cdpdk_mbuf_free(tail)
        }
        packet.pointee.nb_segs = segments
        packet.pointee.pkt_len = length
    }
}
