internal import Base
internal import CDPDK
internal import CLinux
public import DatapathAPI
internal import Glibc
public import Netdev
internal import Synchronization

extension Datapath {
    /// Adds a port under traffic: its receive queues are polled, and packets may be sent by it, when this returns.
    ///
    /// The datapath keeps `port` until `removePort`, and follows its `changes` (queues of a vhost-user guest that comes or goes).
    ///
    /// - Parameters:
    ///   - name: as shown; the port's own by default.
    ///   - number: the wanted number; the lowest free one by default.
    ///   - affinity: `pmd-rxq-affinity`: CPUs by queue index.
    ///   - receives: whether to poll it at once; else `startReceiving` begins to.
    @discardableResult
    public func addPort(
        _ port: any Port, name: String? = nil, number: DatapathPort? = nil, affinity: [Int: Int] = [:], receives: Bool = true
    ) throws(DatapathError) -> DatapathPort {
        let result = control.withLock { control -> Result<DatapathPort, DatapathError> in
            if control.isShutDown { return .failure(.notRunning) }
            let chosen: UInt32
            if let number {
                guard (1..<UInt32(DatapathLimits.ports)).contains(number.rawValue) else {
                    return .failure(.portNumberInvalid(number.rawValue, limit: DatapathLimits.ports - 1))
                }
                guard control.ports[number.rawValue] == nil else { return .failure(.portNumberTaken(number.rawValue)) }
                chosen = number.rawValue
            } else {
                guard let free = (1..<UInt32(DatapathLimits.ports)).first(where: { control.ports[$0] == nil }) else {
                    return .failure(.tooManyPorts(limit: DatapathLimits.ports - 1))
                }
                chosen = free
            }
            let record = UnsafeMutableRawPointer.allocate(
                byteCount: PortRecord.queues + transmitThreads * MemoryLayout<TxQueueHandle>.stride, alignment: 64)
            record.initializeMemory(as: UInt8.self, repeating: 0, count: PortRecord.queues)
            record.storeBytes(of: chosen, as: UInt32.self)
            record.storeBytes(of: 1, toByteOffset: PortRecord.flags, as: UInt32.self)
            for slot in 0..<transmitThreads {
                PortRecord.queue(record, slot).initialize(to: port.txQueue(slot, threads: transmitThreads))
            }
            var state = PortState(
                number: chosen, name: name ?? port.name, port: port, affinity: affinity, changes: port.changes,
                baseline: sumCounters(chosen))
            if receives { state.queues = makeQueues(port) }
            control.ports[chosen] = state
            offload.add(port, number: chosen)
            sharedMemory.pointee.ports[Int(chosen)].store(record, ordering: .releasing)
            placeQueues(&control)
            return .success(DatapathPort(chosen))
        }
        return try result.get()
    }

    /// Begins to poll a port that was added with `receives: false`, once whoever translates its packets knows it. Harmless if
    /// there is no such port, or if it is polled already.
    public func startReceiving(_ port: DatapathPort) {
        control.withLock { control in
            guard let state = control.ports[port.rawValue], state.queues.isEmpty else { return }
            control.ports[port.rawValue]!.queues = state.pausedQueues.isEmpty ? makeQueues(state.port) : state.pausedQueues
            control.ports[port.rawValue]!.pausedQueues = []
            placeQueues(&control)
        }
    }

    /// Stops polling a port until `startReceiving`: what arrives meanwhile waits in its queues. When this returns no thread works on a
    /// packet that came by it. Harmless if there is no such port.
    public func pauseReceiving(_ port: DatapathPort) {
        control.withLock { control in
            guard let state = control.ports[port.rawValue], !state.queues.isEmpty else { return }
            control.ports[port.rawValue]!.pausedQueues = state.queues
            control.ports[port.rawValue]!.queues = []
            placeQueues(&control)
            quiescent.synchronize()
            kernelIO.endWait()
        }
    }

    /// Takes a port away under traffic. When this returns no thread polls it or sends by it, and the caller may close it.
    /// Its megaflows are gone; packets bound for it are dropped as `outputPortClosed`. Harmless if there is no such port.
    public func removePort(_ port: DatapathPort) {
        control.withLock { control in
            guard let state = control.ports.removeValue(forKey: port.rawValue) else { return }
            offload.removePort(port.rawValue)
            placeQueues(&control)
            let record = sharedMemory.pointee.ports[Int(port.rawValue)].exchange(nil, ordering: .acquiringAndReleasing)
            quiescent.synchronize()
            for thread in [kernelIO] + control.pmds.values { thread.endWait() }
            if let record { freePolicers(of: record) }
            record?.deallocate()
            for queue in state.queues + state.pausedQueues { UnsafeMutableRawPointer(queue.counters).deallocate() }
        }
        removeFlows(ofInputPort: port.rawValue)
    }

    /// Changes which CPUs poll a port's queues.
    public func setAffinity(_ affinity: [Int: Int], of port: DatapathPort) throws(DatapathError) {
        let known = control.withLock { control in
            guard control.ports[port.rawValue] != nil else { return false }
            control.ports[port.rawValue]!.affinity = affinity
            placeQueues(&control)
            return true
        }
        if !known { throw .noSuchPort(port.rawValue) }
    }

    /// The ports, by number.
    public func ports() -> [DatapathPortSnapshot] {
        let states = control.withLock { $0.ports }
        return states.values.sorted { $0.number < $1.number }.map { state in
            DatapathPortSnapshot(
                port: DatapathPort(state.number), name: state.name, receiveQueues: state.queues.count,
                counters: sumCounters(state.number).since(state.baseline))
        }
    }

    /// Looks whether ports' queues have changed, and follows.
    func followPortChanges() {
        control.withLock { control in
            var stale: [QueueState] = []
            var changed = false
            for (number, state) in control.ports {
                let changes = state.port.changes
                if changes == state.changes { continue }
                control.ports[number]!.changes = changes
                if state.port.rxQueueCount == state.queues.count { continue }
                changed = true
                stale += state.queues
                control.ports[number]!.queues = makeQueues(state.port)
            }
            guard changed else { return }
            placeQueues(&control)
            for queue in stale { UnsafeMutableRawPointer(queue.counters).deallocate() }
        }
    }

    private func makeQueues(_ port: any Port) -> [QueueState] {
        (0..<port.rxQueueCount).map { index in
            let memory = UnsafeMutableRawPointer.allocate(byteCount: QueueCounter.count * 8, alignment: 64)
            memory.initializeMemory(as: UInt64.self, repeating: 0, count: QueueCounter.count)
            return QueueState(
                index: index, handle: port.rxQueue(index), counters: memory.assumingMemoryBound(to: Atomic<UInt64>.self))
        }
    }
}
