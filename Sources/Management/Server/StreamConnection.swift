// One accepted connection: bounded output, back-pressure, an orderly end.
//
// Output that the peer has not read is counted. Past `pauseBytes` the connection is not read from, so a client that asks
// and never reads stops itself; past `outputBytes`, which only unasked-for output can reach by much, it is disconnected
// and the log says so. No timer is involved: half a message followed by silence costs a file descriptor and nothing else.
//
// A peer that waits for each answer before it asks again (`ovs-ofctl add-flows` does, 100,000 times) would spend most of
// its time waking this thread up. Where `StreamLimits.followMicroseconds` says so, the connection looks for the next
// request at the descriptor itself for a few microseconds after an answer (`follow`), and writes answers there when
// nothing waits in the event loop's own queue. Looking in vain makes it look less often.

internal import Base
internal import CLinux
internal import Glibc
internal import Logging
internal import NIOCore
internal import NIOSSL

/// A connection, as its session sees it. Only on the control loop's thread.
public final class StreamConnection {
    /// For logs: the socket's name and a number.
    public let name: String
    /// Bytes sent that the peer has not taken yet.
    public private(set) var pendingBytes = 0
    /// False once `close` or `abort` was called or the peer is gone.
    public private(set) var isOpen = true

    /// Why it ended, if there was an error.
    public internal(set) var failure: String?

    let limits: StreamLimits
    private let loop: ControlLoop
    private let channel: any Channel
    private let logger: Logger
    /// Set while bytes are handed to the session: answers are flushed together afterwards.
    private var isReceiving = false
    /// Whether the peer is behind with reading. A session that can answer a few bytes with many looks here before each answer.
    public private(set) var isCongested = false
    /// Whether the session will answer something later: the end of the peer's input is not the end of the connection then.
    public var owesAnswers = false {
        didSet { if oldValue, !owesAnswers, closesWhenDrained, !isCongested { close() } }
    }
    /// The loop's, for sessions whose work takes long.
    var breath: Breath { loop.breath }
    /// Set by the server once the session is made.
    weak var session: (any StreamSession)?
    /// The peer will send nothing more, and the session is not done with what it sent.
    private var closesWhenDrained = false
    private var closesWhenFlushed = false
    private var isGone = false
    private var linger: TimerQueue.Token?
    /// Runs while the peer is congested; restarted whenever it takes something.
    private var stall: TimerQueue.Token?
    /// How long a peer may take to read the last answers.
    private static let lingerMilliseconds: UInt64 = 10_000

    /// The socket, for reading and writing past the event loop; -1 if that is not to be.
    private var descriptor: Int32 = -1
    /// Answers that go to `descriptor` together.
    private var batch: [UInt8] = []
    /// Deliveries to let pass before the next request is awaited at the descriptor again, and how many next time.
    private var followsToSkip = 0
    private var followBackoff = 0
    private static let batchBytes = 64 << 10
    /// Bytes handed to the event loop in one piece: megabytes take milliseconds to copy.
    private static let pieceBytes = 512 << 10
    /// How long one peer may keep the loop's thread by asking on and on.
    private static let followTotalNanoseconds: UInt64 = 500_000
    private static let readBytes = 64 << 10

    init(name: String, limits: StreamLimits, loop: ControlLoop, channel: any Channel, logger: Logger) {
        self.name = name
        self.limits = limits
        self.loop = loop
        self.channel = channel
        self.logger = logger
    }

    /// The common name in the certificate that the peer has shown; nil without TLS.
    var peerCertificateName: String? {
        guard let certificate = try? channel.pipeline.syncOperations.nioSSL_peerCertificate(), let bytes = try? certificate.toDERBytes()
        else { return nil }
        return CertificateText.commonName(bytes)
    }

    /// Sends bytes. Does nothing on a connection that is not open.
    public func send(_ bytes: [UInt8]) {
        guard isOpen, !bytes.isEmpty else { return }
        pendingBytes += bytes.count
        if pendingBytes > limits.outputBytes {
            logger.warning("\(name): disconnecting, \(pendingBytes) bytes wait for a peer that does not read (limit \(limits.outputBytes))")
            abort()
            return
        }
        // What the event loop has yet to write goes first.
        if descriptor >= 0, pendingBytes == batch.count + bytes.count {
            batch += bytes
            if !isReceiving || batch.count >= StreamConnection.batchBytes { flushBatch() }
        } else {
            queue(bytes)
        }
    }

    /// Hands bytes to the event loop for writing.
    private func queue(_ bytes: [UInt8]) {
        let me = Confined(self, to: loop)
        var start = 0
        while start < bytes.count {
            let piece = bytes[start..<min(bytes.count, start + StreamConnection.pieceBytes)]
            start = piece.endIndex
            let count = piece.count
            channel.write(channel.allocator.buffer(bytes: piece)).whenComplete { _ in me.value.written(count) }
            if start < bytes.count { Breath.take() }
        }
        if !isReceiving { channel.flush() }
        if pendingBytes > limits.pauseBytes && !isCongested {
            isCongested = true
            watchForStall()
            channel.setOption(ChannelOptions.autoRead, value: false).whenFailure { _ in }
        }
    }

    /// Writes what is collected for the descriptor; what the socket does not take is the event loop's to write.
    private func flushBatch() {
        guard !batch.isEmpty else { return }
        // An aborted connection's descriptor may be another's already.
        guard descriptor >= 0 else { return batch.removeAll() }
        var sent = 0
        while sent < batch.count {
            let count = batch.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            if count <= 0 {
                if count < 0, errno == EINTR { continue }
                break
            }
            sent += count
        }
        // Emptied first: what the event loop writes may lead to new answers at once.
        let rest = Array(batch[sent...])
        batch.removeAll(keepingCapacity: true)
        pendingBytes -= sent
        // Whatever the error is, the event loop meets it too, and ends the connection.
        if !rest.isEmpty { queue(rest) }
    }

    /// Lets the connection read and write at its socket. For sockets whose bytes nobody transforms on the way.
    func attach(descriptor: Int32) { if limits.followMicroseconds > 0 { self.descriptor = descriptor } }

    /// Closes once everything sent so far is with the peer, at the latest after `lingerMilliseconds`.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        closesWhenFlushed = true
        closeIfFlushed()
        if !isGone {
            linger = loop.timers.schedule(afterMilliseconds: StreamConnection.lingerMilliseconds) { [weak self] in self?.abort() }
        }
    }

    /// Closes now; output that waits is lost.
    public func abort() {
        isOpen = false
        descriptor = -1
        channel.close(promise: nil)
    }

    /// Hands bytes to the session, and sends its answers in one piece.
    func deliver(_ body: () -> Void) {
        guard isOpen else { return }
        isReceiving = true
        body()
        flushBatch()
        isReceiving = false
        channel.flush()
        closeIfFlushed()
    }

    /// After bytes were delivered: waits a few microseconds for what the peer sends next, as long as it does.
    func follow(_ receive: ([UInt8]) -> Void) {
        guard descriptor >= 0 else { return }
        if followsToSkip > 0 {
            followsToSkip -= 1
            return
        }
        let start = StreamConnection.nanoseconds()
        var last = start
        var isFruitful = false
        var rounds = 0
        while isOpen, !isCongested, pendingBytes == 0 {
            // Zero and errors are left to the event loop, which meets them too.
            var count = 0
            var bytes: [UInt8] = []
            withUnsafeTemporaryAllocation(byteCount: StreamConnection.readBytes, alignment: 8) { buffer in
                count = recv(descriptor, buffer.baseAddress!, buffer.count, Int32(MSG_DONTWAIT))
                if count > 0 { bytes = Array(buffer.prefix(count)) }
            }
            let now = StreamConnection.nanoseconds()
            if count > 0 {
                isFruitful = true
                last = now
                deliver { receive(bytes) }
                if now - start >= StreamConnection.followTotalNanoseconds { break }
                continue
            }
            if count == 0 || (errno != EAGAIN && errno != EINTR) || now - last >= limits.followMicroseconds * 1000 { break }
            rounds += 1
            // The peer may need this very processor.
            if rounds & 3 == 0 { sched_yield() } else { for _ in 0..<16 { clinux_pause() } }
        }
        followBackoff = isFruitful ? 0 : min(64, 2 * followBackoff + 1)
        followsToSkip = followBackoff
    }

    private static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    func peerGone() {
        isOpen = false
        descriptor = -1
        isGone = true
        if let linger { loop.timers.cancel(linger) }
        if let stall { loop.timers.cancel(stall) }
    }

    /// Goes on reading from the peer, or leaves what it sends to the socket.
    func setReading(_ reads: Bool) { channel.setOption(ChannelOptions.autoRead, value: reads && !isCongested).whenFailure { _ in } }

    private func watchForStall() {
        stall.map(loop.timers.cancel)
        stall = nil
        guard isCongested, isOpen, let limit = limits.stallMilliseconds else { return }
        stall = loop.timers.schedule(afterMilliseconds: limit) { [weak self] in
            guard let self, self.isOpen, self.isCongested else { return }
            self.logger.warning("\(self.name): disconnecting, a peer that does not read has taken nothing for \(limit / 1000) seconds")
            self.abort()
        }
    }

    private func written(_ count: Int) {
        pendingBytes -= count
        if pendingBytes == 0, isOpen { session?.outputEmptied() }
        if isCongested { watchForStall() }
        if isCongested && isOpen && pendingBytes <= limits.pauseBytes / 2 {
            isCongested = false
            watchForStall()
            deliver { session?.outputDrained() }
            if !isCongested {
                if closesWhenDrained, !owesAnswers { close() }
                channel.setOption(ChannelOptions.autoRead, value: true).whenFailure { _ in }
            }
            loop.settle()
        }
        closeIfFlushed()
    }

    /// Closes once the session has answered everything and the peer has read it.
    func inputEnded() {
        if isCongested || owesAnswers { closesWhenDrained = true } else { close() }
    }

    private func closeIfFlushed() {
        guard closesWhenFlushed && pendingBytes == 0 && !isReceiving else { return }
        descriptor = -1
        channel.close(promise: nil)
    }
}
