// The answer to a request for flows: looked up, sorted, encoded, a batch at a time.

internal import Base
internal import Flow
internal import OpenFlow
internal import Synchronization

/// A listing under way. The flows are those of one version of the tables, their counts those of when they are encoded.
final class FlowListing: Sendable {
    private struct State {
        /// Nil until the first batch.
        var rules: [FlowRule]?
        var position = 0
        var writer: MultipartWriter
    }

    /// Messages of a batch: 64 KiB each, as a rule.
    private static let batch = 4

    private let bridge: Bridge
    private let filter: FlowFilter
    private let isNXM: Bool
    private let now: Instant
    private let state: Mutex<State>

    /// Nil if the version has no such reply.
    init?(bridge: Bridge, filter: FlowFilter, isNXM: Bool, version: OpenFlowVersion, xid: UInt32, clock: Clock) {
        guard let writer = MultipartWriter(.flow([], isNXM: isNXM), version: version, xid: xid) else { return nil }
        self.bridge = bridge
        self.filter = filter
        self.isNXM = isNXM
        now = clock.now
        state = Mutex(State(writer: writer))
    }

    /// The next batch. On any thread.
    func next() -> DetachedReply.Batch {
        state.withLock { state in
            // Table 254 exists and has nothing to show.
            let rules = state.rules ?? (filter.table == 254 ? [] : FlowListing.sorted(bridge.flows(matching: filter)))
            state.rules = rules
            var messages: [[UInt8]] = []
            while messages.count < FlowListing.batch, state.position < rules.count {
                state.writer.append(OpenFlowService.statistics(of: rules[state.position], now: now), isNXM: isNXM)
                state.position += 1
                messages += state.writer.takeParts()
            }
            if state.position < rules.count { return (messages, false) }
            return (messages + state.writer.finish(), true)
        }
    }

    /// People read this: tables in order, higher priorities first, older rules first.
    static func sorted(_ rules: [FlowRule]) -> [FlowRule] {
        struct Key {
            var order: UInt32
            var index: UInt32
            var created: UInt64
        }
        var keys = rules.indices.map { index in
            let rule = rules[index]
            return Key(
                order: UInt32(rule.table) << 16 | UInt32(~rule.priority), index: UInt32(truncatingIfNeeded: index),
                created: rule.created.nanoseconds)
        }
        keys.sort { $0.order == $1.order ? $0.created < $1.created : $0.order < $1.order }
        return keys.map { rules[Int($0.index)] }
    }
}
