// What a hostile front-end says: the guard reads it from a socket, with descriptors of all kinds, and lets valid messages through only.
//
// An input is a series of records: a byte that says which descriptors go along (low half: how many; high half: what), a byte of length,
// and so many bytes as they are; or, with the length's top bit, a request's number and its payload, for which a header is made.
import CLinux
import CVhostUser
import Glibc

private struct Files {
    let memory = Files.temporary()
    let short = Files.temporary()
    let event = clinux_eventfd()
    let pipe: CInt
    init() {
        var ends: [CInt] = [0, 0]
        Glibc.pipe(&ends)
        pipe = ends[1]
        ftruncate(memory, 1 << 20)
        ftruncate(short, 100)
        // flags of used and unused descriptors, for rings that are looked at
        var bytes = [UInt8](repeating: 0, count: 4096)
        for index in 0..<100 { bytes[16 * index + 15] = 0x80 }
        pwrite(memory, bytes, bytes.count, 0)
    }
    /// A file in memory that has no name any more.
    static func temporary() -> CInt {
        var name = Array("/dev/shm/apus-fuzz-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        unlink(name)
        return file
    }
    func descriptor(_ kind: UInt8) -> CInt {
        switch kind & 3 {
        case 0: memory
        case 1: event
        case 2: pipe
        default: short
        }
    }
}
private let files = Files()

@c(LLVMFuzzerTestOneInput)
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    var ends: [CInt] = [0, 0]
    guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &ends) == 0 else { return 0 }
    var at = 0
    while at + 2 <= size {
        let kinds = data[at]
        let length = Int(data[at + 1] & 0x7f)
        let hasHeader = data[at + 1] & 0x80 == 0
        at += 2
        let body = Array(UnsafeBufferPointer(start: data + at, count: min(length, size - at)))
        at += body.count
        var bytes = body
        if !hasHeader {
            let payload = body.dropFirst()
            bytes = [body.first ?? 0, 0, 0, 0, 1, 0, 0, 0, UInt8(payload.count), 0, 0, 0] + payload
        }
        if bytes.isEmpty { continue }
        send(bytes, [CInt](repeating: files.descriptor(kinds >> 4), count: Int(kinds & 15)), by: ends[1])
    }
    shutdown(ends[1], CInt(SHUT_WR))
    precondition(cvhost_replay(ends[0]) >= 0, "what was let through is not valid")
    close(ends[1])
    return 0
}

private func send(_ bytes: [UInt8], _ descriptors: [CInt], by socket: CInt) {
    var bytes = bytes
    let count = bytes.count
    bytes.withUnsafeMutableBytes { raw in
        var vector = iovec(iov_base: raw.baseAddress, iov_len: count)
        withUnsafeMutablePointer(to: &vector) { vector in
            // a cmsghdr of 16 bytes, then the descriptors
            let size = 16 + 4 * descriptors.count
            withUnsafeTemporaryAllocation(byteCount: size + 8, alignment: 8) { control in
                control.initializeMemory(as: UInt8.self, repeating: 0)
                var message = msghdr()
                message.msg_iov = vector
                message.msg_iovlen = 1
                if !descriptors.isEmpty {
                    control.storeBytes(of: size, as: Int.self)
                    control.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: CInt.self)
                    control.storeBytes(of: 1, toByteOffset: 12, as: CInt.self)  // SCM_RIGHTS
                    for (index, descriptor) in descriptors.enumerated() {
                        control.storeBytes(of: descriptor, toByteOffset: 16 + 4 * index, as: CInt.self)
                    }
                    message.msg_control = control.baseAddress
                    message.msg_controllen = (size + 7) & ~7
                }
                _ = sendmsg(socket, &message, CInt(MSG_DONTWAIT | MSG_NOSIGNAL))
            }
        }
    }
}
