// Flow monitors, notices and option maps: vectors made by hand from the structures of the specifications, and round trips.

import Flow
import OpenFlow
import Testing

private func inPort(_ port: UInt32) -> Match {
    var match = Match()
    match.set(.inPort, UInt128(port))
    return match
}

@Suite struct NoticeTests {
    /// Both ways: the message to these bytes, and these bytes to the message.
    func golden(
        _ message: Message, _ version: OpenFlowVersion, _ text: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let bytes = hex(text)
        #expect(hexText(message.encode(version: version, xid: 0x12) ?? []) == hexText(bytes), sourceLocation: sourceLocation)
        let decoded = try Message.decode(bytes)
        #expect(decoded.message == message && decoded.xid == 0x12, "\(decoded.message)", sourceLocation: sourceLocation)
    }

    @Test func flowMonitorRequests() throws {
        let request = FlowMonitorRequest(
            id: 7, flags: [.initial, .add, .instructions], outPort: OpenFlowPort(3), tableID: 2, match: inPort(1))
        let message = Message.statsRequest(.flowMonitor([request]), more: false)
        try golden(
            message, .v1_0,
            """
            01 10 0030 00000012 ffff 0000 00002320 00000002 00000000
            00000007 0013 0003 0006 02 0000000000
            00000002 0001 0000
            """)
        try golden(
            message, .v1_3,
            """
            04 12 0038 00000012 ffff 0000 00000000 4f4e4600 0000074e
            00000007 0013 0010 00000003 02 000000
            0001 000c 80000004 00000001 00000000
            """)
        try golden(
            message, .v1_4,
            """
            05 12 0030 00000012 0010 0000 00000000
            00000007 00000003 ffffffff 0013 02 00
            0001 000c 80000004 00000001 00000000
            """)
    }

    @Test func flowUpdates() throws {
        let update = FlowUpdate.full(
            FlowUpdate.Full(
                event: .removed, reason: .hardTimeout, tableID: 2, priority: 5, idleTimeout: 6, hardTimeout: 7, cookie: 0x99,
                match: inPort(1), actions: []))
        let message = Message.statsReply(.flowMonitor([update, .abbreviated(xid: 0x77)]), more: false)
        try golden(
            message, .v1_1,
            """
            02 13 0040 00000012 ffff 0000 00000000 00002320 00000002
            0020 0001 0001 0005 0006 0007 0006 02 00 0000000000000099
            00000002 0001 0000
            0008 0003 00000077
            """)
        try golden(
            message, .v1_5,
            """
            06 13 0040 00000012 0010 0000 00000000
            0028 0002 02 01 0006 0007 0005 00000000 0000000000000099
            0001 000c 80000000 00000001 00000000
            0008 0004 00000077
            """.replacing("80000000 00000001", with: "80000004 00000001"))
        try golden(.statsReply(.flowMonitor([.paused]), more: false), .v1_4, "05 13 0018 00000012 0010 0000 00000000 0008 0005 00000000")
        try golden(.flowMonitorPaused, .v1_2, "03 04 0010 00000012 00002320 00000016")
        try golden(.flowMonitorResumed, .v1_3, "04 04 0010 00000012 4f4e4600 00000750")
        try golden(.flowMonitorCancel(id: 9), .v1_0, "01 04 0014 00000012 00002320 00000015 00000009")
        #expect(Message.flowMonitorCancel(id: 9).encode(version: .v1_4, xid: 1) == nil)
    }

    @Test(arguments: OpenFlowVersion.allCases) func flowUpdatesWithActions(version: OpenFlowVersion) throws {
        let update = FlowUpdate.full(
            FlowUpdate.Full(
                event: .modified, tableID: 0, priority: 0x8000, idleTimeout: 0, hardTimeout: 0, cookie: 1, match: inPort(2),
                actions: [.output(OpenFlowPort(3), maxLength: 0)]))
        let message = Message.statsReply(.flowMonitor([update]), more: true)
        let bytes = try #require(message.encode(version: version, xid: 5))
        #expect(try Message.decode(bytes).message == message)
        for length in 0..<bytes.count {
            var cut = Array(bytes.prefix(length))
            if length >= 4 { (cut[2], cut[3]) = (UInt8(length >> 8), UInt8(length & 0xff)) }
            _ = try? Message.decode(cut)
        }
    }

    @Test func monitorRequestsThatCannotBe() {
        func refusal(_ text: String) -> ErrorCode? {
            do throws(OpenFlowError) {
                _ = try Message.decode(hex(text))
                return nil
            } catch {
                return error.code
            }
        }
        let match = "0001 0004 00000000"
        // No event to tell of; a flag that nobody knows; a command that nobody knows; padding that is not zero.
        #expect(refusal("05 12 0028 00000001 0010 0000 00000000 00000001 ffffffff ffffffff 0001 ff 00 \(match)") == .mofcBadFlags)
        #expect(refusal("05 12 0028 00000001 0010 0000 00000000 00000001 ffffffff ffffffff 0082 ff 00 \(match)") == .mofcBadFlags)
        #expect(refusal("05 12 0028 00000001 0010 0000 00000000 00000001 ffffffff ffffffff 0002 ff 03 \(match)") == .mofcBadCommand)
        #expect(
            refusal("01 10 0028 00000001 ffff 0000 00002320 00000002 00000000 00000001 0002 ffff 0000 ff 0000000001") == .nxbrcMustBeZero)
        #expect(refusal("01 10 0024 00000001 ffff 0000 00002320 00000002 00000000 00000001 0002 ffff 0000 ff 00") == .brcBadLen)
    }

    @Test func forwardedRequests() throws {
        let mod = GroupMod(command: .delete, kind: .all, groupID: 4)
        let message = Message.requestForward(.group(mod, xid: 0x55))
        for (version, prefix) in [(OpenFlowVersion.v1_4, 8), (.v1_3, 16), (.v1_2, 16)] {
            let inner = try #require(Message.groupMod(mod).encode(version: version, xid: 0x55))
            let bytes = try #require(message.encode(version: version, xid: 0x12))
            #expect(Array(bytes[prefix...]) == inner)
            #expect(try Message.decode(bytes).message == message)
        }
        #expect(throws: OpenFlowError.self) { try Message.decode(hex("05 20 0010 00000012 05 02 0008 00000001")) }
    }

    @Test func tablesControllersAndBundles() throws {
        try golden(
            .tableStatus(TableStatus(reason: .vacancyUp, table: TableDescription(tableID: 3, config: 0))), .v1_4,
            "05 1f 0018 00000012 04 00000000000000 0008 03 00 00000000")
        let entry = ControllerStatusEntry(shortID: 9, role: .primary, reason: .role, isUp: true, uri: "tcp:10.0.0.1:6653")
        let uri = "0000 0015 7463703a31302e302e302e313a36363533 000000"
        try golden(.controllerStatus(entry), .v1_5, "06 23 0030 00000012 0028 0009 00000002 02 00 000000000000 \(uri)")
        try golden(
            .statsReply(.controllerStatus([entry]), more: false), .v1_5,
            "06 13 0038 00000012 0012 0000 00000000 0028 0009 00000002 02 00 000000000000 \(uri)")
        try golden(.statsRequest(.controllerStatus, more: false), .v1_5, "06 12 0010 00000012 0012 0000 00000000")
        #expect(Message.statsRequest(.controllerStatus, more: false).encode(version: .v1_4, xid: 1) == nil)
        try golden(
            .statsReply(.bundleFeatures(BundleFeatures(capabilities: 3)), more: false), .v1_5,
            "06 13 0018 00000012 0013 0000 00000000 0003 000000000000")
        try golden(
            .roleRequest(RoleMessage(role: .primary, generationID: 1, shortID: 9)), .v1_5,
            "06 18 0018 00000012 00000002 0009 0000 0000000000000001")
    }

    @Test func optionMaps() throws {
        let map = TLVMap(optionClass: 0xffff, optionType: 1, optionLength: 8, index: 5)
        try golden(
            .tlvTableMod(TLVTableMod(command: .add, maps: [map])), .v1_0,
            "01 04 0020 00000012 00002320 00000018 0000 000000000000 ffff 01 08 0005 0000")
        try golden(.tlvTableRequest, .v1_3, "04 04 0010 00000012 00002320 00000019")
        try golden(
            .tlvTableReply(TLVTable(maps: [map])), .v1_5,
            "06 04 0028 00000012 00002320 0000001a 00000100 0040 00000000000000000000 ffff 01 08 0005 0000")
        for (bytes, code) in [
            ("ffff 01 07 0005", ErrorCode.nxttmfcBadOptLen), ("ffff 01 80 0005", .nxttmfcBadOptLen),
            ("ffff 01 08 0040", .nxttmfcBadFieldIdx),
        ] {
            do throws(OpenFlowError) {
                _ = try Message.decode(hex("01 04 0020 00000012 00002320 00000018 0000 000000000000 \(bytes) 0000"))
                Issue.record("\(bytes) was accepted")
            } catch {
                #expect(error.code == code)
            }
        }
        try golden(.flushConntrackZone(7), .v1_3, "04 04 0018 00000012 00002320 0000001d 000000000000 0007")
    }

    @Test(arguments: OpenFlowVersion.allCases) func resumedPackets(version: OpenFlowVersion) throws {
        var packet = PacketIn(
            format: .nicira2, totalLength: 20, reason: .action, tableID: 3, cookie: 5, metadata: inPort(2), userdata: [1, 2],
            data: [UInt8](repeating: 7, count: 20))
        packet.continuation = [9, 8, 7, 6, 5]
        for message in [Message.packetIn(packet), .resume(packet)] {
            let bytes = try #require(message.encode(version: version, xid: 1))
            #expect(try Message.decode(bytes).message == message)
        }
    }
}
