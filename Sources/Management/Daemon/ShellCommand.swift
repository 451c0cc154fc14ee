// A command that the daemon serves for: `ovsdb-server --run=COMMAND`.

internal import Glibc

/// A shell that runs. Only on the main thread.
struct ShellCommand {
    let text: String
    private let child: pid_t

    /// Starts `/bin/sh -c text` with this process's standard streams, and signals as a shell wants them.
    init(_ text: String) throws(DaemonError) {
        self.text = text
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var defaults = sigset_t()
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGPIPE)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments: [UnsafeMutablePointer<CChar>?] = (["/bin/sh", "-c", text] as [String]).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, "/bin/sh", nil, &attributes, &arguments, environ)
        guard failure == 0 else { throw DaemonError("\(text): cannot be run: \(String(cString: strerror(failure)))") }
        self.child = child
    }

    /// The wait status, if it has ended.
    func ended() -> Int32? {
        var status: Int32 = 0
        return waitpid(child, &status, WNOHANG) == child ? status : nil
    }

    /// In the field's words.
    static func describe(_ status: Int32) -> String {
        let signal = status & 0x7f
        return signal == 0 ? "exit status \((status >> 8) & 0xff)" : "killed (\(String(cString: strsignal(signal))))"
    }
}
