// A pipeline with bridges, on a stopped clock, driven by text.

import Base
import DatapathAPI
import Flow
import Synchronization

@testable import Pipeline

/// What was sent by packet-outs; the pipeline's view of a datapath.
final class RecordingDatapath: DatapathControl {
    let executed = Mutex<[(packet: [UInt8], inPort: DatapathPort, actions: [DatapathAction])]>([])
    let pushes = Atomic<Int>(0)
    /// Called when counts are asked for.
    let onPush = Mutex<(@Sendable () -> Void)?>(nil)
    /// Called when a meter is set.
    let onMeter = Mutex<(@Sendable () -> Void)?>(nil)
    func setMeter(_ number: UInt32, _ meter: DatapathMeter) { onMeter.withLock { $0 }?() }
    func execute(packet: [UInt8], inPort: DatapathPort, actions: [DatapathAction]) {
        executed.withLock { $0.append((packet, inPort, actions)) }
    }
    func counters(of port: DatapathPort) -> PortCounters? { nil }
    func megaflows() -> [MegaflowSnapshot] { [] }
    func pushStatistics() {
        pushes.wrappingAdd(1, ordering: .relaxed)
        onPush.withLock { $0 }?()
    }
}

/// What controllers were told.
final class RecordingEvents: BridgeEvents {
    let packetIns = Mutex<[PacketInEvent]>([])
    let removals = Mutex<[(rule: FlowRule, reason: FlowRemovedReason)]>([])
    let statuses = Mutex<[(port: BridgePort, reason: PortStatusReason)]>([])
    let changes = Mutex<Int>(0)
    func packetIn(_ event: PacketInEvent, from bridge: Bridge) { packetIns.withLock { $0.append(event) } }
    func flowRemoved(_ rule: FlowRule, reason: FlowRemovedReason, from bridge: Bridge) { removals.withLock { $0.append((rule, reason)) } }
    func portStatus(_ port: BridgePort, reason: PortStatusReason, from bridge: Bridge) { statuses.withLock { $0.append((port, reason)) } }
    func flowChanged(_ rule: FlowRule, _ change: FlowChange, in bridge: Bridge) { changes.withLock { $0 += 1 } }
}

/// Bridge br0 with ports 1 to `ports`; OpenFlow port n is datapath port n.
final class Rig: @unchecked Sendable {
    let clock = Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000_000))
    let pipeline: SwitchPipeline
    let bridge: Bridge
    let datapath = RecordingDatapath()
    let events = RecordingEvents()

    init(ports: Int = 4, failMode: FailMode = .secure) {
        pipeline = SwitchPipeline(clock: clock, seed: 42)
        pipeline.attach(datapath)
        bridge = try! pipeline.addBridge(named: "br0", datapathID: 1, failMode: failMode)
        for number in 1..<ports + 1 { addPort(UInt32(number)) }
        bridge.setEvents(events)
    }

    func addPort(_ number: UInt32, mode: PortVLANMode = .trunk, tag: UInt16 = 0, trunks: [UInt16]? = nil, to other: Bridge? = nil) {
        try! (other ?? bridge).addPort(
            BridgePort(
                number: OpenFlowPort(number), name: "p\(number)", attachment: .datapath(DatapathPort(number)),
                hardwareAddress: 0x0200_0000_0000 + UInt64(number), vlanMode: mode, tag: tag, trunks: trunks.map { VLANSet($0) }))
    }

    /// A flow-mod from text, with what OpenFlow 1.3 says of modifies.
    static func modification(_ text: String, _ command: FlowModCommand = .add) throws -> FlowModification {
        let purpose: FlowTextPurpose =
            switch command {
            case .add: .add
            case .modify, .modifyStrict: .modify
            case .delete, .deleteStrict: .delete
            }
        let spec = try FlowText.parseFlow(text, for: purpose)
        var change = FlowModification(
            command: command, table: spec.table ?? (command == .delete ? nil : 0), match: spec.match, priority: spec.priority ?? 32768,
            cookie: spec.cookie, cookieMask: spec.cookieMask, idleTimeoutSeconds: spec.idleTimeout, hardTimeoutSeconds: spec.hardTimeout,
            importance: spec.importance, flags: FlowModFlags(rawValue: spec.flags.rawValue), outPort: spec.outPort,
            actions: spec.actions ?? [])
        // Tables made up at random set fields of packets that may lack them.
        change.isLenient = true
        return change
    }

    func flows(_ lines: String..., on other: Bridge? = nil) {
        for line in lines { _ = try! (other ?? bridge).apply(try! Rig.modification(line)) }
    }

    @discardableResult
    func modify(_ text: String, _ command: FlowModCommand) -> FlowModResult { try! bridge.apply(try! Rig.modification(text, command)) }

    /// A packet from a match's text; `in_port` is the datapath's.
    static func key(_ text: String) -> FlowKey {
        let match = try! FlowText.parseMatch(text)
        var key = match.key
        key[.datapathInPort] = key[.inPort]
        key[.inPort] = 0
        if key[.ethType] == 0 { key[.ethType] = 0x1234 }
        if key[.vlanTCI] & 0x1000 != 0 { key.store(0x8100, at: FlowOffset.vlanTPID, count: 2) }
        if key[.ethType] == 0x8847 { key.store(1, at: FlowOffset.mplsCount, count: 1) }
        return key
    }

    func translate(_ key: FlowKey, hasSideEffects: Bool = true) -> Translation {
        var translation = Translation()
        pipeline.translate(key, packet: UnsafeRawBufferPointer(start: nil, count: 0), hasSideEffects: hasSideEffects, into: &translation)
        return translation
    }

    func actions(_ packet: String) -> String { DatapathText.format(translate(Rig.key(packet)).actions) }

    func dropReason(_ packet: String) -> DropReason? {
        if case .drop(let reason)? = translate(Rig.key(packet)).actions.first { reason } else { nil }
    }
}
