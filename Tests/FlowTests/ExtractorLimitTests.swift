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

    @Test func packetsWithOneTagAreTheSame() {
        let packet = Self.addresses + [0x81, 0, 0, 16, 8, 0] + Self.ip
        #expect(key(packet, tagLimit: 1) == key(packet, tagLimit: 2) && key(packet, tagLimit: 1).withOneTag == key(packet, tagLimit: 1))
    }
}
