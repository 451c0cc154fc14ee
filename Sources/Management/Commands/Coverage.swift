// `coverage/show`: how often things happened, lately and in all.

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Pipeline

/// Samples counters every five seconds, so that rates over 5 s, a minute and an hour can be told. Only on the control
/// loop's thread.
final class Coverage {
    private static let intervalMilliseconds: UInt64 = 5_000
    /// An hour of samples, and the one before it.
    private static let sampleLimit = 721

    private let datapath: Datapath
    private let pipeline: SwitchPipeline
    private let timers: TimerQueue
    /// Oldest first, five seconds apart.
    private var samples: [[String: UInt64]] = []

    init(datapath: Datapath, pipeline: SwitchPipeline, timers: TimerQueue) {
        self.datapath = datapath
        self.pipeline = pipeline
        self.timers = timers
        sample()
    }

    /// Everything that is counted, by name.
    func counters() -> [String: UInt64] {
        let flows = datapath.flowTableStatistics()
        var result = [
            "dpif_flow_put": flows.installed, "dpif_flow_expired": flows.expired, "dpif_flow_evicted": flows.evicted,
            "dpif_flow_retranslated": flows.retranslated, "dpif_flow_put_refused": flows.installsRefused,
        ]
        for thread in datapath.threadStatistics() {
            result["datapath_upcalls", default: 0] &+= thread.upcalls
            result["datapath_drop_upcall_error", default: 0] &+= thread.lostUpcalls
            result["datapath_upcalls_deferred", default: 0] &+= thread.deferredUpcalls
        }
        for bridge in pipeline.bridges {
            let learning = bridge.learningStatistics()
            result["mac_learning_learned", default: 0] &+= learning.learned
            result["mac_learning_expired", default: 0] &+= learning.expired
            result["mac_learning_evicted", default: 0] &+= learning.evicted
            result["mac_learning_moved", default: 0] &+= learning.moved
            result["packet_in_overflow", default: 0] &+= bridge.lostPacketIns
            result["mac_learning_static_none_move", default: 0] &+= learning.staticRefusals
        }
        for port in datapath.ports() {
            for reason in DropReason.allCases { result[reason.counterName, default: 0] &+= port.counters.drops[Int(reason.rawValue)] }
        }
        // The names by which the field knows some of these.
        func total(_ reasons: [DropReason]) -> UInt64 { reasons.reduce(0) { $0 &+ (result[$1.counterName] ?? 0) } }
        result["drop_action_of_pipeline"] = total([.policy, .tableMiss])
        result["drop_action_recursion_too_deep"] = total([.recursionTooDeep])
        result["drop_action_too_many_resubmit"] = total([.tooManyResubmits])
        result["drop_action_stack_too_deep"] = total([.stackTooDeep])
        result["drop_action_too_many_mpls_labels"] = total([.tooManyLabels])
        result["drop_action_no_recirculation_context"] = total([.recirculationLimit])
        result["datapath_drop_meter"] = total([.meter])
        result["datapath_drop_invalid_port"] = total([.outputPortClosed])
        result["datapath_drop_rx_invalid_packet"] = total([.malformed])
        return result
    }

    func show() -> String {
        let now = counters()
        var text = "Event coverage, avg rate over last: 5 seconds, last minute, last hour:\n"
        var silent = 0
        for (name, total) in now.sorted(by: { $0.key < $1.key }) {
            guard total > 0 else {
                silent += 1
                continue
            }
            func rate(_ back: Int) -> Double {
                guard !samples.isEmpty else { return 0 }
                let then = samples[max(0, samples.count - back)][name] ?? 0
                return total > then ? Double(total - then) / Double(min(back, samples.count) * 5) : 0
            }
            text +=
                left(name, 24) + " " + right(fixed(rate(1), 1), 5) + "/sec " + right(fixed(rate(12), 3), 9) + "/sec "
                + right(fixed(rate(720), 4), 13) + "/sec   total: \(total)\n"
        }
        return text + "\(silent) events never hit\n"
    }

    private func sample() {
        samples.append(counters())
        if samples.count > Coverage.sampleLimit { samples.removeFirst() }
        timers.schedule(afterMilliseconds: Coverage.intervalMilliseconds) { [weak self] in self?.sample() }
    }
}
