// What the PMD threads do.

internal import Datapath
internal import Glibc
internal import Switch

extension SwitchCommands {
    func registerThreadCommands(on registry: CommandRegistry) {
        registry.register("dpif-netdev/pmd-stats-show", usage: "[-pmd core] [dp]", arguments: 0...3) { (words) throws(CommandError) in
            let core = try core(words)
            return datapath.threadStatistics().filter { core == nil || $0.role == .pmd && $0.cpu == core }.map(statistics).joined()
        }
        registry.register("dpif-netdev/pmd-stats-clear", usage: "[-pmd core] [dp]", arguments: 0...3) { (words) throws(CommandError) in
            _ = try core(words)
            datapath.clearThreadStatistics()
            return ""
        }
        registry.register(
            "dpif-netdev/pmd-perf-show", usage: "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]", arguments: 0...8
        ) { (words) throws(CommandError) in
            let core = try core(words.filter { $0 != "-nh" })
            let threads = datapath.pmdStatistics().filter { core == nil || $0.cpu == core }
            return threads.map { performance($0, hasHistograms: !words.contains("-nh")) }.joined(separator: "\n")
        }
        registry.register("dpif-netdev/pmd-rxq-show", usage: "[-pmd core] [-secs secs] [dp]", arguments: 0...5) {
            (words) throws(CommandError) in
            queues(try core(words))
        }
        registry.register("dpif-netdev/pmd-rxq-rebalance", usage: "[dp]", arguments: 0...1) { (words) throws(CommandError) in
            _ = try core(words)
            datapath.rebalance()
            return "pmd rxq rebalance requested.\n"
        }
        registry.register("dpif-netdev/pmd-sleep-show", usage: "[dp]", arguments: 0...1) { (words) throws(CommandError) in
            _ = try core(words)
            return "Default max sleep: \(right(String(datapath.settings.maximumSleepMicroseconds), 4)) us\n"
        }
    }

    /// The core of `-pmd CORE`; checks the other words.
    private func core(_ words: [String]) throws(CommandError) -> Int? {
        var core: Int?
        var index = 0
        while index < words.count {
            switch words[index] {
            case "-pmd", "-secs", "-it", "-ms":
                guard index + 1 < words.count, let number = Int(words[index + 1]), number >= 0 else {
                    throw CommandError("\(words[index]) needs a number")
                }
                if words[index] == "-pmd" {
                    guard datapath.pmdStatistics().contains(where: { $0.cpu == number }) else {
                        throw CommandError("no PMD thread runs on core \(number)")
                    }
                    core = number
                }
                index += 2
            case _ where datapathType(named: words[index]) != nil: index += 1
            default: throw CommandError("please specify an existing datapath")
            }
        }
        return core
    }

    private func title(_ thread: ThreadStatistics) -> String {
        switch thread.role {
        case .pmd: "pmd thread numa_id \(thread.numaNode) core_id \(thread.cpu):\n"
        case .kernelIO: "kernel I/O thread:\n"
        case .handler: "handler thread:\n"
        case .control: "main thread:\n"
        }
    }

    private func statistics(_ thread: ThreadStatistics) -> String {
        let received = thread.receivedPackets
        let passes = received == 0 ? 0 : Double(received &+ thread.recirculatedPackets) / Double(received)
        let probes = thread.megaflowHits == 0 ? 0 : Double(thread.subtableProbes) / Double(thread.megaflowHits)
        let batch = thread.transmittedBatches == 0 ? 0 : Double(thread.transmittedPackets) / Double(thread.transmittedBatches)
        let failed = thread.lostUpcalls
        let succeeded = thread.missedPackets > failed ? thread.missedPackets - failed : 0
        var text = title(thread)
        text += "  packets received: \(received)\n"
        text += "  packet recirculations: \(thread.recirculatedPackets)\n"
        text += "  avg. datapath passes per packet: \(fixed(passes, 2))\n"
        text += "  phwol hits: 0\n  mfex opt hits: 0\n  simple match hits: 0\n"
        text += "  emc hits: \(thread.cacheHits)\n"
        text += "  smc hits: 0\n"
        text += "  megaflow hits: \(thread.megaflowHits)\n"
        text += "  avg. subtable lookups per megaflow hit: \(fixed(probes, 2))\n"
        text += "  miss with success upcall: \(succeeded)\n"
        text += "  miss with failed upcall: \(failed)\n"
        text += "  avg. packets per output batch: \(fixed(batch, 2))\n"
        let total = Double(thread.busyCycles) + Double(thread.idleCycles) + Double(thread.sleepCycles)
        guard total > 0 else { return text }
        text += "  idle cycles: \(thread.idleCycles) (\(fixed(Double(thread.idleCycles) * 100 / total, 2))%)\n"
        text += "  sleep cycles: \(thread.sleepCycles) (\(fixed(Double(thread.sleepCycles) * 100 / total, 2))%)\n"
        text += "  processing cycles: \(thread.busyCycles) (\(fixed(Double(thread.busyCycles) * 100 / total, 2))%)\n"
        guard received > 0 else { return text }
        text += "  avg cycles per packet: \(fixed(total / Double(received), 2)) (\(fixed(total, 0))/\(received))\n"
        text += "  avg processing cycles per packet: \(fixed(thread.cyclesPerPacket, 2)) (\(thread.busyCycles)/\(received))\n"
        return text
    }

    /// `pmd-perf-show` of one thread.
    private func performance(_ thread: ThreadStatistics, hasHistograms: Bool) -> String {
        let frequency = Double(Datapath.cyclesPerSecond)
        let (busy, idle, sleep) = (Double(thread.busyCycles), Double(thread.idleCycles), Double(thread.sleepCycles))
        let seconds = (busy + idle + sleep) / frequency
        func share(_ part: Double, _ whole: Double) -> String { right(fixed(whole > 0 ? part * 100 / whole : 0, 1), 5) }
        func line(_ name: String, _ value: UInt64, _ rest: String) -> String {
            "  " + left(name, 24) + right(String(value), 14) + "  " + rest + "\n"
        }
        let (iterations, received) = (thread.iterations, thread.receivedPackets)
        let passes = received &+ thread.recirculatedPackets
        let kilo = { (packets: UInt64) in fixed(seconds > 0 ? Double(packets) / seconds / 1e3 : 0, 0) }
        var text = "Measurement duration: \(fixed(seconds, 3)) s\n\n" + title(thread) + "\n"
        text += line("Iterations:", iterations, "(\(fixed(iterations > 0 ? seconds * 1e6 / Double(iterations) : 0, 2)) us/it)")
        text += line(
            "- Used TSC cycles:", thread.busyCycles &+ thread.idleCycles, "(\(share(busy + idle, busy + idle + sleep)) % of total cycles)")
        text += line(
            "- idle iterations:", iterations &- min(iterations, thread.busyIterations), "(\(share(idle, busy + idle)) % of used cycles)")
        text += line("- busy iterations:", thread.busyIterations, "(\(share(busy, busy + idle)) % of used cycles)")
        text += line("- sleep iterations:", thread.sleeps, "(\(share(Double(thread.sleeps), Double(iterations))) % of iterations)")
        text += line(
            "Sleep time (us):", UInt64(sleep / frequency * 1e6),
            "(\(fixed(thread.sleeps > 0 ? sleep / frequency * 1e6 / Double(thread.sleeps) : 0, 0)) us/sleep avg.)")
        text += line("Rx packets:", received, "(\(kilo(received)) Kpps, \(fixed(thread.cyclesPerPacket, 0)) cycles/pkt)")
        text += line("Datapath passes:", passes, "(\(fixed(received > 0 ? Double(passes) / Double(received) : 0, 2)) passes/pkt)")
        for name in ["- PHWOL hits:", "- MFEX Opt hits:", "- Simple Match hits:"] { text += line(name, 0, "(\(share(0, 0)) %)") }
        text += line("- EMC hits:", thread.cacheHits, "(\(share(Double(thread.cacheHits), Double(passes))) %)")
        text += line("- SMC hits:", 0, "(\(share(0, 0)) %)")
        let probes = thread.megaflowHits == 0 ? 0 : Double(thread.subtableProbes) / Double(thread.megaflowHits)
        text += line(
            "- Megaflow hits:", thread.megaflowHits,
            "(\(share(Double(thread.megaflowHits), Double(passes))) %, \(fixed(probes, 2)) subtbl lookups/hit)")
        let latency = thread.upcalls > 0 ? Double(thread.upcallCycles) / frequency * 1e6 / Double(thread.upcalls) : 0
        text += line("- Upcalls:", thread.upcalls, "(\(share(Double(thread.upcalls), Double(passes))) %, \(fixed(latency, 1)) us/upcall)")
        text += line("- Lost upcalls:", thread.lostUpcalls, "(\(share(Double(thread.lostUpcalls), Double(passes))) %)")
        let batches = thread.transmittedBatches
        text += line("Tx packets:", thread.transmittedPackets, "(\(kilo(thread.transmittedPackets)) Kpps)")
        text += line(
            "Tx batches:", batches, "(\(fixed(batches > 0 ? Double(thread.transmittedPackets) / Double(batches) : 0, 2)) pkts/batch)")
        for stage in thread.stages { text += "  \(stage.name) cycles per packet: \(fixed(stage.cyclesPerPacket, 1))\n" }
        for (name, rate) in [("last second", thread.lastSecond), ("last minute", thread.lastMinute)] {
            guard let rate else { continue }
            text += "  packets per second, \(name): \(fixed(rate.packetsPerSecond, 0))\n"
            text += "  upcalls per second, \(name): \(fixed(rate.upcallsPerSecond, 0))\n"
            text += "  processing cycles per packet, \(name): \(fixed(rate.cyclesPerPacket, 1))\n"
            text += "  busy percent, \(name): \(fixed(rate.busyPercent, 1))\n"
        }
        return hasHistograms ? text + histograms(thread, frequency) : text
    }

    private func histograms(_ thread: ThreadStatistics, _ frequency: Double) -> String {
        func microseconds(_ cycles: UInt64) -> String { fixed(Double(cycles) / frequency * 1e6, 1) }
        var text = "\n  Packets per burst        Bursts\n"
        for (bin, count) in thread.burstSizes.enumerated() where count > 0 {
            let (low, high) = (1 << bin, min(32, (2 << bin) - 1))
            text += "  " + left(low >= high ? "\(high)" : "\(low)-\(high)", 18) + right(String(count), 13) + "\n"
        }
        guard thread.upcallLatency.contains(where: { $0 > 0 }) else { return text }
        text += "\n  Upcall time below (us)  Upcalls\n"
        for (bin, count) in thread.upcallLatency.enumerated() where count > 0 {
            text += "  " + left(microseconds(2 << UInt64(bin)), 18) + right(String(count), 13) + "\n"
        }
        for (name, part) in [("50", 0.5), ("99", 0.99), ("99.9", 0.999)] {
            text += "  upcall microseconds, \(name)th percentile below: \(microseconds(thread.upcallCycles(atMostFor: part)))\n"
        }
        return text
    }

    private func queues(_ core: Int?) -> String {
        var text = "Displaying last 60 seconds pmd usage %\n"
        let placements = datapath.receiveQueuePlacement()
        for thread in datapath.pmdStatistics() where core == nil || thread.cpu == core {
            text += title(thread) + "  isolated : \(thread.isIsolated)\n"
            let total = Double(thread.busyCycles) + Double(thread.idleCycles) + Double(thread.sleepCycles)
            // Before the first interval has passed there is nothing to say.
            let isKnown = total >= 5 * Double(Datapath.cyclesPerSecond)
            func share(_ percent: Double) -> String { isKnown ? "\(right(fixed(percent, 0), 2)) %" : "NOT AVAIL" }
            var used = 0.0
            for queue in placements where queue.cpu == thread.cpu {
                text +=
                    "  port: \(left(queue.portName, 16))  queue-id: \(right(String(queue.queue), 2)) (enabled)   pmd usage: \(share(queue.usagePercent))\n"
                used += queue.usagePercent
            }
            let busy = total > 0 ? Double(thread.busyCycles) * 100 / total : 0
            text += "  overhead: \(share(max(0, busy - used)))\n"
        }
        guard core == nil else { return text }
        // Devices for tests are polled by whoever has them receive.
        let waiting = placements.filter { $0.cpu < 0 && theSwitch.dummyPort($0.portName) == nil }
        if !waiting.isEmpty {
            text += "kernel I/O thread:\n"
            for queue in waiting { text += "  port: \(left(queue.portName, 16))  queue-id: \(right(String(queue.queue), 2)) (enabled)\n" }
        }
        return text
    }
}

/// `value` with `decimals` digits behind the point.
func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, abs(value) < 1e18 else { return "0" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = (value * scale).rounded()
    guard decimals > 0, abs(scaled) < 9e18 else { return String(Int64(value.rounded())) }
    let whole = Int64(scaled)
    let digits = String(whole.magnitude)
    let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    return (whole < 0 ? "-" : "") + padded.dropLast(decimals) + "." + padded.suffix(decimals)
}
