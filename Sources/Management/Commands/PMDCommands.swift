// `dpif-netdev/*`: what the polling threads did.

internal import Datapath
internal import DatapathAPI

/// Only on the control loop's thread.
struct PMDCommands {
    let datapath: Datapath

    func register(in registry: CommandRegistry) {
        registry.register("dpif-netdev/pmd-stats-show", usage: "[-pmd core] [dp]", arguments: 0...3) { arguments throws(CommandError) in
            try self.showStatistics(arguments)
        }
        registry.register("dpif-netdev/pmd-stats-clear", usage: "[-pmd core] [dp]", arguments: 0...3) { _ throws(CommandError) in
            self.datapath.clearThreadStatistics()
            return ""
        }
        registry.register("dpif-netdev/pmd-rxq-show", usage: "[-pmd core] [dp]", arguments: 0...3) { arguments throws(CommandError) in
            try self.showQueues(arguments)
        }
        registry.register("dpif-netdev/pmd-rxq-rebalance", usage: "[dp]", arguments: 0...1) { _ throws(CommandError) in
            self.datapath.rebalance()
            return "pmd rxq rebalance requested.\n"
        }
        registry.register("dpif-netdev/pmd-sleep-show", usage: "[dp]", arguments: 0...1) { _ throws(CommandError) in
            "Default max sleep: \(aligned(String(self.datapath.settings.maximumSleepMicroseconds), 4)) us\n"
        }
    }

    /// The core that `-pmd CORE` names, if any.
    private func wantedCore(_ arguments: [String]) throws(CommandError) -> Int? {
        guard let position = arguments.firstIndex(of: "-pmd") else { return nil }
        guard position + 1 < arguments.count, let core = Int(arguments[position + 1]) else {
            throw CommandError("-pmd needs the number of a core")
        }
        return core
    }

    private func title(_ thread: ThreadStatistics) -> String {
        switch thread.role {
        case .pmd: "pmd thread numa_id \(max(0, thread.numaNode)) core_id \(thread.cpu):\n"
        case .kernelIO: "kernel i/o thread:\n"
        case .handler: "handler thread:\n"
        case .control: "main thread:\n"
        }
    }

    private func showStatistics(_ arguments: [String]) throws(CommandError) -> String {
        let core = try wantedCore(arguments)
        var text = ""
        for thread in datapath.threadStatistics() where core == nil || thread.cpu == core {
            let passes = thread.receivedPackets + thread.recirculatedPackets
            let cycles = thread.busyCycles + thread.idleCycles + thread.sleepCycles
            text += title(thread)
            text += "  packets received: \(thread.receivedPackets)\n"
            text += "  packet recirculations: \(thread.recirculatedPackets)\n"
            text += "  avg. datapath passes per packet: \(ratio(passes, thread.receivedPackets))\n"
            text += "  flow cache hits: \(thread.cacheHits)\n"
            text += "  megaflow hits: \(thread.megaflowHits)\n"
            text += "  avg. subtable lookups per megaflow hit: \(ratio(thread.subtableProbes, thread.megaflowHits))\n"
            text += "  miss with success upcall: \(thread.upcalls - min(thread.upcalls, thread.lostUpcalls))\n"
            text += "  miss with failed upcall: \(thread.lostUpcalls)\n"
            text += "  avg. packets per output batch: \(ratio(thread.transmittedPackets, thread.transmittedBatches))\n"
            text += "  idle cycles: \(thread.idleCycles) (\(percent(thread.idleCycles, cycles)))\n"
            text += "  sleep cycles: \(thread.sleepCycles) (\(percent(thread.sleepCycles, cycles)))\n"
            text += "  processing cycles: \(thread.busyCycles) (\(percent(thread.busyCycles, cycles)))\n"
            text += "  avg cycles per packet: \(ratio(cycles, passes)) (\(cycles)/\(passes))\n"
            text += "  avg processing cycles per packet: \(ratio(thread.busyCycles, passes)) (\(thread.busyCycles)/\(passes))\n"
        }
        return text
    }

    private func showQueues(_ arguments: [String]) throws(CommandError) -> String {
        let core = try wantedCore(arguments)
        let placements = datapath.receiveQueuePlacement()
        var text = ""
        for thread in datapath.threadStatistics() where thread.role == .pmd || thread.role == .kernelIO {
            let mine = placements.filter { $0.role == thread.role && $0.cpu == thread.cpu }
            if let core, thread.cpu != core { continue }
            if thread.role == .kernelIO && mine.isEmpty { continue }
            text += title(thread)
            text += "  isolated : \(thread.isIsolated)\n"
            for queue in mine {
                let usage = aligned(String(Int(queue.usagePercent.rounded())), 2)
                text += "  port: \(padded(queue.portName, 16))  queue-id: \(aligned(String(queue.queue), 2)) (enabled)   pmd usage: \(usage) %\n"
            }
        }
        return text
    }

    private func ratio(_ numerator: UInt64, _ denominator: UInt64) -> String {
        denominator == 0 ? "0.00" : hundredths(Double(numerator) / Double(denominator))
    }

    private func percent(_ part: UInt64, _ whole: UInt64) -> String {
        (whole == 0 ? "0.00" : hundredths(100 * Double(part) / Double(whole))) + "%"
    }

    /// Two decimals.
    private func hundredths(_ value: Double) -> String {
        let scaled = Int((value * 100).rounded())
        let rest = scaled % 100
        return "\(scaled / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
