// One accepted connection: bounded output, back-pressure, an orderly end.
//
// Output that the peer has not read is counted. Past `pauseBytes` the connection is not read from, so a client that asks
// and never reads stops itself; past `outputBytes`, which only unasked-for output can reach by much, it is disconnected
// and the log says so. No timer is involved: half a message followed by silence costs a file descriptor and nothing else.

internal import Base
internal import Logging
internal import NIOCore

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
    /// Set by the server once the session is made.
    weak var session: (any StreamSession)?
    /// The peer will send nothing more, and the session is not done with what it sent.
    private var closesWhenDrained = false
    private var closesWhenFlushed = false
    private var isGone = false
    private var linger: TimerQueue.Token?
    /// How long a peer may take to read the last answers.
    private static let lingerMilliseconds: UInt64 = 10_000

    init(name: String, limits: StreamLimits, loop: ControlLoop, channel: any Channel, logger: Logger) {
        self.name = name
        self.limits = limits
        self.loop = loop
        self.channel = channel
        self.logger = logger
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
        let count = bytes.count
        let me = Confined(self, to: loop)
        channel.write(channel.allocator.buffer(bytes: bytes)).whenComplete { _ in me.value.written(count) }
        if !isReceiving { channel.flush() }
        if pendingBytes > limits.pauseBytes && !isCongested {
            isCongested = true
            channel.setOption(ChannelOptions.autoRead, value: false).whenFailure { _ in }
        }
    }

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
        channel.close(promise: nil)
    }

    /// Hands bytes to the session, and sends its answers in one piece.
    func deliver(_ body: () -> Void) {
        guard isOpen else { return }
        isReceiving = true
        body()
        isReceiving = false
        channel.flush()
        closeIfFlushed()
    }

    func peerGone() {
        isOpen = false
        isGone = true
        if let linger { loop.timers.cancel(linger) }
    }

    private func written(_ count: Int) {
        pendingBytes -= count
        if isCongested && isOpen && pendingBytes <= limits.pauseBytes / 2 {
            isCongested = false
            deliver { session?.outputDrained() }
            if !isCongested {
                if closesWhenDrained { close() }
                channel.setOption(ChannelOptions.autoRead, value: true).whenFailure { _ in }
            }
            loop.settle()
        }
        closeIfFlushed()
    }

    /// Closes once the session has answered everything and the peer has read it.
    func inputEnded() {
        if isCongested { closesWhenDrained = true } else { close() }
    }

    private func closeIfFlushed() {
        if closesWhenFlushed && pendingBytes == 0 && !isReceiving { channel.close(promise: nil) }
    }
}
