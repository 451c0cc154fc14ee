// Stages 1 and 2: count what was received, make room for looking at headers, extract keys.

internal import CDPDK
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

enum Stages {
    /// Notes a burst that came in by `port`: the arrays that say where each packet comes from. They mostly say so already.
    @_noLocks
    static func receive(_ worker: Worker, _ count: Int, port: UInt32) {
        if worker.pointee.filledPort != port {
            let (metas, inPorts) = (worker.pointee.metas, worker.pointee.inPorts)
            let (recirculations, depths) = (worker.pointee.recirculations, worker.pointee.depths)
            var index = 0
            while index < DatapathLimits.burst {
                metas[index] = port
                inPorts[index] = port
                recirculations[index] = 0
                depths[index] = 0
                index &+= 1
            }
            worker.pointee.filledPort = port
        }
        bump(worker.pointee.portCounter(port, PortCounter.receivedPackets), UInt64(count))
        bump(worker.pointee.statistics + WorkerCounter.received, UInt64(count))
    }

    /// Extracts the keys of a burst just received by one port, and counts its bytes. Frames without an Ethernet header are
    /// dropped. Returns how many packets remain, and notes in `burst` what makes the burst fit for the short ways.
    @_noLocks
    static func extractReceived(_ worker: Worker, _ count: Int, port: UInt32) -> Int {
        let (packets, keys, headers, lengths) = (
            worker.pointee.packets, worker.pointee.keys, worker.pointee.headers, worker.pointee.lengths
        )
        let commonWord = BurstTraits.commonWord(port)
        let tagLimit = Int(truncatingIfNeeded: worker.pointee.shared.pointee.tagLimit.pointee.load(ordering: .relaxed))
        var bytes: UInt64 = 0
        var longest: UInt32 = 0
        var odd: UInt64 = 0
        var tcpFlags: UInt64 = 0
        var uncommon = 0
        var malformed = 0
        var ahead = 0
        while ahead < count, ahead < 4 {
            cdpdk_prefetch(cdpdk_mbuf_data(packets[ahead]))
            ahead &+= 1
        }
        var index = 0
        while index < count {
            if index &+ 4 < count { cdpdk_prefetch(cdpdk_mbuf_data(packets[index &+ 4])) }
            let packet = packets[index]
            let length = packet.pointee.pkt_len
            bytes &+= UInt64(length)
            longest = max(longest, length)
            lengths[index] = length
            // One segment, held by nobody else.
            if packet.pointee.nb_segs != 1 || packet.pointee.refcnt != 1 {
                odd |= BurstTraits.attached
                // Headers are read, and rewritten, in one piece. A packet too long for its first buffer keeps its tail, and reads
                // as truncated behind that buffer.
                if packet.pointee.nb_segs > 1 { gather(packet) }
            }
            odd |= packet.pointee.ol_flags & (BurstTraits.attached | Offload.partial)
            let key = (keys + index &* FlowLayout.keyBytes).assumingMemoryBound(to: UInt64.self)
            let result = FlowExtractor.extract(
                packet: cdpdk_mbuf_data(packet), length: Int(packet.pointee.data_len), inPort: port, tagLimit: tagLimit, into: key)
            headers[index] = result
            tcpFlags |= key[5]
            if result.l3Offset != 14 || result.lineBits != 1 || key[0] != commonWord {
                uncommon &+= 1
                if !result.isFrame { malformed &+= 1 }
            }
            index &+= 1
        }
        bump(worker.pointee.portCounter(port, PortCounter.receivedBytes), bytes)
        // Packets that are not finished are looked at one by one where they leave, as those too long for the port are.
        if odd & Offload.partial != 0 { longest = .max }
        worker.pointee.burst = BurstTraits(
            isOfOnePort: true, isCommon: uncommon == 0, isExclusive: odd & BurstTraits.attached == 0, longest: longest, bytes: bytes,
            tcpFlags: UInt16(truncatingIfNeeded: tcpFlags).byteSwapped)
        return malformed == 0 ? count : dropMalformed(worker, count, port)
    }

    /// Drops the frames of a burst of `port` that have no Ethernet header. Returns how many packets remain.
    @_noLocks @inline(never)
    private static func dropMalformed(_ worker: Worker, _ count: Int, _ port: UInt32) -> Int {
        var kept = 0
        var index = 0
        while index < count {
            if worker.pointee.headers[index].isFrame {
                if kept != index {
                    worker.pointee.packets[kept] = worker.pointee.packets[index]
                    worker.pointee.headers[kept] = worker.pointee.headers[index]
                    worker.pointee.lengths[kept] = worker.pointee.lengths[index]
                    worker.pointee.key(kept).copyMemory(from: worker.pointee.key(index), byteCount: FlowLayout.keyBytes)
                }
                kept &+= 1
            } else {
                Outcome.drop(worker, worker.pointee.packets[index], port, .malformed)
            }
            index &+= 1
        }
        return kept
    }

    /// Extracts the keys of `count` packets that the burst arrays describe: those on a further pass, or of several ports.
    /// Frames without an Ethernet header are dropped. Returns how many remain.
    @_noLocks
    static func extract(_ worker: Worker, _ count: Int) -> Int {
        worker.pointee.burst = BurstTraits()
        let packets = worker.pointee.packets
        let tagLimit = Int(truncatingIfNeeded: worker.pointee.shared.pointee.tagLimit.pointee.load(ordering: .relaxed))
        var kept = 0
        var index = 0
        while index < count {
            if index &+ 4 < count { cdpdk_prefetch(cdpdk_mbuf_data(packets[index &+ 4])) }
            let packet = packets[index]
            if packet.pointee.nb_segs > 1 { gather(packet) }
            let length = Int(packet.pointee.data_len)
            let inPort = worker.pointee.inPorts[index]
            let key = worker.pointee.key(kept)
            let result = FlowExtractor.extract(
                packet: cdpdk_mbuf_data(packet), length: length, inPort: inPort, tagLimit: tagLimit,
                into: key.assumingMemoryBound(to: UInt64.self))
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
