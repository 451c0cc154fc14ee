import Glibc
import Management
import Synchronization

/// A server that takes connections and answers each with the same bytes, or never.
final class FakeServer: @unchecked Sendable {
    // Sound: `answer` is set while no client is connected; the thread ends with the descriptor.
    private let socket: UnixSocket
    private let storage = Mutex<[UInt8]?>(nil)
    private let isOver = Atomic<Bool>(false)

    /// nil: silence.
    var answer: [UInt8]? {
        get { storage.withLock { $0 } }
        set { storage.withLock { $0 = newValue } }
    }

    init(_ path: String) throws {
        socket = try UnixSocket(listeningAt: path)
        let me = Unmanaged.passRetained(self)
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<FakeServer>.fromOpaque(argument!).takeRetainedValue().serve()
                return nil
            }, me.toOpaque())
        pthread_detach(thread)
    }

    private func serve() {
        var held: [Int32] = []
        while !isOver.load(ordering: .acquiring) {
            let connection = socket.acceptConnection()
            guard connection >= 0 else {
                usleep(2_000)
                continue
            }
            guard let answer else {
                held.append(connection)
                continue
            }
            // The request first: a socket closed with unread bytes resets the answer away.
            var request = [UInt8](repeating: 0, count: 65536)
            _ = request.withUnsafeMutableBytes { recv(connection, $0.baseAddress, $0.count, 0) }
            _ = answer.withUnsafeBytes { write(connection, $0.baseAddress, $0.count) }
            close(connection)
        }
        for connection in held { close(connection) }
        socket.closeDescriptor()
    }

    func end() { isOver.store(true, ordering: .releasing) }
}

func listenAt(_ path: String) throws -> FakeServer { try FakeServer(path) }
