// What a peer may set for its own connection.

/// A connection's settings. The defaults are those of a connection that has just said hello.
public struct ConnectionSettings: Equatable, Sendable {
    /// 1.0 only: the form of flow-removed messages.
    public var flowFormat = FlowFormat.openFlow10
    /// 1.0 only: flow-mods carry a table in their command's high byte.
    public var flowModTableID = false
    public var packetInFormat = PacketInFormat.standard
    public var asynchronous: AsyncConfig
    public var role = ControllerRole.equal
    /// 1.5: what the controller wants to be known by; 0 is not set.
    public var shortID: UInt16 = 0
    /// Which `controller(id=...)` actions reach it.
    public var controllerID: UInt16 = 0
    /// Bytes of a packet that missed. On a bridge's own socket 0 also means "no asynchronous messages", until it is set.
    public var missSendLength: UInt16

    /// `OFP_DEFAULT_MISS_SEND_LEN`.
    public static let defaultMissSendLength: UInt16 = 128

    public init(version: OpenFlowVersion, isService: Bool) {
        asynchronous = AsyncConfig.initial(for: version)
        missSendLength = isService ? 0 : ConnectionSettings.defaultMissSendLength
    }

    /// The masks that count for the role.
    public var masks: AsyncConfig.Masks { role == .secondary ? asynchronous.secondary : asynchronous.primary }
}
