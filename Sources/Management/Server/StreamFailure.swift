// What NIO's and TLS's errors mean, in the operator's words.

internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

enum StreamFailure {
    /// The error's own reason, without the machinery around it.
    static func text(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return text(first.error) }
            return error.dnsAError != nil || error.dnsAAAAError != nil ? "\(error.host) is not known" : "cannot connect"
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case let error as ChannelError:
            if case .connectTimeout = error { return "Connection timed out" }
            return "\(error)"
        case let error as TLSError: return error.description
        case let error as NIOSSLError:
            if case .handshakeFailed(let reason) = error { return "SSL handshake failed: \(reason)" }
            return "SSL: \(error)"
        default: return "\(error)"
        }
    }
}
