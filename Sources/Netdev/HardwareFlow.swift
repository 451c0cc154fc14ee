// Flows that a port's hardware handles by itself.
//
// The datapath hands a port's provider plain values: headers as they are on the wire with masks, and actions. What it took it counts
// and carries out without the datapath, until it is taken back. There are two providers: rte_flow, for DPDK's devices
// (`DeviceFlowProvider`), and one in software for dummy ports (`SoftwareFlowProvider`), by which tests see what a NIC would do.

/// A flow for hardware: which packets a port receives, and what is done with them.
public struct HardwareFlow: Sendable {
    /// One header: its bytes on the wire, and which of their bits count.
    public struct Header: Sendable, Equatable {
        public enum Kind: UInt32, Sendable {
            case ethernet, vlan, ipv4, ipv6, tcp, udp, sctp, icmp, icmpv6

            /// Bytes of the header that can be matched. Of a VLAN tag: its TCI and the EtherType behind.
            public var byteCount: Int {
                switch self {
                case .ethernet: 14
                case .vlan: 4
                case .ipv4: 20
                case .ipv6: 40
                case .tcp: 20
                case .udp: 8
                case .sctp: 12
                case .icmp: 8
                case .icmpv6: 4
                }
            }
        }
        public let kind: Kind
        public private(set) var value: [UInt8]
        public private(set) var mask: [UInt8]

        /// A header of which nothing counts but that it is there.
        public init(_ kind: Kind) {
            self.kind = kind
            value = [UInt8](repeating: 0, count: kind.byteCount)
            mask = value
        }

        /// Has `count` bytes from `offset` on count, as far as `mask` says; both big-endian.
        public mutating func match(_ number: UInt128, mask bits: UInt128, at offset: Int, count: Int) {
            for index in 0..<count {
                let shift = UInt128(8 * (count - 1 - index))
                let own = UInt8(truncatingIfNeeded: bits >> shift)
                mask[offset + index] |= own
                value[offset + index] |= UInt8(truncatingIfNeeded: number >> shift) & own
            }
        }
    }

    /// What is done, in order. The last one is `output` or `drop`.
    public enum Action: Sendable {
        case setSource(HardwareAddress)
        case setDestination(HardwareAddress)
        case pushVLAN(tpid: UInt16, tci: UInt16)
        case popVLAN
        case output(any Port)
        case drop
    }

    /// Outermost first.
    public var headers: [Header]
    public var actions: [Action]

    public init(headers: [Header], actions: [Action]) {
        self.headers = headers
        self.actions = actions
    }
}

/// Why hardware did not take a flow: the part of a sentence behind "because".
public struct HardwareFlowRefusal: Error, Equatable, CustomStringConvertible {
    public let description: String
    public init(_ reason: String) { description = reason }
}

/// Names a flow that a provider took.
public struct HardwareFlowID: Hashable, Sendable {
    let rawValue: UInt64
}

/// Takes flows of one port.
///
/// ## Thread safety
/// Any thread but a PMD thread may call it; it is done with when the port is closed.
public protocol HardwareFlowProvider: AnyObject, Sendable {
    /// What the field calls the layer that handles the flows (`dp:` in lists).
    var layer: String { get }
    func insert(_ flow: HardwareFlow) throws(HardwareFlowRefusal) -> HardwareFlowID
    /// Takes a flow back: no packet is handled by it any more when this returns. Harmless if there is no such flow.
    /// - Returns: what it had counted.
    @discardableResult
    func remove(_ flow: HardwareFlowID) -> HardwareFlowCounters
    /// What a flow counted since it was inserted; nil if the hardware does not say.
    func counters(of flow: HardwareFlowID) -> HardwareFlowCounters?
}

/// Packets and bytes.
public struct HardwareFlowCounters: Sendable, Equatable {
    public var packets: UInt64
    public var bytes: UInt64
    public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
        self.packets = packets
        self.bytes = bytes
    }
}

/// Whether a port's flows can go to hardware.
public enum HardwareFlowSupport: Sendable {
    case provider(any HardwareFlowProvider)
    /// They cannot, and why.
    case none(reason: String)
}

extension Port {
    public var hardwareFlows: HardwareFlowSupport { .none(reason: "a port of type \(kind.rawValue) has no hardware") }
}
