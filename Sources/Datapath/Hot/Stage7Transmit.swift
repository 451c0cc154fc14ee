// Stage 7: per-port batches, flushed when full and at the end of an iteration.

internal import Base
internal import CDPDK
internal import CLinux
internal import DatapathAPI
internal import Netdev
internal import Synchronization

enum Transmit {
    /// Queues packets for a port. `maxLength` cuts them unless it is 0.
    ///
    /// Packets without a fate are counted as forwarded here, all under one input port: they are of one megaflow.
    @_noLocks
    static func enqueue(
        _ worker: Worker, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int, _ port: UInt32,
        _ maxLength: UInt32
    ) {
        guard Int(port) < DatapathLimits.ports else {
            dropAll(worker, packets, infos, count)
            return
        }
        let batch = worker.pointee.batches + Int(port)
        if batch.pointee.count == 0 {
            guard open(worker, batch, port) else {
                dropAll(worker, packets, infos, count)
                return
            }
        }
        let longest = batch.pointee.longest
        let places = worker.pointee.batchPackets + Int(port) &* DatapathLimits.burst
        var forwarded: UInt64 = 0
        var inPort: UInt32 = 0
        var index = 0
        while index < count {
            let packet = packets[index]
            let meta = infos[index].meta
            index &+= 1
            if maxLength != 0, packet.pointee.pkt_len > maxLength {
                // What is cut off belongs to the checksum.
                if packet.pointee.ol_flags & Offload.partial != 0 { cdpdk_offload_complete(packet) }
                PacketEdit.cut(packet, to: maxLength)
            }
            if packet.pointee.pkt_len > longest || packet.pointee.ol_flags & Offload.partial != 0 {
                if !Offload.ready(worker, packet, meta, port) { continue }
            }
            if batch.pointee.count == 0 {
                begin(worker, batch, port, meta)
            } else if meta != batch.pointee.meta, !batch.pointee.isMixed {
                mix(batch, places)
            }
            places[Int(batch.pointee.count)] = packet
            batch.pointee.bytes &+= UInt64(packet.pointee.pkt_len)
            if batch.pointee.isMixed { packet.pointee.hash_high = meta }
            if meta & Fate.flag == 0 {
                forwarded &+= 1
                inPort = meta
            } else {
                batch.pointee.hasFates = true
            }
            batch.pointee.count &+= 1
            if Int(batch.pointee.count) == DatapathLimits.burst { send(worker, port) }
        }
        if forwarded != 0 { bump(worker.pointee.portCounter(inPort, PortCounter.forwarded), forwarded) }
    }

    /// Looks up whether a port with an empty batch can be sent by, and what it takes.
    @_noLocks @inline(__always)
    static func open(_ worker: Worker, _ batch: UnsafeMutablePointer<TransmitBatch>, _ port: UInt32) -> Bool {
        guard let record = worker.pointee.shared.pointee.ports[Int(port)].load(ordering: .acquiring),
            record.load(fromByteOffset: PortRecord.flags, as: UInt32.self) & 1 != 0
        else { return false }
        batch.pointee.record = record
        batch.pointee.longest = PortRecord.queue(record, worker.pointee.slot).pointee.maximumFrameLength
        batch.pointee.offloads = PortRecord.queue(record, worker.pointee.slot).pointee.offloads
        return true
    }

    /// Readies an empty batch for its first packet.
    @_noLocks @inline(__always)
    static func begin(_ worker: Worker, _ batch: UnsafeMutablePointer<TransmitBatch>, _ port: UInt32, _ meta: UInt32) {
        batch.pointee.hasFates = false
        batch.pointee.isMixed = false
        batch.pointee.meta = meta
        batch.pointee.bytes = 0
        worker.pointee.dirtyPorts[worker.pointee.dirtyCount] = port
        worker.pointee.dirtyCount &+= 1
    }

    /// From now on the packets of a batch have different metas. Drivers and kernel queues may reorder what they refuse: so each
    /// carries its own along, in a field no driver needs for sending.
    @_noLocks
    static func mix(_ batch: UnsafeMutablePointer<TransmitBatch>, _ places: PacketBurst) {
        batch.pointee.isMixed = true
        let meta = batch.pointee.meta
        let count = Int(batch.pointee.count)
        var index = 0
        while index < count {
            places[index].pointee.hash_high = meta
            index &+= 1
        }
    }

    /// Queues one packet that has a fate.
    @_noLocks
    static func append(_ worker: Worker, _ packet: Packet, _ meta: UInt32, _ port: UInt32) {
        let batch = worker.pointee.batches + Int(port)
        let places = worker.pointee.batchPackets + Int(port) &* DatapathLimits.burst
        if batch.pointee.count == 0 {
            begin(worker, batch, port, meta)
        } else if meta != batch.pointee.meta, !batch.pointee.isMixed {
            mix(batch, places)
        }
        places[Int(batch.pointee.count)] = packet
        batch.pointee.bytes &+= UInt64(packet.pointee.pkt_len)
        if batch.pointee.isMixed { packet.pointee.hash_high = meta }
        batch.pointee.hasFates = true
        batch.pointee.count &+= 1
        if Int(batch.pointee.count) == DatapathLimits.burst { send(worker, port) }
    }

    @_noLocks @inline(never)
    private static func dropAll(_ worker: Worker, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int) {
        var index = 0
        while index < count {
            Outcome.drop(worker, packets[index], infos[index].meta, .outputPortClosed)
            index &+= 1
        }
    }

    /// Sends a port's batch and takes the port off the list of dirty ones.
    @_noLocks
    static func send(_ worker: Worker, _ port: UInt32) {
        let batch = worker.pointee.batches + Int(port)
        var count = Int(batch.pointee.count)
        guard count > 0, let record = batch.pointee.record else { return }
        forget(worker, port)
        let packets = worker.pointee.batchPackets + Int(port) &* DatapathLimits.burst
        let (isMixed, meta) = (batch.pointee.isMixed, batch.pointee.meta)
        var bytes = batch.pointee.bytes
        // With a flush interval packets may have waited while their port went, and its record with it.
        let isThere = worker.pointee.shared.pointee.ports[Int(port)].load(ordering: .acquiring) == record
        if isThere, let policer = record.atomicPointer(PortRecord.egressPolicer).pointee.load(ordering: .acquiring) {
            count = Policing.release(worker, policer, packets, count, &bytes, isMixed: isMixed, meta: meta)
            if count == 0 {
                batch.pointee.count = 0
                return
            }
        }
        var index = 0
        let hasFates = batch.pointee.hasFates
        if hasFates {
            // Who was sent is gone after the call.
            while index < count {
                worker.pointee.batchMetas[index] = isMixed ? packets[index].pointee.hash_high : meta
                index &+= 1
            }
        }
        batch.pointee.count = 0
        let start = worker.pointee.isSampled ? clinux_tsc() : 0
        let sent =
            isThere
            ? Int(PortRecord.queue(record, worker.pointee.slot).pointee.transmit(packets, count: UInt16(truncatingIfNeeded: count))) : 0
        if start != 0 { bump(worker.pointee.statistics + WorkerCounter.stageTransmit, clinux_tsc() &- start) }
        var refusedBytes: UInt64 = 0
        index = sent
        while index < count {
            let packet = packets[index]
            let meta = isMixed ? packet.pointee.hash_high : meta
            refusedBytes &+= UInt64(packet.pointee.pkt_len)
            if meta & Fate.flag == 0 {
                // It was counted as forwarded when it was queued.
                bump(worker.pointee.portCounter(meta, PortCounter.forwarded), UInt64.max)
            } else {
                strike(worker, meta, count)
            }
            Outcome.drop(worker, packet, meta, isThere ? .transmitQueueFull : .outputPortClosed)
            index &+= 1
        }
        if hasFates {
            index = 0
            while index < count {
                if worker.pointee.batchMetas[index] & Fate.flag != 0 { Outcome.noteSent(worker, worker.pointee.batchMetas[index]) }
                index &+= 1
            }
        }
        if sent < count { bump(worker.pointee.portCounter(port, PortCounter.sendFailures), UInt64(count &- sent)) }
        bump(worker.pointee.portCounter(port, PortCounter.sentPackets), UInt64(sent))
        bump(worker.pointee.portCounter(port, PortCounter.sentBytes), bytes &- refusedBytes)
        bump(worker.pointee.statistics + WorkerCounter.transmittedBatches, 1)
        bump(worker.pointee.statistics + WorkerCounter.transmittedPackets, UInt64(sent))
    }

    /// Takes one occurrence of a refused packet's fate out of the list of those that were sent.
    @_noLocks
    private static func strike(_ worker: Worker, _ meta: UInt32, _ count: Int) {
        var index = 0
        while index < count {
            if worker.pointee.batchMetas[index] == meta {
                worker.pointee.batchMetas[index] = 0
                return
            }
            index &+= 1
        }
    }

    /// Takes a port off the list of dirty ones.
    @_noLocks
    private static func forget(_ worker: Worker, _ port: UInt32) {
        var index = worker.pointee.dirtyCount
        while index > 0 {
            index &-= 1
            if worker.pointee.dirtyPorts[index] == port {
                worker.pointee.dirtyCount &-= 1
                worker.pointee.dirtyPorts[index] = worker.pointee.dirtyPorts[worker.pointee.dirtyCount]
                return
            }
        }
    }
}

extension Stages {
    /// Sends all batches.
    @_noLocks
    static func flush(_ worker: Worker) {
        while worker.pointee.dirtyCount > 0 {
            Transmit.send(worker, worker.pointee.dirtyPorts[worker.pointee.dirtyCount &- 1])
        }
    }
}
