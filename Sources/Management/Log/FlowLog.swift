// What becomes of cached flows, in the debug log of the module `dpif_netdev`.

internal import Datapath
internal import DatapathAPI
internal import Flow
internal import Pipeline

/// Writes a line for each miss, and one for each flow that is cached or changed.
final class FlowLog: FlowWatcher {
    private static let module = "dpif_netdev"
    private let registry: LogRegistry
    private let pipeline: SwitchPipeline

    private init(_ registry: LogRegistry, _ pipeline: SwitchPipeline) {
        self.registry = registry
        self.pipeline = pipeline
    }

    /// From now on the datapath is watched whenever, and as long as, somebody wants to read about it.
    static func connect(_ registry: LogRegistry, to datapath: Datapath, _ pipeline: SwitchPipeline) {
        let log = FlowLog(registry, pipeline)
        registry.onLevelChange { [unowned registry, weak datapath] in
            datapath?.watch(by: registry.threshold(of: module) >= .debug ? log : nil)
        }
    }

    /// The pipeline's own lines go to the log.
    static func connect(_ registry: LogRegistry, to pipeline: SwitchPipeline) {
        registry.register(modules: [PipelineJournal.Module.groups.rawValue, PipelineJournal.Module.translation.rawValue])
        pipeline.journal.connect { [unowned registry] module, level, line in
            registry.log(module.rawValue, level == .debug ? .debug : .warning, line, hasLines: true)
        }
        registry.onLevelChange { [unowned registry, weak pipeline] in
            pipeline?.journal.wantsGroups = registry.threshold(of: PipelineJournal.Module.groups.rawValue) >= .debug
        }
    }

    func missed(_ key: FlowKey) { registry.log(Self.module, .debug, "miss upcall:\n" + DatapathText.format(packet: key), hasLines: true) }

    func added(_ flow: MegaflowSnapshot) {
        registry.log(Self.module, .debug, "flow_add: \(text(flow)), actions:\(text(flow.actions, flow))")
    }

    func changed(_ flow: MegaflowSnapshot, from actions: [DatapathAction]) {
        registry.log(
            Self.module, .debug, "flow_mod: \(text(flow)), old_actions:\(text(actions, flow)), actions:\(text(flow.actions, flow))")
    }

    private func text(_ flow: MegaflowSnapshot) -> String {
        "ufid:\(flow.identifier) mega_ufid:\(flow.identifier) " + DatapathText.format(flow.match, packet: flow.packet)
    }

    private func text(_ actions: [DatapathAction], _ flow: MegaflowSnapshot) -> String {
        DatapathText.format(actions, of: flow.match.key, mask: flow.match.mask) { _ in
            nil
        } punt: { [pipeline] in
            pipeline.describePunt($0, length: $1)
        }
    }
}
