// Bytes of a stream to whole messages.

/// Collects bytes until a message is whole. Holds at most one message and what came with its end.
public struct Framer {
    private var buffer: [UInt8] = []
    /// Bytes of `buffer` already handed out.
    private var start = 0

    public init() {}

    /// Bytes of a message that is not whole yet.
    public var pendingBytes: Int { buffer.count - start }

    /// Type of the message under way; nil before its second byte.
    var pendingType: UInt8? { pendingBytes >= 2 ? buffer[start + 1] : nil }

    /// Takes what came from the stream.
    public mutating func append(_ bytes: some Collection<UInt8>) {
        if start > 0, start == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            start = 0
        } else if start > OpenFlowLimits.messageBytes {
            buffer.removeSubrange(..<start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole message, header included; nil if more bytes are needed.
    ///
    /// - Throws: `brcBadLen` if a header's length is below its own eight bytes. The stream is lost then: close it.
    public mutating func next() throws(OpenFlowError) -> [UInt8]? {
        guard pendingBytes >= OpenFlowLimits.headerBytes else { return nil }
        let length = Int(buffer[start + 2]) << 8 | Int(buffer[start + 3])
        guard length >= OpenFlowLimits.headerBytes else {
            throw OpenFlowError(.brcBadLen, "a header says its message has \(length) bytes, less than the header itself")
        }
        guard pendingBytes >= length else { return nil }
        defer { start += length }
        return Array(buffer[start..<start + length])
    }
}
