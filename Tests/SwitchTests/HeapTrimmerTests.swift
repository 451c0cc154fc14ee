import Testing

@testable import Switch

@Suite struct HeapTrimmerTests {
    @Test func trimsOnceWhenItIsCalmAfterManyChanges() {
        var trimmer = HeapTrimmer()
        var answers: [Bool] = []
        // Few; many, and still going on; then calm.
        for changes in [500, 900, 50_000, 55_000, 55_010, 55_020] as [UInt64] { answers.append(trimmer.shouldTrim(changes)) }
        #expect(answers == [false, false, false, false, true, false])
        HeapTrimmer.trim()
    }
}
