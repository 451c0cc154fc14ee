// The control commands that look into the switch. Names and forms are the field's; `ovs-appctl`'s users and their scripts
// know them.
//
// One file a family: `+Datapath`, `+Learning`, `+Trace`, `+Threads`, `Coverage`. What is read here says itself from which
// threads it may be read.

internal import Base
internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Pipeline
internal import Switch

/// Registers the commands of a running switch. Only on the control loop's thread.
struct SwitchCommands {
    let theSwitch: Switch
    let pipeline: SwitchPipeline
    let datapath: Datapath
    let clock: Clock
    let coverage: Coverage
    /// The daemon's name in error texts of `dpctl`.
    let program: String

    init(theSwitch: Switch, pipeline: SwitchPipeline, datapath: Datapath, loop: ControlLoop, program: String) {
        self.program = program
        self.theSwitch = theSwitch
        self.pipeline = pipeline
        self.datapath = datapath
        clock = loop.clock
        coverage = Coverage(datapath: datapath, pipeline: pipeline, timers: loop.timers)
    }

    /// Adds all commands.
    func register(on registry: CommandRegistry) {
        registerDatapathCommands(on: registry)
        registerOffloadCommands(on: registry)
        registerLearningCommands(on: registry)
        registerStatusCommands(on: registry)
        registry.register("ofproto/list", arguments: 0...0) { _ in pipeline.bridges.map { $0.name + "\n" }.sorted().joined() }
        registry.register("upcall/show", arguments: 0...0) { _ in upcallShow() }
        registry.register("memory/show", arguments: 0...0) { _ in memoryShow() }
        registry.register("coverage/show", arguments: 0...0) { _ in coverage.show() }
        registry.register("coverage/read-counter", usage: "COUNTER", arguments: 1...1) { (words) throws(CommandError) in
            guard let value = coverage.counters()[words[0]] else { throw CommandError("No such counter") }
            return "\(value)\n"
        }
        registerThreadCommands(on: registry)
        registerDPDKCommands(on: registry)
        registerTrace(on: registry)
        registerQoS(on: registry)
        registry.allowInterruption(by: SwitchCommands.lookingOnly)
    }

    /// Commands that read what is there and change nothing.
    private static let lookingOnly = [
        "dpctl/offload-stats-show",
        "bond/list", "coverage/read-counter", "coverage/show", "dpctl/dump-dps", "dpctl/list-commands", "dpctl/show",
        "dpif-netdev/pmd-perf-show", "dpif-netdev/pmd-rxq-show", "dpif-netdev/pmd-sleep-show", "dpif-netdev/pmd-stats-show",
        "dpif/dump-dps",
        "dpif/show", "dpif/show-dp-features", "fdb/show", "fdb/stats-show", "memory/show", "ofproto/list", "ofproto/list-tunnels",
        "qos/show",
        "qos/show-types", "rstp/show", "stp/show", "upcall/show",
    ]

    // MARK: Bridges and ports

    func bridge(_ name: String) throws(CommandError) -> Bridge {
        guard let bridge = pipeline.bridge(named: name) else { throw CommandError("no such bridge") }
        return bridge
    }

    // MARK: Sizes

    private func upcallShow() -> String {
        let flows = datapath.flowTableStatistics()
        let title = datapathTypes().map(Self.datapathName).joined(separator: ", ")
        return """
            \(title):
              flows         : (current \(flows.flows)) (avg \(flows.flows)) (max \(flows.flows)) (limit \(flows.limit))
              dump duration : 0ms
              ufid enabled : false

              1: (keys \(flows.flows))

              masks         : (current \(flows.masks)), \(flows.laddered) rounded to the ladder, \(flows.exact) to the exact flow
              installed     : \(flows.installed), expired \(flows.expired), evicted \(flows.evicted), retranslated \(flows.retranslated)
              refused       : \(flows.installsRefused)

            """
    }

    private func memoryShow() -> String {
        let flows = datapath.flowTableStatistics()
        var items = [
            "bridges:\(pipeline.bridges.count)", "masks:\(flows.masks)", "megaflows:\(flows.flows)", "ports:\(datapath.ports().count)",
            "rules:\(pipeline.bridges.reduce(0) { $0 + $1.flowCount })", "handlers:1", "revalidators:1", "udpif keys:\(flows.flows)",
            "threads:\(datapath.threadStatistics().count)",
        ]
        if let resident = ProcessMemory.residentKilobytes { items.append("resident-kB:\(resident)") }
        return items.sorted().joined(separator: " ") + "\n"
    }
}

/// Right-aligned.
func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
/// Left-aligned.
func left(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
