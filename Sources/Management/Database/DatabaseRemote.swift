// One remote of the database server: a listening socket with its clients, or a connection this side makes.

internal import Base
internal import Logging
internal import OVSDB

/// What a remote's clients get.
struct RemoteOptions: Equatable {
    /// Milliseconds of silence before a peer is asked whether it lives; 0 never asks. Nil is the default of the target.
    var probeMilliseconds: UInt64?
    var maximumBackoffMilliseconds: UInt64 = 8000
    var isReadOnly = false
    /// What clients may change, in databases that say so for roles.
    var role = ""
}

/// What a Manager row tells of its remote.
struct RemoteStatus: Equatable {
    var isConnected = false
    var status: [String: String] = [:]
}

/// A remote that is served. Only on the control loop's thread.
final class DatabaseRemote {
    /// Of clients that are not local, unless a row says otherwise.
    static let defaultProbeMilliseconds: UInt64 = 5000

    let target: StreamTarget
    private(set) var options: RemoteOptions
    private let database: DatabaseServer
    private var listener: StreamServer?
    private var client: ReconnectingStream?
    private var connections: [ObjectIdentifier: DatabaseConnection] = [:]

    /// - Throws: why it cannot listen.
    init(
        loop: ControlLoop, target: StreamTarget, options: RemoteOptions, database: DatabaseServer, limits: StreamLimits,
        tls: TLSContext, log: LogRegistry
    ) throws {
        self.target = target
        self.options = options
        self.database = database
        let logger = log.logger("jsonrpc")
        let make = { [weak self] (connection: StreamConnection) -> any StreamSession in
            let joined = DatabaseConnection(connection: connection, session: database.makeSession(name: connection.name), logger: logger) {
                self?.connections[ObjectIdentifier($0)] = nil
            }
            self?.connections[ObjectIdentifier(joined)] = joined
            self?.configure(joined)
            return joined
        }
        if target.isPassive {
            listener = try StreamServer.listening(at: target, loop: loop, tls: tls, limits: limits, logger: logger, makeSession: make)
            // Whoever lets the system choose a port reads here which it is.
            if case .internet(_, 0) = target.place, let port = listener?.port {
                log.logger("socket_util").info("\(target.description.drop { $0 != ":" }.dropFirst()): listening on port \(port)")
            }
        } else {
            client = ReconnectingStream(
                loop: loop, target: target, tls: tls, limits: limits, logger: log.logger("reconnect"),
                maximumBackoffMilliseconds: options.maximumBackoffMilliseconds, makeSession: make)
        }
    }

    /// Local peers do not vanish unnoticed, so only the others are probed.
    private var isLocal: Bool { if case .unix = target.place { true } else { false } }

    /// Gives all clients, and those to come, other options.
    func set(_ options: RemoteOptions) {
        guard options != self.options else { return }
        self.options = options
        client?.maximumBackoffMilliseconds = options.maximumBackoffMilliseconds
        for connection in connections.values { configure(connection) }
    }

    private func configure(_ connection: DatabaseConnection) {
        connection.session.probeIntervalMilliseconds =
            options.probeMilliseconds ?? (isLocal ? 0 : DatabaseRemote.defaultProbeMilliseconds)
        connection.session.isReadOnly = options.isReadOnly
        connection.session.role = options.role
    }

    /// Drops every connection; clients come back, and connections of this side are made again.
    func reconnect() {
        listener?.dropConnections()
        client?.reconnect()
    }

    func close() {
        listener?.close()
        client?.close()
    }

    var status: RemoteStatus {
        var result = RemoteStatus()
        if let listener {
            result.isConnected = !connections.isEmpty
            if connections.count > 1 { result.status["n_connections"] = String(connections.count) }
            if let port = listener.port { result.status["bound_port"] = String(port) }
            return result
        }
        guard let client else { return result }
        result.isConnected = client.isConnected
        result.status["state"] = client.state.rawValue
        if let seconds = client.secondsSinceConnect { result.status["sec_since_connect"] = String(seconds) }
        if let seconds = client.secondsSinceDisconnect { result.status["sec_since_disconnect"] = String(seconds) }
        if let error = client.lastError { result.status["last_error"] = error }
        if let locks = connections.values.first?.session.locks {
            if !locks.held.isEmpty { result.status["locks_held"] = locks.held.joined(separator: " ") }
            if !locks.waiting.isEmpty { result.status["locks_waiting"] = locks.waiting.joined(separator: " ") }
            if !locks.lost.isEmpty { result.status["locks_lost"] = locks.lost.joined(separator: " ") }
        }
        return result
    }
}
