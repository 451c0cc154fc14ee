// Traces: what a bridge would do with a packet, step by step (`ofproto/trace`).

internal import Base
public import DatapathAPI
public import Flow

/// How to trace.
public struct TraceOptions: Sendable {
    /// A packet that is really there: what it teaches is learned, as with every packet.
    public var isReal = false
    /// Actions to carry out instead of the tables' (`ofproto/trace-packet-out`).
    public var actions: [Action]?
    /// Names for the datapath's ports, where they are to be shown.
    public var datapathPortNames: [DatapathPort: String] = [:]
    public init() {}
}

extension Bridge {
    /// What the bridge would do with a packet, step by step, in the form of `ofproto/trace`.
    ///
    /// - Parameter key: the packet; `inPort` says by which port of this bridge it comes in, and registers and metadata are as they
    ///   shall be when it enters table 0.
    public func trace(_ key: FlowKey, options: TraceOptions = TraceOptions()) -> String {
        var key = key
        let inPort = OpenFlowPort(UInt32(truncatingIfNeeded: key[.inPort]))
        if case .datapath(let number)? = port(inPort)?.attachment { key[.datapathInPort] = UInt128(number.rawValue) }
        let root = TraceNode(.bridge, "")
        var translation = Translation()
        var final = key
        var failure: String?
        var isSlow = false
        let isKnown = pipeline.withTranslator { translator, topology in
            guard let view = topology.bridges[identifier] else { return false }
            translator.begin(
                key, pipeline: pipeline, hasSideEffects: options.isReal, isPacketOut: options.actions != nil,
                trace: root.add(.bridge, TraceText.bridge(name)))
            translator.presetPipelineLines(key)
            if let actions = options.actions {
                translator.view = view
                translator.store32(FlowOffset.inPort, inPort.rawValue)
                translator.enter(view)
                _ = translator.run(actions, isTail: false)
                if translator.freezing == nil { translator.runActionSet() }
                translator.finishFreezing(withActionSet: true)
            } else if let state = frozenState(of: key) {
                // A packet that comes back: where it is said to be, it goes on.
                translator.thaw(state, topology)
            } else if let (context, hash) = pipeline.chosenWay(
                key.word32(at: FlowOffset.recircID), key.word32(at: FlowOffset.dpHash))
            {
                translator.resume(context, hash: hash, in: topology)
            } else if let port = view.byNumber[inPort.rawValue] {
                translator.runPipeline(from: port)
            } else {
                translator.view = view
                translator.store32(FlowOffset.inPort, inPort.rawValue)
                translator.enter(view)
                translator.runTable(0, port: nil, canMissToController: true)
                if translator.freezing == nil { translator.runActionSet() }
                translator.finishFreezing(withActionSet: true)
            }
            final = translator.key.pointee
            failure = translator.failure
            isSlow = translator.isSlow && translator.isNarrow
            // The record keeps what packets for controllers go with, until it was printed.
            translator.finish(into: &translation, keepsRecord: true)
            return true
        }
        guard isKnown else { return "bridge \(name) does not exist any more\n" }
        defer { withExtendedLifetime(translation.effects) {} }
        final[.actsetOutput] = key[.actsetOutput]
        for offset in [FlowOffset.vlanTPID, FlowOffset.vlanTPID2] {
            final.store(key.load(at: offset, count: 2), at: offset, count: 2)
        }
        let before = TraceText.flow(key)
        let after = TraceText.flow(final)
        let actions = DatapathText.format(translation.actions, of: key) {
            options.datapathPortNames[$0]
        } punt: { [pipeline] token, length in
            pipeline.describePunt(token, length: length, isReal: options.isReal)
        }
        var text = "Flow: \(before)\n\(root.render())\nFinal flow: \(before == after ? "unchanged" : after)\n"
        let changes = pipeline.matchesWhatIsSet ? [] : translation.actions
        let megaflow = TraceText.megaflow(key, translation.mask, changes, setsQueue: TraceText.setsQueue(translation.actions))
        text += "Megaflow: \(megaflow)\nDatapath actions: \(actions)\n"
        if let failure { text += "Translation failed (\(TraceText.reason(failure))), packet is dropped.\n" }
        if isSlow, failure == nil {
            // As it is where the actions are not this datapath's: whoever tests against that reads it.
            text += "This flow is handled by the userspace slow path because it:\n  - Uses action(s) not supported by datapath.\n"
        }
        return text
    }

    /// What a packet with a recirculation id goes on with, if it does.
    private func frozenState(of key: FlowKey) -> FrozenState? {
        let identifier = UInt32(truncatingIfNeeded: key[.recircID])
        return identifier == 0 ? nil : pipeline.frozen.description(of: identifier)
    }

    /// The bridge and the OpenFlow port that packets of a datapath port come in by.
    public static func receiving(_ port: DatapathPort, in pipeline: SwitchPipeline) -> (bridge: Bridge, port: BridgePort)? {
        for bridge in pipeline.bridges {
            for candidate in bridge.ports where candidate.attachment == .datapath(port) { return (bridge, candidate) }
        }
        return nil
    }
}

extension SwitchPipeline {
    /// What a packet for controllers goes with, as the datapath's syntax has it; nil if the token is not known any more.
    public func describePunt(_ token: PuntToken, length: UInt16, isReal: Bool = true) -> String? {
        guard let what = punts.description(of: token) else { return nil }
        let cookie = what.cookie == .max ? "0" : FlowTextNumber.hex(what.cookie)
        return "pid=0,controller(reason=\(what.reason.rawValue),dont_send=\(isReal ? 0 : 1),continuation=0,recirc_id=\(token.rawValue),"
            + "rule_cookie=\(cookie),controller_id=\(what.controllerID),max_len=\(length))"
    }
}

enum FlowTextNumber {
    static func hex(_ value: UInt64) -> String { value == 0 ? "0" : "0x" + String(value, radix: 16) }
}

extension Translator {
    /// Gives the packet registers and metadata as a trace's flow has them. Right after `begin`.
    func presetPipelineLines(_ packet: FlowKey) {
        let actset = load32(FlowOffset.actsetOutput)
        withUnsafeBytes(of: packet) { bytes in
            (memory + 40 * 8).copyMemory(from: bytes.baseAddress! + 40 * 8, byteCount: FlowKey.byteCount - 40 * 8)
        }
        store32(FlowOffset.actsetOutput, actset)
        base.pointee = key.pointee
    }
}
