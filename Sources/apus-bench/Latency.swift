// How long a packet takes from one guest to another: two virtio-user devices in one process, which sends by the one at a pace
// and takes packets in from the other. Both directions of time are one clock, the TSC.
//
//     apus-bench latency [--rate PACKETS-A-SECOND] [--seconds S] [--cpu N] [--json] SENDER-SOCKET RECEIVER-SOCKET
//
// It makes the sockets; the switch connects (type dpdkvhostuserclient). Without a rate it sends as much as is taken.

internal import CDPDK
internal import CLinux
internal import Glibc
internal import Netdev

struct LatencyBench {
    static let name = "latency"

    /// Packets a second; 0: as many as are taken.
    var rate: Double
    var seconds: Double
    var cpu: Int?
    var sockets: [String]

    struct Result {
        var sent: UInt64 = 0
        var received: UInt64 = 0
        var elapsed = 0.0
        var latencies = CycleHistogram()
    }

    private static let burst = 32
    /// Where the time of sending is in the packet: after the headers of UDP over IPv4. A word of its own says that it is one of ours.
    private static let stampOffset = 42
    private static let markOffset = 50
    private static let mark: UInt64 = 0x6170_7573_6c61_7465

    func run(wantsJSON: Bool) throws {
        // Before DPDK makes threads: they are not to run on the switch's CPU.
        if let cpu { clinux_pin_to_cpu(UInt32(cpu)) }
        DPDKRuntime.configure([
            "dpdk-init": "true", "dpdk-socket-mem": "256",
            "dpdk-extra": "--no-pci --single-file-segments --file-prefix=apus-bench-\(getpid())",
        ])
        var ports: [any Port] = []
        defer { ports.forEach { $0.close() } }
        for (index, socket) in sockets.enumerated() {
            ports.append(
                try Netdev.open(
                    NetdevConfiguration(
                        name: "guest\(index)", kind: .dpdk,
                        options: ["dpdk-devargs": "net_virtio_user\(index),path=\(socket),queues=1,server=1"])))
        }
        cdpdk_thread_register()
        defer { cdpdk_thread_unregister() }
        let (sender, receiver) = (ports[0].txQueue(0, threads: 1), ports[1].rxQueue(0))
        // The switch has to find both sockets first.
        _ = LatencyBench.pass(sender, receiver, seconds: 20, packetsPerSecond: 1000, untilReceived: 100)
        // Without a pause before what counts: a switch that sleeps when idle is not to be woken by it.
        _ = LatencyBench.pass(sender, receiver, seconds: 0.5, packetsPerSecond: rate, isDrained: false)
        let result = LatencyBench.pass(sender, receiver, seconds: seconds, packetsPerSecond: rate)
        guard result.received > 0 else { throw LatencyError.nothingReceived(sent: result.sent) }
        show(result, wantsJSON)
    }

    /// Sends for so long, then waits a little for what is under way. Ends before when `untilReceived` packets have come.
    private static func pass(
        _ sender: TxQueueHandle, _ receiver: RxQueueHandle, seconds: Double, packetsPerSecond: Double, untilReceived: UInt64 = .max,
        isDrained: Bool = true
    ) -> Result {
        var result = Result()
        let frame = Traffic.frame(1)
        let pool = receiver.pool!
        let hertz = Double(cdpdk_tsc_hz())
        let packets = PacketBurst.allocate(capacity: burst)
        defer { packets.deallocate() }
        let start = cdpdk_tsc()
        let end = start &+ UInt64(seconds * hertz)
        let drained = isDrained ? end &+ UInt64(0.02 * hertz) : end
        while true {
            let now = cdpdk_tsc()
            if now > drained || result.received >= untilReceived { break }
            if now < end {
                let due = packetsPerSecond == 0 ? burst : Int(Double(now &- start) / hertz * packetsPerSecond) - Int(result.sent)
                let count = min(burst, due)
                if count > 0 { result.sent += UInt64(send(frame, count, by: sender, from: pool, packets)) }
            }
            let count = Int(receiver.receive(into: packets, limit: UInt16(burst)))
            guard count > 0 else { continue }
            let seen = cdpdk_tsc()
            for index in 0..<count {
                let data = UnsafeRawPointer(cdpdk_mbuf_data(packets[index]))
                guard packets[index].pointee.data_len >= 60, data.loadUnaligned(fromByteOffset: markOffset, as: UInt64.self) == mark else {
                    continue
                }
                let sent = data.loadUnaligned(fromByteOffset: stampOffset, as: UInt64.self)
                // What an earlier pass left under way is not this one's.
                guard sent >= start else { continue }
                result.received += 1
                result.latencies.add(seen &- sent)
            }
            cdpdk_mbuf_free_bulk(packets, UInt16(count))
        }
        result.elapsed = seconds
        return result
    }

    private static func send(
        _ frame: [UInt8], _ count: Int, by sender: TxQueueHandle, from pool: OpaquePointer, _ packets: PacketBurst
    ) -> Int {
        guard cdpdk_mbuf_alloc_bulk(pool, packets, UInt16(count)) else { return 0 }
        let now = cdpdk_tsc()
        for index in 0..<count {
            let data = UnsafeMutableRawPointer(cdpdk_mbuf_append(packets[index], 60)!)
            frame.withUnsafeBytes { data.copyMemory(from: $0.baseAddress!, byteCount: min(60, $0.count)) }
            data.storeBytes(of: now, toByteOffset: stampOffset, as: UInt64.self)
            data.storeBytes(of: mark, toByteOffset: markOffset, as: UInt64.self)
        }
        let taken = Int(sender.transmit(packets, count: UInt16(count)))
        if taken < count { cdpdk_mbuf_free_bulk(packets + taken, UInt16(count - taken)) }
        return taken
    }

    private func show(_ result: Result, _ wantsJSON: Bool) {
        let hertz = Double(cdpdk_tsc_hz())
        func microseconds(_ share: Double) -> String { ApusBench.fixed(Double(result.latencies.value(atMostFor: share)) / hertz * 1e6, 2) }
        let names = [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("maximum", 1)]
        let pps = UInt64(Double(result.received) / result.elapsed)
        let lost = result.sent - min(result.sent, result.received)
        if wantsJSON {
            let values = names.map { "\"\($0.0)\":\(microseconds($0.1))" }.joined(separator: ",")
            print("{\"name\":\"\(LatencyBench.name)\",\"sent\":\(result.sent),\"received_pps\":\(pps),\"lost\":\(lost),\(values)}")
        } else {
            let values = names.map { "\($0.0) \(microseconds($0.1))" }.joined(separator: "  ")
            print("\(LatencyBench.name): sent \(result.sent)  received a second \(pps)  lost \(lost)  us: \(values)")
        }
    }
}

enum LatencyError: Error, CustomStringConvertible {
    case nothingReceived(sent: UInt64)
    var description: String {
        switch self {
        case .nothingReceived(let sent):
            "of \(sent) packets sent none came back within the time: does the switch forward UDP from the first socket's port to the second's?"
        }
    }
}

/// Counts of cycles, 32 bins to each power of two: within 3 % of what was measured.
struct CycleHistogram {
    private var bins = [UInt64](repeating: 0, count: 64 * 32)
    private var count: UInt64 = 0

    mutating func add(_ cycles: UInt64) {
        bins[CycleHistogram.bin(cycles)] += 1
        count += 1
    }

    /// The upper edge of the bin below which `share` (0 to 1) of what was added is.
    func value(atMostFor share: Double) -> UInt64 {
        let wanted = UInt64((Double(count) * share).rounded(.up))
        var sum: UInt64 = 0
        for (bin, number) in bins.enumerated() where number > 0 {
            sum += number
            if sum >= wanted { return CycleHistogram.upperEdge(bin) }
        }
        return 0
    }

    private static func bin(_ cycles: UInt64) -> Int {
        guard cycles >= 32 else { return Int(cycles) }
        let exponent = 63 - cycles.leadingZeroBitCount
        return (exponent - 4) * 32 + Int(cycles >> UInt64(exponent - 5) & 31)
    }

    private static func upperEdge(_ bin: Int) -> UInt64 {
        guard bin >= 32 else { return UInt64(bin) }
        return UInt64(32 + bin % 32 + 1) << UInt64(bin / 32 - 1)
    }
}
