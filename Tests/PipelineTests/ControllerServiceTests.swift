// What controllers are told of flows, of each other and of tables, and what they may set.

import Base
import DatapathAPI
import Flow
import OpenFlow
import Synchronization
import Testing

@testable import Pipeline

private let output2: [Action] = [.output(OpenFlowPort(2), maxLength: 0)]
private let output3: [Action] = [.output(OpenFlowPort(3), maxLength: 0)]

private func add(_ port: UInt16, _ actions: [Action] = output2, cookie: UInt64 = 0) -> Message {
    .flowMod(FlowMod(command: .add, tableID: 0, match: tcpTo(port), newCookie: cookie, actions: actions))
}

extension Peer {
    /// The updates of monitors received since the last time.
    fileprivate func updates() -> [FlowUpdate] {
        take().flatMap { message -> [FlowUpdate] in
            if case .statsReply(.flowMonitor(let updates), _) = message { updates } else { [] }
        }
    }
}

private func events(_ updates: [FlowUpdate]) -> [FlowUpdate.Full.Event] {
    updates.compactMap { if case .full(let full) = $0 { full.event } else { nil } }
}

@Suite struct ControllerServiceTests {
    // MARK: Flow monitors

    @Test(arguments: OpenFlowVersion.allCases) func monitorsTellWhatChanges(version: OpenFlowVersion) {
        let rig = ServiceRig()
        let peer = rig.peer(version)
        let other = rig.peer(.v1_3)
        other.send(add(1))
        let monitor = FlowMonitorRequest(id: 1, flags: [.initial, .add, .modify, .removed, .instructions])
        peer.send(.statsRequest(.flowMonitor([monitor]), more: false))
        let first = peer.updates()
        #expect(events(first) == [version >= .v1_4 ? .initial : .added])
        guard case .full(let initial)? = first.first else { return }
        #expect(initial.match == tcpTo(1) && initial.actions == output2)

        other.send(add(2))
        other.send(add(2, output3))
        other.send(.flowMod(FlowMod(command: .modify, tableID: 0, match: tcpTo(1), actions: output3)))
        // Nothing changes by it, so nothing is told.
        other.send(.flowMod(FlowMod(command: .modify, tableID: 0, match: tcpTo(1), actions: output3)))
        other.send(.flowMod(FlowMod(command: .delete, tableID: 0, match: tcpTo(1))))
        #expect(events(peer.updates()) == [.added, .added, .modified, .removed])
        // One's own changes are told by the request's number, once a request.
        let xid = peer.send(.flowMod(FlowMod(command: .delete, tableID: 0)))
        #expect(peer.updates() == [.abbreviated(xid: xid)])
        // Time's doing is told, too.
        other.send(.flowMod(FlowMod(command: .add, tableID: 0, match: tcpTo(5), hardTimeout: 1, actions: output2)))
        rig.clock.warp(milliseconds: 2000)
        rig.pipeline.run()
        let last = peer.updates()
        #expect(events(last) == [.added, .removed])
        guard case .full(let gone)? = last.last else { return }
        #expect(gone.reason == .hardTimeout)

        #expect(peer.error(.statsRequest(.flowMonitor([monitor]), more: false)) == .mofcMonitorExists)
        if version >= .v1_4 {
            let cancel = FlowMonitorRequest(id: 1, command: .delete, flags: [])
            peer.send(.statsRequest(.flowMonitor([cancel]), more: false))
            #expect(peer.error(.statsRequest(.flowMonitor([cancel]), more: false)) == .mofcUnknownMonitor)
        } else {
            peer.send(.flowMonitorCancel(id: 1))
            #expect(peer.error(.flowMonitorCancel(id: 1)) == .mofcUnknownMonitor)
        }
        other.send(add(9))
        #expect(peer.updates().isEmpty)
    }

    @Test func monitorsSelect() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_4)
        let other = rig.peer(.v1_3)
        peer.send(
            .statsRequest(
                .flowMonitor([
                    FlowMonitorRequest(id: 1, flags: [.add, .modify], outPort: OpenFlowPort(2)),
                    FlowMonitorRequest(id: 2, flags: .removed, match: tcpTo(7)),
                    FlowMonitorRequest(id: 3, flags: .add, tableID: 9),
                ]), more: false))
        peer.take()
        other.send(add(1, output3))
        #expect(peer.updates().isEmpty)
        other.send(add(7, output2))
        #expect(events(peer.updates()) == [.added])
        // What it output to before the change counts.
        other.send(.flowMod(FlowMod(command: .modify, tableID: 0, match: tcpTo(7), actions: output3)))
        #expect(events(peer.updates()) == [.modified])
        other.send(.flowMod(FlowMod(command: .add, tableID: 9, actions: [])))
        #expect(events(peer.updates()) == [.added])
        other.send(.flowMod(FlowMod(command: .delete, tableID: 0xff)))
        #expect(events(peer.updates()) == [.removed])
    }

    @Test func monitorsPauseForASlowReaderAndCatchUp() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_4)
        let other = rig.peer(.v1_3)
        for port in 1...3 as ClosedRange<UInt16> { other.send(add(port)) }
        peer.send(.statsRequest(.flowMonitor([FlowMonitorRequest(id: 1, flags: [.add, .modify, .removed])]), more: false))
        peer.take()
        var pending = 0
        peer.connection.pendingOutputBytes = { pending }
        pending = 200_000
        other.send(add(4))
        let before = peer.updates()
        #expect(events(before) == [.added] && before.last == .paused)
        other.send(add(5))
        other.send(add(6))
        other.send(.flowMod(FlowMod(command: .modify, tableID: 0, match: tcpTo(1), actions: output3)))
        #expect(peer.updates().isEmpty)
        // What the peer has never heard of need not be said to be gone; what it knows must.
        other.send(.flowMod(FlowMod(command: .delete, tableID: 0, match: tcpTo(6))))
        #expect(peer.updates().isEmpty)
        other.send(.flowMod(FlowMod(command: .delete, tableID: 0, match: tcpTo(2))))
        #expect(events(peer.updates()) == [.removed])
        pending = 0
        peer.connection.onOutputEmpty?()
        let after = peer.updates()
        #expect(Set(events(after)) == [.added, .modified] && events(after).count == 2 && after.last == .resumed)
        other.send(add(8))
        #expect(events(peer.updates()) == [.added])
    }

    // MARK: Each other

    @Test func rolesInNicirasWordsAndSecondariesThatMayNot() {
        let rig = ServiceRig()
        let first = rig.peer(.v1_0, isService: false)
        let second = rig.peer(.v1_3, isService: false)
        let primary = RoleMessage(role: .primary, generationID: nil)
        #expect(first.ask(.roleRequest(primary)) == [.roleReply(primary)])
        #expect(second.ask(.roleRequest(primary)) == [.roleReply(primary)])
        #expect(first.connection.settings.role == .secondary)
        // A secondary gets port changes and nothing else, and changes nothing.
        rig.bridge.removePort(OpenFlowPort(3))
        #expect(first.take().count == 1)
        #expect(first.error(add(1)) == .brcEperm || first.error(add(1)) == .brcIsSecondary)
        let generation = RoleMessage(role: .secondary, generationID: 5)
        let third = rig.peer(.v1_3, isService: false)
        third.send(.roleRequest(generation))
        third.take()
        #expect(
            third.error(.bundleControl(BundleControl(bundleID: 1, kind: .openRequest, flags: []))) == .brcIsSecondary)
        #expect(third.error(.tlvTableMod(TLVTableMod(command: .clear, maps: []))) == .brcIsSecondary)
    }

    @Test func controllersOf15AreToldOfEachOther() {
        let rig = ServiceRig()
        let first = rig.peer(.v1_5, isService: false)
        let second = rig.peer(.v1_5, isService: false)
        func reasons(_ peer: Peer) -> [ControllerStatusEntry.Reason] {
            peer.take().compactMap { if case .controllerStatus(let status) = $0 { status.reason } else { nil } }
        }
        #expect(reasons(first) == [.channelStatus])
        second.send(.roleRequest(RoleMessage(role: .equal, generationID: 0, shortID: 4)))
        #expect(reasons(first) == [.shortID])
        second.send(.roleRequest(RoleMessage(role: .primary, generationID: 1, shortID: 4)))
        #expect(reasons(first) == [.role])
        guard case .statsReply(.controllerStatus(let all), _)? = first.ask(.statsRequest(.controllerStatus, more: false)).first else {
            return #expect(Bool(false))
        }
        #expect(all.map(\.shortID) == [0, 4] && all.map(\.role) == [.equal, .primary] && all.allSatisfy(\.isUp))
        second.connection.close("gone")
        #expect(reasons(first) == [.channelStatus])
    }

    @Test func asynchronousSettingsOfEachVersion() {
        let rig = ServiceRig()
        for version in [OpenFlowVersion.v1_3, .v1_4, .v1_5] {
            let peer = rig.peer(version, isService: false)
            var config = AsyncConfig.initial(for: version)
            #expect(peer.ask(.getAsyncRequest) == [.getAsyncReply(config)])
            config.primary.portStatus = 0
            config.primary.packetIn = 1 << 1
            if version >= .v1_4 { config.primary.requestForward = 3 }
            peer.send(.setAsync(config, isNicira: false))
            #expect(peer.ask(.getAsyncRequest) == [.getAsyncReply(config)])
            rig.bridge.updatePort(OpenFlowPort(1)) { $0.isLinkUp.toggle() }
            #expect(peer.take().isEmpty)
            peer.connection.close("done")
        }
    }

    @Test func tablesAreToldOf() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_4, isService: false)
        let status = TableStatus(reason: .vacancyDown, table: TableDescription(tableID: 1, config: 0))
        rig.service.send(status)
        #expect(peer.take() == [.tableStatus(status)])
        var config = AsyncConfig.initial(for: .v1_4)
        config.primary.tableStatus = 0
        peer.send(.setAsync(config, isNicira: false))
        rig.service.send(status)
        #expect(peer.take().isEmpty)
    }

    // MARK: Settings

    @Test(arguments: OpenFlowVersion.allCases) func fragmentsAsSet(version: OpenFlowVersion) {
        let rig = ServiceRig()
        let peer = rig.peer(version)
        for mode in [SwitchConfig.Fragments.drop, .nxMatch, .normal] {
            peer.send(.setConfig(SwitchConfig(fragments: mode, missSendLength: 99)))
            #expect(peer.ask(.getConfigRequest) == [.getConfigReply(SwitchConfig(fragments: mode, missSendLength: 99))])
        }
        peer.send(.setConfig(SwitchConfig(fragments: .reassemble, missSendLength: 0)))
        #expect(peer.ask(.getConfigRequest) == [.getConfigReply(SwitchConfig(fragments: .normal, missSendLength: 0))])
    }

    @Test func optionMapsAndTheirErrors() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3)
        func map(_ kind: UInt8, _ index: UInt16, bytes: UInt8 = 4) -> TLVMap {
            TLVMap(optionClass: 1, optionType: kind, optionLength: bytes, index: index)
        }
        func change(_ command: TLVTableMod.Command, _ maps: [TLVMap]) -> ErrorCode? {
            peer.error(.tlvTableMod(TLVTableMod(command: command, maps: maps)))
        }
        func maps() -> [TLVMap] {
            for case .tlvTableReply(let table) in peer.ask(.tlvTableRequest) { return table.maps }
            return []
        }
        #expect(change(.add, [map(1, 3), map(2, 1)]) == nil)
        #expect(maps() == [map(2, 1), map(1, 3)])
        #expect(change(.add, [map(9, 9), map(3, 3)]) == .nxttmfcAlreadyMapped)
        #expect(change(.add, [map(1, 4)]) == .nxttmfcDupEntry)
        #expect(change(.add, (0..<3).map { map(UInt8(20 + $0), UInt16(20 + $0), bytes: 124) }) == .nxttmfcTableFull)
        #expect(maps().count == 2)
        #expect(change(.delete, [map(1, 3)]) == nil)
        #expect(maps() == [map(2, 1)])
        #expect(change(.clear, []) == nil)
        #expect(maps().isEmpty)
    }

    @Test func requestsInPartsAndLateParts() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_4)
        func part(_ id: UInt32, more: Bool) -> Message {
            .statsRequest(.flowMonitor([FlowMonitorRequest(id: id, flags: [.add])]), more: more)
        }
        peer.sendBytes(part(1, more: true).encode(version: .v1_4, xid: 5)!)
        #expect(peer.take().isEmpty)
        peer.sendBytes(part(2, more: false).encode(version: .v1_4, xid: 5)!)
        #expect(peer.take().count == 1)
        peer.sendBytes(part(3, more: true).encode(version: .v1_4, xid: 6)!)
        rig.clock.warp(milliseconds: 1000)
        peer.connection.tick()
        guard case .error(let error)? = peer.take().first else { return #expect(Bool(false)) }
        #expect(error.code(in: .v1_4) == .brcMultipartRequestTimeout)
    }

    @Test func nothingIsConfiguredNothingIsTold() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_0)
        #expect(peer.error(.statsRequest(.ipfix(isBridge: true), more: false)) == .nxstNotConfigured)
        #expect(peer.error(.flushConntrackZone(3)) == nil)
        let other = rig.peer(.v1_5)
        #expect(
            other.ask(.statsRequest(.bundleFeatures, more: false)) == [
                .statsReply(.bundleFeatures(BundleFeatures(capabilities: 3)), more: false)
            ])
    }

    @Test func misusedBundlesAreLost() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_4)
        func control(_ kind: BundleControl.Kind, flags: BundleControl.Flags = .atomic) -> ErrorCode? {
            peer.error(.bundleControl(BundleControl(bundleID: 1, kind: kind, flags: flags)))
        }
        func put(
            _ message: Message, flags: BundleControl.Flags = .atomic, xid: UInt32 = 9, inner: UInt32 = 9, version: OpenFlowVersion = .v1_4
        )
            -> ErrorCode?
        {
            let bytes = message.encode(version: version, xid: inner)!
            peer.take()
            peer.sendBytes(Message.bundleAdd(BundleAdd(bundleID: 1, flags: flags, message: bytes)).encode(version: .v1_4, xid: xid)!)
            for case .error(let error) in peer.take() { return error.code(in: .v1_4) }
            return nil
        }
        #expect(control(.openRequest) == nil)
        #expect(control(.openRequest) == .bfcBadId)
        #expect(control(.closeRequest) == .bfcBadId)
        #expect(put(add(1), inner: 8) == .bfcMsgBadXid)
        #expect(put(add(1), version: .v1_5) == .bfcBadVersion)
        #expect(put(.echoRequest([])) == .bfcMsgUnsup)
        // Adding opens; other flags, or adding to what is closed, discards.
        #expect(put(add(1)) == nil)
        #expect(put(add(2), flags: .ordered) == .bfcBadFlags)
        #expect(control(.commitRequest) == .bfcBadId)
        #expect(put(add(1)) == nil)
        #expect(control(.closeRequest) == nil)
        #expect(put(add(2)) == .bfcBundleClosed)
        #expect(control(.discardRequest) == .bfcBadId)
        #expect(control(.openReply) == .bfcBadType)
        #expect(peer.flows().isEmpty)
    }

    @Test func bundlesKeepTheOrderOfPacketsAndFailWhole() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_4)
        let flags: BundleControl.Flags = [.atomic, .ordered]
        let frame: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x12, 0x34] + Array(repeating: 0, count: 46)
        let toTable = Message.packetOut(PacketOut(inPort: OpenFlowPort(1), actions: [.output(.table, maxLength: 0)], data: frame))
        func all(_ port: UInt32) -> Message {
            .flowMod(FlowMod(command: .add, tableID: 0, actions: [.output(OpenFlowPort(port), maxLength: 0)]))
        }
        func run(_ messages: [Message]) -> [ErrorCode] {
            var codes: [ErrorCode] = []
            func ask(_ bytes: [UInt8]) {
                peer.sendBytes(bytes)
                for case .error(let error) in peer.take() { if let code = error.code(in: .v1_4) { codes.append(code) } }
            }
            for message in messages {
                ask(
                    Message.bundleAdd(BundleAdd(bundleID: 1, flags: flags, message: message.encode(version: .v1_4, xid: 7)!))
                        .encode(version: .v1_4, xid: 7)!)
            }
            ask(Message.bundleControl(BundleControl(bundleID: 1, kind: .commitRequest, flags: flags)).encode(version: .v1_4, xid: 8)!)
            return codes
        }
        #expect(run([all(2), toTable, all(3), toTable]).isEmpty)
        rig.datapath.executed.withLock { executed in
            #expect(executed.map(\.actions) == [[.output(DatapathPort(2))], [.output(DatapathPort(3))]])
            executed.removeAll()
        }
        // Whichever message fails, nothing of the bundle happens, and no packet leaves.
        peer.send(.flowMod(FlowMod(command: .delete, tableID: 0)))
        let bad = Message.flowMod(FlowMod(command: .add, tableID: 0, priority: 3, actions: [.gotoTable(0)]))
        let good: [Message] = [all(2), toTable, all(3), toTable]
        for place in 0...good.count {
            var messages = good
            messages.insert(bad, at: place)
            #expect(run(messages) == [.bicBadTableId, .bfcMsgFailed])
            #expect(peer.flows().isEmpty)
            rig.datapath.executed.withLock { #expect($0.isEmpty) }
        }
        // A port-mod cannot be taken back at all.
        let portMod = Message.portMod(
            PortMod(port: OpenFlowPort(2), hardwareAddress: 0x0200_0000_0002, config: [.portDown], mask: [.portDown]))
        #expect(run([all(2), portMod]) == [.bfcMsgUnsup, .bfcMsgFailed])
        #expect(peer.flows().isEmpty)
    }

    @Test func groupModsAreForwardedToWhoeverAsked() {
        let rig = ServiceRig()
        let source = rig.peer(.v1_3, isService: false)
        let listener = rig.peer(.v1_4, isService: false)
        var config = AsyncConfig.initial(for: .v1_4)
        config.primary.requestForward = 1
        listener.send(.setAsync(config, isNicira: false))
        let mod = GroupMod(command: .add, kind: .all, groupID: 3)
        let xid = source.send(.groupMod(mod))
        #expect(listener.take() == [.requestForward(.group(mod, xid: xid))])
        // What is refused is not told.
        source.send(.groupMod(mod))
        #expect(listener.take().isEmpty)
    }

    // MARK: Failing open

    @Test func aBridgeThatFailsOpenForwardsByItself() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3)
        peer.send(add(1))
        rig.bridge.setFailedOpen(true)
        #expect(peer.flows().isEmpty)
        var key = FlowKey()
        key[.inPort] = 1
        key[.ethSrc] = 0x0200_0000_00aa
        key[.ethDst] = 0x0200_0000_00bb
        #expect(rig.bridge.trace(key).contains("Datapath actions: 2,3"))
        rig.bridge.setFailedOpen(false)
        #expect(rig.bridge.trace(key).contains("Datapath actions: drop"))
    }

    @Test func probesOfOursGoToControllersThatHaveNotDecided() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_0, isService: false)
        rig.service.sendProbePacketIns()
        guard case .packetIn(let packet)? = peer.take().first else { return #expect(Bool(false)) }
        #expect(packet.inPort == .local && packet.reason == .noMatch)
        peer.send(.featuresRequest)
        #expect(!peer.connection.isAdmitted)
        peer.send(.barrierRequest)
        #expect(peer.connection.isAdmitted)
        peer.take()
        rig.service.sendProbePacketIns()
        #expect(peer.take().isEmpty)
    }
}
