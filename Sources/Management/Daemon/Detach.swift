// Going to the background.
//
// A process with threads cannot fork and go on, so `--detach` starts this executable anew in a session of its own, with
// a pipe on which the child says that it is ready (or dies without a word), and the parent exits accordingly: whoever
// started the daemon knows from the exit status that its sockets exist.

internal import Glibc

public enum Detach {
    /// glibc's `POSIX_SPAWN_SETSID`, which Swift's Glibc module hides.
    private static let newSession: Int16 = 0x80
    /// Tells the child which descriptor to report on.
    private static let variable = "APUSD_READY_FD"

    /// Whether this process is the one in the background.
    public static var isChild: Bool { getenv(variable) != nil }

    /// Runs this executable again in the background and waits until it is ready.
    ///
    /// - Returns: the exit status for the parent: 0 once the child is ready, the child's own if it ended before.
    public static func runInBackground(arguments: [String]) -> Int32 {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return 1 }
        // Only the child may hold the writing end, or the parent never sees it closed.
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        setenv(variable, String(ends[1]), 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setflags(&attributes, Detach.newSession)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        defer {
            posix_spawnattr_destroy(&attributes)
            posix_spawn_file_actions_destroy(&actions)
        }
        var argumentPointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers { free(pointer) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, "/proc/self/exe", &actions, &attributes, &argumentPointers, environ)
        close(ends[1])
        guard failure == 0 else { return 1 }
        var byte: UInt8 = 0
        var count = read(ends[0], &byte, 1)
        while count < 0 && errno == EINTR { count = read(ends[0], &byte, 1) }
        if count == 1 { return 0 }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        // A child that a signal ended has no exit status; anything but 0 will do.
        return status & 0x7f == 0 ? max(1, (status >> 8) & 0xff) : 1
    }

    /// In the child: tells the parent that the daemon is ready, and lets go of the standard output and error it inherited, for
    /// whoever reads them waits for their end. Does nothing in a daemon that was not detached.
    public static func reportReady() {
        guard let text = getenv(variable), let descriptor = Int32(String(cString: text)) else { return }
        unsetenv(variable)
        var byte: UInt8 = 1
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        if null >= 0 {
            dup2(null, STDOUT_FILENO)
            dup2(null, STDERR_FILENO)
            close(null)
        }
        _ = write(descriptor, &byte, 1)
        close(descriptor)
    }
}
