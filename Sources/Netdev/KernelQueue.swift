internal import CDPDK

/// Bursts of tap devices and packet sockets.
enum KernelQueue {
    /// Reads what there is, at most a burst. When nothing came, the next poll is put off, twice as long each time: a system call
    /// costs as much as ten packets of the other ports.
    @_noLocks
    static func receive(_ handle: RxQueueHandle, into burst: PacketBurst, limit: UInt16) -> UInt16 {
        let state = handle.counters
        let now = cdpdk_tsc()
        if now < state.pointee.next_poll { return 0 }
        let received = cdpdk_kernel_rx_burst(handle.object.unsafelyUnwrapped, handle.pool.unsafelyUnwrapped, burst, limit, state)
        if received > 0 {
            cdpdk_count_burst(state, burst, received, false)
            state.pointee.poll_interval = 0
            state.pointee.next_poll = 0
        } else {
            let doubled = state.pointee.poll_interval &* 2 &+ 1024
            let interval = doubled < state.pointee.poll_interval_max ? doubled : state.pointee.poll_interval_max
            state.pointee.poll_interval = interval
            state.pointee.next_poll = now &+ interval
        }
        return received
    }

    @_noLocks
    static func receiveFromRing(_ handle: RxQueueHandle, into burst: PacketBurst, limit: UInt16) -> UInt16 {
        let received = cdpdk_kernel_rx_burst(
            handle.object.unsafelyUnwrapped, handle.pool.unsafelyUnwrapped, burst, limit, handle.counters)
        if received > 0 { cdpdk_count_burst(handle.counters, burst, received, false) }
        return received
    }

    /// Sends a burst. Those the kernel refuses are moved to its end.
    @_noLocks
    static func transmit(_ handle: TxQueueHandle, _ burst: PacketBurst, count: UInt16) -> UInt16 {
        cdpdk_kernel_tx_burst(handle.object.unsafelyUnwrapped, burst, count, handle.counters)
    }
}
