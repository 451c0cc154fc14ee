// Where a connection goes, or is waited for, as the configuration writes it.

/// `tcp:HOST[:PORT]`, `ssl:HOST[:PORT]`, `unix:FILE`, `ptcp:[PORT][:HOST]`, `pssl:[PORT][:HOST]`, `punix:FILE`.
public struct StreamTarget: Hashable, Sendable, CustomStringConvertible {
    public enum Place: Hashable, Sendable {
        case unix(path: String)
        /// A passive target without a host has `0.0.0.0`. Port 0 lets the system choose (passive only).
        case internet(host: String, port: UInt16)
    }
    /// As written.
    public let description: String
    public let place: Place
    public let usesTLS: Bool
    /// Whether connections are waited for.
    public let isPassive: Bool

    /// Reads a target.
    ///
    /// - Parameter defaultPort: for one that names none.
    /// - Returns: nil if the text is none of these.
    public init?(_ text: String, defaultPort: UInt16) {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let rest = String(text[text.index(after: colon)...])
        let method = text[..<colon]
        description = text
        usesTLS = method == "ssl" || method == "pssl"
        isPassive = method.hasPrefix("p")
        switch method {
        case "unix", "punix":
            guard !rest.isEmpty else { return nil }
            place = .unix(path: rest)
        case "tcp", "ssl":
            guard let (host, port) = StreamTarget.split(rest), !host.isEmpty else { return nil }
            guard let number = port.isEmpty ? defaultPort : UInt16(port), number != 0 else { return nil }
            place = .internet(host: host, port: number)
        case "ptcp", "pssl":
            // The port comes first, and may be missing alone.
            let end = rest.firstIndex(of: ":") ?? rest.endIndex
            let port = rest[..<end]
            let host = end == rest.endIndex ? "" : String(rest[rest.index(after: end)...])
            guard let number = port.isEmpty ? defaultPort : UInt16(port), let (bare, none) = StreamTarget.split(host), none.isEmpty else {
                return nil
            }
            place = .internet(host: bare.isEmpty ? "0.0.0.0" : bare, port: number)
        default: return nil
        }
    }

    /// `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT`; a bare address with several colons is IPv6 without a port.
    private static func split(_ text: String) -> (host: String, port: String)? {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if rest.isEmpty { return (host, "") }
            return rest.hasPrefix(":") ? (host, String(rest.dropFirst())) : nil
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count > 2 { return (text, "") }
        return (String(parts.first ?? ""), parts.count == 2 ? String(parts[1]) : "")
    }
}
