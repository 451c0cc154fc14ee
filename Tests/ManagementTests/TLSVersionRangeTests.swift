import Testing

@testable import Management

@Suite struct TLSVersionRangeTests {
    @Test(arguments: [
        ("", 2...3), ("TLSv1.2", 2...2), ("TLSv1.3", 3...3), ("TLSv1.3,TLSv1.2", 2...3), ("TLSv1.2+", 2...3), ("TLSv1.3+", 3...3),
        ("TLSv1.2-TLSv1.3", 2...3), ("TLSv1.2-TLSv1.2 TLSv1.2", 2...2),
    ]) func listsOfVersions(text: String, expected: ClosedRange<Int>) throws {
        let range = try TLSVersionRange(text)
        #expect(range.lowest.rawValue...range.highest.rawValue == expected)
    }

    @Test(arguments: ["TLSv1.1", "TLSv1.3-TLSv1.2", "TLSv1.2+TLSv1.3", "TLSv1.2-TLSv1.2-TLSv1.3", "nosuch", "+"])
    func whatIsNoListIsRefused(text: String) {
        #expect(throws: TLSError.badProtocols(text)) { try TLSVersionRange(text) }
    }
}
