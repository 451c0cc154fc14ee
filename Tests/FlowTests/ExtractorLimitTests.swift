// How many VLAN tags extraction looks at.

import Flow
import Testing

@Suite struct ExtractorLimitTests {
    private static let addresses: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]
    private static let ip: [UInt8] =
        [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2] + [0, 7, 0, 9, 0, 8, 0, 0]

    private func key(_ packet: [UInt8], tagLimit: Int) -> FlowKey {
        var key = FlowKey()
        key.withMutableBytes { bytes in
            packet.withUnsafeBytes {
                _ = FlowExtractor.extract(
                    packet: $0.baseAddress!, length: $0.count, inPort: 1, tagLimit: tagLimit,
                    into: bytes.baseAddress!.assumingMemoryBound(to: UInt64.self))
            }
        }
        return key
    }

    @Test func withALimitOfOneTheInnerTagIsTheType() {
        let packet = Self.addresses + [0x88, 0xa8, 0, 16, 0x81, 0, 0, 17, 8, 0] + Self.ip
        let (one, two) = (key(packet, tagLimit: 1), key(packet, tagLimit: 2))
        #expect(two[.ethType] == 0x0800 && two[.nwProto] == 17 && two[.udpDst] == 9)
        #expect(one[.ethType] == 0x8100 && one[.vlanTCI] == 0x1010 && one[.nwSrc] == 0 && one[.nwProto] == 0)
        #expect(two.withOneTag == one)
    }

    /// A TCP header whose length is a lie has no ports that anybody may rely on: the receiver will not read them, or elsewhere.
    @Test(arguments: [(4, 0), (0, 0), (5, 16), (6, 16), (7, 0), (15, 0)])
    func tcpHeadersSayHowLongTheyAre(_ words: UInt8, _ port: UInt128) {
        var ip = Self.ip
        ip[3] = 44
        ip[9] = 6
        let tcp: [UInt8] = [0, 100, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, words << 4, 2, 0x20, 0, 0x53, 0x33, 0, 0] + [1, 1, 1, 0]
        for tag in [[], [0x81, 0, 0, 16]] as [[UInt8]] {
            let found = FlowKey(packet: Self.addresses + tag + [8, 0] + ip.prefix(20) + tcp, inPort: 1)
            #expect(found[.nwProto] == 6 && found[.tcpDst] == port && found[.tcpFlags] == (port == 0 ? 0 : 2))
        }
    }

    @Test func packetsWithOneTagAreTheSame() {
        let packet = Self.addresses + [0x81, 0, 0, 16, 8, 0] + Self.ip
        #expect(key(packet, tagLimit: 1) == key(packet, tagLimit: 2) && key(packet, tagLimit: 1).withOneTag == key(packet, tagLimit: 1))
    }
}
