// Every bound of the codec and the connections, in one place.

/// What the codec and the connections refuse to go beyond.
public enum OpenFlowLimits {
    /// Header: version, type, length, xid.
    public static let headerBytes = 8
    /// A message's length field has 16 bits.
    public static let messageBytes = 65_535
    /// Parts of a multipart reply stay below this, so that one more entry of the usual size never overflows the length.
    public static let replyPartBytes = 61_616
    /// Bytes of an offending message that its error carries, if it has them; the specification asks for 64 (1.3 section 7.4.4).
    public static let errorDataBytes = 1024
    /// Nesting of `clone` actions.
    public static let actionNesting = 16
    /// Bundles that a connection may have open.
    public static let bundlesPerConnection = 16
    /// Messages in one bundle.
    public static let messagesPerBundle = 500_000
    /// Bytes of the messages in all bundles of a connection: 256 MiB.
    public static let bundleBytes = 256 << 20
    /// Seconds after which a bundle that nobody adds to is thrown away.
    public static let bundleIdleSeconds: UInt64 = 10
    /// Bytes waiting to be sent from which asynchronous messages (packet-in, port status, flow removed) are dropped, not queued.
    public static let asynchronousBacklogBytes = 4 << 20
    /// Milliseconds without a message after which a peer on a bridge's own socket is asked for an echo.
    public static let serviceProbeMilliseconds: UInt64 = 60_000
}
