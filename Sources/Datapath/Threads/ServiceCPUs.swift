// Where the threads that do not poll may run: on no PMD thread's CPU, as long as others are left.
//
// A PMD thread that polls is always runnable, so whatever wakes on its CPU takes the CPU away from it, for tens of microseconds,
// with all packets of its queues waiting. The kernel often puts a waking thread where it ran last, also if that is such a CPU.
// So the process's other threads (control plane, handlers, maintenance, those of DPDK) keep to the remaining CPUs of those the
// process was started on.

internal import CLinux
internal import Synchronization

/// The process's PMD threads, and with them where its other threads run.
///
/// ## Thread safety
/// PMD threads call `enter` first and `leave` last, anybody reads `process`. There is one for the process, whatever the number of
/// datapaths.
enum ServiceCPUs {
    /// Whom a PMD thread's CPU is taken from: by thread id, the CPU.
    private static let pollers = Mutex<[Int32: Int]>([:])

    /// CPUs the process was started on, in order. To be read first by a thread that was not moved yet.
    static let process: [Int] = {
        var words = [UInt64](repeating: 0, count: Int(CLINUX_MAX_CPUS) / 64)
        guard clinux_get_affinity(&words, words.count) == 0 else { return [0] }
        let all = (0..<Int(CLINUX_MAX_CPUS)).filter { words[$0 / 64] >> UInt64($0 % 64) & 1 != 0 }
        return all.isEmpty ? [0] : all
    }()

    /// The calling thread polls on `cpu` from here on.
    static func enter(_ cpu: Int) {
        pollers.withLock { pollers in
            pollers[clinux_thread_id()] = cpu
            clinux_pin_to_cpu(UInt32(cpu))
            settle(pollers)
        }
    }

    /// The calling thread does not poll any more.
    static func leave() {
        pollers.withLock { pollers in
            if pollers.removeValue(forKey: clinux_thread_id()) != nil { settle(pollers) }
        }
    }

    /// The CPUs of `process` that none of `polled` is; all, if none is left.
    static func allowed(_ process: [Int], without polled: some Sequence<Int>) -> [Int] {
        let rest = Set(process).subtracting(polled)
        return rest.isEmpty ? process : rest.sorted()
    }

    /// Moves all threads but PMD threads. One that begins meanwhile has its maker's CPUs, which may be the old ones: hence the
    /// second look.
    private static func settle(_ pollers: [Int32: Int]) {
        var words = [UInt64](repeating: 0, count: Int(CLINUX_MAX_CPUS) / 64)
        for cpu in allowed(process, without: pollers.values) { words[cpu / 64] |= 1 << UInt64(cpu % 64) }
        for _ in 0..<2 {
            var ids = [Int32](repeating: 0, count: 4096)
            let count = Int(clinux_thread_ids(&ids, Int32(ids.count)))
            // A thread that has ended meanwhile is no matter; nor is one that may not be moved.
            for id in ids.prefix(max(0, count)) where pollers[id] == nil { _ = clinux_set_affinity(id, words, words.count) }
        }
    }
}
