// Stages 1 and 2: count what was received, make room for looking at headers, extract keys.

internal import CDPDK
internal import DatapathAPI
internal import Flow
internal import Netdev

enum Stages {
    /// Notes a burst that came in by `port`: the arrays that say where each packet comes from.
    @_noLocks
    static func receive(_ worker: Worker, _ count: Int, port: UInt32) {
        var index = 0
        while index < count {
            worker.pointee.metas[index] = port
            worker.pointee.inPorts[index] = port
            worker.pointee.recirculations[index] = 0
            worker.pointee.depths[index] = 0
            index &+= 1
        }
        bump(worker.pointee.portCounter(port, PortCounter.receivedPackets), UInt64(count))
        bump(worker.pointee.statistics + WorkerCounter.received, UInt64(count))
    }

    /// Adds the bytes of a burst just received; after `extract`, which has the lengths at hand, but counts malformed ones too.
    @_noLocks @inline(__always)
    static func countReceivedBytes(_ worker: Worker, _ count: Int, port: UInt32) {
        var bytes: UInt64 = 0
        var index = 0
        while index < count {
            bytes &+= UInt64(worker.pointee.packets[index].pointee.pkt_len)
            index &+= 1
        }
        bump(worker.pointee.portCounter(port, PortCounter.receivedBytes), bytes)
    }

    /// Extracts the keys of `count` packets. Frames without an Ethernet header are dropped. Returns how many remain.
    @_noLocks
    static func extract(_ worker: Worker, _ count: Int) -> Int {
        let packets = worker.pointee.packets
        var ahead = 0
        while ahead < count, ahead < 4 {
            cdpdk_prefetch(cdpdk_mbuf_data(packets[ahead]))
            ahead &+= 1
        }
        var kept = 0
        var index = 0
        while index < count {
            if index &+ 4 < count { cdpdk_prefetch(cdpdk_mbuf_data(packets[index &+ 4])) }
            let packet = packets[index]
            // Headers are read, and rewritten, in one piece. A packet too long for its first buffer keeps its tail, and reads
            // as truncated behind that buffer.
            if packet.pointee.nb_segs > 1 { gather(packet) }
            let length = Int(packet.pointee.data_len)
            let inPort = worker.pointee.inPorts[index]
            let key = worker.pointee.key(kept)
            let result = FlowExtractor.extract(
                packet: cdpdk_mbuf_data(packet), length: length, inPort: inPort, into: key.assumingMemoryBound(to: UInt64.self))
            let meta = worker.pointee.metas[index]
            if !result.isFrame {
                Outcome.drop(worker, packet, meta, .malformed)
                index &+= 1
                continue
            }
            let recirculation = worker.pointee.recirculations[index]
            if recirculation != 0 { key.storeBytes(of: recirculation.bigEndian, toByteOffset: FlowOffset.recircID, as: UInt32.self) }
            worker.pointee.headers[kept] = result
            worker.pointee.lengths[kept] = packet.pointee.pkt_len
            if kept != index {
                packets[kept] = packet
                worker.pointee.metas[kept] = meta
                worker.pointee.inPorts[kept] = inPort
                worker.pointee.recirculations[kept] = recirculation
                worker.pointee.depths[kept] = worker.pointee.depths[index]
            }
            kept &+= 1
            index &+= 1
        }
        return kept
    }

    @_noLocks @inline(never)
    private static func gather(_ packet: Packet) {
        if cdpdk_mbuf_linearize(packet) == 0 { return }
        let wanted = min(packet.pointee.pkt_len, UInt32(DatapathLimits.headerBytes))
        if packet.pointee.data_len < UInt16(truncatingIfNeeded: wanted) {
            _ = cdpdk_mbuf_pull(packet, UInt16(truncatingIfNeeded: wanted))
        }
    }
}
