// What the datapath asks: translate, credit, receive.

public import DatapathAPI
internal import Base
public import Flow

/// A translator for each slot of the pipeline's `ReaderEpochs`.
///
/// ## Thread safety
/// The array never changes; a translator is used by the holder of its slot.
final class TranslatorPool: Sendable {
    private let translators: [Translator]

    init(count: Int) { translators = (0..<count).map { _ in Translator() } }

    subscript(slot: Int) -> Translator { translators[slot] }
}

extension SwitchPipeline {
    /// Calls `body` with a translator and the topology of now, in a slot that keeps alive whatever they see.
    func withTranslator<Value>(_ body: (Translator, Topology) -> Value) -> Value {
        let slot = epochs.enter()
        defer { epochs.leave(slot) }
        return currentTopology._withUnsafeGuaranteedRef { body(scratches[slot], $0) }
    }

    /// The datapath's number of a bridge's port; nil if there is none.
    func datapathPort(of number: OpenFlowPort, in bridge: UInt32) -> DatapathPort? {
        let slot = epochs.enter()
        defer { epochs.leave(slot) }
        return currentTopology._withUnsafeGuaranteedRef { topology in
            guard let port = topology.bridges[bridge]?.byNumber[number.rawValue], case .datapath(let found) = port.port.attachment else {
                return nil
            }
            return found
        }
    }

    public func translate(
        _ key: borrowing FlowKey, packet: UnsafeRawBufferPointer, hasSideEffects: Bool, into translation: inout Translation
    ) {
        translation.reset()
        let slot = epochs.enter()
        defer { epochs.leave(slot) }
        let translator = scratches[slot]
        translation.sequence = versions.sequence
        translation.tableSequence = versions.tableSequence
        translator.begin(key, pipeline: self, hasSideEffects: hasSideEffects)
        let inPort = key.word32(at: FlowOffset.datapathInPort)
        let recirculation = key.word32(at: FlowOffset.recircID)
        let received = key.word32(at: FlowOffset.dpHash)
        var enteredBy = OpenFlowPort.any
        currentTopology._withUnsafeGuaranteedRef { topology in
            if let port = topology.byDatapathPort[inPort] { enteredBy = port.number }
            if recirculation != 0 {
                if let state = frozen.description(of: recirculation) {
                    translator.thaw(state, topology)
                } else if let (context, hash) = chosenWay(recirculation, received) {
                    translator.resume(context, hash: hash, in: topology)
                } else {
                    translator.drop(.recirculationLimit)
                }
            } else if let port = topology.byDatapathPort[inPort] {
                translator.runPipeline(from: port)
            } else {
                translator.drop(.inputPortClosed)
            }
        }
        if !translator.complaints.isEmpty {
            var packet = copy key
            packet[.inPort] = UInt128(enteredBy.rawValue)
            let flow = TraceText.flow(packet)
            for complaint in translator.complaints {
                journal.write(.translation, .warning, "\(complaint) while processing \(flow)")
            }
        }
        translator.finish(into: &translation, keepsRecord: true)
    }

    /// What a packet goes on with that comes back with a hash value.
    ///
    /// - Parameter received: the hash value that it is said to have, if the id has none.
    func chosenWay(_ id: UInt32, _ received: UInt32) -> (context: RecirculationContext, hash: UInt32)? {
        if id == 0 { return nil }
        let hashed = HashedRecirculation(id: id)
        guard let context = recirculations.description(of: hashed?.number ?? id) else { return nil }
        return (context, hashed?.hash ?? received)
    }

    public func credit(_ effects: any TranslationEffects, _ delta: FlowStatisticsDelta) {
        guard let record = effects as? TranslationRecord else { return }
        for visit in record.visits {
            visit.rule?.counters.add(packets: delta.packets, bytes: delta.bytes, lastUsed: delta.lastUsed)
            visit.bridge.countLookup(visit.table, packets: delta.packets, matched: visit.rule != nil)
        }
        for visit in record.groups { visit.group.credit(bucket: visit.bucket, packets: delta.packets, bytes: delta.bytes) }
        for counters in record.crossings { counters.add(packets: delta.packets, bytes: delta.bytes) }
        for mirror in record.mirrors { mirror.counters.add(packets: delta.packets, bytes: delta.bytes) }
        for lesson in record.lessons { lesson.bridge.learn(lesson) }
        // FIN or RST.
        if delta.tcpFlags & 5 != 0 { for timeout in record.finTimeouts { timeout.bridge.reduceTimeouts(timeout) } }
        for station in record.stations
        where !station.table.touch(station.address, vlan: station.vlan, port: station.port, now: delta.lastUsed) {
            // Aged out or moved since: these packets say that it is here.
            stamp(station.table.learn(station.address, vlan: station.vlan, port: station.port, now: delta.lastUsed, isLate: true))
        }
    }

    public func receive(_ packet: PuntedPacket) {
        guard let description = punts.description(of: packet.token),
            let bridge = bridges.first(where: { $0.identifier == description.bridge }), let receiver = bridge.eventReceiver
        else { return }
        var metadata = FlowKey()
        for word in 24..<32 { metadata.words[word] = packet.key.words[word] }
        for (word, value) in zip(PuntDescription.metadataWords, description.metadata) { metadata.words[word] = value }
        metadata[.inPort] = UInt128(description.inPort.rawValue)
        metadata[.pktMark] = description.packetMark.map { UInt128($0) } ?? packet.key[.pktMark]
        if let tunnel = description.tunnelID { metadata[.tunID] = UInt128(tunnel) }
        var event = PacketInEvent(
            reason: description.reason, table: description.table, cookie: description.cookie, inPort: description.inPort,
            controllerID: description.controllerID, userdata: description.userdata, maxLength: description.maxLength,
            packet: packet.bytes, totalLength: packet.totalLength, metadata: metadata)
        event.isImplicitMiss = description.isImplicitMiss
        event.isMissRule = description.isMissRule
        if let frozen = description.frozen { event.continuation = Continuation(bridge: description.bridge, state: frozen).bytes }
        receiver.packetIn(event, from: bridge)
    }
}

extension FlowKey {
    /// Four bytes at a multiple of four, as an integer.
    func word32(at offset: Int) -> UInt32 {
        let word = words[offset / 8].byteSwapped
        return UInt32(truncatingIfNeeded: offset & 4 == 0 ? word >> 32 : word)
    }
}
