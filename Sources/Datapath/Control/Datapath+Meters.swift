// Meters come, change and go under traffic.

internal import Base
public import DatapathAPI
internal import Synchronization

extension Datapath {
    private static let counterBytes = 64

    public func setMeter(_ number: UInt32, _ meter: DatapathMeter) {
        guard Int(number) < DatapathLimits.meters else { return }
        meterLock.withLock { _ in
            let slot = sharedMemory.pointee.meters + Int(number)
            let old = slot.pointee.load(ordering: .acquiring)
            let record = makeMeter(
                meter, counters: old.map { $0.load(fromByteOffset: MeterRecord.counters, as: UnsafeMutableRawPointer.self) })
            slot.pointee.store(record, ordering: .releasing)
            if let old {
                quiescent.synchronize()
                old.deallocate()
            } else {
                sharedMemory.pointee.timeUsers.pointee.wrappingAdd(1, ordering: .relaxed)
            }
        }
    }

    public func removeMeter(_ number: UInt32) {
        guard Int(number) < DatapathLimits.meters else { return }
        meterLock.withLock { _ in
            guard let old = sharedMemory.pointee.meters[Int(number)].exchange(nil, ordering: .acquiringAndReleasing) else { return }
            sharedMemory.pointee.timeUsers.pointee.wrappingSubtract(1, ordering: .relaxed)
            quiescent.synchronize()
            old.load(fromByteOffset: MeterRecord.counters, as: UnsafeMutableRawPointer.self).deallocate()
            old.deallocate()
        }
    }

    public func meterCounters(_ number: UInt32) -> DatapathMeterCounters? {
        guard Int(number) < DatapathLimits.meters else { return nil }
        return meterLock.withLock { _ in
            guard let record = sharedMemory.pointee.meters[Int(number)].load(ordering: .acquiring) else { return nil }
            let counters = record.load(fromByteOffset: MeterRecord.counters, as: UnsafeMutableRawPointer.self)
            var result = DatapathMeterCounters()
            result.packets = counters.atomicWord(0).pointee.load(ordering: .relaxed)
            result.bytes = counters.atomicWord(8).pointee.load(ordering: .relaxed)
            let bands = Int(record.load(fromByteOffset: MeterRecord.bandCount, as: UInt32.self))
            result.bands = (0..<bands).map { index in
                let band = MeterRecord.band(record, index)
                return (
                    packets: band.atomicWord(MeterRecord.packets).pointee.load(ordering: .relaxed),
                    bytes: band.atomicWord(MeterRecord.bytes).pointee.load(ordering: .relaxed)
                )
            }
            return result
        }
    }

    /// A meter with full buckets.
    private func makeMeter(_ meter: DatapathMeter, counters: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer {
        let bands = meter.bands.prefix(MeterRecord.mostBands)
        let byteCount = MeterRecord.bands + bands.count * MeterRecord.bandBytes
        let record = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        record.initializeMemory(as: UInt64.self, repeating: 0, count: byteCount / 8)
        record.storeBytes(of: meter.isPacketRate ? 1 : 0, toByteOffset: MeterRecord.isPacketRate, as: UInt32.self)
        record.storeBytes(of: UInt32(bands.count), toByteOffset: MeterRecord.bandCount, as: UInt32.self)
        var words = counters
        if words == nil {
            words = UnsafeMutableRawPointer.allocate(byteCount: Datapath.counterBytes, alignment: 64)
            words!.initializeMemory(as: UInt64.self, repeating: 0, count: Datapath.counterBytes / 8)
        }
        record.storeBytes(of: words!, toByteOffset: MeterRecord.counters, as: UnsafeMutableRawPointer.self)
        let now = TokenBucket.time(clock.now.nanoseconds, since: sharedMemory.pointee.timeOrigin)
        // Kilobits are 1,000 bits.
        let unit = meter.isPacketRate ? 1.0 : 1000.0
        for (index, band) in bands.enumerated() {
            let memory = MeterRecord.band(record, index)
            TokenBucket.initialize(
                memory, rate: Double(band.rate) * unit, burst: band.burst == 0 ? nil : Double(band.burst) * unit, now: now)
            memory.storeBytes(of: band.rate, toByteOffset: MeterRecord.rate, as: UInt32.self)
            memory.storeBytes(of: band.remark.map { UInt32($0) + 1 } ?? 0, toByteOffset: MeterRecord.remark, as: UInt32.self)
        }
        return record
    }

    /// Frees all meters, at the end.
    func freeMeters() {
        for number in 0..<UInt32(DatapathLimits.meters) where sharedMemory.pointee.meters[Int(number)].load(ordering: .relaxed) != nil {
            removeMeter(number)
        }
    }
}
