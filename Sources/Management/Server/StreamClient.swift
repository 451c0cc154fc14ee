// One attempt to connect, and the connection that comes of it.
//
// A client is used once: whoever wants to try again makes another, when its own back-off says so.

internal import Base
public import Logging
internal import NIOCore
internal import NIOPosix

/// Connects to a target and runs a `StreamSession` on the connection. Only on the control loop's thread.
public final class StreamClient {
    public let target: StreamTarget
    /// Nil until connected.
    public private(set) var connection: StreamConnection?

    private let loop: ControlLoop
    private let limits: StreamLimits
    private let logger: Logger
    private let makeSession: (StreamConnection) -> any StreamSession
    private let failed: (String) -> Void
    private var isOver = false

    /// Begins to connect.
    ///
    /// - Parameters:
    ///   - target: an active one.
    ///   - makeSession: called when the connection is there; the session is told of its end like any other.
    ///   - failed: called, later, with the reason if no connection comes about; then nothing else is.
    public init(
        loop: ControlLoop, target: StreamTarget, tls: TLSContext?, limits: StreamLimits, logger: Logger, timeoutMilliseconds: UInt64,
        makeSession: @escaping (StreamConnection) -> any StreamSession, failed: @escaping (String) -> Void
    ) {
        loop.preconditionCurrent()
        self.loop = loop
        self.target = target
        self.limits = limits
        self.logger = logger
        self.makeSession = makeSession
        self.failed = failed
        connect(tls, timeoutMilliseconds)
    }

    /// Gives up the attempt; the connection is closed after what was sent on it, if there is one already.
    public func cancel() {
        isOver = true
        connection?.close()
    }

    private func connect(_ tls: TLSContext?, _ timeoutMilliseconds: UInt64) {
        let me = Confined(self, to: loop)
        let usesTLS = target.usesTLS
        let context = Confined(tls, to: loop)
        let bootstrap = ClientBootstrap(group: loop.eventLoop)
            .connectTimeout(.milliseconds(Int64(clamping: timeoutMilliseconds)))
            .channelOption(ChannelOptions.allowRemoteHalfClosure, value: !usesTLS)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard usesTLS else { return }
                    guard let tls = context.value else { throw TLSError.notConfigured(what: "private key") }
                    try channel.pipeline.syncOperations.addHandler(tls.clientHandler())
                }
            }
        let future: EventLoopFuture<any Channel>
        switch target.place {
        case .unix(let path): future = bootstrap.connect(unixDomainSocketPath: path)
        case .internet(let host, let port):
            future = bootstrap.connect(host: host, port: Int(port))
        }
        future.whenComplete { result in
            me.value.finished(result)
            me.value.loop.settle()
        }
    }

    private func finished(_ result: Result<any Channel, any Error>) {
        switch result {
        case .failure(let error):
            if !isOver { failed(StreamFailure.text(error)) }
            isOver = true
        case .success(let channel):
            guard !isOver else { return channel.close(promise: nil) }
            let connection = StreamConnection(name: target.description, limits: limits, loop: loop, channel: channel, logger: logger)
            self.connection = connection
            let session = makeSession(connection)
            connection.session = session
            let handler = StreamHandler(connection: connection, session: session, loop: loop) {}
            do {
                try channel.pipeline.syncOperations.addHandler(handler)
            } catch {
                // The channel ended before it had begun.
                session.connectionClosed()
            }
        }
    }
}
