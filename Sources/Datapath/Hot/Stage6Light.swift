// Stage 6, the short way: a burst of which every packet goes to one port each, with no more than its addresses and TTL rewritten.
//
// No grouping, and no copying about: each packet's flow is counted, the packet rewritten where it lies and put into its port's
// batch, in the order of arrival. A burst of one flow is counted at once. 2026-11-21, one core at 2.6 GHz, cycles a packet before
// and after, the drivers' 45 included: see docs/performance.md.

internal import Base
internal import CDPDK
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization
internal import Wire

extension Stages {
    /// Acts on a burst of `port` whose packets were all found, by entries that are all light, or plain if the burst is not both
    /// common and exclusive (`lookup` says so).
    @_noLocks
    static func actLightly(_ worker: Worker, _ count: Int, port: UInt32) {
        let entries = worker.pointee.shared.pointee.entries
        let (packets, found, lengths) = (worker.pointee.packets, worker.pointee.found, worker.pointee.lengths)
        let (flowCounters, now) = (worker.pointee.flowCounters, worker.pointee.now)
        let flagWords = worker.pointee.keys + FlowOffset.tcpFlags
        var run = LightRun()
        var index = 0
        while index < count {
            let entry = Int(truncatingIfNeeded: found[index])
            let length = lengths[index]
            let counters = flowCounters + entry &* FlowLayout.flowCounterBytes
            bump(counters.atomicWord(0), 1)
            bump(counters.atomicWord(8), UInt64(length))
            counters.atomicWord(16).pointee.store(now, ordering: .relaxed)
            let tcpFlags = flagWords.load(fromByteOffset: index &* FlowLayout.keyBytes, as: UInt16.self).byteSwapped
            if tcpFlags != 0 {
                let flags = counters.atomicWord(24)
                flags.pointee.store(flags.pointee.load(ordering: .relaxed) | UInt64(tcpFlags), ordering: .relaxed)
            }
            let packet = packets[index]
            var op = UnsafePointer(
                (entries + (entry &* FlowLayout.entryBytes &+ FlowLayout.actions)).assumingMemoryBound(to: ActionOp.self))
            if op.pointee.code != ActionCode.outputMove {
                rewrite(packet, op)
                op += 1
            }
            let output = op.pointee.b
            if output != run.port { run.turn(worker, to: output, from: port) }
            if run.isOpen {
                run.append(worker, packet, length)
            } else {
                var one = packet
                var info = PacketInfo(meta: port, origin: 0, headers: worker.pointee.headers[index])
                Transmit.enqueue(worker, &one, &info, 1, output, 0)
            }
            index &+= 1
        }
        run.close(worker)
    }

    /// The same for a burst of one megaflow.
    @_noLocks
    static func actLightly(_ worker: Worker, _ count: Int, port: UInt32, entry number: UInt32) {
        let entry = FlowReader.entry(worker.pointee.shared, number)
        let (packets, lengths) = (worker.pointee.packets, worker.pointee.lengths)
        let counters = worker.pointee.flowCounters + Int(truncatingIfNeeded: number) &* FlowLayout.flowCounterBytes
        bump(counters.atomicWord(0), UInt64(count))
        bump(counters.atomicWord(8), worker.pointee.burst.bytes)
        counters.atomicWord(16).pointee.store(worker.pointee.now, ordering: .relaxed)
        let tcpFlags = worker.pointee.burst.tcpFlags
        if tcpFlags != 0 {
            let flags = counters.atomicWord(24)
            flags.pointee.store(flags.pointee.load(ordering: .relaxed) | UInt64(tcpFlags), ordering: .relaxed)
        }
        var op = UnsafePointer((entry + FlowLayout.actions).assumingMemoryBound(to: ActionOp.self))
        if op.pointee.code != ActionCode.outputMove {
            var index = 0
            while index < count {
                rewrite(packets[index], op)
                index &+= 1
            }
            op += 1
        }
        let output = op.pointee.b
        var run = LightRun()
        var index = 0
        while index < count {
            if output != run.port { run.turn(worker, to: output, from: port) }
            if run.isOpen {
                run.append(worker, packets[index], lengths[index])
            } else {
                var info = PacketInfo(meta: port, origin: 0, headers: worker.pointee.headers[index])
                Transmit.enqueue(worker, packets + index, &info, 1, output, 0)
            }
            index &+= 1
        }
        run.close(worker)
    }

    /// Rewrites addresses and TTL. Whoever rewrites the TTL has checked that the burst is common: IPv4 at byte 14.
    @_noLocks @inline(__always)
    private static func rewrite(_ packet: Packet, _ op: UnsafePointer<ActionOp>) {
        let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packet))
        let (code, value) = (op.pointee.code, op.pointee.c)
        if code == ActionCode.setEthernetDestination {
            data.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
            data.storeBytes(of: UInt16(truncatingIfNeeded: value >> 32), toByteOffset: 4, as: UInt16.self)
        } else if code != ActionCode.setTTL {
            data.storeBytes(of: UInt32(truncatingIfNeeded: value), toByteOffset: 6, as: UInt32.self)
            data.storeBytes(of: UInt16(truncatingIfNeeded: value >> 32), toByteOffset: 10, as: UInt16.self)
            if code == ActionCode.setEthernetAddresses {
                data.storeBytes(of: op.pointee.a, as: UInt16.self)
                data.storeBytes(of: op.pointee.b, toByteOffset: 2, as: UInt32.self)
            }
        }
        if code == ActionCode.setTTL || op.pointee.flags & ActionOp.setsTTL != 0 {
            // TTL and protocol are one 16-bit word of the checksum.
            let old = data.loadUnaligned(fromByteOffset: 22, as: UInt16.self)
            let new = old & 0xff00 | UInt16(op.pointee.ttl)
            let checksum = data.loadUnaligned(fromByteOffset: 24, as: UInt16.self)
            data.storeBytes(of: new, toByteOffset: 22, as: UInt16.self)
            data.storeBytes(
                of: InternetChecksum.updated(checksum, old: UInt32(old), new: UInt32(new)), toByteOffset: 24, as: UInt16.self)
        }
    }
}

/// A run of packets into one port's batch, whose state is held here meanwhile.
private struct LightRun {
    /// The port; none: `UInt32.max`.
    var port: UInt32
    /// Whether packets may go straight into the batch: the port is there, and takes the longest of the burst.
    var isOpen: Bool
    private var isMixed: Bool
    private var meta: UInt32
    private var count: Int
    private var bytes: UInt64
    private var forwarded: UInt64
    private var batch: UnsafeMutablePointer<TransmitBatch>?
    private var places: PacketBurst?

    @_noLocks @inline(__always)
    init() {
        port = .max
        isOpen = false
        isMixed = false
        meta = 0
        count = 0
        bytes = 0
        forwarded = 0
        batch = nil
        places = nil
    }

    /// Puts what is held here back, and takes the batch of `output` up for packets from `inPort`.
    @_noLocks
    mutating func turn(_ worker: Worker, to output: UInt32, from inPort: UInt32) {
        putBack()
        port = output
        meta = inPort
        isOpen = false
        guard Int(output) < DatapathLimits.ports else { return }
        let batch = worker.pointee.batches + Int(output)
        let places = worker.pointee.batchPackets + Int(output) &* DatapathLimits.burst
        if batch.pointee.count == 0 {
            guard Transmit.open(worker, batch, output) else { return }
        }
        if worker.pointee.burst.longest > batch.pointee.longest { return }
        if batch.pointee.count == 0 {
            Transmit.begin(worker, batch, output, inPort)
        } else if batch.pointee.meta != inPort, !batch.pointee.isMixed {
            Transmit.mix(batch, places)
        }
        isOpen = true
        isMixed = batch.pointee.isMixed
        count = Int(batch.pointee.count)
        bytes = batch.pointee.bytes
        self.batch = batch
        self.places = places
    }

    @_noLocks @inline(__always)
    mutating func append(_ worker: Worker, _ packet: Packet, _ length: UInt32) {
        places.unsafelyUnwrapped[count] = packet
        if isMixed { packet.pointee.hash_high = meta }
        count &+= 1
        bytes &+= UInt64(length)
        forwarded &+= 1
        if count == DatapathLimits.burst { sendFull(worker) }
    }

    /// Sends the full batch; the next packet takes a batch up anew.
    @_noLocks @inline(never)
    private mutating func sendFull(_ worker: Worker) {
        putBack()
        Transmit.send(worker, port)
        isOpen = false
        port = .max
    }

    @_noLocks @inline(__always)
    private func putBack() {
        guard isOpen, let batch else { return }
        batch.pointee.count = UInt32(truncatingIfNeeded: count)
        batch.pointee.bytes = bytes
    }

    /// Puts what is held here back, and counts.
    @_noLocks @inline(__always)
    mutating func close(_ worker: Worker) {
        putBack()
        if forwarded != 0 { bump(worker.pointee.portCounter(meta, PortCounter.forwarded), forwarded) }
    }
}
