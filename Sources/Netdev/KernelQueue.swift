internal import CDPDK
internal import CLinux

/// The system-call loops of tap devices and packet sockets: one call a packet.
enum KernelQueue {
    /// Reads until there is nothing more or the burst is full. When nothing came, the next poll is put off, twice as long
    /// each time: a system call costs as much as ten packets of the other ports.
    @_noLocks
    static func receive(_ handle: RxQueueHandle, into burst: PacketBurst, limit: UInt16) -> UInt16 {
        let state = handle.counters
        let now = cdpdk_tsc()
        if now < state.pointee.next_poll { return 0 }
        let pool = handle.pool.unsafelyUnwrapped
        var received: UInt16 = 0
        // Frames that are refused count too: a flood of them must not keep the thread here.
        var attempts = 2 &* Int(limit)
        while received < limit, attempts > 0 {
            attempts &-= 1
            guard let packet = cdpdk_mbuf_alloc(pool) else {
                cdpdk_counter_add(&state.pointee.retries, 1)
                break
            }
            let room = Int(cdpdk_mbuf_tailroom(packet))
            let data = cdpdk_mbuf_data(packet)
            var length: Int
            var start = data
            var whole = 0
            if handle.kind == .tap {
                length = clinux_read(handle.descriptor, data, room)
                whole = length
            } else {
                length = clinux_packet_receive(handle.descriptor, data, room, &start, &whole)
            }
            if length <= 0 {
                cdpdk_mbuf_free(packet)
                break
            }
            if whole > length {
                // longer than the buffers the port's MTU asks for
                cdpdk_counter_add(&state.pointee.errors, 1)
                cdpdk_mbuf_free(packet)
                continue
            }
            packet.pointee.data_off = UInt16(truncatingIfNeeded: Int(packet.pointee.data_off) &+ (start - data))
            packet.pointee.data_len = UInt16(truncatingIfNeeded: length)
            packet.pointee.pkt_len = UInt32(truncatingIfNeeded: length)
            burst[Int(received)] = packet
            received &+= 1
        }
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

    /// Writes each packet. Those the kernel refuses are moved to the end of the burst.
    @_noLocks
    static func transmit(_ handle: TxQueueHandle, _ burst: PacketBurst, count: UInt16) -> UInt16 {
        let n = Int(count)
        var refused = 0
        var isFull = false
        var index = 0
        while index < n {
            let packet = burst[index]
            var sent = false
            // segments are moved together only if nobody else reads them
            if !isFull, packet.pointee.nb_segs == 1 || (cdpdk_mbuf_is_exclusive(packet) && cdpdk_mbuf_linearize(packet) == 0) {
                let length = Int(packet.pointee.data_len)
                let result = clinux_write(handle.descriptor, cdpdk_mbuf_data(packet), length)
                sent = result == length
                isFull = result == -11  // EAGAIN
            }
            if sent {
                cdpdk_count_burst(handle.counters, burst + index, 1, false)
                cdpdk_mbuf_free(packet)
            } else {
                // behind the reading position: `refused` is at most `index`
                burst[refused] = packet
                refused &+= 1
            }
            index &+= 1
        }
        var left = refused
        while left > 0 {
            left &-= 1
            burst[n &- refused &+ left] = burst[left]
        }
        return UInt16(truncatingIfNeeded: n &- refused)
    }
}
