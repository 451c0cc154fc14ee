// What can be set on a flow table: limits, eviction, vacancy events, misses.

import Base
import DatapathAPI
import Flow
import Synchronization
import Testing

@testable import Pipeline

/// What controllers are told of tables and rules.
private final class TableEvents: BridgeEvents {
    let statuses = Mutex<[(TableState, TableStatusReason)]>([])
    let evicted = Mutex<[UInt64]>([])
    func packetIn(_ event: PacketInEvent, from bridge: Bridge) {}
    func flowRemoved(_ rule: FlowRule, reason: FlowRemovedReason, from bridge: Bridge) {
        if reason == .eviction { evicted.withLock { $0.append(rule.cookie) } }
    }
    func portStatus(_ port: BridgePort, reason: PortStatusReason, from bridge: Bridge) {}
    func tableStatus(_ state: TableState, reason: TableStatusReason, from bridge: Bridge) {
        statuses.withLock { $0.append((state, reason)) }
    }
}

@Suite struct TableTests {
    private func limited(_ rig: Rig, _ limit: Int, evicts: Bool = false, groups: [SubField] = [], name: String = "") {
        var configuration = TableConfiguration()
        configuration.flowLimit = limit
        configuration.evictsWhenFull = evicts
        configuration.groups = groups
        configuration.name = name
        rig.bridge.configureTables([3: configuration])
    }

    private func add(_ rig: Rig, _ text: String) throws { try rig.bridge.apply(try Rig.modification("table=3," + text)) }

    private func cookies(_ rig: Rig) -> [UInt64] { rig.bridge.flows(matching: FlowFilter(table: 3)).map(\.cookie).sorted() }

    @Test func aFullTableRefuses() throws {
        let rig = Rig()
        limited(rig, 2, name: "small")
        try add(rig, "in_port=1,actions=drop")
        try add(rig, "in_port=2,actions=drop")
        #expect(throws: FlowModError.tableFull(limit: 2)) { try add(rig, "in_port=3,actions=drop") }
        // What is there may be replaced, and other tables are others.
        try add(rig, "in_port=2,actions=output:1")
        rig.flows("table=4,in_port=3,actions=drop")
        #expect(rig.bridge.flowCount == 3)
        #expect(rig.bridge.tableState(3).name == "small")
        rig.modify("table=3,in_port=1", .delete)
        try add(rig, "in_port=3,actions=drop")
        limited(rig, 0)
        #expect(throws: FlowModError.tableFull(limit: 2)) { try add(rig, "in_port=4,actions=drop") }
    }

    @Test func theLeastImportantAndThenTheFirstToExpireMakesRoom() throws {
        let rig = Rig()
        let events = TableEvents()
        rig.bridge.setEvents(events)
        limited(rig, 4, evicts: true)
        try add(rig, "cookie=1,in_port=1,idle_timeout=10,importance=5,send_flow_rem,actions=drop")
        try add(rig, "cookie=2,in_port=2,hard_timeout=30,importance=1,send_flow_rem,actions=drop")
        try add(rig, "cookie=3,in_port=3,hard_timeout=20,importance=1,send_flow_rem,actions=drop")
        try add(rig, "cookie=4,in_port=4,actions=drop")
        try add(rig, "cookie=5,in_port=5,idle_timeout=60,importance=9,send_flow_rem,actions=drop")
        try add(rig, "cookie=6,in_port=6,idle_timeout=60,importance=9,send_flow_rem,actions=drop")
        #expect(events.evicted.withLock { $0 } == [3, 2])
        #expect(cookies(rig) == [1, 4, 5, 6])
        // Without timeouts nothing can make room.
        limited(rig, 1, evicts: true)
        #expect(cookies(rig) == [4])
        #expect(events.evicted.withLock { $0 }.count == 5)
        #expect(throws: FlowModError.tableFull(limit: 1)) { try add(rig, "in_port=7,actions=drop") }
    }

    @Test func theLargestGroupLosesARule() throws {
        let rig = Rig()
        limited(rig, 4, evicts: true, groups: [SubField(.inPort)])
        try add(rig, "cookie=1,in_port=1,tcp,tp_dst=1,idle_timeout=1,actions=drop")
        try add(rig, "cookie=2,in_port=2,tcp,tp_dst=1,idle_timeout=50,actions=drop")
        try add(rig, "cookie=3,in_port=2,tcp,tp_dst=2,idle_timeout=40,actions=drop")
        try add(rig, "cookie=4,in_port=2,tcp,tp_dst=3,idle_timeout=60,actions=drop")
        try add(rig, "cookie=5,in_port=3,idle_timeout=60,actions=drop")
        #expect(cookies(rig) == [1, 2, 4, 5])
    }

    @Test func aBundleThatFailsBringsTheEvictedBack() throws {
        let rig = Rig()
        let events = TableEvents()
        rig.bridge.setEvents(events)
        limited(rig, 2, evicts: true)
        try add(rig, "cookie=1,in_port=1,idle_timeout=10,send_flow_rem,actions=drop")
        try add(rig, "cookie=2,in_port=2,idle_timeout=20,send_flow_rem,actions=drop")
        let changes = try ["in_port=3,idle_timeout=5", "in_port=4"].map { try Rig.modification("table=3,\($0),actions=drop") }
        let bad = FlowModification(command: .add, actions: [.output(OpenFlowPort(0xffff_ff05), maxLength: 0)])
        #expect(throws: BundleError.self) { try rig.bridge.apply(bundle: changes + [bad]) }
        #expect(cookies(rig) == [1, 2])
        #expect(events.evicted.withLock { $0 }.isEmpty)
        try rig.bridge.apply(bundle: changes)
        #expect(events.evicted.withLock { $0 } == [1, 2] || rig.bridge.flowCount == 2)
        // The rules that came back can expire.
        rig.clock.warp(milliseconds: 61_000)
        rig.pipeline.run()
        #expect(rig.bridge.flows(matching: FlowFilter(table: 3)).allSatisfy { $0.idleTimeoutSeconds == 0 })
    }

    @Test func vacancyEventsComeOnceForEachCrossing() throws {
        let rig = Rig()
        let events = TableEvents()
        rig.bridge.setEvents(events)
        limited(rig, 10)
        var change = TableModification()
        change.vacancy = .on(VacancyLimits(down: 20, up: 60))
        rig.bridge.modifyTable(3, change)
        for port in 1...10 { try add(rig, "in_port=\(port),actions=drop") }
        #expect(events.statuses.withLock { $0.map(\.1) } == [.vacancyDown])
        #expect(events.statuses.withLock { $0.first?.0.vacancy } == 10)
        for port in 1...10 { rig.modify("table=3,in_port=\(port)", .delete) }
        #expect(events.statuses.withLock { $0.map(\.1) } == [.vacancyDown, .vacancyUp])
        #expect(events.statuses.withLock { $0.last?.0.vacancy } == 70)
        change.vacancy = .off
        rig.bridge.modifyTable(nil, change)
        for port in 1...10 { try add(rig, "in_port=\(port),actions=drop") }
        #expect(events.statuses.withLock { $0.count } == 2)
    }

    @Test func aMissGoesWhereTheTableSays() throws {
        let rig = Rig()
        rig.flows("table=1,priority=0,actions=output:2")
        let packet = Rig.key("in_port=1,udp,tp_dst=9")
        var translation = Translation()
        func actions() -> [DatapathAction] {
            rig.pipeline.translate(packet, packet: UnsafeRawBufferPointer(start: nil, count: 0), hasSideEffects: false, into: &translation)
            return translation.actions
        }
        #expect(actions() == [.drop(.tableMiss)])
        var change = TableModification()
        change.miss = .nextTable
        rig.bridge.modifyTable(0, change)
        #expect(actions() == [.output(DatapathPort(2))])
        change.miss = .toController
        rig.bridge.modifyTable(0, change)
        guard case .punt? = actions().first else {
            Issue.record("a miss that goes to controllers is \(translation.actions)")
            return
        }
        change.miss = .drop
        rig.bridge.modifyTable(nil, change)
        rig.bridge.updateSettings { $0.sendsTableMissToController = true }
        #expect(actions() == [.drop(.tableMiss)])
    }
}
