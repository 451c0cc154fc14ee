// Megaflows in hardware.
//
// With `hw-offload`, maintenance gives the hardware of a port the megaflows that are in use there. From then on it handles their
// packets; the datapath does not see them, only their counts, which maintenance fetches. PMD threads have no part in any of this,
// and pay nothing for it.
//
// ## What stays true
//
// A change that is acknowledged holds: whoever changes something calls `withdrawStale` before it is, and what is stale by then is
// taken back from the hardware. Packets then come to the datapath, which decides anew. The same goes for ports that are removed and
// for policers, which hardware would not ask.
//
// ## Thread safety
//
// Everything is under one lock, innermost of the datapath's. `withdrawStale` may be called with any other lock held: what the flows
// counted last waits in `settled` until maintenance fetches it. An entry number means the same megaflow as long as a flow refers to
// it: maintenance takes the flows of dead entries back before it uses their numbers again.

internal import Base
internal import CLinux
public import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

/// What `dpctl/offload-stats-show` shows.
public struct OffloadStatistics: Sendable, Equatable {
    /// Megaflows that wait for the hardware, and those that it has.
    public var enqueued = 0
    public var inserted = 0
    /// Megaflows that hardware cannot have, since the start.
    public var refused: UInt64 = 0
    /// Microseconds that an insertion takes: of all of them, mean and standard deviation; and the same of the latest ones.
    public var averageMicroseconds = 0.0
    public var deviationMicroseconds = 0.0
    public var recentMicroseconds = 0.0
    public var recentDeviationMicroseconds = 0.0
    public init() {}
}

final class FlowOffload: Sendable {
    /// What a flow in hardware has counted since it was asked last.
    struct Counted {
        var entry: UInt32
        var record: MegaflowRecord
        var counters: HardwareFlowCounters
    }

    /// A megaflow that hardware may take.
    struct Candidate {
        var entry: UInt32
        var record: MegaflowRecord
        var match: Match
    }

    fileprivate struct Offloaded {
        var record: MegaflowRecord
        var provider: any HardwareFlowProvider
        var flow: HardwareFlowID
        var outputs: [UInt32]
        var seen = HardwareFlowCounters()
    }

    fileprivate struct State {
        var isOn = false
        var ports: [UInt32: any Port] = [:]
        var policed: Set<UInt32> = []
        var flows: [UInt32: Offloaded] = [:]
        var settled: [Counted] = []
        var statistics = OffloadStatistics()
        var insertions = 0.0
        var squares = 0.0
        var recentSquares = 0.0
    }

    private let state = Mutex(State())
    private let table: FlowTable
    /// How many there are, for those who need no more than to know that there are none.
    private let count = Atomic<Int>(0)
    private let isOn = Atomic<Bool>(false)

    init(table: FlowTable) { self.table = table }

    /// Whether there is anything to look for.
    var isActive: Bool { isOn.load(ordering: .relaxed) }
    private var hasFlows: Bool { count.load(ordering: .acquiring) > 0 }

    // MARK: What there is

    func setOn(_ isOn: Bool) {
        state.withLock { state in
            state.isOn = isOn
            if !isOn { withdraw(&state) { _, _ in true } }
        }
        self.isOn.store(isOn, ordering: .relaxed)
    }

    func add(_ port: any Port, number: UInt32) { state.withLock { $0.ports[number] = port } }

    /// Takes all flows by and to a port back.
    func removePort(_ number: UInt32) {
        state.withLock { state in
            state.ports[number] = nil
            state.policed.remove(number)
            withdraw(&state) { $1.record.port == number || $1.outputs.contains(number) }
        }
    }

    /// Whether a port's packets are policed, in either direction: then the datapath must see them.
    func setPoliced(_ number: UInt32, _ isPoliced: Bool) {
        state.withLock { state in
            if !isPoliced {
                state.policed.remove(number)
                return
            }
            state.policed.insert(number)
            withdraw(&state) { $1.record.port == number || $1.outputs.contains(number) }
        }
    }

    /// Takes back what no longer stands, or is no longer there.
    func withdrawStale() {
        guard hasFlows else { return }
        state.withLock { state in withdraw(&state) { entry, _ in !table.isCurrent(entry) } }
    }

    private func withdraw(_ state: inout State, where isConcerned: (UInt32, Offloaded) -> Bool) {
        for (entry, flow) in state.flows where isConcerned(entry, flow) {
            state.flows[entry] = nil
            settle(flow.provider.remove(flow.flow), entry, flow, &state)
        }
        count.store(state.flows.count, ordering: .releasing)
    }

    private func settle(_ now: HardwareFlowCounters, _ entry: UInt32, _ flow: Offloaded, _ state: inout State) {
        guard now.packets > flow.seen.packets else { return }
        state.settled.append(
            Counted(
                entry: entry, record: flow.record,
                counters: HardwareFlowCounters(packets: now.packets - flow.seen.packets, bytes: now.bytes &- flow.seen.bytes)))
    }

    // MARK: Maintenance's part

    /// What was counted since the last time. In slices: whoever takes flows back meanwhile waits for one of them at most.
    func takeCounts() -> [Counted] {
        guard hasFlows || isActive else { return state.withLock { $0.takeSettled() } }
        var entries = state.withLock { Array($0.flows.keys) }[...]
        while !entries.isEmpty {
            let slice = entries.prefix(DatapathLimits.offloadSlice)
            entries = entries.dropFirst(slice.count)
            state.withLock { state in
                for entry in slice {
                    guard let flow = state.flows[entry], let now = flow.provider.counters(of: flow.flow) else { continue }
                    settle(now, entry, flow, &state)
                    state.flows[entry]?.seen = now
                }
            }
        }
        return state.withLock { $0.takeSettled() }
    }

    func has(_ entry: UInt32) -> Bool { hasFlows && state.withLock { $0.flows[entry] != nil } }

    /// The layer that has each megaflow which hardware has.
    func layers() -> [UInt32: String] { hasFlows ? state.withLock { $0.flows.mapValues(\.provider.layer) } : [:] }

    var statistics: OffloadStatistics {
        state.withLock { state in
            var result = state.statistics
            result.inserted = state.flows.count
            return result
        }
    }

    /// Why a port's flows stay in software; nil if they need not.
    func refusal(ofPort number: UInt32) -> String? {
        state.withLock { state in
            guard let port = state.ports[number] else { return "there is no such port" }
            if case .none(let reason) = port.hardwareFlows { return reason }
            return state.policed.contains(number) ? "the port is policed" : nil
        }
    }

    /// Gives hardware what it can take of these. The caller holds none of the datapath's locks.
    func insert(_ candidates: [Candidate]) {
        state.withLock { $0.statistics.enqueued = candidates.count }
        for candidate in candidates {
            state.withLock { state in
                state.statistics.enqueued -= 1
                offer(candidate, &state)
                count.store(state.flows.count, ordering: .releasing)
            }
        }
    }

    private func offer(_ candidate: Candidate, _ state: inout State) {
        let (entry, record) = (candidate.entry, candidate.record)
        // Under the lock: what becomes stale from here on is taken back by whoever makes it so.
        guard state.isOn, state.flows[entry] == nil, table.isCurrent(entry) else { return }
        guard state.flows.count < DatapathLimits.offloadedFlows, let port = state.ports[record.port], !state.policed.contains(record.port),
            case .provider(let provider) = port.hardwareFlows
        else { return }
        do throws(HardwareFlowRefusal) {
            let outputs = record.compiled.actions.compactMap { if case .output(let port) = $0 { port.rawValue } else { nil } }
            guard outputs.allSatisfy({ !state.policed.contains($0) }) else { return }
            if record.effects?.needsPackets == true { throw HardwareFlowRefusal("each packet must be seen") }
            let ports = state.ports
            let flow = HardwareFlow(
                headers: try HardwareFlow.headers(of: candidate.match),
                actions: try HardwareFlow.actions(of: record.compiled.actions, key: candidate.match.key) { ports[$0.rawValue] })
            let begun = clinux_tsc()
            let id = try provider.insert(flow)
            state.noteInsertion(microseconds: Double(clinux_tsc() &- begun) * 1e6 / Double(Datapath.cyclesPerSecond))
            state.flows[entry] = Offloaded(record: record, provider: provider, flow: id, outputs: outputs)
        } catch {
            record.isOffloadRefused.store(true, ordering: .relaxed)
            state.statistics.refused += 1
        }
    }
}

extension FlowOffload.State {
    fileprivate mutating func takeSettled() -> [FlowOffload.Counted] {
        defer { settled = [] }
        return settled
    }

    /// Mean and deviation, of all and of the latest (each counts a sixteenth).
    fileprivate mutating func noteInsertion(microseconds: Double) {
        insertions += 1
        let before = microseconds - statistics.averageMicroseconds
        statistics.averageMicroseconds += before / insertions
        squares += before * (microseconds - statistics.averageMicroseconds)
        statistics.deviationMicroseconds = (squares / insertions).squareRoot()
        let weight = insertions == 1 ? 1 : 1.0 / 16
        let difference = microseconds - statistics.recentMicroseconds
        statistics.recentMicroseconds += weight * difference
        recentSquares = (1 - weight) * (recentSquares + weight * difference * difference)
        statistics.recentDeviationMicroseconds = recentSquares.squareRoot()
    }
}

extension Datapath {
    /// Takes back from hardware what changes so far have made stale. Whoever acknowledges a change calls it before.
    public func withdrawStale() { offload.withdrawStale() }

    public func offloadStatistics() -> OffloadStatistics { offload.statistics }

    /// Why a port's flows stay in software with `hw-offload`; nil if they need not.
    public func offloadRefusal(of port: DatapathPort) -> String? { offload.refusal(ofPort: port.rawValue) }

    /// A megaflow for hardware, unless hardware has it or refused it. The maintenance lock is held.
    func candidate(_ entry: UInt32, _ record: MegaflowRecord) -> FlowOffload.Candidate? {
        guard !record.isOffloadRefused.load(ordering: .relaxed), !offload.has(entry) else { return nil }
        return FlowOffload.Candidate(entry: entry, record: record, match: table.match(entry, record))
    }

    /// Takes over what hardware counted. The maintenance lock is held.
    func creditOffloaded(_ ordered: inout OrderedCredits) {
        let now = clock.now
        for counted in offload.takeCounts() {
            let (record, counters) = (counted.record, counted.counters)
            record.basePackets &+= counters.packets
            record.baseBytes &+= counters.bytes
            record.lastUsed = max(record.lastUsed, now.nanoseconds)
            guard let effects = record.effects else { continue }
            ordered.add(
                effects, FlowStatisticsDelta(packets: counters.packets, bytes: counters.bytes, lastUsed: now, tcpFlags: 0))
        }
    }
}
