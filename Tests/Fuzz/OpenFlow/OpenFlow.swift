// Arbitrary bytes as an OpenFlow message and as a stream: nothing crashes, and what was decoded is written readably.
import Base
import Flow
import OpenFlow

/// Takes everything, answers nothing.
private final class Handler: OpenFlowConnectionHandler {
    func connectionOpened(_ connection: OpenFlowConnection) {}
    func handle(_ message: Message, xid: UInt32, raw: [UInt8], on connection: OpenFlowConnection) throws(OpenFlowError) {}
    func commit(_ bundle: Bundle, on connection: OpenFlowConnection) throws(OpenFlowError) {}
    func subscriptionChanged(_ connection: OpenFlowConnection) {}
    func connectionClosed(_ connection: OpenFlowConnection) {}
}

@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    guard size <= OpenFlowLimits.messageBytes else { return 0 }
    var bytes = Array(UnsafeBufferPointer(start: data, count: size))

    // A stream: a hello of the version that the first byte names, then the input.
    let clock = Clock(stoppedAt: Instant(nanoseconds: 1_000_000_000))
    let handler = Handler()
    var sent = 0
    let connection = OpenFlowConnection(configuration: .init(name: "fuzz"), clock: clock, handler: handler) { sent += $0.count }
    connection.start()
    if let first = bytes.first { connection.receive([first, 0, 0, 8, 0, 0, 0, 0]) }
    let half = size / 2
    connection.receive(Array(bytes[..<half]))
    connection.receive(Array(bytes[half...]))
    clock.warp(milliseconds: 200_000)
    connection.tick()

    // One message, with a header that tells the truth about its length.
    guard size >= OpenFlowLimits.headerBytes else { return 0 }
    bytes[2] = UInt8(size >> 8)
    bytes[3] = UInt8(size & 0xff)
    guard let version = OpenFlowVersion(rawValue: bytes[0]) else { return 0 }
    guard let (message, xid) = try? Message.decode(bytes, flowModTableID: true) else { return 0 }
    guard let written = message.encode(version: version, xid: xid) else { return 0 }
    do {
        let (again, _) = try Message.decode(written, flowModTableID: true)
        precondition(again.encode(version: version, xid: xid) == written, "writing what was read changes it: \(message), \(again)")
    } catch {
        fatalError("cannot read what was written: \(error), \(message)")
    }
    return 0
}
