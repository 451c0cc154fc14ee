// Packets of controllers' own.

internal import DatapathAPI
public import Flow
internal import Base

extension Bridge {
    /// Carries out actions on a packet of a controller's own.
    ///
    /// - Parameters:
    ///   - inPort: the port that the packet is to look as if it came in by; `.controller` or `.any` for none.
    ///   - packet: an Ethernet frame of at least 14 bytes.
    ///   - metadata: what goes through the pipeline beside the packet: registers, metadata, tunnel fields (OpenFlow 1.5).
    ///   - isLenient: whether actions on fields that the packet lacks do nothing, as in OpenFlow 1.0, instead of being refused.
    public func packetOut(
        inPort: OpenFlowPort, packet: [UInt8], actions: [Action], metadata: Match = Match(), isLenient: Bool = false
    ) throws(FlowModError) {
        if packet.count < 14 { throw .badArgument("a packet of \(packet.count) bytes is too short: an Ethernet header is 14 bytes") }
        var key = FlowKey()
        let source = port(inPort)
        var datapathPort = DatapathPort.none
        if case .datapath(let number)? = source?.attachment { datapathPort = number }
        key.extract(packet, inPort: datapathPort.rawValue, tagLimit: pipeline.tagLimit)
        for field in Field.allCases where !field.isHeaderField {
            let (value, mask) = metadata.get(field)
            if mask != 0 { key[field] = value }
        }
        key[.inPort] = UInt128(inPort.rawValue)
        try ActionValidation.check(
            actions, match: Match(key: key, mask: FlowMask(bits: FlowKey.allOnes)), table: 0, isLenient: isLenient)
        try checkReferences(actions)
        guard let datapath = pipeline.attachedDatapath else { return }

        var translation = Translation()
        let isKnown = pipeline.withTranslator { translator, topology in
            guard let view = topology.bridges[identifier] else { return false }
            translator.begin(key, pipeline: pipeline, hasSideEffects: true, isPacketOut: true)
            translator.takePipelineLines(key)
            translator.view = view
            translator.store32(FlowOffset.inPort, inPort.rawValue)
            translator.enter(view)
            _ = translator.run(actions, isTail: false)
            if translator.freezing == nil { translator.runActionSet() }
            translator.finishFreezing(withActionSet: true)
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
}

extension FlowKey {
    static let allOnes: FlowKey = {
        var key = FlowKey()
        for word in 0..<wordCount { key.words[word] = .max }
        return key
    }()

    /// Fills the key from a frame.
    mutating func extract(_ packet: [UInt8], inPort: UInt32, tagLimit: Int) {
        withMutableBytes { bytes in
            packet.withUnsafeBytes { frame in
                let words = bytes.assumingMemoryBound(to: UInt64.self).baseAddress!
                _ = FlowExtractor.extract(
                    packet: frame.baseAddress!, length: frame.count, inPort: inPort, tagLimit: tagLimit, into: words)
            }
        }
    }
}
