// TLS for everything that listens or connects: one context, made from the files in force.
//
// Both sides show certificates and check the other's against the same authorities, as the field's tools do: a switch must not
// take orders from a controller that nobody vouches for, and the other way round. Names are not compared, since targets
// are addresses. The files are looked at before each connection, so that renewed certificates need no restart.
//
// ## Thread safety
// Belongs to the control loop's thread.

internal import Glibc
internal import NIOCore
internal import NIOSSL

/// Makes the handlers of TLS connections.
public final class TLSContext {
    /// The files in force; a change counts for connections made from then on.
    public var settings: TLSSettings

    /// What the contexts were made from.
    private struct Stamp: Equatable {
        var settings: TLSSettings
        var files: [FileStamp]
    }
    private struct FileStamp: Equatable {
        var seconds = 0
        var nanoseconds = 0
        var bytes = -1
        var inode: UInt = 0
    }
    private var made: (stamp: Stamp, client: NIOSSLContext, server: NIOSSLContext)?

    public init(_ settings: TLSSettings = TLSSettings()) { self.settings = settings }

    /// Whether the authorities' certificate is still to be taken from a server.
    var isBootstrapping: Bool {
        settings.bootstrapsCA && !settings.caCertificate.isEmpty && TLSContext.stamp(of: settings.caCertificate).bytes < 0
    }

    /// Whether connections can be accepted as things stand.
    func check() throws(TLSError) { _ = try contexts() }

    /// A handler for a connection that we make.
    ///
    /// While the authorities' certificate is to be taken from the server, the connection serves that alone: it fails with a
    /// sentence that says so, and the next one is checked against what was taken.
    func clientHandler() throws(TLSError) -> any ChannelHandler {
        if isBootstrapping { return try bootstrapHandler() }
        let context = try contexts().client
        do {
            return try NIOSSLClientHandler(context: context, serverHostname: nil)
        } catch {
            throw .badFile(what: "the certificate", path: settings.certificate, reason: "\(error)")
        }
    }

    /// A handler for a connection that we accepted.
    func serverHandler() throws(TLSError) -> any ChannelHandler { NIOSSLServerHandler(context: try contexts().server) }

    // MARK: Contexts

    private func contexts() throws(TLSError) -> (client: NIOSSLContext, server: NIOSSLContext) {
        try requireFiles()
        if settings.caCertificate.isEmpty { throw .notConfigured(what: "CA certificate") }
        let paths = [settings.privateKey, settings.certificate, settings.caCertificate, settings.peerCACertificate]
        let stamp = Stamp(settings: settings, files: paths.map(TLSContext.stamp))
        if let made, made.stamp == stamp { return (made.client, made.server) }
        let (chain, key) = try identity()
        var client = TLSConfiguration.makeClientConfiguration()
        client.certificateChain = chain
        client.privateKey = key
        client.trustRoots = .certificates(try authorities())
        client.certificateVerification = .noHostnameVerification
        var server = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: key)
        server.trustRoots = client.trustRoots
        server.certificateVerification = .noHostnameVerification
        let versions = try TLSVersionRange(settings.protocols)
        TLSContext.restrict(&client, versions, settings.ciphers)
        TLSContext.restrict(&server, versions, settings.ciphers)
        do {
            let fresh = (stamp: stamp, client: try NIOSSLContext(configuration: client), server: try NIOSSLContext(configuration: server))
            made = fresh
            return (fresh.client, fresh.server)
        } catch {
            throw .badFile(what: "the certificate", path: settings.certificate, reason: "\(error)")
        }
    }

    private static func restrict(_ configuration: inout TLSConfiguration, _ versions: TLSVersionRange, _ ciphers: String) {
        configuration.minimumTLSVersion = versions.lowest == .v1_3 ? .tlsv13 : .tlsv12
        if versions.highest == .v1_2 { configuration.maximumTLSVersion = .tlsv12 }
        if !ciphers.isEmpty { configuration.cipherSuites = ciphers }
    }

    private func requireFiles() throws(TLSError) {
        if settings.privateKey.isEmpty { throw .notConfigured(what: "private key") }
        if settings.certificate.isEmpty { throw .notConfigured(what: "certificate") }
    }

    private func identity() throws(TLSError) -> ([NIOSSLCertificateSource], NIOSSLPrivateKeySource) {
        var chain: [NIOSSLCertificate]
        do {
            chain = try NIOSSLCertificate.fromPEMFile(settings.certificate)
        } catch {
            throw .badFile(what: "the certificate", path: settings.certificate, reason: TLSContext.reason(error))
        }
        if !settings.peerCACertificate.isEmpty {
            do {
                chain += try NIOSSLCertificate.fromPEMFile(settings.peerCACertificate)
            } catch {
                throw .badFile(what: "the peers' CA certificate", path: settings.peerCACertificate, reason: TLSContext.reason(error))
            }
        }
        do {
            return (chain.map { .certificate($0) }, .privateKey(try NIOSSLPrivateKey(file: settings.privateKey, format: .pem)))
        } catch {
            throw .badFile(what: "the private key", path: settings.privateKey, reason: TLSContext.reason(error))
        }
    }

    private func authorities() throws(TLSError) -> [NIOSSLCertificate] {
        do {
            return try NIOSSLCertificate.fromPEMFile(settings.caCertificate)
        } catch {
            throw .badFile(what: "the CA certificate", path: settings.caCertificate, reason: TLSContext.reason(error))
        }
    }

    private static func reason(_ error: any Error) -> String {
        if let error = error as? IOError { return String(cString: strerror(error.errnoCode)) }
        return "it is not in PEM format, or damaged (\(error))"
    }

    private static func stamp(of path: String) -> FileStamp {
        var status = stat()
        guard stat(path, &status) == 0 else { return FileStamp() }
        return FileStamp(
            seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec, bytes: Int(status.st_size), inode: UInt(status.st_ino))
    }

    // MARK: Bootstrap

    private func bootstrapHandler() throws(TLSError) -> any ChannelHandler {
        try requireFiles()
        let (chain, key) = try identity()
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateChain = chain
        configuration.privateKey = key
        // The callback below takes the place of the check, and never lets the connection through.
        configuration.certificateVerification = .noHostnameVerification
        TLSContext.restrict(&configuration, try TLSVersionRange(settings.protocols), settings.ciphers)
        let path = settings.caCertificate
        do {
            let context = try NIOSSLContext(configuration: configuration)
            return try NIOSSLClientHandler(
                context: context, serverHostname: nil,
                customVerificationCallback: { presented, promise in
                    do throws(TLSError) {
                        try TLSContext.keepAuthority(of: presented, at: path)
                        promise.fail(TLSError.cannotBootstrap("it was, and is kept in \(path); the next connection is checked against it"))
                    } catch {
                        promise.fail(error)
                    }
                })
        } catch let error as TLSError {
            throw error
        } catch {
            throw .badFile(what: "the certificate", path: settings.certificate, reason: "\(error)")
        }
    }

    /// Writes the last certificate that a peer presented, if it vouches for itself. A file that appeared meanwhile is kept.
    private static func keepAuthority(of presented: [NIOSSLCertificate], at path: String) throws(TLSError) {
        guard let last = presented.last, let bytes = try? last.toDERBytes() else { throw .cannotBootstrap("the peer presented none") }
        guard CertificateText.isSelfIssued(bytes) else {
            throw .cannotBootstrap("the last certificate that the peer presented is not an authority's own")
        }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o444)
        guard descriptor >= 0 else { throw .cannotBootstrap("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let text = Array(CertificateText.pem(bytes).utf8)
        guard write(descriptor, text, text.count) == text.count else {
            unlink(path)
            throw .cannotBootstrap("\(path) could not be written")
        }
    }
}
