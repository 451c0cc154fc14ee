// A group: a numbered set of buckets that actions send packets to (OpenFlow 1.3 section 5.6).
//
// A group never changes: a group-mod replaces it by a new one, which keeps the counters of what it keeps. Everything that a
// translation needs is prepared when the group is made: each bucket's actions in action-set order, and for a select
// group the table that hash values are looked up in.
//
// A select group chooses in one of three ways:
//
// - *in the datapath* (`dp_hash`, and the default): the datapath hashes the packet and goes on with the bucket that the
//   hash's slot belongs to, so that one megaflow stands for all connections;
// - *by fields* (`hash` with fields): the translation hashes them, and the megaflow matches them;
// - *by the headers to L4* (`hash` without fields, or more buckets than the datapath's table has room for): the same with a
//   symmetric hash.

internal import Base
internal import Flow
internal import OpenFlow
internal import Synchronization

/// Packets and bytes, added from any thread.
///
/// ## Thread safety
/// Atomic words.
final class GroupCounters: Sendable {
    private let packetCount = Atomic<UInt64>(0)
    private let byteCount = Atomic<UInt64>(0)

    var packets: UInt64 { packetCount.load(ordering: .relaxed) }
    var bytes: UInt64 { byteCount.load(ordering: .relaxed) }

    func add(packets: UInt64, bytes: UInt64) {
        packetCount.wrappingAdd(packets, ordering: .relaxed)
        byteCount.wrappingAdd(bytes, ordering: .relaxed)
    }
}

/// One way out of a group.
///
/// ## Thread safety
/// Immutable, but for the counters.
final class Bucket: Sendable {
    let description: GroupBucket
    /// The actions in the order in which an action set is carried out.
    let ordered: [Action]
    let counters: GroupCounters

    init(_ description: GroupBucket, counters: GroupCounters = GroupCounters()) {
        self.description = description
        self.counters = counters
        ordered = ActionSet.ordered(description.actions)
    }

    var id: UInt32 { description.bucketID }
}

/// A group.
///
/// ## Thread safety
/// Immutable, but for the counters. May be held for as long as one likes.
final class Group: Sendable {
    /// How a select group chooses.
    enum Selection: Equatable, Sendable {
        /// The datapath hashes; the bucket of each hash value's slot.
        case datapath(algorithm: UInt32, basis: UInt32, slots: [UInt16])
        case fields([GroupSelection.HashedField], basis: UInt64)
        case headers(basis: UInt64)
    }

    let id: UInt32
    let kind: GroupKind
    let buckets: [Bucket]
    /// As the controller said it.
    let selectionProperty: GroupSelection?
    let selection: Selection
    let counters: GroupCounters
    let created: Instant

    init(
        id: UInt32, kind: GroupKind, buckets: [Bucket], selectionProperty: GroupSelection?, counters: GroupCounters, created: Instant
    ) {
        self.id = id
        self.kind = kind
        self.buckets = buckets
        self.selectionProperty = selectionProperty
        self.counters = counters
        self.created = created
        selection = Group.selection(kind, buckets, selectionProperty)
    }

    private static func selection(_ kind: GroupKind, _ buckets: [Bucket], _ property: GroupSelection?) -> Selection {
        guard kind == .select else { return .headers(basis: 0) }
        if let property, property.method == "hash" {
            return property.fields.isEmpty ? .headers(basis: 0) : .fields(property.fields, basis: property.parameter)
        }
        guard let slots = try? SelectSlots.make(weights: buckets.map(\.description.weight)) else { return .headers(basis: 0) }
        guard let property else { return .datapath(algorithm: SelectSlots.symmetricL4, basis: 0, slots: slots) }
        let algorithm = UInt32(truncatingIfNeeded: property.parameter >> 32)
        return .datapath(
            algorithm: algorithm <= SelectSlots.symmetricL4 ? algorithm : SelectSlots.l4,
            basis: UInt32(truncatingIfNeeded: property.parameter), slots: slots)
    }

    /// How a select group came to choose as it does, in the field's lines.
    func account(_ verb: String) -> [String] {
        var lines = ["\(verb) select group \(id)"]
        let fallback = "Falling back to default hash method."
        if let selectionProperty {
            lines.append("Selection method specified: \(selectionProperty.method).")
            if selectionProperty.method == "hash" {
                if selectionProperty.fields.isEmpty { return lines + ["No hash fields. " + fallback] }
                let names = selectionProperty.fields.map { "\($0.field)" }
                return lines + ["Hash fields: \(names.joined(separator: ","))"]
            }
        } else {
            lines.append("No selection method specified. Trying dp_hash.")
        }
        let weights = buckets.map(\.description.weight)
        let total = weights.reduce(0) { $0 + Int($1) }
        let minimum = "  Minimum weight: \(weights.filter { $0 > 0 }.min() ?? 0), total weight: \(total)"
        do throws(SelectSlots.Refusal) {
            let slots = try SelectSlots.make(weights: weights)
            lines += [minimum, "  Using \(slots.count) hash values:"]
            for (index, bucket) in buckets.enumerated() {
                let hundredths = (slots.count * Int(weights[index]) * 200 / total + 1) / 2
                let fraction = hundredths % 100
                let hits = slots.count { Int($0) == index }
                lines.append(
                    "  Bucket \(bucket.id): weight=\(weights[index]), target=\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) hits=\(hits)"
                )
            }
            guard case .datapath(let algorithm, _, _) = selection else { return lines }
            return lines + ["Use dp_hash with \(slots.count) hash values using algorithm \(algorithm)."]
        } catch {
            switch error {
            case .noBuckets: lines.append("  Don't apply dp_hash method without buckets.")
            case .noWeight: lines.append("  Total weight is zero. No active buckets.")
            case .tooMany(let count): lines += [minimum, "  Too many hash values required: \(count)"]
            }
            return lines + [fallback]
        }
    }

    /// Groups that its buckets send to or watch.
    var references: Set<UInt32> {
        var result: Set<UInt32> = []
        for bucket in buckets {
            if bucket.description.watchGroup != FlowMod.anyGroup { result.insert(bucket.description.watchGroup) }
            ActionReferences.forEach(bucket.description.actions) { if case .group(let id) = $0 { result.insert(id) } }
        }
        return result
    }

    /// Counts a packet's way; `bucket` is nil where all of them got a copy.
    func credit(bucket: Int?, packets: UInt64, bytes: UInt64) {
        counters.add(packets: packets, bytes: bytes)
        if let bucket {
            buckets[bucket].counters.add(packets: packets, bytes: bytes)
        } else {
            for bucket in buckets { bucket.counters.add(packets: packets, bytes: bytes) }
        }
    }
}
