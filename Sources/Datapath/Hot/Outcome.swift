// What became of a packet: every received packet ends in exactly one bin of its input port.
//
// A packet that can go to one place only carries its input port as `meta`. One that goes to several carries the number
// of a *fate*: its copies' outcomes meet there, and the last one decides: sent at least once, else taken by the
// control plane, else dropped, for the reason noted last.

internal import CDPDK
internal import DatapathAPI
internal import Netdev

enum Outcome {
    /// Frees a packet (or copy) that did not leave, and notes why.
    @_noLocks
    static func drop(_ worker: Worker, _ packet: Packet, _ meta: UInt32, _ reason: DropReason) {
        cdpdk_mbuf_free(packet)
        note(worker, meta, drop: reason)
    }

    /// Notes that one copy did not leave.
    @_noLocks
    static func note(_ worker: Worker, _ meta: UInt32, drop reason: DropReason) {
        if meta & Fate.flag == 0 {
            bump(worker.pointee.portCounter(meta, PortCounter.drops &+ Int(reason.rawValue)), 1)
            return
        }
        let fate = worker.pointee.fates + Int(meta & ~Fate.flag)
        fate.pointee.reason = reason.rawValue
        settle(worker, meta)
    }

    /// Notes that one copy was sent. A packet without a fate was counted when it was queued.
    @_noLocks
    static func noteSent(_ worker: Worker, _ meta: UInt32) {
        if meta & Fate.flag == 0 { return }
        worker.pointee.fates[Int(meta & ~Fate.flag)].outcome |= Fate.sent
        settle(worker, meta)
    }

    /// Notes that the control plane took the packet or a copy.
    @_noLocks
    static func notePunted(_ worker: Worker, _ meta: UInt32) {
        if meta & Fate.flag == 0 {
            bump(worker.pointee.portCounter(meta, PortCounter.punted), 1)
            return
        }
        worker.pointee.fates[Int(meta & ~Fate.flag)].outcome |= Fate.punted
        settle(worker, meta)
    }

    /// One outcome less is open; the last one decides.
    @_noLocks
    private static func settle(_ worker: Worker, _ meta: UInt32) {
        let number = meta & ~Fate.flag
        let fate = worker.pointee.fates + Int(number)
        fate.pointee.pending &-= 1
        if fate.pointee.pending != 0 { return }
        let counter =
            if fate.pointee.outcome & Fate.sent != 0 {
                PortCounter.forwarded
            } else if fate.pointee.outcome & Fate.punted != 0 {
                PortCounter.punted
            } else {
                PortCounter.drops &+ Int(fate.pointee.reason)
            }
        bump(worker.pointee.portCounter(fate.pointee.inPort, counter), 1)
        worker.pointee.freeFates[worker.pointee.freeFateCount] = number
        worker.pointee.freeFateCount &+= 1
    }

    /// A fate for a packet from `inPort`, with one outcome open. Returns its meta. If there are none left,
    /// all batches are flushed first, which settles all but those of packets at work.
    @_noLocks
    static func makeFate(_ worker: Worker, inPort: UInt32, reason: DropReason) -> UInt32 {
        if worker.pointee.freeFateCount == 0 { Stages.flush(worker) }
        // Packets at work: a burst, the queue for the next pass and nested clones; there are more fates than that.
        worker.pointee.freeFateCount &-= 1
        let number = worker.pointee.freeFates[worker.pointee.freeFateCount]
        worker.pointee.fates[Int(number)] = Fate(inPort: inPort, reason: reason.rawValue)
        return number | Fate.flag
    }

    /// One more copy's outcome is open.
    @_noLocks @inline(__always)
    static func addPending(_ worker: Worker, _ meta: UInt32) {
        worker.pointee.fates[Int(meta & ~Fate.flag)].pending &+= 1
    }
}
