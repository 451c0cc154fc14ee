// OpenFlow actions and instructions, as values: what the codec decodes to, the text syntax reads and prints, and the
// pipeline translates. One flat list, instructions included, in the order they are carried out, as in the field's text
// syntax (`actions=load:1->NXM_NX_REG0[],goto_table:1`). A codec puts them back into each version's own containers.

/// An OpenFlow port number in the 32-bit numbering of OpenFlow 1.1 and later.
public struct OpenFlowPort: RawRepresentable, Hashable, Comparable, Sendable {
    public var rawValue: UInt32
    @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
    @inlinable public init(_ value: UInt32) { rawValue = value }

    /// Highest number of a physical or virtual port in the 16-bit numbering; what Apus assigns stays below it.
    public static let max16 = OpenFlowPort(0xff00)
    public static let inPort = OpenFlowPort(0xffff_fff8)
    public static let table = OpenFlowPort(0xffff_fff9)
    public static let normal = OpenFlowPort(0xffff_fffa)
    public static let flood = OpenFlowPort(0xffff_fffb)
    public static let all = OpenFlowPort(0xffff_fffc)
    public static let controller = OpenFlowPort(0xffff_fffd)
    public static let local = OpenFlowPort(0xffff_fffe)
    /// ANY in matches and filters, NONE as an input port.
    public static let any = OpenFlowPort(0xffff_ffff)

    public static func < (left: OpenFlowPort, right: OpenFlowPort) -> Bool { left.rawValue < right.rawValue }
}

/// Some bits of a field: `bits` of them from bit `offset` (0 is the least significant).
public struct SubField: Hashable, Sendable {
    public var field: Field
    public var offset: Int
    public var bits: Int
    public init(field: Field, offset: Int, bits: Int) {
        self.field = field
        self.offset = offset
        self.bits = bits
    }
    /// All of a field.
    public init(_ field: Field) { self.init(field: field, offset: 0, bits: field.layout.bits) }
    /// Whether this is (part of) the input port in NXM's 16 bits, which are the low ones of the 32.
    public var isNarrowPort: Bool { field == .inPort && offset + bits <= 16 }
}

/// Why a packet goes to a controller (`ofp_packet_in_reason`).
public enum PacketInReason: UInt8, Sendable {
    case noMatch = 0
    case action = 1
    case invalidTTL = 2
    case actionSet = 3
    case group = 4
    case packetOut = 5
}

/// The `controller(...)` action.
public struct ControllerAction: Hashable, Sendable {
    /// Bytes of the packet to send; 0xffff is the whole packet.
    public var maxLength: UInt16
    public var controllerID: UInt16
    public var reason: PacketInReason
    public var userdata: [UInt8]
    public var pause: Bool
    /// Meter id, or nil.
    public var meter: UInt32?
    public init(
        maxLength: UInt16 = 0xffff, controllerID: UInt16 = 0, reason: PacketInReason = .action, userdata: [UInt8] = [],
        pause: Bool = false, meter: UInt32? = nil
    ) {
        self.maxLength = maxLength
        self.controllerID = controllerID
        self.reason = reason
        self.userdata = userdata
        self.pause = pause
        self.meter = meter
    }
}

/// One action or instruction.
public indirect enum Action: Hashable, Sendable {
    /// `output:PORT`; `maxLength` counts for the controller only.
    case output(OpenFlowPort, maxLength: UInt16)
    /// `output:FIELD[bits]`.
    case outputField(SubField, maxLength: UInt16)
    /// `output(port=P,max_len=N)`.
    case outputTruncated(OpenFlowPort, maxLength: UInt32)
    case controller(ControllerAction)
    /// OpenFlow 1.0 `enqueue:port:queue`.
    case enqueue(OpenFlowPort, queue: UInt32)
    case setQueue(UInt32)
    case popQueue
    case group(UInt32)
    /// `set_field:VALUE/MASK->FIELD` and `load:VALUE->FIELD[a..b]`: bits of `mask` are written. `isLoad` keeps how it was
    /// said, for printing and encoding.
    case setField(Field, value: UInt128, mask: UInt128, isLoad: Bool)
    case move(from: SubField, to: SubField)
    case push(SubField)
    case pop(SubField)
    /// `mod_vlan_vid`: OpenFlow 1.0 and 1.1; adds a tag if there is none and `pushIfNeeded`.
    case setVLANID(UInt16, pushIfNeeded: Bool)
    /// `mod_vlan_pcp`.
    case setVLANPriority(UInt8, pushIfNeeded: Bool)
    case pushVLAN(etherType: UInt16)
    /// `strip_vlan`, `pop_vlan`.
    case popVLAN
    case pushMPLS(etherType: UInt16)
    case popMPLS(etherType: UInt16)
    case setMPLSLabel(UInt32)
    case setMPLSTC(UInt8)
    case setMPLSTTL(UInt8)
    case decrementMPLSTTL
    // OpenFlow 1.0's and 1.1's own ways to set headers
    case setEthSrc(UInt64)
    case setEthDst(UInt64)
    case setIPv4Src(UInt32)
    case setIPv4Dst(UInt32)
    /// The DSCP bits of the TOS byte, in place (value & 0xfc).
    case setIPDSCP(UInt8)
    case setIPECN(UInt8)
    case setIPTTL(UInt8)
    case setL4Src(UInt16)
    case setL4Dst(UInt16)
    /// `dec_ttl`, `dec_ttl(id,...)`: an expired packet goes to these controllers.
    case decrementTTL(controllerIDs: [UInt16])
    case setTunnelID(UInt64)
    /// `resubmit(PORT,TABLE)`; nil keeps the current one.
    case resubmit(port: OpenFlowPort?, table: UInt8?)
    case note([UInt8])
    case exit
    /// Has the datapath look at the packet again before the rest of the list: for tests of whoever goes on.
    case debugRecirculate
    /// Says that the datapath cannot carry the actions out by itself; it can. For tests.
    case debugSlow
    case clone([Action])
    /// `resubmit(PORT,TABLE,ct)`: the lookup sees the tracked connection's original tuple in place of the packet's.
    case resubmitTracked(port: OpenFlowPort?, table: UInt8?)
    /// `conjunction(id,clause/clauses)`; `clause` counts from 1.
    case conjunction(id: UInt32, clause: UInt8, clauses: UInt8)
    /// IEEE 802.1ah: adds a backbone MAC header and service tag in front of the packet, and takes them away.
    case pushPBB(etherType: UInt16)
    case popPBB
    /// From the next-to-outermost header with a TTL to the outermost one, and the other way (OpenFlow 1.5 section 5.6).
    case copyTTLOut
    case copyTTLIn
    case multipath(MultipathAction)
    case bundle(BundleAction)
    case learn(LearnAction)
    case finTimeout(idle: UInt16, hard: UInt16)
    case sample(SampleAction)
    /// `check_pkt_larger(LENGTH)->FIELD[bit]`.
    case checkPacketLarger(length: UInt16, to: SubField)
    case deleteField(Field)
    case encapsulate(EncapsulateAction)
    /// `decap()`, `decap(packet_type(...))`; `PacketType.useNextProtocol` if none is given.
    case decapsulate(PacketType)
    case decrementNSHTTL
    case connectionTrack(ConnectionTrackAction)
    /// Within `ct` only.
    case nat(NATAction)
    case clearConnectionTrack
    // Instructions
    case meter(UInt32)
    case clearActions
    case writeActions([Action])
    case writeMetadata(value: UInt64, mask: UInt64)
    case gotoTable(UInt8)
}
