import OVSDB
import Testing

@testable import Client

@Suite struct OutputTests {
    @Test func tablesAreAligned() {
        var table = TextTable(["NAME", "COUNT", "REMARK"], right: ["COUNT"])
        table.add(["a", "7"])
        table.add(["longer", "12345", "x"])
        #expect(table.text == "NAME    COUNT  REMARK\na           7\nlonger  12345  x\n")
    }

    @Test func quantitiesHaveUnits() {
        #expect(Quantity.packetsPerSecond(0) == "0 pps")
        #expect(Quantity.packetsPerSecond(14_880_952) == "14.9 Mpps")
        #expect(Quantity.bitsPerSecond(1_234_567) == "1.23 Mbit/s")
        #expect(Quantity.bytes(1536) == "1.5 KiB")
        #expect(Quantity.count(Int64(99_999)) == "99999" && Quantity.count(Int64(2_500_000)) == "2.5 M")
    }

    @Test func agesHaveTwoParts() {
        #expect(FlowListing.age(5_000_000_000) == "5s")
        #expect(FlowListing.age(3_700_000_000_000) == "1h 1m")
        #expect(FlowListing.age(90_000 * 1_000_000_000) == "1d 1h")
    }

    @Test func ratesAreDifferencesOverTime() throws {
        func statistics(_ packets: Int64) -> PortStatistics {
            var statistics = PortStatistics.none
            statistics.samples = [
                PortSample(bridge: "br0", name: "p1", statistics: ["rx_packets": packets, "rx_bytes": packets * 100, "drop_policy": 3])
            ]
            return statistics
        }
        let report = statistics(3000).rates(since: statistics(1000), seconds: 2)
        #expect(report.json[0]?["rx_packets_per_second"] == .real(1000) && report.json[0]?["rx_bits_per_second"] == .real(800_000))
        #expect(report.text.contains("1.0 kpps") && report.text.contains("800 kbit/s"))
        #expect(statistics(1).report.text.contains("p1: drop_policy 3"))
    }

    @Test func datapathFlowsAreTakenApart() {
        let text =
            "recirc_id(0),in_port(1),eth_type(0x0800),ipv4(frag=no), packets:7, bytes:714, used:0.512s, flags:SP., actions:set(ipv4(ttl=63)),2\n"
        let flow = ControlReports.datapathFlows(text).json[0]
        #expect(flow?["match"] == "recirc_id(0),in_port(1),eth_type(0x0800),ipv4(frag=no)")
        #expect(flow?["packets"] == 7 && flow?["bytes"] == 714 && flow?["used"] == "0.512s" && flow?["flags"] == "SP.")
        #expect(flow?["actions"] == "set(ipv4(ttl=63)),2")
        #expect(ControlReports.datapathFlows("").text.contains("no flow is cached"))
    }

    @Test func threadsAndQueuesAreJoined() {
        let statistics =
            "pmd thread numa_id 0 core_id 1:\n  packets received: 10\n  avg. packets per output batch: 1.50\nmain thread:\n  packets received: 0\n"
        let queues =
            "Displaying last 60 seconds pmd usage %\npmd thread numa_id 0 core_id 1:\n  isolated : false\n  port: p1                queue-id:  0 (enabled)   pmd usage:  7 %\n"
        let thread = ControlReports.pmd(statistics: statistics, queues: queues).json[0]
        #expect(thread?["thread"] == "pmd thread numa_id 0 core_id 1" && thread?["packets received"] == 10)
        #expect(thread?["queues"]?[0] == ["port": "p1", "queue": 0, "enabled": true, "usage_percent": 7])
        let text = ControlReports.pmd(statistics: statistics, queues: queues).text
        #expect(text.contains("pmd core 1       10") && text.contains("pmd core 1  p1        0    7%") && text.contains("main"))
    }

    @Test func aTraceKeepsItsLinesAndTellsItsEnd() {
        let report = ControlReports.trace(
            "Flow: ip\n\nbridge(\"br0\")\n\nFinal flow: unchanged\nMegaflow: eth,ip\nDatapath actions: drop\n")
        #expect(
            report.json["datapath_actions"] == "drop" && report.json["final_flow"] == "unchanged" && report.json["megaflow"] == "eth,ip")
    }

    @Test func columnsAreReadWithoutASchema() {
        #expect(JSON.integer(5).optionalInteger == 5)
        #expect((["set", []] as JSON).optionalInteger == nil)
        #expect((["set", ["a", "b"] as JSON] as JSON).elements == ["a", "b"])
        #expect((["map", [["k", "v"] as JSON] as JSON] as JSON).strings == ["k": "v"])
        #expect((["uuid", "x"] as JSON).uuidTexts == ["x"])
        #expect((["map", "nonsense"] as JSON).strings == [:])
    }
}
