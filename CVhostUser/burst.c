// The bursts of PMD threads, and what a queue pays for that is dear.
//
// What a burst costs is up to the guest: packets in hundreds of descriptors, or a ring of lies, of which none becomes a packet, take up
// to a hundred times as long as proper ones. The datapath shares a thread's time among ports that have packets; what a burst took that
// came to nothing it does not see. So each queue pays here. A burst is worth so many cycles, by its packets, bytes and
// interrupts. A queue several of whose late bursts took more rests for a multiple of the excess, and is then asked for a few
// packets at a time: it has some sixteenth of a thread at most. Where the thread was interrupted nobody can tell, and nobody pays.
//
// All of that is about what guests send. Packets for a guest would be lost if its queue rested; what they may take is bounded by the burst.
//
// A packed ring that had nothing for many polls in a row rests for up to some microseconds, too: an empty look at it costs as much as ten
// packets, which the other ports would pay for. (A look at a split ring costs little, unless the guest is just writing there.)
#include "internal.h"

#include <sys/resource.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

/// What a burst is worth, in cycles: for itself, for each packet and byte (a page that is touched for the first time costs a thousand and
/// more), and if the guest was interrupted: that is a system call, which wakes its thread.
#define BURST_WORTH 2500
#define PACKET_WORTH 500
#define BYTE_WORTH 2
#define INTERRUPT_WORTH 40000
/// A queue that owes rests for so many times the excess, at most so long.
#define REST_FACTOR 16
#define LONGEST_REST_MICROSECONDS 10000
/// `dear` goes up by a step for each dear burst, down by one for any other. From DEAR_ENOUGH on the queue owes.
#define DEAR_STEP 4
#define DEAR_ENOUGH 12
#define DEAR_MOST 64
/// Packets that a queue which owes is asked for at once.
#define DEAR_BURST 4
/// Empty polls in a row from which on a packed ring rests between them, and the longest such rest.
#define EMPTY_POLLS 64
#define LONGEST_EMPTY_REST_CYCLES 16000
/// A packet makes up for so many of them.
#define EMPTY_POLLS_A_PACKET 8

__thread struct queue *burst_queue;

static uint64_t bytes_of(struct cdpdk_mbuf *const *packets, uint16_t n) {
    uint64_t bytes = 0;
    for (uint16_t i = 0; i < n; i++) bytes += packets[i]->pkt_len;
    return bytes;
}

/// Whether the calling thread lost its CPU since it was last asked: then what a burst took says nothing of the guest.
static bool was_interrupted(void) {
    static __thread long latest;
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) return true;
    long switches = usage.ru_nivcsw + usage.ru_nvcsw;
    bool moved = switches != latest;
    latest = switches;
    return moved;
}

/// A burst of `n` packets, worth `worth` without their bytes, ended at `now` after so many cycles. Under the queue's lock.
static inline void pay(
    struct cvhost_socket *s, struct queue *ring, uint64_t now, uint64_t cycles, uint64_t worth, struct cdpdk_mbuf *const *packets, uint16_t n) {
    if (__builtin_expect(cycles <= worth, 1) || cycles <= (worth += BYTE_WORTH * bytes_of(packets, n))) {
        if (ring->dear > 0) ring->dear--;
        return;
    }
    if (was_interrupted()) return;
    ring->dear = ring->dear + DEAR_STEP < DEAR_MOST ? (uint8_t)(ring->dear + DEAR_STEP) : DEAR_MOST;
    if (ring->dear < DEAR_ENOUGH) return;
    uint64_t rest = (cycles - worth) * REST_FACTOR, longest = cdpdk_tsc_hz() / 1000000 * LONGEST_REST_MICROSECONDS;
    __atomic_store_n(&ring->rests_until, now + (rest < longest ? rest : longest), __ATOMIC_RELAXED);
    count_event(s, CVHOST_EVENT_DEAR);
}

static inline bool rests(struct queue *ring) {
    uint64_t until = __atomic_load_n(&ring->rests_until, __ATOMIC_RELAXED);
    if (until == 0) return false;
    if (cdpdk_tsc() < until) return true;
    __atomic_store_n(&ring->rests_until, 0, __ATOMIC_RELAXED);
    return false;
}

/// Counts a poll of a packed ring that found nothing.
static inline void note_empty(struct queue *ring, uint64_t now, uint64_t cycles) {
    if (ring->empty_polls < EMPTY_POLLS) {
        ring->empty_polls++;
        return;
    }
    uint64_t rest = cycles * REST_FACTOR, until = now + (rest < LONGEST_EMPTY_REST_CYCLES ? rest : LONGEST_EMPTY_REST_CYCLES);
    if (until > ring->rests_until) __atomic_store_n(&ring->rests_until, until, __ATOMIC_RELAXED);
}

static void silence(struct queue *ring, int vid) {
    __atomic_store_n(&ring->silence, 0, __ATOMIC_RELAXED);
    // A poll finds packets, and room for others: notifications would only cost the guest, a system call or an exit for each burst
    // it sends and for each it has made room for.
    rte_vhost_enable_guest_notification(vid, ring->index, 0);
}

/// The calling thread holds the queue's lock from here to `leave`, and may touch its guest's memory.
static inline void enter(struct cvhost_socket *s, struct queue *ring) {
    fault_inside = s;
    burst_queue = ring;
}
static inline void leave(struct queue *ring) {
    fault_inside = NULL;
    burst_queue = NULL;
    cdpdk_spin_unlock(&ring->counters.lock);
}

uint16_t cvhost_rx_burst(struct cvhost_socket *s, uint16_t pair, struct cdpdk_mbuf **out, uint16_t n) {
    if (pair >= CVHOST_MAX_QUEUE_PAIRS) return 0;
    struct queue *ring = &s->rx[pair];
    // a look before the atomic exchange: ports without a guest are polled for nothing
    if (__atomic_load_n(&s->vid, __ATOMIC_RELAXED) == NO_DEVICE || !bit(&s->rx_enabled, pair)) return 0;
    if (rests(ring) || !cdpdk_spin_try_lock(&ring->counters.lock)) return 0;
    uint16_t received = 0;
    enter(s, ring);
    int vid = __atomic_load_n(&s->vid, __ATOMIC_SEQ_CST);
    if (vid != NO_DEVICE) {
        if (__atomic_load_n(&ring->silence, __ATOMIC_RELAXED)) silence(ring, vid);
        struct rte_mempool *pool = (struct rte_mempool *)__atomic_load_n(&s->pool, __ATOMIC_ACQUIRE);
        if (ring->dear >= DEAR_ENOUGH && n > DEAR_BURST) n = DEAR_BURST;
        uint64_t begun = cdpdk_tsc(), kicks = ring->counters.kicks;
        received = rte_vhost_dequeue_burst(vid, ring->index, pool, (struct rte_mbuf **)out, n);
        uint64_t now = cdpdk_tsc();
        uint64_t worth = BURST_WORTH + (uint64_t)received * PACKET_WORTH;
        if (received > 0 && kicks != ring->counters.kicks) worth += INTERRUPT_WORTH;
        pay(s, ring, now, now - begun, worth, out, received);
        if (received > 0) {
            unsigned made_up = (unsigned)received * EMPTY_POLLS_A_PACKET;
            ring->empty_polls = ring->empty_polls > made_up ? (uint8_t)(ring->empty_polls - made_up) : 0;
            cdpdk_count_burst(&ring->counters, out, received, true);
        } else if (s->packed) {
            note_empty(ring, now, now - begun);
        }
    }
    leave(ring);
    return received;
}

#define ALL_OFFLOADS (CDPDK_OFFLOAD_CHECKSUM | CDPDK_OFFLOAD_TSO4 | CDPDK_OFFLOAD_TSO6)

/// How many of the packets, from the first, this guest takes: one that came after they were prepared may take less.
static uint16_t acceptable(struct cdpdk_mbuf **packets, uint16_t n, uint32_t offloads) {
    uint64_t refused = 0;
    if ((offloads & CDPDK_OFFLOAD_CHECKSUM) == 0) refused |= RTE_MBUF_F_TX_L4_MASK;
    if ((offloads & (CDPDK_OFFLOAD_TSO4 | CDPDK_OFFLOAD_TSO6)) == 0) refused |= RTE_MBUF_F_TX_TCP_SEG;
    uint16_t i = 0;
    while (i < n && (packets[i]->ol_flags & refused) == 0) i++;
    return i;
}

uint16_t cvhost_tx_burst(struct cvhost_socket *s, uint32_t queue, struct cdpdk_mbuf **packets, uint16_t n) {
    if (__atomic_load_n(&s->vid, __ATOMIC_RELAXED) == NO_DEVICE) return 0;
    uint32_t pairs = __atomic_load_n(&s->pairs, __ATOMIC_RELAXED);
    if (pairs == 0) return 0;
    unsigned pair = __atomic_load_n(&s->tx_map[queue % pairs], __ATOMIC_RELAXED);
    if (!bit(&s->tx_enabled, pair)) return 0;
    struct queue *ring = &s->tx[pair];
    cdpdk_spin_lock(&ring->counters.lock);
    enter(s, ring);
    uint16_t sent = 0;
    int vid = __atomic_load_n(&s->vid, __ATOMIC_SEQ_CST);
    uint32_t offloads = __atomic_load_n(&s->offloads, __ATOMIC_RELAXED);
    if (offloads != ALL_OFFLOADS) n = acceptable(packets, n, offloads);
    if (vid != NO_DEVICE && n > 0) {
        if (__atomic_load_n(&ring->silence, __ATOMIC_RELAXED)) silence(ring, vid);
        unsigned retries = __atomic_load_n(&s->tx_retries, __ATOMIC_RELAXED);
        for (unsigned attempt = 0;; attempt++) {
            uint16_t now = rte_vhost_enqueue_burst(vid, ring->index, (struct rte_mbuf **)packets + sent, (uint16_t)(n - sent));
            sent = (uint16_t)(sent + now);
            // a guest that takes nothing at all is not waited for
            if (sent == n || now == 0 || attempt == retries) break;
            cdpdk_counter_add(&ring->counters.retries, 1);
        }
        if (sent > 0) cdpdk_count_burst(&ring->counters, packets, sent, true);
    }
    leave(ring);
    if (sent > 0) cdpdk_mbuf_free_bulk(packets, sent);
    return sent;
}
