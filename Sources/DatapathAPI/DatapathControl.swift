// What the switch and the pipeline ask of a running datapath.

public import Base
public import Flow

/// A port's counters, in packets and bytes since it was added.
public struct PortCounters: Sendable, Equatable {
    public var receivedPackets: UInt64 = 0
    public var receivedBytes: UInt64 = 0
    public var sentPackets: UInt64 = 0
    public var sentBytes: UInt64 = 0
    /// Attempts to send by this port that failed, whatever became of the packet elsewhere.
    public var sendFailures: UInt64 = 0
    /// Received by this port and sent at least once, by whatever port. Once nothing is on its way any more,
    /// `receivedPackets` is the sum of this, `puntedPackets` and `drops`.
    public var forwardedPackets: UInt64 = 0
    /// Received by this port and taken by the control plane, but sent nowhere.
    public var puntedPackets: UInt64 = 0
    /// Packets that came in by this port and did not leave, by `DropReason.rawValue`.
    public var drops: [UInt64] = Array(repeating: 0, count: DropReason.allCases.count)
    public init() {}
}

/// A megaflow as `dpctl/dump-flows` shows it.
public struct MegaflowSnapshot: Sendable {
    public var match: Match
    public var actions: [DatapathAction]
    public var packets: UInt64
    public var bytes: UInt64
    /// Nil if it was never hit after it was installed.
    public var lastUsed: Instant?
    public var tcpFlags: UInt16
    /// Of `packets` and `bytes`: those that were misses and led to the megaflow. The field's switch does not count them.
    public var missedPackets: UInt64 = 0
    public var missedBytes: UInt64 = 0
    /// The packet that led to it, if such are kept.
    public var packet: FlowKey?
    /// The layer below that handles its packets (`dpdk`: a NIC); nil: the datapath itself does.
    public var hardwareLayer: String?
    public init(match: Match, actions: [DatapathAction], packets: UInt64, bytes: UInt64, lastUsed: Instant?, tcpFlags: UInt16) {
        self.match = match
        self.actions = actions
        self.packets = packets
        self.bytes = bytes
        self.lastUsed = lastUsed
        self.tcpFlags = tcpFlags
    }

    /// Names the flow, in the form of a UUID: flows of different matches have different ones, as good as always.
    public var identifier: String {
        // FNV-1a over the words, once for each half.
        var halves: [UInt64] = [0xcbf2_9ce4_8422_2325, 0x9ae1_6a3b_2f90_404f]
        for word in 0..<40 where match.mask.bits.words[word] != 0 {
            for value in [UInt64(word), match.key.words[word] & match.mask.bits.words[word], match.mask.bits.words[word]] {
                for half in halves.indices {
                    halves[half] = (halves[half] ^ value) &* 0x100_0000_01b3
                    halves[half] ^= halves[half] >> 29
                }
            }
        }
        func digits(_ value: UInt64, _ count: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: count - text.count) + text
        }
        let (high, low) = (halves[0], halves[1])
        return digits(high >> 32, 8) + "-" + digits(high >> 16 & 0xffff, 4) + "-" + digits(high & 0xffff, 4) + "-"
            + digits(low >> 48, 4) + "-" + digits(low & 0xffff_ffff_ffff, 12)
    }
}

/// The datapath, as the pipeline and the switch see it once it runs.
///
/// ## Thread safety
/// All members may be called from any thread but a PMD thread.
public protocol DatapathControl: AnyObject, Sendable {
    /// Carries actions out on a packet of the control plane's own (packet-out). `inPort` is the input port that further
    /// passes see (`recirculate`); as it did not receive the packet, what becomes of it is counted under port 0.
    func execute(packet: [UInt8], inPort: DatapathPort, actions: [DatapathAction])

    /// Counters of a port; nil if there is none.
    func counters(of port: DatapathPort) -> PortCounters?

    /// The megaflows, as of now; those that were deleted while looking may be missing.
    func megaflows() -> [MegaflowSnapshot]

    /// Hands all counts since the last time to the translator (`credit`) before it returns, so that flow statistics and
    /// idle timeouts are exact. The caller holds no lock that `credit` takes.
    func pushStatistics()

    /// Marks the megaflows that changes of rules may concern, and sees to it that decisions under way are looked at too.
    /// The changes are visible to translations already.
    ///
    /// - Returns: false if nothing was done: the caller must stamp what the changes concern. That is so where looking
    ///   would cost more than it saves.
    func invalidate(_ changes: [TableChange]) -> Bool

    /// Takes back from hardware what changes so far have made stale, before they are acknowledged.
    func withdrawStale()

    /// Makes a meter, or changes it: its counts stay, its bands' counts begin anew. `number` is 0 to 262,143.
    func setMeter(_ number: UInt32, _ meter: DatapathMeter)

    /// Takes a meter away. Packets of megaflows that name it still pass.
    func removeMeter(_ number: UInt32)

    /// What a meter counted; nil if there is none.
    func meterCounters(_ number: UInt32) -> DatapathMeterCounters?
}

extension DatapathControl {
    public func invalidate(_ changes: [TableChange]) -> Bool { false }
    public func withdrawStale() {}
    public func setMeter(_ number: UInt32, _ meter: DatapathMeter) {}
    public func removeMeter(_ number: UInt32) {}
    public func meterCounters(_ number: UInt32) -> DatapathMeterCounters? { nil }
}
