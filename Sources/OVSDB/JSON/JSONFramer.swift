// Cuts a byte stream into JSON objects.
//
// OVSDB's JSON-RPC has no framing: objects follow each other, perhaps with white space in between, and arrive in pieces
// of any size. The framer looks at each byte once: it counts brackets and knows when it is inside a string. What the
// brackets hold is the parser's business.

/// Splits back-to-back JSON objects out of a stream, within bounds on bytes and depth.
///
/// After it has thrown, the stream has no recoverable boundary left and must be closed.
public struct JSONFramer: Sendable {
    private let byteLimit: Int
    private let depthLimit: Int
    private var buffer: [UInt8] = []
    /// Where the current message starts, and how far it has been looked at.
    private var start = 0
    private var scanned = 0
    private var depth = 0
    private var inString = false
    private var afterBackslash = false

    public init(limits: DatabaseLimits = DatabaseLimits()) {
        byteLimit = limits.messageBytes
        depthLimit = limits.jsonDepth
    }

    /// Bytes held for a message that is not complete.
    public var bufferedBytes: Int { buffer.count - start }

    /// Takes in what arrived.
    public mutating func append(_ bytes: some Collection<UInt8>) {
        if start > 0 {
            // Moving the rest down only when it is smaller than what was consumed keeps the cost linear.
            if start == buffer.count {
                buffer.removeAll(keepingCapacity: buffer.capacity <= 1 << 20)
                scanned = 0
                start = 0
            } else if start >= buffer.count / 2 {
                buffer.removeFirst(start)
                scanned -= start
                start = 0
            }
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next complete object, or nil if more bytes are needed.
    ///
    /// - Throws: what is wrong with the stream: not JSON, not an object, too long, too deep.
    public mutating func next() throws(JSONSyntaxError) -> JSON? {
        guard try scan() else { return nil }
        let value = try JSON.parse(buffer, start..<scanned, depthLimit: depthLimit)
        start = scanned
        return value
    }

    /// Advances to the end of the current object; false if it has not arrived yet.
    private mutating func scan() throws(JSONSyntaxError) -> Bool {
        while scanned < buffer.count {
            let byte = buffer[scanned]
            if inString {
                if afterBackslash {
                    afterBackslash = false
                } else if byte == UInt8(ascii: "\\") {
                    afterBackslash = true
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
                scanned += 1
                continue
            }
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                if depth == 0 && byte != UInt8(ascii: "{") { throw failure("a message must be a JSON object") }
                guard depth < depthLimit else { throw failure("nesting exceeds the limit of \(depthLimit) levels") }
                depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { throw failure("a message must be a JSON object") }
                depth -= 1
                if depth == 0 {
                    scanned += 1
                    return true
                }
            case UInt8(ascii: "\""):
                guard depth > 0 else { throw failure("a message must be a JSON object") }
                inString = true
            case 0x20, 0x09, 0x0a, 0x0d:
                if depth == 0 { start = scanned + 1 }
            default:
                guard depth > 0 else { throw failure("a message must be a JSON object") }
            }
            scanned += 1
        }
        guard scanned - start <= byteLimit else { throw failure("message exceeds the limit of \(byteLimit) bytes") }
        return false
    }

    private func failure(_ message: String) -> JSONSyntaxError { JSONSyntaxError(offset: scanned - start, message: message) }
}
