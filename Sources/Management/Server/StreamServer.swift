// A listening socket and the connections it accepted.

internal import Glibc
public import Logging
internal import NIOCore
internal import NIOPosix

/// Accepts connections at a Unix socket and runs a `StreamSession` on each. Only on the control loop's thread.
///
/// The socket exists, with its final mode, when `init` returns. `close` removes its name and ends every connection.
public final class StreamServer {
    public let path: String
    /// Connections there are.
    public var connectionCount: Int { connections.count }

    private let loop: ControlLoop
    private let limits: StreamLimits
    private let logger: Logger
    private let socket: UnixSocket
    private let label: String
    private let makeSession: (StreamConnection) -> any StreamSession
    private var listener: (any Channel)?
    private var connections: [Int: StreamConnection] = [:]
    private var nextNumber = 0
    private var isClosed = false

    /// Listens.
    ///
    /// - Throws: `UnixSocketError`, in particular if a live process serves the path.
    public init(
        loop: ControlLoop, path: String, limits: StreamLimits, logger: Logger,
        makeSession: @escaping (StreamConnection) -> any StreamSession
    ) throws(UnixSocketError) {
        loop.preconditionCurrent()
        socket = try UnixSocket(listeningAt: path)
        self.loop = loop
        self.path = path
        self.limits = limits
        self.logger = logger
        self.makeSession = makeSession
        label = path.split(separator: "/").last.map(String.init) ?? path
        start()
    }

    /// Stops accepting, removes the socket's name and closes every connection after what was sent to it.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        socket.removeName()
        listener?.close(promise: nil)
        for connection in connections.values { connection.close() }
    }

    private func start() {
        let me = Confined(self, to: loop)
        ServerBootstrap(group: loop.eventLoop)
            .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try me.value.accept(channel) }
            }
            .withBoundSocket(socket.descriptor)
            .whenComplete { result in me.value.listening(result) }
    }

    private func listening(_ result: Result<any Channel, any Error>) {
        switch result {
        case .success(let channel):
            listener = channel
            if isClosed { channel.close(promise: nil) }
        case .failure(let error):
            logger.error("\(path): cannot accept connections: \(error)")
        }
    }

    private func accept(_ channel: any Channel) throws {
        guard !isClosed else { throw ChannelError.ioOnClosedChannel }
        guard connections.count < limits.connections else {
            logger.warning("\(path): refusing a connection, \(limits.connections) are open already")
            throw ChannelError.ioOnClosedChannel
        }
        let number = nextNumber
        nextNumber += 1
        let connection = StreamConnection(name: "\(label)#\(number)", limits: limits, loop: loop, channel: channel, logger: logger)
        connections[number] = connection
        let session = makeSession(connection)
        connection.session = session
        let handler = StreamHandler(connection: connection, session: session, loop: loop) { [weak self] in
            self?.connections[number] = nil
        }
        try channel.pipeline.syncOperations.addHandler(handler)
        loop.settle()
    }
}

/// NIO's end of a connection.
private final class StreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: StreamConnection
    private let session: any StreamSession
    private let loop: ControlLoop
    private let closed: () -> Void
    private var isGone = false

    init(connection: StreamConnection, session: any StreamSession, loop: ControlLoop, closed: @escaping () -> Void) {
        self.connection = connection
        self.session = session
        self.loop = loop
        self.closed = closed
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = Self.unwrapInboundIn(data)
        connection.deliver { session.received(Array(buffer.readableBytesView)) }
        loop.settle()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            connection.deliver { session.inputEnded() }
            connection.inputEnded()
            loop.settle()
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { gone() }
    func handlerRemoved(context: ChannelHandlerContext) { gone() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A peer that resets is a peer that closes.
        context.close(promise: nil)
    }

    private func gone() {
        guard !isGone else { return }
        isGone = true
        connection.peerGone()
        session.connectionClosed()
        closed()
        loop.settle()
    }
}
