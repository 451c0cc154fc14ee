// What a bridge's OpenFlow connections are to be, and how they are: between the switch, which reads and writes rows, and
// whoever opens sockets.

public import OVSDB
public import OpenFlow

/// A `Controller` row.
public struct ControllerSettings: Equatable, Sendable {
    public var uuid: UUID
    /// As written.
    public var target: String
    /// `primary` is a controller that fail modes and roles are about; `service` is one that only serves itself. Nil: by the
    /// target, those we connect to being primary.
    public var isPrimary: Bool?
    /// Milliseconds of silence before a probe; 0 never. At least 5 seconds.
    public var probeMilliseconds: UInt64 = 5_000
    public var maximumBackoffMilliseconds: UInt64 = 8_000
    /// Whether the row asks for in-band control in so many words, which is refused.
    public var wantsInBand = false
    public var enablesAsynchronous = true
    /// Nil: not limited.
    public var packetInLimit: OpenFlowConnection.PacketInLimit?

    public init(uuid: UUID, target: String) {
        self.uuid = uuid
        self.target = target
    }
}

/// Everything about a bridge that its OpenFlow connections want to know.
public struct BridgeConnections: Equatable, Sendable {
    /// Never empty.
    public var versions = OpenFlowVersionSet.all
    public var controllers: [ControllerSettings] = []
    /// `other_config:dp-desc` and `dp-sn`.
    public var datapathDescription: String?
    public var serialNumber: String?
    public var bundleIdleSeconds = OpenFlowLimits.bundleIdleSeconds
    public init() {}
}

/// The `SSL` row.
public struct TLSFiles: Equatable, Sendable {
    public var privateKey = ""
    public var certificate = ""
    public var caCertificate = ""
    public var bootstrapsCA = false
    public init() {}
}

/// How a controller is, as its row says it.
public struct ControllerReport: Equatable, Sendable {
    public var isConnected: Bool
    /// Nil where there is no connection that could have one.
    public var role: ControllerRole?
    public var status: [String: String]
    public init(isConnected: Bool, role: ControllerRole?, status: [String: String]) {
        self.isConnected = isConnected
        self.role = role
        self.status = status
    }
}
