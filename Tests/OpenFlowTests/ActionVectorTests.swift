// Every action as text and as bytes, both ways, in the versions that have it. The bytes are laid out by hand from the
// specifications and the description of the Nicira extensions.

import Flow
import OpenFlow
import Testing

@Suite struct ActionVectorTests {
    /// The actions of a packet-out in `version`, as bytes.
    private static func encode(_ actions: [Action], _ version: OpenFlowVersion) -> [UInt8] {
        let message = Message.packetOut(PacketOut(inPort: OpenFlowPort(1), actions: actions, data: []))
        return Array((message.encode(version: version, xid: 1) ?? []).dropFirst(headLength(version)))
    }

    /// Bytes before the actions: 1.5 has a match in between, of the input port here.
    private static func headLength(_ version: OpenFlowVersion) -> Int {
        switch version {
        case .v1_0: 16
        case .v1_1, .v1_2, .v1_3, .v1_4: 24
        case .v1_5: 32
        }
    }

    private static func decode(_ bytes: [UInt8], _ version: OpenFlowVersion) throws -> [Action] {
        let empty = Message.packetOut(PacketOut(inPort: OpenFlowPort(1), actions: [], data: [])).encode(version: version, xid: 1)!
        var message = Array(empty.prefix(headLength(version))) + bytes
        let length = version == .v1_0 ? 14 : version == .v1_5 ? 12 : 16
        message[2] = UInt8(message.count >> 8)
        message[3] = UInt8(message.count & 0xff)
        message[length] = UInt8(bytes.count >> 8)
        message[length + 1] = UInt8(bytes.count & 0xff)
        guard case .packetOut(let packet) = try Message.decode(message).message else { return [] }
        return packet.actions
    }

    private func check(_ text: String, _ wire: String, _ versions: [OpenFlowVersion]) throws {
        let actions = try FlowText.parseActions(text)
        #expect(FlowText.format(actions) == text)
        for version in versions {
            #expect(hexText(Self.encode(actions, version)) == hexText(hex(wire)), "\(text) in OpenFlow \(version)")
            let decoded = try Self.decode(hex(wire), version)
            #expect(FlowText.format(decoded) == text, "OpenFlow \(version)")
            #expect(decoded == actions, "\(text) in OpenFlow \(version)")
        }
    }

    private static let all = OpenFlowVersion.allCases
    private static let before15: [OpenFlowVersion] = [.v1_0, .v1_1, .v1_2, .v1_3, .v1_4]
    private static let from11: [OpenFlowVersion] = [.v1_1, .v1_2, .v1_3, .v1_4, .v1_5]
    private static let from13: [OpenFlowVersion] = [.v1_3, .v1_4, .v1_5]

    /// Of Nicira's actions in every version: what comes after type, length and vendor.
    private static let nicira: [(text: String, body: String)] = [
        ("resubmit:7", "0001 0007 00000000"),
        ("resubmit(3,9)", "000e 0003 09 000000"),
        ("resubmit(,9)", "000e fff8 09 000000"),
        ("resubmit(3,9,ct)", "002c 0003 09 000000"),
        ("pop_queue", "0005 000000000000"),
        ("note:a1.b2.c3.d4.e5.f6", "0008 a1b2c3d4e5f6"),
        ("exit", "0011 000000000000"),
        ("multipath(symmetric_l4,513,hrw,12,7,NXM_NX_REG2[4..11])", "000a 0001 0201 0000 0002 000b 00000007 0000 0107 00010404"),
        ("multipath(nw_dst,0,iter_hash,1,258,NXM_NX_REG0[])", "000a 0005 0000 0000 0003 0000 00000102 0000 001f 00010004"),
        (
            "bundle(symmetric_l3,9,active_backup,ofport,members:2,1,LOCAL)",
            "000c 0000 0006 0009 00000002 0003 0000 00000000 00000000 0002 0001 fffe 0000"
        ),
        (
            "bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG5[8..23],members:5)",
            "000d 0001 0000 0000 00000002 0001 020f 00010a04 00000000 0005 000000000000"
        ),
        ("fin_timeout(idle_timeout=6,hard_timeout=260)", "0013 0006 0104 0000"),
        ("sample(probability=9,collector_set_id=2,obs_domain_id=3,obs_point_id=4)", "001d 0009 00000002 00000003 00000004"),
        (
            "sample(probability=9,collector_set_id=2,obs_domain_id=3,obs_point_id=4,sampling_port=6)",
            "0026 0009 00000002 00000003 00000004 0006 000000000000"
        ),
        (
            "sample(probability=9,collector_set_id=2,obs_domain_id=3,obs_point_id=4,sampling_port=6,ingress)",
            "0029 0009 00000002 00000003 00000004 0006 01 0000000000"
        ),
        (
            "sample(probability=9,collector_set_id=2,obs_domain_id=NXM_NX_REG1[],obs_point_id=4,sampling_port=6)",
            "0033 0009 00000002 00010204 001f 0000 00000000 00000004 0006 000000000000"
        ),
        ("check_pkt_larger(1400)->NXM_NX_REG3[7]", "0031 0578 0007 00010604 000000000000"),
        ("delete_field:tun_gbp_id", "0032 00014c02 00000000000000000000"),
        ("conjunction(16909060,2/3)", "0022 01 03 01020304"),
        ("output(port=8,max_len=300)", "0027 0008 0000012c"),
        ("ct_clear", "002b 000000000000"),
        ("ct()", "0023 0000 00000000 0000 ff 000000 0000"),
        ("ct(commit,force,table=4,zone=515,alg=ftp)", "0023 0003 00000000 0203 04 000000 0015"),
        ("ct(zone=NXM_NX_REG7[16..31],alg=tftp)", "0023 0000 00010e04 040f ff 000000 0045"),
        (
            "ct(commit,nat(dst=10.1.2.3-10.1.2.9:80-90,persistent,random))",
            "0023 0001 00000000 0000 ff 000000 0000 ffff 0020 00002320 0024 0000 0016 0033 0a010203 0a010209 0050 005a 00000000"
        ),
        (
            "ct(commit,nat(src=[fd00::7]:1024,hash))",
            "0023 0001 00000000 0000 ff 000000 0000 ffff 0028 00002320 0024 0000 0009 0014 fd000000000000000000000000000007 0400"
                + "000000000000"
        ),
        ("ct(table=1,nat)", "0023 0000 00000000 0000 01 000000 0000 ffff 0010 00002320 0024 0000 0000 0000"),
        (
            "learn(table=3,hard_timeout=300,fin_idle_timeout=1,fin_hard_timeout=2,priority=5,send_flow_rem,delete_learned,cookie=0x1122"
                + ",NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],eth_type=0x800,load:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15],output:NXM_OF_IN_PORT[])",
            "0010 0000 012c 0005 0000000000001122 0003 03 00 0001 0002 "
                + "0030 00000406 0000 00000206 0000 2010 0800 00000602 0000 0810 00000002 0000 00010204 0000 1010 00000002 0000 0000"
        ),
        (
            "learn(table=1,limit=7,result_dst=NXM_NX_REG0[3],NXM_OF_VLAN_TCI[0..11],load:0x5->NXM_NX_REG2[0..7])",
            "002d 0000 0000 8000 0000000000000000 0004 01 00 0000 0000 00000007 0003 0000 00010004 "
                + "000c 00000802 0000 00000802 0000 2808 0005 00010404 0000"
        ),
        ("controller(reason=no_match,max_len=200,id=3)", "0014 00c8 0003 00 00"),
        (
            "controller(max_len=200,userdata=01.02,pause,meter_id=9)",
            "0025 000000000000 0000 0006 00c8 0000 0003 0006 0102 0000 0004 0004 00000000 0005 0008 00000009"
        ),
    ]

    @Test(arguments: nicira.indices) func niciraActions(index: Int) throws {
        let (text, body) = Self.nicira[index]
        var bytes = hex(body)
        // Padding is part of the action, and of its length.
        while (bytes.count + 8) % 8 != 0 { bytes.append(0) }
        let length = String(bytes.count + 8, radix: 16)
        let head = "ffff" + String(repeating: "0", count: 4 - length.count) + length + "00002320"
        try check(text, head + hexText(bytes), Self.all)
    }

    @Test func loadsAndStack() throws {
        try check("load:0xabc->NXM_NX_REG4[4..15]", "ffff 0018 00002320 0007 010b 00010804 0000000000000abc", Self.before15)
        try check(
            "move:NXM_NX_REG1[0..7]->NXM_NX_REG2[8..15]", "ffff 0018 00002320 0006 0008 0000 0008 00010204 00010404", Self.before15)
        try check("push:NXM_NX_REG1[3..10]", "ffff 0018 00002320 001b 0003 00010204 0008 000000000000", Self.all)
        try check("pop:NXM_NX_REG1[]", "ffff 0018 00002320 001c 0000 00010204 0020 000000000000", Self.all)
        try check("output:NXM_NX_REG1[0..15]", "ffff 0018 00002320 000f 000f 00010204 ffff 000000000000", Self.all)
        // 1.5's copy_field; before, ONF's extension says the same.
        #expect(
            try Self.decode(hex("001c 0018 0008 0000 0008 0000 00010204 00010404 00000000"), .v1_5)
                == FlowText.parseActions("move:NXM_NX_REG1[0..7]->NXM_NX_REG2[8..15]"))
        #expect(
            try Self.decode(hex("ffff 0020 4f4e4600 0c80 0000 0008 0000 0008 0000 00010204 00010404 00000000"), .v1_3)
                == FlowText.parseActions("move:NXM_NX_REG1[0..7]->NXM_NX_REG2[8..15]"))
    }

    @Test func encapsulation() throws {
        func wire(_ body: String) -> String {
            let bytes = hex(body)
            let length = String(bytes.count + 8, radix: 16)
            return "ffff" + String(repeating: "0", count: 4 - length.count) + length + "00002320" + body
        }
        try check("encap(ethernet)", wire("002e 0000 00000000"), Self.from13)
        try check("encap(mpls)", wire("002e 0000 00018847"), Self.from13)
        try check("encap(nsh(md_type=1))", wire("002e 0000 0001894f 0004 01 05 01 000000"), Self.from13)
        try check(
            "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678),tlv(0x2000,20,0xfedcba9876543210)))",
            wire(
                "002e 0000 0001894f 0004 01 05 02 000000 0004 02 10 1000 0a 04 1234567800000000 0004 02 10 2000 14 08 fedcba9876543210"),
            Self.from13)
        try check("decap()", wire("002f 0000 0000fffe"), Self.from13)
        try check("decap(packet_type(ns=1,type=0x894f))", wire("002f 0000 0001894f"), Self.from13)
        try check("dec_nsh_ttl", wire("0030 000000000000"), Self.from13)
    }

    @Test func standardActions() throws {
        try check("copy_ttl_out", "000b 0008 00000000", Self.from11)
        try check("copy_ttl_in", "000c 0008 00000000", Self.from11)
        try check("push_pbb:0x88e7", "001a 0008 88e7 0000", Self.from13)
        try check("pop_pbb", "001b 0008 00000000", Self.from13)
        try check("push_vlan:0x88a8", "0011 0008 88a8 0000", Self.from11)
        try check("push_mpls:0x8848", "0013 0008 8848 0000", Self.from11)
        try check("pop_mpls:0x0800", "0014 0008 0800 0000", Self.from11)
        try check("set_mpls_ttl(7)", "000f 0008 07 000000", Self.from11)
        try check("dec_mpls_ttl", "0010 0008 00000000", Self.from11)
        try check("dec_ttl", "0018 0008 00000000", Self.from11)
        try check("mod_nw_ttl:9", "0017 0008 09 000000", Self.from11)
        try check("set_queue:258", "0015 0008 00000102", Self.from11)
        try check("group:259", "0016 0008 00000103", Self.from11)
        try check("set_field:0x123456->pbb_isid", "0019 0010 80004a03 123456 0000000000", [.v1_2, .v1_3, .v1_4, .v1_5])
        try check("set_field:0x1->pbb_uca", "0019 0010 80005201 01 00000000000000", [.v1_2, .v1_3, .v1_4, .v1_5])
        try check(
            "set_field:00:00:00:00:00:01/00:00:00:00:00:0f->eth_src",
            "0019 0018 8000090c 000000000001 00000000000f 00000000", [.v1_5])
    }

    /// What is refused, and with which error.
    @Test func refusals() throws {
        func refused(_ wire: String, _ code: ErrorCode, _ version: OpenFlowVersion = .v1_3) {
            do {
                let actions = try Self.decode(hex(wire), version)
                Issue.record("\(wire) was read as \(FlowText.format(actions)), not refused with \(code)")
            } catch let error as OpenFlowError {
                #expect(error.code == code, "\(wire): \(error.detail)")
            } catch {
                Issue.record("\(error)")
            }
        }
        refused("001a 0008 88a8 0000", .bacBadArgument)
        refused("001a 0008 88e7 0000", .bacBadType, .v1_2)
        refused("0011 0008 0800 0000", .bacBadArgument)
        refused("0063 0008 00000000", .bacBadType)
        refused("0019 0010 80000c02 0064 000000000000", .bacBadSetArgument)
        refused("0019 0010 80000004 00000001 00000000", .bacBadSetArgument)
        refused("ffff 0010 00002320 0022 03 03 01020304", .nxbacBadConjunction)
        refused("ffff 0010 00002320 0022 00 01 01020304", .nxbacBadConjunction)
        refused("ffff 0018 00002320 001d 0000 00000002 00000003 00000004", .bacBadArgument)
        refused("ffff 0020 00002320 000a 0001 0201 0000 0009 000b 00000007 0000 0107 00010404", .bacBadArgument)
        refused("ffff 0020 00002320 000a 0001 0201 0000 0002 000b 00000007 0000 0102 00010404", .bacBadArgument)
        refused("ffff 0018 00002320 0023 0002 00000000 0000 ff 000000 0000", .bacBadArgument)
        refused("ffff 0018 00002320 0023 0000 00010e04 0407 ff 000000 0000", .bacBadSetLen)
        refused("ffff 0010 00002320 002e 0000 00010800", .nxbacBadHeaderType)
        refused("ffff 0018 00002320 002f 0000 0000fffe 0004010501000000", .nxbacUnknownEdProp)
        refused("ffff 0020 00002320 0010 0000 0000 8000 0000000000000000 0000 ff 00 0000 0000", .bacBadArgument)
        refused("ffff 0020 00002320 0010 0000 0000 8000 0000000000000000 0004 01 00 0000 0000", .bacBadArgument)
        refused("ffff 0010 00002320 00c8 000000000000", .bacBadVendorType)
        refused("ffff 0010 00002321 0001 000000000000", .bacBadVendor)
    }
}
