// Which files TLS connections use, as the configuration's `SSL` table names them.

/// The files of TLS connections. A connection needs all three; an empty string is "not configured".
public struct TLSSettings: Equatable, Sendable {
    /// PEM file with our private key.
    public var privateKey: String
    /// PEM file with our certificate, and those between it and its authority.
    public var certificate: String
    /// PEM file with the authorities that peers' certificates must come from.
    public var caCertificate: String
    /// Whether a `caCertificate` that does not exist is taken from the first server we connect to, and trusted from then on.
    public var bootstrapsCA: Bool
    /// PEM file with authorities that are sent to peers behind our certificate, for peers that take theirs from the first connection.
    public var peerCACertificate = ""
    /// Versions that are spoken, as the field's `--ssl-protocols` writes them: `TLSv1.2`, `TLSv1.3`, ranges `TLSv1.2-TLSv1.3` and
    /// `TLSv1.2+`, separated by commas. Empty: 1.2 and later.
    public var protocols = ""
    /// Ciphers of TLS 1.2 as OpenSSL lists them; empty: the library's. Those of 1.3 are fixed.
    public var ciphers = ""

    public init(privateKey: String = "", certificate: String = "", caCertificate: String = "", bootstrapsCA: Bool = false) {
        self.privateKey = privateKey
        self.certificate = certificate
        self.caCertificate = caCertificate
        self.bootstrapsCA = bootstrapsCA
    }
}

/// Why there is no TLS. One sentence for the operator.
public enum TLSError: Error, Equatable, CustomStringConvertible {
    case notConfigured(what: String)
    case badFile(what: String, path: String, reason: String)
    case cannotBootstrap(String)
    case badProtocols(String)

    public var description: String {
        switch self {
        case .notConfigured(let what): "\(what) must be configured to use SSL; set it with ovs-vsctl set-ssl"
        case .badFile(let what, let path, let reason): "\(what) \(path) cannot be used for SSL: \(reason)"
        case .badProtocols(let text):
            "\"\(text)\" names no TLS versions: valid are TLSv1.2, TLSv1.3, TLSv1.2-TLSv1.3, and TLSv1.2+ for that version and later"
        case .cannotBootstrap(let reason): "the CA certificate cannot be taken from the peer: \(reason)"
        }
    }
}
