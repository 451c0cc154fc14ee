import Base
import OVSDB
import TestSupport
import Testing

@testable import Client

@Suite struct ConfigurationTests {
    @Test func bridgesComeAndGo() throws {
        let host = try SwitchInProcess()
        let database = try host.database()
        #expect(try database.view().bridges.isEmpty)
        #expect(try database.view().bridgeReport.text.contains("apusctl bridge add"))
        let bridge = try host.database().addBridge("br0")
        #expect(bridge.ports.map(\.name) == ["br0"])
        #expect(bridge.ports[0].interfaces[0].ofport == 65534)
        #expect(errorOf { _ = try host.database().addBridge("br0") }?.exitStatus == 1)
        #expect(try host.database().addBridge("br0", mayExist: true).uuid == bridge.uuid)
        try host.database().removeBridge("br0")
        #expect(try database.view().bridges.isEmpty)
        #expect(errorOf { try host.database().removeBridge("br0") } == .unknown(kind: "bridge", name: "br0", known: []))
        try host.database().removeBridge("br0", ifExists: true)
    }

    @Test func portsComeAndGo() throws {
        let host = try SwitchInProcess()
        _ = try host.database().addBridge("br0", isSecure: true)
        let request = PortRequest(
            name: "p1", type: "dpdk", options: ["dpdk-devargs": "net_null0"], tag: 10, trunks: [20, 30], ofport: 5, mtu: 9000)
        let port = try host.database().addPort(request, to: "br0")
        #expect(port.tag == 10 && port.trunks == [20, 30] && port.interfaces[0].options == ["dpdk-devargs": "net_null0"])
        let text = try host.database().view().report(runDirectory: "/x").text
        #expect(
            text.contains("bridge br0") && text.contains("secure") && text.contains("native 10, trunk 20,30")
                && text.contains("dpdk-devargs=net_null0"))
        let json = try host.database().view().portReport(bridge: "br0").json
        #expect(json[1]?["interfaces"]?[0]?["type"] == "dpdk")
        try host.database().removePort("p1", from: "br0")
        #expect(try host.database().view().bridge("br0").ports.map(\.name) == ["br0"])
        try host.database().removePort("p1", from: nil, ifExists: true)
    }

    @Test func whatTheSwitchCannotDoIsAnError() throws {
        let host = try SwitchInProcess()
        _ = try host.database().addBridge("br0")
        let error = errorOf { _ = try host.database().addPort(PortRequest(name: "bad0", type: "tap"), to: "br0") }
        #expect(error == .notApplied("port \"bad0\" is configured, but does not work: no such device"))
        #expect(try host.database().view().portReport(bridge: "br0").text.contains("ERROR: no such device"))
    }

    @Test func aSwitchThatDoesNotFinishIsOutOfTime() throws {
        let host = try SwitchInProcess()
        _ = try host.database().addBridge("br0")
        let error = errorOf { _ = try host.database(timeoutSeconds: 0.2).addPort(PortRequest(name: "slow0", type: "tap"), to: "br0") }
        #expect(error?.exitStatus == 4)
        #expect(error?.description.contains("within 0.2 s") == true)
        #expect(try host.database().view().report(runDirectory: "/x").text.contains("is being carried out"))
    }

    @Test func mistakesAreNamedAndTheLikelyNameSuggested() throws {
        let host = try SwitchInProcess()
        _ = try host.database().addBridge("bridge0")
        _ = try host.database().addBridge("lan")
        _ = try host.database().addPort(PortRequest(name: "vhost1", type: "dpdkvhostuser"), to: "lan")
        func text(_ body: () throws -> Void) -> String { errorOf(body)?.description ?? "none" }
        #expect(
            text { _ = try host.database().addPort(PortRequest(name: "p"), to: "brigde0") }
                == "there is no bridge \"brigde0\"; did you mean \"bridge0\"?")
        #expect(
            text { _ = try host.database().addPort(PortRequest(name: "p"), to: "zzz") }
                == "there is no bridge \"zzz\"; there are bridge0, lan")
        #expect(
            text { _ = try host.database().addPort(PortRequest(name: "p", type: "dpdkvhostusr"), to: "lan") }.contains(
                "did you mean \"dpdkvhostuser\"?"))
        #expect(text { try host.database().removePort("vhots1", from: nil) }.contains("did you mean \"vhost1\"?"))
        #expect(
            text { try host.database().removePort("vhost1", from: "bridge0") } == "port \"vhost1\" is on bridge \"lan\", not on \"bridge0\""
        )
        #expect(text { try host.database().removePort("lan", from: nil) }.contains("`apusctl bridge del lan`"))
        #expect(
            text { _ = try host.database().addPort(PortRequest(name: "vhost1", type: "tap"), to: "bridge0") }.contains(
                "on bridge \"lan\" already"))
        #expect(text { _ = try host.database().addPort(PortRequest(name: "", type: "tap"), to: "lan") }.contains("at least one character"))
        #expect(text { _ = try host.database().addPort(PortRequest(name: "p", tag: 5000), to: "lan") }.contains("the database refuses"))
        #expect(text { _ = try host.database().view().portReport(bridge: "la") }.contains("\"lan\""))
        #expect(
            text { _ = try PortStatistics(try host.database().view(), bridge: nil, port: "vhost2") }.contains("did you mean \"vhost1\"?"))
    }

    @Test func withoutASwitchTheErrorSaysHowToStartOne() {
        let directory = SwitchDirectory(path: "/nonexistent/apus/", clock: Clock(), timeoutSeconds: 1)
        let error = errorOf { _ = try DatabaseClient(directory) }
        #expect(error == .notRunning(runDirectory: "/nonexistent/apus"))
        #expect(error?.exitStatus == 3)
        #expect(error?.description.contains("apusd --rundir /nonexistent/apus") == true)
        #expect(errorOf { _ = try ControlClient(directory) } == .notRunning(runDirectory: "/nonexistent/apus"))
        let long = SwitchDirectory(path: "/" + String(repeating: "x", count: 120), clock: Clock(), timeoutSeconds: 1)
        #expect(errorOf { _ = try DatabaseClient(long) }?.description.contains("a Unix socket's may have 107") == true)
    }

    @Test func aServerThatSaysNothingOrNonsense() throws {
        let directory = TemporaryDirectory()
        let socket = try listenAt(directory.file("db.sock"))
        defer { socket.end() }
        let silent = SwitchDirectory(path: directory.path, clock: Clock(), timeoutSeconds: 0.2)
        #expect(errorOf { _ = try DatabaseClient(silent).view() }?.exitStatus == 4)
        socket.answer = Array("garbage".utf8)
        let other = SwitchDirectory(path: directory.path, clock: Clock(), timeoutSeconds: 5)
        #expect(errorOf { _ = try DatabaseClient(other).view() }?.description.contains("not JSON-RPC") == true)
        socket.answer = []
        #expect(errorOf { _ = try DatabaseClient(other).view() }?.description.contains("closed the connection before it answered") == true)
    }

    @Test func controlCommandsAndTheirRefusals() throws {
        let host = try SwitchInProcess()
        #expect(try ControlClient(host.directory()).run("version") == "apusd (Apus) test\n")
        #expect(
            errorOf { _ = try ControlClient(host.directory()).run("nosuch") }?.description.hasPrefix("\"nosuch\" is not a valid command")
                == true)
        let flows = ControlReports.datapathFlows(try ControlClient(host.directory()).run("dpctl/dump-flows", ["--names"]))
        #expect(
            flows.json[0]?["packets"] == 3 && flows.json[0]?["actions"] == "2"
                && flows.json[0]?["match"]?.string?.contains("in_port(p1)") == true)
    }
}
