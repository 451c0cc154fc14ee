// A datapath on dummy ports, driven by the test.

import Base
@testable import Datapath
import DatapathAPI
import Flow
import Netdev
import Testing

final class Bench {
    let clock = Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000))
    let translator = RuleTranslator()
    let datapath: Datapath
    var ports: [UInt32: DummyPort] = [:]

    init(ports count: Int, settings: DatapathSettings = Bench.stillSettings, options: [String: String] = [:]) throws {
        datapath = Datapath(translator: translator, clock: clock, versions: translator.versions, settings: settings, seed: 7)
        for number in 1...count { try add(UInt32(number), options: options) }
    }

    static var stillSettings: DatapathSettings {
        var settings = DatapathSettings()
        settings.runsThreads = false
        return settings
    }

    func add(_ number: UInt32, options: [String: String] = [:]) throws {
        let port = try DummyPort(NetdevConfiguration(name: "d\(number)", kind: .dummy, options: options))
        try datapath.addPort(port, number: DatapathPort(number))
        ports[number] = port
    }

    func remove(_ number: UInt32) {
        datapath.removePort(DatapathPort(number))
        ports.removeValue(forKey: number)?.close()
    }

    func run() { while datapath.runOnce() > 0 {} }

    /// Takes out what was sent, by port.
    func sent() -> [UInt32: [[UInt8]]] {
        var result: [UInt32: [[UInt8]]] = [:]
        for (number, port) in ports {
            let frames = port.takeTransmitted()
            if !frames.isEmpty { result[number] = frames }
        }
        return result
    }

    func counters(_ number: UInt32) -> PortCounters { datapath.counters(of: DatapathPort(number))! }

    /// Received = forwarded + punted + dropped, for each port there is.
    func checkAccounting(_ location: SourceLocation = #_sourceLocation) {
        for number in ports.keys.sorted() {
            let c = counters(number)
            #expect(
                c.receivedPackets == c.forwardedPackets + c.puntedPackets + c.drops.reduce(0, +), "port \(number): \(c)",
                sourceLocation: location)
        }
    }

    func close() {
        datapath.shutdown()
        for port in ports.values {
            _ = port.takeTransmitted()
            port.close()
        }
    }
}

/// Frames for tests.
enum Frames {
    static func ethernet(dst: UInt64 = 0x02_0000_0000_02, src: UInt64 = 0x02_0000_0000_01, type: UInt16, payload: [UInt8]) -> [UInt8] {
        bytes(dst, 6) + bytes(src, 6) + bytes(UInt64(type), 2) + payload
    }

    static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }

    /// IPv4 and UDP or TCP, `tag` in the payload; checksums zero.
    static func ip(
        src: UInt32, dst: UInt32, proto: UInt8 = 17, sport: UInt16, dport: UInt16, tag: UInt32 = 0, vlan: UInt16? = nil,
        tcpFlags: UInt8 = 0x10, dstMAC: UInt64 = 0x02_0000_0000_02, srcMAC: UInt64 = 0x02_0000_0000_01, padding: Int = 0
    ) -> [UInt8] {
        var l4 = bytes(UInt64(sport), 2) + bytes(UInt64(dport), 2)
        if proto == 6 {
            l4 += bytes(0, 8) + [0x50, tcpFlags] + bytes(0, 6)
        } else {
            l4 += bytes(12, 2) + bytes(0, 2)
        }
        l4 += bytes(UInt64(tag), 4)
        let header: [UInt8] =
            [0x45, 0] + bytes(UInt64(20 + l4.count), 2) + bytes(0, 4) + [64, proto] + bytes(0, 2) + bytes(UInt64(src), 4)
            + bytes(UInt64(dst), 4)
        let inner = header + l4 + [UInt8](repeating: 0, count: padding)
        guard let vlan else { return ethernet(dst: dstMAC, src: srcMAC, type: 0x0800, payload: inner) }
        return ethernet(dst: dstMAC, src: srcMAC, type: 0x8100, payload: bytes(UInt64(vlan), 2) + bytes(0x0800, 2) + inner)
    }

    static func ipv6(src: UInt128, dst: UInt128, sport: UInt16, dport: UInt16, tag: UInt32) -> [UInt8] {
        func wide(_ value: UInt128) -> [UInt8] {
            bytes(UInt64(truncatingIfNeeded: value >> 64), 8) + bytes(UInt64(truncatingIfNeeded: value), 8)
        }
        let l4 = bytes(UInt64(sport), 2) + bytes(UInt64(dport), 2) + bytes(12, 2) + bytes(0, 2) + bytes(UInt64(tag), 4)
        let header: [UInt8] = [0x60, 0, 0, 0] + bytes(UInt64(l4.count), 2) + [17, 64] + wide(src) + wide(dst)
        return ethernet(type: 0x86dd, payload: header + l4)
    }
}
