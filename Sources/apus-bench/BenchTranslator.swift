internal import Base
internal import DatapathAPI
internal import Flow

/// Answers every upcall at once: everything to one port, under a mask that the workload chooses.
final class BenchTranslator: PacketTranslator {
    /// What decisions look at.
    enum Masks: Sendable {
        /// The input port only: one megaflow.
        case port
        /// Addresses and ports: a megaflow a flow.
        case flow
        /// So many masks, of different prefixes, by the flow's hash.
        case prefixes(Int)
    }

    let versions = DependencyVersions()
    let output: DatapathPort
    let masks: Masks
    let actions: [DatapathAction]

    init(output: DatapathPort, masks: Masks, actions: [DatapathAction] = []) {
        self.output = output
        self.masks = masks
        self.actions = actions + [.output(output)]
    }

    func translate(
        _ key: borrowing FlowKey, packet: UnsafeRawBufferPointer, hasSideEffects: Bool, into translation: inout Translation
    ) {
        translation.reset()
        translation.sequence = versions.sequence
        translation.dependencies = .table(bridge: 0, table: 0)
        translation.actions = actions
        switch masks {
        case .port: break
        case .flow:
            translation.mask.add(.nwSrc)
            translation.mask.add(.nwDst)
            translation.mask.add(.udpSrc)
            translation.mask.add(.udpDst)
        case .prefixes(let count):
            // Disjoint: the source's low bits, all of them matched, name the mask.
            let choice = Int(UInt32(truncatingIfNeeded: key[.nwSrc])) % count
            translation.mask.add(.nwSrc)
            let length = 8 + choice % 24
            translation.mask.bits[.nwDst] = UInt128(UInt32.max << UInt32(32 - length))
            if choice >= 24 { translation.mask.add(.udpDst) }
            if choice >= 48 {
                translation.mask.addPrerequisites(of: .udpSrc)
                translation.mask.bits[.udpSrc] = UInt128(choice / 48)
            }
        }
    }

    func credit(_ effects: any TranslationEffects, _ delta: FlowStatisticsDelta) {}
    func receive(_ packet: PuntedPacket) {}
}
