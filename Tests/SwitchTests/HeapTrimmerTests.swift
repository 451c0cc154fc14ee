import Testing

@testable import Switch

@Suite struct HeapTrimmerTests {
    @Test func trimsOnceWhenItIsCalmAfterManyChanges() {
        var trimmer = HeapTrimmer()
        var answers: [Bool] = []
        // Few; many, and still going on; then calm.
        let changes: [UInt64] = [500, 900, 50_000, 55_000, 55_010, 60_000] + (1...7).map { 60_000 + $0 * 10 }
        for number in changes { answers.append(trimmer.shouldTrim(number)) }
        #expect(answers == Array(repeating: false, count: 10) + [true, false, false])
        HeapTrimmer.trim()
    }
}
