// Lists of megaflows, each in one at most.

internal import Base

/// By entry number, the entries before and behind it in its list; 0 is none. Under the flow table's lock.
struct EntryLinks {
    /// Two numbers of four bytes an entry.
    private let region = RawRegion(byteCount: DatapathLimits.megaflows * 8)

    func deallocate() { region.unmap() }

    private var words: UnsafeMutablePointer<UInt32> { region.base.assumingMemoryBound(to: UInt32.self) }

    func get(_ entry: UInt32) -> (previous: UInt32, next: UInt32) { (words[2 * Int(entry)], words[2 * Int(entry) + 1]) }
    func set(_ entry: UInt32, previous: UInt32, next: UInt32) {
        words[2 * Int(entry)] = previous
        words[2 * Int(entry) + 1] = next
    }
    func setPrevious(_ entry: UInt32, _ previous: UInt32) { words[2 * Int(entry)] = previous }
    func setNext(_ entry: UInt32, _ next: UInt32) { words[2 * Int(entry) + 1] = next }
}
