// Where a dummy device's transmitted packets go.

internal import CDPDK
internal import CLinux

enum DummySink {
    /// Writes each packet to the queue's captures and streams, and frees it: a test device takes everything.
    @_noLocks
    static func transmit(_ handle: TxQueueHandle, _ burst: PacketBurst, count: UInt16) -> UInt16 {
        let sink = UnsafeMutablePointer<clinux_sink>(handle.object.unsafelyUnwrapped)
        cdpdk_count_burst(handle.counters, burst, count, false)
        var index = 0
        while index < Int(count) {
            let packet = burst[index]
            // Segments are moved together only if nobody else reads them.
            if packet.pointee.nb_segs == 1 || (cdpdk_mbuf_is_exclusive(packet) && cdpdk_mbuf_linearize(packet) == 0) {
                clinux_sink_packet(sink, cdpdk_mbuf_data(packet), Int(packet.pointee.data_len))
            }
            cdpdk_mbuf_free(packet)
            index &+= 1
        }
        return count
    }
}
