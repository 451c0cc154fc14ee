// Listening Unix sockets.
//
// The mode is set on the socket before it gets a name, so that there is no moment in which a stranger could connect, and
// the process's umask, which other threads share, stays alone. A name left behind by a dead daemon is taken over; a name
// behind which somebody answers is refused, and the error says who that is.

internal import Glibc

/// Why a Unix socket cannot be had. Each is one sentence for the operator.
public enum UnixSocketError: Error, CustomStringConvertible, Equatable {
    case pathTooLong(path: String, limit: Int)
    case emptyPath
    case notASocket(path: String)
    case inUse(path: String, pid: Int32?)
    case failed(operation: String, path: String, reason: String)

    public var description: String {
        switch self {
        case .pathTooLong(let path, let limit):
            "the socket path \(path) has \(path.utf8.count) bytes, and a Unix socket's path may have \(limit); use a shorter directory"
        case .emptyPath:
            "the socket path is empty; give the path of a file that may be created"
        case .notASocket(let path):
            "\(path) exists and is not a socket; remove it or use another directory"
        case .inUse(let path, let pid):
            pid.map { "\(path) is served by process \($0) already; stop that process or use another directory" }
                ?? "\(path) is served by another process already; stop that process or use another directory"
        case .failed(let operation, let path, let reason):
            "cannot \(operation) \(path): \(reason)"
        }
    }
}

/// A bound and listening Unix stream socket. Whoever holds it closes the descriptor; `removeName` takes the name away.
public struct UnixSocket: Sendable {
    /// `sun_path` is 108 bytes with its terminator.
    public static let pathLimit = 107
    /// Who may connect: the owner and the group.
    static let mode: mode_t = 0o660
    private static let backlog: Int32 = 256

    public let path: String
    let descriptor: Int32
    private let device: dev_t
    private let inode: ino_t

    /// Binds and listens.
    public init(listeningAt path: String) throws(UnixSocketError) {
        var address = try UnixSocket.address(of: path)
        try UnixSocket.removeStale(path)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw UnixSocket.failure("create a socket for", path) }
        // Before the name exists: Linux gives the name the mode of the socket.
        let isModeSet = fchmod(descriptor, UnixSocket.mode) == 0
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &address) { pointer in
            // Sound: sockaddr_un begins as sockaddr does, and `length` is its own size.
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard isModeSet, bound == 0 else {
            let error = UnixSocket.failure("listen at", path)
            close(descriptor)
            throw error
        }
        var status = stat()
        // The umask may have taken bits from the name's mode; they are given back only now, so it was never looser.
        guard chmod(path, UnixSocket.mode) == 0, lstat(path, &status) == 0, listen(descriptor, UnixSocket.backlog) == 0 else {
            let error = UnixSocket.failure("listen at", path)
            unlink(path)
            close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
        device = status.st_dev
        inode = status.st_ino
    }

    /// Removes the name, if it still names this socket.
    public func removeName() {
        var status = stat()
        if lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode { unlink(path) }
    }

    /// Takes the next connection that waits; -1 if none does. Only while no event loop has the socket.
    public func acceptConnection() -> Int32 { accept(descriptor, nil, nil) }

    /// Closes the descriptor. Whoever gave it to an event loop leaves this to the loop.
    public func closeDescriptor() { close(descriptor) }

    /// Whether somebody answers at a path.
    static func isServed(_ path: String) -> Bool {
        guard var address = try? address(of: path) else { return false }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { return false }
        defer { close(probe) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        return withUnsafePointer(to: &address) { pointer in
            // Sound: as above.
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(probe, $0, length) == 0 || errno == EAGAIN }
        }
    }

    private static func removeStale(_ path: String) throws(UnixSocketError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
        var address = try address(of: path)
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { throw failure("create a socket for", path) }
        defer { close(probe) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let connected = withUnsafePointer(to: &address) { pointer in
            // Sound: as above.
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(probe, $0, length) }
        }
        if connected == 0 {
            var credentials: [Int32] = [0, 0, 0]  // struct ucred: pid, uid, gid
            var size = socklen_t(12)
            let known = getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 && credentials[0] > 0
            throw .inUse(path: path, pid: known ? credentials[0] : nil)
        }
        // A full backlog (EAGAIN) means that somebody listens, too.
        guard errno == ECONNREFUSED || errno == ENOENT else {
            if errno == EAGAIN { throw .inUse(path: path, pid: nil) }
            throw failure("look at", path)
        }
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("remove the stale socket", path) }
    }

    private static func address(of path: String) throws(UnixSocketError) -> sockaddr_un {
        guard !path.isEmpty else { throw .emptyPath }
        let bytes = Array(path.utf8)
        guard bytes.count <= pathLimit else { throw .pathTooLong(path: path, limit: pathLimit) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }

    private static func failure(_ operation: String, _ path: String) -> UnixSocketError {
        .failed(operation: operation, path: path, reason: String(cString: strerror(errno)))
    }
}
