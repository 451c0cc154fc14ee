// The run directory and who holds it.
//
// `PROGRAM.pid` is both the pid file and the lock: an fcntl write lock that the kernel drops when its holder dies, however
// it dies. So a stale file never keeps a new daemon from starting, and two live daemons never share a directory.

internal import Glibc

/// Why a daemon cannot use a run directory. Each is one sentence for the operator.
public enum RunDirectoryError: Error, CustomStringConvertible, Equatable {
    case cannotCreate(path: String, reason: String)
    case notADirectory(path: String)
    case pathTooLong(path: String, limit: Int)
    case cannotOpenPidFile(path: String, reason: String)
    case held(path: String, pid: Int32)

    public var description: String {
        switch self {
        case .cannotCreate(let path, let reason):
            "cannot create the run directory \(path): \(reason); give another one with --rundir"
        case .notADirectory(let path):
            "the run directory \(path) is not a directory; give another one with --rundir"
        case .pathTooLong(let path, let limit):
            "the run directory \(path) is too long: its sockets' paths would pass the \(limit) bytes a Unix socket may have; give a shorter one with --rundir"
        case .cannotOpenPidFile(let path, let reason):
            "cannot write \(path): \(reason); the run directory must be writable"
        case .held(let path, let pid):
            "another apusd (pid \(pid)) already runs in \(path); stop it, or give another directory with --rundir"
        }
    }
}

/// A run directory that this process holds, until it exits or calls `release`.
public final class RunDirectory {
    /// Longest path of the sockets made in it: `sun_path` is 108 bytes with its terminator.
    public static let socketPathLimit = 107
    /// The longest that a control socket's name has behind the program's: `.4194304.ctl`.
    private static let longestOwnSocketSuffix = 12

    public let path: String
    private let pidFile: PidFile

    /// Names the pid file and the control sockets.
    private let program: String

    /// Creates `path` (mode 0755) if need be and takes its lock.
    public init(path: String, program: String = "apusd") throws(RunDirectoryError) {
        self.program = program
        var trimmed = path
        while trimmed.count > 1 && trimmed.hasSuffix("/") { trimmed.removeLast() }
        guard trimmed.utf8.count + 1 + program.utf8.count + RunDirectory.longestOwnSocketSuffix <= RunDirectory.socketPathLimit else {
            throw .pathTooLong(path: trimmed, limit: RunDirectory.socketPathLimit)
        }
        try RunDirectory.makeDirectory(trimmed)
        self.path = trimmed
        pidFile = try PidFile(path: trimmed + "/\(program).pid", directory: trimmed)
        removeControlSocketsOfTheDead()
    }

    /// A killed predecessor left its control socket, named by its process id, which no later daemon would bind again.
    /// Whoever holds the directory's lock is its only daemon: every such socket is stale.
    private func removeControlSocketsOfTheDead() {
        guard let directory = opendir(path) else { return }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix(program + "."), name.hasSuffix(".ctl"), Int32(name.dropFirst(program.count + 1).dropLast(4)) != nil {
                unlink(file(name))
            }
        }
    }

    /// Path of `name` in the directory.
    public func file(_ name: String) -> String { path + "/" + name }

    /// Removes the pid file and drops the lock. Idempotent.
    public func release() { pidFile.release() }

    private static func makeDirectory(_ path: String) throws(RunDirectoryError) {
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else { throw .notADirectory(path: path) }
            return
        }
        let parent = path.split(separator: "/", omittingEmptySubsequences: true).dropLast().joined(separator: "/")
        if !parent.isEmpty { try makeDirectory((path.hasPrefix("/") ? "/" : "") + parent) }
        if mkdir(path, 0o755) != 0 && errno != EEXIST {
            throw .cannotCreate(path: path, reason: String(cString: strerror(errno)))
        }
    }
}
