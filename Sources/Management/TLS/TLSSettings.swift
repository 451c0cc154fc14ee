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

    public var description: String {
        switch self {
        case .notConfigured(let what): "\(what) must be configured to use SSL; set it with ovs-vsctl set-ssl"
        case .badFile(let what, let path, let reason): "\(what) \(path) cannot be used for SSL: \(reason)"
        case .cannotBootstrap(let reason): "the CA certificate cannot be taken from the peer: \(reason)"
        }
    }
}
