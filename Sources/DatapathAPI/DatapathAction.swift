// What a translation tells the datapath to do with a packet.

public import Flow

/// A port of the datapath. Not an OpenFlow port number: each bridge has its own of those. 0 is no port.
public struct DatapathPort: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ value: UInt32) { rawValue = value }
    public static let none = DatapathPort(0)
    public static func < (left: DatapathPort, right: DatapathPort) -> Bool { left.rawValue < right.rawValue }
}

/// Names what to do with a packet that leaves the datapath for the control plane; the pipeline hands these out and keeps
/// what each stands for (controller, reason, table, cookie, length).
public struct PuntToken: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// Why a packet did not leave. Every dropped packet is counted under exactly one of these, per input port.
public enum DropReason: UInt8, CaseIterable, Sendable {
    /// A rule said so: explicit drop or empty action list.
    case policy
    /// No rule matched, and the table-miss behaviour is to drop.
    case tableMiss
    /// The input port has no bridge, or the port is down or blocked.
    case inputPortClosed
    /// The output port does not exist any more, or is down.
    case outputPortClosed
    /// The output queue was full.
    case transmitQueueFull
    /// Longer than the output port's MTU allows.
    case oversize
    /// Shorter than an Ethernet header, or otherwise not a frame.
    case malformed
    /// The upcall queue or the port's upcall quota was exhausted.
    case upcallOverload
    /// The pipeline failed to translate for another reason than the last four: too many datapath actions.
    case translationError
    /// No mbuf for a copy.
    case noBuffer
    /// TTL or hop limit reached zero.
    case ttlExpired
    /// A meter's band.
    case meter
    /// A packet bound for the control plane met a full punt queue.
    case puntQueueFull
    /// VLAN or reserved-address rules of the NORMAL action (wrong VLAN, reserved multicast, no other port).
    case normalFiltered
    /// Too many recirculations.
    case recirculationLimit
    /// More than the input port's policing lets in.
    case ingressPolicing
    /// More than the output port's policer lets out.
    case egressPolicing
    /// The tables' ways back to earlier ones, patch ports and copies nest too deep.
    case recursionTooDeep
    /// The tables are looked up too often.
    case tooManyResubmits
    /// The actions push more than the stack holds.
    case stackTooDeep
    /// The actions push more labels than the field's switches know, where what they do is asked for.
    case tooManyLabels

    /// The name counters carry: `drop_` and words joined by underscores.
    public var counterName: String {
        switch self {
        case .policy: "drop_policy"
        case .tableMiss: "drop_table_miss"
        case .inputPortClosed: "drop_input_port_closed"
        case .outputPortClosed: "drop_output_port_closed"
        case .transmitQueueFull: "drop_transmit_queue_full"
        case .oversize: "drop_oversize"
        case .malformed: "drop_malformed"
        case .upcallOverload: "drop_upcall_overload"
        case .translationError: "drop_translation_error"
        case .noBuffer: "drop_no_buffer"
        case .ttlExpired: "drop_ttl_expired"
        case .meter: "drop_meter"
        case .puntQueueFull: "drop_punt_queue_full"
        case .normalFiltered: "drop_normal_filtered"
        case .recirculationLimit: "drop_recirculation_limit"
        case .ingressPolicing: "drop_ingress_policing"
        case .egressPolicing: "drop_egress_policing"
        case .recursionTooDeep: "drop_recursion_too_deep"
        case .tooManyResubmits: "drop_too_many_resubmits"
        case .stackTooDeep: "drop_stack_too_deep"
        case .tooManyLabels: "drop_too_many_mpls_labels"
        }
    }
}

/// One step of a megaflow's actions, carried out in order. A list with no output and no punt ends in a drop, whose reason
/// `drop` gives (`policy` if none says).
public enum DatapathAction: Equatable, Sendable {
    case output(DatapathPort)
    /// Writes the bits of `mask` in a header field that the packet has (L2 to L4, MPLS, ARP, ND), checksums kept right.
    case set(Field, value: UInt128, mask: UInt128)
    /// Adds an outer tag; `tci` carries VID and PCP (its CFI bit 0x1000 is ignored on the wire).
    case pushVLAN(tpid: UInt16, tci: UInt16)
    case popVLAN
    /// Adds an outermost label stack entry and sets the EtherType.
    case pushMPLS(etherType: UInt16, entry: UInt32)
    case popMPLS(etherType: UInt16)
    /// Sends a copy, at most `maxLength` bytes, to the control plane.
    case punt(PuntToken, maxLength: UInt16)
    /// The next output sends at most this many bytes (at least 14).
    case truncate(maxLength: UInt32)
    /// Carries out actions on a copy.
    case clone([DatapathAction])
    /// Adds a backbone MAC header (IEEE 802.1ah): the packet's own addresses, EtherType 0x88e7, and a service tag: PCP 3, DEI 1,
    /// UCA 1, reserved 3, service id 24.
    case pushPBB(tag: UInt32)
    case popPBB
    /// Puts an Ethernet header in front of a packet that has none: one that `popEthernet`, `pushNSH`, `popNSH`, `addMPLS` or
    /// `removeMPLS` left so. Nothing else may be done to such a packet.
    case pushEthernet(destination: UInt64, source: UInt64, etherType: UInt16)
    /// Takes the Ethernet header off a packet without tags.
    case popEthernet
    /// Puts a network service header (RFC 8300), given by its bytes, in front of everything.
    case pushNSH([UInt8])
    case popNSH
    /// Puts a label stack entry in front of everything, or takes it away.
    case addMPLS(etherType: UInt16, entry: UInt32)
    case removeMPLS(etherType: UInt16)
    /// Copies a TTL from the next-to-outermost header that has one to the outermost one, or back.
    case copyTTLOut
    case copyTTLIn
    /// Goes on with one list or the other.
    case checkLength(UInt16, larger: [DatapathAction], other: [DatapathAction])
    case meter(UInt32)
    /// Looks the packet up again with one of these recirculation ids: a hash of its headers picks one, a power of two of them.
    /// The same packet picks the same one, and connections spread evenly. Algorithm 0 hashes the 5-tuple, 1 is the
    /// same in both directions.
    case select(algorithm: UInt32, basis: UInt32, recirculations: [UInt32])
    /// Looks the packet up again with this recirculation id.
    case recirculate(UInt32)
    case drop(DropReason)
}
