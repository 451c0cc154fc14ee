// A bridge's meters: changing them and reading them (OpenFlow 1.3 sections 5.7 and 6.4.1).

internal import Base
internal import DatapathAPI
internal import Flow
public import OpenFlow
internal import Synchronization

extension Bridge {
    /// Carries out one meter-mod. When it returns, packets received from now on meet the new meter.
    public func apply(_ mod: MeterMod) throws(FlowModError) {
        switch mod.command {
        case .add:
            try check(mod.meter)
            try add(mod.meter)
        case .modify:
            try check(mod.meter)
            try modify(mod.meter)
        case .delete:
            let ids = mod.meter.meterID == MeterMod.allMeters ? writer.withLock { Array($0.meters.keys) } : [mod.meter.meterID]
            delete(ids)
        }
    }

    private func check(_ meter: MeterConfig) throws(FlowModError) {
        let id = meter.meterID
        guard id > 0, id <= MeterMod.maximumMeter || id == MeterMod.slowPath || id == MeterMod.controller else {
            throw .standard(.mmfcInvalidMeter, "meter \(id) is not a number of a meter: they are 1 to \(MeterMod.maximumMeter)")
        }
        if meter.bands.contains(where: { $0.rate == 0 }) { throw .standard(.mmfcBadRate, "a band of meter \(id) has rate 0") }
        if meter.bands.count > PipelineLimits.bandsPerMeter {
            throw .standard(.mmfcOutOfBands, "a meter has at most \(PipelineLimits.bandsPerMeter) bands, not \(meter.bands.count)")
        }
    }

    private func add(_ config: MeterConfig) throws(FlowModError) {
        let now = pipeline.clock.now
        let outcome: Result<FlowTransaction, FlowModError> = writer.withLock { state in
            if state.meters[config.meterID] != nil {
                return .failure(.standard(.mmfcMeterExists, "meter \(config.meterID) exists already"))
            }
            guard let number = pipeline.meterNumbers.take() else {
                return .failure(.standard(.mmfcOutOfMeters, "there are \(PipelineLimits.meters) meters already, which is the limit"))
            }
            // The datapath has it before a packet can meet it.
            pipeline.attachedDatapath?.setMeter(number, DatapathMeter(config))
            state.meters[config.meterID] = Meter(config: config, datapathMeter: number, created: now)
            var transaction = FlowTransaction(bridge: self, now: now)
            transaction.meterChanges[config.meterID] = .some(MeterReference(datapathMeter: number))
            transaction.commit(&state)
            return .success(transaction)
        }
        _ = try outcome.get()
    }

    private func modify(_ config: MeterConfig) throws(FlowModError) {
        let number = writer.withLock { $0.meters[config.meterID]?.datapathMeter }
        guard let number else { throw .standard(.mmfcUnknownMeter, "meter \(config.meterID) does not exist") }
        // Without the lock: the datapath waits for its threads here, and one of them may wait for the lock (`hasRoom`).
        pipeline.attachedDatapath?.setMeter(number, DatapathMeter(config))
        writer.withLock { $0.meters[config.meterID]?.config = config }
    }

    /// Removes meters, and the flows that name them.
    private func delete(_ ids: [UInt32]) {
        let now = pipeline.clock.now
        var (transaction, numbers) = writer.withLock { state in
            var transaction = FlowTransaction(bridge: self, now: now)
            var numbers: [UInt32] = []
            for id in ids {
                guard let meter = state.meters.removeValue(forKey: id) else { continue }
                numbers.append(meter.datapathMeter)
                transaction.removeReferrers(of: .meter(id), reason: .meterDelete, &state)
                transaction.meterChanges[id] = .some(nil)
            }
            transaction.commit(&state)
            return (transaction, numbers)
        }
        release(numbers)
        transaction.report()
    }

    /// Takes meters out of the datapath once no decision names them any more.
    private func release(_ numbers: [UInt32]) {
        for number in numbers {
            pipeline.attachedDatapath?.removeMeter(number)
            pipeline.meterNumbers.giveBack(number)
        }
    }

    /// For a bridge that goes.
    func forgetMeters() {
        let numbers = writer.withLock { state in
            defer { state.meters.removeAll() }
            return state.meters.values.map(\.datapathMeter)
        }
        release(numbers)
    }

    // MARK: Reading

    private func meters(_ id: UInt32) throws(FlowModError) -> [(meter: Meter, references: Int)] {
        let found = writer.withLock { state in
            let meters = id == MeterMod.allMeters ? Array(state.meters.values) : state.meters[id].map { [$0] } ?? []
            return meters.map { ($0, state.referrers[.meter($0.config.meterID)]?.count ?? 0) }
        }
        if id != MeterMod.allMeters, found.isEmpty { throw .standard(.mmfcUnknownMeter, "meter \(id) does not exist") }
        return found.sorted { $0.0.config.meterID < $1.0.config.meterID }
    }

    /// Meters as their controllers described them, by number.
    public func meterConfigurations(_ id: UInt32 = MeterMod.allMeters) throws(FlowModError) -> [MeterConfig] {
        try meters(id).map(\.meter.config)
    }

    /// The meters' counts, by number.
    public func meterStatistics(_ id: UInt32 = MeterMod.allMeters) throws(FlowModError) -> [MeterStats] {
        let now = pipeline.clock.now
        return try meters(id).map { meter, references in
            let counters = pipeline.attachedDatapath?.meterCounters(meter.datapathMeter) ?? DatapathMeterCounters()
            let (seconds, nanoseconds) = OpenFlowService.duration(since: meter.created, now: now)
            return MeterStats(
                meterID: meter.config.meterID, flowCount: UInt32(clamping: references), packetCount: counters.packets,
                byteCount: counters.bytes, durationSeconds: seconds, durationNanoseconds: nanoseconds,
                bands: meter.config.bands.indices.map { index in
                    let band = index < counters.bands.count ? counters.bands[index] : (packets: 0, bytes: 0)
                    return .init(packetCount: band.packets, byteCount: band.bytes)
                })
        }
    }

    /// What meters can do here.
    static let meterFeatures = MeterFeatures(
        maximumMeters: UInt32(PipelineLimits.meters), bandKinds: 1 << 1 | 1 << 2, capabilities: 0xf,
        maximumBands: UInt8(PipelineLimits.bandsPerMeter), maximumColors: 0)
}
