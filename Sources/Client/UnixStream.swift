// A blocking stream to a Unix socket, every step of it under a deadline.

internal import Base
internal import Glibc

/// A connection to one of the switch's sockets. Closed when it goes.
///
/// ## Thread safety
/// None: one thread uses it.
final class UnixStream {
    let path: String
    var deadline: Deadline
    private let descriptor: Int32
    private static let pathLimit = 107
    private static let readBytes = 256 << 10
    private var buffer = [UInt8](repeating: 0, count: UnixStream.readBytes)

    /// Connects.
    ///
    /// - Throws: `.notRunning` if nobody listens.
    init(path: String, runDirectory: String, deadline: Deadline) throws(ClientError) {
        let bytes = Array(path.utf8)
        guard bytes.count <= UnixStream.pathLimit else {
            throw .connection(path: path, reason: "its path has \(bytes.count) bytes, and a Unix socket's may have \(UnixStream.pathLimit)")
        }
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        self.path = path
        self.deadline = deadline
        guard descriptor >= 0 else { throw .connection(path: path, reason: String(cString: strerror(errno))) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        while true {
            let result = withUnsafePointer(to: &address) { pointer in
                // Sound: sockaddr_un begins as sockaddr does, and the length is its own.
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            if result == 0 { return }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // The listener's backlog is full: a Unix socket says so at once instead of waiting.
                guard !deadline.hasPassed else { throw timeout("connection") }
                usleep(5_000)
            case ENOENT, ECONNREFUSED: throw .notRunning(runDirectory: runDirectory)
            case EACCES:
                throw .connection(path: path, reason: "permission denied; run as the user of apusd, or as a member of its group")
            default: throw .connection(path: path, reason: String(cString: strerror(errno)))
            }
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Sends all of `bytes`.
    func send(_ bytes: [UInt8]) throws(ClientError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT), "room to send a request")
            } else if errno != EINTR {
                throw .connection(path: path, reason: "the switch closed the connection (\(String(cString: strerror(errno))))")
            }
        }
    }

    /// The next bytes, at least one; empty when the switch has closed.
    func receive(_ what: String) throws(ClientError) -> ArraySlice<UInt8> {
        while true {
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            if count >= 0 { return buffer[0..<count] }
            switch errno {
            case EAGAIN: try wait(for: Int16(POLLIN), what)
            case EINTR: continue
            case ECONNRESET: return []
            default: throw .connection(path: path, reason: String(cString: strerror(errno)))
            }
        }
    }

    private func wait(for events: Int16, _ what: String) throws(ClientError) {
        var entry = pollfd(fd: descriptor, events: events, revents: 0)
        guard !deadline.hasPassed else { throw timeout(what) }
        // An interrupted or early poll only makes the caller try again.
        _ = poll(&entry, 1, max(1, deadline.remainingMilliseconds))
    }

    private func timeout(_ what: String) -> ClientError { .timedOut(waitingFor: what, seconds: deadline.seconds) }
}
