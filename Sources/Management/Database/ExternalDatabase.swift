// The connection to an external database server, kept up for the switch's configuration.

internal import Base
internal import Logging
internal import OVSDB

/// Connects an `ExternalConfiguration` to its server, again and again. Only on the control loop's thread.
final class ExternalDatabase {
    /// Silence after which a server that is not local is asked whether it lives, and after as much again given up.
    private static let probeMilliseconds: UInt64 = 5000
    /// A snapshot of the largest host database fits.
    private static let limits = StreamLimits(connections: 1, pauseBytes: 64 << 20, outputBytes: 256 << 20)

    let configuration: ExternalConfiguration
    private var stream: ReconnectingStream?

    init(loop: ControlLoop, target: StreamTarget, configuration: ExternalConfiguration, tls: TLSContext, log: LogRegistry) {
        self.configuration = configuration
        let logger = log.logger("ovsdb_cs")
        configuration.onNote = { logger.warning("\(target): \($0)") }
        let isLocal = if case .unix = target.place { true } else { false }
        stream = ReconnectingStream(
            loop: loop, target: target, tls: tls, limits: ExternalDatabase.limits, logger: log.logger("reconnect")
        ) { connection in
            ExternalDatabaseSession(
                connection, configuration, loop: loop, probeMilliseconds: isLocal ? nil : ExternalDatabase.probeMilliseconds, logger: logger
            )
        }
    }

    var isConnected: Bool { stream?.isConnected ?? false }

    func close() {
        stream?.close()
        stream = nil
    }
}

/// One connection to the server.
private final class ExternalDatabaseSession: StreamSession {
    private let connection: StreamConnection
    private let configuration: ExternalConfiguration
    private let loop: ControlLoop
    private let logger: Logger
    private let probeMilliseconds: UInt64?
    private var framer = JSONFramer()
    private var probe: TimerQueue.Token?
    private var isProbing = false

    init(
        _ connection: StreamConnection, _ configuration: ExternalConfiguration, loop: ControlLoop, probeMilliseconds: UInt64?,
        logger: Logger
    ) {
        self.connection = connection
        self.configuration = configuration
        self.loop = loop
        self.probeMilliseconds = probeMilliseconds
        self.logger = logger
        // The session is not on its channel yet: what is sent now waits for the loop's next turn.
        loop.timers.schedule(afterMilliseconds: 0) { [weak self] in
            guard let self, self.connection.isOpen else { return }
            self.configuration.connected { [weak connection = self.connection] in connection?.send($0) }
        }
        watch()
    }

    func received(_ bytes: [UInt8]) {
        isProbing = false
        watch()
        framer.append(bytes)
        do throws(JSONSyntaxError) {
            while connection.isOpen, let message = try framer.next() {
                do throws(OVSDBError) {
                    try configuration.receive(message)
                } catch {
                    return drop("\(error)")
                }
            }
        } catch {
            drop("received invalid JSON: \(error)")
        }
    }

    func connectionClosed() {
        probe.map(loop.timers.cancel)
        configuration.disconnected()
    }

    private func drop(_ reason: String) {
        logger.warning("\(connection.name): \(reason)")
        connection.abort()
    }

    private func watch() {
        probe.map(loop.timers.cancel)
        guard let probeMilliseconds else { return }
        probe = loop.timers.schedule(afterMilliseconds: probeMilliseconds) { [weak self] in
            guard let self, self.connection.isOpen else { return }
            if self.isProbing {
                return self.drop("no response to inactivity probe after \(probeMilliseconds / 1000) seconds, disconnecting")
            }
            self.isProbing = true
            self.connection.send((["id": "echo", "method": "echo", "params": []] as JSON).bytes)
            self.watch()
        }
    }
}
