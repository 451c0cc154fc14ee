import Base
import DatapathAPI
import Flow
import Testing

@testable import Pipeline

/// Flows that take the same way through the tables share the record of what their packets count for.
@Suite struct RecordSharingTests {
    private static func packet(_ source: Int) -> FlowKey {
        Rig.key("in_port=1,ip,nw_src=10.0.0.\(source),nw_dst=10.1.0.1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02")
    }

    @Test func theSameWayIsOneRecord() {
        let rig = Rig()
        rig.flows("table=0,ip,actions=resubmit(,1)", "table=1,ip,nw_src=10.0.0.1,actions=output:2", "table=1,priority=1,actions=output:3")
        let (first, again, other) = (
            rig.translate(RecordSharingTests.packet(2)).effects, rig.translate(RecordSharingTests.packet(3)).effects,
            rig.translate(RecordSharingTests.packet(1)).effects
        )
        #expect(first === again)
        #expect(first !== other)
        for (effects, packets) in [(first, 5), (other, 7), (again, 11)] as [((any TranslationEffects)?, UInt64)] {
            rig.pipeline.credit(
                effects!, FlowStatisticsDelta(packets: packets, bytes: packets * 60, lastUsed: rig.clock.now, tcpFlags: 0))
        }
        let counted = rig.bridge.flows().map(\.packetCount).sorted()
        #expect(counted == [7, 16, 23])
    }

    @Test func aChangeEndsIt() {
        let rig = Rig()
        rig.flows("table=0,ip,actions=output:2")
        let before = rig.translate(RecordSharingTests.packet(1)).effects
        rig.flows("table=0,priority=40000,ip,nw_src=10.0.0.1,actions=output:3")
        rig.modify("table=0,priority=40000,ip,nw_src=10.0.0.1", .deleteStrict)
        let after = rig.translate(RecordSharingTests.packet(2)).effects
        #expect(before !== after)
    }

    @Test func whatHoldsMoreThanRulesIsNotShared() {
        let rig = Rig()
        rig.flows("table=0,actions=controller,output:2")
        let (first, second) = (rig.translate(RecordSharingTests.packet(1)).effects, rig.translate(RecordSharingTests.packet(2)).effects)
        #expect(first !== second)
    }
}
