internal import Synchronization

/// What a NIC with flows does, done in software: for dummy ports, so that tests see what becomes of packets that the datapath never
/// sees. Like most hardware it looks at the outermost headers alone, and at whole packets.
///
/// ## Thread safety
/// A mutex over all of it.
final class SoftwareFlowProvider: HardwareFlowProvider {
    let layer = "dpdk"
    /// As many as small NICs have.
    static let limit = 1024

    private struct Entry {
        var flow: HardwareFlow
        var counters = HardwareFlowCounters()
    }
    private struct State {
        var entries: [HardwareFlowID: Entry] = [:]
        var next: UInt64 = 1
        /// Of all flows there ever were.
        var handled = HardwareFlowCounters()
    }
    private let state = Mutex(State())

    func insert(_ flow: HardwareFlow) throws(HardwareFlowRefusal) -> HardwareFlowID {
        for case .output(let port) in flow.actions where !(port is DummyPort) {
            throw HardwareFlowRefusal("port \(port.name), which it leaves by, is no port of the device")
        }
        let id: HardwareFlowID? = state.withLock { state in
            guard state.entries.count < SoftwareFlowProvider.limit else { return nil }
            let id = HardwareFlowID(rawValue: state.next)
            state.next += 1
            state.entries[id] = Entry(flow: flow)
            return id
        }
        guard let id else { throw HardwareFlowRefusal("the device holds \(SoftwareFlowProvider.limit) flows already") }
        return id
    }

    func remove(_ flow: HardwareFlowID) -> HardwareFlowCounters {
        state.withLock { $0.entries.removeValue(forKey: flow)?.counters ?? HardwareFlowCounters() }
    }

    func counters(of flow: HardwareFlowID) -> HardwareFlowCounters? { state.withLock { $0.entries[flow]?.counters } }

    /// Packets and bytes that flows handled.
    var handled: HardwareFlowCounters { state.withLock { $0.handled } }

    /// Handles a received frame by a flow, if one matches. False: the frame is the datapath's.
    func handle(_ frame: [UInt8]) -> Bool {
        let actions: [HardwareFlow.Action]? = state.withLock { state in
            guard let id = state.entries.first(where: { SoftwareFlowProvider.matches($0.value.flow.headers, frame) })?.key else {
                return nil
            }
            let length = UInt64(frame.count)
            state.entries[id]!.counters.packets += 1
            state.entries[id]!.counters.bytes += length
            state.handled.packets += 1
            state.handled.bytes += length
            return state.entries[id]!.flow.actions
        }
        guard let actions else { return false }
        var frame = frame
        for action in actions {
            switch action {
            case .drop: return true
            case .setDestination(let address): frame.replaceSubrange(0..<6, with: address.bytes)
            case .setSource(let address): frame.replaceSubrange(6..<12, with: address.bytes)
            case .pushVLAN(let tpid, let tci):
                let tag = [tpid >> 8, tpid & 0xff, tci >> 8, tci & 0xff].map { UInt8(truncatingIfNeeded: $0) }
                frame.insert(contentsOf: tag, at: 12)
            case .popVLAN: frame.removeSubrange(12..<16)
            case .output(let port): (port as? DummyPort)?.sendFromHardware(frame)
            }
        }
        return true
    }

    private static func matches(_ headers: [HardwareFlow.Header], _ frame: [UInt8]) -> Bool {
        var offset = 0
        for header in headers {
            guard frame.count - offset >= header.kind.byteCount else { return false }
            for index in 0..<header.kind.byteCount where (frame[offset + index] ^ header.value[index]) & header.mask[index] != 0 {
                return false
            }
            let type = offset >= 2 ? UInt16(frame[offset - 2]) << 8 | UInt16(frame[offset - 1]) : 0
            switch header.kind {
            case .ethernet: offset += 14
            case .vlan:
                guard type == 0x8100 || type == 0x88a8 else { return false }
                offset += 4
            case .ipv4:
                let length = Int(frame[offset] & 15) * 4
                guard type == 0x0800, frame[offset] >> 4 == 4, length >= 20 else { return false }
                offset += length
            case .ipv6:
                // Extension headers are not looked behind.
                guard type == 0x86dd, frame[offset] >> 4 == 6, ![0, 43, 44, 51, 60].contains(frame[offset + 6]) else { return false }
                offset += 40
            default: offset += header.kind.byteCount
            }
        }
        return true
    }
}
