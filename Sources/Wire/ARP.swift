// ARP and RARP for IPv4 over Ethernet (RFC 826, RFC 903).

/// A checked view of an Ethernet/IPv4 ARP message.
public struct ARPView {
    public let bytes: UnsafeRawBufferPointer
    public static var length: Int { 28 }

    /// Nil if it is shorter than 28 bytes or not for IPv4 over Ethernet.
    public init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= ARPView.length, bytes.big16(0) == 1, bytes.big16(2) == EtherType.ipv4, bytes.big16(4) == 0x0604 else {
            return nil
        }
        self.bytes = bytes
    }
    public var operation: UInt16 { bytes.big16(6) }
    public var senderHardware: MACAddress { MACAddress(bytes.big48(8)) }
    public var senderProtocol: IPv4Address { IPv4Address(bytes.big32(14)) }
    public var targetHardware: MACAddress { MACAddress(bytes.big48(18)) }
    public var targetProtocol: IPv4Address { IPv4Address(bytes.big32(24)) }
}

/// An Ethernet/IPv4 ARP message.
public struct ARPMessage: Equatable, Sendable {
    /// 1 request, 2 reply, 3 and 4 the same of RARP.
    public var operation: UInt16
    public var senderHardware: MACAddress
    public var senderProtocol: IPv4Address
    public var targetHardware: MACAddress
    public var targetProtocol: IPv4Address
    public init(
        operation: UInt16, senderHardware: MACAddress, senderProtocol: IPv4Address, targetHardware: MACAddress,
        targetProtocol: IPv4Address
    ) {
        self.operation = operation
        self.senderHardware = senderHardware
        self.senderProtocol = senderProtocol
        self.targetHardware = targetHardware
        self.targetProtocol = targetProtocol
    }
    public func emit(into packet: inout PacketBuilder) {
        packet.append(UInt16(1))
        packet.append(EtherType.ipv4)
        packet.append(UInt16(0x0604))
        packet.append(operation)
        packet.append(senderHardware)
        packet.append(senderProtocol)
        packet.append(targetHardware)
        packet.append(targetProtocol)
    }
}
