// Policers of ports.

internal import Base
public import DatapathAPI
internal import Synchronization

/// What a port may take in or let out. Rates are a second; lengths do not count the Ethernet header.
public enum Policer: Sendable, Equatable {
    /// Bytes and packets, each with what may come at once; nil is no limit.
    case ingress(bytes: Limit?, packets: Limit?)
    /// A single bucket of bytes.
    case singleRate(committed: Limit)
    /// Committed bytes, and beyond them excess ones (RFC 4115).
    case twoRates(committed: Limit, excess: Limit)

    public struct Limit: Sendable, Equatable {
        public var rate: UInt64
        public var burst: UInt64
        public init(rate: UInt64, burst: UInt64) {
            self.rate = rate
            self.burst = burst
        }
    }
}

/// What a policer counted.
public struct PolicerCounters: Sendable, Equatable {
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public var droppedPackets: UInt64 = 0
    public init() {}
}

public enum PolicerDirection: Sendable { case ingress, egress }

extension Datapath {
    private static func offset(_ direction: PolicerDirection) -> Int {
        direction == .ingress ? PortRecord.ingressPolicer : PortRecord.egressPolicer
    }

    /// Gives a port a policer with full buckets, or takes it away (nil). Harmless if there is no such port.
    public func setPolicer(_ policer: Policer?, _ direction: PolicerDirection, of port: DatapathPort) {
        control.withLock { control in
            guard control.ports[port.rawValue] != nil,
                let record = sharedMemory.pointee.ports[Int(port.rawValue)].load(ordering: .acquiring)
            else { return }
            let made = policer.map { makePolicer($0) }
            let others = record.atomicPointer(Datapath.offset(direction == .ingress ? .egress : .ingress))
            let isPoliced = made != nil || others.pointee.load(ordering: .acquiring) != nil
            offload.setPoliced(port.rawValue, isPoliced)
            let old = record.atomicPointer(Datapath.offset(direction)).pointee.exchange(made, ordering: .acquiringAndReleasing)
            if made != nil { sharedMemory.pointee.timeUsers.pointee.wrappingAdd(1, ordering: .relaxed) }
            guard let old else { return }
            sharedMemory.pointee.timeUsers.pointee.wrappingSubtract(1, ordering: .relaxed)
            quiescent.synchronize()
            old.deallocate()
        }
    }

    /// What a port's policer counted since it was set; nil if there is none.
    public func policerCounters(_ direction: PolicerDirection, of port: DatapathPort) -> PolicerCounters? {
        control.withLock { control in
            guard control.ports[port.rawValue] != nil,
                let record = sharedMemory.pointee.ports[Int(port.rawValue)].load(ordering: .acquiring),
                let policer = record.atomicPointer(Datapath.offset(direction)).pointee.load(ordering: .acquiring)
            else { return nil }
            var result = PolicerCounters()
            result.packets = policer.atomicWord(PolicerRecord.packets).pointee.load(ordering: .relaxed)
            result.bytes = policer.atomicWord(PolicerRecord.bytes).pointee.load(ordering: .relaxed)
            result.droppedPackets = policer.atomicWord(PolicerRecord.drops).pointee.load(ordering: .relaxed)
            return result
        }
    }

    /// Frees the policers of a port's record that no thread can see any more.
    func freePolicers(of record: UnsafeMutableRawPointer) {
        for direction in [PolicerDirection.ingress, .egress] {
            guard let policer = record.atomicPointer(Datapath.offset(direction)).pointee.load(ordering: .relaxed) else { continue }
            sharedMemory.pointee.timeUsers.pointee.wrappingSubtract(1, ordering: .relaxed)
            policer.deallocate()
        }
    }

    private func makePolicer(_ policer: Policer) -> UnsafeMutableRawPointer {
        let record = UnsafeMutableRawPointer.allocate(byteCount: PolicerRecord.byteCount, alignment: 64)
        record.initializeMemory(as: UInt64.self, repeating: 0, count: PolicerRecord.byteCount / 8)
        let now = TokenBucket.time(clock.now.nanoseconds, since: sharedMemory.pointee.timeOrigin)
        func fill(_ offset: Int, _ limit: Policer.Limit) {
            TokenBucket.initialize(record + offset, rate: Double(limit.rate), burst: Double(limit.burst), now: now)
        }
        var kind: UInt32 = 0
        switch policer {
        case .ingress(let bytes, let packets):
            if let bytes {
                kind |= PolicerRecord.Kind.bytes
                fill(PolicerRecord.first, bytes)
            }
            if let packets {
                kind |= PolicerRecord.Kind.packets
                fill(PolicerRecord.second, packets)
            }
        case .singleRate(let committed):
            kind = PolicerRecord.Kind.bytes
            fill(PolicerRecord.first, committed)
        case .twoRates(let committed, let excess):
            kind = PolicerRecord.Kind.bytesTwice
            fill(PolicerRecord.first, committed)
            fill(PolicerRecord.second, excess)
        }
        record.storeBytes(of: kind, toByteOffset: PolicerRecord.kind, as: UInt32.self)
        return record
    }
}
