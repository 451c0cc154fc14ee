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
        var packets = worker.pointee.levelPackets + base
        var infos = worker.pointee.levelInfos + base
        var first = start
        var count = total
        if flags & EntryFlag.simple == 0, level == 0 { giveFates(worker, infos, count) }
        var position = 0
        while position < opCount, count > 0 {
            let op = program[position]
            switch op.code {
            case ActionCode.outputMove:
                Transmit.enqueue(worker, packets, infos, count, op.b, UInt32(truncatingIfNeeded: op.c))
                count = 0
            case ActionCode.outputCopy:
                outputCopies(worker, packets, infos, count, op.b, UInt32(truncatingIfNeeded: op.c))
            case ActionCode.setEthernetDestination:
                count = makeExclusive(worker, packets, infos, count)
                var index = 0
                while index < count {
                    let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packets[index]))
                    data.storeBytes(of: UInt32(truncatingIfNeeded: op.c), as: UInt32.self)
                    data.storeBytes(of: UInt16(truncatingIfNeeded: op.c >> 32), toByteOffset: 4, as: UInt16.self)
                    index &+= 1
                }
                if op.flags & ActionOp.setsTTL != 0 { setTTL(packets, infos, count, op.ttl) }
            case ActionCode.setEthernetSource:
                count = makeExclusive(worker, packets, infos, count)
                var index = 0
                while index < count {
                    let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packets[index]))
                    data.storeBytes(of: UInt32(truncatingIfNeeded: op.c), toByteOffset: 6, as: UInt32.self)
                    data.storeBytes(of: UInt16(truncatingIfNeeded: op.c >> 32), toByteOffset: 10, as: UInt16.self)
                    index &+= 1
                }
                if op.flags & ActionOp.setsTTL != 0 { setTTL(packets, infos, count, op.ttl) }
            case ActionCode.setEthernetAddresses:
                count = makeExclusive(worker, packets, infos, count)
                var index = 0
                while index < count {
                    let data = UnsafeMutableRawPointer(cdpdk_mbuf_data(packets[index]))
                    data.storeBytes(of: op.a, as: UInt16.self)
                    data.storeBytes(of: op.b, toByteOffset: 2, as: UInt32.self)
                    data.storeBytes(of: UInt32(truncatingIfNeeded: op.c), toByteOffset: 6, as: UInt32.self)
                    data.storeBytes(of: UInt16(truncatingIfNeeded: op.c >> 32), toByteOffset: 10, as: UInt16.self)
                    index &+= 1
                }
                if op.flags & ActionOp.setsTTL != 0 { setTTL(packets, infos, count, op.ttl) }
            case ActionCode.setTTL:
                count = makeExclusive(worker, packets, infos, count)
                setTTL(packets, infos, count, op.ttl)
            case ActionCode.set:
                count = makeExclusive(worker, packets, infos, count)
                if let operand = UnsafePointer<SetOperand>(bitPattern: UInt(op.c)) {
                    var index = 0
                    while index < count {
                        PacketEdit.set(packets[index], operand, infos[index].headers)
                        index &+= 1
                    }
                }
            case ActionCode.pushVLAN, ActionCode.popVLAN, ActionCode.pushMPLS, ActionCode.popMPLS, ActionCode.pushPBB, ActionCode.popPBB,
                ActionCode.copyTTLOut, ActionCode.copyTTLIn, ActionCode.prepend, ActionCode.strip, ActionCode.stripNSH:
                count = makeExclusive(worker, packets, infos, count)
                count = edit(worker, op, packets, infos, count)
            case ActionCode.puntMove:
                punt(worker, op, packets, infos, count, true)
                count = 0
            case ActionCode.puntCopy:
                punt(worker, op, packets, infos, count, false)
            case ActionCode.recirculateMove:
                recirculate(worker, op.b, packets, infos, count, true)
                count = 0
            case ActionCode.recirculateCopy:
                recirculate(worker, op.b, packets, infos, count, false)
            case ActionCode.meter: count = Meters.run(worker, op.b, packets, infos, count)
            case ActionCode.selectMove:
                select(worker, op, packets, infos, count, true)
                count = 0
            case ActionCode.selectCopy: select(worker, op, packets, infos, count, false)
            case ActionCode.branch:
                let length = Int(op.b)
                let longer = putLongerFirst(packets, infos, count, UInt32(op.a))
                if longer > 0 { run(worker, program + (position &+ 1), length, flags, first, longer, level) }
                first &+= longer
                packets += longer
                infos += longer
                count &-= longer
                position &+= length
            case ActionCode.clone:
                let length = Int(op.b)
                let copies = copyToNextLevel(worker, packets, infos, count, level)
                if copies > 0 { run(worker, program + (position &+ 1), length, flags, 0, copies, level &+ 1) }
                position &+= length
            default:
                let reason = DropReason(rawValue: UInt8(truncatingIfNeeded: op.a)) ?? .policy
                dropAll(worker, packets, infos, count, reason)
                count = 0
            }
            position &+= 1
        }
        // A clone's list may end without having taken the packet.
        if count > 0 { dropAll(worker, packets, infos, count, .policy) }
    }

    @_noLocks
    private static func setTTL(_ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int, _ ttl: UInt8) {
        var index = 0
        while index < count {
            PacketEdit.setTTL(packets[index], ttl, infos[index].headers)
            index &+= 1
        }
    }

    @_noLocks
    private static func giveFates(
        _ worker: Worker, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int
    ) {
        var index = 0
        while index < count {
            if infos[index].meta & Fate.flag == 0 {
                infos[index].meta = Outcome.makeFate(worker, inPort: infos[index].meta, reason: .policy)
            }
            index &+= 1
        }
    }

    @_noLocks
    private static func dropAll(
        _ worker: Worker, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int, _ reason: DropReason
    ) {
        var index = 0
        while index < count {
            Outcome.drop(worker, packets[index], infos[index].meta, reason)
            index &+= 1
        }
    }

    /// Copies the packets and sends the copies. What cannot be copied is noted as such; the originals stay.
    @_noLocks
    private static func outputCopies(
        _ worker: Worker, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int, _ port: UInt32,
        _ maxLength: UInt32
    ) {
        let limit = maxLength == 0 ? UInt32.max : maxLength
        var index = 0
        while index < count {
            Outcome.addPending(worker, infos[index].meta)
            if let copy = copy(packets[index], limit) {
                var one = copy
                Transmit.enqueue(worker, &one, infos + index, 1, port, 0)
            } else {
                Outcome.note(worker, infos[index].meta, drop: .noBuffer)
            }
            index &+= 1
        }
    }

    @_noLocks @inline(__always)
    private static func copy(_ packet: Packet, _ limit: UInt32) -> Packet? {
        guard let pool = packet.pointee.pool else { return nil }
        if limit < packet.pointee.pkt_len, packet.pointee.ol_flags & Offload.partial != 0 { return Offload.finishedCopy(packet, limit) }
        return cdpdk_mbuf_copy(packet, pool, 0, limit)
    }

    /// Makes sure that the packets may be rewritten: whose buffer somebody else holds too becomes a copy of its own.
    /// Returns how many remain.
    @_noLocks
    private static func makeExclusive(
        _ worker: Worker, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>,
        _ count: Int
    ) -> Int {
        var shared = 0
        while shared < count, cdpdk_mbuf_is_exclusive(packets[shared]) { shared &+= 1 }
        return shared == count ? count : copyShared(worker, packets, infos, count)
    }

    /// The packet, or a copy of one's own if somebody else holds its buffer too, which takes its place; nil without memory
    /// for that.
    @_noLocks
    static func exclusive(_ packet: Packet) -> Packet? {
        if cdpdk_mbuf_is_exclusive(packet) { return packet }
        guard let own = copy(packet, .max) else { return nil }
        cdpdk_mbuf_free(packet)
        return own
    }

    @_noLocks @inline(never)
    private static func copyShared(
        _ worker: Worker, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int
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
                Outcome.drop(worker, packet, infos[index].meta, .noBuffer)
                index &+= 1
                continue
            }
            infos[kept] = infos[index]
            kept &+= 1
            index &+= 1
        }
        return kept
    }

    /// Pushes and pops. A packet without room for a tag is dropped. Returns how many remain.
    @_noLocks
    private static func edit(
        _ worker: Worker, _ op: ActionOp, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int
    ) -> Int {
        var kept = 0
        var index = 0
        while index < count {
            let packet = packets[index]
            let done =
                switch op.code {
                case ActionCode.pushVLAN:
                    PacketEdit.pushVLAN(packet, tpid: op.a, tci: UInt16(truncatingIfNeeded: op.b), &infos[index].headers)
                case ActionCode.popVLAN: PacketEdit.popVLAN(packet, &infos[index].headers)
                case ActionCode.pushMPLS: PacketEdit.pushMPLS(packet, etherType: op.a, entry: op.b, &infos[index].headers)
                case ActionCode.pushPBB: PacketEdit.pushPBB(packet, tag: op.b, &infos[index].headers)
                case ActionCode.popPBB: PacketEdit.popPBB(packet, &infos[index].headers)
                case ActionCode.prepend:
                    PacketEdit.prepend(packet, UnsafeRawPointer(bitPattern: UInt(op.c)), op.a, &infos[index].headers)
                case ActionCode.strip: PacketEdit.strip(packet, op.a, &infos[index].headers)
                case ActionCode.stripNSH: PacketEdit.stripNSH(packet, &infos[index].headers)
                case ActionCode.copyTTLOut: PacketEdit.copyTTL(packet, outwards: true, infos[index].headers)
                case ActionCode.copyTTLIn: PacketEdit.copyTTL(packet, outwards: false, infos[index].headers)
                default: PacketEdit.popMPLS(packet, etherType: op.a, &infos[index].headers)
                }
            if done {
                packets[kept] = packet
                infos[kept] = infos[index]
                kept &+= 1
            } else {
                Outcome.drop(worker, packet, infos[index].meta, .noBuffer)
            }
            index &+= 1
        }
        return kept
    }

    /// Brings the packets longer than `limit` to the front, in order. Returns how many they are.
    @_noLocks
    private static func putLongerFirst(
        _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int, _ limit: UInt32
    ) -> Int {
        var longer = 0
        var index = 0
        while index < count {
            let packet = packets[index]
            if packet.pointee.pkt_len > limit {
                let info = infos[index]
                var place = index
                while place > longer {
                    packets[place] = packets[place &- 1]
                    infos[place] = infos[place &- 1]
                    place &-= 1
                }
                packets[longer] = packet
                infos[longer] = info
                longer &+= 1
            }
            index &+= 1
        }
        return longer
    }

    /// Copies a group for a `clone`'s actions. Returns how many copies there are, at the next level.
    @_noLocks
    private static func copyToNextLevel(
        _ worker: Worker, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>,
        _ count: Int, _ level: Int
    ) -> Int {
        if level >= DatapathLimits.cloneDepth { return 0 }
        let base = (level &+ 1) &* DatapathLimits.burst
        var copies = 0
        var index = 0
        while index < count {
            Outcome.addPending(worker, infos[index].meta)
            if let copy = copy(packets[index], .max) {
                worker.pointee.levelPackets[base &+ copies] = copy
                worker.pointee.levelInfos[base &+ copies] = infos[index]
                copies &+= 1
            } else {
                Outcome.note(worker, infos[index].meta, drop: .noBuffer)
            }
            index &+= 1
        }
        return copies
    }

    /// Hands packets (`moves`) or copies to the control plane.
    @_noLocks
    private static func punt(
        _ worker: Worker, _ op: ActionOp, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int, _ moves: Bool
    ) {
        var index = 0
        while index < count {
            let packet = packets[index]
            let meta = infos[index].meta
            if !moves { Outcome.addPending(worker, meta) }
            if let record = worker.pointee.punts.nextToProduce() {
                // A cut copy is enough; the length says what it was.
                if let taken = moves ? packet : copy(packet, UInt32(op.a)) {
                    if taken.pointee.ol_flags & Offload.partial != 0 { cdpdk_offload_complete(taken) }
                    record.storeBytes(of: taken, toByteOffset: PuntRecord.packet, as: Packet.self)
                    record.storeBytes(of: op.b, toByteOffset: PuntRecord.token, as: UInt32.self)
                    record.storeBytes(of: packet.pointee.pkt_len, toByteOffset: PuntRecord.totalLength, as: UInt32.self)
                    record.storeBytes(of: UInt32(op.a), toByteOffset: PuntRecord.maxLength, as: UInt32.self)
                    copyKey(worker, Int(infos[index].origin), record + PuntRecord.key)
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
        let lines = worker.pointee.lines(index)
        var line = 0
        while line < 5 {
            let source = FlowReader.keyLine(worker.pointee.shared, key, lines | 1, line)
            (to + line &* 64).copyMemory(from: source, byteCount: 64)
            line &+= 1
        }
    }

    /// The same with an id that each packet's headers choose.
    @_noLocks
    private static func select(
        _ worker: Worker, _ op: ActionOp, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int, _ moves: Bool
    ) {
        guard let ids = UnsafePointer<UInt32>(bitPattern: UInt(op.c)) else { return }
        var index = 0
        while index < count {
            let hash = SelectHash.hash(worker, Int(infos[index].origin), basis: UInt64(op.b), isSymmetric: op.flags != 0)
            let id = ids[Int(truncatingIfNeeded: hash >> 32) & Int(op.a)]
            recirculate(worker, id, packets + index, infos + index, 1, moves)
            index &+= 1
        }
    }

    /// Queues packets (`moves`) or copies for another pass with recirculation id `id`.
    @_noLocks
    private static func recirculate(
        _ worker: Worker, _ id: UInt32, _ packets: PacketBurst, _ infos: UnsafeMutablePointer<PacketInfo>, _ count: Int, _ moves: Bool
    ) {
        var index = 0
        while index < count {
            let meta = infos[index].meta
            let origin = Int(infos[index].origin)
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
