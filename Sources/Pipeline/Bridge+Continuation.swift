// Paused packets: what a controller gets of the state, and going on with it.

internal import Base
internal import DatapathAPI
internal import Flow

/// What stands for a frozen state outside: opaque to controllers, but a property list as clients that print messages expect it, of
/// one property: 0x8000, a UUID.
struct Continuation {
    let bridge: UInt32
    let state: UInt32

    init(bridge: UInt32, state: UInt32) {
        self.bridge = bridge
        self.state = state
    }

    /// Nil unless the bytes have the form of `bytes`.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == 24, Array(bytes[..<4]) == Continuation.header else { return nil }
        func word(_ at: Int) -> UInt32 { bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        self.init(bridge: word(4), state: word(8))
    }

    /// Type and length of the property: its header and a UUID. Padding follows.
    private static let header: [UInt8] = [0x80, 0, 0, 20]

    var bytes: [UInt8] {
        Continuation.header
            + [bridge, state, 0, 0, 0].flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(24 - 8 * $0)) } }
    }
}

extension Bridge {
    /// Goes on with a packet where its translation paused.
    ///
    /// - Parameter metadata: what the controller says of the packet beside its bytes: input port, registers, metadata, tunnel.
    /// - Returns: false if what there was to do is not known any more.
    func resume(packet: [UInt8], metadata: Match, _ continuation: Continuation) -> Bool {
        guard continuation.bridge == identifier, var state = pipeline.frozen.description(of: continuation.state), packet.count >= 14,
            let datapath = pipeline.attachedDatapath
        else { return false }
        // The controller may have changed the pipeline's fields; what it cannot say stays.
        var next = 0
        for range in FrozenState.wordRanges {
            for word in range where next < state.words.count {
                // Of line 6 only the metadata, the first word, is a controller's.
                if word <= 48 || word >= 56 { state.words[next] = metadata.key.words[word] }
                next += 1
            }
        }
        state.packetMark = UInt32(truncatingIfNeeded: metadata.key[.pktMark])
        var datapathPort = DatapathPort.none
        if case .datapath(let number)? = port(OpenFlowPort(state.inPort))?.attachment { datapathPort = number }
        var key = FlowKey()
        key.extract(packet, inPort: datapathPort.rawValue, tagLimit: pipeline.tagLimit)
        var translation = Translation()
        pipeline.withTranslator { translator, topology in
            translator.begin(key, pipeline: pipeline, hasSideEffects: true)
            translator.thaw(state, topology)
            translator.finish(into: &translation, keepsRecord: true)
        }
        datapath.execute(packet: packet, inPort: datapathPort, actions: translation.actions)
        if let effects = translation.effects {
            pipeline.credit(
                effects, FlowStatisticsDelta(packets: 1, bytes: UInt64(packet.count), lastUsed: pipeline.clock.now, tcpFlags: 0))
        }
        return true
    }
}
