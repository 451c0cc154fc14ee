// Packets of every kind that extraction knows, built from values.

import Wire

enum Samples {
    static let a = MACAddress(0x0200_0000_0001)
    static let b = MACAddress(0x0200_0000_0002)
    static let v4a = IPv4Address(10, 0, 0, 1)
    static let v4b = IPv4Address(10, 0, 0, 2)
    static let v6a = IPv6Address("fe80::1")!
    static let v6b = IPv6Address("2001:db8::2")!

    static func frame(_ type: UInt16, tags: [VLANTag] = [], _ body: (inout PacketBuilder) -> Void) -> [UInt8] {
        var packet = PacketBuilder()
        EthernetHeader(destination: b, source: a, tags: tags, etherType: type).emit(into: &packet)
        body(&packet)
        return packet.bytes
    }

    static func emitL4(_ proto: UInt8, _ packet: inout PacketBuilder, ip: Int, payload: Int = 5, type: UInt8 = 8) {
        let start: Int
        switch proto {
        case 6: start = TCPHeader(source: 1000, destination: 80, flags: TCPFlags.syn | TCPFlags.ns).emit(into: &packet)
        case 17: start = UDPHeader(source: 1000, destination: 53).emit(into: &packet)
        case 132: start = SCTPHeader(source: 1000, destination: 2905).emit(into: &packet)
        default: start = ICMPHeader(type: type, code: 3, rest: 0x0001_0002).emit(into: &packet)
        }
        packet.append((0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 1) })
        TransportChecksum.finish(&packet, proto: proto, ipOffset: ip, at: start)
    }

    static func ipv4(_ proto: UInt8, tags: [VLANTag] = [], options: Int = 0, fragment: UInt16 = 0x4000, padding: Int = 0) -> [UInt8] {
        frame(EtherType.ipv4, tags: tags) { packet in
            var header = IPv4Header(source: v4a, destination: v4b, proto: proto)
            header.tos = 0xb9
            header.fragment = fragment
            header.options = Array(repeating: 1, count: options)
            let ip = header.emit(into: &packet)
            emitL4(proto, &packet, ip: ip)
            IPv4Header.finish(&packet, at: ip)
            packet.append(Array(repeating: UInt8(0xee), count: padding))
        }
    }

    static func ipv6(_ proto: UInt8, extensions: [UInt8] = [], fragmentOffset: UInt16 = 0, more: Bool = false, type: UInt8 = 128) -> [UInt8]
    {
        frame(EtherType.ipv6) { packet in
            let chain = extensions + [proto]
            var header = IPv6Header(source: v6a, destination: v6b, nextHeader: chain[0])
            header.trafficClass = 0xb9
            header.flowLabel = 0x12345
            let ip = header.emit(into: &packet)
            for (index, kind) in extensions.enumerated() {
                switch kind {
                case 44:
                    IPv6Header.emitFragment(
                        nextHeader: chain[index + 1], offset: fragmentOffset, more: more, identification: 7, into: &packet)
                case 51:
                    packet.append(chain[index + 1])
                    packet.append(UInt8(4))
                    packet.append(Array(repeating: UInt8(0xaa), count: 22))
                default:
                    IPv6Header.emitOptions(nextHeader: chain[index + 1], units: 2, into: &packet)
                    // A routing header whose segments have all been visited.
                    if kind == 43 { packet.bytes[packet.count - 13] = 0 }
                }
            }
            emitL4(proto, &packet, ip: ip, type: type)
            IPv6Header.finish(&packet, at: ip)
        }
    }

    static func neighbor(_ message: NeighborMessage) -> [UInt8] {
        frame(EtherType.ipv6) { packet in
            let ip = IPv6Header(source: v6a, destination: v6b, nextHeader: 58).emit(into: &packet)
            let start = message.emit(into: &packet)
            IPv6Header.finish(&packet, at: ip)
            TransportChecksum.finish(&packet, proto: 58, ipOffset: ip, at: start)
        }
    }

    static let arp = frame(EtherType.arp) { packet in
        ARPMessage(operation: 1, senderHardware: a, senderProtocol: v4a, targetHardware: b, targetProtocol: v4b).emit(into: &packet)
    }

    static func mpls(_ labels: Int, bottom: Bool = true) -> [UInt8] {
        frame(EtherType.mpls) { packet in
            for index in 0..<labels {
                MPLSEntry(label: UInt32(100 + index), trafficClass: 3, isBottom: bottom && index == labels - 1).emit(into: &packet)
            }
            packet.append(Array(repeating: UInt8(0x45), count: 20))
        }
    }

    static let nsh = frame(EtherType.nsh) { packet in
        packet.append(UInt16(0x2000 | 63 << 6 | 6))
        packet.append(UInt16(0x0103))
        packet.append(UInt32(0x0001_02fe))
        for value in [1, 2, 3, 4] as [UInt32] { packet.append(value) }
    }

    static let snap: [UInt8] = {
        var packet = PacketBuilder()
        EthernetHeader(destination: b, source: a, etherType: 60).emit(into: &packet)
        packet.append([0xaa, 0xaa, 3, 0, 0, 0] as [UInt8])
        packet.append(ipv4(17)[12...])
        return packet.bytes
    }()

    static let all: [(name: String, bytes: [UInt8])] = {
        let tag = VLANTag(identifier: 100, priority: 5)
        let outer = VLANTag(identifier: 7, dropEligible: true, tpid: EtherType.qinq)
        var unreadable = neighbor(NeighborMessage(isSolicitation: true, target: v6b, sourceLinkLayer: a, targetLinkLayer: b))
        unreadable[unreadable.count - 8] = 1
        return [
            ("tcp", ipv4(6)), ("udp", ipv4(17)), ("sctp", ipv4(132)), ("icmp", ipv4(1)), ("igmp", ipv4(2)), ("gre", ipv4(47)),
            ("icmpv6 in ipv4", ipv4(58)), ("udp padded", ipv4(17, padding: 30)), ("tcp padded 300", ipv4(6, padding: 300)),
            ("tcp options", ipv4(6, options: 8)), ("first fragment", ipv4(17, fragment: 0x2000)),
            ("later fragment", ipv4(17, fragment: 0x2005)), ("last fragment", ipv4(6, fragment: 0x0005)),
            ("reserved flag", ipv4(17, fragment: 0x8000)), ("vlan tcp", ipv4(6, tags: [tag])),
            ("qinq udp", ipv4(17, tags: [outer, tag])), ("three tags", ipv4(17, tags: [outer, tag, tag])),
            ("ipv6 tcp", ipv6(6)), ("ipv6 udp", ipv6(17)), ("ipv6 sctp", ipv6(132)), ("ping6", ipv6(58)), ("ipv6 icmp4", ipv6(1)),
            ("ipv6 extensions", ipv6(17, extensions: [0, 60, 43, 51])), ("ipv6 fragment", ipv6(17, extensions: [44], more: true)),
            ("ipv6 atomic fragment", ipv6(17, extensions: [44])), ("ipv6 later", ipv6(17, extensions: [0, 44], fragmentOffset: 64)),
            ("ipv6 no next", ipv6(59)), ("ipv6 thirteen", ipv6(17, extensions: Array(repeating: 60, count: 13))),
            ("solicit", neighbor(NeighborMessage(isSolicitation: true, target: v6b, sourceLinkLayer: a))),
            ("advert", neighbor(NeighborMessage(isSolicitation: false, target: v6b, targetLinkLayer: b))),
            ("solicit both", neighbor(NeighborMessage(isSolicitation: true, target: v6b, sourceLinkLayer: a, targetLinkLayer: b))),
            ("solicit twice", unreadable), ("solicit bare", neighbor(NeighborMessage(isSolicitation: true, target: v6b))),
            ("arp", arp), ("mpls 1", mpls(1)), ("mpls 2", mpls(2)), ("mpls 3", mpls(3)), ("mpls 5", mpls(5)),
            ("mpls bottomless", mpls(2, bottom: false)), ("nsh", nsh), ("snap", snap),
            ("llc", frame(40) { $0.append([0x42, 0x42, 3] + Array(repeating: UInt8(0), count: 40)) }),
            ("unknown", frame(0x88b5) { $0.append(Array(repeating: UInt8(1), count: 40)) }),
        ]
    }()
}
