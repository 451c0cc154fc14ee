// What the configuration database says of a switch, as values.

/// An `Interface` row.
public struct InterfaceView: Equatable, Sendable {
    public var uuid: String
    public var name: String
    /// "" is a system device.
    public var type: String
    /// OpenFlow port number; -1 if it could not be opened, nil if nobody has tried yet.
    public var ofport: Int64?
    /// Why it does not work.
    public var error: String?
    public var hardwareAddress: String?
    /// "up", "down", or nil if unknown.
    public var linkState: String?
    /// "up", "down", or nil if unknown.
    public var adminState: String?
    /// Bytes.
    public var mtu: Int64?
    public var options: [String: String]
    public var statistics: [String: Int64]
    public var status: [String: String]
}

/// A `Port` row with its interfaces.
public struct PortView: Equatable, Sendable {
    public var uuid: String
    public var name: String
    /// Access VLAN or native VLAN.
    public var tag: Int64?
    /// VLANs carried; empty is all.
    public var trunks: [Int64]
    public var vlanMode: String?
    public var interfaces: [InterfaceView]
}

/// A `Bridge` row with its ports.
public struct BridgeView: Equatable, Sendable {
    public var uuid: String
    public var name: String
    /// 16 hexadecimal digits.
    public var datapathID: String?
    public var failMode: String?
    public var controllers: [String]
    /// In the order of their names, the local port first.
    public var ports: [PortView]
}

/// The `Open_vSwitch` row with all below it.
public struct SwitchView: Equatable, Sendable {
    public var uuid: String
    public var nextConfiguration: Int64
    public var currentConfiguration: Int64
    public var version: String?
    public var dpdkVersion: String?
    public var isDPDKInitialized: Bool
    /// Types that `Interface.type` may have.
    public var interfaceTypes: [String]
    public var otherConfig: [String: String]
    /// In the order of their names.
    public var bridges: [BridgeView]

    /// The bridge of that name.
    public func bridge(_ name: String) throws(ClientError) -> BridgeView {
        guard let bridge = bridges.first(where: { $0.name == name }) else {
            throw .unknown(kind: "bridge", name: name, known: bridges.map(\.name))
        }
        return bridge
    }

    /// The bridge and port of that name.
    public func port(_ name: String) throws(ClientError) -> (bridge: BridgeView, port: PortView) {
        for bridge in bridges {
            if let port = bridge.ports.first(where: { $0.name == name }) { return (bridge, port) }
        }
        throw .unknown(kind: "port", name: name, known: bridges.flatMap { $0.ports.map(\.name) })
    }
}
