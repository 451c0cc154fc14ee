// A listening socket and the connections it accepted.

internal import Glibc
public import Logging
internal import NIOCore
internal import NIOPosix

/// Accepts connections at a Unix socket and runs a `StreamSession` on each. Only on the control loop's thread.
///
/// The socket exists, with its final mode, when `init` returns. `close` removes its name and ends every connection.
public final class StreamServer {
    /// The socket's path, or `HOST:PORT`.
    public let path: String
    /// The TCP port, also if the system chose it; nil for a Unix socket.
    public private(set) var port: UInt16?
    /// Connections there are.
    public var connectionCount: Int { connections.count }

    private let loop: ControlLoop
    private let limits: StreamLimits
    private let logger: Logger
    private let descriptor: Int32
    /// Nil for a TCP socket, which leaves no name behind.
    private let unixSocket: UnixSocket?
    /// For TCP with TLS.
    private let tls: TLSContext?
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
        let socket = try UnixSocket(listeningAt: path)
        unixSocket = socket
        descriptor = socket.descriptor
        tls = nil
        self.loop = loop
        self.path = path
        self.limits = limits
        self.logger = logger
        self.makeSession = makeSession
        label = path.split(separator: "/").last.map(String.init) ?? path
        start()
    }

    /// Listens at a TCP port.
    ///
    /// - Parameters:
    ///   - host: an IP address of this machine, or `0.0.0.0` or `::` for all.
    ///   - port: 0 lets the system choose.
    ///   - tls: if given, every connection begins with a TLS handshake.
    /// - Throws: `InternetSocketError`, in particular if the port is taken.
    public init(
        loop: ControlLoop, host: String, port: UInt16, tls: TLSContext?, limits: StreamLimits, logger: Logger,
        makeSession: @escaping (StreamConnection) -> any StreamSession
    ) throws(InternetSocketError) {
        loop.preconditionCurrent()
        let socket = try InternetSocket(host: host, port: port)
        unixSocket = nil
        descriptor = socket.descriptor
        self.port = socket.port
        self.tls = tls
        self.loop = loop
        path = "\(host):\(socket.port)"
        self.limits = limits
        self.logger = logger
        self.makeSession = makeSession
        label = tls == nil ? "tcp" : "ssl"
        start()
    }

    /// Stops accepting, removes the socket's name and closes every connection after what was sent to it.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        unixSocket?.removeName()
        listener?.close(promise: nil)
        for connection in connections.values { connection.close() }
    }

    /// Listens at a passive target of any kind.
    ///
    /// - Throws: `UnixSocketError` or `InternetSocketError`, in particular if the place is taken.
    static func listening(
        at target: StreamTarget, loop: ControlLoop, tls: TLSContext?, limits: StreamLimits, logger: Logger,
        makeSession: @escaping (StreamConnection) -> any StreamSession
    ) throws -> StreamServer {
        precondition(target.isPassive, "a server listens")
        switch target.place {
        case .unix(let path): return try StreamServer(loop: loop, path: path, limits: limits, logger: logger, makeSession: makeSession)
        case .internet(let host, let port):
            return try StreamServer(
                loop: loop, host: host, port: port, tls: target.usesTLS ? tls : nil, limits: limits, logger: logger,
                makeSession: makeSession)
        }
    }

    /// Ends every connection, without its answers, and goes on listening.
    func dropConnections() { for connection in connections.values { connection.abort() } }

    private func start() {
        let me = Confined(self, to: loop)
        ServerBootstrap(group: loop.eventLoop)
            .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: tls == nil)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try me.value.accept(channel) }
            }
            .withBoundSocket(descriptor)
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
        // Before the session says its first word.
        if let tls {
            do {
                try channel.pipeline.syncOperations.addHandler(tls.serverHandler())
            } catch {
                logger.warning("\(path): refusing a connection: \(error)")
                throw error
            }
        }
        let number = nextNumber
        nextNumber += 1
        let connection = StreamConnection(name: name(of: channel, number), limits: limits, loop: loop, channel: channel, logger: logger)
        connections[number] = connection
        let session = makeSession(connection)
        connection.session = session
        let handler = StreamHandler(connection: connection, session: session, loop: loop) { [weak self] in
            self?.connections[number] = nil
        }
        try channel.pipeline.syncOperations.addHandler(handler)
        if tls == nil {
            try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                connection.attach(descriptor: $0)
            }
        }
        loop.settle()
    }

    /// `SOCKET#NUMBER`, or the peer's address.
    private func name(of channel: any Channel, _ number: Int) -> String {
        guard port != nil, let address = channel.remoteAddress, let host = address.ipAddress, let port = address.port else {
            return "\(label)#\(number)"
        }
        return host.contains(":") ? "\(label):[\(host)]:\(port)" : "\(label):\(host):\(port)"
    }
}
