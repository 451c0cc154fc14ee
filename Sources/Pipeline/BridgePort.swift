// A bridge's port, as OpenFlow and the NORMAL action see it.

public import DatapathAPI
public import Flow

/// The `OFPPC_*` bits that a controller sets with a port-mod.
public struct PortConfiguration: OptionSet, Hashable, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Neither receives nor sends.
    public static let down = PortConfiguration(rawValue: 1 << 0)
    /// Drops what comes in.
    public static let noReceive = PortConfiguration(rawValue: 1 << 2)
    /// Left out of FLOOD and of flooding by NORMAL (OpenFlow 1.0).
    public static let noFlood = PortConfiguration(rawValue: 1 << 4)
    /// Sends nothing.
    public static let noForward = PortConfiguration(rawValue: 1 << 5)
    /// Its table misses are not sent to controllers.
    public static let noPacketIn = PortConfiguration(rawValue: 1 << 6)
}

/// A set of VLAN ids, 0 to 4095.
public struct VLANSet: Hashable, Sendable {
    private var words: [UInt64]
    /// The empty set.
    public init() { words = Array(repeating: 0, count: 64) }
    public init(_ ids: some Sequence<UInt16>) {
        self.init()
        for id in ids { insert(id) }
    }
    public mutating func insert(_ id: UInt16) {
        precondition(id < 4096, "VLAN \(id) is above 4095")
        words[Int(id >> 6)] |= 1 << UInt64(id & 63)
    }
    public func contains(_ id: UInt16) -> Bool { id < 4096 && words[Int(id >> 6)] >> UInt64(id & 63) & 1 == 1 }
    /// The members, ascending.
    public var members: [UInt16] { (0..<4096).filter { contains($0) } }
}

/// How a port carries VLANs (`Port.vlan_mode`).
public enum PortVLANMode: String, Sendable {
    /// Untagged packets of VLAN `tag` only.
    case access
    /// Tagged packets of `trunks` (all if nil); untagged ones are VLAN 0.
    case trunk
    /// A trunk whose untagged packets belong to VLAN `tag`; sends that VLAN tagged.
    case nativeTagged = "native-tagged"
    /// A trunk whose untagged packets belong to VLAN `tag`; sends that VLAN untagged.
    case nativeUntagged = "native-untagged"
    /// Everything that comes in, tagged or not, travels inside an outer tag of VLAN `tag` (802.1ad "QinQ"), which is taken off
    /// when it leaves by such a port.
    case dot1qTunnel = "dot1q-tunnel"
}

/// Whether packets leave with a tag that says nothing but a priority (`other_config:priority-tags`).
public enum PriorityTags: String, Sendable {
    case never
    case ifNonzero = "if-nonzero"
    case always
}

/// What is behind a port.
public enum PortAttachment: Hashable, Sendable {
    case datapath(DatapathPort)
    /// The patch port of this name, of the same or another bridge; connected when that one names this port as its peer.
    case patch(peer: String)
}

/// A port of a bridge.
public struct BridgePort: Equatable, Sendable {
    public var number: OpenFlowPort
    public var name: String
    public var attachment: PortAttachment
    /// 48 bits.
    public var hardwareAddress: UInt64
    public var vlanMode: PortVLANMode
    /// Access or native VLAN, 0 to 4095.
    public var tag: UInt16
    /// VLANs a trunk carries; nil is all.
    public var trunks: VLANSet?
    /// Customers' VLANs that a `dot1q-tunnel` port carries; nil is all.
    public var customerVLANs: VLANSet?
    /// The type of the tag that a `dot1q-tunnel` port adds: 0x88a8 or 0x8100.
    public var tunnelEtherType: UInt16 = 0x88a8
    public var priorityTags = PriorityTags.never
    /// Nothing goes from one protected port to another.
    public var isProtected = false
    /// DSCPs that IP packets get for some of the port's queues.
    public var queueMarks: [UInt32: UInt8] = [:]
    public var configuration: PortConfiguration
    public var isLinkUp: Bool
    /// Whether the device counts packets and bytes only, and has one queue for sending: a device for tests.
    public var isDummy = false
    /// In kilobits a second; 0 if unknown.
    public var currentSpeedKbps: UInt32
    public var maximumSpeedKbps: UInt32
    /// `OFPPF_*` bits of OpenFlow 1.1 and later.
    public var currentFeatures: UInt32

    public init(
        number: OpenFlowPort, name: String, attachment: PortAttachment, hardwareAddress: UInt64, vlanMode: PortVLANMode = .trunk,
        tag: UInt16 = 0, trunks: VLANSet? = nil, configuration: PortConfiguration = [], isLinkUp: Bool = true,
        currentSpeedKbps: UInt32 = 0, maximumSpeedKbps: UInt32 = 0, currentFeatures: UInt32 = 0
    ) {
        self.number = number
        self.name = name
        self.attachment = attachment
        self.hardwareAddress = hardwareAddress
        self.vlanMode = vlanMode
        self.tag = tag
        self.trunks = trunks
        self.configuration = configuration
        self.isLinkUp = isLinkUp
        self.currentSpeedKbps = currentSpeedKbps
        self.maximumSpeedKbps = maximumSpeedKbps
        self.currentFeatures = currentFeatures
    }

    /// Whether a packet of `vlan` may leave by this port under NORMAL.
    ///
    /// - Parameter customer: the inner VLAN, 0 if there is none.
    public func carries(vlan: UInt16, customer: UInt16 = 0) -> Bool {
        switch vlanMode {
        // Behind the tag that is taken off there may not be another.
        case .access: vlan == tag && customer == 0
        case .trunk: trunks?.contains(vlan) ?? true
        case .dot1qTunnel: vlan == tag && customerVLANs?.contains(customer) ?? true
        // What is untagged on the wire is the native VLAN's, never VLAN 0's.
        case .nativeTagged, .nativeUntagged: vlan == tag || (vlan != 0 && trunks?.contains(vlan) ?? true)
        }
    }
}
