// A packet's key as it is where only one VLAN tag is looked at.

extension FlowKey {
    /// The key that extraction with a limit of one tag finds for the same packet: the inner tag is the packet's type, and what is
    /// behind it is not known.
    public var withOneTag: FlowKey {
        guard load(at: FlowOffset.vlanTCI2, count: 2) & 0x1000 != 0 else { return self }
        var result = self
        let type = load(at: FlowOffset.vlanTPID2, count: 2)
        result.store(type == 0 ? 0x8100 : type, at: FlowOffset.etherType, count: 2)
        result.store(0, at: FlowOffset.vlanTCI2, count: 2)
        result.store(0, at: FlowOffset.vlanTPID2, count: 2)
        for (offset, count) in [
            (FlowOffset.ipFragment, 1), (FlowOffset.mplsCount, 1), (FlowOffset.nwSrc, 8), (FlowOffset.tpSrc, 4), (FlowOffset.nwProto, 1),
            (FlowOffset.nwTOS, 1), (FlowOffset.nwTTL, 1), (FlowOffset.tcpFlags, 2),
        ] { result.store(0, at: offset, count: count) }
        // IPv6, and details of other headers.
        for word in 8..<24 { result.words[word] = 0 }
        return result
    }
}
