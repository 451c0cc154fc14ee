/// What a port is made of: the values of `Interface.type` that are network devices. (`patch` and tunnels are not.)
public enum PortKind: String, Sendable, CaseIterable {
    /// Any Ethernet device of DPDK, physical or virtual, named by `options:dpdk-devargs`.
    case dpdk
    /// A vhost-user port whose socket, `RUNDIR/NAME`, the switch listens on.
    case dpdkvhostuser
    /// A vhost-user port that connects, again and again, to `options:vhost-server-path`.
    case dpdkvhostuserclient
    /// A tap device of the host, named like the port.
    case tap
    /// The same; a bridge's local port and others that the host talks through.
    case `internal`
    /// An existing interface of the host, through a raw packet socket.
    case system
    /// The same through an AF_XDP socket, by DPDK's driver: polled by PMD threads. Offloads of the interface are not used.
    case afxdp
    /// In memory, for tests: packets are injected and taken out by calls.
    case dummy
    /// The same, polled by PMD threads.
    case dummyPMD = "dummy-pmd"
    /// The same, in the place of `internal`.
    case dummyInternal = "dummy-internal"

    /// The kind `Interface.type` names; the empty type is `system`. Nil if it is no network device of this switch.
    public init?(interfaceType: String) {
        self.init(rawValue: interfaceType.isEmpty ? "system" : interfaceType)
    }

    /// Whether such a port is a test's: in memory, with no device behind it.
    public var isDummy: Bool { self == .dummy || self == .dummyPMD || self == .dummyInternal }
}
