// The rows of a table: found by uuid, and gone through at the speed of memory.
//
// A row is an object, and its values are another: going through a hundred thousand of them is nothing but waiting for memory,
// unless it is asked for in time. So rows stand in one array, beside where their values are, and whoever goes through them
// has both fetched ahead.

internal import Base

struct RowStore {
    fileprivate struct Slot {
        var row: Row
        /// Where the row's values were when it was stored or settled. For fetching ahead only, which no wrong address hurts.
        var contents: UnsafeRawPointer?

        init(_ row: Row) {
            self.row = row
            contents = row.fields.withUnsafeBufferPointer { UnsafeRawPointer($0.baseAddress) }
        }
    }

    private var places: [UUID: Int] = [:]
    fileprivate var slots: [Slot] = []

    var count: Int { slots.count }
    var isEmpty: Bool { slots.isEmpty }

    subscript(uuid: UUID) -> Row? {
        get { places[uuid].map { slots[$0].row } }
        set {
            guard let newValue else {
                removeValue(forKey: uuid)
                return
            }
            if let place = places[uuid] {
                slots[place] = Slot(newValue)
            } else {
                places[uuid] = slots.count
                slots.append(Slot(newValue))
            }
        }
    }

    /// Takes a row out; the last one moves to its place.
    @discardableResult
    mutating func removeValue(forKey uuid: UUID) -> Row? {
        guard let place = places.removeValue(forKey: uuid) else { return nil }
        let row = slots[place].row
        let last = slots.removeLast()
        if last.row !== row {
            slots[place] = last
            places[last.row.uuid] = place
        }
        return row
    }

    /// Notes where a row's values are, after they were written to.
    mutating func settle(_ uuid: UUID) { if let place = places[uuid] { slots[place] = Slot(slots[place].row) } }

    /// The same for all rows.
    mutating func settle() { for place in slots.indices { slots[place] = Slot(slots[place].row) } }

    /// All rows, in no order.
    var values: Values { values(fetching: 0) }

    /// The same, for one who looks at the value of `column` (an index) first.
    func values(fetching column: Int) -> Values {
        Values(store: self, offset: Swift.max(0, column) * MemoryLayout<Datum>.stride)
    }

    struct Values: Sequence {
        fileprivate let store: RowStore
        fileprivate let offset: Int

        var underestimatedCount: Int { store.count }

        func makeIterator() -> Iterator { Iterator(slots: store.slots, offset: offset) }

        struct Iterator: IteratorProtocol {
            /// How many rows ahead memory is asked for.
            private static let distance = 16
            private static let headerBytes = 16

            private let slots: [Slot]
            /// Where, behind the beginning of a row's values, the one is that is looked at.
            private let offset: Int
            private var place = 0

            fileprivate init(slots: [Slot], offset: Int) {
                self.slots = slots
                self.offset = offset
            }

            mutating func next() -> Row? {
                guard place < slots.count else { return nil }
                let ahead = place &+ Iterator.distance
                if ahead < slots.count {
                    prefetch(UnsafeRawPointer(Unmanaged.passUnretained(slots[ahead].row).toOpaque()))
                    if let contents = slots[ahead].contents {
                        // The array's own header, which says how many there are, and the value: often in two lines.
                        prefetch(contents - Iterator.headerBytes)
                        prefetch(contents + offset)
                    }
                }
                defer { place &+= 1 }
                return slots[place].row
            }
        }
    }
}
