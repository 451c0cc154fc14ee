// Ports: what carries packets in and out of the datapath.
//
// Two sides. The *control side* is `Port`: open, settings, statistics, link state, close; classes, strings and errors are
// fine there. The *data side* is `RxQueueHandle` and `TxQueueHandle`: trivial structs over raw state whose `receive` and
// `transmit` move one burst of mbufs each. Packets are `Packet`, a pointer to the mirror of DPDK's mbuf.
//
// ## Ownership
//
// A handle borrows its port's queue: it is good until the port is closed. Whoever closes a port first takes all of its
// handles away from the PMD threads and waits until each of them has passed a quiescent state; `close` then frees what
// the handles point to. Received packets belong to the caller. Sent ones belong to the port; those `transmit` did not
// take stay the caller's, at the end of the burst's array.
//
// ## Thread safety
//
// A receive queue is polled by one thread at a time. A transmit queue is used by one thread at a time, unless its handle
// says `isShared`: then each burst is sent under the queue's spin lock. `Port` members may be called from any thread but a
// PMD thread.

public import CDPDK

/// A packet: an mbuf, possibly of several segments. Owned by whoever holds it; free with `cdpdk_mbuf_free`.
public typealias Packet = UnsafeMutablePointer<cdpdk_mbuf>

/// A burst: an array of packets, with room for as many as the call says.
public typealias PacketBurst = UnsafeMutablePointer<UnsafeMutablePointer<cdpdk_mbuf>>

/// The module's entry point.
public enum Netdev {
    /// Opens a port. Kinds other than `dummy` initialise DPDK, if need be, with the settings given to `DPDKRuntime.configure`.
    public static func open(_ configuration: NetdevConfiguration) throws(PortError) -> any Port {
        try configuration.check()
        if configuration.isDummy { return try DummyPort(configuration, mode: .device) }
        switch configuration.kind {
        case .dpdk, .afxdp: return try DPDKPort(configuration)
        case .dpdkvhostuser, .dpdkvhostuserclient: return try VhostPort(configuration)
        case .tap, .internal, .system: return try KernelPort(configuration)
        case .dummy, .dummyPMD, .dummyInternal: return try DummyPort(configuration, mode: .device)
        }
    }
}
