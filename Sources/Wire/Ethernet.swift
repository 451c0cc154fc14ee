// Ethernet II, VLAN tags (IEEE 802.1Q) and 802.3 with LLC/SNAP.

/// EtherTypes by name.
public enum EtherType {
    @inlinable public static var ipv4: UInt16 { 0x0800 }
    @inlinable public static var arp: UInt16 { 0x0806 }
    @inlinable public static var rarp: UInt16 { 0x8035 }
    @inlinable public static var vlan: UInt16 { 0x8100 }
    @inlinable public static var ipv6: UInt16 { 0x86dd }
    @inlinable public static var slow: UInt16 { 0x8809 }
    @inlinable public static var mpls: UInt16 { 0x8847 }
    @inlinable public static var mplsMulticast: UInt16 { 0x8848 }
    @inlinable public static var qinq: UInt16 { 0x88a8 }
    @inlinable public static var lldp: UInt16 { 0x88cc }
    @inlinable public static var nsh: UInt16 { 0x894f }
    /// What the flow key says for frames without an EtherType.
    @inlinable public static var none: UInt16 { 0x05ff }
    /// Smallest EtherType; below it the field is an 802.3 length.
    @inlinable public static var minimum: UInt16 { 0x0600 }
}

/// A checked view of an Ethernet header and what follows.
public struct EthernetView {
    public let bytes: UnsafeRawBufferPointer
    public static var headerLength: Int { 14 }

    /// Nil if there are fewer than 14 bytes.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= EthernetView.headerLength else { return nil }
        self.bytes = bytes
    }
    public var destination: MACAddress { MACAddress(bytes.big48(0)) }
    public var source: MACAddress { MACAddress(bytes.big48(6)) }
    public var etherType: UInt16 { bytes.big16(12) }
    public var payload: UnsafeRawBufferPointer { bytes.slice(14) }
}

/// A checked view of what follows a VLAN EtherType: tag control information and the next EtherType.
public struct VLANView {
    public let bytes: UnsafeRawBufferPointer
    /// Nil if there are fewer than 4 bytes.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 4 else { return nil }
        self.bytes = bytes
    }
    public var tci: UInt16 { bytes.big16(0) }
    public var identifier: UInt16 { tci & 0x0fff }
    public var priority: UInt8 { UInt8(tci >> 13) }
    public var etherType: UInt16 { bytes.big16(2) }
    public var payload: UnsafeRawBufferPointer { bytes.slice(4) }
}

/// One VLAN tag.
public struct VLANTag: Equatable, Sendable {
    public var tpid: UInt16
    /// 0 to 4095.
    public var identifier: UInt16
    /// 0 to 7.
    public var priority: UInt8
    public var dropEligible: Bool
    public init(identifier: UInt16, priority: UInt8 = 0, dropEligible: Bool = false, tpid: UInt16 = EtherType.vlan) {
        self.tpid = tpid
        self.identifier = identifier
        self.priority = priority
        self.dropEligible = dropEligible
    }
    public var tci: UInt16 { identifier & 0x0fff | UInt16(priority & 7) << 13 | (dropEligible ? 0x1000 : 0) }
}

/// Addresses, tags and EtherType of a frame.
public struct EthernetHeader: Equatable, Sendable {
    public var destination: MACAddress
    public var source: MACAddress
    /// Outermost first.
    public var tags: [VLANTag]
    public var etherType: UInt16
    public init(destination: MACAddress, source: MACAddress, tags: [VLANTag] = [], etherType: UInt16) {
        self.destination = destination
        self.source = source
        self.tags = tags
        self.etherType = etherType
    }
    public func emit(into packet: inout PacketBuilder) {
        packet.append(destination)
        packet.append(source)
        for tag in tags {
            packet.append(tag.tpid)
            packet.append(tag.tci)
        }
        packet.append(etherType)
    }
}
