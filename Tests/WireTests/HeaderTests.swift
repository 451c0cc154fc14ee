import TestSupport
import Testing
import Wire

@Suite struct HeaderTests {
    let golden: [UInt8] = [
        0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x81, 0x00, 0xa0, 0x64, 0x08, 0x00,
        0x45, 0x00, 0x00, 0x20, 0, 0, 0x40, 0, 0x40, 0x11, 0x26, 0xcb, 10, 0, 0, 1, 10, 0, 0, 2,
        0x03, 0xe8, 0x00, 0x35, 0x00, 0x0c, 0x5f, 0x4d, 0x61, 0x62, 0x63, 0x63,
    ]

    func build() -> [UInt8] {
        var packet = PacketBuilder()
        EthernetHeader(
            destination: MACAddress(0x0200_0000_0002), source: MACAddress(0x0200_0000_0001), tags: [VLANTag(identifier: 100, priority: 5)],
            etherType: EtherType.ipv4
        ).emit(into: &packet)
        var header = IPv4Header(source: IPv4Address(10, 0, 0, 1), destination: IPv4Address(10, 0, 0, 2), proto: 17)
        header.fragment = 0x4000
        let ip = header.emit(into: &packet)
        let udp = UDPHeader(source: 1000, destination: 53).emit(into: &packet)
        packet.append([0x61, 0x62, 0x63, 0x63])
        TransportChecksum.finish(&packet, proto: 17, ipOffset: ip, at: udp)
        IPv4Header.finish(&packet, at: ip)
        return packet.bytes
    }

    @Test func constructs() {
        let bytes = build()
        // The UDP checksum is checked below, by summing.
        #expect(bytes[..<44] == golden[..<44])
    }

    @Test func deconstructs() throws {
        try build().withUnsafeBytes { bytes in
            let ethernet = try #require(EthernetView(bytes))
            #expect(ethernet.etherType == EtherType.vlan)
            let tag = try #require(VLANView(ethernet.payload))
            #expect(tag.identifier == 100 && tag.priority == 5)
            let ip = try #require(IPv4View(tag.payload))
            #expect(ip.isChecksumValid)
            #expect(ip.source == IPv4Address(10, 0, 0, 1) && ip.doNotFragment && !ip.moreFragments)
            let udp = try #require(UDPView(ip.payload))
            #expect(udp.source == 1000 && udp.destination == 53 && udp.length == 12)
            #expect(Array(udp.payload) == [0x61, 0x62, 0x63, 0x63])
            let sum =
                InternetChecksum.sum(ip.payload.baseAddress!, count: 12)
                + InternetChecksum.pseudoHeaderSum(
                    source: ip.bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self),
                    destination: ip.bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self), protocol: 17, length: 12)
            #expect(InternetChecksum.finish(sum) == 0)
        }
    }

    @Test func viewsRefuseEveryTruncation() {
        let bytes = build()
        bytes.withUnsafeBytes { all in
            for length in 0..<bytes.count {
                let part = UnsafeRawBufferPointer(rebasing: all[..<length])
                guard let ethernet = EthernetView(part) else {
                    #expect(length < 14)
                    continue
                }
                guard let tag = VLANView(ethernet.payload) else {
                    #expect(length < 18)
                    continue
                }
                #expect(IPv4View(tag.payload) == nil)
            }
        }
    }

    @Test func impossibleLengths() {
        let ip: [UInt8] = [0x44, 0, 0, 20] + Array(repeating: 0, count: 16)
        ip.withUnsafeBytes { #expect(IPv4View($0) == nil) }
        let udp: [UInt8] = [0, 1, 0, 2, 0, 7, 0, 0]
        udp.withUnsafeBytes { #expect(UDPView($0) == nil) }
        let tcp = Array(repeating: UInt8(0), count: 12) + [0x40] + Array(repeating: 0, count: 7)
        tcp.withUnsafeBytes { #expect(TCPView($0) == nil) }
    }

    @Test func checksumUpdateEqualsRecomputation() {
        var random = SeededRandom()
        for _ in 0..<2000 {
            var words = (0..<10).map { _ in UInt32.random(in: 0 ... .max, using: &random) }
            words[3] |= 1
            let old = words.withUnsafeBytes { InternetChecksum.finish(InternetChecksum.sum($0.baseAddress!, count: 40)) }
            let before = words[5]
            words[5] = UInt32.random(in: 0 ... .max, using: &random)
            let new = words.withUnsafeBytes { InternetChecksum.finish(InternetChecksum.sum($0.baseAddress!, count: 40)) }
            #expect(InternetChecksum.updated(old, old: before, new: words[5]) == new, "seed \(random.seed)")
        }
    }

    @Test func crc32c() {
        let text = Array("123456789".utf8)
        #expect(text.withUnsafeBytes { CRC32C.of($0.baseAddress!, count: 9) } == 0xe306_9283)
    }

    @Test func pcapRoundTrip() throws {
        let capture = PCAP(records: [
            .init(nanoseconds: 1_500_000_001, bytes: build()), .init(nanoseconds: 2_000_000_000, bytes: [1, 2, 3], originalLength: 60),
        ])
        let file = capture.serialized()
        #expect(try PCAP(parsing: file) == capture)
        for length in 0..<file.count where length != 24 && length != 24 + 16 + build().count {
            #expect(throws: PCAPError.self) { try PCAP(parsing: Array(file[..<length])) }
        }
        #expect(throws: PCAPError.badMagic(0)) { try PCAP(parsing: Array(repeating: 0, count: 24)) }
    }
}
