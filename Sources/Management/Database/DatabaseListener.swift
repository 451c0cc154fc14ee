// The configuration database's socket.

internal import Base
internal import Logging
public import OVSDB

extension DatabaseServer: TimerSource {}

/// Serves a `DatabaseServer` at `db.sock`. Only on the control loop's thread.
///
/// The loop drives the database's timers from here on.
public final class DatabaseListener {
    private let server: StreamServer

    public var connectionCount: Int { server.connectionCount }

    /// - Throws: `UnixSocketError`, in particular if a live process serves the path.
    public init(
        loop: ControlLoop, path: String, database: DatabaseServer, log: LogRegistry, limits: StreamLimits = .database
    ) throws(UnixSocketError) {
        let logger = log.logger("jsonrpc")
        server = try StreamServer(loop: loop, path: path, limits: limits, logger: logger) { connection in
            DatabaseConnection(connection: connection, session: database.makeSession(name: connection.name), logger: logger)
        }
        loop.drive(database)
    }

    /// Removes the socket and ends the connections.
    public func close() { server.close() }
}

/// Joins a database session to a connection.
private final class DatabaseConnection: StreamSession {
    /// Bytes handed to the session at once: what one handful of small requests can ask for is sent, and counted, before the
    /// next is looked at.
    private static let sliceBytes = 4096

    private let connection: StreamConnection
    private let session: Session
    /// What arrived while the peer was behind with reading.
    private var held: [UInt8] = []
    private var heldStart = 0

    init(connection: StreamConnection, session: Session, logger: Logger) {
        self.connection = connection
        self.session = session
        session.onOutput = { [unowned self] in self.flush() }
        session.onClose = { [unowned connection] reason in
            logger.warning("\(connection.name): \(reason)")
            connection.close()
        }
    }

    func received(_ bytes: [UInt8]) {
        held.append(contentsOf: bytes)
        outputDrained()
    }

    func outputDrained() {
        while heldStart < held.count, connection.isOpen, !connection.isCongested {
            let end = min(held.count, heldStart + DatabaseConnection.sliceBytes)
            session.receive(held[heldStart..<end])
            heldStart = end
            flush()
        }
        if heldStart == held.count {
            held.removeAll(keepingCapacity: true)
            heldStart = 0
        }
    }

    func connectionClosed() { session.close() }

    private func flush() {
        if session.bufferedOutputBytes > 0 { connection.send(session.takeOutput()) }
    }
}
