// Listening TCP sockets. Bound at once, so that whoever asked learns at once that the port is taken.

internal import Glibc

/// Why a TCP socket cannot be had. One sentence for the operator.
public struct InternetSocketError: Error, Equatable, CustomStringConvertible {
    public let description: String
}

/// A bound and listening TCP socket. Whoever holds it closes the descriptor.
struct InternetSocket {
    private static let backlog: Int32 = 64

    let descriptor: Int32
    /// The port, also if the system chose it.
    let port: UInt16

    /// Binds and listens.
    ///
    /// - Parameter host: an IPv4 or IPv6 address.
    init(host: String, port: UInt16) throws(InternetSocketError) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &list) == 0, let address = list else {
            throw InternetSocketError(description: "\(host) is not an IP address; listening needs one of this machine's")
        }
        defer { freeaddrinfo(list) }
        func failure(_ operation: String) -> InternetSocketError {
            InternetSocketError(description: "cannot \(operation) \(host) port \(port): \(String(cString: strerror(errno)))")
        }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.pointee.ai_family, type, 0)
        guard descriptor >= 0 else { throw failure("create a socket for") }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0, listen(descriptor, InternetSocket.backlog) == 0
        else {
            let error = failure("listen at")
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        self.port = InternetSocket.port(of: descriptor) ?? port
    }

    private static func port(of descriptor: Int32) -> UInt16? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { bytes -> UInt16? in
            let address = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            // Sound: the storage is large enough for any address, and both families have the port at bytes 2 and 3.
            guard getsockname(descriptor, address, &length) == 0, length >= 4 else { return nil }
            return UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        }
    }
}
