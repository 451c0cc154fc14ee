// Packets of controllers' own, and traces.

internal import DatapathAPI
public import Flow
internal import Base

extension Bridge {
    /// Carries out actions on a packet of a controller's own.
    ///
    /// - Parameters:
    ///   - inPort: the port that the packet is to look as if it came in by; `.controller` or `.any` for none.
    ///   - packet: an Ethernet frame of at least 14 bytes.
    public func packetOut(inPort: OpenFlowPort, packet: [UInt8], actions: [Action]) throws(FlowModError) {
        if packet.count < 14 { throw .badArgument("a packet of \(packet.count) bytes is too short: an Ethernet header is 14 bytes") }
        var key = FlowKey()
        let source = port(inPort)
        var datapathPort = DatapathPort.none
        if case .datapath(let number)? = source?.attachment { datapathPort = number }
        key.extract(packet, inPort: datapathPort.rawValue)
        key[.inPort] = UInt128(inPort.rawValue)
        try ActionValidation.check(actions, match: Match(key: key, mask: FlowMask(bits: FlowKey.allOnes)), table: 0)
        try checkReferences(actions)
        guard let datapath = pipeline.attachedDatapath else { return }

        var translation = Translation()
        let isKnown = pipeline.withTranslator { translator, topology in
            guard let view = topology.bridges[identifier] else { return false }
            translator.begin(key, pipeline: pipeline, hasSideEffects: true, isPacketOut: true)
            translator.view = view
            translator.store32(FlowOffset.inPort, inPort.rawValue)
            translator.enter(view)
            _ = translator.run(actions, isTail: false)
            translator.runActionSet()
            translator.finish(into: &translation, keepsRecord: true)
            return true
        }
        guard isKnown else { return }
        datapath.execute(packet: packet, inPort: datapathPort, actions: translation.actions)
        if let effects = translation.effects {
            pipeline.credit(
                effects,
                FlowStatisticsDelta(packets: 1, bytes: UInt64(packet.count), lastUsed: pipeline.clock.now, tcpFlags: 0))
        }
    }

    /// What the bridge would do with a packet, step by step, in the form of `ofproto/trace`. Changes nothing.
    ///
    /// - Parameter key: the packet; `inPort` says by which port of this bridge it comes in.
    public func trace(_ key: FlowKey) -> String {
        var key = key
        let inPort = OpenFlowPort(UInt32(truncatingIfNeeded: key[.inPort]))
        if case .datapath(let number)? = port(inPort)?.attachment { key[.datapathInPort] = UInt128(number.rawValue) }
        let root = TraceNode(.bridge, "")
        var translation = Translation()
        var final = key
        let isKnown = pipeline.withTranslator { translator, topology in
            guard let view = topology.bridges[identifier] else { return false }
            translator.begin(key, pipeline: pipeline, hasSideEffects: false, trace: root.add(.bridge, TraceText.bridge(name)))
            if let port = view.byNumber[inPort.rawValue] {
                translator.runPipeline(from: port)
            } else {
                translator.view = view
                translator.store32(FlowOffset.inPort, inPort.rawValue)
                translator.enter(view)
                translator.runTable(0, port: nil, canMissToController: true)
                translator.runActionSet()
            }
            final = translator.key.pointee
            translator.finish(into: &translation, keepsRecord: false)
            return true
        }
        guard isKnown else { return "bridge \(name) does not exist any more\n" }
        final[.actsetOutput] = key[.actsetOutput]
        for offset in [FlowOffset.vlanTPID, FlowOffset.vlanTPID2] {
            final.store(key.load(at: offset, count: 2), at: offset, count: 2)
        }
        let before = TraceText.flow(key)
        let after = TraceText.flow(final)
        return "Flow: \(before)\n\(root.render())\nFinal flow: \(before == after ? "unchanged" : after)\n"
            + "Megaflow: \(TraceText.megaflow(key, translation.mask))\n"
            + "Datapath actions: \(DatapathText.format(translation.actions))\n"
    }
}

extension FlowKey {
    static let allOnes: FlowKey = {
        var key = FlowKey()
        for word in 0..<wordCount { key.words[word] = .max }
        return key
    }()

    /// Fills the key from a frame.
    mutating func extract(_ packet: [UInt8], inPort: UInt32) {
        withMutableBytes { bytes in
            packet.withUnsafeBytes { frame in
                let words = bytes.assumingMemoryBound(to: UInt64.self).baseAddress!
                _ = FlowExtractor.extract(packet: frame.baseAddress!, length: frame.count, inPort: inPort, into: words)
            }
        }
    }
}
