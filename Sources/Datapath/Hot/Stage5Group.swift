// Stage 6, first half: packets of the same megaflow come together; counters are added once a group.

internal import Base
internal import CDPDK
internal import Flow
internal import Netdev
internal import Synchronization

extension Stages {
    /// Sorts the found packets into groups, in the order in which their first packets came; order within a group is kept.
    @_noLocks
    static func group(_ worker: Worker, _ count: Int) {
        worker.pointee.stamp &+= 1
        if worker.pointee.stamp > 0xff_ffff { beginStampsAnew(worker) }
        let stamp = worker.pointee.stamp
        let (slots, groups, packetGroups) = (worker.pointee.groupSlots, worker.pointee.groups, worker.pointee.packetGroups)
        let (found, misses, lengths) = (worker.pointee.found, worker.pointee.misses, worker.pointee.lengths)
        let keys = worker.pointee.keys + FlowOffset.tcpFlags
        var groupCount = 0
        // The packet before, whose group is likely this one's too.
        var lastEntry: UInt32 = 0
        var group = 0
        var index = 0
        while index < count {
            if misses[index] != LookupState.found {
                index &+= 1
                continue
            }
            let entry = found[index]
            if entry != lastEntry {
                lastEntry = entry
                var slot = Int(truncatingIfNeeded: (entry &* 0x9e37_79b1) >> 26)
                while true {
                    let word = slots[slot]
                    if word >> 40 != stamp {
                        group = groupCount
                        slots[slot] = stamp << 40 | UInt64(truncatingIfNeeded: groupCount) << 32 | UInt64(entry)
                        groups[group] = Group(entry: entry)
                        groupCount &+= 1
                        break
                    }
                    if UInt32(truncatingIfNeeded: word) == entry {
                        group = Int(truncatingIfNeeded: word >> 32 & 0xff)
                        break
                    }
                    // At most 32 of 64 slots are taken: an empty one is near.
                    slot = (slot &+ 1) & 63
                }
            }
            packetGroups[index] = UInt8(truncatingIfNeeded: group)
            groups[group].count &+= 1
            groups[group].bytes &+= UInt64(lengths[index])
            groups[group].tcpFlags |= UInt32(keys.load(fromByteOffset: index &* FlowLayout.keyBytes, as: UInt16.self).byteSwapped)
            index &+= 1
        }
        var start: UInt32 = 0
        group = 0
        while group < groupCount {
            groups[group].start = start
            start &+= groups[group].count
            group &+= 1
        }
        // Scatter: a group's packets lie side by side at level 0.
        let (packets, metas, headers) = (worker.pointee.packets, worker.pointee.metas, worker.pointee.headers)
        let (levelPackets, levelInfos) = (worker.pointee.levelPackets, worker.pointee.levelInfos)
        index = 0
        while index < count {
            if misses[index] == LookupState.found {
                let group = groups + Int(truncatingIfNeeded: packetGroups[index])
                let place = Int(truncatingIfNeeded: group.pointee.start)
                group.pointee.start &+= 1
                levelPackets[place] = packets[index]
                levelInfos[place].meta = metas[index]
                levelInfos[place].origin = UInt32(truncatingIfNeeded: index)
                levelInfos[place].headers = headers[index]
            }
            index &+= 1
        }
        worker.pointee.groupCount = groupCount
    }

    /// Stamps have 24 bits: before one comes round again, what the old one left is cleared.
    @_noLocks @inline(never)
    private static func beginStampsAnew(_ worker: Worker) {
        var slot = 0
        while slot < 64 {
            worker.pointee.groupSlots[slot] = 0
            slot &+= 1
        }
        worker.pointee.stamp = 1
    }

    /// Adds each group's counters and carries its actions out.
    @_noLocks
    static func act(_ worker: Worker) {
        let shared = worker.pointee.shared
        var index = 0
        while index < worker.pointee.groupCount {
            let group = worker.pointee.groups[index]
            let count = Int(group.count)
            // `start` ran on to the group's end while scattering.
            let start = Int(group.start) &- count
            if group.entry & Group.transientFlag == 0 {
                let counters = (worker.pointee.flowCounters + Int(group.entry) &* FlowLayout.flowCounterBytes)
                bump(counters.atomicWord(0), UInt64(group.count))
                bump(counters.atomicWord(8), group.bytes)
                counters.atomicWord(16).pointee.store(worker.pointee.now, ordering: .relaxed)
                if group.tcpFlags != 0 {
                    let flags = counters.atomicWord(24)
                    flags.pointee.store(flags.pointee.load(ordering: .relaxed) | UInt64(group.tcpFlags), ordering: .relaxed)
                }
                let entry = FlowReader.entry(shared, group.entry)
                let flags = entry.load(fromByteOffset: FlowLayout.flags, as: UInt8.self)
                let opCount = Int(entry.load(fromByteOffset: FlowLayout.opCount, as: UInt16.self))
                let ops =
                    flags & EntryFlag.external == 0
                    ? (entry + FlowLayout.actions).assumingMemoryBound(to: ActionOp.self)
                    : entry.load(fromByteOffset: FlowLayout.actions, as: UnsafeMutablePointer<ActionOp>.self)
                if opCount == 1, ops.pointee.code == ActionCode.outputMove, ops.pointee.c == 0 {
                    // Plain forwarding, by far the commonest.
                    Transmit.enqueue(
                        worker, worker.pointee.levelPackets + start, worker.pointee.levelInfos + start, count, ops.pointee.b, 0)
                } else {
                    Actions.run(worker, ops, opCount, flags, start, count, 0)
                }
            } else {
                let program = worker.pointee.transients + Int(group.entry & ~Group.transientFlag)
                program.pointee.packets &+= UInt64(group.count)
                program.pointee.bytes &+= group.bytes
                program.pointee.tcpFlags |= UInt16(truncatingIfNeeded: group.tcpFlags)
                Actions.run(worker, program.pointee.ops, program.pointee.count, program.pointee.flags, start, count, 0)
            }
            index &+= 1
        }
    }
}
