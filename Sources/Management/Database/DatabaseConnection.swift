// Joins a database session to a connection.

internal import Base
internal import Logging
internal import OVSDB

/// One client of the database server: bytes from its connection into its session, and back.
///
/// Output the peer does not read is held back in two steps. Past the connection's first limit nothing more is read from it, and its
/// monitors collect instead of sending: what happens meanwhile becomes one update once it reads again. Past the second it is disconnected.
final class DatabaseConnection: StreamSession {
    /// Bytes handed to the session at once: what one handful of small requests can ask for is sent, and counted, before the
    /// next is looked at.
    private static let sliceBytes = 4096
    /// Bytes that may pile up while the session waits for the disk, before the rest is left to the socket.
    private static let heldBytes = 1 << 20

    private let connection: StreamConnection
    let session: Session
    /// What arrived while the peer was behind with reading.
    private var held: [UInt8] = []
    private var heldStart = 0
    /// Whether the session is at work on some of it: a transaction that is on the disk at once lets the session go on within that.
    private var isDelivering = false
    private let ended: (DatabaseConnection) -> Void

    init(connection: StreamConnection, session: Session, logger: Logger, ended: @escaping (DatabaseConnection) -> Void = { _ in }) {
        self.connection = connection
        self.session = session
        self.ended = ended
        session.clientName = { [unowned connection] in connection.peerCertificateName }
        session.onOutput = { [unowned self] in self.flush() }
        session.onRelease = { [unowned self] in self.goOn() }
        session.onClose = { [unowned connection] reason in
            logger.warning("\(connection.name): \(reason)")
            connection.close()
        }
        session.onDisconnect = { [unowned connection] reason in
            logger.info("\(connection.name): disconnecting (\(reason))")
            connection.close()
        }
    }

    func received(_ bytes: [UInt8]) {
        held.append(contentsOf: bytes)
        outputDrained()
    }

    func outputDrained() {
        session.isPeerBehind = connection.isCongested
        guard !isDelivering else { return }
        isDelivering = true
        defer { isDelivering = false }
        while heldStart < held.count, connection.isOpen, !connection.isCongested, !session.isHeld {
            let slice = held[heldStart..<min(held.count, heldStart + DatabaseConnection.sliceBytes)]
            heldStart = slice.endIndex
            connection.breath.during { session.receive(slice) }
            flush()
        }
        if heldStart == held.count {
            held.removeAll(keepingCapacity: true)
            heldStart = 0
        }
        connection.owesAnswers = session.isHeld
        if session.isHeld, held.count - heldStart > DatabaseConnection.heldBytes { connection.setReading(false) }
    }

    /// Goes on behind a transaction that was on its way to the disk.
    private func goOn() {
        flush()
        connection.setReading(true)
        outputDrained()
    }

    func connectionClosed() {
        session.close()
        ended(self)
    }

    private func flush() {
        guard session.bufferedOutputBytes > 0 else { return }
        connection.breath.during { connection.send(session.takeOutput()) }
        session.isPeerBehind = connection.isCongested
    }
}
