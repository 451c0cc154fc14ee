// Limits the packet-ins of one controller (`Controller.controller_rate_limit`).
//
// A token bucket lets so many a second pass, and bursts of so many at once. What has to wait is queued by input port, and
// ports take turns, so that one busy port does not keep the others' packets away. When the queue is full the longest port's
// oldest packet goes.

public import Base
internal import Flow

/// Packet-ins that wait for their turn.
public struct PacketInScheduler: Sendable {
    /// The smallest rate, in packets a second, and the smallest burst that may be configured.
    public static let minimumRate = 100
    public static let minimumBurst = 25
    /// Packets that may wait, unless configured.
    public static let defaultQueueSize = 100
    /// The largest rate and burst; whoever asks for more gets this, which is no limit.
    private static let maximum = Int(UInt32.max)
    /// What a packet costs, so that tokens can be counted by the millisecond.
    private static let packetCost: UInt64 = 1000

    private var rate: UInt64
    private var burst: UInt64
    private var queueSize: Int
    private var tokens: UInt64
    private var filled: Instant
    private var queues: [OpenFlowPort: [PacketIn]] = [:]
    /// The ports with packets, the next one first.
    private var turns: [OpenFlowPort] = []

    /// Packets that wait.
    public private(set) var backlog = 0
    /// Packets that passed at once, that waited, and that were dropped.
    public private(set) var bypassedCount: UInt64 = 0
    public private(set) var queuedCount: UInt64 = 0
    public private(set) var droppedCount: UInt64 = 0

    /// - Parameters:
    ///   - rate: packets a second.
    ///   - burst: packets at once; 0 is a quarter of the rate.
    ///   - queueSize: packets that may wait; 0 is the default.
    public init(rate: Int, burst: Int, queueSize: Int, now: Instant) {
        self.rate = 0
        self.burst = 0
        self.queueSize = 0
        filled = now
        tokens = 0
        set(rate: rate, burst: burst, queueSize: queueSize)
        tokens = self.burst * PacketInScheduler.packetCost
    }

    /// Changes the limits; what waits goes on waiting.
    public mutating func set(rate: Int, burst: Int, queueSize: Int) {
        let rate = min(max(rate, PacketInScheduler.minimumRate), PacketInScheduler.maximum)
        self.rate = UInt64(rate)
        self.burst = UInt64(min(max(burst > 0 ? burst : rate / 4, PacketInScheduler.minimumBurst), PacketInScheduler.maximum))
        self.queueSize = queueSize > 0 ? queueSize : PacketInScheduler.defaultQueueSize
        tokens = min(tokens, self.burst * PacketInScheduler.packetCost)
    }

    private mutating func fill(_ now: Instant) {
        let elapsed = now.milliseconds(since: filled)
        guard elapsed > 0 else { return }
        filled = filled.adding(milliseconds: elapsed)
        tokens = min(burst * PacketInScheduler.packetCost, tokens &+ min(elapsed, 3_600_000) * rate)
    }

    /// Takes a packet; gives it back if it may be sent at once.
    public mutating func admit(_ packet: PacketIn, now: Instant) -> PacketIn? {
        fill(now)
        if backlog == 0, tokens >= PacketInScheduler.packetCost {
            tokens -= PacketInScheduler.packetCost
            bypassedCount += 1
            return packet
        }
        if backlog >= queueSize { dropFromLongest() }
        let port = packet.inPort
        if queues[port] == nil { turns.append(port) }
        queues[port, default: []].append(packet)
        backlog += 1
        queuedCount += 1
        return nil
    }

    private mutating func dropFromLongest() {
        guard let longest = queues.max(by: { ($0.value.count, $0.key.rawValue) < ($1.value.count, $1.key.rawValue) })?.key else { return }
        _ = take(from: longest)
        droppedCount += 1
    }

    private mutating func take(from port: OpenFlowPort) -> PacketIn? {
        guard let packet = queues[port]?.removeFirst() else { return nil }
        backlog -= 1
        if queues[port]?.isEmpty == true {
            queues[port] = nil
            turns.removeAll { $0 == port }
        }
        return packet
    }

    /// The packets whose turn has come.
    public mutating func takeDue(now: Instant) -> [PacketIn] {
        fill(now)
        var due: [PacketIn] = []
        while backlog > 0, tokens >= PacketInScheduler.packetCost {
            let port = turns.removeFirst()
            turns.append(port)
            guard let packet = take(from: port) else { break }
            tokens -= PacketInScheduler.packetCost
            due.append(packet)
        }
        return due
    }

    /// Everything that waits, whatever the rate.
    mutating func takeAll() -> [PacketIn] {
        defer {
            queues = [:]
            turns = []
            backlog = 0
        }
        return turns.flatMap { queues[$0] ?? [] }
    }

    /// When the next packet's turn comes; nil if none waits.
    public var nextDeadline: Instant? {
        guard backlog > 0 else { return nil }
        if tokens >= PacketInScheduler.packetCost { return filled }
        return filled.adding(milliseconds: (PacketInScheduler.packetCost - tokens + rate - 1) / rate)
    }
}
