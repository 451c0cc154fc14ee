// Zeroed memory at a fixed address, sized for the most there can ever be.

internal import Glibc

/// A region of zeroed address space that costs memory only where it is written to, so that tables indexed by number need
/// neither move nor be chained when they grow.
///
/// ## Thread safety
/// None of its own: whoever made it decides who reads and writes what, and unmaps it when nobody does any more.
public struct RawRegion: @unchecked Sendable {
    public let base: UnsafeMutableRawPointer
    public let byteCount: Int

    /// Reserves `byteCount` bytes, page aligned. Ends the process if there is no address space left: a switch cannot run
    /// without its tables, and reserved pages are not yet used ones.
    public init(byteCount: Int) {
        let pageMask = 4095
        let rounded = (max(byteCount, 1) + pageMask) & ~pageMask
        let address = mmap(nil, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let address, address != MAP_FAILED else {
            fatalError("no address space for a table of \(rounded) bytes (errno \(errno)); lower the limits or raise RLIMIT_AS")
        }
        base = address
        self.byteCount = rounded
    }

    /// Asks for transparent huge pages; a hint only. For tables that are used densely.
    public func preferHugePages() { madvise(base, byteCount, MADV_HUGEPAGE) }

    public func unmap() { munmap(base, byteCount) }
    /// The same for who kept only the address and the size, a multiple of the page size.
    public static func unmap(_ base: UnsafeMutableRawPointer, byteCount: Int) { munmap(base, byteCount) }
}
