internal import Base
internal import CDPDK
internal import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

/// Makes and frees the memory behind a `WorkerState`.
///
/// `@unchecked Sendable`: an owner's handle; who may touch the state is said there.
final class WorkerMemory: @unchecked Sendable {
    let state: Worker
    let missHandler: MissHandler
    private var regions: [RawRegion] = []
    private let smallRegion: RawRegion

    init(slot: Int, shared: UnsafePointer<SharedState>, quiescent: QuiescentState, missHandler: MissHandler) {
        self.missHandler = missHandler
        // Small arrays lie together, each on its own lines.
        smallRegion = RawRegion(byteCount: 1 << 20)
        var offset = 0
        let region = smallRegion
        func carve<Element: ~Copyable>(_ type: Element.Type, _ count: Int) -> UnsafeMutablePointer<Element> {
            let pointer = (region.base + offset).assumingMemoryBound(to: type)
            offset = (offset + count * MemoryLayout<Element>.stride + 63) & ~63
            precondition(offset <= region.byteCount, "a worker's small arrays outgrew their region")
            return pointer
        }
        var made: [RawRegion] = []
        func big<Element: ~Copyable>(_ type: Element.Type, _ count: Int) -> UnsafeMutablePointer<Element> {
            let region = RawRegion(byteCount: count * MemoryLayout<Element>.stride)
            made.append(region)
            return region.base.assumingMemoryBound(to: type)
        }
        let burst = DatapathLimits.burst
        let cacheBytes = DatapathLimits.smallestCacheSlots * 8
        let cache = RawRegion(byteCount: cacheBytes)
        state = carve(WorkerState.self, 1)
        state.initialize(
            to: WorkerState(
                shared: shared, quiescent: quiescent, slot: slot, missHandler: Unmanaged.passUnretained(missHandler).toOpaque(), now: 0,
                sequence: 0, packets: carve(Packet.self, burst), metas: carve(UInt32.self, burst), inPorts: carve(UInt32.self, burst),
                recirculations: carve(UInt32.self, burst), lengths: carve(UInt32.self, burst), found: carve(UInt32.self, burst),
                hashes: carve(UInt64.self, burst), headers: carve(ExtractResult.self, burst), depths: carve(UInt8.self, burst),
                misses: carve(UInt8.self, burst),
                burst: BurstTraits(), filledPort: 0, isLight: false, onlyEntry: 0,
                keys: UnsafeMutableRawPointer(carve(UInt64.self, burst * FlowLayout.keyWords)), groups: carve(Group.self, burst),
                groupCount: 0, packetGroups: carve(UInt8.self, burst), groupSlots: carve(UInt64.self, 64), stamp: 0,
                levelPackets: carve(Packet.self, burst * (DatapathLimits.cloneDepth + 1)),
                levelInfos: carve(PacketInfo.self, burst * (DatapathLimits.cloneDepth + 1)),
                transients: carve(TransientProgram.self, burst),
                transientCount: 0, amounts: carve(UInt32.self, burst), verdicts: carve(UInt8.self, burst),
                recirculationQueue: carve(Recirculation.self, DatapathLimits.recirculationQueue),
                recirculationCount: 0, recirculationBudget: 0, fates: carve(Fate.self, DatapathLimits.fates),
                freeFates: carve(UInt32.self, DatapathLimits.fates), freeFateCount: DatapathLimits.fates, cache: cache.base,
                cacheMask: UInt64(cacheBytes / 64 - 1), cacheVictim: UInt32(slot) &+ 1, cacheInsertInverse: 1, cacheLookups: 0,
                cacheFound: 0, cacheReplaced: 0, batches: big(TransmitBatch.self, DatapathLimits.ports),
                batchPackets: big(Packet.self, DatapathLimits.ports * burst), batchMetas: carve(UInt32.self, burst),
                dirtyPorts: carve(UInt32.self, DatapathLimits.ports), dirtyCount: 0,
                punts: RecordRing(capacity: DatapathLimits.puntQueue, stride: PuntRecord.bytes), puntsProduced: false,
                deferred: carve(RecordRing.self, DatapathLimits.handlerThreads), deferredProduced: 0,
                deferredByPort: big(UInt32.self, DatapathLimits.ports), handledByPort: big(Atomic<UInt64>.self, DatapathLimits.ports),
                statistics: carve(Atomic<UInt64>.self, WorkerCounter.count),
                portCounters: big(Atomic<UInt64>.self, DatapathLimits.ports * PortCounter.count),
                flowCounters: UnsafeMutableRawPointer(big(UInt8.self, DatapathLimits.megaflows * FlowLayout.flowCounterBytes)),
                pollList: carve(Atomic<UnsafeMutableRawPointer?>.self, 1)))
        for handler in 0..<DatapathLimits.handlerThreads {
            (state.pointee.deferred + handler).initialize(
                to: RecordRing(capacity: DatapathLimits.upcallQueue, stride: DeferredRecord.bytes))
        }
        for number in 0..<DatapathLimits.fates { state.pointee.freeFates[number] = UInt32(number) }
        state.pointee.statistics[WorkerCounter.cacheSlots].store(UInt64(DatapathLimits.smallestCacheSlots), ordering: .relaxed)
        regions = made
    }

    /// Frees the packets in its rings. Its thread has ended, and so have those that take from the rings.
    func drain() {
        while let record = state.pointee.punts.nextToConsume() {
            cdpdk_mbuf_free(record.load(fromByteOffset: PuntRecord.packet, as: Packet.self))
            state.pointee.punts.consume()
        }
        for handler in 0..<DatapathLimits.handlerThreads {
            let ring = state.pointee.deferred[handler]
            while let record = ring.nextToConsume() {
                cdpdk_mbuf_free(record.load(fromByteOffset: DeferredRecord.packet, as: Packet.self))
                ring.consume()
            }
        }
    }

    /// The worker's thread has ended.
    deinit {
        drain()
        state.pointee.pollList.pointee.load(ordering: .acquiring)?.deallocate()
        state.pointee.punts.deallocate()
        for handler in 0..<DatapathLimits.handlerThreads { state.pointee.deferred[handler].deallocate() }
        FlowCache.unmap(state)
        regions.forEach { $0.unmap() }
        smallRegion.unmap()
    }

    /// A statistic, as of now.
    func statistic(_ counter: Int) -> UInt64 { state.pointee.statistics[counter].load(ordering: .relaxed) }
    func portCounter(_ port: UInt32, _ counter: Int) -> UInt64 {
        state.pointee.portCounter(port, counter).pointee.load(ordering: .relaxed)
    }
}

/// The flow cache's size and whether it pays to fill it; looked at between iterations by the thread that owns it.
enum FlowCache {
    static func unmap(_ worker: Worker) {
        RawRegion.unmap(worker.pointee.cache, byteCount: Int(worker.pointee.cacheMask + 1) * 64)
    }

    /// Once enough lookups were counted: grows a cache whose slots are replaced all the time; if it is as large as it may
    /// be, or hits are rare all the same (scanned by flows that never come back), inserts only now and then. `inverse` is the
    /// setting, if there is one.
    static func adapt(_ worker: Worker, inverse: UInt32?) {
        if let inverse {
            worker.pointee.cacheInsertInverse = inverse
        } else if worker.pointee.cacheInsertInverse != 16 {
            worker.pointee.cacheInsertInverse = 1
        }
        let lookups = worker.pointee.cacheLookups
        let slots = Int(worker.pointee.cacheMask + 1) * 8
        guard lookups >= UInt64(slots) else { return }
        let replaced = worker.pointee.cacheReplaced
        let found = worker.pointee.cacheFound
        worker.pointee.cacheLookups = 0
        worker.pointee.cacheFound = 0
        worker.pointee.cacheReplaced = 0
        if replaced > lookups / 32, slots < DatapathLimits.largestCacheSlots {
            unmap(worker)
            let region = RawRegion(byteCount: slots * 4 * 8)
            region.preferHugePages()
            worker.pointee.cache = region.base
            worker.pointee.cacheMask = UInt64(region.byteCount / 64 - 1)
            worker.pointee.statistics[WorkerCounter.cacheSlots].store(UInt64(slots * 4), ordering: .relaxed)
            if inverse == nil { worker.pointee.cacheInsertInverse = 1 }
        } else if inverse == nil {
            worker.pointee.cacheInsertInverse = found < lookups / 8 && replaced > lookups / 4 ? 16 : 1
        }
    }
}
