// Arbitrary text as a flow: it is refused with a sentence, or what was read is printed, read again, and the same.
import Flow

@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size <= 4096 else { return 0 }
    let text = String(decoding: UnsafeBufferPointer(start: data, count: size), as: UTF8.self)
    for purpose in [FlowTextPurpose.add, .delete] {
        guard let spec = try? FlowText.parseFlow(text, for: purpose) else { continue }
        let printed = FlowText.format(spec)
        guard let again = try? FlowText.parseFlow(printed, for: purpose) else {
            preconditionFailure("\"\(printed)\", printed for \"\(text)\", cannot be read")
        }
        precondition(again == spec, "\"\(text)\" is printed as \"\(printed)\", which reads as another flow")
    }
    return 0
}
