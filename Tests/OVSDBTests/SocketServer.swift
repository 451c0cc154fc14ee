import Base
import Glibc
import OVSDB
import Synchronization

/// A server on a Unix socket for tests with real clients: one thread, poll(2), nothing else.
///
/// `Management` has the real one; this one keeps the engine's tests independent of it.
final class SocketServer: Sendable {
    let path: String
    private let stopping = Atomic<Bool>(false)
    private let stopped = Atomic<Bool>(false)

    /// Starts serving what `make` returns; it is called on the server's own thread, the only one that touches the result.
    init(path: String, make: @escaping @Sendable () -> DatabaseServer) {
        self.path = path
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        unlink(path)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        precondition(bound == 0 && listen(listener, 16) == 0, "cannot listen on \(path)")
        let box = Box { [self] in serve(listener, make()) }
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(box).toOpaque())
        pthread_detach(thread)
    }

    private final class Box {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }

    func stop() {
        stopping.store(true, ordering: .releasing)
        while !stopped.load(ordering: .acquiring) { usleep(1000) }
    }

    private func serve(_ listener: Int32, _ server: DatabaseServer) {
        var sessions: [Int32: Session] = [:]
        var buffer = [UInt8](repeating: 0, count: 65536)
        while !stopping.load(ordering: .acquiring) {
            var polled = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            for (descriptor, session) in sessions {
                polled.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
                let output = session.takeOutput()
                var sent = 0
                while sent < output.count {
                    let count = output.withUnsafeBytes { write(descriptor, $0.baseAddress! + sent, $0.count - sent) }
                    if count <= 0 { break }
                    sent += count
                }
            }
            for (descriptor, session) in sessions where session.isClosed {
                close(descriptor)
                sessions[descriptor] = nil
            }
            polled.removeAll { $0.fd != listener && sessions[$0.fd] == nil }
            poll(&polled, nfds_t(polled.count), 5)
            server.runTimers()
            for entry in polled where entry.revents != 0 {
                if entry.fd == listener {
                    let descriptor = accept(listener, nil, nil)
                    if descriptor >= 0 { sessions[descriptor] = server.makeSession(name: "test#\(descriptor)") }
                    continue
                }
                let count = read(entry.fd, &buffer, buffer.count)
                if count <= 0 {
                    sessions[entry.fd]?.close()
                    sessions[entry.fd] = nil
                    close(entry.fd)
                } else {
                    sessions[entry.fd]?.receive(buffer[..<count])
                }
            }
        }
        close(listener)
        unlink(path)
        stopped.store(true, ordering: .releasing)
    }
}

/// Runs a program to its end: exit status, standard output and error together.
func run(_ arguments: [String]) -> (status: Int32, output: String) {
    var descriptors: [Int32] = [0, 0]
    pipe(&descriptors)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, descriptors[1], 1)
    posix_spawn_file_actions_adddup2(&actions, descriptors[1], 2)
    posix_spawn_file_actions_addclose(&actions, descriptors[0])
    posix_spawn_file_actions_addclose(&actions, descriptors[1])
    // Worker threads here block all signals; a program that waits for one must not inherit that.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var pid: pid_t = 0
    var arguments = arguments.map { strdup($0) }
    arguments.append(nil)
    var environment = [strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), nil]
    let failed = posix_spawnp(&pid, arguments[0]!, &actions, &attributes, arguments, &environment)
    close(descriptors[1])
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(descriptors[0], &buffer, buffer.count)
        if count <= 0 { break }
        output.append(contentsOf: buffer[..<count])
    }
    close(descriptors[0])
    for argument in arguments { free(argument) }
    free(environment[0])
    posix_spawn_file_actions_destroy(&actions)
    guard failed == 0 else { return (127, "") }
    var status: Int32 = 0
    waitpid(pid, &status, 0)
    return (status & 0x7f == 0 ? status >> 8 & 0xff : 128 + (status & 0x7f), String(decoding: output, as: UTF8.self))
}

/// A fresh directory under the system's temporary one; the caller removes it.
func makeTemporaryDirectory() -> String {
    var template = Array("/tmp/apus-ovsdb-XXXXXX\0".utf8CString)
    precondition(mkdtemp(&template) != nil)
    return String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

func removeDirectory(_ path: String) { _ = run(["rm", "-rf", path]) }

/// Whether Debian's OVSDB tools are installed.
let haveTools = access("/usr/bin/ovsdb-client", X_OK) == 0 && access("/usr/bin/ovsdb-tool", X_OK) == 0
