internal import Base

/// A map from 32-bit values to 32-bit numbers other than 0.
///
/// For the summaries of masks, which count half a dozen values of each megaflow that comes or goes: the standard library's dictionary
/// hashes its keys so thoroughly that these counts took a seventh of the time of an upcall. Open addressing with linear probing; what
/// follows a removed value moves up, so that there are no tombstones. Strangers choose the values: the hash is keyed.
struct ValueMap {
    private static let smallest = 16
    /// The value in the upper half, its number in the lower one; 0: free. A power of two, at most three quarters taken.
    private var slots: [UInt64]
    private let secrets: (UInt64, UInt64)
    private(set) var count = 0

    init(secrets: (UInt64, UInt64)) {
        self.secrets = secrets
        slots = Array(repeating: 0, count: ValueMap.smallest)
    }

    /// Keyed by the datapath's secrets.
    init(_ shared: UnsafePointer<SharedState>) { self.init(secrets: (shared.pointee.secrets[10], shared.pointee.secrets[11])) }

    /// 0 if there is none; setting it to 0 removes the value.
    subscript(value: UInt32) -> UInt32 {
        get { UInt32(truncatingIfNeeded: slots[place(of: value)]) }
        set {
            let place = place(of: value)
            if newValue != 0 {
                let isNew = slots[place] == 0
                slots[place] = UInt64(value) << 32 | UInt64(newValue)
                if !isNew { return }
                count += 1
                if count * 4 > slots.count * 3 { resize(to: slots.count * 2) }
            } else if slots[place] != 0 {
                remove(at: place)
                count -= 1
                if slots.count > ValueMap.smallest, count * 8 < slots.count { resize(to: slots.count / 2) }
            }
        }
    }

    func contains(where matches: (UInt32) -> Bool) -> Bool {
        slots.contains { $0 != 0 && matches(UInt32(truncatingIfNeeded: $0 >> 32)) }
    }

    var numbers: [UInt32] { slots.compactMap { $0 == 0 ? nil : UInt32(truncatingIfNeeded: $0) } }

    @inline(__always) private func home(_ value: UInt32) -> Int {
        Int(truncatingIfNeeded: KeyedHash.fold(UInt64(value) ^ secrets.0, secrets.1)) & (slots.count &- 1)
    }

    /// Where the value is, or would be put.
    @inline(__always) private func place(of value: UInt32) -> Int {
        var place = home(value)
        while slots[place] != 0, UInt32(truncatingIfNeeded: slots[place] >> 32) != value { place = (place &+ 1) & (slots.count &- 1) }
        return place
    }

    private mutating func remove(at start: Int) {
        let last = slots.count - 1
        var (gap, next) = (start, (start + 1) & last)
        while slots[next] != 0 {
            // It may move up if its home is not behind the gap.
            let distance = (next &- home(UInt32(truncatingIfNeeded: slots[next] >> 32))) & last
            if distance >= (next &- gap) & last {
                slots[gap] = slots[next]
                gap = next
            }
            next = (next + 1) & last
        }
        slots[gap] = 0
    }

    private mutating func resize(to size: Int) {
        let old = slots
        slots = Array(repeating: 0, count: size)
        for slot in old where slot != 0 { slots[place(of: UInt32(truncatingIfNeeded: slot >> 32))] = slot }
    }
}
