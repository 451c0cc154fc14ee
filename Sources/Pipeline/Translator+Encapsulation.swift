// Headers in front of the whole packet: `encap` and `decap` (Ethernet, NSH, MPLS).
//
// In between a packet may be without an Ethernet header; its key then has a packet type (OpenFlow 1.5 section 7.2.3.12). The
// datapath knows no such packets: what is done to them here is put on and taken off again, and what would send one
// somewhere, or look at it anew, drops it. A header that is put on stays in the key until somebody wants to see the packet
// (`commit`), so that the fields set meanwhile are part of it.

internal import DatapathAPI
internal import Flow

extension Translator {
    /// A header that `key` has and the datapath's packet has not yet.
    enum PendingHeader {
        case ethernet
        /// With the type-length-values of MD type 2.
        case nsh([UInt8])
        case mpls
    }

    private var packetType: PacketType {
        get { PacketType(rawValue: load32(FlowOffset.packetType)) }
        set { store32(FlowOffset.packetType, newValue.rawValue) }
    }

    /// Whether the packet begins with an Ethernet header.
    var isFrame: Bool { load32(FlowOffset.packetType) == 0 }

    private func refuse(_ what: String) {
        fail("\(what) of packet type (\(packetType.nameSpace),0x\(String(packetType.type, radix: 16))) is not possible")
    }

    // MARK: Putting on

    func encapsulate(_ action: EncapsulateAction) {
        commit()
        switch action.packetType {
        case .ethernet:
            guard packetType.nameSpace == 1 else { return refuse("encap(ethernet)") }
            clearEthernet()
            store16(FlowOffset.etherType, packetType.type)
            packetType = .ethernet
            pendingHeader = .ethernet
            // Where the header behind it is the packet's own, the datapath has to look where it is.
            if !isOuterOwn { staleness = max(staleness, .network) }
        case .nsh:
            guard let next = Translator.nextProtocols.first(where: { $0.type == packetType })?.number else { return refuse("encap(nsh)") }
            changeNetwork(to: PacketType.nsh.type, labels: 0)
            var metadataType: UInt8 = 1
            var options: [UInt8] = []
            for property in action.properties {
                switch property {
                case .mdType(let type): metadataType = type
                case .tlv(let tlvClass, let type, let data):
                    options += [UInt8(tlvClass >> 8), UInt8(tlvClass & 0xff), type, UInt8(data.count & 0x7f)] + data
                    options += [UInt8](repeating: 0, count: (4 - data.count % 4) % 4)
                }
            }
            store8(FlowOffset.nshTTL, 63)
            store8(FlowOffset.nshMDType, metadataType)
            store8(FlowOffset.nshNextProtocol, next)
            store32(FlowOffset.nshPathHeader, 255)
            base.pointee = key.pointee
            packetType = .nsh
            pendingHeader = .nsh(metadataType == 2 ? options : [])
            isOuterOwn = true
            isInnerKnown = true
            staleness = .none
        default:
            if refusesLabels("an encap MPLS") { return }
            let count = Int(load8(FlowOffset.mplsCount))
            let isLabelled = !isFrame && Translator.isMPLS(packetType.type)
            // A label on a label is like it, but not at the bottom of the stack.
            let entry = isLabelled ? load32(FlowOffset.mplsLSE0) & ~0x100 : 0x140
            if isLabelled {
                lookBytes(FlowOffset.mplsLSE0, 12)
                store32(FlowOffset.mplsLSE2, load32(FlowOffset.mplsLSE1))
                store32(FlowOffset.mplsLSE1, load32(FlowOffset.mplsLSE0))
            }
            store32(FlowOffset.mplsLSE0, entry)
            changeNetwork(to: action.packetType.type, labels: isLabelled ? min(3, count + 1) : 1)
            packetType = action.packetType
            pendingHeader = .mpls
            isOuterOwn = true
            isInnerKnown = true
            staleness = .none
        }
    }

    /// Tells the datapath of the header that is to be put on.
    func pushPending() {
        guard let header = pendingHeader else { return }
        pendingHeader = nil
        switch header {
        case .ethernet:
            actions.append(
                .pushEthernet(
                    destination: load48(FlowOffset.ethDst), source: load48(FlowOffset.ethSrc), etherType: load16(FlowOffset.etherType)))
            settle(FlowOffset.ethDst..<FlowOffset.ethDst + 12)
        case .nsh(let options):
            actions.append(.pushNSH(serviceHeader(options)))
            settle(FlowOffset.nshFlags..<FlowOffset.pbbISID)
        case .mpls:
            actions.append(.addMPLS(etherType: packetType.type, entry: load32(FlowOffset.mplsLSE0)))
            settle(FlowOffset.mplsLSE0..<FlowOffset.mplsLSE0 + 4)
        }
        changeCount += 1
        fixedChangeCount += 1
    }

    /// A network service header out of the key (RFC 8300 section 2).
    private func serviceHeader(_ options: [UInt8]) -> [UInt8] {
        let isFixed = load8(FlowOffset.nshMDType) == 1
        let words = UInt32(isFixed ? 6 : 2 + options.count / 4)
        let first =
            UInt32(load8(FlowOffset.nshFlags) & 3) << 28 | UInt32(load8(FlowOffset.nshTTL) & 63) << 22 | (words & 63) << 16
            | UInt32(load8(FlowOffset.nshMDType)) << 8 | UInt32(load8(FlowOffset.nshNextProtocol))
        var parts = [first, load32(FlowOffset.nshPathHeader)]
        if isFixed { parts += (0..<4).map { load32(FlowOffset.nshContext + 4 * $0) } }
        return parts.flatMap { part in (0..<4).map { UInt8(truncatingIfNeeded: part >> UInt32(24 - 8 * $0)) } } + (isFixed ? [] : options)
    }

    // MARK: Taking off

    func decapsulate(_ wanted: PacketType) {
        commit()
        switch packetType {
        case .ethernet:
            let type = load16(FlowOffset.etherType)
            guard !isTagged, type >= 0x600 else { return refuse("decap") }
            isInnerKnown = staleness == .none
            take(.popEthernet)
            clearEthernet()
            packetType = PacketType(1, type)
            isOuterOwn = false
        case .nsh where isInnerKnown:
            lookBytes(FlowOffset.nshNextProtocol, 1)
            let number = load8(FlowOffset.nshNextProtocol)
            guard let next = Translator.nextProtocols.first(where: { $0.number == number })?.type else { return refuse("decap") }
            take(.popNSH)
            becomes(next)
        case .mpls where isNarrow && hasNoBottom, .mplsMulticast where isNarrow && hasNoBottom:
            lookAtBottoms()
            failOfLabels("a decap MPLS")
        case .mpls where isInnerKnown, .mplsMulticast where isInnerKnown:
            lookBytes(FlowOffset.mplsLSE0, 12)
            let isBottom = load8(FlowOffset.mplsLSE0 + 2) & 1 != 0
            let next = isBottom ? wanted : packetType
            if next == .useNextProtocol { return refuse("decap without a packet type") }
            take(.removeMPLS(etherType: next == .ethernet ? 0x6558 : next.type))
            if isBottom { return becomes(next) }
            store32(FlowOffset.mplsLSE0, load32(FlowOffset.mplsLSE1))
            store32(FlowOffset.mplsLSE1, load32(FlowOffset.mplsLSE2))
            // The type may promise labels that the packet, cut short, does not have.
            store8(FlowOffset.mplsCount, max(load8(FlowOffset.mplsCount), 1) - 1)
            isInnerKnown = load8(FlowOffset.mplsCount) > 0
            settle(FlowOffset.mplsLSE0..<FlowOffset.mplsLSE0 + 12)
        default: refuse("decap")
        }
    }

    // MARK: Labels that the field's switches do not know

    /// Whether more labels are refused: in the key there are three, and the field's switches go no further.
    func refusesLabels(_ what: String) -> Bool {
        guard isNarrow, Translator.isMPLS(load16(FlowOffset.etherType)), load8(FlowOffset.mplsCount) >= 3 else { return false }
        failOfLabels(what)
        return true
    }

    private func failOfLabels(_ what: String) {
        fail(
            "dropping packet on which \(what) action can't be performed as it would have more MPLS LSEs than the 3 supported.",
            .tooManyLabels, isLogged: false)
    }

    private static let bottoms = [FlowOffset.mplsLSE0 + 2, FlowOffset.mplsLSE1 + 2, FlowOffset.mplsLSE2 + 2]

    /// Whether there are more labels than the key has.
    private var hasNoBottom: Bool { Translator.bottoms.allSatisfy { load8($0) & 1 == 0 } }

    private func lookAtBottoms() {
        let all = UnsafeMutableRawPointer(looked).assumingMemoryBound(to: UInt8.self)
        let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt8.self)
        for index in Translator.bottoms { all[index] |= 1 & ~own[index] }
    }

    private func take(_ action: DatapathAction) {
        actions.append(action)
        changeCount += 1
        fixedChangeCount += 1
        changeMark += 1
    }

    /// What is in front now was not read.
    private func becomes(_ type: PacketType) {
        changeNetwork(to: type.type, labels: 0)
        packetType = type
        isInnerKnown = false
        isOuterOwn = false
        staleness = type == .ethernet ? .frame : .network
    }

    private func clearEthernet() {
        for index in FlowOffset.ethDst..<FlowOffset.ethDst + 12 { store8(index, 0) }
        settle(FlowOffset.ethDst..<FlowOffset.ethDst + 12)
    }

    /// Bytes of `key` that are the datapath's too, and known.
    func settle(_ range: Range<Int>) {
        let known = UnsafeMutableRawPointer(committed).assumingMemoryBound(to: UInt8.self)
        let own = UnsafeMutableRawPointer(written).assumingMemoryBound(to: UInt8.self)
        let now = UnsafeMutableRawPointer(base).assumingMemoryBound(to: UInt8.self)
        let pending = UnsafeMutableRawPointer(dirty).assumingMemoryBound(to: UInt8.self)
        for index in range {
            now[index] = load8(index)
            known[index] = 0xff
            own[index] = 0xff
            pending[index] = 0
        }
    }

    /// `next protocol` of the network service header (RFC 8300 section 2.2), as far as it has a packet type.
    private static let nextProtocols: [(number: UInt8, type: PacketType)] = [
        (1, PacketType(1, 0x0800)), (2, PacketType(1, 0x86dd)), (3, .ethernet), (4, .nsh), (5, .mpls),
    ]
}
