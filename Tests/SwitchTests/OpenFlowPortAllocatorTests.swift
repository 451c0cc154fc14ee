import Testing

@testable import Switch

@Test func requestsWinThenPreviousNumbersThenTheLowestFree() {
    var ports = OpenFlowPortAllocator()
    #expect(ports.allocate(for: "a", request: nil, previous: nil) == 1)
    #expect(ports.allocate(for: "b", request: 7, previous: 3) == 7)
    #expect(ports.allocate(for: "c", request: 7, previous: 3) == 3, "a taken request falls back to the previous number")
    #expect(ports.allocate(for: "d", request: nil, previous: nil) == 2)
    #expect(ports.allocate(for: "e", request: nil, previous: nil) == 4)
}

@Test func aNumberJustGivenUpIsNotTheNextOneGivenOut() {
    var ports = OpenFlowPortAllocator()
    #expect(ports.allocate(for: "a", request: nil, previous: nil) == 1)
    ports.release(1)
    #expect(ports.allocate(for: "b", request: nil, previous: nil) == 2)
    #expect(ports.allocate(for: "a", request: nil, previous: 1) == 1)
}

@Test func numbersOutOfRangeAreNotHonoured() {
    var ports = OpenFlowPortAllocator()
    #expect(ports.allocate(for: "a", request: 0, previous: nil) == 1)
    #expect(ports.allocate(for: "b", request: 65_280, previous: 65_534) == 2)
}
