// Where a switch is: its run directory and the sockets in it.

public import Base
internal import Glibc

/// A switch, named by its run directory. Connections to it are made one by one.
public struct SwitchDirectory: Sendable {
    public let path: String
    /// What a connection made from here may take.
    public let deadline: Deadline

    /// - Parameter path: nil for `$OVS_RUNDIR`, or else `/var/run/apus`.
    public init(path: String?, clock: Clock, timeoutSeconds: Double) {
        var chosen = path ?? getenv("OVS_RUNDIR").map { String(cString: $0) } ?? ""
        if chosen.isEmpty { chosen = SwitchDirectory.standard }
        while chosen.count > 1 && chosen.hasSuffix("/") { chosen.removeLast() }
        self.path = chosen
        deadline = Deadline(clock: clock, seconds: timeoutSeconds)
    }

    public static let standard = "/var/run/apus"

    var databaseSocket: String { path + "/db.sock" }
    func managementSocket(bridge: String) -> String { "\(path)/\(bridge).mgmt" }

    /// The control socket of the daemon that runs here.
    func controlSocket() throws(ClientError) -> String {
        if let pid = runningPid() {
            let socket = "\(path)/apusd.\(pid).ctl"
            if access(socket, F_OK) == 0 { return socket }
        }
        // Without a pid file: the socket's own name says it.
        let candidates = entries().filter { $0.hasPrefix("apusd.") && $0.hasSuffix(".ctl") }
        guard let last = candidates.sorted().last else { throw .notRunning(runDirectory: path) }
        return path + "/" + last
    }

    private func runningPid() -> Int32? {
        let descriptor = open(path + "/apusd.pid", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        return Int32(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).prefix { $0.isNumber })
    }

    private func entries() -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            // Sound: d_name is a terminated string inside the entry, copied before the next readdir.
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
            )
        }
        return names
    }
}
