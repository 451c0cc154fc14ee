// The fuzzer that must fail: if four particular bytes are not found in seconds, the others prove nothing.

@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let magic: [UInt8] = [0x61, 0x70, 0x75, 0x73]
    guard size >= 4 else { return 0 }
    if data[0] == magic[0], data[1] == magic[1], data[2] == magic[2], data[3] == magic[3] {
        fatalError("the canary was found")
    }
    return 0
}
