// Rewriting one packet that nobody else holds. Headers lie in its first segment.

internal import CDPDK
internal import Flow
internal import Netdev

enum PacketEdit {
    /// Writes a header field, checksums kept right. What the packet does not have is left alone.
    @_noLocks
    static func set(_ packet: Packet, _ operand: UnsafePointer<SetOperand>) {
        PacketRewriter.set(
            operand.pointee.field, value: operand.pointee.value, mask: operand.pointee.mask,
            in: UnsafeMutableRawPointer(cdpdk_mbuf_data(packet)), length: Int(packet.pointee.data_len))
    }

    /// Bytes of Ethernet header and VLAN tags (two at most); the EtherType is in the last two. 0 if the packet is cut short.
    @_noLocks
    static func layer2Length(_ data: UnsafeMutableRawPointer, _ length: Int) -> Int {
        var end = 14
        var tags = 0
        while tags < 2 {
            if length < end { return 0 }
            let type = data.loadUnaligned(fromByteOffset: end &- 2, as: UInt16.self)
            if type != 0x0081, type != 0xa888 { break }
            end &+= 4
            tags &+= 1
        }
        return length < end ? 0 : end
    }

    /// Adds an outer VLAN tag. False if there is no headroom.
    @_noLocks
    static func pushVLAN(_ packet: Packet, tpid: UInt16, tci: UInt16) -> Bool {
        guard packet.pointee.data_len >= 14, let start = cdpdk_mbuf_prepend(packet, 4) else { return false }
        let data = UnsafeMutableRawPointer(start)
        let low = data.loadUnaligned(fromByteOffset: 4, as: UInt64.self)
        let high = data.loadUnaligned(fromByteOffset: 12, as: UInt32.self)
        data.storeBytes(of: low, as: UInt64.self)
        data.storeBytes(of: high, toByteOffset: 8, as: UInt32.self)
        data.storeBytes(of: tpid.bigEndian, toByteOffset: 12, as: UInt16.self)
        // Bit 0x1000 is the key's "there is a tag", not the wire's drop-eligible indicator.
        data.storeBytes(of: (tci & 0xefff).bigEndian, toByteOffset: 14, as: UInt16.self)
        return true
    }

    /// Takes the outer VLAN tag off. A packet without one stays as it is.
    @_noLocks
    static func popVLAN(_ packet: Packet) -> Bool {
        guard packet.pointee.data_len >= 18 else { return true }
        let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packet))
        let type = data.loadUnaligned(fromByteOffset: 12, as: UInt16.self)
        guard type == 0x0081 || type == 0xa888 else { return true }
        let low = data.loadUnaligned(as: UInt64.self)
        let high = data.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
        data.storeBytes(of: high, toByteOffset: 12, as: UInt32.self)
        data.storeBytes(of: low, toByteOffset: 4, as: UInt64.self)
        return cdpdk_mbuf_adj(packet, 4) != nil
    }

    /// Adds an outermost label behind the VLAN tags and sets the EtherType. False if there is no room.
    @_noLocks
    static func pushMPLS(_ packet: Packet, etherType: UInt16, entry: UInt32) -> Bool {
        let old = UnsafeMutableRawPointer(cdpdk_mbuf_data(packet))
        let header = layer2Length(old, Int(packet.pointee.data_len))
        guard header > 0, let start = cdpdk_mbuf_prepend(packet, 4) else { return false }
        let data = UnsafeMutableRawPointer(start)
        var index = 0
        while index < header {
            data.storeBytes(of: data.load(fromByteOffset: index &+ 4, as: UInt8.self), toByteOffset: index, as: UInt8.self)
            index &+= 1
        }
        data.storeBytes(of: etherType.bigEndian, toByteOffset: header &- 2, as: UInt16.self)
        data.storeBytes(of: entry.bigEndian, toByteOffset: header, as: UInt32.self)
        return true
    }

    /// Takes the outermost label off and sets the EtherType. A packet without labels stays as it is.
    @_noLocks
    static func popMPLS(_ packet: Packet, etherType: UInt16) -> Bool {
        let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packet))
        let length = Int(packet.pointee.data_len)
        let header = layer2Length(data, length)
        guard header > 0, length >= header &+ 4 else { return true }
        let type = data.loadUnaligned(fromByteOffset: header &- 2, as: UInt16.self)
        guard type == 0x4788 || type == 0x4888 else { return true }
        var index = header
        while index > 0 {
            index &-= 1
            data.storeBytes(of: data.load(fromByteOffset: index, as: UInt8.self), toByteOffset: index &+ 4, as: UInt8.self)
        }
        data.storeBytes(of: etherType.bigEndian, toByteOffset: header &+ 2, as: UInt16.self)
        return cdpdk_mbuf_adj(packet, 4) != nil
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
