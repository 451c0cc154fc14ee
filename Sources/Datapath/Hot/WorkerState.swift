// What one thread of the datapath works with: plain memory, touched by nobody else unless said so.
//
// ## Thread safety
// A worker's state belongs to its thread. Others read its statistics, port counters and flow counters, which are single
// words written by relaxed stores; they replace `pollList` by an atomic store and free the old one after a grace period; they consume
// its punt and upcall rings. Flow counters of an entry are zeroed by the maintenance thread while no reader can reach the entry.

internal import Base
internal import CDPDK
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

/// Names of a worker's statistics, as word indices.
enum WorkerCounter {
    static var iterations: Int { @_noLocks @inline(__always) get { 0 } }
    static var busyCycles: Int { @_noLocks @inline(__always) get { 1 } }
    static var idleCycles: Int { @_noLocks @inline(__always) get { 2 } }
    static var sleepCycles: Int { @_noLocks @inline(__always) get { 3 } }
    static var sleeps: Int { @_noLocks @inline(__always) get { 4 } }
    static var received: Int { @_noLocks @inline(__always) get { 5 } }
    static var recirculated: Int { @_noLocks @inline(__always) get { 6 } }
    static var cacheHits: Int { @_noLocks @inline(__always) get { 7 } }
    static var megaflowHits: Int { @_noLocks @inline(__always) get { 8 } }
    static var missed: Int { @_noLocks @inline(__always) get { 9 } }
    static var subtableProbes: Int { @_noLocks @inline(__always) get { 10 } }
    static var upcalls: Int { @_noLocks @inline(__always) get { 11 } }
    static var lostUpcalls: Int { @_noLocks @inline(__always) get { 12 } }
    static var uninstalledUpcalls: Int { @_noLocks @inline(__always) get { 13 } }
    static var deferredUpcalls: Int { @_noLocks @inline(__always) get { 14 } }
    static var transmittedBatches: Int { @_noLocks @inline(__always) get { 15 } }
    static var transmittedPackets: Int { @_noLocks @inline(__always) get { 16 } }
    static var puntsLost: Int { @_noLocks @inline(__always) get { 17 } }
    static var cacheSlots: Int { @_noLocks @inline(__always) get { 18 } }
    static var busyIterations: Int { @_noLocks @inline(__always) get { 19 } }
    /// Cycles that translations took, and how many took so many: word n counts those of 2^n to 2^(n+1) - 1 cycles.
    static var upcallCycles: Int { @_noLocks @inline(__always) get { 20 } }
    static var upcallLatency: Int { @_noLocks @inline(__always) get { 40 } }
    static var latencyBins: Int { @_noLocks @inline(__always) get { 32 } }
    /// Bursts by their number of packets: word n counts those of 2^n to 2^(n+1) - 1.
    static var burstSizes: Int { @_noLocks @inline(__always) get { 32 } }
    static var burstBins: Int { @_noLocks @inline(__always) get { 6 } }
    /// Of every 64th burst: its packets, and the cycles of its stages. Transmission is that of its full batches, or of the flush.
    static var sampledPackets: Int { @_noLocks @inline(__always) get { 72 } }
    static var stageReceive: Int { @_noLocks @inline(__always) get { 73 } }
    static var stageExtract: Int { @_noLocks @inline(__always) get { 74 } }
    static var stageLookup: Int { @_noLocks @inline(__always) get { 75 } }
    static var stageUpcalls: Int { @_noLocks @inline(__always) get { 76 } }
    static var stageActions: Int { @_noLocks @inline(__always) get { 77 } }
    static var stageTransmit: Int { @_noLocks @inline(__always) get { 78 } }
    static var count: Int { @_noLocks @inline(__always) get { 80 } }
}

/// A port's counters in one thread, as word indices. Every packet received ends in exactly one of `forwarded`, `punted`
/// and `drops + reason` of its input port.
enum PortCounter {
    static var receivedPackets: Int { @_noLocks @inline(__always) get { 0 } }
    static var receivedBytes: Int { @_noLocks @inline(__always) get { 1 } }
    static var sentPackets: Int { @_noLocks @inline(__always) get { 2 } }
    static var sentBytes: Int { @_noLocks @inline(__always) get { 3 } }
    /// Attempts to send by this port that failed, whatever became of the packet elsewhere.
    static var sendFailures: Int { @_noLocks @inline(__always) get { 4 } }
    /// Received by this port and sent at least once.
    static var forwarded: Int { @_noLocks @inline(__always) get { 5 } }
    /// Received by this port and taken by the control plane, but sent nowhere.
    static var punted: Int { @_noLocks @inline(__always) get { 6 } }
    /// No count: the port's clock in the sharing of the thread's time, in cycles (see `Burst.pollOnce`).
    static var turn: Int { @_noLocks @inline(__always) get { 7 } }
    static var drops: Int { @_noLocks @inline(__always) get { 8 } }
    static var count: Int { @_noLocks @inline(__always) get { 32 } }
}

/// Where a packet that goes to several places stands. `meta` of each of its copies names it.
struct Fate {
    /// Copies (and the program that makes them) whose outcome is open.
    var pending: UInt32
    var inPort: UInt32
    /// Bit 0: sent once; bit 1: punted once.
    var outcome: UInt8
    var reason: UInt8
    @_noLocks @inline(__always)
    init(inPort: UInt32, reason: UInt8) {
        pending = 1
        self.inPort = inPort
        outcome = 0
        self.reason = reason
    }

    static var sent: UInt8 { @_noLocks @inline(__always) get { 1 } }
    static var punted: UInt8 { @_noLocks @inline(__always) get { 2 } }
    /// In `meta`: the rest is a fate's number; without it, the input port.
    static var flag: UInt32 { @_noLocks @inline(__always) get { 1 << 31 } }
}

/// What goes with a packet while its group's actions are carried out.
struct PacketInfo {
    /// Its input port, or its fate (`Fate.flag`).
    var meta: UInt32
    /// Its place in the burst: its key is there.
    var origin: UInt32
    /// Where its headers are by now.
    var headers: ExtractResult

    @_noLocks @inline(__always)
    init(meta: UInt32, origin: UInt32, headers: ExtractResult) {
        self.meta = meta
        self.origin = origin
        self.headers = headers
    }
}

/// What is known of the burst at work as a whole.
struct BurstTraits {
    /// Whether all packets were received by one port, and are on their first pass.
    var isOfOnePort: Bool
    /// Whether all keys have line 0 alone, their port's `commonWord` in it, L3 at byte 14, and no metadata.
    var isCommon: Bool
    /// Whether every packet is one segment that nobody else holds.
    var isExclusive: Bool
    /// The longest frame's bytes.
    var longest: UInt32
    /// All frames' bytes, and their TCP flags together (`isOfOnePort` only).
    var bytes: UInt64
    var tcpFlags: UInt16

    @_noLocks @inline(__always)
    init(isOfOnePort: Bool, isCommon: Bool, isExclusive: Bool, longest: UInt32, bytes: UInt64, tcpFlags: UInt16) {
        self.isOfOnePort = isOfOnePort
        self.isCommon = isCommon
        self.isExclusive = isExclusive
        self.longest = longest
        self.bytes = bytes
        self.tcpFlags = tcpFlags
    }

    /// Nothing is known.
    @_noLocks @inline(__always)
    init() { self.init(isOfOnePort: false, isCommon: false, isExclusive: false, longest: .max, bytes: 0, tcpFlags: 0) }

    /// Word 0 of the keys of whole IPv4 packets that came in by `port`.
    @_noLocks @inline(__always)
    static func commonWord(_ port: UInt32) -> UInt64 { UInt64(port.bigEndian) | 0x0008 << 32 }
    /// The flags of a packet whose buffer is not its own.
    static var attached: UInt64 { @_noLocks @inline(__always) get { 3 << 61 } }
}

/// Packets on their way out by one port.
struct TransmitBatch {
    var count: UInt32
    /// Whether a packet's meta names a fate.
    var hasFates: Bool
    /// Whether the packets have different metas, each in its `hash_high`; else all have `meta`.
    var isMixed: Bool
    var meta: UInt32
    /// Bytes of all packets.
    var bytes: UInt64
    /// The longest frame that the port takes; good, like the record, while there is anything in the batch.
    var longest: UInt32
    /// What packets need not be finished for the port (`CDPDK_OFFLOAD_*`); good as `longest` is.
    var offloads: UInt32
    var record: UnsafeMutableRawPointer?
}

/// The port record that readers see: 64 bytes of header, then one `TxQueueHandle` a thread.
enum PortRecord {
    /// Bit 0: packets may be sent.
    static var flags: Int { @_noLocks @inline(__always) get { 4 } }
    /// `PolicerRecord`s, or nil: of what comes in, and of what goes out.
    static var ingressPolicer: Int { @_noLocks @inline(__always) get { 8 } }
    static var egressPolicer: Int { @_noLocks @inline(__always) get { 16 } }
    static var queues: Int { @_noLocks @inline(__always) get { 64 } }

    @_noLocks @inline(__always)
    static func queue(_ record: UnsafeMutableRawPointer, _ thread: Int) -> UnsafeMutablePointer<TxQueueHandle> {
        (record + queues).assumingMemoryBound(to: TxQueueHandle.self) + thread
    }
}

/// What is counted of a receive queue where it is polled; read by others.
enum QueueCounter {
    static var packets: Int { @_noLocks @inline(__always) get { 0 } }
    static var cycles: Int { @_noLocks @inline(__always) get { 1 } }
    static var count: Int { @_noLocks @inline(__always) get { 8 } }
}

/// One queue to poll.
struct PollEntry {
    var handle: RxQueueHandle
    var port: UInt32
    var counters: AtomicWord
    /// When (TSC) it is polled again, and when its latest burst was over. Of the thread that polls.
    var restsUntil: UInt64 = 0
    var latestBurst: UInt64 = 0
}

/// A list of queues to poll: word 0 their number, from byte 64 on the entries.
enum PollList {
    static var entries: Int { @_noLocks @inline(__always) get { 64 } }
    @_noLocks @inline(__always)
    static func count(_ list: UnsafeMutableRawPointer) -> Int { list.load(as: Int.self) }
    @_noLocks @inline(__always)
    static func entry(_ list: UnsafeMutableRawPointer, _ index: Int) -> UnsafeMutablePointer<PollEntry> {
        (list + entries).assumingMemoryBound(to: PollEntry.self) + index
    }
}

/// A packet that waits for its next pass.
struct Recirculation {
    var packet: Packet
    var meta: UInt32
    var inPort: UInt32
    var id: UInt32
    var depth: UInt8

    @_noLocks @inline(__always)
    init(packet: Packet, meta: UInt32, inPort: UInt32, id: UInt32, depth: UInt8) {
        self.packet = packet
        self.meta = meta
        self.inPort = inPort
        self.id = id
        self.depth = depth
    }
}

/// A punted packet in its ring.
enum PuntRecord {
    static var packet: Int { @_noLocks @inline(__always) get { 0 } }
    static var token: Int { @_noLocks @inline(__always) get { 8 } }
    static var totalLength: Int { @_noLocks @inline(__always) get { 12 } }
    static var maxLength: Int { @_noLocks @inline(__always) get { 16 } }
    static var key: Int { @_noLocks @inline(__always) get { 32 } }
    static var bytes: Int { @_noLocks @inline(__always) get { 32 + 320 } }
}

/// A packet in the ring to the handler thread.
enum DeferredRecord {
    static var packet: Int { @_noLocks @inline(__always) get { 0 } }
    static var inPort: Int { @_noLocks @inline(__always) get { 8 } }
    static var recirculation: Int { @_noLocks @inline(__always) get { 12 } }
    static var depth: Int { @_noLocks @inline(__always) get { 16 } }
    static var bytes: Int { @_noLocks @inline(__always) get { 24 } }
}

/// A group of a burst's packets: those that one megaflow covers.
struct Group {
    /// Entry number, or `transientFlag` and the number of a program that was not installed.
    var entry: UInt32
    var count: UInt32
    var start: UInt32
    var tcpFlags: UInt32
    var bytes: UInt64

    @_noLocks @inline(__always)
    init(entry: UInt32) {
        self.entry = entry
        count = 0
        start = 0
        tcpFlags = 0
        bytes = 0
    }

    static var transientFlag: UInt32 { @_noLocks @inline(__always) get { 1 << 31 } }
}

/// A decision that was not installed, for the packets of one burst.
struct TransientProgram {
    var ops: UnsafeMutablePointer<ActionOp>
    var count: Int
    var flags: UInt8
    var packets: UInt64
    var bytes: UInt64
    var tcpFlags: UInt16
}

struct WorkerState {
    var shared: UnsafePointer<SharedState>
    var quiescent: QuiescentState
    /// Its slot: index of transmit queues and of the quiescent state.
    var slot: Int
    /// `Unmanaged<MissHandler>`; only the miss path looks into it.
    var missHandler: UnsafeMutableRawPointer
    /// The clock's time as of the last look, in nanoseconds.
    var now: UInt64
    /// The dependencies' sequence as of this burst.
    var sequence: UInt64

    // The burst. Arrays of `DatapathLimits.burst`.
    var packets: PacketBurst
    var metas: UnsafeMutablePointer<UInt32>
    var inPorts: UnsafeMutablePointer<UInt32>
    var recirculations: UnsafeMutablePointer<UInt32>
    var lengths: UnsafeMutablePointer<UInt32>
    var found: UnsafeMutablePointer<UInt32>
    var hashes: UnsafeMutablePointer<UInt64>
    var headers: UnsafeMutablePointer<ExtractResult>
    var depths: UnsafeMutablePointer<UInt8>
    /// A packet's way through the lookup: 0 found by neither yet, else `LookupState`.
    var misses: UnsafeMutablePointer<UInt8>
    /// What the stages know of the burst as a whole.
    var burst: BurstTraits
    /// The port that `metas` and `inPorts` name all over, with no recirculations; 0: they differ.
    var filledPort: UInt32
    /// Whether all of the burst was found and can take the short way (`actLightly`), and the entry if it is the same for all.
    var isLight: Bool
    var onlyEntry: UInt32
    /// Keys of 320 bytes.
    var keys: UnsafeMutableRawPointer

    // Grouping
    var groups: UnsafeMutablePointer<Group>
    var groupCount: Int
    var packetGroups: UnsafeMutablePointer<UInt8>
    /// 64 slots of stamp << 40 | group << 32 | entry.
    var groupSlots: UnsafeMutablePointer<UInt64>
    var stamp: UInt64
    /// Per nesting level: the packets of the group at work, and what goes with them.
    var levelPackets: PacketBurst
    var levelInfos: UnsafeMutablePointer<PacketInfo>
    var transients: UnsafeMutablePointer<TransientProgram>
    var transientCount: Int
    /// What packets take of a token bucket, and which of a meter's bands has them. Good within one call.
    var amounts: UnsafeMutablePointer<UInt32>
    var verdicts: UnsafeMutablePointer<UInt8>

    // Recirculation
    var recirculationQueue: UnsafeMutablePointer<Recirculation>
    var recirculationCount: Int
    var recirculationBudget: Int

    // Fates
    var fates: UnsafeMutablePointer<Fate>
    var freeFates: UnsafeMutablePointer<UInt32>
    var freeFateCount: Int

    // Flow cache
    var cache: UnsafeMutableRawPointer
    var cacheMask: UInt64
    var cacheVictim: UInt32
    /// Of so many flows one is inserted; 1 unless the cache is being scanned or the setting says so, 0: the cache is not used.
    var cacheInsertInverse: UInt32
    /// Since the last look at whether the cache is being scanned or should grow.
    var cacheLookups: UInt64
    var cacheFound: UInt64
    var cacheReplaced: UInt64

    // Transmission
    var batches: UnsafeMutablePointer<TransmitBatch>
    var batchPackets: PacketBurst
    var batchMetas: UnsafeMutablePointer<UInt32>
    /// Ports whose batches are not empty.
    var dirtyPorts: UnsafeMutablePointer<UInt32>
    var dirtyCount: Int
    /// How long packets may wait in batches, in cycles (0: not at all), and since when some do (0: none).
    var flushCycles: UInt64 = 0
    var waitingSince: UInt64 = 0
    /// The poll list of the latest round.
    var latestList: UnsafeMutableRawPointer?

    // Towards others
    var punts: RecordRing
    var puntsProduced: Bool
    /// A ring for each handler thread there can be, how many there are, and which of them got something (bits).
    var deferred: UnsafeMutablePointer<RecordRing>
    var handlerCount: UInt32 = 1
    var deferredProduced: UInt8
    /// The port that the latest burst came from, and how many bursts before it came from there without one of another port
    /// in between (counted up to `DatapathLimits.soloBursts`).
    var burstPort: UInt32 = 0
    /// Rounds of polling, and the cycle counter when the latest burst, or the latest round, was over.
    var pollRounds: UInt32 = 0
    var lastCycles: UInt64 = 0
    /// The clock of the slowest port that had packets in the last round: see `Burst.pollOnce`.
    var shareFloor: UInt64 = 0
    /// Bursts so far, and whether the one at work is a sample whose stages are timed.
    var bursts: UInt32 = 0
    var isSampled = false
    var soloBursts: Int = 0
    /// By port: packets of it handed to the handler; and, written by the handler, taken out.
    var deferredByPort: UnsafeMutablePointer<UInt32>
    var handledByPort: AtomicWord

    // Read by others
    var statistics: AtomicWord
    var portCounters: AtomicWord
    var flowCounters: UnsafeMutableRawPointer
    /// The `PollList`.
    var pollList: AtomicPointer

    @_noLocks @inline(__always)
    func portCounter(_ port: UInt32, _ counter: Int) -> AtomicWord {
        portCounters + (Int(truncatingIfNeeded: port) &* PortCounter.count &+ counter)
    }

    @_noLocks @inline(__always)
    func key(_ index: Int) -> UnsafeMutableRawPointer { keys + index &* FlowLayout.keyBytes }

    /// The lines that packet `index`'s key has.
    @_noLocks @inline(__always)
    func lines(_ index: Int) -> UInt8 { headers[index].lineBits }
}

/// How a packet fared in the lookup.
enum LookupState {
    static var found: UInt8 { @_noLocks @inline(__always) get { 0 } }
    /// Not found, or stale: to be translated.
    static var missed: UInt8 { @_noLocks @inline(__always) get { 1 } }
    /// To be looked for in the megaflow table.
    static var unresolved: UInt8 { @_noLocks @inline(__always) get { 2 } }
    /// Gone already (dropped, or handed to the handler).
    static var gone: UInt8 { @_noLocks @inline(__always) get { 3 } }
}

typealias Worker = UnsafeMutablePointer<WorkerState>

/// Adds to a counter that only this thread writes.
@_noLocks @inline(__always)
func bump(_ counter: AtomicWord, _ amount: UInt64) {
    counter.pointee.store(counter.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
}
