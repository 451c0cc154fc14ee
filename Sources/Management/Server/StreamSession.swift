// What a protocol is to a server: bytes in, bytes out, no sockets.

/// One connection's protocol. A server makes one for each connection it accepts, gives it the bytes that arrive, and lets
/// go of it when the connection is gone. Everything on the control loop's thread.
///
/// A session answers through the `StreamConnection` it was made with. It keeps its own timers (by the loop's
/// `TimerQueue`) and cancels them in `connectionClosed`.
public protocol StreamSession: AnyObject {
    /// Bytes from the peer, in order, cut anywhere.
    func received(_ bytes: [UInt8])

    /// The connection is not congested any more. A session that left messages unanswered while
    /// `StreamConnection.isCongested` goes on with them.
    func outputDrained()

    /// The peer has taken everything that was sent.
    func outputEmptied()

    /// The peer will send nothing more. What was answered is still sent; then the server closes.
    func inputEnded()

    /// The connection is gone. Called once, last.
    func connectionClosed()
}

extension StreamSession {
    public func outputDrained() {}
    public func outputEmptied() {}
    public func inputEnded() {}
    public func connectionClosed() {}
}

/// How much a server lets its clients use.
public struct StreamLimits: Sendable {
    /// Connections at once; one more is accepted and closed at once.
    public var connections: Int
    /// A peer whose unread output passes this is congested: not read from until it has read half of it.
    public var pauseBytes: Int
    /// A peer whose unread output passes this is disconnected.
    public var outputBytes: Int
    /// How long the next request of a peer is awaited at its socket, without going to sleep; 0 is not at all.
    public var followMicroseconds: UInt64
    /// A congested peer that takes nothing for so long is disconnected; nil waits for ever.
    public var stallMilliseconds: UInt64?

    public init(
        connections: Int, pauseBytes: Int, outputBytes: Int, followMicroseconds: UInt64 = 0, stallMilliseconds: UInt64? = nil
    ) {
        precondition(connections > 0 && pauseBytes > 0 && outputBytes >= pauseBytes, "limits of a server")
        self.connections = connections
        self.pauseBytes = pauseBytes
        self.outputBytes = outputBytes
        self.followMicroseconds = followMicroseconds
        self.stallMilliseconds = stallMilliseconds
    }

    /// The database: a snapshot of a big database for each of many monitors.
    public static let database = StreamLimits(connections: 4096, pauseBytes: 1 << 20, outputBytes: 256 << 20, stallMilliseconds: 120_000)
    /// A bridge's OpenFlow socket: a dump of 100,000 flows is some 20 MB.
    public static let openFlow = StreamLimits(connections: 512, pauseBytes: 4 << 20, outputBytes: 64 << 20, followMicroseconds: 30)
    /// Copies of other connections' traffic: whoever does not keep up loses the connection.
    public static let snoop = StreamLimits(connections: 16, pauseBytes: 1 << 20, outputBytes: 8 << 20)
    /// Control commands.
    public static let control = StreamLimits(connections: 256, pauseBytes: 1 << 20, outputBytes: 256 << 20)
}
