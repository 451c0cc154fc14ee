// What Netdev bounds, and why at that number.

/// Bounds of ports and their memory.
public enum NetdevLimits {
    /// A burst of packets: what one receive or transmit call handles. Two mbufs' first lines a packet stay within half of a 32 KiB L1 cache.
    public static let burst = 32

    /// Receive queues a port may be asked for (`options:n_rxq`).
    public static let receiveQueues = 64
    /// Transmit queues a port is given at most; more threads share them.
    public static let transmitQueues = 64
    /// `options:n_rxq_desc` and `n_txq_desc`: powers of two in this range. The field's default is 2048.
    public static let descriptors = 1...4096
    public static let defaultDescriptors = 2048

    /// `mtu_request`. 68 is IPv4's minimum (RFC 791); 9702 leaves Ethernet's header, two VLAN tags and the FCS within 9728 bytes,
    /// the largest frame common NICs take.
    public static let mtu = 68...9702
    public static let defaultMTU = 1500
    /// Bytes a frame may have beyond its MTU, FCS excluded: Ethernet's header and two VLAN tags.
    public static let frameOverhead = 14 + 2 * 4

    /// Linux: a name with its terminating zero has 16 bytes.
    public static let interfaceName = 15
    /// `sun_path` less its terminating zero.
    public static let socketPath = 107
    /// Extra attempts for a burst that a guest's ring did not take whole (`options:tx-retries-max`).
    public static let vhostTransmitRetries = 0...32
    public static let defaultVhostTransmitRetries = 8

    /// Rings whose sizes a vhost-user port's status names: sixteen queue pairs.
    public static let vhostRingsShown = 32

    /// Extended statistics kept of a device; NICs have a few hundred.
    public static let extendedStatistics = 1024

    /// Buffers for one packet are whole multiples of this many bytes.
    public static let dataRoomGranularity = 1024
    /// Mbufs a pool has at most: with 2 KiB of data room some 630 MiB. Enough for 64 queues with 2,048 descriptors in each direction.
    public static let poolMbufs = 262_144
    /// Without hugepages nobody has set memory aside, and a 2 KiB mbuf takes a page of 4 KiB, for it may not straddle two: 64 MiB.
    public static let poolMbufsWithoutHugepages = 16_384
    /// Below this a pool is of no use: a queue's descriptors, the threads' caches and the bursts under way.
    public static let poolMbufsMinimum = 4_096
    /// A thread's cache of free mbufs: 16 bursts.
    public static let poolCache = 512
    /// Bytes of an mbuf around its data room: its two cache lines, the headroom, the pool's own header.
    public static let mbufOverhead = 128 + 128 + 64

    /// Address space given to DPDK without hugepages, in MiB: an eighth of the machine's memory within this range.
    /// Pages are used only once touched.
    public static let memoryMiBWithoutHugepages = 64...1024

    /// A tap or packet socket is polled by system calls; when nothing comes, intervals double up to this many microseconds.
    public static let kernelPollMicroseconds = 100

    /// Packets a dummy port's queue holds in either direction; a power of two.
    public static let dummyQueue = 4_096
}
