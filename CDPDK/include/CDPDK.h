// DPDK as Swift can see it.
//
// This header is *closed*: it includes no DPDK header, so that whoever imports it needs neither DPDK's include folders
// nor its compiler flags (and no type aligned above 16 bytes, which Swift would not import). What is mirrored from
// DPDK is checked against DPDK's own headers by `_Static_assert` in the `.c` files. No policy and no switching logic lives here.
//
// ## Thread safety
//
// Functions marked `CDPDK_HOT` may be called from PMD threads: they take no lock that could block, allocate nothing
// from the heap (the heap pool excepted, see `cdpdk_heap_pool_create`) and carry `@_noLocks` for Swift's checker.
// A device queue has one user at a time. Everything else belongs to control threads; `cdpdk_eal_*`, `cdpdk_device_*`
// and `cdpdk_port_*` set-up calls are serialised by the caller.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <nmmintrin.h>
#include <x86intrin.h>

#define CDPDK_HOT __attribute__((swift_attr("@_noLocks")))

#pragma clang assume_nonnull begin

// ---------------------------------------------------------------- packets

struct cdpdk_mempool;

/// The mbuf: one packet, or one segment of one. Layout of DPDK's `struct rte_mbuf`.
struct cdpdk_mbuf {
    // first cache line
    void *buf_addr;             ///< start of the buffer
    uint64_t buf_iova;
    uint16_t data_off;          ///< bytes from `buf_addr` to the packet's first byte (headroom)
    uint16_t refcnt;
    uint16_t nb_segs;
    uint16_t port;
    uint64_t ol_flags;
    uint32_t packet_type;
    uint32_t pkt_len;           ///< bytes in all segments
    uint16_t data_len;          ///< bytes in this segment
    uint16_t vlan_tci;
    uint32_t hash_rss;
    uint32_t hash_high;
    uint16_t vlan_tci_outer;
    uint16_t buf_len;           ///< bytes of buffer, headroom included
    struct cdpdk_mempool *_Nullable pool;
    // second cache line
    struct cdpdk_mbuf *_Nullable next;
    uint64_t tx_offload;
    void *_Nullable shinfo;
    uint16_t priv_size;
    uint16_t timesync;
    uint32_t driver_fields[3];  ///< left to drivers (time stamps)
    uint64_t user[3];           ///< reserved for the switch: no driver touches it
};

/// Bytes of headroom a fresh mbuf has in front of its data.
#define CDPDK_HEADROOM 128

CDPDK_HOT static inline uint8_t *cdpdk_mbuf_data(const struct cdpdk_mbuf *m) {
    return (uint8_t *)m->buf_addr + m->data_off;
}
CDPDK_HOT static inline uint16_t cdpdk_mbuf_headroom(const struct cdpdk_mbuf *m) { return m->data_off; }
CDPDK_HOT static inline uint16_t cdpdk_mbuf_tailroom(const struct cdpdk_mbuf *m) {
    return (uint16_t)(m->buf_len - m->data_off - m->data_len);
}
/// Grows the packet at its front by `n` bytes (contents undefined). Null if there is no headroom: nothing changed then.
CDPDK_HOT static inline uint8_t *_Nullable cdpdk_mbuf_prepend(struct cdpdk_mbuf *m, uint16_t n) {
    if (n > m->data_off) return NULL;
    m->data_off = (uint16_t)(m->data_off - n);
    m->data_len = (uint16_t)(m->data_len + n);
    m->pkt_len += n;
    return cdpdk_mbuf_data(m);
}
/// Removes `n` bytes from the front of the first segment. Null if that has fewer: nothing changed then.
CDPDK_HOT static inline uint8_t *_Nullable cdpdk_mbuf_adj(struct cdpdk_mbuf *m, uint16_t n) {
    if (n > m->data_len) return NULL;
    m->data_off = (uint16_t)(m->data_off + n);
    m->data_len = (uint16_t)(m->data_len - n);
    m->pkt_len -= n;
    return cdpdk_mbuf_data(m);
}
/// Grows a single-segment packet at its end by `n` bytes and returns where they start; null if there is no room.
CDPDK_HOT static inline uint8_t *_Nullable cdpdk_mbuf_append(struct cdpdk_mbuf *m, uint16_t n) {
    if (m->nb_segs != 1 || n > cdpdk_mbuf_tailroom(m)) return NULL;
    uint8_t *end = cdpdk_mbuf_data(m) + m->data_len;
    m->data_len = (uint16_t)(m->data_len + n);
    m->pkt_len += n;
    return end;
}
/// True if nobody else holds the buffer, so that its bytes may be rewritten in place.
CDPDK_HOT static inline bool cdpdk_mbuf_is_exclusive(const struct cdpdk_mbuf *m) {
    if (__atomic_load_n(&m->refcnt, __ATOMIC_RELAXED) != 1) return false;
    uint64_t attached = m->ol_flags & (3ull << 61);
    // an external buffer (a long packet of a guest's) counts its users itself
    return attached == 0 || (attached == 1ull << 61 && __atomic_load_n((const uint16_t *)m->shinfo + 8, __ATOMIC_RELAXED) == 1);
}

/// A fresh, empty single-segment packet with full headroom; null if the pool is empty.
CDPDK_HOT struct cdpdk_mbuf *_Nullable cdpdk_mbuf_alloc(struct cdpdk_mempool *pool);
/// All of `n` or none. Returns whether it did.
CDPDK_HOT bool cdpdk_mbuf_alloc_bulk(struct cdpdk_mempool *pool, struct cdpdk_mbuf *_Nonnull *_Nonnull out, uint16_t n);
/// Frees all segments (drops one reference of each).
CDPDK_HOT void cdpdk_mbuf_free(struct cdpdk_mbuf *m);
CDPDK_HOT void cdpdk_mbuf_free_bulk(struct cdpdk_mbuf *_Nonnull *_Nonnull m, uint16_t n);
/// A deep copy of `length` bytes from `offset` (`UINT32_MAX`: to the end) into fresh mbufs of `pool`, headroom restored; null if the pool is empty.
CDPDK_HOT struct cdpdk_mbuf *_Nullable cdpdk_mbuf_copy(
    const struct cdpdk_mbuf *m, struct cdpdk_mempool *pool, uint32_t offset, uint32_t length);
/// A second reference to the same bytes (read-only from then on for both); null if the pool is empty.
CDPDK_HOT struct cdpdk_mbuf *_Nullable cdpdk_mbuf_clone(struct cdpdk_mbuf *m, struct cdpdk_mempool *pool);
/// Moves all bytes into the first segment. 0, or -1 if they do not fit: the packet is unchanged then.
CDPDK_HOT int cdpdk_mbuf_linearize(struct cdpdk_mbuf *m);
/// Moves at least the first `n` bytes (at most `pkt_len`) into the first segment. 0, or -1 if impossible.
CDPDK_HOT int cdpdk_mbuf_pull(struct cdpdk_mbuf *m, uint16_t n);
/// Adds `n` references to every segment.
CDPDK_HOT void cdpdk_mbuf_add_references(struct cdpdk_mbuf *m, uint16_t n);
/// Copies `length` bytes from `offset` to `to`, over segments. Returns the bytes copied.
CDPDK_HOT uint32_t cdpdk_mbuf_read(const struct cdpdk_mbuf *m, uint32_t offset, uint32_t length, uint8_t *to);

// ---------------------------------------------------------------- packets that are not finished

/// Marks in `ol_flags`: if one of them is there, the packet may want its checksum computed, or be several TCP segments in one,
/// and goes through `cdpdk_offload_prepare` before it is sent, or `cdpdk_offload_complete` before its bytes are shown to anybody.
#define CDPDK_PARTIAL (1ull << 16 | 1ull << 3)

/// What whoever receives from a transmit queue takes: packets whose TCP or UDP checksum is to be computed still, and TCP
/// packets of several segments.
#define CDPDK_OFFLOAD_CHECKSUM 1u
#define CDPDK_OFFLOAD_TSO4 2u
#define CDPDK_OFFLOAD_TSO6 4u
/// Hardware that, when it segments, computes IPv4's header checksums as well and wants to be told so.
#define CDPDK_OFFLOAD_IPV4 8u
/// Answers of `cdpdk_offload_prepare`.
#define CDPDK_OFFLOAD_MALFORMED 0x10000u
#define CDPDK_OFFLOAD_OVERSIZE 0x10001u

/// Readies a packet for a device that takes `can`, with frames of `longest` bytes. Returns 1 if it can be sent as it is; the
/// number of pieces (2 to 256) that `cdpdk_offload_piece` makes of it; or why it cannot be sent. May write to its first segment.
CDPDK_HOT uint32_t cdpdk_offload_prepare(struct cdpdk_mbuf *packet, uint32_t can, uint32_t longest);
/// Piece `index` of a packet for which `cdpdk_offload_prepare` said so: a packet of its own, finished as far as `can` asks for it.
/// Null if the pool is empty.
CDPDK_HOT struct cdpdk_mbuf *_Nullable cdpdk_offload_piece(
    struct cdpdk_mbuf *packet, uint32_t index, uint32_t can, struct cdpdk_mempool *pool);
/// Computes what is pending in place; the packet stays as long as it is, and is finished.
CDPDK_HOT void cdpdk_offload_complete(struct cdpdk_mbuf *packet);
/// Marks a received packet: its checksum is pending; and, unless `segment_size` is 0, it stands for TCP segments with so much data.
CDPDK_HOT void cdpdk_offload_mark(struct cdpdk_mbuf *packet, uint16_t segment_size);

/// What a prepared packet asks of the device.
struct cdpdk_offload_request {
    uint16_t checksum_start;
    uint16_t checksum_offset; ///< from there
    uint16_t headers;         ///< bytes of all headers
    uint16_t segment_size;    ///< 0: not to be segmented
    bool is_v6;
};
/// False if it asks for nothing.
CDPDK_HOT bool cdpdk_offload_describe(const struct cdpdk_mbuf *packet, struct cdpdk_offload_request *out);

// ---------------------------------------------------------------- pools

/// A pool in EAL's memory. `data_room` bytes a buffer, headroom excluded. Null on failure, reason in `error`.
struct cdpdk_mempool *_Nullable cdpdk_pool_create(
    const char *name, uint32_t count, uint32_t cache, uint16_t data_room, int numa, char *error, size_t error_size);
/// A pool whose mbufs come from and return to the process heap: for test devices, before or without EAL. Any DPDK code
/// may free its packets; they must not reach a device that does DMA.
struct cdpdk_mempool *_Nullable cdpdk_heap_pool_create(uint16_t data_room);
void cdpdk_pool_free(struct cdpdk_mempool *_Nullable pool);
uint16_t cdpdk_pool_data_room(struct cdpdk_mempool *pool);
/// What DPDK tells of a pool: sizes, what is free, what lies in threads' caches. To be freed with `free`; null without memory.
char *_Nullable cdpdk_pool_describe(struct cdpdk_mempool *pool);
/// The same of EAL's heaps.
char *_Nullable cdpdk_heap_describe(void);
/// Heap mbufs out at the moment, of this heap pool: 0 when everything was given back.
int64_t cdpdk_heap_pool_outstanding(const struct cdpdk_mempool *pool);

// ---------------------------------------------------------------- EAL

/// `rte_eal_init`, with the calling thread's CPU affinity saved and restored around it. At most once a process:
/// the second call fails. 0, or -1 with the reason in `error`.
int cdpdk_eal_init(int argc, char *_Nonnull *_Nonnull argv, char *error, size_t error_size);
bool cdpdk_eal_is_initialized(void);
int cdpdk_eal_cleanup(void);
/// True if memory is made of hugepages.
bool cdpdk_eal_has_hugepages(void);
/// Bytes free in EAL's own heaps, set aside already (`--socket-mem`, `-m`).
uint64_t cdpdk_eal_free_memory(void);
const char *cdpdk_version(void);

/// Registers the calling thread, so that it gets mempool caches. 0 also if EAL is not initialised (nothing to do then).
int cdpdk_thread_register(void);
void cdpdk_thread_unregister(void);
/// The calling thread's lcore id, or `UINT32_MAX` if it is not registered.
CDPDK_HOT uint32_t cdpdk_thread_lcore(void);

/// Where DPDK's log lines go: called with the level (1 emergency ... 8 debug) and the line without its newline, on the
/// thread that logs. Null: to standard error.
typedef void (*cdpdk_log_sink)(int level, const char *line, size_t length);
void cdpdk_log_set_sink(cdpdk_log_sink _Nullable sink);
void cdpdk_log_set_level(int level);
/// Forgets the error lines kept so far; `cdpdk_log_last_error` then yields the most telling one of those that followed.
void cdpdk_log_mark(void);
size_t cdpdk_log_last_error(char *out, size_t size);

// ---------------------------------------------------------------- devices

#define CDPDK_NO_PORT UINT16_MAX
#define CDPDK_NAME_SIZE 64

/// Finds the port that `devargs` names (PCI address, vdev with arguments, `class=eth,mac=...`), probing the device if
/// it is not there yet. 0 and `port`, `probed`; or -1 and a reason.
int cdpdk_device_probe(const char *devargs, uint16_t *port, bool *probed, char *error, size_t error_size);
/// Closes the port and, if none of its siblings is in use, removes the device.
int cdpdk_device_remove(uint16_t port, char *error, size_t error_size);

/// What a device has said of itself since its port was started.
#define CDPDK_EVENT_REMOVED 1u ///< it is being pulled, or is gone: close the port
#define CDPDK_EVENT_RESET 2u   ///< it lost its state: close the port and open it again
#define CDPDK_EVENT_LINK 4u    ///< its link may have changed (`lsc_interrupt`); the asking clears it
/// Listens from now on, for all devices. Once, after `cdpdk_eal_init`.
void cdpdk_events_start(void);
uint32_t cdpdk_port_events(uint16_t port);

struct cdpdk_port_config {
    uint16_t rx_queues;
    uint16_t tx_queues;
    uint16_t rx_descriptors;
    uint16_t tx_descriptors;
    uint16_t mtu;                        ///< 0: leave as it is
    bool offloads;                       ///< let the device finish packets, as far as it can
    bool lsc_interrupt;                  ///< let it say when its link changes, if it can
    bool steer_lacp;                     ///< one receive queue more, for LACP frames alone, if the device can do that
    struct cdpdk_mempool *pool;
};
struct cdpdk_port_info {
    char driver[CDPDK_NAME_SIZE];
    char device[CDPDK_NAME_SIZE];
    char bus[CDPDK_NAME_SIZE];
    int numa;                            ///< -1: unknown
    uint16_t max_rx_queues, max_tx_queues;
    uint16_t rx_queues, tx_queues;
    uint16_t rx_descriptors, tx_descriptors;
    uint16_t min_mtu, max_mtu, mtu;
    uint32_t max_rx_packet_length;
    uint32_t if_index;
    bool is_representor;
    bool can_interrupt;                  ///< tell by itself when its link changes
    uint8_t mac[6];
};
struct cdpdk_link {
    uint32_t speed_mbps;                 ///< 0: unknown; UINT32_MAX as DPDK has it: unknown
    bool up;
    bool full_duplex;
    bool autoneg;
};
struct cdpdk_port_stats {
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
    uint64_t rx_missed, rx_errors, tx_errors, rx_no_mbuf;
};
struct cdpdk_xstat {
    char name[CDPDK_NAME_SIZE];
    uint64_t value;
};

/// Configures queues and starts the port (stopping it first if it runs). Queue and descriptor counts are lowered to what the device can;
/// `cdpdk_port_info` then tells.
int cdpdk_port_start(uint16_t port, const struct cdpdk_port_config *config, char *error, size_t error_size);
int cdpdk_port_stop(uint16_t port);
/// CDPDK_OFFLOAD_* that the started port was given.
uint32_t cdpdk_port_offloads(uint16_t port);
/// NUMA node; -1 if unknown. Needs no started port, as `cdpdk_port_get_info` does.
int cdpdk_port_numa(uint16_t port);
int cdpdk_port_get_info(uint16_t port, struct cdpdk_port_info *info);
int cdpdk_port_get_link(uint16_t port, struct cdpdk_link *link);
int cdpdk_port_get_stats(uint16_t port, struct cdpdk_port_stats *stats);
/// Up to `size` extended statistics. Returns how many there are, or -1.
int cdpdk_port_get_xstats(uint16_t port, struct cdpdk_xstat *_Nullable stats, uint32_t size);
int cdpdk_port_set_mac(uint16_t port, const uint8_t *mac, char *error, size_t error_size);
/// Ethernet's pause frames: whether received ones are heeded, whether they are sent. 0, or -1 with a reason.
int cdpdk_port_set_flow_control(uint16_t port, bool heed, bool send, bool negotiate, char *error, size_t error_size);
/// 0, or -1 if the device has none.
int cdpdk_port_get_flow_control(uint16_t port, bool *heed, bool *send);
/// The queue that LACP frames go to alone; `CDPDK_NO_QUEUE` if there is none.
uint16_t cdpdk_port_lacp_queue(uint16_t port);
#define CDPDK_NO_QUEUE UINT16_MAX

// ---------------------------------------------------------------- flows in the device

/// Headers a flow's pattern has at most, and actions.
#define CDPDK_FLOW_HEADERS 4
#define CDPDK_FLOW_ACTIONS 8
#define CDPDK_FLOW_HEADER_SIZE 40
enum cdpdk_flow_header_kind {
    CDPDK_FLOW_ETHERNET, CDPDK_FLOW_VLAN, CDPDK_FLOW_IPV4, CDPDK_FLOW_IPV6, CDPDK_FLOW_TCP, CDPDK_FLOW_UDP, CDPDK_FLOW_SCTP, CDPDK_FLOW_ICMP,
    CDPDK_FLOW_ICMPV6
};
/// A header as on the wire, and which of its bits count. VLAN: the TCI and the inner EtherType.
struct cdpdk_flow_header {
    uint32_t kind;
    uint8_t value[CDPDK_FLOW_HEADER_SIZE];
    uint8_t mask[CDPDK_FLOW_HEADER_SIZE];
};
enum cdpdk_flow_action_kind {
    CDPDK_FLOW_DROP, CDPDK_FLOW_OUTPUT, CDPDK_FLOW_SET_SOURCE, CDPDK_FLOW_SET_DESTINATION, CDPDK_FLOW_PUSH_VLAN, CDPDK_FLOW_POP_VLAN
};
struct cdpdk_flow_action {
    uint32_t kind;
    uint16_t port;  ///< output: DPDK's number of the port
    uint16_t tpid;
    uint16_t tci;
    uint8_t mac[6];
};
struct cdpdk_flow;
/// Whether the device takes flows (rte_flow) at all; if not, why.
bool cdpdk_flow_is_supported(uint16_t port, char *error, size_t error_size);
/// Gives the device a flow of what it receives by `port`; it counts by itself. Null if it does not take it, with the reason.
struct cdpdk_flow *_Nullable cdpdk_flow_create(
    uint16_t port, const struct cdpdk_flow_header *headers, uint32_t header_count, const struct cdpdk_flow_action *actions,
    uint32_t action_count, char *error, size_t error_size);
/// Takes it back; it is gone whatever comes of it.
int cdpdk_flow_destroy(struct cdpdk_flow *flow);
/// What it counted since it was made. 0, or -1 if the device does not say.
int cdpdk_flow_counters(const struct cdpdk_flow *flow, uint64_t *packets, uint64_t *bytes);

/// Up to `n` received packets; the caller owns them.
CDPDK_HOT uint16_t cdpdk_eth_rx_burst(
    uint16_t port, uint16_t queue, struct cdpdk_mbuf *_Nonnull *_Nonnull out, uint16_t n);
/// Returns how many, from the first, were taken; the caller keeps the rest.
CDPDK_HOT uint16_t cdpdk_eth_tx_burst(
    uint16_t port, uint16_t queue, struct cdpdk_mbuf *_Nonnull *_Nonnull packets, uint16_t n);
/// The same for devices that finish packets: the driver sees them once before.
CDPDK_HOT uint16_t cdpdk_eth_tx_prepared_burst(
    uint16_t port, uint16_t queue, struct cdpdk_mbuf *_Nonnull *_Nonnull packets, uint16_t n);

// ---------------------------------------------------------------- quiescent states

struct cdpdk_qsbr;
/// For at most `max_threads` readers, numbered from 0. Needs no EAL.
struct cdpdk_qsbr *_Nullable cdpdk_qsbr_create(uint32_t max_threads);
void cdpdk_qsbr_free(struct cdpdk_qsbr *_Nullable q);
int cdpdk_qsbr_register(struct cdpdk_qsbr *q, uint32_t thread);
int cdpdk_qsbr_unregister(struct cdpdk_qsbr *q, uint32_t thread);
CDPDK_HOT void cdpdk_qsbr_online(struct cdpdk_qsbr *q, uint32_t thread);
CDPDK_HOT void cdpdk_qsbr_offline(struct cdpdk_qsbr *q, uint32_t thread);
CDPDK_HOT void cdpdk_qsbr_quiescent(struct cdpdk_qsbr *q, uint32_t thread);
/// Begins a grace period; the token is for `cdpdk_qsbr_check`.
CDPDK_HOT uint64_t cdpdk_qsbr_start(struct cdpdk_qsbr *q);
/// True once every online reader has passed a quiescent state since the token; with `wait`, spins until then.
CDPDK_HOT bool cdpdk_qsbr_check(struct cdpdk_qsbr *q, uint64_t token, bool wait);

// ---------------------------------------------------------------- rings of pointers

struct cdpdk_ring;
/// A FIFO for `count` (a power of two) pointers, less one. Needs no EAL.
struct cdpdk_ring *_Nullable cdpdk_ring_create(uint32_t count, bool single_producer, bool single_consumer);
void cdpdk_ring_free(struct cdpdk_ring *_Nullable r);
CDPDK_HOT uint32_t cdpdk_ring_enqueue_burst(struct cdpdk_ring *r, void *_Nonnull const *_Nonnull objects, uint32_t n);
CDPDK_HOT uint32_t cdpdk_ring_dequeue_burst(struct cdpdk_ring *r, void *_Nonnull *_Nonnull objects, uint32_t n);
CDPDK_HOT uint32_t cdpdk_ring_count(const struct cdpdk_ring *r);
CDPDK_HOT uint32_t cdpdk_ring_free_count(const struct cdpdk_ring *r);
/// The same for packets, so that Swift need not cast pointers to pointers.
CDPDK_HOT uint16_t cdpdk_ring_enqueue_packets(
    struct cdpdk_ring *r, struct cdpdk_mbuf *_Nonnull *_Nonnull packets, uint16_t n);
CDPDK_HOT uint16_t cdpdk_ring_dequeue_packets(
    struct cdpdk_ring *r, struct cdpdk_mbuf *_Nonnull *_Nonnull packets, uint16_t n);

// ---------------------------------------------------------------- counters of a queue

/// What a queue counts, written by whoever uses the queue (one thread at a time), read by others as relaxed atomics.
/// Three cache lines, so that neighbours do not share one.
struct cdpdk_queue_counters {
    uint64_t packets;
    uint64_t bytes;
    uint64_t dropped;          ///< received: no mbuf or unusable; sent: refused by the device after all retries
    uint64_t errors;
    uint64_t retries;
    uint64_t calls;            ///< system calls or non-empty polls
    uint64_t multicast;
    uint64_t lock;             ///< `cdpdk_spin_*` word, used if the queue has several users
    uint64_t size_buckets[7];  ///< 1-64, 65-127, 128-255, 256-511, 512-1023, 1024-1522, 1523-max
    uint64_t max_frame;        ///< transmit: longest frame the port takes, bytes without FCS; written by control threads
    // receive of queues whose every poll is a system call: not before `next_poll` (tsc), backing off while nothing comes
    uint64_t next_poll;
    uint64_t poll_interval;      ///< cycles
    uint64_t poll_interval_max;  ///< cycles
    uint64_t offloads;         ///< transmit: CDPDK_OFFLOAD_*, what need not be done before; written by control threads
    uint64_t kicks;            ///< interrupts given to the guest
    uint64_t reserved[3];
};
/// Adds a burst: packets, bytes and size buckets.
CDPDK_HOT static inline void cdpdk_count_burst(
    struct cdpdk_queue_counters *c, struct cdpdk_mbuf *_Nonnull *_Nonnull packets, uint16_t n, bool buckets) {
    uint64_t bytes = 0, packed = 0;
    // seven 8-bit lanes: a burst is at most 255 packets
    for (uint16_t i = 0; i < n; i++) {
        uint32_t l = packets[i]->pkt_len;
        bytes += l;
        if (buckets) {
            unsigned b = (unsigned)(l > 64) + (l > 127) + (l > 255) + (l > 511) + (l > 1023) + (l > 1522);
            packed += 1ull << (8 * b);
        }
    }
    __atomic_store_n(&c->packets, c->packets + n, __ATOMIC_RELAXED);
    __atomic_store_n(&c->bytes, c->bytes + bytes, __ATOMIC_RELAXED);
    for (unsigned b = 0; packed != 0; b++, packed >>= 8)
        if (packed & 0xff)
            __atomic_store_n(&c->size_buckets[b], c->size_buckets[b] + (packed & 0xff), __ATOMIC_RELAXED);
}
CDPDK_HOT static inline void cdpdk_counter_add(uint64_t *counter, uint64_t n) {
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
/// For counters that several threads may add to.
CDPDK_HOT static inline void cdpdk_counter_add_shared(uint64_t *counter, uint64_t n) {
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}
CDPDK_HOT static inline void cdpdk_counter_store(uint64_t *counter, uint64_t value) {
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}
CDPDK_HOT static inline uint64_t cdpdk_counter_load(const uint64_t *counter) {
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/// A spin lock for a transmit queue that has several users. Held for one burst. It yields the CPU when the holder
/// seems to be preempted.
CDPDK_HOT void cdpdk_spin_lock(uint64_t *word);
CDPDK_HOT static inline bool cdpdk_spin_try_lock(uint64_t *word) {
    return __atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE) == 0;
}
CDPDK_HOT static inline void cdpdk_spin_unlock(uint64_t *word) { __atomic_store_n(word, 0, __ATOMIC_RELEASE); }

// ---------------------------------------------------------------- the kernel's side of ports

/// System calls on a tap device or a packet socket, a burst at a time, by one thread at a time.
struct cdpdk_kernel_queue;
/// `has_header`: frames carry Linux's `virtio_net_hdr` (10 bytes). Null without memory. The descriptor stays the caller's.
struct cdpdk_kernel_queue *_Nullable cdpdk_kernel_queue_create(int fd, bool is_socket, bool has_header, bool receives);
/// Gives a packet socket's receive queue the ring its frames arrive in (TPACKET_V2), which it unmaps when it is freed.
void cdpdk_kernel_queue_set_ring(struct cdpdk_kernel_queue *q, void *memory, size_t bytes, uint32_t frame_size, uint32_t frames);
/// Opens a faster way to send for a packet socket's transmit queue: whole frames past queueing disciplines and sniffers, by AF_XDP. False
/// if there is none. `use`: whether it is taken, from the next burst on.
bool cdpdk_kernel_queue_open_express(struct cdpdk_kernel_queue *q, uint32_t interface);
void cdpdk_kernel_queue_use_express(struct cdpdk_kernel_queue *q, bool use);
/// Opens a way to write a burst into a tap device with one system call, by io_uring. False if there is none.
bool cdpdk_kernel_queue_open_batch(struct cdpdk_kernel_queue *q);
void cdpdk_kernel_queue_free(struct cdpdk_kernel_queue *_Nullable q);
/// Up to `n` (at most 32) frames; longer ones than a buffer come in several. Frames that cannot be kept count as errors.
CDPDK_HOT uint16_t cdpdk_kernel_rx_burst(
    struct cdpdk_kernel_queue *q, struct cdpdk_mempool *pool, struct cdpdk_mbuf *_Nonnull *_Nonnull out, uint16_t n,
    struct cdpdk_queue_counters *counters);
/// Sends up to 32 packets. Returns how many were taken (and freed); those refused are at the end of the burst.
CDPDK_HOT uint16_t cdpdk_kernel_tx_burst(
    struct cdpdk_kernel_queue *q, struct cdpdk_mbuf *_Nonnull *_Nonnull packets, uint16_t count, struct cdpdk_queue_counters *counters);

// ---------------------------------------------------------------- the processor

CDPDK_HOT static inline uint64_t cdpdk_tsc(void) { return __rdtsc(); }
/// Cycles a second of `cdpdk_tsc`; measured once (about 20 ms) if EAL is not initialised.
uint64_t cdpdk_tsc_hz(void);
CDPDK_HOT static inline void cdpdk_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
CDPDK_HOT static inline void cdpdk_prefetch_write(const void *p) { __builtin_prefetch(p, 1, 3); }
CDPDK_HOT __attribute__((target("sse4.2"))) static inline uint32_t cdpdk_crc32c_u64(uint32_t crc, uint64_t v) {
    return (uint32_t)_mm_crc32_u64(crc, v);
}
CDPDK_HOT __attribute__((target("sse4.2"))) static inline uint32_t cdpdk_crc32c_u32(uint32_t crc, uint32_t v) {
    return _mm_crc32_u32(crc, v);
}
CDPDK_HOT __attribute__((target("sse4.2"))) static inline uint32_t cdpdk_crc32c_u16(uint32_t crc, uint16_t v) {
    return _mm_crc32_u16(crc, v);
}
CDPDK_HOT __attribute__((target("sse4.2"))) static inline uint32_t cdpdk_crc32c_u8(uint32_t crc, uint8_t v) {
    return _mm_crc32_u8(crc, v);
}

#pragma clang assume_nonnull end
