// What recirculation ids stand for.
//
// A megaflow that sends packets round again holds the ids that it names; a packet comes back with its id, perhaps after the
// megaflow has gone. Equal contexts share an id. An id is forgotten some time after the last holder let go of it: the
// registry keeps a fixed number of such ids.

internal import Flow
internal import Synchronization

/// Where the translation of a packet goes on that comes back from the datapath.
struct RecirculationContext: Hashable, Sendable {
    var bridge: UInt32
    var group: UInt32
    /// The bucket's number.
    var bucket: UInt32
    var table: UInt8
    /// The rule that sent it to the group.
    var rule: RuleReference?
    var isPacketOut: Bool
    var inActionSet: Bool
    /// Words of the key's lines 5 and 6: registers, metadata, OpenFlow port.
    var metadata: [UInt64]

    /// A rule by identity.
    struct RuleReference: Hashable, Sendable {
        let rule: FlowRule
        static func == (left: RuleReference, right: RuleReference) -> Bool { left.rule === right.rule }
        func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(rule)) }
    }

    static let metadataWords = 40..<52
}

/// The registry.
///
/// ## Thread safety
/// All members may be called from any thread; a lock is held for a dictionary operation.
final class RecirculationRegistry: Sendable {
    private struct Entry {
        var context: RecirculationContext
        var holders: Int
    }
    private struct State {
        var ids: [RecirculationContext: UInt32] = [:]
        var entries: [UInt32: Entry] = [:]
        /// Ids without holders, oldest first; some have found a holder again.
        var lingering: [UInt32] = []
        /// Even numbers: the odd ones are for frozen states.
        var next: UInt32 = 2
    }
    private let state = Mutex(State())

    /// The id for a context; to be given back with `release`. Never 0.
    func acquire(_ context: RecirculationContext) -> UInt32 {
        state.withLock { state in
            if let id = state.ids[context] {
                state.entries[id]!.holders += 1
                return id
            }
            while state.entries[state.next] != nil || state.next == 0 { state.next &+= 2 }
            let id = state.next
            state.next &+= 2
            state.ids[context] = id
            state.entries[id] = Entry(context: context, holders: 1)
            return id
        }
    }

    func release(_ id: UInt32) {
        state.withLock { state in
            guard let holders = state.entries[id]?.holders else { return }
            state.entries[id]!.holders = holders - 1
            if holders > 1 { return }
            state.lingering.append(id)
            guard state.lingering.count > 2 * PipelineLimits.lingeringRecirculations else { return }
            for old in state.lingering.prefix(PipelineLimits.lingeringRecirculations) {
                guard let entry = state.entries[old], entry.holders == 0 else { continue }
                state.entries[old] = nil
                state.ids[entry.context] = nil
            }
            state.lingering.removeFirst(PipelineLimits.lingeringRecirculations)
        }
    }

    func context(of id: UInt32) -> RecirculationContext? { state.withLock { $0.entries[id]?.context } }
}
