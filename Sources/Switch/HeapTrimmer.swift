// Giving memory back after many rules came or went.
//
// A bundle of 100,000 flow-mods is in memory twice before it is in the tables once, and a deleted table leaves holes. The
// allocator keeps what was freed for what may come; the process looks as large as it ever was.

internal import Glibc

/// Decides when the allocator is asked to give back what it does not use: once it is calm after many changes.
struct HeapTrimmer {
    /// Changes in one interval that make it worth while, and up to which it is calm.
    private static let many: UInt64 = 10_000
    private static let few: UInt64 = 1_000

    private var seen: UInt64 = 0
    private var isDue = false

    /// To be called at intervals with the number of changes so far. True if now is the time.
    mutating func shouldTrim(_ changes: UInt64) -> Bool {
        let new = changes &- seen
        seen = changes
        if new >= HeapTrimmer.many { isDue = true }
        guard isDue, new < HeapTrimmer.few else { return false }
        isDue = false
        return true
    }

    /// Gives back the pages that nothing lies in. Takes about a millisecond for 40 MB.
    static func trim() {
        // The module map of the C library leaves its header out.
        guard let symbol = dlsym(nil, "malloc_trim") else { return }
        _ = unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)(0)
    }
}
