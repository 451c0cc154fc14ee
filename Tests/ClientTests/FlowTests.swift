import Flow
import OVSDB
import TestSupport
import Testing

@testable import Client

@Suite struct FlowTests {
    private func host() throws -> SwitchInProcess {
        let host = try SwitchInProcess()
        _ = try host.database().addBridge("br0")
        _ = try host.database().addPort(PortRequest(name: "p1", type: "tap"), to: "br0")
        return host
    }

    @Test func flowsAreAddedListedAndDeleted() throws {
        let host = try host()
        let client = try OpenFlowClient(host.directory(), bridge: "br0")
        try client.addFlow("table=2,priority=100,udp,tp_dst=53,idle_timeout=30,cookie=0x9,actions=drop")
        try client.addFlow("in_port=p1,icmp,actions=output:p1,LOCAL")
        let report = try client.flows("").report
        #expect(report.text.contains("icmp,in_port=p1"))
        #expect(report.text.contains("udp,tp_dst=53 idle_timeout=30 cookie=0x9"))
        let last = try #require(report.json.array?.last)
        #expect(last["table"] == 2 && last["priority"] == 100 && last["actions"] == "drop" && last["cookie"] == "0x9")
        #expect(try client.flows("udp").flows.count == 1)
        try client.deleteFlows("udp,tp_dst=53", isStrict: false)
        #expect(try client.flows("table=2").report.text == "no such flow\n")
        try client.deleteFlows("", isStrict: false)
        #expect(try client.flows("").flows.isEmpty)
    }

    @Test func strictDeletionTakesOneFlow() throws {
        let host = try host()
        defer { withExtendedLifetime(host) {} }
        let client = try OpenFlowClient(host.directory(), bridge: "br0")
        try client.addFlow("priority=5,ip,actions=drop")
        try client.addFlow("priority=6,ip,actions=drop")
        try client.addFlow("priority=5,tcp,actions=drop")
        try client.deleteFlows("priority=5,ip", isStrict: true)
        #expect(try client.flows("ip").flows.map(\.priority) == [6, 5])
    }

    @Test func aFileIsAllOrNothing() throws {
        let host = try host()
        defer { withExtendedLifetime(host) {} }
        let client = try OpenFlowClient(host.directory(), bridge: "br0")
        try client.deleteFlows("", isStrict: false)
        let text = "# a comment\n\n" + (1...300).map { "priority=\($0),ip,nw_dst=10.0.0.\($0 % 250),actions=drop\n" }.joined()
        #expect(try client.addFlows(text, from: "flows.txt") == 300)
        #expect(try client.flows("").flows.count == 300)
        let bad = errorOf { _ = try client.addFlows("priority=900,actions=drop\nnw_sorc=1.1.1.1,actions=drop\n", from: "flows.txt") }
        #expect(bad?.description.hasPrefix("flows.txt, line 2: ") == true && bad?.description.contains("nw_src") == true)
        // The switch refuses the second: the first must not stay.
        let refused = errorOf { _ = try client.addFlows("priority=901,actions=drop\nip,actions=group:77\n", from: "flows.txt") }
        #expect(refused?.exitStatus == 1)
        #expect(try OpenFlowClient.flowCount(client) == 300)
    }

    @Test(arguments: [
        ("nw_sorc=1.1.1.1,actions=drop", "nw_sorc"), ("actions=fly", "fly"), ("udp,tp_dst=99999,actions=drop", "99999"),
        ("in_port=nosuch,actions=drop", "nosuch"), ("ip", "actions"), ("table=300,actions=drop", "300"),
        ("ip,nw_dst=10.0.0.300,actions=drop", "10.0.0.300"),
    ])
    func mistakesAreNamed(_ flow: String, _ offending: String) throws {
        let host = try host()
        defer { withExtendedLifetime(host) {} }
        let client = try OpenFlowClient(host.directory(), bridge: "br0")
        let error = errorOf { try client.addFlow(flow) }
        #expect(error?.exitStatus == 2)
        #expect(error?.description.contains(offending) == true, "\(String(describing: error))")
    }

    @Test func aBridgeThatIsNotUpIsExplained() throws {
        let host = try host()
        let error = errorOf { _ = try OpenFlowClient(host.directory(), bridge: "br1") }
        #expect(error?.description.contains("the switch has not brought it up") == true)
    }

    @Test func liveCountersReplaceTheDatabases() throws {
        let host = try host()
        let view = try host.database().view()
        var statistics = try PortStatistics(view, bridge: "br0", port: nil)
        statistics.refresh(view, host.directory())
        #expect(statistics.samples.map(\.name) == ["br0", "p1"])
        #expect(statistics.report.json[1]?["rx_packets"] == 0)
    }
}

extension OpenFlowClient {
    fileprivate static func flowCount(_ client: OpenFlowClient) throws -> Int { try client.flows("").flows.count }
}
