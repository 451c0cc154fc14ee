/// An open port, seen from the control side.
///
/// ## Thread safety
/// Members may be called from any thread but a PMD thread. `close` is called once, under the conditions that the module's
/// essay gives; after it the port answers with what it knew last, and its handles must be gone.
public protocol Port: AnyObject, Sendable {
    var name: String { get }
    var kind: PortKind { get }
    /// NUMA node of the device; -1 if unknown.
    var numaNode: Int { get }

    /// Receive queues to be polled now. A vhost-user port's number follows its guest.
    var rxQueueCount: Int { get }
    /// Transmit queues of the device.
    var txQueueCount: Int { get }
    /// The handle of a receive queue. - Precondition: `index` is below `rxQueueCount`.
    func rxQueue(_ index: Int) -> RxQueueHandle
    /// The handle by which thread `thread` of `threads` sends. If the device has fewer queues than there are threads, they
    /// share; when the number of threads changes, all take new handles before any sends by one.
    func txQueue(_ thread: Int, threads: Int) -> TxQueueHandle

    /// Changes whenever the link's state or the number of queues does (for devices that must be asked: when `link` was
    /// called and found a change).
    var changes: UInt64 { get }
    func link() -> LinkState
    var mtu: Int { get }
    var hardwareAddress: HardwareAddress { get }

    /// Since the port was opened.
    func statistics() -> PortStatistics
    /// The pairs of `Interface.status`.
    func status() -> [String: String]

    /// Takes a changed configuration over, as far as that is possible while packets flow. Returns false if the port must
    /// be closed and opened again for it; nothing was changed then.
    func apply(_ configuration: NetdevConfiguration) throws(PortError) -> Bool

    /// Takes the device up or down, as a controller's port-mod asks, if it is one that can be.
    func setAdministrativelyUp(_ isUp: Bool)

    /// Why the port can no longer be used and has to be closed; nil as long as it can.
    var failure: PortFailure? { get }

    /// Whether packets' memory is of another NUMA node than who sends them (a guest's).
    var isAwayFromNode: Bool { get }
    /// Takes it from that node from now on. May take long.
    func followNode()

    /// Whether its hardware takes flows.
    var hardwareFlows: HardwareFlowSupport { get }

    func close()
}

extension Port {
    /// Nothing: whoever forwards leaves the port out.
    public func setAdministrativelyUp(_ isUp: Bool) {}
    public var failure: PortFailure? { nil }
    public var isAwayFromNode: Bool { false }
    public func followNode() {}
}

/// What ended a port that was open.
public enum PortFailure: Sendable, Equatable {
    /// The device is gone, or shall be given back so that it can go.
    case removed(sentence: String)
    /// The device lost its state; opened again, it works.
    case reset
}

/// State of a port's link.
public struct LinkState: Sendable, Equatable {
    /// Packets can flow: carrier, or for vhost-user a running guest.
    public var isUp: Bool
    public var isAdministrativelyUp: Bool
    /// Bits a second; nil if unknown.
    public var speed: UInt64?
    /// Nil if unknown.
    public var isFullDuplex: Bool?
    /// Times the link's state was seen to change.
    public var changes: UInt64
    /// The host's interface index; 0 if it has none.
    public var interfaceIndex: Int

    public init(
        isUp: Bool = false, isAdministrativelyUp: Bool = true, speed: UInt64? = nil, isFullDuplex: Bool? = nil, changes: UInt64 = 0,
        interfaceIndex: Int = 0
    ) {
        self.isUp = isUp
        self.isAdministrativelyUp = isAdministrativelyUp
        self.speed = speed
        self.isFullDuplex = isFullDuplex
        self.changes = changes
        self.interfaceIndex = interfaceIndex
    }
}
