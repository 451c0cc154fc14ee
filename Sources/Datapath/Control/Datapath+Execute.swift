internal import Base
internal import CDPDK
public import DatapathAPI
internal import Flow
internal import Netdev
internal import Synchronization

/// Memory for packets that no device received.
private enum ControlPool {
    /// Shared by all datapaths and never freed: a device may hold its packets for as long as it likes.
    /// Sound: written once, and DPDK's pools are for all threads.
    nonisolated(unsafe) static let heap: OpaquePointer? = cdpdk_heap_pool_create(
        UInt16(NetdevLimits.mtu.upperBound + NetdevLimits.frameOverhead))
}

extension Datapath {
    public func execute(packet: [UInt8], inPort: DatapathPort, actions: [DatapathAction]) {
        guard packet.count >= 14, Int(inPort.rawValue) < DatapathLimits.ports else { return }
        // Memory that the ports' devices can reach, if some port has such.
        let pool = control.withLock { control in
            control.ports.values.lazy.flatMap(\.queues).compactMap(\.handle.pool).first { Int(cdpdk_pool_data_room($0)) >= packet.count }
        }
        executeLock.withLock { _ in
            let worker = controlWorker.state
            worker.pointee.quiescent.online(controlWorker.slot)
            defer {
                worker.pointee.quiescent.offline(controlWorker.slot)
                controlWorker.tell(worker)
            }
            worker.pointee.now = clock.now.nanoseconds
            // No port sends frames as long as a message may carry.
            guard packet.count <= NetdevLimits.mtu.upperBound + NetdevLimits.frameOverhead else {
                Outcome.note(worker, 0, drop: .oversize)
                return
            }
            guard let mempool = pool ?? ControlPool.heap, let mbuf = cdpdk_mbuf_alloc(mempool),
                let data = cdpdk_mbuf_append(mbuf, UInt16(packet.count))
            else {
                Outcome.note(worker, 0, drop: .noBuffer)
                return
            }
            packet.withUnsafeBufferPointer { data.update(from: $0.baseAddress!, count: packet.count) }
            worker.pointee.packets[0] = mbuf
            worker.pointee.filledPort = 0
            worker.pointee.metas[0] = 0
            worker.pointee.inPorts[0] = inPort.rawValue
            worker.pointee.recirculations[0] = 0
            worker.pointee.depths[0] = 0
            worker.pointee.recirculationBudget = DatapathLimits.recirculationsPerBurst
            guard Stages.extract(worker, 1) == 1 else { return }
            worker.pointee.levelPackets[0] = worker.pointee.packets[0]
            worker.pointee.levelInfos[0] = PacketInfo(meta: worker.pointee.metas[0], origin: 0, headers: worker.pointee.headers[0])
            let program = ActionProgram(compiling: actions)
            Actions.run(worker, program.ops, program.count, program.flags, 0, 1, 0)
            while worker.pointee.recirculationCount > 0 { Burst.passes(worker, Stages.takeRecirculated(worker)) }
            Stages.flush(worker)
            program.deallocate()
        }
    }
}
