import Testing
import Wire

@Suite struct AddressTests {
    @Test func mac() {
        #expect(MACAddress("00:11:22:aa:BB:cc")?.rawValue == 0x0011_22aa_bbcc)
        #expect(MACAddress("1:2:3:4:5:6")?.description == "01:02:03:04:05:06")
        for bad in ["", "00:11:22:33:44", "00:11:22:33:44:55:66", "00:11:22:33:44:", ":11:22:33:44:55", "001:1:2:3:4:5", "gg:0:0:0:0:0"] {
            #expect(MACAddress(bad) == nil, "\(bad)")
        }
        #expect(MACAddress.broadcast.isMulticast)
        #expect(MACAddress("01:80:c2:00:00:0e")!.isReservedForBridges)
    }

    @Test func ipv4() {
        #expect(IPv4Address("10.0.0.255")?.rawValue == 0x0a00_00ff)
        #expect(IPv4Address(1, 2, 3, 4).description == "1.2.3.4")
        for bad in ["", "1.2.3", "1.2.3.4.5", "256.0.0.0", "1..2.3", "1.2.3.", "0001.2.3.4", "a.b.c.d"] {
            #expect(IPv4Address(bad) == nil, "\(bad)")
        }
        #expect(IPv4Address.prefix(ofNetmask: 0xffff_ff00) == 24)
        #expect(IPv4Address.prefix(ofNetmask: 0xff00_ff00) == nil)
        #expect(IPv4Address.prefix(ofNetmask: 0) == 0)
    }

    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("::1.2.3.4", "::1.2.3.4"),
        ("fe80::0204:61ff:fe9d:f156", "fe80::204:61ff:fe9d:f156"), ("0:0:1::", "0:0:1::"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("::ff", "::ff"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ])
    func ipv6(_ text: String, _ canonical: String) throws {
        let address = try #require(IPv6Address(text))
        #expect(address.description == canonical)
        #expect(IPv6Address(canonical) == address)
    }

    @Test(arguments: [
        "", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "1:2:3:4:5:6:7:8::", "::1.2.3", "1:", ":1",
        "1:2:3:4:5:6:7:1.2.3.4",
    ])
    func badIPv6(_ text: String) { #expect(IPv6Address(text) == nil) }
}
