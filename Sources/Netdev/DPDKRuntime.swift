// DPDK in this process: whether it runs, and with what.
//
// EAL can be initialised once a process, and not again after a failure. It is initialised when the configuration says
// `dpdk-init=true`, or when the first port opens that needs it. The CPU affinity of the calling thread is left as it was.

internal import CDPDK
internal import CLinux
internal import Glibc
internal import Synchronization

/// What DPDK runs with.
public struct DPDKStatus: Sendable, Equatable {
    /// `DPDK 22.11.4`, or the like.
    public var version: String
    public var arguments: [String]
    public var usesHugepages: Bool
    /// Sentences that tell the user what was decided for lack of something.
    public var notes: [String]
}

/// ## Thread safety
/// All members may be called from any thread but a PMD thread.
public enum DPDKRuntime {
    private enum State {
        case idle
        /// On some thread: it takes seconds, during which others may ask how it stands.
        case starting
        case running(DPDKStatus)
        case failed(PortError)
    }
    private struct Shared {
        var settings: [String: String] = [:]
        var state = State.idle
    }
    private static let shared = Mutex(Shared())

    /// Remembers the settings (`Open_vSwitch.other_config`) that the initialisation will use. Without effect afterwards.
    public static func configure(_ settings: [String: String]) { shared.withLock { $0.settings = settings } }

    /// Where DPDK's log lines go: level (1 emergency to 8 debug), line. Called on any thread, PMD threads excepted in good
    /// health. Nil: standard error.
    public static func setLogSink(_ sink: (@convention(c) (Int32, UnsafePointer<CChar>, Int) -> Void)?) { cdpdk_log_set_sink(sink) }

    /// Lines above this level (1 to 8) are not logged.
    public static func setLogLevel(_ level: Int) { cdpdk_log_set_level(Int32(clamping: level)) }

    public static var version: String { String(cString: cdpdk_version()) }

    /// What DPDK runs with; nil if it does not.
    public static var status: DPDKStatus? {
        shared.withLock { if case .running(let status) = $0.state { status } else { nil } }
    }

    /// What DPDK tells of the pools that ports have their buffers from, in its own words; empty if it does not run.
    public static var poolDescriptions: [String] { status == nil ? [] : MbufPools.descriptions() }

    /// What DPDK tells of its heaps, in its own words; empty if it does not run.
    public static var heapDescription: String {
        guard status != nil, let described = cdpdk_heap_describe() else { return "" }
        defer { free(described) }
        return String(cString: described)
    }

    /// Initialises DPDK unless it runs. The first failure is final, and is what later calls throw too.
    @discardableResult
    public static func initialize() throws(PortError) -> DPDKStatus {
        // Whoever comes second waits here, and finds it done.
        let result: Result<DPDKStatus, PortError> = oneStarter.withLock { _ in
            let known: Result<DPDKStatus, PortError>? = shared.withLock { shared in
                switch shared.state {
                case .running(let status): return .success(status)
                case .failed(let error): return .failure(error)
                case .idle, .starting:
                    shared.state = .starting
                    return nil
                }
            }
            if let known { return known }
            let settings = shared.withLock { $0.settings }
            do throws(PortError) {
                let status = try start(settings: settings)
                shared.withLock { $0.state = .running(status) }
                return .success(status)
            } catch {
                // a setting that makes no sense was not handed to EAL yet: it may be corrected
                var mayTryAgain = false
                if case .dpdkUnavailable = error { mayTryAgain = !hasTried }
                shared.withLock { $0.state = mayTryAgain ? .idle : .failed(error) }
                return .failure(error)
            }
        }
        return try result.get()
    }
    private static let oneStarter = Mutex(())

    /// Ends DPDK, at the end of the process. All ports are closed and all registered threads are gone by then.
    public static func shutDown() {
        shared.withLock { shared in
            guard case .running = shared.state else { return }
            _ = cdpdk_eal_cleanup()
            shared.state = .failed(.dpdkUnavailable(reason: "it was shut down"))
        }
    }

    nonisolated(unsafe) private static var hasTried = false  // under `oneStarter`

    private static func start(settings: [String: String]) throws(PortError) -> DPDKStatus {
        let made = try EALArguments(settings: settings, machine: .current)
        hasTried = true
        var pointers: [UnsafeMutablePointer<CChar>] = made.arguments.map { strdup($0) }
        defer { pointers.forEach { free($0) } }
        let (result, reason) = withReason { cdpdk_eal_init(Int32(pointers.count), &pointers, $0, $1) }
        guard result == 0 else {
            throw .dpdkUnavailable(reason: "\(reason) (arguments: \(made.arguments.dropFirst().joined(separator: " ")))")
        }
        cdpdk_events_start()
        return DPDKStatus(version: version, arguments: made.arguments, usesHugepages: cdpdk_eal_has_hugepages(), notes: made.notes)
    }
}

extension EALArguments.Machine {
    static var current: Self {
        var words = [UInt64](repeating: 0, count: Int(CLINUX_MAX_CPUS) / 64)
        let count = words.count
        var cpus: [Int] = []
        if clinux_get_affinity(&words, count) == 0 {
            cpus = (0..<Int(CLINUX_MAX_CPUS)).filter { words[$0 / 64] >> UInt64($0 % 64) & 1 == 1 }
        }
        // EAL's lcore parser takes CPUs below its RTE_MAX_LCORE
        cpus.removeAll { $0 >= 128 }
        return Self(
            hasHugepages: hugepagesCanBeHad(), memoryMiB: sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)) >> 20, cpus: cpus,
            needsPhysicalAddresses: driverNeedsPhysicalAddresses(), processID: Int(getpid()))
    }

    /// Free bytes of hugepages of all sizes.
    static func freeHugepageBytes() -> Int {
        namesInDirectory("/sys/kernel/mm/hugepages").reduce(0) { sum, name in
            guard name.hasPrefix("hugepages-"), name.hasSuffix("kB"), let kilobytes = Int(name.dropFirst(10).dropLast(2)) else {
                return sum
            }
            return sum + kilobytes * 1024 * (numberInFile("/sys/kernel/mm/hugepages/\(name)/free_hugepages") ?? 0)
        }
    }

    /// Enough of them for the smallest pool with its surroundings.
    private static func hugepagesCanBeHad() -> Bool { freeHugepageBytes() >= 128 << 20 }

    /// Drivers that know no IOMMU: uio, and VFIO in its mode without one.
    private static func driverNeedsPhysicalAddresses() -> Bool {
        if textOfFile("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode")?.hasPrefix("Y") == true { return true }
        let drivers = ["/sys/bus/pci/drivers/uio_pci_generic", "/sys/bus/pci/drivers/igb_uio"]
        return drivers.contains { namesInDirectory($0).contains { $0.contains(":") } }
    }
}
