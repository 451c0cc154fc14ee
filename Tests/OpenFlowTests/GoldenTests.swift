// Vectors written by hand from the specifications: OpenFlow 1.0.1, 1.3.5, 1.4.1 and the Nicira extensions.

import Flow
import OpenFlow
import Testing

@Suite struct GoldenTests {
    private func check(
        _ text: String, _ message: Message, _ version: OpenFlowVersion, xid: UInt32, flowModTableID: Bool = false,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let bytes = hex(text)
        let decoded = try Message.decode(bytes, flowModTableID: flowModTableID)
        #expect(decoded.message == message, sourceLocation: sourceLocation)
        #expect(decoded.xid == xid, sourceLocation: sourceLocation)
        let encoded = message.encode(version: version, xid: xid) ?? []
        #expect(hexText(encoded) == hexText(bytes), sourceLocation: sourceLocation)
    }

    // MARK: Simple messages

    @Test func hello() throws {
        try check("06 00 0008 0000000b", .hello(Hello(version: 6, bitmap: nil)), .v1_5, xid: 11)
        try check("04 00 0010 00000001 0001 0008 00000010", .hello(Hello(version: 4, bitmap: OpenFlowVersionSet([.v1_3]))), .v1_3, xid: 1)
    }

    @Test func configuration() throws {
        try check("01 09 000c 00000003 0000 fffe", .setConfig(SwitchConfig(missSendLength: 0xfffe)), .v1_0, xid: 3)
        try check("04 07 0008 00000003", .getConfigRequest, .v1_3, xid: 3)
        try check("01 12 0008 00000007", .barrierRequest, .v1_0, xid: 7)
        try check("04 14 0008 00000007", .barrierRequest, .v1_3, xid: 7)
        try check("01 04 0014 00000005 00002320 00000010 00000002", .setPacketInFormat(.nicira2), .v1_0, xid: 5)
        try check("01 04 0014 00000006 00002320 0000000c 00000002", .setFlowFormat(.nxm), .v1_0, xid: 6)
        try check("01 04 0018 00000008 00002320 0000000f 01 00000000000000", .flowModTableID(true), .v1_0, xid: 8)
    }

    @Test func errors() throws {
        let error10 = ErrorMessage(.bacBadOutGroup, version: .v1_0, data: [1, 2, 3, 4])
        try check("01 01 0018 00000006 b0c2 0000 00002320 0002 0009 01020304", .error(error10), .v1_0, xid: 6)
        let error13 = ErrorMessage(.bacBadOutGroup, version: .v1_3, data: [1, 2, 3, 4])
        try check("04 01 0010 00000006 0002 0009 01020304", .error(error13), .v1_3, xid: 6)
        let dup = ErrorMessage(.bicDupInst, version: .v1_3, data: [])
        try check("04 01 0010 00000006 ffff 0a28 4f4e4600", .error(dup), .v1_3, xid: 6)
        #expect(error10.code(in: .v1_0) == .bacBadOutGroup)
        #expect(dup.code(in: .v1_3) == .bicDupInst)
    }

    @Test func features() throws {
        var port = PortDescription(
            number: OpenFlowPort(1), hardwareAddress: 0xf2ae_d1d4_7d0c, name: "s1", current: [.tenGigabitFull, .copper])
        try check(
            """
            01 06 0050 00000002 00002aff162b3a4c 00000000 fe 000000 000000c7 00000fff
            0001 f2aed1d47d0c 73310000000000000000000000000000 00000000 00000000 000000c0 00000000 00000000 00000000
            """,
            .featuresReply(
                SwitchFeatures(
                    datapathID: 0x2aff_162b_3a4c, tableCount: 254,
                    capabilities: [.flowStatistics, .tableStatistics, .portStatistics, .queueStatistics, .arpMatchIP], actions: 0xfff,
                    ports: [port])),
            .v1_0, xid: 2)
        port.state = .live
        port.currentSpeed = 10_000_000
        try check(
            """
            04 13 0050 00000003 000d 0000 00000000
            00000001 00000000 f2aed1d47d0c 0000 73310000000000000000000000000000 00000000 00000004
            00000840 00000000 00000000 00000000 00989680 00000000
            """, .statsReply(.portDescription([port]), more: false), .v1_3, xid: 3)
        try check(
            """
            05 13 0058 00000003 000d 0000 00000000
            00000001 0048 0000 f2aed1d47d0c 0000 73310000000000000000000000000000 00000000 00000004
            0000 0020 00000000 00000840 00000000 00000000 00000000 00989680 00000000
            """, .statsReply(.portDescription([port]), more: false), .v1_4, xid: 3)
    }

    // MARK: Flow-mods

    private var tcpTo10001: Match {
        var match = Match()
        match.set(.ethType, 0x0800)
        match.set(.nwDst, 0x0a00_0001)
        match.set(.nwProto, 6)
        return match
    }

    @Test func flowMod10() throws {
        var mod = FlowMod(
            command: .add, tableID: 1, match: tcpTo10001, priority: 100,
            actions: [.setIPv4Dst(0x0a00_0002), .output(OpenFlowPort(2), maxLength: 0)])
        mod.applySemantics(of: .v1_0)
        try check(
            """
            01 0e 0058 00000008
            003020cf 0000 000000000000 000000000000 0000 00 00 0800 00 06 0000 00000000 0a000001 0000 0000
            0000000000000000 0100 0000 0000 0064 ffffffff ffff 0000
            0007 0008 0a000002 0000 0008 0002 0000
            """, .flowMod(mod), .v1_0, xid: 8, flowModTableID: true)
        // Without the extension the command's high byte is no table.
        #expect(throws: OpenFlowError.self) {
            try Message.decode(
                hex("01 0e 0048 00000008 003fffff" + String(repeating: "00", count: 44) + "0100 0000 0000 8000 ffffffff ffff 0000"))
        }
    }

    @Test func flowMod10VLAN() throws {
        var untagged = FlowMod(command: .delete, match: Match(), outPort: .any)
        untagged.match.set(.vlanTCI, 0)
        try check(
            """
            01 0e 0048 00000001
            003ffffd 0000 000000000000 000000000000 ffff 00 00 0000 00 00 0000 00000000 00000000 0000 0000
            0000000000000000 0003 0000 0000 8000 ffffffff ffff 0000
            """.replacing("003ffffd", with: "003820fd"), .flowMod(untagged), .v1_0, xid: 1)
        var tagged = untagged
        tagged.match = Match()
        tagged.match.set(.vlanTCI, 0x1000 | 7 | 3 << 13)
        try check(
            """
            01 0e 0048 00000001
            002820fd 0000 000000000000 000000000000 0007 03 00 0000 00 00 0000 00000000 00000000 0000 0000
            0000000000000000 0003 0000 0000 8000 ffffffff ffff 0000
            """, .flowMod(tagged), .v1_0, xid: 1)
    }

    @Test func flowModNXM() throws {
        var match = Match()
        match.set(.ethType, 0x0800)
        match.set(.nwProto, 6)
        match.set(.reg0, 5)
        var mod = FlowMod(command: .add, tableID: 2, match: match, actions: [.resubmit(port: nil, table: 3)], isNXM: true)
        mod.applySemantics(of: .v1_0)
        try check(
            """
            01 04 0058 0000000a 00002320 0000000d 0000000000000000 0200 0000 0000 8000 ffffffff ffff 0000
            0013 000000000000
            00000602 0800 00000c01 06 00010004 00000005 0000000000
            ffff 0010 00002320 000e fff8 03 000000
            """, .flowMod(mod), .v1_0, xid: 10, flowModTableID: true)
    }

    @Test func flowModNXMCookie() throws {
        var mod = FlowMod(command: .delete, match: Match(), cookie: 0x10, cookieMask: 0xf0, isNXM: true)
        mod.applySemantics(of: .v1_0)
        try check(
            """
            01 04 0048 0000000a 00002320 0000000d 0000000000000000 0003 0000 0000 8000 ffffffff ffff 0000
            0014 000000000000
            00013d10 0000000000000010 00000000000000f0 00000000
            """, .flowMod(mod), .v1_0, xid: 10)
    }

    @Test func flowMod13() throws {
        let mod = FlowMod(
            command: .add, tableID: 1, match: tcpTo10001, priority: 100,
            actions: [.setField(.nwDst, value: 0x0a00_0002, mask: 0xffff_ffff, isLoad: false), .output(OpenFlowPort(2), maxLength: 0)])
        try check(
            """
            04 0e 0070 00000006
            0000000000000000 0000000000000000 01 00 0000 0000 0064 ffffffff ffffffff ffffffff 0000 0000
            0001 0017 80000a02 0800 80001804 0a000001 80001401 06 00
            0004 0028 00000000 0019 0010 80001804 0a000002 00000000 0000 0010 00000002 0000 000000000000
            """, .flowMod(mod), .v1_3, xid: 6)
    }

    @Test func flowMod14Instructions() throws {
        var match = Match()
        match.set(.vlanVID, 0x1005)
        let mod = FlowMod(
            command: .add, tableID: 0, match: match, newCookie: 0x77, importance: 9, flags: [.sendFlowRemoved],
            actions: [
                .meter(4), .popVLAN, .clearActions, .writeActions([.group(8)]), .writeMetadata(value: 0x12, mask: 0xff), .gotoTable(5),
            ])
        try check(
            """
            05 0e 0090 00000006
            0000000000000077 0000000000000000 00 00 0000 0000 8000 ffffffff ffffffff ffffffff 0001 0009
            0001 000a 80000c02 1005 000000000000
            0006 0008 00000004
            0004 0010 00000000 0012 0008 00000000
            0005 0008 00000000
            0003 0010 00000000 0016 0008 00000008
            0002 0018 00000000 0000000000000012 00000000000000ff
            0001 0008 05 000000
            """, .flowMod(mod), .v1_4, xid: 6)
    }

    // MARK: Packets

    @Test func packetOut13() throws {
        let packet = PacketOut(inPort: .controller, actions: [.output(OpenFlowPort(2), maxLength: 0)], data: [0xaa, 0xbb])
        try check(
            "04 0d 002a 00000006 ffffffff fffffffd 0010 000000000000 0000 0010 00000002 0000 000000000000 aabb", .packetOut(packet), .v1_3,
            xid: 6)
        try check("01 0d 001a 00000006 ffffffff fffd 0008 0000 0008 0002 0000 aabb", .packetOut(packet), .v1_0, xid: 6)
    }

    @Test func packetIn() throws {
        var packet = PacketIn(totalLength: 60, reason: .action, tableID: 0, cookie: .max, data: [1, 2, 3])
        packet.metadata.set(.inPort, 7)
        try check("01 0a 0015 00000000 ffffffff 003c 0007 01 00 010203", .packetIn(packet), .v1_0, xid: 0)
        packet.cookie = 0x55
        packet.tableID = 9
        try check(
            "04 0a 002d 00000000 ffffffff 003c 01 09 0000000000000055 0001 000c 80000004 00000007 00000000 0000 010203", .packetIn(packet),
            .v1_3, xid: 0)
        packet.format = .nicira2
        try check(
            """
            01 04 0050 00000000 00002320 0000001e
            0000 0007 010203 00 0001 0008 0000003c 0003 0005 09 000000
            0004 0010 00000000 0000000000000055 0005 0005 01 000000 0006 000c 80000004 00000007 00000000
            """, .packetIn(packet), .v1_0, xid: 0)
    }

    // MARK: Statistics

    @Test func flowRequests() throws {
        try check(
            "04 12 0038 00000002 0001 0000 00000000 ff 000000 ffffffff ffffffff 00000000 0000000000000000 0000000000000000 0001 0004 00000000",
            .statsRequest(.flow(FlowStatsRequest()), more: false), .v1_3, xid: 2)
        try check(
            "01 10 0020 00000004 ffff 0000 00002320 00000000 00000000 ffff 0000 ff 000000",
            .statsRequest(.flow(FlowStatsRequest(isNXM: true)), more: false), .v1_0, xid: 4)
        try check("01 10 0014 00000002 0004 0000 ffff 000000000000", .statsRequest(.port(.any), more: false), .v1_0, xid: 2)
        try check("04 12 0018 00000002 0004 0000 00000000 ffffffff 00000000", .statsRequest(.port(.any), more: false), .v1_3, xid: 2)
    }

    @Test func flowReplyNXM() throws {
        var stats = FlowStats(tableID: 0, match: tcpTo10001, priority: 100, cookie: 0, actions: [.output(.normal, maxLength: 0)])
        (stats.durationSeconds, stats.durationNanoseconds) = (2, 0x067f_3540)
        (stats.idleAge, stats.hardAge) = (2, 2)
        try check(
            """
            01 11 0068 00000004 ffff 0000 00002320 00000000 00000000
            0050 00 00 00000002 067f3540 0064 0000 0000 0013 0003 0003 0000000000000000 0000000000000000 0000000000000000
            00000602 0800 00001004 0a000001 00000c01 06 0000000000
            0000 0008 fffa 0000
            """.replacing("0013 0003", with: "0013 0003"), .statsReply(.flow([stats], isNXM: true), more: false), .v1_0, xid: 4)
    }

    @Test func bundle14() throws {
        try check(
            "05 21 0010 00000008 00000000 0000 0003",
            .bundleControl(BundleControl(bundleID: 0, kind: .openRequest, flags: [.atomic, .ordered])), .v1_4, xid: 8)
        try check(
            "04 04 0018 00000008 4f4e4600 000008fc 00000000 0004 0003",
            .bundleControl(BundleControl(bundleID: 0, kind: .commitRequest, flags: [.atomic, .ordered])), .v1_3, xid: 8)
    }

    // MARK: Actions, one by one, as packet-outs

    private func action(
        _ text: String, _ action: Action, _ version: OpenFlowVersion, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let bytes = hex(text)
        let length = String(bytes.count, radix: 16)
        let digits = String(repeating: "0", count: 4 - length.count) + length
        let total = String(bytes.count + (version == .v1_0 ? 16 : 24), radix: 16)
        let size = String(repeating: "0", count: 4 - total.count) + total
        let head =
            version == .v1_0
            ? "01 0d \(size) 00000001 ffffffff fffd \(digits)"
            : "0\(version.rawValue) 0d \(size) 00000001 ffffffff fffffffd \(digits) 000000000000"
        try check(
            head + text, .packetOut(PacketOut(inPort: .controller, actions: [action], data: [])), version, xid: 1,
            sourceLocation: sourceLocation)
    }

    @Test func actions10() throws {
        try action("0000 0008 fffd 0080", .output(.controller, maxLength: 128), .v1_0)
        try action("0001 0008 0005 0000", .setVLANID(5, pushIfNeeded: true), .v1_0)
        try action("0002 0008 03 000000", .setVLANPriority(3, pushIfNeeded: true), .v1_0)
        try action("0003 0008 00000000", .popVLAN, .v1_0)
        try action("0004 0010 001122334455 000000000000", .setEthSrc(0x0011_2233_4455), .v1_0)
        try action("0005 0010 001122334455 000000000000", .setEthDst(0x0011_2233_4455), .v1_0)
        try action("0006 0008 0a000001", .setIPv4Src(0x0a00_0001), .v1_0)
        try action("0008 0008 10 000000", .setIPDSCP(0x10), .v1_0)
        try action("0009 0008 0050 0000", .setL4Src(80), .v1_0)
        try action("000a 0008 0050 0000", .setL4Dst(80), .v1_0)
        try action("000b 0010 0001 000000000000 00000002", .enqueue(OpenFlowPort(1), queue: 2), .v1_0)
        try action("ffff 0010 00002320 0001 0002 00 000000", .resubmit(port: OpenFlowPort(2), table: nil), .v1_0)
        try action("ffff 0010 00002320 000e fff8 05 000000", .resubmit(port: nil, table: 5), .v1_0)
        try action("ffff 0010 00002320 0002 0000 00000005", .setTunnelID(5), .v1_0)
        try action("ffff 0018 00002320 0009 000000000000 0000000100000000", .setTunnelID(1 << 32), .v1_0)
        try action("ffff 0010 00002320 0004 0000 00000003", .setQueue(3), .v1_0)
        try action("ffff 0010 00002320 0005 000000000000", .popQueue, .v1_0)
        try action("ffff 0018 00002320 0006 0030 0000 0000 00000406 00000206", .move(from: SubField(.ethSrc), to: SubField(.ethDst)), .v1_0)
        try action("ffff 0018 00002320 0007 0007 00010004 0000000000000005", .setField(.reg0, value: 5, mask: 0xff, isLoad: true), .v1_0)
        try action("ffff 0010 00002320 0008 010203040506", .note([1, 2, 3, 4, 5, 6]), .v1_0)
        try action(
            "ffff 0018 00002320 000f 000f 00010404 ffff 000000000000",
            .outputField(SubField(field: .reg2, offset: 0, bits: 16), maxLength: 0xffff), .v1_0)
        try action("ffff 0010 00002320 0011 000000000000", .exit, .v1_0)
        try action("ffff 0010 00002320 0012 000000000000", .decrementTTL(controllerIDs: []), .v1_0)
        try action("ffff 0018 00002320 0015 0002 00000000 0001 0002 00000000", .decrementTTL(controllerIDs: [1, 2]), .v1_0)
        try action(
            "ffff 0010 00002320 0014 0064 0005 00 00", .controller(ControllerAction(maxLength: 100, controllerID: 5, reason: .noMatch)),
            .v1_0)
        try action("ffff 0018 00002320 0025 000000000000 0003 0007 010203 00", .controller(ControllerAction(userdata: [1, 2, 3])), .v1_0)
        try action("ffff 0020 00002320 0016 000000000000 0000000000000001 00000000000000ff", .writeMetadata(value: 1, mask: 0xff), .v1_0)
        try action("ffff 0010 00002320 0017 8847 00000000", .pushMPLS(etherType: 0x8847), .v1_0)
        try action("ffff 0010 00002320 0018 0800 00000000", .popMPLS(etherType: 0x0800), .v1_0)
        try action("ffff 0010 00002320 0019 05 0000000000", .setMPLSTTL(5), .v1_0)
        try action("ffff 0010 00002320 001a 000000000000", .decrementMPLSTTL, .v1_0)
        try action("ffff 0018 00002320 001b 0000 00010004 0020 000000000000", .push(SubField(.reg0)), .v1_0)
        try action("ffff 0018 00002320 001c 0000 00010204 0020 000000000000", .pop(SubField(.reg1)), .v1_0)
        try action("ffff 0010 00002320 001e 0000 00000005", .setMPLSLabel(5), .v1_0)
        try action("ffff 0010 00002320 001f 05 0000000000", .setMPLSTC(5), .v1_0)
        try action("ffff 0010 00002320 0022 01 03 00000007", .conjunction(id: 7, clause: 2, clauses: 3), .v1_0)
        try action("ffff 0010 00002320 0027 0002 00000064", .outputTruncated(OpenFlowPort(2), maxLength: 100), .v1_0)
        try action("ffff 0010 00002320 0028 0000 0000004d", .group(77), .v1_0)
        try action("ffff 0018 00002320 002a 000000000000 0000 0008 0001 0000", .clone([.output(OpenFlowPort(1), maxLength: 0)]), .v1_0)
    }

    @Test func actions13() throws {
        try action("0000 0010 fffffffd ffff 000000000000", .output(.controller, maxLength: 0xffff), .v1_3)
        try action("000f 0008 05 000000", .setMPLSTTL(5), .v1_3)
        try action("0010 0008 00000000", .decrementMPLSTTL, .v1_3)
        try action("0011 0008 8100 0000", .pushVLAN(etherType: 0x8100), .v1_3)
        try action("0012 0008 00000000", .popVLAN, .v1_3)
        try action("0013 0008 8847 0000", .pushMPLS(etherType: 0x8847), .v1_3)
        try action("0014 0008 0800 0000", .popMPLS(etherType: 0x0800), .v1_3)
        try action("0015 0008 00000009", .setQueue(9), .v1_3)
        try action("0016 0008 00000009", .group(9), .v1_3)
        try action("0017 0008 40 000000", .setIPTTL(64), .v1_3)
        try action("0018 0008 00000000", .decrementTTL(controllerIDs: []), .v1_3)
        try action(
            "0019 0010 80000606 001122334455 0000", .setField(.ethDst, value: 0x0011_2233_4455, mask: 0xffff_ffff_ffff, isLoad: false),
            .v1_3)
        try action("0019 0010 00010004 00000005 00000000", .setField(.reg0, value: 5, mask: 0xffff_ffff, isLoad: false), .v1_3)
        try action("ffff 0018 00002320 0021 00010108 00000005 000000ff 0000", .setField(.reg0, value: 5, mask: 0xff, isLoad: false), .v1_3)
    }

    // MARK: Refusals

    private func code(_ text: String) -> ErrorCode? {
        do throws(OpenFlowError) {
            _ = try Message.decode(hex(text))
            return nil
        } catch {
            return error.code
        }
    }

    @Test func matchErrors() {
        func match(_ fields: String) -> ErrorCode? {
            let bytes = hex(fields).count + 4
            let padded = (bytes + 7) / 8 * 8
            let length = String(bytes, radix: 16)
            let total = String(48 + padded, radix: 16)
            let pad = String(repeating: "00", count: padded - bytes)
            return code(
                "04 0e \(String(repeating: "0", count: 4 - total.count))\(total) 00000001 0000000000000000 0000000000000000 00 00 0000 0000 0000 ffffffff ffffffff ffffffff 0000 0000 0001 \(String(repeating: "0", count: 4 - length.count))\(length)"
                    + fields + pad)
        }
        #expect(match("80000a02 0800") == nil)
        #expect(match("80000a02 0800 80000a02 0800") == .bmcDupField)
        #expect(match("80001401 06") == .bmcBadPrereq)
        #expect(match("80000a02 0800 80001a02 0050") == .bmcBadPrereq)
        #expect(match("80007e02 0800") == .bmcBadField)
        #expect(match("80000a03 080000") == .bmcBadLen)
        #expect(match("80000a04 0800 0000") == .bmcBadLen)
        #expect(match("80000b04 0800 ff00") == .bmcBadMask)
        #expect(match("80000a02 0800 80001908 0a000001 ffffff00") == .bmcBadWildcards)
        #expect(match("80000a02 0800 80001001 40") == .bmcBadValue)
        #expect(match("80000c02 2000") == .bmcBadValue)
        #expect(match("80000004 00010000") == .bmcBadValue)
        #expect(match("80000a02") == .bmcBadLen)
        #expect(match("8000") == .bmcBadLen)
    }

    @Test func actionErrors() {
        func action(_ text: String, version: String = "04") -> ErrorCode? {
            let bytes = hex(text).count
            let total = String(bytes + 24, radix: 16)
            let length = String(bytes, radix: 16)
            return code(
                "\(version) 0d 00\(total.count == 1 ? "0" : "")\(total) 00000001 ffffffff fffffffd 00\(length.count == 1 ? "0" : "")\(length) 000000000000 "
                    + text)
        }
        #expect(action("0012 0008 00000000") == nil)
        #expect(action("0063 0008 00000000") == .bacBadType)
        #expect(action("0012 0004") == .brcBadLen)
        #expect(action("0012 0004 00000000") == .bacBadLen)
        #expect(action("0012 0010 00000000") == .bacBadLen)
        #expect(action("0012 000c 00000000 00000000") == .brcBadLen)
        #expect(action("0012 000c 00000000 00000000 00000000") == .bacBadLen)
        #expect(action("ffff 0010 00001234 0000 000000000000") == .bacBadVendor)
        #expect(action("ffff 0010 00002320 00fd 000000000000") == .bacBadVendorType)
        #expect(action("0011 0008 0800 0000") == .bacBadArgument)
        #expect(action("0000 0010 fffffff0 0000 000000000000") == .bacBadOutPort)
        #expect(action("0019 0010 80007e04 00000005 00000000") == .bacBadSetType)
        #expect(action("0019 0010 80004e02 0001 000000000000") == .bacBadSetArgument)
        #expect(action("0019 0010 80000602 001122334455 0000") == .bacBadSetLen)
        #expect(action("0019 0018 80001908 0a000000 ffffff00 0000000000000000") == .bacBadSetMask)
    }

    @Test func headerErrors() {
        #expect(code("04 63 0008 00000000") == .brcBadType)
        #expect(code("09 02 0008 00000000") == .brcBadVersion)
        #expect(code("04 02 0009 00000000") == .brcBadLen)
        #expect(code("04 05 0009 00000000 00") == .brcBadLen)
        #expect(code("04 12 0010 00000000 00ff 0000 00000000") == .brcBadStat)
        #expect(code("04 04 0010 00000000 00001234 00000000") == .brcBadVendor)
        #expect(code("04 04 0010 00000000 00002320 000000ff") == .brcBadSubtype)
        #expect(
            code("01 0e 0048 00000001 003fffff" + String(repeating: "00", count: 44) + "0009 0000 0000 8000 ffffffff ffff 0000")
                == .fmfcBadCommand)
    }

    @Test func framing() throws {
        let messages = [hex("04 02 000a 00000001 aabb"), hex("04 14 0008 00000002"), hex("01 02 0008 00000003")]
        for step in 1...12 {
            var framer = Framer()
            var found: [[UInt8]] = []
            let stream = messages.flatMap { $0 }
            for start in stride(from: 0, to: stream.count, by: step) {
                framer.append(stream[start..<min(start + step, stream.count)])
                while let message = try framer.next() { found.append(message) }
            }
            #expect(found == messages)
            #expect(framer.pendingBytes == 0)
        }
        var framer = Framer()
        framer.append(hex("04 02 0007 00000001"))
        #expect(throws: OpenFlowError.self) { try framer.next() }
    }
}
