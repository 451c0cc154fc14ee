import CDPDK
import Glibc
import Netdev
import Testing

/// One round of a forwarding loop, as PMD threads do it: proves too that handles are usable from `@_noLocks` code of
/// another module.
@_noLocks
func forward(_ rx: RxQueueHandle, _ tx: TxQueueHandle, _ burst: PacketBurst) -> UInt16 {
    let received = rx.receive(into: burst, limit: 32)
    var taken: UInt16 = 0
    if received > 0 { taken = tx.transmit(burst, count: received) }
    if taken < received { cdpdk_mbuf_free_bulk(burst + Int(taken), received &- taken) }
    return received
}

func withBurst<Result>(_ body: (PacketBurst) throws -> Result) rethrows -> Result {
    try withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<cdpdk_mbuf>.self, capacity: 64) { try body($0.baseAddress!) }
}

@Suite struct DummyPortTests {
    @Test func framesPassFromInjectToTakeTransmitted() throws {
        let left = try DummyPort(NetdevConfiguration(name: "left", kind: .dummy))
        let right = try DummyPort(NetdevConfiguration(name: "right", kind: .dummy))
        let frames = (0..<100).map { index in (0..<(60 + index * 14)).map { UInt8(truncatingIfNeeded: $0 &+ index) } }
        for frame in frames { #expect(left.inject(frame)) }
        let moved = withBurst { burst in
            var total = 0
            while case let n = forward(left.rxQueue(0), right.txQueue(0, threads: 1), burst), n > 0 { total += Int(n) }
            return total
        }
        #expect(moved == 100)
        #expect(right.takeTransmitted() == frames)
        #expect(left.statistics().rxPackets == 100)
        #expect(left.statistics().rxBytes == UInt64(frames.reduce(0) { $0 + $1.count }))
        #expect(right.statistics().txPackets == 100)
        left.close()
        right.close()
    }

    @Test func aDeviceRecordsWhatItSendsAndIsWaitedFor() throws {
        let path = "/tmp/apus-dummy-\(getpid()).pcap"
        defer { unlink(path) }
        let left = try DummyPort(NetdevConfiguration(name: "left", kind: .dummy), mode: .device)
        let right = try DummyPort(NetdevConfiguration(name: "right", kind: .dummyPMD, options: ["tx_pcap": path]), mode: .device)
        #expect(left.rxQueue(0).descriptor >= 0)
        #expect(right.rxQueue(0).descriptor < 0)
        let frame = [UInt8](repeating: 7, count: 60)
        #expect(left.inject(frame))
        let moved = withBurst { forward(left.rxQueue(0), right.txQueue(0, threads: 1), $0) }
        #expect(moved == 1)
        #expect(withBurst { forward(left.rxQueue(0), right.txQueue(0, threads: 1), $0) } == 0)
        #expect(right.statistics().txPackets == 1)
        #expect(!right.statistics().named.contains { $0.name == "tx_dropped" })
        left.close()
        right.close()
        let file = fopen(path, "r")!
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 200)
        #expect(fread(&bytes, 1, 200, file) == 24 + 16 + 60)
        #expect(Array(bytes[40..<100]) == frame)
    }

    @Test func streamsCarryPackets() throws {
        let path = "/tmp/apus-dummy-\(getpid()).sock"
        let left = try DummyPort(
            NetdevConfiguration(name: "left", kind: .dummy, options: ["pstream": "punix:\(path)"]), mode: .device)
        let right = try DummyPort(
            NetdevConfiguration(name: "right", kind: .dummy, options: ["stream": "unix:\(path)"]), mode: .device)
        for _ in 0..<2000 where right.streamState != "connected" { usleep(1000) }
        #expect(right.streamState == "connected")
        #expect(left.streamState == "unknown")
        #expect(right.inject([UInt8](repeating: 1, count: 60)))
        #expect(withBurst { forward(right.rxQueue(0), right.txQueue(0, threads: 1), $0) } == 1)
        for _ in 0..<2000 where left.pendingReceive() == 0 { usleep(1000) }
        #expect(left.pendingReceive() == 1)
        right.close()
        left.close()
    }
}
