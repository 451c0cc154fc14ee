// NIO's end of a connection, accepted or made.

internal import NIOCore

final class StreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: StreamConnection
    private let session: any StreamSession
    private let loop: ControlLoop
    private let closed: () -> Void
    private var isGone = false

    /// - Parameter closed: called once, after the session was told.
    init(connection: StreamConnection, session: any StreamSession, loop: ControlLoop, closed: @escaping () -> Void) {
        self.connection = connection
        self.session = session
        self.loop = loop
        self.closed = closed
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = Self.unwrapInboundIn(data)
        connection.deliver { session.received(Array(buffer.readableBytesView)) }
        connection.follow { session.received($0) }
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
        // A peer that resets is a peer that closes. What TLS has to say about it is worth keeping.
        connection.failure = connection.failure ?? StreamFailure.text(error)
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
