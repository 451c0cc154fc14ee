/// What a port shall be: an `Interface` row's part that concerns its device.
public struct NetdevConfiguration: Sendable, Equatable {
    public var name: String
    public var kind: PortKind
    /// `Interface.options`.
    public var options: [String: String]
    /// `Interface.mtu_request`; nil: 1500, or for `system` what the interface has.
    public var requestedMTU: Int?
    /// `Interface.mac`; nil: the device's own.
    public var requestedAddress: HardwareAddress?
    /// Where `dpdkvhostuser` sockets are made (run directory, with `vhost-sock-dir` appended if set).
    public var socketDirectory: String
    /// Threads that will send: the port asks its device for as many transmit queues.
    public var transmitThreads: Int
    /// Whether a dummy takes the device's place whatever the kind (`--enable-dummy=override`).
    public var isDummy = false
    /// What vhost-user ports offer to their guests.
    public var vhost = VhostOffer()

    /// Settings of the whole switch (`Open_vSwitch.other_config`) that vhost-user ports follow.
    public struct VhostOffer: Sendable, Equatable {
        /// `userspace-tso-enable`: checksum and segmentation offload. On unless it is switched off.
        public var offersOffloads = true
        /// `vhost-iommu-support`: of ports that connect.
        public var offersIOMMU = false
        /// `vhost-postcopy-support`: of ports that connect.
        public var offersPostcopy = false
        public init() {}
    }

    public init(
        name: String, kind: PortKind, options: [String: String] = [:], requestedMTU: Int? = nil,
        requestedAddress: HardwareAddress? = nil, socketDirectory: String = "", transmitThreads: Int = 1
    ) {
        self.name = name
        self.kind = kind
        self.options = options
        self.requestedMTU = requestedMTU
        self.requestedAddress = requestedAddress
        self.socketDirectory = socketDirectory
        self.transmitThreads = transmitThreads
    }

    /// The MTU to use where the device has none of its own.
    var mtu: Int { requestedMTU ?? NetdevLimits.defaultMTU }

    /// A socket's path: relative ones are in the run directory.
    func absolute(_ path: String) -> String { path.hasPrefix("/") || socketDirectory.isEmpty ? path : socketDirectory + "/" + path }

    /// A whole number from the options, or `otherwise` if the key is absent.
    func number(_ key: String, in range: ClosedRange<Int>, otherwise: Int) throws(PortError) -> Int {
        guard let text = options[key] else { return otherwise }
        guard let value = Int(text), range.contains(value) else {
            throw .invalidOption(
                port: name, option: "options:\(key)", value: text, valid: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func descriptorCount(_ key: String) throws(PortError) -> Int {
        let value = try number(key, in: NetdevLimits.descriptors, otherwise: NetdevLimits.defaultDescriptors)
        guard value & (value - 1) == 0 else {
            throw .invalidOption(port: name, option: "options:\(key)", value: String(value), valid: "a power of two from 1 to 4096")
        }
        return value
    }

    /// What can be said without touching any device.
    func check() throws(PortError) {
        guard !name.isEmpty else { throw .invalidName(port: name, reason: "it is empty") }
        if let requestedMTU, !NetdevLimits.mtu.contains(requestedMTU) {
            throw .invalidOption(
                port: name, option: "mtu_request", value: String(requestedMTU),
                valid: "from \(NetdevLimits.mtu.lowerBound) to \(NetdevLimits.mtu.upperBound)")
        }
        if let requestedAddress, requestedAddress.isMulticast || requestedAddress.bits == 0 {
            throw .invalidOption(port: name, option: "mac", value: requestedAddress.description, valid: "a unicast address other than zero")
        }
        if isDummy { return }
        switch kind {
        case .dpdkvhostuser:
            guard !name.contains("/") else {
                throw .invalidName(port: name, reason: "a vhost-user socket is named after its port, and a file's name has no '/'")
            }
        case .tap, .internal, .system, .afxdp:
            guard name.utf8.count <= NetdevLimits.interfaceName else {
                throw .invalidName(
                    port: name, reason: "an interface's name on this host has at most \(NetdevLimits.interfaceName) bytes")
            }
            guard !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 <= 32 || $0 == UInt8(ascii: "%") }), name != ".", name != ".."
            else { throw .invalidName(port: name, reason: "an interface's name on this host has no '/', '%' or blanks") }
        case .dpdk, .dpdkvhostuserclient, .dummy, .dummyPMD, .dummyInternal: break
        }
    }
}
