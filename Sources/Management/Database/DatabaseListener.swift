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
