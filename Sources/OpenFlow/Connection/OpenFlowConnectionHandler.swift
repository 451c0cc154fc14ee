// The other side of a connection: what carries out messages.

/// Who carries out what a connection asks for.
public protocol OpenFlowConnectionHandler: AnyObject {
    /// The version is agreed on; messages may be sent.
    func connectionOpened(_ connection: OpenFlowConnection)

    /// A message that the connection does not answer by itself. `raw` is its bytes.
    /// - Throws: what to answer instead.
    func handle(_ message: Message, xid: UInt32, raw: [UInt8], on connection: OpenFlowConnection) throws(OpenFlowError)

    /// Looks at a message that is to become part of a bundle.
    /// - Throws: what to answer to a message that can be carried out at no time.
    func check(bundled message: Message, on connection: OpenFlowConnection) throws(OpenFlowError)

    /// Carries out a bundle. Nothing of it may remain if this throws and the bundle is atomic.
    /// - Parameter xid: of the request to commit it.
    func commit(_ bundle: Bundle, xid: UInt32, on connection: OpenFlowConnection) throws(OpenFlowError)

    /// A setting that decides which asynchronous messages the connection gets has changed.
    func subscriptionChanged(_ connection: OpenFlowConnection)

    /// The connection is over. Called once, if it was ever opened.
    func connectionClosed(_ connection: OpenFlowConnection)
}

extension OpenFlowConnectionHandler {
    public func check(bundled message: Message, on connection: OpenFlowConnection) throws(OpenFlowError) {}
}
