// Flow-mods, bundles, timeouts, statistics.

import Base
import DatapathAPI
import Flow
import Synchronization
import Testing

@testable import Pipeline

private func texts(_ rig: Rig, _ filter: FlowFilter = FlowFilter()) -> [String] {
    rig.bridge.flows(matching: filter).map {
        "\($0.table):\(FlowText.format($0.match, priority: $0.priority))->\(FlowText.format($0.actions))"
    }
    .sorted()
}

@Test func addingReplacesAndModifyingDoesNotAdd() {
    let rig = Rig()
    rig.flows("in_port=1,actions=output:2", "in_port=1,actions=output:3", "in_port=1,priority=5,actions=drop")
    #expect(texts(rig) == ["0:in_port=1->output:3", "0:priority=5,in_port=1->drop"])
    #expect(rig.modify("in_port=1,actions=output:4", .modifyStrict).modified == 1)
    #expect(rig.modify("in_port=2,actions=output:4", .modify) == FlowModResult())
    #expect(texts(rig) == ["0:in_port=1->output:4", "0:priority=5,in_port=1->drop"])
    #expect(rig.modify("actions=output:2", .modify).modified == 2)
    var adding = try! Rig.modification("in_port=3,actions=output:1", .modify)
    adding.modifyAddsIfNone = true
    #expect(try! rig.bridge.apply(adding).added == 1)
    #expect(rig.bridge.flowCount == 3)
}

@Test func deletionIsLooseOrStrictAndFiltered() {
    let rig = Rig()
    func fill() {
        rig.modify("", .delete)
        rig.flows(
            "table=0,tcp,nw_dst=10.0.0.1,cookie=1,actions=output:2", "table=0,tcp,cookie=2,actions=output:3",
            "table=0,ip,cookie=3,actions=output:2",
            "table=3,priority=9,udp,cookie=0x103,actions=write_actions(output:2)", "table=1,arp,actions=drop")
    }
    func remaining(_ text: String, _ command: FlowModCommand) -> Int {
        fill()
        rig.modify(text, command)
        return rig.bridge.flowCount
    }
    #expect(remaining("", .delete) == 0)
    #expect(remaining("table=0", .delete) == 2)
    #expect(remaining("tcp", .delete) == 3)
    #expect(remaining("ip", .delete) == 1)
    #expect(remaining("ip,nw_dst=10.0.0.0/8", .delete) == 4)
    #expect(remaining("tcp", .deleteStrict) == 4)
    #expect(remaining("tcp,priority=7", .deleteStrict) == 5)
    #expect(remaining("cookie=3/0xff", .delete) == 3)
    #expect(remaining("out_port=2", .delete) == 2)
    #expect(remaining("table=0,ip,out_port=3", .deleteStrict) == 5)
    fill()
    #expect(texts(rig, FlowFilter(table: 3)).count == 1)
    #expect(texts(rig, FlowFilter(match: try! FlowText.parseMatch("tcp"))).count == 2)
    #expect(texts(rig, FlowFilter(cookie: 3, cookieMask: 0xff)).count == 2)
    #expect(texts(rig, FlowFilter(outPort: OpenFlowPort(2))).count == 3)
}

@Test func badRequestsAreRefusedWithTheirReason() {
    let rig = Rig()
    func refusal(_ text: String) -> FlowModError? {
        do throws(FlowModError) {
            _ = try rig.bridge.apply(try! Rig.modification(text))
            return nil
        } catch {
            return error
        }
    }
    func refusal(_ actions: [Action], _ match: String = "") -> FlowModError? {
        do throws(FlowModError) {
            _ = try rig.bridge.apply(FlowModification(command: .add, match: try! FlowText.parseMatch(match), actions: actions))
            return nil
        } catch {
            return error
        }
    }
    #expect(refusal([.group(7)]) == .badOutGroup(7))
    #expect(refusal([.meter(7)]) == .unknownMeter(7))
    #expect(refusal([.gotoTable(0)]) == .badGotoTable(0, from: 0))
    #expect(refusal([.gotoTable(254)]) == .badGotoTable(254, from: 0))
    #expect(refusal([.resubmit(port: nil, table: 254)]) == .badTable(254))
    #expect(refusal([.output(OpenFlowPort(0), maxLength: 0)]) == nil)
    #expect(refusal([.output(OpenFlowPort(0xff00), maxLength: 0)]) == .badOutPort(OpenFlowPort(0xff00)))
    #expect(refusal([.setField(.tcpFlags, value: 1, mask: 1, isLoad: true)]) == .notWritable(.tcpFlags))
    #expect(refusal([.setField(.tcpDst, value: 1, mask: 0xffff, isLoad: false)], "udp") == .matchInconsistent(.tcpDst))
    #expect(refusal([.setField(.tcpDst, value: 1, mask: 0xffff, isLoad: false)], "tcp") == nil)
    #expect(refusal([.writeActions([.resubmit(port: nil, table: 1)])]) == nil)
    // The action set is carried out on what the packet is by then.
    #expect(refusal([.popVLAN], "ip") == .matchInconsistent(.vlanPCP))
    #expect(refusal([.writeActions([.popVLAN])], "ip") == nil)
    #expect(refusal([.writeActions([.exit])]) == .unsupportedAction("exit in write_actions"))
    #expect(refusal([.conjunction(id: 1, clause: 1, clauses: 2), .output(OpenFlowPort(1), maxLength: 0)]) == .badConjunction)
    #expect(refusal([.decrementNSHTTL]) == .matchInconsistent(.nshTTL))
    var nested: [Action] = [.output(OpenFlowPort(1), maxLength: 0)]
    for _ in 0..<40 { nested = [.clone(nested)] }
    #expect(refusal(nested) == .tooManyActions(limit: PipelineLimits.actionsPerRule))
    #expect(refusal("table=254,actions=drop") == .badTable(254))
    rig.modify("", .delete)
    #expect(refusal("priority=5,ip,actions=drop") == nil)
    #expect(refusal("priority=5,in_port=1,check_overlap,actions=drop") == .overlap)
    #expect(refusal("priority=6,in_port=1,check_overlap,actions=drop") == nil)
    #expect(refusal("priority=5,arp,check_overlap,actions=drop") == nil)
}

@Test func bundlesAreAllOrNothing() throws {
    let rig = Rig()
    rig.flows("in_port=1,idle_timeout=10,actions=output:2", "in_port=2,actions=output:3")
    let before = texts(rig)
    let changes = try [
        Rig.modification("", .delete), Rig.modification("in_port=1,actions=output:4"), Rig.modification("in_port=1", .delete),
        Rig.modification("in_port=3,actions=output:4"),
    ]
    let bad = FlowModification(command: .add, actions: [.group(1)])
    #expect { try rig.bridge.apply(bundle: changes + [bad]) } throws: { ($0 as? BundleError)?.index == 4 }
    #expect(texts(rig) == before && rig.bridge.flowCount == 2)
    #expect(rig.bridge.tableStatistics()[0].activeCount == 2)
    #expect(rig.actions("in_port=1") == "2")
    let translation = rig.translate(Rig.key("in_port=1"))
    let result = try rig.bridge.apply(bundle: changes)
    #expect(result.added == 2 && result.removed == 3)
    #expect(texts(rig) == ["0:in_port=3->output:4"] && rig.bridge.flowCount == 1)
    #expect(!rig.pipeline.versions.isCurrent(translation.dependencies, since: translation.sequence))
    // What was rolled back left no timer behind, and what was there kept it.
    rig.clock.warp(milliseconds: 60_000)
    rig.pipeline.run()
    #expect(rig.bridge.flowCount == 1)
}

@Test func rulesExpire() {
    let rig = Rig()
    rig.flows(
        "in_port=1,idle_timeout=10,send_flow_rem,actions=output:2", "in_port=2,hard_timeout=15,send_flow_rem,actions=output:2",
        "in_port=3,idle_timeout=10,actions=output:2")
    let translation = rig.translate(Rig.key("in_port=1"))
    let pipeline = rig.pipeline
    let delta = FlowStatisticsDelta(
        packets: 3, bytes: 180, lastUsed: rig.clock.now.adding(milliseconds: 9000), tcpFlags: 0)
    let effects = translation.effects!
    let progress = Progress()
    // The datapath has counts that it did not hand over yet.
    rig.datapath.onPush.withLock {
        $0 = {
            if progress.isPending.exchange(false, ordering: .relaxed) { pipeline.credit(effects, delta) }
        }
    }
    rig.clock.warp(milliseconds: 10_000)
    rig.pipeline.run()
    #expect(rig.bridge.flowCount == 2)
    #expect(rig.events.removals.withLock { $0.isEmpty }, "only rules that ask for it are reported")
    rig.clock.warp(milliseconds: 5000)
    rig.pipeline.run()
    #expect(rig.events.removals.withLock { $0.map(\.reason) } == [.hardTimeout])
    rig.clock.warp(milliseconds: 4000)
    rig.pipeline.run()
    let removals = rig.events.removals.withLock { $0 }
    #expect(removals.map(\.reason) == [.hardTimeout, .idleTimeout] && removals[1].rule.packetCount == 3)
    #expect(rig.bridge.flowCount == 0)
    #expect(rig.actions("in_port=1") == "drop")
}

@Test func countsAreCreditedAndKept() {
    let rig = Rig()
    rig.flows("table=0,in_port=1,actions=goto_table:1", "table=1,ip,actions=output:2")
    let translation = rig.translate(Rig.key("in_port=1,ip"))
    let miss = rig.translate(Rig.key("in_port=1,arp"))
    let delta = FlowStatisticsDelta(packets: 5, bytes: 500, lastUsed: rig.clock.now, tcpFlags: 0)
    rig.pipeline.credit(translation.effects!, delta)
    rig.pipeline.credit(miss.effects!, delta)
    #expect(rig.bridge.flows().map(\.packetCount) == [10, 5])
    #expect(rig.bridge.aggregate() == (15, 1500, 2))
    let statistics = rig.bridge.tableStatistics()
    #expect(statistics.count == 254)
    #expect(statistics[0] == TableStatistics(table: 0, activeCount: 1, lookupCount: 10, matchedCount: 10))
    #expect(statistics[1] == TableStatistics(table: 1, activeCount: 1, lookupCount: 10, matchedCount: 5))
    // A modify keeps the counts, also those that arrive by the old rule.
    rig.modify("table=1,ip,actions=output:3", .modify)
    rig.pipeline.credit(translation.effects!, delta)
    #expect(rig.bridge.flows(matching: FlowFilter(table: 1)).map(\.packetCount) == [10])
    rig.modify("table=1,ip,reset_counts,actions=output:4", .modify)
    #expect(rig.bridge.flows(matching: FlowFilter(table: 1)).map(\.packetCount) == [0])
}

@Test func standaloneBridgesSwitchByThemselves() {
    let rig = Rig(failMode: .standalone)
    #expect(texts(rig) == ["0:priority=0->NORMAL"])
    rig.bridge.setHasControllers(true)
    #expect(texts(rig).isEmpty)
    rig.bridge.setHasControllers(false)
    rig.flows("in_port=1,actions=drop")
    rig.bridge.setFailMode(.secure)
    #expect(texts(rig).isEmpty)
    rig.bridge.setFailMode(.standalone)
    #expect(texts(rig) == ["0:priority=0->NORMAL"])
}

@Test func portsComeAndGo() throws {
    let rig = Rig(ports: 2)
    let port = { (number: OpenFlowPort, name: String, datapath: UInt32) in
        BridgePort(number: number, name: name, attachment: .datapath(DatapathPort(datapath)), hardwareAddress: 1)
    }
    #expect(try rig.bridge.addPort(port(.any, "x", 50)) == OpenFlowPort(3))
    #expect(try rig.bridge.addPort(port(OpenFlowPort(1), "y", 51)) == OpenFlowPort(4))
    #expect(try rig.bridge.addPort(port(.local, "br0", 52)) == .local)
    #expect(throws: PipelineError.portExists("x", bridge: "br0")) { try rig.bridge.addPort(port(.any, "x", 60)) }
    #expect(throws: PipelineError.datapathPortTaken(DatapathPort(50), by: "x")) { try rig.bridge.addPort(port(.any, "z", 50)) }
    #expect(throws: PipelineError.badPortNumber(OpenFlowPort(0xff01))) { try rig.bridge.addPort(port(OpenFlowPort(0xff01), "z", 61)) }
    rig.bridge.updatePort(.local) { $0.isLinkUp = false }
    rig.bridge.updatePort(.local) { $0.isLinkUp = false }
    #expect(rig.bridge.removePort(OpenFlowPort(3)) && !rig.bridge.removePort(OpenFlowPort(3)))
    #expect(rig.events.statuses.withLock { $0.map(\.reason) } == [.add, .add, .add, .modify, .delete])
    #expect(throws: PipelineError.bridgeExists("br0")) { try rig.pipeline.addBridge(named: "br0", datapathID: 5) }
    rig.flows("actions=local")
    #expect(rig.actions("in_port=1") == "52")
    #expect(rig.pipeline.removeBridge(named: "br0") && rig.pipeline.bridges.isEmpty)
    #expect(rig.dropReason("in_port=1") == .inputPortClosed)
}

/// What the threads of a test tell each other.
private final class Progress: Sendable {
    let isDone = Atomic<Bool>(false)
    let wrong = Atomic<Int>(0)
    let isPending = Atomic<Bool>(true)
}

@Test func translationsNeverWaitForChanges() async {
    let progress = Progress()
    let rig = Rig(ports: 4, failMode: .standalone)
    rig.flows("table=0,priority=1,in_port=1,actions=goto_table:1", "table=1,priority=1,ip,actions=output:2")
    await withTaskGroup(of: Void.self) { group in
        group.addTask {
            for round in 0..<100 {
                // In one bundle: either both tables have their rule, or neither.
                let text = ["in_port=1,priority=50,actions=goto_table:2", "table=2,priority=50,actions=output:3"]
                let command: FlowModCommand = round % 2 == 0 ? .add : .deleteStrict
                let changes = text.map { line -> FlowModification in
                    var change = try! Rig.modification(line)
                    change.command = command
                    return change
                }
                _ = try! rig.bridge.apply(bundle: changes)
                rig.bridge.updatePort(OpenFlowPort(4)) { $0.currentSpeedKbps = UInt32(round) }
                if round % 16 == 0 { rig.pipeline.run() }
            }
            progress.isDone.store(true, ordering: .releasing)
        }
        for thread in 0..<2 {
            group.addTask {
                var source = 0
                while !progress.isDone.load(ordering: .acquiring) {
                    source += 1
                    let text = DatapathText.format(rig.translate(Rig.key("in_port=1,ip,nw_dst=10.0.0.\(source % 200)")).actions)
                    if text != "2" && text != "3" { progress.wrong.wrappingAdd(1, ordering: .relaxed) }
                    _ = rig.translate(
                        Rig.key("in_port=2,dl_src=02:00:00:00:0\(thread):\(String(source % 80 + 16, radix: 16)),dl_dst=02:00:00:00:00:11"))
                    if source % 50 == 0 { _ = rig.bridge.flows() }
                }
            }
        }
    }
    #expect(progress.wrong.load(ordering: .relaxed) == 0)
}
