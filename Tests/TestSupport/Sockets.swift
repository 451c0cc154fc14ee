internal import Base
internal import Glibc

/// A directory of its own for a test, removed with what is in it.
public final class TemporaryDirectory: Sendable {
    public let path: String
    public init() {
        var template = Array("/tmp/apus-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template)!)
    }
    public func file(_ name: String) -> String { path + "/" + name }
    deinit {
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink(file(name))
            }
            closedir(directory)
        }
        rmdir(path)
    }
}

/// A blocking client of a Unix socket, with a time limit on every read.
public final class RawClient {
    private let descriptor: Int32

    public init?(_ path: String, receiveBufferBytes: Int32? = nil) {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        if var bytes = receiveBufferBytes { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, 4) }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        if result != 0 {
            Glibc.close(descriptor)
            return nil
        }
    }

    deinit { Glibc.close(descriptor) }

    /// Sends; false if the peer is gone.
    @discardableResult public func send(_ text: String) -> Bool { send(Array(text.utf8)) }
    @discardableResult public func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    /// Reads until `count` bytes came, the peer closed or the time limit passed.
    public func receive(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        while result.count < count, let piece = piece(count - result.count), !piece.isEmpty { result += piece }
        return result
    }

    /// What one read gives, at least one byte; empty at the end and after the time limit.
    public func receiveSome() -> [UInt8] { piece(65536) ?? [] }

    /// Reads to the end; nil if the peer does not close within the time limit.
    public func receiveAll() -> [UInt8]? {
        var result: [UInt8] = []
        while let piece = piece(65536) {
            if piece.isEmpty { return result }
            result += piece
        }
        return nil
    }

    /// Whether the peer has closed (or closes within the time limit).
    public var isClosedByPeer: Bool { receiveAll() != nil }

    public func endInput() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// What one read gives: empty at the end, nil after the time limit.
    private func piece(_ count: Int) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: count)
        let got = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        if got < 0 { return errno == ECONNRESET ? [] : nil }
        return Array(buffer.prefix(got))
    }
}

/// Waits until `condition` holds, at most ten seconds.
public func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    let clock = Clock()
    let end = clock.now.adding(milliseconds: 10_000)
    while clock.now < end {
        if try condition() { return true }
        usleep(2_000)
    }
    return false
}

/// A pipe that log lines go to.
public final class LogSink: @unchecked Sendable {
    // Sound: written once in init; the descriptors are the kernel's to synchronize.
    private var ends: [Int32] = [0, 0]
    public init() {
        pipe(&ends)
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    }
    deinit {
        Glibc.close(ends[0])
        Glibc.close(ends[1])
    }
    public var descriptor: Int32 { ends[1] }
    /// What was written since the last time.
    public var text: String {
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let got = buffer.withUnsafeMutableBytes { read(ends[0], $0.baseAddress, $0.count) }
            if got <= 0 { return String(decoding: result, as: UTF8.self) }
            result += buffer.prefix(got)
        }
    }
}
