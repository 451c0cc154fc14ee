internal import CDPDK
internal import Glibc
internal import Synchronization

/// The pools of packet buffers: one for each buffer size and NUMA node, shared by all ports, made at first need and kept
/// until the process ends (packets of a closed port may still be under way).
///
/// ## Thread safety
/// All members may be called from any thread but a PMD thread.
enum MbufPools {
    private struct Key: Hashable {
        var dataRoom: Int
        var numa: Int
    }
    /// `@unchecked Sendable`: DPDK's mempool is made for use by many threads.
    struct Pool: @unchecked Sendable {
        var pointer: OpaquePointer
        var dataRoom: Int
    }
    private static let pools = Mutex<[Key: Pool]>([:])
    private static let heap = Mutex<[Int: Pool]>([:])

    /// Bytes of buffer for frames of this MTU.
    static func dataRoom(mtu: Int) -> Int {
        let granularity = NetdevLimits.dataRoomGranularity
        return max(2048, (mtu + NetdevLimits.frameOverhead + granularity - 1) / granularity * granularity)
    }

    /// The pool for frames of this MTU, near this NUMA node (-1: any). DPDK runs.
    static func pool(mtu: Int, numa: Int) throws(PortError) -> Pool {
        let key = Key(dataRoom: dataRoom(mtu: mtu), numa: max(numa, 0))
        let result: Result<Pool, PortError> = pools.withLock { pools in
            if let pool = pools[key] { return .success(pool) }
            do throws(PortError) {
                let pool = try make(key)
                pools[key] = pool
                return .success(pool)
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// A pool on the heap, for dummy ports while DPDK does not run.
    static func heapPool(mtu: Int) throws(PortError) -> Pool {
        let room = dataRoom(mtu: mtu)
        let pool: Pool? = heap.withLock { heap in
            if let pool = heap[room] { return pool }
            guard let pointer = cdpdk_heap_pool_create(UInt16(room)) else { return nil }
            let pool = Pool(pointer: pointer, dataRoom: room)
            heap[room] = pool
            return pool
        }
        guard let pool else { throw .noMemory(reason: "a pool on the heap could not be made") }
        return pool
    }

    /// As many mbufs as fit three quarters of the free memory, so that pools for other sizes and rings find some too.
    static func count(dataRoom: Int, freeBytes: Int?) -> Int {
        guard let freeBytes else { return NetdevLimits.poolMbufsWithoutHugepages }
        var count = NetdevLimits.poolMbufs
        while count > NetdevLimits.poolMbufsMinimum && count * (dataRoom + NetdevLimits.mbufOverhead) > freeBytes / 4 * 3 { count /= 2 }
        return count
    }

    /// What DPDK tells of each pool in its memory, smaller buffers first.
    static func descriptions() -> [String] {
        let all = pools.withLock { pools in pools.sorted { ($0.key.dataRoom, $0.key.numa) < ($1.key.dataRoom, $1.key.numa) }.map(\.value) }
        return all.compactMap { pool in
            guard let described = cdpdk_pool_describe(pool.pointer) else { return nil }
            defer { free(described) }
            return String(cString: described)
        }
    }

    private static func make(_ key: Key) throws(PortError) -> Pool {
        let free = cdpdk_eal_has_hugepages() ? EALArguments.Machine.freeHugepageBytes() + Int(cdpdk_eal_free_memory()) : nil
        var count = count(dataRoom: key.dataRoom, freeBytes: free)
        var reason = ""
        while count >= NetdevLimits.poolMbufsMinimum {
            // one less than a power of two: the ring that holds them has that many places
            let made = withReason {
                cdpdk_pool_create(
                    "apus-\(key.dataRoom)-\(key.numa)", UInt32(count - 1), UInt32(NetdevLimits.poolCache), UInt16(key.dataRoom),
                    Int32(key.numa), $0, $1)
            }
            if let pointer = made.result { return Pool(pointer: pointer, dataRoom: key.dataRoom) }
            reason = made.reason
            count /= 2
        }
        throw .noMemory(
            reason: "\(reason), even for \(NetdevLimits.poolMbufsMinimum) buffers of \(key.dataRoom) bytes on NUMA node \(key.numa)")
    }
}
