// `dpctl/offload-stats-show`, and which flows hardware has.

internal import Datapath
internal import DatapathAPI

extension SwitchCommands {
    func registerOffloadCommands(on registry: CommandRegistry) {
        registry.register("dpctl/offload-stats-show", usage: "[dp]", arguments: 0...1) { (words) throws(CommandError) in
            if let word = words.first { try checkDatapath(word) }
            guard datapath.settings.offloadsFlows else {
                throw CommandError("\(program): retrieving offload statistics (Invalid argument)")
            }
            let all = datapath.offloadStatistics()
            // One thread inserts: what it did is the total, too.
            let values: [(String, Int)] = [
                ("Enqueued offloads", all.enqueued), ("Inserted offloads", all.inserted),
                ("Cumulative Average latency (us)", Int(all.averageMicroseconds)),
                ("Cumulative Latency stddev (us)", Int(all.deviationMicroseconds)),
                ("Exponential Average latency (us)", Int(all.recentMicroseconds)),
                ("Exponential Latency stddev (us)", Int(all.recentDeviationMicroseconds)),
                ("Refused offloads", Int(clamping: all.refused)),
            ]
            return "HW Offload stats:\n" + values.map { "   Total \(right($0.0, 33)): \(right(String($0.1), 6))\n" }.joined()
        }
    }

    /// Whether a flow is one of those that `type=` asks for. None is handled by hardware in part.
    static func isOf(_ kinds: Set<String>, _ flow: MegaflowSnapshot) -> Bool {
        if kinds.contains("all") { return true }
        guard let layer = flow.hardwareLayer else { return kinds.contains("ovs") || kinds.contains("non-offloaded") }
        return kinds.contains("offloaded") || kinds.contains(layer)
    }
}
