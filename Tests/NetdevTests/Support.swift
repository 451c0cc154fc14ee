// What Netdev's tests share: DPDK, initialised once for the whole test process, and small helpers.

import CDPDK
import Glibc
import Netdev
import Synchronization
import Testing

/// DPDK in ordinary memory, without PCI: works anywhere and beside other processes.
enum DPDKFixture {
    private static let started: Result<DPDKStatus, PortError> = {
        DPDKRuntime.configure(["dpdk-extra": "--no-huge --no-shconf -m 192 --no-pci --no-telemetry --log-level=*:4"])
        do throws(PortError) { return .success(try DPDKRuntime.initialize()) } catch { return .failure(error) }
    }()
    @discardableResult static func start() throws -> DPDKStatus { try started.get() }
}

/// A directory of this test's own, removed at the end.
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    var template = Array("/tmp/apus-test-XXXXXX".utf8CString)
    let path = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer {
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                withUnsafePointer(to: &entry.pointee.d_name) { name in
                    name.withMemoryRebound(to: CChar.self, capacity: 256) { _ = unlink("\(path)/\(String(cString: $0))") }
                }
            }
            closedir(directory)
        }
        rmdir(path)
    }
    return try body(path)
}

/// Polls until the condition holds; false after `seconds`.
func eventually(seconds: Double = 10, _ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<Int(seconds * 200) {
        if try condition() { return true }
        usleep(5000)
    }
    return try condition()
}

private final class ThreadBox: Sendable {
    let body: @Sendable () throws -> any Sendable
    let result = Mutex<Result<any Sendable, any Error>?>(nil)
    init(_ body: @escaping @Sendable () throws -> any Sendable) { self.body = body }
}

/// Runs a body on a thread of its own (for what belongs to a thread: registration, network namespace).
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
    let box = ThreadBox { try body() as any Sendable }
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { argument in
            let box = Unmanaged<ThreadBox>.fromOpaque(argument!).takeRetainedValue()
            let result = Result { try box.body() }
            box.result.withLock { $0 = result }
            return nil
        }, Unmanaged.passRetained(box).toOpaque())
    try #require(code == 0)
    pthread_join(thread, nil)
    return try box.result.withLock { try $0!.get() } as! Value
}

/// A capture file (classic pcap, microseconds, Ethernet).
func writeCapture(_ frames: [[UInt8]], to path: String) throws {
    func little(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    var bytes = little(0xa1b2_c3d4) + [2, 0, 4, 0] + little(0) + little(0) + little(65535) + little(1)
    for frame in frames { bytes += little(0) + little(0) + little(UInt32(frame.count)) + little(UInt32(frame.count)) + frame }
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    try #require(file >= 0)
    defer { close(file) }
    try #require(write(file, bytes, bytes.count) == bytes.count)
}

/// A recognisable Ethernet frame with a local EtherType.
func frame(_ mark: UInt8, length: Int = 64) -> [UInt8] {
    [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5] + (14..<length).map { UInt8(truncatingIfNeeded: $0 &+ Int(mark)) }
}

/// Sends frames by a handle, from a pool of the heap. Returns how many were taken.
func send(_ frames: [[UInt8]], by handle: TxQueueHandle, pool: OpaquePointer) -> Int {
    withBurst { burst in
        var taken = 0
        for frame in frames {
            guard let packet = cdpdk_mbuf_alloc(pool), let data = cdpdk_mbuf_append(packet, UInt16(frame.count)) else { return taken }
            data.update(from: frame, count: frame.count)
            burst[0] = packet
            if handle.transmit(burst, count: 1) == 1 { taken += 1 } else { cdpdk_mbuf_free(packet) }
        }
        return taken
    }
}

/// What a handle yields within a bounded time, until `count` frames are there.
func receive(_ count: Int, by handle: RxQueueHandle, seconds: Double = 10) -> [[UInt8]] {
    var frames: [[UInt8]] = []
    withBurst { burst in
        _ = eventually(seconds: seconds) {
            let n = Int(handle.receive(into: burst, limit: 32))
            for index in 0..<n {
                let packet = burst[index]
                frames.append(
                    [UInt8](unsafeUninitializedCapacity: Int(packet.pointee.pkt_len)) { buffer, used in
                        used = Int(cdpdk_mbuf_read(packet, 0, packet.pointee.pkt_len, buffer.baseAddress!))
                    })
                cdpdk_mbuf_free(packet)
            }
            return frames.count >= count
        }
    }
    return frames
}

/// Set once, seen by all.
final class StopFlag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}

/// A thread that runs beside the test.
final class BackgroundThread: @unchecked Sendable {
    private var thread = pthread_t()
    private let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
        pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<BackgroundThread>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }
    func join() { pthread_join(thread, nil) }
}
