// A server's databases and remotes out of a file, and how they are kept over a crash.

internal import Glibc
internal import Logging
internal import OVSDB

extension DatabaseService {
    /// What is served now.
    var configuration: ServerConfiguration {
        ServerConfiguration(remotes: remotes.given, databases: paths)
    }

    /// Brings what is served in line with a file.
    ///
    /// - Throws: what is wrong with it; what was in order is in force nevertheless
    func load(_ path: String) throws(CommandError) {
        try apply(try ServerConfiguration(parsing: try DatabaseService.content(of: path), origin: path))
    }

    func apply(_ wanted: ServerConfiguration) throws(CommandError) {
        var problem: String?
        let wantedPaths = Set(wanted.databases)
        for path in paths where !wantedPaths.contains(path) { removeFile(path) }
        let present = Set(paths)
        for path in wanted.databases where !present.contains(path) {
            do throws(CommandError) { try addDatabase(path) } catch {
                logger.warning("failed to open database '\(path)': \(error.description)")
                problem = "failed to configure databases"
            }
        }
        if let problem {
            logger.warning("\(problem)")
            throw CommandError(problem)
        }
        do throws(CommandError) { try remotes.set(wanted.remotes) } catch {
            logger.warning("\(error.description)")
            throw error
        }
    }

    /// Has what is served written to a descriptor whenever a command has changed it.
    func keepConfiguration(in descriptor: Int32) {
        stateDescriptor = descriptor
        saveConfiguration()
    }

    func saveConfiguration() {
        guard let stateDescriptor else { return }
        let bytes = Array(configuration.text.utf8)
        guard ftruncate(stateDescriptor, 0) == 0, pwrite(stateDescriptor, bytes, bytes.count, 0) == bytes.count else {
            return logger.warning("what is served could not be kept for a restart: \(String(cString: strerror(errno)))")
        }
    }

    /// What a descriptor holds that `keepConfiguration` was given in an earlier life; nil if nothing.
    static func kept(in descriptor: Int32) -> ServerConfiguration? {
        guard let bytes = try? read(descriptor), !bytes.isEmpty else { return nil }
        return try? ServerConfiguration(parsing: bytes, origin: "kept configuration")
    }

    private static func content(of path: String) throws(CommandError) -> [UInt8] {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CommandError("failed to open configuration file '\(path)': \(String(cString: strerror(errno)))")
        }
        defer { Glibc.close(descriptor) }
        return try read(descriptor)
    }

    /// Bytes that a configuration may have.
    private static let configurationBytes = 1 << 20

    private static func read(_ descriptor: Int32) throws(CommandError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: configurationBytes + 1)
        var total = 0
        while total < bytes.count {
            let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + total, $0.count - total, off_t(total)) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CommandError("the configuration cannot be read: \(String(cString: strerror(errno)))") }
            if count == 0 { break }
            total += count
        }
        guard total <= configurationBytes else { throw CommandError("a configuration of more than \(configurationBytes) bytes is refused") }
        return Array(bytes[..<total])
    }
}
