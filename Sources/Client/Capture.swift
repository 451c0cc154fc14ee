// Captures given on the command line.

internal import Glibc
internal import Wire

/// Packets of a capture file.
public enum Capture {
    private static let bytesLimit = 256 << 20

    /// The packets of a file in classic pcap form, as hexadecimal digits, at most `limit`.
    public static func packets(path: String, limit: Int) throws(ClientError) -> [String] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .invalid("cannot read \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 { throw .invalid("cannot read \(path): \(String(cString: strerror(errno)))") }
            if count == 0 { break }
            bytes += buffer[..<count]
            if bytes.count > bytesLimit { throw .invalid("\(path) is longer than \(bytesLimit >> 20) MiB") }
        }
        do throws(PCAPError) {
            return try PCAP(parsing: bytes).records.prefix(limit).map { record in
                record.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            }
        } catch {
            throw .invalid("\(path): \(error)")
        }
    }
}
