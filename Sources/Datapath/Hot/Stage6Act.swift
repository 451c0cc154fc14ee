// Stage 6, second half: actions on a group of packets.
//
// One operation at a time for the whole group. Packets are rewritten in place; only what leaves more than once is copied.

internal import Base
internal import CDPDK
internal import DatapathAPI
internal import Flow
internal import Netdev

enum Actions {
    /// Carries out a program on `total` packets from `start` on of nesting level `level`. They are gone afterwards.
    @_noLocks
    static func run(
        _ worker: Worker, _ program: UnsafePointer<ActionOp>, _ opCount: Int, _ flags: UInt8, _ start: Int, _ total: Int, _ level: Int
    ) {
        let base = level &* DatapathLimits.burst &+ start
        let packets = worker.pointee.levelPackets + base
        let metas = worker.pointee.levelMetas + base
        let origins = worker.pointee.levelOrigins + base
        var count = total
        if flags & EntryFlag.simple == 0, level == 0 { giveFates(worker, metas, origins, count) }
        var position = 0
        while position < opCount, count > 0 {
            let op = program[position]
            switch op.code {
            case ActionCode.outputMove:
                Transmit.enqueue(worker, packets, metas, count, op.b, UInt32(truncatingIfNeeded: op.c))
                count = 0
            case ActionCode.outputCopy:
                outputCopies(worker, packets, metas, count, op.b, UInt32(truncatingIfNeeded: op.c))
            case ActionCode.setEthernetDestination:
                count = makeExclusive(worker, packets, metas, origins, count)
                var index = 0
                while index < count {
                    let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packets[index]))
                    data.storeBytes(of: UInt32(truncatingIfNeeded: op.c), as: UInt32.self)
                    data.storeBytes(of: UInt16(truncatingIfNeeded: op.c >> 32), toByteOffset: 4, as: UInt16.self)
                    index &+= 1
                }
            case ActionCode.setEthernetSource:
                count = makeExclusive(worker, packets, metas, origins, count)
                var index = 0
                while index < count {
                    let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packets[index]))
                    data.storeBytes(of: UInt32(truncatingIfNeeded: op.c), toByteOffset: 6, as: UInt32.self)
                    data.storeBytes(of: UInt16(truncatingIfNeeded: op.c >> 32), toByteOffset: 10, as: UInt16.self)
                    index &+= 1
                }
            case ActionCode.set:
                count = makeExclusive(worker, packets, metas, origins, count)
                if let operand = UnsafePointer<SetOperand>(bitPattern: UInt(op.c)) {
                    var index = 0
                    while index < count {
                        PacketEdit.set(packets[index], operand)
                        index &+= 1
                    }
                }
            case ActionCode.pushVLAN, ActionCode.popVLAN, ActionCode.pushMPLS, ActionCode.popMPLS:
                count = makeExclusive(worker, packets, metas, origins, count)
                count = edit(worker, op, packets, metas, origins, count)
            case ActionCode.puntMove:
                punt(worker, op, packets, metas, origins, count, true)
                count = 0
            case ActionCode.puntCopy:
                punt(worker, op, packets, metas, origins, count, false)
            case ActionCode.recirculateMove:
                recirculate(worker, op.b, packets, metas, origins, count, true)
                count = 0
            case ActionCode.recirculateCopy:
                recirculate(worker, op.b, packets, metas, origins, count, false)
            case ActionCode.clone:
                let length = Int(op.b)
                let copies = copyToNextLevel(worker, packets, metas, origins, count, level)
                if copies > 0 { run(worker, program + (position &+ 1), length, flags, 0, copies, level &+ 1) }
                position &+= length
            default:
                let reason = DropReason(rawValue: UInt8(truncatingIfNeeded: op.a)) ?? .policy
                dropAll(worker, packets, metas, count, reason)
                count = 0
            }
            position &+= 1
        }
        // A clone's list may end without having taken the packet.
        if count > 0 { dropAll(worker, packets, metas, count, .policy) }
    }

    @_noLocks
    private static func giveFates(
        _ worker: Worker, _ metas: UnsafeMutablePointer<UInt32>, _ origins: UnsafeMutablePointer<UInt8>, _ count: Int
    ) {
        var index = 0
        while index < count {
            if metas[index] & Fate.flag == 0 { metas[index] = Outcome.makeFate(worker, inPort: metas[index], reason: .policy) }
            index &+= 1
        }
    }

    @_noLocks
    private static func dropAll(
        _ worker: Worker, _ packets: PacketBurst, _ metas: UnsafeMutablePointer<UInt32>, _ count: Int, _ reason: DropReason
    ) {
        var index = 0
        while index < count {
            Outcome.drop(worker, packets[index], metas[index], reason)
            index &+= 1
        }
    }

    /// Copies the packets and sends the copies. What cannot be copied is noted as such; the originals stay.
    @_noLocks
    private static func outputCopies(
        _ worker: Worker, _ packets: PacketBurst, _ metas: UnsafeMutablePointer<UInt32>, _ count: Int, _ port: UInt32, _ maxLength: UInt32
    ) {
        let limit = maxLength == 0 ? UInt32.max : maxLength
        var index = 0
        while index < count {
            Outcome.addPending(worker, metas[index])
            if let copy = copy(packets[index], limit) {
                var one = copy
                Transmit.enqueue(worker, &one, metas + index, 1, port, 0)
            } else {
                Outcome.note(worker, metas[index], drop: .noBuffer)
            }
            index &+= 1
        }
    }

    @_noLocks @inline(__always)
    private static func copy(_ packet: Packet, _ limit: UInt32) -> Packet? {
        guard let pool = packet.pointee.pool else { return nil }
        return cdpdk_mbuf_copy(packet, pool, 0, limit)
    }

    /// Makes sure that the packets may be rewritten: whose buffer somebody else holds too becomes a copy of its own.
    /// Returns how many remain.
    @_noLocks
    private static func makeExclusive(
        _ worker: Worker, _ packets: PacketBurst, _ metas: UnsafeMutablePointer<UInt32>, _ origins: UnsafeMutablePointer<UInt8>,
        _ count: Int
    ) -> Int {
        var kept = 0
        var index = 0
        while index < count {
            let packet = packets[index]
            if cdpdk_mbuf_is_exclusive(packet) {
                packets[kept] = packet
            } else if let own = copy(packet, .max) {
                cdpdk_mbuf_free(packet)
                packets[kept] = own
            } else {
                Outcome.drop(worker, packet, metas[index], .noBuffer)
                index &+= 1
                continue
            }
            metas[kept] = metas[index]
            origins[kept] = origins[index]
            kept &+= 1
            index &+= 1
        }
        return kept
    }

    /// Pushes and pops. A packet without room for a tag is dropped. Returns how many remain.
    @_noLocks
    private static func edit(
        _ worker: Worker, _ op: ActionOp, _ packets: PacketBurst, _ metas: UnsafeMutablePointer<UInt32>,
        _ origins: UnsafeMutablePointer<UInt8>, _ count: Int
    ) -> Int {
        var kept = 0
        var index = 0
        while index < count {
            let packet = packets[index]
            let done =
                switch op.code {
                case ActionCode.pushVLAN: PacketEdit.pushVLAN(packet, tpid: op.a, tci: UInt16(truncatingIfNeeded: op.b))
                case ActionCode.popVLAN: PacketEdit.popVLAN(packet)
                case ActionCode.pushMPLS: PacketEdit.pushMPLS(packet, etherType: op.a, entry: op.b)
                default: PacketEdit.popMPLS(packet, etherType: op.a)
                }
            if done {
                packets[kept] = packet
                metas[kept] = metas[index]
                origins[kept] = origins[index]
                kept &+= 1
            } else {
                Outcome.drop(worker, packet, metas[index], .noBuffer)
            }
            index &+= 1
        }
        return kept
    }

    /// Copies a group for a `clone`'s actions. Returns how many copies there are, at the next level.
    @_noLocks
    private static func copyToNextLevel(
        _ worker: Worker, _ packets: PacketBurst, _ metas: UnsafeMutablePointer<UInt32>, _ origins: UnsafeMutablePointer<UInt8>,
        _ count: Int, _ level: Int
    ) -> Int {
        if level >= DatapathLimits.cloneDepth { return 0 }
        let base = (level &+ 1) &* DatapathLimits.burst
        var copies = 0
        var index = 0
        while index < count {
            Outcome.addPending(worker, metas[index])
            if let copy = copy(packets[index], .max) {
                worker.pointee.levelPackets[base &+ copies] = copy
                worker.pointee.levelMetas[base &+ copies] = metas[index]
                worker.pointee.levelOrigins[base &+ copies] = origins[index]
                copies &+= 1
            } else {
                Outcome.note(worker, metas[index], drop: .noBuffer)
            }
            index &+= 1
        }
        return copies
    }

    /// Hands packets (`moves`) or copies to the control plane.
    @_noLocks
    private static func punt(
        _ worker: Worker, _ op: ActionOp, _ packets: PacketBurst, _ metas: UnsafeMutablePointer<UInt32>,
        _ origins: UnsafeMutablePointer<UInt8>, _ count: Int, _ moves: Bool
    ) {
        var index = 0
        while index < count {
            let packet = packets[index]
            let meta = metas[index]
            if !moves { Outcome.addPending(worker, meta) }
            if let record = worker.pointee.punts.nextToProduce() {
                // A cut copy is enough; the length says what it was.
                if let taken = moves ? packet : copy(packet, UInt32(op.a)) {
                    record.storeBytes(of: taken, toByteOffset: PuntRecord.packet, as: Packet.self)
                    record.storeBytes(of: op.b, toByteOffset: PuntRecord.token, as: UInt32.self)
                    record.storeBytes(of: packet.pointee.pkt_len, toByteOffset: PuntRecord.totalLength, as: UInt32.self)
                    record.storeBytes(of: UInt32(op.a), toByteOffset: PuntRecord.maxLength, as: UInt32.self)
                    copyKey(worker, Int(origins[index]), record + PuntRecord.key)
                    worker.pointee.punts.produce()
                    worker.pointee.puntsProduced = true
                    Outcome.notePunted(worker, meta)
                } else {
                    Outcome.note(worker, meta, drop: .noBuffer)
                }
            } else {
                bump(worker.pointee.statistics + WorkerCounter.puntsLost, 1)
                if moves { cdpdk_mbuf_free(packet) }
                Outcome.note(worker, meta, drop: .puntQueueFull)
            }
            index &+= 1
        }
    }

    /// The datapath's lines of packet `index`'s key, absent ones as zeros.
    @_noLocks
    static func copyKey(_ worker: Worker, _ index: Int, _ to: UnsafeMutableRawPointer) {
        let key = worker.pointee.key(index)
        let lines = worker.pointee.lines[index]
        var line = 0
        while line < 5 {
            let source = FlowReader.keyLine(worker.pointee.shared, key, lines | 1, line)
            (to + line &* 64).copyMemory(from: source, byteCount: 64)
            line &+= 1
        }
    }

    /// Queues packets (`moves`) or copies for another pass with recirculation id `id`.
    @_noLocks
    private static func recirculate(
        _ worker: Worker, _ id: UInt32, _ packets: PacketBurst, _ metas: UnsafeMutablePointer<UInt32>,
        _ origins: UnsafeMutablePointer<UInt8>, _ count: Int, _ moves: Bool
    ) {
        var index = 0
        while index < count {
            let meta = metas[index]
            let origin = Int(origins[index])
            let depth = worker.pointee.depths[origin] &+ 1
            if !moves { Outcome.addPending(worker, meta) }
            if Int(depth) > DatapathLimits.recirculationDepth || worker.pointee.recirculationBudget == 0
                || worker.pointee.recirculationCount == DatapathLimits.recirculationQueue
            {
                if moves { cdpdk_mbuf_free(packets[index]) }
                Outcome.note(worker, meta, drop: .recirculationLimit)
            } else if let packet = moves ? packets[index] : copy(packets[index], .max) {
                worker.pointee.recirculationBudget &-= 1
                worker.pointee.recirculationQueue[worker.pointee.recirculationCount] = Recirculation(
                    packet: packet, meta: meta, inPort: worker.pointee.inPorts[origin], id: id, depth: depth)
                worker.pointee.recirculationCount &+= 1
            } else {
                Outcome.note(worker, meta, drop: .noBuffer)
            }
            index &+= 1
        }
    }
}
