// Arbitrary bytes on an OVSDB connection: framed in two different portions they give the same values, and a value that was
// read is written and read again as the same.
import OVSDB

func values(_ bytes: UnsafeBufferPointer<UInt8>, portion: Int) -> [JSON]? {
    var framer = JSONFramer()
    var found: [JSON] = []
    var offset = 0
    while offset < bytes.count {
        let end = min(offset + portion, bytes.count)
        framer.append(bytes[offset..<end])
        offset = end
        do {
            while let value = try framer.next() {
                found.append(value)
            }
        } catch {
            return nil
        }
    }
    return found
}

@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size <= 4096 else { return 0 }
    let bytes = UnsafeBufferPointer(start: data, count: size)
    let whole = values(bytes, portion: max(size, 1))
    precondition(whole == values(bytes, portion: 3), "the values depend on how the bytes were cut")
    for value in whole ?? [] {
        var writer = JSONWriter()
        writer.write(value)
        guard let again = try? JSON(parsing: writer.bytes) else { preconditionFailure("what was written cannot be read") }
        precondition(again == value, "what was written reads as something else")
    }
    return 0
}
