@testable import Datapath
import DatapathAPI
import Flow
import Testing

@Suite struct CompiledActionsTests {
    private static func list(_ port: UInt32) -> [DatapathAction] {
        [.set(.nwTTL, value: 63, mask: 0xff), .set(.nwDst, value: UInt128(port), mask: 0xffff_ffff), .output(DatapathPort(port))]
    }

    @Test func theSameListIsCompiledOnce() {
        var recent = RecentActions()
        let first = recent.compile(CompiledActionsTests.list(1))
        let other = recent.compile(CompiledActionsTests.list(2))
        #expect(recent.compile(CompiledActionsTests.list(1)) === first)
        #expect(recent.compile(CompiledActionsTests.list(2)) === other)
        #expect(first !== other)
    }

    @Test func aForgottenListStaysGoodForItsMegaflows() {
        var recent = RecentActions()
        let first = recent.compile(CompiledActionsTests.list(1))
        for port in 2..<40 as Range<UInt32> { _ = recent.compile(CompiledActionsTests.list(port)) }
        let again = recent.compile(CompiledActionsTests.list(1))
        #expect(again !== first)
        #expect(again.actions == first.actions)
        #expect(first.program.count == again.program.count)
        for index in 0..<first.program.count { #expect(first.program.ops[index].code == again.program.ops[index].code) }
    }
}
