// A lock file beside the database file, as the field's servers take it: `DIR/.NAME.~lock~`, locked with fcntl(2) for the
// server's life. Servers of either make exclude each other.

internal import Glibc
internal import Synchronization

/// Why a database file cannot be used. The message says what, where, and what would help.
public enum StorageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Another process holds the lock; its pid where the system tells.
    case locked(path: String, holder: Int32)
    /// A system call failed.
    case system(String)
    /// The file is no OVSDB log, or a damaged one.
    case corrupt(String)
    /// The file's schema does not fit the one this server needs.
    case schemaMismatch(String)

    public var description: String {
        switch self {
        case .locked(let path, let holder):
            "\(path): database is in use by process \(holder); stop that server first, or choose another file"
        case .system(let text), .corrupt(let text), .schemaMismatch(let text): text
        }
    }
}

/// What errno says, with its name left out as the field's tools do.
func systemErrorText(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }

/// Lock files this process holds: fcntl's locks do not keep a process from itself.
private let heldLocks = Mutex<Set<String>>([])

/// A held lock. Released when the instance goes away, or with the process.
///
/// ## Thread safety
/// Creation and release may happen on any thread.
final class LockFile {
    let path: String
    private let descriptor: Int32

    /// The lock file's name for a database file.
    static func path(for file: String) -> String {
        guard let slash = file.lastIndex(of: "/") else { return ".\(file).~lock~" }
        let name = file[file.index(after: slash)...]
        return "\(file[...slash]).\(name).~lock~"
    }

    /// Takes the lock for `file` or says who has it.
    init(for file: String) throws(StorageError) {
        let path = LockFile.path(for: file)
        let identity = realPath(of: path)
        let isFree = heldLocks.withLock { $0.insert(identity).inserted }
        guard isFree else { throw .locked(path: file, holder: getpid()) }
        func fail(_ error: StorageError) -> StorageError {
            _ = heldLocks.withLock { $0.remove(identity) }
            return error
        }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if descriptor < 0, errno == EROFS {
            // Nobody can write there, so there is nobody to be kept out.
            self.path = identity
            self.descriptor = -1
            return
        }
        guard descriptor >= 0 else { throw fail(.system("\(path): cannot create the lock file: \(systemErrorText())")) }
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        if fcntl(descriptor, F_SETLK, &lock) != 0 {
            let code = errno
            var holder = flock()
            holder.l_type = Int16(F_WRLCK)
            holder.l_whence = Int16(SEEK_SET)
            let pid = fcntl(descriptor, F_GETLK, &holder) == 0 ? holder.l_pid : 0
            close(descriptor)
            throw fail(
                code == EACCES || code == EAGAIN
                    ? .locked(path: file, holder: pid) : .system("\(path): cannot lock the lock file: \(systemErrorText(code))"))
        }
        self.path = identity
        self.descriptor = descriptor
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        _ = heldLocks.withLock { $0.remove(path) }
    }
}

/// `path` with its directory's symbolic links resolved, so that two names of one file are one.
private func realPath(of path: String) -> String {
    let slash = path.lastIndex(of: "/")
    let directory = slash.map { String(path[...$0]) } ?? "."
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    guard let resolved = realpath(directory, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved) + "/" + name
}

/// `path` with symbolic links resolved; itself if it does not exist yet.
func resolvingLinks(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
}
