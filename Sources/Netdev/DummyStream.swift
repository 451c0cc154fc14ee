// Streams between dummy ports, of one process or of several: each packet behind its length, two bytes, big-endian.
//
// A port with `options:pstream` listens and takes up to eight peers; one with `options:stream` connects, again and again.
// A thread of the port's own waits for all of it and puts what arrives on the port's receive queue. For tests only, so
// simple and not fast.

internal import CDPDK
internal import CLinux
internal import Glibc
internal import Synchronization

/// One end.
///
/// ## Thread safety
/// `start` and `stop` are called once, in this order, by the port's owner; the rest belongs to the thread. The sink's descriptors are
/// changed under the transmit queue's spin lock, which every sender holds. `@unchecked` for that sharing.
final class DummyStream: @unchecked Sendable {
    enum Role: Equatable {
        case connects(path: String)
        case listens(path: String)
    }

    private static let peerLimit = 8
    private static let retryMilliseconds: Int32 = 100

    private struct Peer {
        var descriptor: Int32
        var received: [UInt8] = []
    }

    let role: Role
    private let lock: UnsafeMutablePointer<cdpdk_queue_counters>
    private let sink: UnsafeMutablePointer<clinux_sink>
    private let deliver: @Sendable ([UInt8]) -> Void
    private let wake: Int32
    private let stopping = Atomic<Bool>(false)
    private let connected = Atomic<Bool>(false)
    private var thread: pthread_t?
    private var peers: [Peer] = []

    /// Whether the one peer of an end that connects is there.
    var isConnected: Bool { connected.load(ordering: .acquiring) }

    /// - Parameters:
    ///   - sink: the transmit queue's, under the lock in `lock`.
    ///   - deliver: puts a packet on the receive queue; called on the stream's thread.
    init(
        _ role: Role, sink: UnsafeMutablePointer<clinux_sink>, lock: UnsafeMutablePointer<cdpdk_queue_counters>,
        deliver: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.role = role
        self.sink = sink
        self.lock = lock
        self.deliver = deliver
        wake = clinux_eventfd()
    }

    deinit { if wake >= 0 { close(wake) } }

    /// Begins to listen or connect. Returns why it cannot, or nil.
    func start() -> String? {
        var listener: Int32 = -1
        if case .listens(let path) = role {
            listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2004000, 0)
            unlink(path)
            let bound = DummyStream.withAddress(path) { Glibc.bind(listener, $0, $1) }
            guard listener >= 0, bound == 0, Glibc.listen(listener, 8) == 0 else {
                let reason = String(cString: strerror(errno))
                if listener >= 0 { close(listener) }
                return reason
            }
        }
        final class Context {
            let stream: DummyStream
            let listener: Int32
            init(_ stream: DummyStream, _ listener: Int32) {
                self.stream = stream
                self.listener = listener
            }
        }
        let context = Unmanaged.passRetained(Context(self, listener)).toOpaque()
        var created = pthread_t()
        let result = pthread_create(
            &created, nil,
            { context in
                let context = Unmanaged<Context>.fromOpaque(context!).takeRetainedValue()
                clinux_set_thread_name("apus-dummy")
                context.stream.run(context.listener)
                return nil
            }, context)
        guard result == 0 else {
            Unmanaged<Context>.fromOpaque(context).release()
            if listener >= 0 { close(listener) }
            return String(cString: strerror(result))
        }
        thread = created
        return nil
    }

    /// Ends the thread and all connections.
    func stop() {
        guard let running = thread else { return }
        stopping.store(true, ordering: .releasing)
        _ = clinux_eventfd_signal(wake)
        pthread_join(running, nil)
        thread = nil
        if case .listens(let path) = role { unlink(path) }
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8.prefix(NetdevLimits.socketPath))
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    // MARK: The thread

    private func run(_ listener: Int32) {
        while !stopping.load(ordering: .acquiring) {
            if case .connects(let path) = role, peers.isEmpty { connect(path) }
            var waiting = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
            if listener >= 0, peers.count < DummyStream.peerLimit {
                waiting.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
            }
            let first = waiting.count
            for peer in peers { waiting.append(pollfd(fd: peer.descriptor, events: Int16(POLLIN), revents: 0)) }
            let mustRetry = listener < 0 && peers.isEmpty
            _ = poll(&waiting, nfds_t(waiting.count), mustRetry ? DummyStream.retryMilliseconds : -1)
            for index in peers.indices.reversed() where waiting[first + index].revents != 0 {
                if !receive(index) { drop(index) }
            }
            if first == 2, waiting[1].revents != 0 {
                let descriptor = accept(listener, nil, nil)
                if descriptor >= 0 { add(descriptor) }
            }
        }
        while !peers.isEmpty { drop(peers.count - 1) }
        if listener >= 0 { close(listener) }
    }

    private func connect(_ path: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2000000, 0)
        guard descriptor >= 0 else { return }
        if DummyStream.withAddress(path, { Glibc.connect(descriptor, $0, $1) }) == 0 { add(descriptor) } else { close(descriptor) }
    }

    private func add(_ descriptor: Int32) {
        peers.append(Peer(descriptor: descriptor))
        publish()
    }

    private func drop(_ index: Int) {
        let descriptor = peers.remove(at: index).descriptor
        publish()
        close(descriptor)
    }

    /// Shows senders the peers there are now.
    private func publish() {
        cdpdk_spin_lock(&lock.pointee.lock)
        withUnsafeMutableBytes(of: &sink.pointee.streams) { bytes in
            let streams = bytes.assumingMemoryBound(to: Int32.self)
            for index in 0..<DummyStream.peerLimit { streams[index] = index < peers.count ? peers[index].descriptor : -1 }
        }
        cdpdk_spin_unlock(&lock.pointee.lock)
        connected.store(!peers.isEmpty, ordering: .releasing)
    }

    /// Reads what is there and delivers whole packets. False at the stream's end.
    private func receive(_ index: Int) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = recv(peers[index].descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0 { return errno == EAGAIN || errno == EINTR }
        if count == 0 { return false }
        peers[index].received += buffer[..<count]
        var start = 0
        let bytes = peers[index].received
        while bytes.count - start >= 2 {
            let length = Int(bytes[start]) << 8 | Int(bytes[start + 1])
            guard bytes.count - start - 2 >= length else { break }
            if length >= 14 { deliver(Array(bytes[start + 2..<start + 2 + length])) }
            start += 2 + length
        }
        peers[index].received.removeFirst(start)
        return true
    }
}
