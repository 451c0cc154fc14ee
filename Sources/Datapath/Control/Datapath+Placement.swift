// Which thread polls which queue.

internal import Base
internal import CLinux
internal import DatapathAPI
internal import Netdev
internal import Synchronization

extension Datapath {
    /// Decides which thread polls which queue, starts and stops PMD threads as needed, and makes it so. A queue that moves
    /// is polled by nobody until its old thread has let go of it.
    func placeQueues(_ control: inout Control) {
        let settings = control.settings
        let numbers = control.ports.keys.sorted()
        let hasDeviceQueues = numbers.contains { number in
            let state = control.ports[number]!
            return state.queues.contains { !$0.waitsInKernel(state.affinity) }
        }
        var cpus: [Int] = []
        if hasDeviceQueues, !control.isShutDown {
            cpus = settings.pmdCPUs.isEmpty ? [usableCPUs[0]] : settings.pmdCPUs.sorted()
        }
        for cpu in cpus where control.pmds[cpu] == nil { control.pmds[cpu] = makePMD(cpu, settings) }
        if !cpus.isEmpty { assign(&control, numbers, cpus) }

        // What each thread shall poll.
        var wanted: [Int: [PollEntry]] = [:]
        for number in numbers {
            for index in control.ports[number]!.queues.indices {
                if control.ports[number]!.queues[index].waitsInKernel(control.ports[number]!.affinity) {
                    control.ports[number]!.queues[index].slot = kernelIO.slot
                } else if cpus.isEmpty {
                    control.ports[number]!.queues[index].slot = -1
                }
                let queue = control.ports[number]!.queues[index]
                if queue.slot >= 0 {
                    wanted[queue.slot, default: []].append(PollEntry(handle: queue.handle, port: number, counters: queue.counters))
                }
            }
        }
        publish(wanted, [kernelIO] + control.pmds.values.sorted { $0.cpu < $1.cpu })
        if settings.runsThreads {
            for (cpu, thread) in control.pmds {
                if cpus.contains(cpu) { thread.start() } else { thread.stop() }
            }
        }
    }

    /// First every thread lets go of what it shall not poll any more; after a grace period each gets its whole list.
    private func publish(_ wanted: [Int: [PollEntry]], _ threads: [WorkerThread]) {
        var old: [UnsafeMutableRawPointer] = []
        for thread in threads {
            let keep = Set((wanted[thread.slot] ?? []).map { $0.counters })
            let current = thread.polled()
            let kept = current.filter { keep.contains($0.counters) }
            if kept.count < current.count, let list = thread.publish(kept) { old.append(list) }
        }
        if !old.isEmpty {
            quiescent.synchronize()
            old.forEach { $0.deallocate() }
            old = []
        }
        for thread in threads {
            let entries = wanted[thread.slot] ?? []
            if thread.polled().map(\.counters) == entries.map(\.counters) { continue }
            if let list = thread.publish(entries) { old.append(list) }
        }
        if !old.isEmpty {
            quiescent.synchronize()
            old.forEach { $0.deallocate() }
        }
    }

    /// Gives each device queue a thread: the CPU it is pinned to, else by the settings' way.
    private func assign(_ control: inout Control, _ numbers: [UInt32], _ cpus: [Int]) {
        let plan = plan(control, numbers, cpus)
        for cpu in cpus { control.pmds[cpu]!.isIsolated = plan.isolated.contains(cpu) }
        for place in plan.places {
            control.ports[place.port]!.queues[place.index].slot = control.pmds[place.cpu]!.slot
            control.ports[place.port]!.queues[place.index].isPinned = place.isPinned
        }
    }

    /// Where queues would be polled.
    struct PlacementPlan {
        struct Place {
            var port: UInt32
            var index: Int
            var cpu: Int
            var isPinned: Bool
            /// Cycles it cost lately.
            var cycles: UInt64
        }
        var places: [Place] = []
        var isolated: Set<Int> = []
    }

    /// What the settings' way of placing comes to, by what queues cost lately. Changes nothing.
    func plan(_ control: Control, _ numbers: [UInt32], _ cpus: [Int]) -> PlacementPlan {
        var plan = PlacementPlan()
        var free: [PlacementPlan.Place] = []
        for number in numbers {
            let state = control.ports[number]!
            for queue in state.queues where !queue.waitsInKernel(state.affinity) {
                let pinned = state.affinity[queue.index].flatMap { cpus.contains($0) ? $0 : nil }
                let place = PlacementPlan.Place(
                    port: number, index: queue.index, cpu: pinned ?? -1, isPinned: pinned != nil, cycles: queue.recentCycles)
                if let pinned {
                    plan.places.append(place)
                    if control.settings.isolatesPinnedQueues { plan.isolated.insert(pinned) }
                } else {
                    free.append(place)
                }
            }
        }
        let shared = cpus.filter { !plan.isolated.contains($0) }
        // With every CPU isolated, the rest still has to be polled.
        let targets = shared.isEmpty ? cpus : shared
        if control.settings.assignment != .roundrobin {
            free.sort { ($1.cycles, $0.port, $0.index) < ($0.cycles, $1.port, $1.index) }
        }
        var load = [UInt64](repeating: 0, count: targets.count)
        for (order, queue) in free.enumerated() {
            let target: Int
            switch control.settings.assignment {
            case .roundrobin: target = order % targets.count
            case .cycles:
                // Dealt up and down.
                let place = order % (2 * targets.count)
                target = place < targets.count ? place : 2 * targets.count - 1 - place
            case .group:
                target = load.indices.min { load[$0] < load[$1] }!
                load[target] += queue.cycles + 1
            }
            var place = queue
            place.cpu = targets[target]
            plan.places.append(place)
        }
        return plan
    }

    private func makePMD(_ cpu: Int, _ settings: DatapathSettings) -> WorkerThread {
        // One slot a usable CPU, after the auxiliary threads'.
        let slot = DatapathLimits.auxiliaryThreads + usableCPUs.firstIndex(of: cpu)!
        let thread = Datapath.makeWorker(
            .pmd, cpu: cpu, slot: slot, quiescent: quiescent, translator: translator, table: table, credits: credits, clock: clock,
            settings: settings, maintenanceDescriptor: maintenanceDescriptor, handlers: handlerSet, dummyNode: dummyNode(cpu))
        Datapath.apply(settings, to: thread)
        workers.withLock { $0.append(thread) }
        for handler in handlers.withLock({ $0 }) { handler.sources.withLock { $0.append(thread) } }
        return thread
    }
}
