// The OpenFlow service through its connections.

import Base
import DatapathAPI
import Flow
import OpenFlow
import Synchronization
import Testing

@testable import Pipeline

private let output2: [Action] = [.output(OpenFlowPort(2), maxLength: 0)]
private let output3: [Action] = [.output(OpenFlowPort(3), maxLength: 0)]

/// A control loop that is told when to be busy, and when to do what waits.
private final class BusyExecutor: ServiceExecutor {
    let isBusy = Atomic<Bool>(false)
    private let works = Mutex<[@Sendable () -> Void]>([])
    var isCurrent: Bool { !isBusy.load(ordering: .relaxed) }
    func submit(_ work: @escaping @Sendable () -> Void) { if isCurrent { work() } else { works.withLock { $0.append(work) } } }
    func detach(_ work: @escaping @Sendable () -> Void) { work() }

    func catchUp() {
        let waiting = works.withLock { works in
            defer { works = [] }
            return works
        }
        for work in waiting { work() }
    }
}

@Suite struct OpenFlowServiceTests {
    @Test(arguments: OpenFlowVersion.allCases) func handshakeFeaturesAndPorts(version: OpenFlowVersion) throws {
        let rig = ServiceRig()
        let peer = rig.peer(version)
        #expect(peer.connection.version == version)
        guard case .featuresReply(let features)? = peer.ask(.featuresRequest).first else { return #expect(Bool(false)) }
        #expect(features.datapathID == 0x1122_3344_5566)
        #expect(features.tableCount == 254)
        #expect(features.ports.count == (version <= .v1_2 ? 3 : 0))
        guard
            case .statsReply(.portDescription(let ports), more: false)? = peer.ask(.statsRequest(.portDescription(.any), more: false)).first
        else { return #expect(Bool(false)) }
        #expect(ports.map(\.name) == ["p1", "p2", "p3"])
        #expect(peer.ask(.echoRequest([1, 2, 3])) == [.echoReply([1, 2, 3])])
        #expect(peer.ask(.barrierRequest) == [.barrierReply])
        guard case .statsReply(.port(let stats), _)? = peer.ask(.statsRequest(.port(OpenFlowPort(2)), more: false)).first else {
            return #expect(Bool(false))
        }
        #expect(stats.map(\.receivedPackets) == [20])
        #expect(stats[0].receivedDropped == 3)
        // Of a port that does not exist there is nothing to say.
        #expect(peer.ask(.statsRequest(.port(OpenFlowPort(99)), more: false)) == [.statsReply(.port([]), more: false)])
    }

    @Test func negotiationPicksTheHighestCommonVersion() {
        let rig = ServiceRig()
        var sent: [[UInt8]] = []
        func connection(_ hello: Hello) -> OpenFlowConnection {
            sent = []
            let connection = OpenFlowConnection(
                configuration: .init(name: "t", versions: OpenFlowVersionSet([.v1_0, .v1_3])), clock: rig.clock, handler: rig.service
            ) { sent.append($0) }
            connection.start()
            connection.receive(Message.hello(hello).encode(version: .v1_0, xid: 0)!)
            return connection
        }
        #expect(connection(Hello(version: 6, bitmap: nil)).version == .v1_3)
        #expect(connection(Hello(version: 1, bitmap: nil)).version == .v1_0)
        #expect(connection(Hello(version: 4, bitmap: OpenFlowVersionSet([.v1_0]))).version == .v1_0)
        let failed = connection(Hello(version: 5, bitmap: OpenFlowVersionSet([.v1_4])))
        #expect(failed.version == nil)
        #expect(failed.closeReason != nil)
        #expect(sent.last.flatMap { try? Message.decode($0).message }.map { if case .error = $0 { true } else { false } } == true)
    }

    @Test(arguments: [OpenFlowVersion.v1_0, .v1_1, .v1_3, .v1_4, .v1_5]) func flowModsAndDumps(version: OpenFlowVersion) throws {
        let rig = ServiceRig()
        let peer = rig.peer(version)
        let table: UInt8 = version == .v1_0 ? 0xff : 3
        var mod = FlowMod(
            command: .add, tableID: table, match: tcpTo(80), priority: 100, newCookie: 0xabc, idleTimeout: 60, actions: output2)
        #expect(peer.error(.flowMod(mod)) == nil)
        #expect(peer.flows().map(\.actions) == [output2])
        #expect(peer.flows()[0].match == tcpTo(80))
        #expect(peer.flows()[0].cookie == 0xabc)
        #expect(peer.flows()[0].idleTimeout == 60)
        // A modify changes the actions and keeps cookie (1.0: gives its own) and timeouts.
        mod.command = .modifyStrict
        (mod.newCookie, mod.idleTimeout, mod.actions) = (0xdef, 5, output3)
        #expect(peer.error(.flowMod(mod)) == nil)
        #expect(peer.flows().map(\.actions) == [output3])
        #expect(peer.flows()[0].cookie == (version == .v1_0 ? 0xdef : 0xabc))
        #expect(peer.flows()[0].idleTimeout == 60)
        // A modify that finds nothing adds in 1.0 and 1.1 only.
        mod.match = tcpTo(81)
        #expect(peer.error(.flowMod(mod)) == nil)
        #expect(peer.flows().count == (version <= .v1_1 ? 2 : 1))
        // Filters: out_port, and the cookie from 1.1 on.
        let unrelated = FlowMod(command: .delete, tableID: table, outPort: OpenFlowPort(2))
        #expect(peer.error(.flowMod(unrelated)) == nil)
        #expect(peer.flows().count == (version <= .v1_1 ? 2 : 1))
        #expect(peer.error(.flowMod(FlowMod(command: .delete, tableID: 0xff))) == nil)
        #expect(peer.flows().isEmpty)
    }

    @Test func cookiesSelect() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3)
        for cookie in UInt64(1)...4 {
            peer.send(.flowMod(FlowMod(command: .add, tableID: 0, match: tcpTo(UInt16(cookie)), newCookie: cookie, actions: output2)))
        }
        #expect(peer.flows(FlowStatsRequest(cookie: 1, cookieMask: 1)).count == 2)
        peer.send(.flowMod(FlowMod(command: .delete, tableID: 0xff, cookie: 4, cookieMask: .max)))
        #expect(peer.flows().map(\.cookie).sorted() == [1, 2, 3])
        guard
            case .statsReply(.aggregate(let sums, _), _)? = peer.ask(
                .statsRequest(.aggregate(FlowStatsRequest(cookie: 2, cookieMask: 2)), more: false)
            ).first
        else { return #expect(Bool(false)) }
        #expect(sums.flowCount == 2)
    }

    @Test func niciraFlows() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_0)
        peer.send(.setFlowFormat(.nxm))
        peer.send(.flowModTableID(true))
        var match = tcpTo(22)
        match.set(.reg0, 5, mask: 0xff)
        var mod = FlowMod(command: .add, tableID: 7, match: match, newCookie: 9, actions: [.resubmit(port: nil, table: 8)], isNXM: true)
        mod.applySemantics(of: .v1_0)
        #expect(peer.error(.flowMod(mod)) == nil)
        let flows = peer.flows(FlowStatsRequest(isNXM: true))
        #expect(flows.map(\.tableID) == [7])
        #expect(flows.first?.match == match)
        #expect(flows.first?.idleAge == 0)
        rig.clock.warp(milliseconds: 3500)
        #expect(peer.flows(FlowStatsRequest(tableID: 7, isNXM: true)).first?.idleAge == 3)
        #expect(peer.flows(FlowStatsRequest(tableID: 6, isNXM: true)).isEmpty)
    }

    @Test func refusals() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3)
        func error(_ change: (inout FlowMod) -> Void) -> ErrorCode? {
            var mod = FlowMod(command: .add, tableID: 0, match: tcpTo(1), actions: output2)
            change(&mod)
            return peer.error(.flowMod(mod))
        }
        #expect(error { $0.tableID = 254 } == .brcEperm)
        #expect(error { $0.tableID = 255 } == .fmfcBadTableId)
        #expect(error { $0.actions = [.output(OpenFlowPort(0xff01), maxLength: 0)] } == .bacBadOutPort)
        #expect(error { $0.actions = [.gotoTable(0)] } == .bicBadTableId)
        #expect(error { $0.actions = [.group(5)] } == .bacBadOutGroup)
        #expect(error { $0.actions = [.meter(5)] } == .mmfcInvalidMeter)
        #expect(error { $0.actions = [.setField(.udpDst, value: 5, mask: 0xffff, isLoad: false)] } == .bacMatchInconsistent)
        #expect(error { $0.bufferID = 5 } == .brcBufferUnknown)
        #expect(error { _ in } == nil)
        #expect(
            error {
                $0.match.clear(.tcpDst); $0.flags = .checkOverlap
            } == .fmfcOverlap)
        #expect(peer.error(.groupMod(GroupMod(command: .modify, kind: .all, groupID: 1))) == .gmfcUnknownGroup)
        #expect(peer.error(.groupMod(GroupMod(command: .add, kind: .indirect, groupID: 1))) == .gmfcInvalidGroup)
        #expect(peer.error(.packetOut(PacketOut(inPort: .controller, actions: output2, data: [1, 2, 3]))) == .brcBadPacket)
        #expect(peer.error(.statsRequest(.tableFeatures([]), more: false)) == nil)
        // Unknown types keep the connection.
        peer.sendBytes([4, 99, 0, 8, 0, 0, 0, 1])
        #expect(peer.take().first.map { if case .error(let e) = $0 { e.code(in: .v1_3) == .brcBadType } else { false } } == true)
        #expect(peer.ask(.barrierRequest) == [.barrierReply])
        // A header that cannot be is the end.
        peer.sendBytes([4, 0, 0, 3, 0, 0, 0, 1])
        #expect(peer.connection.closeReason != nil)
    }

    @Test func manyFlowsComeInParts() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3)
        for port in UInt16(1)...2000 { peer.send(.flowMod(FlowMod(command: .add, tableID: 1, match: tcpTo(port), actions: output2))) }
        let answers = peer.ask(.statsRequest(.flow(FlowStatsRequest()), more: false))
        #expect(answers.count > 1)
        var count = 0
        for (index, answer) in answers.enumerated() {
            guard case .statsReply(.flow(let flows, _), let more) = answer else { return #expect(Bool(false)) }
            #expect(more == (index < answers.count - 1))
            count += flows.count
        }
        #expect(count == 2000)
        var tables = 0
        for case .statsReply(.tableFeatures(let features), _) in peer.ask(.statsRequest(.tableFeatures([]), more: false)) {
            tables += features.count
        }
        #expect(tables == 254)
        guard case .statsReply(.table(let stats), _)? = peer.ask(.statsRequest(.table, more: false)).first else {
            return #expect(Bool(false))
        }
        #expect(stats[1].activeCount == 2000)
    }

    @Test func dumpsWaitForTheReader() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3)
        for port in UInt16(1)...3000 { peer.send(.flowMod(FlowMod(command: .add, tableID: 1, match: tcpTo(port), actions: output2))) }
        var isCongested = false
        peer.connection.isCongested = { isCongested }
        peer.take()
        // Congested after the first part: the rest waits, and so does the request behind it.
        peer.connection.tap = { if $0[1] == 19 { isCongested = true } }
        peer.send(.statsRequest(.flow(FlowStatsRequest()), more: false))
        peer.send(.barrierRequest)
        var parts = 0
        var flows = 0
        for _ in 0..<100 {
            let answers = peer.take()
            if answers == [.barrierReply] { break }
            #expect(answers.count == 1 || answers.last == .barrierReply)
            if case .statsReply(.flow(let list, _), let more)? = answers.first {
                parts += 1
                flows += list.count
                if !more, answers.last == .barrierReply { break }
            }
            isCongested = false
            peer.connection.outputDrained()
        }
        #expect(parts > 2)
        #expect(flows == 3000)
        #expect(peer.connection.closeReason == nil)
    }

    // MARK: Bundles

    private func add(_ mod: Message, to bundle: UInt32, _ peer: Peer, flags: BundleControl.Flags = [.atomic, .ordered]) -> [Message] {
        // The xid of the message inside is that of the message around it.
        var inner = mod.encode(version: peer.version, xid: 0)!
        let xid: UInt32 = 77
        inner.replaceSubrange(4..<8, with: [0, 0, 0, 77])
        peer.take()
        peer.sendBytes(
            Message.bundleAdd(BundleAdd(bundleID: bundle, flags: flags, message: inner)).encode(version: peer.version, xid: xid)!)
        return peer.take()
    }

    @Test(arguments: [OpenFlowVersion.v1_3, .v1_4]) func bundlesAreAllOrNothing(version: OpenFlowVersion) {
        let rig = ServiceRig()
        let peer = rig.peer(version)
        let flags: BundleControl.Flags = [.atomic, .ordered]
        func control(_ kind: BundleControl.Kind) -> [Message] {
            peer.ask(.bundleControl(BundleControl(bundleID: 3, kind: kind, flags: flags)))
        }
        func isReply(_ messages: [Message], _ kind: BundleControl.Kind) -> Bool {
            messages == [.bundleControl(BundleControl(bundleID: 3, kind: kind, flags: []))]
        }
        func flow(_ port: UInt16, _ actions: [Action]) -> Message {
            .flowMod(FlowMod(command: .add, tableID: 0, match: tcpTo(port), actions: actions))
        }
        #expect(isReply(control(.openRequest), .openReply))
        #expect(add(flow(1, output2), to: 3, peer).isEmpty)
        #expect(add(flow(2, output2), to: 3, peer).isEmpty)
        #expect(peer.flows().isEmpty)
        #expect(isReply(control(.closeRequest), .closeReply))
        #expect(isReply(control(.commitRequest), .commitReply))
        #expect(peer.flows().count == 2)
        // One bad change: nothing of it happens, and both it and the commit are reported.
        #expect(add(flow(3, output2), to: 3, peer).isEmpty)
        #expect(add(flow(4, [.gotoTable(0)]), to: 3, peer).isEmpty)
        let answers = control(.commitRequest)
        let codes = answers.compactMap { message -> ErrorCode? in
            if case .error(let error) = message { error.code(in: version) } else { nil }
        }
        #expect(codes == [.bicBadTableId, .bfcMsgFailed])
        #expect(peer.flows().count == 2)
        #expect(
            control(.commitRequest).first.map { if case .error(let e) = $0 { e.code(in: version) == .bfcBadId } else { false } } == true)
        // Idle bundles go.
        #expect(isReply(control(.openRequest), .openReply))
        rig.clock.warp(milliseconds: 11_000)
        peer.connection.tick()
        #expect(peer.take().first.map { if case .error(let e) = $0 { e.code(in: version) == .bfcTimeout } else { false } } == true)
    }

    // MARK: Events

    private func event(_ reason: PacketInReason, controllerID: UInt16 = 0) -> PacketInEvent {
        var metadata = FlowKey()
        metadata[.reg1] = 0x1234
        return PacketInEvent(
            reason: reason, table: 2, cookie: 0x55, inPort: OpenFlowPort(1), controllerID: controllerID, userdata: [], maxLength: 40,
            packet: Array(0..<60), totalLength: 60, metadata: metadata)
    }

    /// What comes faster than the control loop takes it is given up beyond a bound, and counted.
    @Test func packetInsBeyondWhatMayWaitAreCounted() {
        let executor = BusyExecutor()
        let rig = ServiceRig(executor: executor)
        executor.isBusy.store(true, ordering: .relaxed)
        for _ in 0..<ServiceEvents.pendingPacketIns + 3 { rig.bridge.eventReceiver?.packetIn(event(.action), from: rig.bridge) }
        #expect(rig.bridge.lostPacketIns == 3)
        executor.catchUp()
        rig.bridge.eventReceiver?.packetIn(event(.action), from: rig.bridge)
        #expect(rig.bridge.lostPacketIns == 3)
    }

    @Test func packetInsGoToThoseWhoAsked() {
        let rig = ServiceRig()
        let quiet = rig.peer(.v1_3)
        let listener = rig.peer(.v1_0)
        let other = rig.peer(.v1_3, isService: false)
        other.send(.setControllerID(9))
        #expect(!rig.bridge.settings.sendsTableMissToController)
        listener.send(.setConfig(SwitchConfig(missSendLength: 65534)))
        listener.send(.setPacketInFormat(.nicira2))
        #expect(rig.bridge.settings.sendsTableMissToController)
        for peer in [quiet, listener, other] { peer.take() }
        rig.service.send(event(.action))
        #expect(quiet.take().isEmpty)
        #expect(other.take().isEmpty)
        guard case .packetIn(let packet)? = listener.take().first else { return #expect(Bool(false)) }
        #expect(packet.format == .nicira2)
        #expect(packet.data == Array(0..<40))
        #expect(packet.totalLength == 60)
        #expect(packet.inPort == OpenFlowPort(1))
        #expect(packet.metadata.get(.reg1).value == 0x1234)
        #expect((packet.cookie, packet.tableID) == (0x55, 2))
        rig.service.send(event(.invalidTTL))
        #expect(listener.take().isEmpty)
        listener.send(.setConfig(SwitchConfig(invalidTTLToController: true, missSendLength: 65534)))
        rig.service.send(event(.invalidTTL))
        #expect(listener.take().count == 1)
        rig.service.send(event(.action, controllerID: 9))
        #expect(listener.take().isEmpty)
        guard case .packetIn(let standard)? = other.take().first else { return #expect(Bool(false)) }
        #expect(standard.cookie == 0x55)
        listener.connection.close("gone")
        #expect(!rig.bridge.settings.sendsTableMissToController)
    }

    @Test func removalsAndPortChanges() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3, isService: false)
        peer.send(
            .flowMod(
                FlowMod(command: .add, tableID: 0, match: tcpTo(9), newCookie: 4, hardTimeout: 5, flags: .sendFlowRemoved, actions: output2)
            ))
        rig.clock.warp(milliseconds: 6000)
        rig.pipeline.run()
        guard case .flowRemoved(let removed)? = peer.take().last else { return #expect(Bool(false)) }
        #expect(removed.reason == .hardTimeout)
        #expect(removed.match == tcpTo(9))
        #expect(removed.durationSeconds == 6)
        // A port-mod is not told to its own sender before 1.5, but to others.
        let other = rig.peer(.v1_0, isService: false)
        peer.take()
        let mod = PortMod(port: OpenFlowPort(2), hardwareAddress: 0x0200_0000_0002, config: [.portDown], mask: [.portDown])
        #expect(peer.ask(.portMod(mod)).isEmpty)
        #expect(rig.bridge.port(OpenFlowPort(2))?.configuration == .down)
        guard case .portStatus(let status)? = other.take().last else { return #expect(Bool(false)) }
        #expect(status.reason == .modify)
        #expect(status.port.config.contains(.portDown))
        var wrong = mod
        wrong.hardwareAddress = 1
        #expect(peer.error(.portMod(wrong)) == .pmfcBadHwAddr)
        wrong.port = OpenFlowPort(77)
        #expect(peer.error(.portMod(wrong)) == .pmfcBadPort)
        rig.bridge.removePort(OpenFlowPort(3))
        guard case .portStatus(let gone)? = peer.take().last else { return #expect(Bool(false)) }
        #expect(gone.reason == .delete)
    }

    @Test func rolesAndGenerations() {
        let rig = ServiceRig()
        let first = rig.peer(.v1_4, isService: false)
        let second = rig.peer(.v1_4, isService: false)
        #expect(
            first.ask(.roleRequest(RoleMessage(role: .primary, generationID: 5))) == [
                .roleReply(RoleMessage(role: .primary, generationID: 5))
            ])
        #expect(
            second.ask(.roleRequest(RoleMessage(role: .primary, generationID: 6))) == [
                .roleReply(RoleMessage(role: .primary, generationID: 6))
            ])
        #expect(first.take() == [.roleStatus(RoleStatus(role: .secondary, reason: .primaryRequest, generationID: 6))])
        #expect(first.error(.flowMod(FlowMod(command: .delete, tableID: 0xff))) == .brcIsSecondary)
        #expect(first.error(.roleRequest(RoleMessage(role: .primary, generationID: 4))) == .rrfcStale)
        #expect(second.error(.flowMod(FlowMod(command: .delete, tableID: 0xff))) == nil)
    }

    @Test func packetOut() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3)
        let frame: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x12, 0x34] + Array(repeating: 0, count: 46)
        #expect(peer.error(.packetOut(PacketOut(inPort: OpenFlowPort(1), actions: output2, data: frame))) == nil)
        rig.datapath.executed.withLock { executed in
            #expect(executed.count == 1)
            #expect(executed.first?.actions == [.output(DatapathPort(2))])
            #expect(executed.first?.inPort == DatapathPort(1))
        }
        #expect(peer.error(.packetOut(PacketOut(bufferID: 3, inPort: .controller, actions: output2, data: frame))) == .brcBufferUnknown)
    }

    @Test func packetOutWithPipelineFields() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_5)
        let frame: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x12, 0x34] + Array(repeating: 0, count: 46)
        var match = Match()
        match.set(.reg3, 7)
        match.set(.metadata, 9)
        #expect(peer.error(.flowMod(FlowMod(command: .add, tableID: 0, match: match, actions: output2))) == nil)
        match.set(.inPort, 1)
        let out = Message.packetOut(PacketOut(metadata: match, actions: [.output(.table, maxLength: 0)], data: frame))
        #expect(peer.error(out) == nil)
        rig.datapath.executed.withLock { #expect($0.map(\.actions) == [[.output(DatapathPort(2))]]) }
        match.set(.reg3, 8)
        #expect(peer.error(.packetOut(PacketOut(metadata: match, actions: [.output(.table, maxLength: 0)], data: frame))) == nil)
        rig.datapath.executed.withLock { #expect($0.last?.actions == [.drop(.tableMiss)]) }
        match.set(.ethType, 0x800)
        #expect(peer.error(.packetOut(PacketOut(metadata: match, actions: output2, data: frame))) == .brcPipelineFieldsOnly)
    }

    @Test func silentPeersAreProbedAndGivenUp() {
        let rig = ServiceRig()
        let peer = rig.peer(.v1_3)
        rig.clock.warp(milliseconds: OpenFlowLimits.serviceProbeMilliseconds)
        peer.connection.tick()
        #expect(peer.take() == [.echoRequest([])])
        peer.connection.tick()
        #expect(peer.take().isEmpty)
        peer.send(.echoReply([]))
        rig.clock.warp(milliseconds: OpenFlowLimits.serviceProbeMilliseconds)
        peer.connection.tick()
        #expect(peer.take() == [.echoRequest([])])
        rig.clock.warp(milliseconds: OpenFlowLimits.serviceProbeMilliseconds)
        peer.connection.tick()
        #expect(peer.connection.closeReason != nil)
        #expect(rig.service.connections.isEmpty)
    }
}
