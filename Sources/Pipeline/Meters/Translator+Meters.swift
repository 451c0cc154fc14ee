// Meters in translations.

internal import DatapathAPI
internal import Flow
internal import OpenFlow

extension Translator {
    /// Has the packet, as it is now, pass a meter, which may drop it.
    func pass(throughMeter id: UInt32) {
        dependencies.formUnion(.group(bridge: view.bridge.identifier, group: id))
        guard let meter = view.bridge.groupTable(at: version).meter(id) else {
            report(.warning, "meter \(id) does not exist")
            return
        }
        commit()
        actions.append(.meter(meter.datapathMeter))
        // For a copy, the meter is the copy's.
        changeCount += 1
        fixedChangeCount += 1
    }
}
