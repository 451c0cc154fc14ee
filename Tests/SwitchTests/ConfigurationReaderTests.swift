import Netdev
import OVSDB
import Pipeline
import Testing

@testable import Switch

/// A database of rows written down by hand.
private struct Rows {
    var tables: [String: [UUID: [String: Datum]]] = [:]

    mutating func add(_ table: String, _ columns: [String: Datum]) -> UUID {
        let uuid = UUID(high: UInt64.random(in: 0 ... .max), low: UInt64.random(in: 0 ... .max))
        tables[table, default: [:]][uuid] = columns
        return uuid
    }

    func reader() -> ConfigurationReader {
        ConfigurationReader { name in
            (tables[name] ?? [:]).reduce(into: [:]) { rows, entry in
                rows[entry.key] = ConfigurationRow(uuid: entry.key) { entry.value[$0] ?? .empty }
            }
        }
    }

    /// A root row with one bridge that has one port with these columns.
    static func onePort(
        root: [String: Datum] = [:], bridge: [String: Datum] = [:], port: [String: Datum], interfaces: Int = 1
    ) -> Rows {
        var rows = Rows()
        let members = (0..<interfaces).map { rows.add("Interface", ["name": Datum("p\($0)"), "type": Datum("dummy")]) }
        let portID = rows.add(
            "Port", port.merging(["name": Datum("p"), "interfaces": Datum(uuids: members)]) { given, _ in given })
        let bridgeID = rows.add(
            "Bridge", bridge.merging(["name": Datum("br0"), "ports": Datum(uuids: [portID])]) { given, _ in given })
        _ = rows.add("Open_vSwitch", root.merging(["bridges": Datum(uuids: [bridgeID])]) { given, _ in given })
        return rows
    }
}

@Test func anEmptyDatabaseWantsNothing() {
    var reader = Rows().reader()
    let (global, bridges) = reader.read()
    #expect(global == WantedGlobals())
    #expect(bridges.isEmpty)
    #expect(reader.complaints.isEmpty)
}

@Test(arguments: [
    (["tag": Datum(5)], PortVLANModeName.access), (["trunks": Datum(integers: [1, 2])], .trunk), ([:], .trunk),
    (["tag": Datum(5), "vlan_mode": Datum("native-untagged")], .nativeUntagged),
    (["tag": Datum(5), "vlan_mode": Datum("trunk")], .trunk),
])
func vlanModeFollowsTheTagUnlessItIsSaid(port: [String: Datum], expected: PortVLANModeName) {
    var reader = Rows.onePort(port: port).reader()
    let wanted = reader.read().bridges[0].ports[0]
    #expect(wanted.vlanMode.rawValue == expected.rawValue)
    #expect(wanted.refusal == nil)
}

/// Mirrors the pipeline's names, so that this file need not import it.
enum PortVLANModeName: String { case access, trunk, nativeUntagged = "native-untagged" }

@Test func bondsAreRefusedWithASentence() {
    var reader = Rows.onePort(port: [:], interfaces: 2).reader()
    let refusal = reader.read().bridges[0].ports[0].refusal
    #expect(refusal == "port p has 2 interfaces, but bonds are not supported; give it one")
}

@Test func badValuesAreNamedAndTheDefaultHolds() {
    let root = Datum([
        "pmd-cpu-mask": "xyz", "max-idle": "never", "dpdk-init": "maybe", "pmd-rxq-assign": "best", "flow-limit": "0",
    ])
    var reader = Rows.onePort(root: ["other_config": root], bridge: ["other_config": Datum(["hwaddr": "01:00:00:00:00:01"])], port: [:])
        .reader()
    let (global, bridges) = reader.read()
    #expect(global.pmdCores == nil)
    #expect(global.maxIdleMilliseconds == 10_000)
    #expect(global.dpdkInit == .off)
    #expect(bridges[0].hardwareAddress == nil)
    #expect(reader.complaints.count == 6)
    #expect(reader.complaints.contains { $0.contains("pmd-cpu-mask=xyz") && $0.contains("hexadecimal core mask") })
}

@Test func threadsAndCachesAreTuned() {
    let root = Datum([
        "n-handler-threads": "3", "emc-insert-inv-prob": "0", "tx-flush-interval": "50", "pmd-auto-lb": "false",
        "pmd-auto-lb-rebal-interval": "5", "pmd-auto-lb-load-threshold": "70", "pmd-auto-lb-improvement-threshold": "10",
    ])
    var reader = Rows.onePort(root: ["other_config": root], port: [:]).reader()
    let global = reader.read().global
    #expect(global.handlerThreads == 3 && global.cacheInsertionInverse == 0 && global.txFlushMicroseconds == 50)
    #expect(!global.autoBalance && global.balanceIntervalMinutes == 5)
    #expect(global.balanceLoadThreshold == 70 && global.balanceImprovementThreshold == 10)
    #expect(reader.complaints.isEmpty)
}

@Test func coreMasksNameTheirCores() {
    var reader = Rows.onePort(root: ["other_config": Datum(["pmd-cpu-mask": "0x16"])], port: [:]).reader()
    #expect(reader.read().global.pmdCores == [1, 2, 4])
}

@Test func probesAndWaitsOfControllersAreBounded() {
    let cases: [(Int64, UInt64)] = [(.max, 2_147_483_000), (5999, 5000), (1000, 5000), (999, 0), (-1, 0), (.min, 0)]
    for (interval, probe) in cases {
        var rows = Rows()
        let controller = rows.add(
            "Controller", ["target": Datum("tcp:127.0.0.1"), "inactivity_probe": Datum(interval), "max_backoff": Datum(interval)])
        let bridge = rows.add("Bridge", ["name": Datum("br0"), "controller": Datum(uuids: [controller])])
        _ = rows.add("Open_vSwitch", ["bridges": Datum(uuids: [bridge])])
        var reader = rows.reader()
        let settings = reader.read().bridges[0].connections.controllers[0]
        #expect(settings.probeMilliseconds == probe)
        #expect((1000...UInt64(Int32.max)).contains(settings.maximumBackoffMilliseconds))
    }
}

@Test func keysThatMeanNothingAreNamedInLogAndRow() {
    let rows = Rows.onePort(
        bridge: ["other_config": Datum(["mac-agingtime": "5", "stp-priority": "1"])],
        port: ["other_config": Datum(["bond-hash-basis": "1", "net_uuid": "x", "priority-tags": "always"])])
    var reader = rows.reader()
    _ = reader.read()
    #expect(reader.complaints.count == 3)
    #expect(reader.unsupported[rows.tables["Bridge"]!.keys.first!]?.count == 2)
    #expect(reader.unsupported[rows.tables["Port"]!.keys.first!] == ["other_config:bond-hash-basis: bonds are not supported"])
}

@Test func whatTheSwitchWroteIsNoChange() {
    var rows = Rows.onePort(port: [:])
    var first = rows.reader()
    let interface = rows.tables["Interface"]!.keys.first!
    rows.tables["Interface"]![interface]!["ofport"] = Datum(7)
    var second = rows.reader()
    let (before, after) = (first.read().bridges, second.read().bridges)
    #expect(before == after && after[0].ports[0].interfaces[0].previousOfport.value == 7)
}
