// The hash by which the datapath chooses one of several ways (`DatapathAction.select`).

internal import Flow

enum SelectHash {
    /// A hash of packet `index`'s headers as they were received: for IP the addresses, the protocol and the ports, which
    /// fragments do without, so that all of a datagram goes the same way. The Ethernet addresses and the VLAN count too, if
    /// the hash is symmetric or if there is nothing else. The top bits are the best ones.
    ///
    /// - Parameter isSymmetric: whether both directions of a connection get the same.
    @_noLocks
    static func hash(_ worker: Worker, _ index: Int, basis: UInt64, isSymmetric: Bool) -> UInt64 {
        let key = UnsafeRawPointer(worker.pointee.key(index))
        let type = UInt16(bigEndian: key.load(fromByteOffset: FlowOffset.etherType, as: UInt16.self))
        var state = mix(basis, UInt64(type))
        if isSymmetric {
            let vlan = key.load(fromByteOffset: FlowOffset.vlanTCI, as: UInt16.self) & UInt16(0x0fff).bigEndian
            state = mix(state, (ethernetAddress(key, FlowOffset.ethDst) ^ ethernetAddress(key, FlowOffset.ethSrc)) << 16 | UInt64(vlan))
        }
        switch type {
        case 0x0800:
            let source = key.load(fromByteOffset: FlowOffset.nwSrc, as: UInt32.self)
            let destination = key.load(fromByteOffset: FlowOffset.nwDst, as: UInt32.self)
            state = mix(state, isSymmetric ? UInt64(source ^ destination) : UInt64(source) << 32 | UInt64(destination))
        case 0x86dd:
            let line = FlowReader.keyLine(worker.pointee.shared, key, worker.pointee.lines(index), 1)
            var part = 0
            while part < 16 {
                let source = line.load(fromByteOffset: FlowOffset.ipv6Src &- 64 &+ part, as: UInt64.self)
                let destination = line.load(fromByteOffset: FlowOffset.ipv6Dst &- 64 &+ part, as: UInt64.self)
                state = isSymmetric ? mix(state, source ^ destination) : mix(mix(state, source), destination)
                part &+= 8
            }
        case 0x0806:
            // Who asks for whom: between two stations all of it goes the same way.
            let source = key.load(fromByteOffset: FlowOffset.nwSrc, as: UInt32.self)
            let destination = key.load(fromByteOffset: FlowOffset.nwDst, as: UInt32.self)
            state = mix(state, isSymmetric ? UInt64(source ^ destination) : UInt64(source) << 32 | UInt64(destination))
            if isSymmetric { return state }
            return mix(mix(state, ethernetAddress(key, FlowOffset.ethSrc)), ethernetAddress(key, FlowOffset.ethDst))
        default:
            if isSymmetric { return state }
            return mix(mix(state, ethernetAddress(key, FlowOffset.ethSrc)), ethernetAddress(key, FlowOffset.ethDst))
        }
        let proto = key.load(fromByteOffset: FlowOffset.nwProto, as: UInt8.self)
        var ports: UInt64 = 0
        if proto == 6 || proto == 17 || proto == 132, key.load(fromByteOffset: FlowOffset.ipFragment, as: UInt8.self) == 0 {
            let source = key.load(fromByteOffset: FlowOffset.tpSrc, as: UInt16.self)
            let destination = key.load(fromByteOffset: FlowOffset.tpDst, as: UInt16.self)
            ports = isSymmetric ? UInt64(source ^ destination) : UInt64(source) << 16 | UInt64(destination)
        }
        return mix(state, ports << 8 | UInt64(proto))
    }

    @_noLocks @inline(__always)
    private static func ethernetAddress(_ key: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        UInt64(key.load(fromByteOffset: offset, as: UInt16.self)) << 32
            | UInt64(key.load(fromByteOffset: offset &+ 2, as: UInt16.self)) << 16
            | UInt64(key.load(fromByteOffset: offset &+ 4, as: UInt16.self))
    }

    @_noLocks @inline(__always)
    private static func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
        let product = (state ^ word ^ 0x9e37_79b9_7f4a_7c15).multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
        return product.high ^ product.low
    }
}
