// Arbitrary bytes as a packet: extraction reads inside the packet only, and its short way agrees with its long one.
import Flow

@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size <= 65_535 else { return 0 }
    // libFuzzer's buffer ends where the input does: the address sanitizer sees every byte read beyond.
    let packet = UnsafeRawPointer(data)
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 80) { keys in
        keys.initialize(repeating: 0)
        let short = keys.baseAddress!, long = keys.baseAddress! + 40
        let first = FlowExtractor.extract(packet: packet, length: size, inPort: 7, into: short)
        let second = FlowExtractor.extractAny(packet: packet, length: size, inPort: 7, into: long)
        precondition(first.lineBits == second.lineBits, "the two ways fill different lines")
        for word in 0..<40 {
            precondition(short[word] == long[word], "the two ways differ in word \(word)")
        }
    }
    return 0
}
