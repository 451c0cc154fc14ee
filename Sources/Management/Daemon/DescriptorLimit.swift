// File descriptors: a switch with many ports and clients needs more than a shell's default of 1,024.

internal import Glibc

enum DescriptorLimit {
    /// Raises the soft limit to what the administrator allows at most.
    static func raise() {
        var limit = rlimit()
        guard getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
    }
}
