// Megaflows in hardware's terms.
//
// A flow for hardware must match no packet that its megaflow does not; fewer is correct. So what the pattern cannot say (a
// fragment's class other than "none", labels, metadata) refuses the megaflow, and a megaflow that does not ask for tags is
// given as one for packets without any.

internal import DatapathAPI
internal import Flow
internal import Netdev

extension HardwareFlow {
    /// The headers that a megaflow's packets have.
    static func headers(of match: Match) throws(HardwareFlowRefusal) -> [Header] {
        let key = match.key
        // What counts and is not said yet.
        var rest = match.mask.bits
        func take(_ offset: Int, _ count: Int) -> (value: UInt128, mask: UInt128) {
            defer { rest.store(0, at: offset, count: count) }
            return (key.load(at: offset, count: count), rest.load(at: offset, count: count))
        }
        func copy(_ offset: Int, _ count: Int, to header: inout Header, at place: Int) {
            let (value, mask) = take(offset, count)
            header.match(value, mask: mask, at: place, count: count)
        }
        _ = take(FlowOffset.datapathInPort, 4)
        guard take(FlowOffset.recircID, 4).value == 0 else { throw HardwareFlowRefusal("it is of packets that were looked at before") }
        let type = take(FlowOffset.etherType, 2).value
        guard type >= 0x600 else { throw HardwareFlowRefusal("its frames have no EtherType") }
        guard take(FlowOffset.ipFragment, 1).value == 0 else { throw HardwareFlowRefusal("it is of fragments") }
        guard take(FlowOffset.mplsCount, 1).value == 0 else { throw HardwareFlowRefusal("its packets have labels") }

        var ethernet = Header(.ethernet)
        copy(FlowOffset.ethDst, 6, to: &ethernet, at: 0)
        copy(FlowOffset.ethSrc, 6, to: &ethernet, at: 6)
        let (tci, tciMask) = take(FlowOffset.vlanTCI, 2)
        let (inner, innerMask) = take(FlowOffset.vlanTCI2, 2)
        guard inner & innerMask == 0 else { throw HardwareFlowRefusal("its packets have two tags") }
        let (tpid, _) = (take(FlowOffset.vlanTPID, 2).value, take(FlowOffset.vlanTPID2, 2))
        var headers: [Header] = []
        if tci & tciMask & 0x1000 != 0 {
            ethernet.match(tpid == 0 ? 0x8100 : tpid, mask: 0xffff, at: 12, count: 2)
            var tag = Header(.vlan)
            // Bit 0x1000 says that there is a tag, and is none of its bits.
            tag.match(tci, mask: tciMask & 0xefff, at: 0, count: 2)
            tag.match(type, mask: 0xffff, at: 2, count: 2)
            headers = [ethernet, tag]
        } else {
            ethernet.match(type, mask: 0xffff, at: 12, count: 2)
            headers = [ethernet]
        }

        if type == 0x0800 || type == 0x86dd {
            var ip = Header(type == 0x0800 ? .ipv4 : .ipv6)
            let (proto, protoMask) = take(FlowOffset.nwProto, 1)
            let (tos, tosMask) = take(FlowOffset.nwTOS, 1)
            if type == 0x0800 {
                ip.match(tos, mask: tosMask, at: 1, count: 1)
                // Neither "more fragments" nor an offset.
                ip.match(0, mask: 0x3fff, at: 6, count: 2)
                copy(FlowOffset.nwTTL, 1, to: &ip, at: 8)
                ip.match(proto, mask: protoMask, at: 9, count: 1)
                copy(FlowOffset.nwSrc, 4, to: &ip, at: 12)
                copy(FlowOffset.nwDst, 4, to: &ip, at: 16)
            } else {
                let (label, labelMask) = take(FlowOffset.ipv6Label, 4)
                // Version 4 bits, traffic class 8, flow label 20.
                ip.match(tos << 20 | label, mask: tosMask << 20 | labelMask & 0xf_ffff, at: 0, count: 4)
                ip.match(proto, mask: protoMask, at: 6, count: 1)
                copy(FlowOffset.nwTTL, 1, to: &ip, at: 7)
                copy(FlowOffset.ipv6Src, 16, to: &ip, at: 8)
                copy(FlowOffset.ipv6Dst, 16, to: &ip, at: 24)
            }
            headers.append(ip)
            if protoMask == 0xff, let transport = HardwareFlow.transport(proto, isV6: type == 0x86dd, take) { headers.append(transport) }
        }
        for word in 0..<FlowLayout.keyWords where rest.words[word] != 0 {
            let field = Field.allCases.first { $0 != .datapathInPort && rest[$0] != 0 }
            throw HardwareFlowRefusal("its match on \(field?.name ?? "a header's detail") is no part of a pattern")
        }
        return headers
    }

    /// The header behind IP's, if anything in it counts.
    private static func transport(
        _ proto: UInt128, isV6: Bool, _ take: (Int, Int) -> (value: UInt128, mask: UInt128)
    ) -> Header? {
        let kinds: [UInt128: Header.Kind] = [6: .tcp, 17: .udp, 132: .sctp]
        if let kind = kinds[proto] {
            var header = Header(kind)
            let (source, destination) = (take(FlowOffset.tpSrc, 2), take(FlowOffset.tpDst, 2))
            header.match(source.value, mask: source.mask, at: 0, count: 2)
            header.match(destination.value, mask: destination.mask, at: 2, count: 2)
            if proto == 6 {
                let flags = take(FlowOffset.tcpFlags, 2)
                header.match(flags.value, mask: flags.mask & 0xfff, at: 12, count: 2)
            }
            return header.mask.contains { $0 != 0 } ? header : nil
        }
        guard proto == (isV6 ? 58 : 1) else { return nil }
        var header = Header(isV6 ? .icmpv6 : .icmp)
        let (kind, code) = (take(FlowOffset.tpSrc, 2), take(FlowOffset.tpDst, 2))
        header.match(kind.value & 0xff, mask: kind.mask & 0xff, at: 0, count: 1)
        header.match(code.value & 0xff, mask: code.mask & 0xff, at: 1, count: 1)
        return header.mask.contains { $0 != 0 } ? header : nil
    }

    /// The actions of a megaflow: one output at most, which comes last.
    static func actions(
        of actions: [DatapathAction], key: FlowKey, port: (DatapathPort) -> (any Port)?
    ) throws(HardwareFlowRefusal) -> [Action] {
        var result: [Action] = []
        var isTagged = key.load(at: FlowOffset.vlanTCI, count: 2) & 0x1000 != 0
        for (index, action) in actions.enumerated() {
            switch action {
            case .output(let number):
                guard index == actions.count - 1 else { throw HardwareFlowRefusal("it has several outputs, or actions behind one") }
                guard let port = port(number) else { throw HardwareFlowRefusal("the port it leaves by is gone") }
                return result + [.output(port)]
            case .drop: return [.drop]
            case .set(.ethSrc, let value, let mask) where mask == 0xffff_ffff_ffff:
                result.append(.setSource(HardwareAddress(bits: UInt64(truncatingIfNeeded: value))))
            case .set(.ethDst, let value, let mask) where mask == 0xffff_ffff_ffff:
                result.append(.setDestination(HardwareAddress(bits: UInt64(truncatingIfNeeded: value))))
            case .pushVLAN(let tpid, let tci):
                guard !isTagged else { throw HardwareFlowRefusal("it pushes a second tag") }
                isTagged = true
                result.append(.pushVLAN(tpid: tpid, tci: tci & 0xefff))
            case .popVLAN:
                guard isTagged else { throw HardwareFlowRefusal("it pops a tag that is not there") }
                isTagged = false
                result.append(.popVLAN)
            default: throw HardwareFlowRefusal("hardware is not asked to do \(DatapathText.format(action))")
            }
        }
        return [.drop]
    }
}
