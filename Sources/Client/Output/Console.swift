// Writing to the terminal, or to whatever stands in its place.

internal import Glibc

/// Standard output and standard error.
public enum Console {
    public static func write(_ text: String) { put(text, 1) }
    public static func writeError(_ text: String) { put(text, 2) }
    /// Whether standard output is a terminal.
    public static var isTerminal: Bool { isatty(1) == 1 }

    private static func put(_ text: String, _ descriptor: Int32) {
        let bytes = Array(text.utf8)
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno != EINTR { return }
            written += max(0, count)
        }
    }
}
