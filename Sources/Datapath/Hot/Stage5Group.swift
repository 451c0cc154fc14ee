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
        let stamp = worker.pointee.stamp & 0xff_ffff
        let slots = worker.pointee.groupSlots
        let groups = worker.pointee.groups
        var groupCount = 0
        var index = 0
        while index < count {
            if worker.pointee.misses[index] != LookupState.found {
                index &+= 1
                continue
            }
            let entry = worker.pointee.found[index]
            var slot = Int(truncatingIfNeeded: (entry &* 0x9e37_79b1) >> 26)
            var group = 0
            while true {
                let word = slots[slot]
                if word >> 40 != stamp {
                    group = groupCount
                    slots[slot] = stamp << 40 | UInt64(groupCount) << 32 | UInt64(entry)
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
            worker.pointee.packetGroups[index] = UInt8(truncatingIfNeeded: group)
            groups[group].count &+= 1
            groups[group].bytes &+= UInt64(worker.pointee.lengths[index])
            let flags = worker.pointee.key(index).load(fromByteOffset: FlowOffset.tcpFlags, as: UInt16.self)
            groups[group].tcpFlags |= UInt32(flags.byteSwapped)
            index &+= 1
        }
        var start: UInt32 = 0
        var group = 0
        while group < groupCount {
            groups[group].start = start
            start &+= groups[group].count
            group &+= 1
        }
        // Scatter: a group's packets lie side by side at level 0.
        index = 0
        while index < count {
            if worker.pointee.misses[index] == LookupState.found {
                let group = groups + Int(worker.pointee.packetGroups[index])
                let place = Int(group.pointee.start)
                group.pointee.start &+= 1
                worker.pointee.levelPackets[place] = worker.pointee.packets[index]
                worker.pointee.levelInfos[place].meta = worker.pointee.metas[index]
                worker.pointee.levelInfos[place].origin = UInt32(truncatingIfNeeded: index)
                worker.pointee.levelInfos[place].headers = worker.pointee.headers[index]
            }
            index &+= 1
        }
        worker.pointee.groupCount = groupCount
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
                Actions.run(worker, ops, opCount, flags, start, count, 0)
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
