public import DatapathAPI
public import Flow
final class TranslatorPool: Sendable { init(count: Int) {} }
extension SwitchPipeline {
    public func translate(
        _ key: borrowing FlowKey, packet: UnsafeRawBufferPointer, hasSideEffects: Bool, into translation: inout Translation
    ) {
        translation.reset()
        translation.actions.append(.drop(.inputPortClosed))
    }
    public func credit(_ effects: any TranslationEffects, _ delta: FlowStatisticsDelta) {}
    public func receive(_ packet: PuntedPacket) {}
}
