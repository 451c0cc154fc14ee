// `--monitor`: a process that watches the daemon, and starts it again when it crashes.
//
// The process that was started becomes the monitor; the daemon is this executable once more, as its child. One that ends by itself,
// or by a signal that somebody sends on purpose, ends the monitor with the same status. One that crashes is started again, at most
// once in ten seconds.

internal import Glibc

enum ProcessMonitor {
    /// Tells the child that it is the daemon.
    private static let variable = "APUSD_MONITORED"
    /// Tells the child where it keeps what it would need to know after a crash.
    private static let stateVariable = "APUSD_STATE_FD"

    /// In the daemon: a file, without a name, that outlives it as long as the monitor lives; nil without a monitor.
    static let stateDescriptor: Int32? = getenv(stateVariable).flatMap { Int32(String(cString: $0)) }

    /// Seconds between two starts, unless the first one served longer.
    private static let restartSeconds = 10
    /// Signals by which a program ends that has gone wrong.
    private static let crashes: Set<Int32> = [
        SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS, SIGTRAP,
    ]

    /// Watches the daemon until it ends for good. In the daemon itself it does nothing. Before any thread exists.
    ///
    /// - Returns: the status to exit with; nil in the daemon
    static func run(_ log: LogRegistry) -> Int32? {
        if getenv(variable) != nil {
            unsetenv(variable)
            return nil
        }
        setenv(variable, "1", 1)
        var template = Array("/tmp/apusd-XXXXXX".utf8CString)
        let state = mkstemp(&template)
        if state >= 0 {
            unlink(template)
            setenv(stateVariable, String(state), 1)
        }
        var count = 0
        while true {
            var started = timespec()
            clock_gettime(CLOCK_MONOTONIC, &started)
            guard let child = start() else {
                log.log("daemon_unix(monitor)", .error, "the daemon could not be started: \(systemText(errno))")
                return 1
            }
            let status = waitForEnd(of: child)
            let signal = status & 0x7f
            guard signal != 0, crashes.contains(signal) else {
                log.log("daemon_unix(monitor)", .info, "pid \(child) died, \(ShellCommand.describe(status)), exiting")
                return signal == 0 ? (status >> 8) & 0xff : 128 + signal
            }
            count += 1
            log.log(
                "daemon_unix(monitor)", .error, "\(count) crashes: pid \(child) died, \(ShellCommand.describe(status)), restarting")
            var ended = timespec()
            clock_gettime(CLOCK_MONOTONIC, &ended)
            let rest = restartSeconds - (ended.tv_sec - started.tv_sec)
            if count > 1, rest > 0 { sleep(UInt32(rest)) }
        }
    }

    private static func systemText(_ number: Int32) -> String { String(cString: strerror(number)) }

    /// This executable again, with the same arguments, descriptors and signals.
    private static func start() -> pid_t? {
        var pointers: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        // The child blocks what it waits for itself; what was blocked here would stay so.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var child: pid_t = 0
        let failure = posix_spawn(&child, "/proc/self/exe", nil, &attributes, &pointers, environ)
        if failure != 0 { errno = failure }
        return failure == 0 ? child : nil
    }

    /// Waits for the child's end; what asks the monitor to stop is handed on to it.
    private static func waitForEnd(of child: pid_t) -> Int32 {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGCHLD] { sigaddset(&signals, signal) }
        while true {
            var status: Int32 = 0
            if waitpid(child, &status, WNOHANG) == child { return status }
            var received: Int32 = 0
            sigwait(&signals, &received)
            if received != SIGCHLD { kill(child, received) }
        }
    }
}
