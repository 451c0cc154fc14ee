// Devices: what rte_vhost attaches and detaches, and what is known of them.
#include "internal.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <rte_vhost.h>

_Static_assert(CVHOST_MAX_QUEUE_PAIRS % 64 == 0, "words of bits");

static uint64_t all_generation;
static pthread_mutex_t event_lock = PTHREAD_MUTEX_INITIALIZER;
static int event_fd = -1;

void cvhost_changed(struct cvhost_socket *s) {
    if (s != NULL) __atomic_add_fetch(&s->generation, 1, __ATOMIC_RELEASE);
    __atomic_add_fetch(&all_generation, 1, __ATOMIC_RELEASE);
    int fd = __atomic_load_n(&event_fd, __ATOMIC_ACQUIRE);
    uint64_t one = 1;
    if (fd >= 0 && write(fd, &one, sizeof one) < 0) return;  // EAGAIN: it is readable already
}

/// Maps every queue number to a pair whose guest side is enabled, round robin over those.
static void map_queues(struct cvhost_socket *s) {
    uint8_t enabled[CVHOST_MAX_QUEUE_PAIRS];
    unsigned n = 0, next = 0;
    uint32_t pairs = __atomic_load_n(&s->pairs, __ATOMIC_RELAXED);
    for (unsigned q = 0; q < pairs; q++)
        if (bit(&s->tx_enabled, q)) enabled[n++] = (uint8_t)q;
    for (unsigned q = 0; q < CVHOST_MAX_QUEUE_PAIRS; q++) {
        bool own = q < pairs && bit(&s->tx_enabled, q);
        uint8_t target = own || n == 0 ? (uint8_t)(n == 0 ? 0 : q) : enabled[next++ % n];
        __atomic_store_n(&s->tx_map[q], target, __ATOMIC_RELAXED);
    }
}

static uint32_t pairs_of(int vid) {
    uint32_t pairs = rte_vhost_get_vring_num(vid) / 2u;
    return pairs < CVHOST_MAX_QUEUE_PAIRS ? pairs : CVHOST_MAX_QUEUE_PAIRS;
}

// ---------------------------------------------------------------- rte_vhost's callbacks

static int new_connection(int vid) {
    // whatever this thread touches of a guest's memory from here on may be gone
    fault_in_library = true;
    struct cvhost_socket *s = registry_find(vid);
    return s != NULL && guard_accepted(s, vid) >= 0 ? 0 : -1;
}

static void destroy_connection(int vid) {
    struct cvhost_socket *s = registry_find(vid);
    if (s == NULL) return;
    guard_closed(s, vid);
    cvhost_changed(s);
}

static void wait_until_left(struct queue *queue) {
    cdpdk_spin_lock(&queue->counters.lock);
    cdpdk_spin_unlock(&queue->counters.lock);
}

void cvhost_suspend(struct cvhost_socket *s) { __atomic_store_n(&s->vid, NO_DEVICE, __ATOMIC_SEQ_CST); }

/// Takes the device away from the data path. Whoever takes a lock from now on finds no device; whoever held one has left
/// when we get it.
static void withdraw(struct cvhost_socket *s) {
    __atomic_store_n(&s->vid, NO_DEVICE, __ATOMIC_SEQ_CST);
    for (unsigned q = 0; q < CVHOST_MAX_QUEUE_PAIRS; q++) {
        wait_until_left(&s->rx[q]);
        wait_until_left(&s->tx[q]);
    }
}

/// What the guest takes of packets with partial checksums, and longer than its MTU.
static uint32_t offloads_of(uint64_t features) {
    if ((features & 1ull << VIRTIO_NET_F_GUEST_CSUM) == 0) return 0;
    return CDPDK_OFFLOAD_CHECKSUM | ((features & 1ull << VIRTIO_NET_F_GUEST_TSO4) != 0 ? CDPDK_OFFLOAD_TSO4 : 0u) |
           ((features & 1ull << VIRTIO_NET_F_GUEST_TSO6) != 0 ? CDPDK_OFFLOAD_TSO6 : 0u);
}

static void take_over(struct cvhost_socket *s, struct session *e, int vid) {
    __atomic_store_n(&s->pairs, pairs_of(vid), __ATOMIC_RELAXED);
    copy_bits(&s->rx_enabled, &e->rx_enabled);
    copy_bits(&s->tx_enabled, &e->tx_enabled);
    map_queues(s);
}

static int new_device(int vid) {
    struct cvhost_socket *s = registry_find(vid);
    struct session *e = s != NULL ? session_of(s, vid) : NULL;
    if (e == NULL) return -1;
    // the last guest that became ready is the port's: its predecessor is dead as a rule, only not noticed yet
    withdraw(s);
    take_over(s, e, vid);
    uint64_t features = 0;
    rte_vhost_get_negotiated_features(vid, &features);
    s->packed = (features & FEATURE_PACKED) != 0;
    uint32_t offloads = offloads_of(features);
    __atomic_store_n(&s->offloads, offloads, __ATOMIC_RELAXED);
    for (unsigned q = 0; q < CVHOST_MAX_QUEUE_PAIRS; q++) {
        __atomic_store_n(&s->rx[q].silence, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&s->tx[q].silence, 1, __ATOMIC_RELAXED);
        cdpdk_counter_store(&s->tx[q].counters.offloads, offloads);
    }
    __atomic_store_n(&s->attached, vid, __ATOMIC_SEQ_CST);
    __atomic_store_n(&s->vid, vid, __ATOMIC_SEQ_CST);
    cvhost_changed(s);
    guard_wake();
    return 0;
}

static void destroy_device(int vid) {
    struct cvhost_socket *s = registry_find(vid);
    if (s == NULL || __atomic_load_n(&s->attached, __ATOMIC_ACQUIRE) != vid) return;
    withdraw(s);
    __atomic_store_n(&s->attached, NO_DEVICE, __ATOMIC_SEQ_CST);
    cvhost_changed(s);
}

static int vring_state_changed(int vid, uint16_t index, int enable) {
    struct cvhost_socket *s = registry_find(vid);
    struct session *e = s != NULL ? session_of(s, vid) : NULL;
    unsigned pair = index / 2u;
    if (e == NULL || pair >= CVHOST_MAX_QUEUE_PAIRS) return 0;
    set_bit(index % 2u == 0 ? &e->tx_enabled : &e->rx_enabled, pair, enable != 0);
    if (__atomic_load_n(&s->attached, __ATOMIC_RELAXED) == vid) {
        if (enable) __atomic_store_n(index % 2u == 1 ? &s->rx[pair].silence : &s->tx[pair].silence, 1, __ATOMIC_RELAXED);
        take_over(s, e, vid);
        cvhost_changed(s);
    }
    return 0;
}

/// On the thread whose burst it was.
static void guest_notified(int vid) {
    (void)vid;
    if (burst_queue != NULL) cdpdk_counter_add(&burst_queue->counters.kicks, 1);
}

const struct rte_vhost_device_ops cvhost_operations = {
    .new_device = new_device,
    .destroy_device = destroy_device,
    .vring_state_changed = vring_state_changed,
    .new_connection = new_connection,
    .destroy_connection = destroy_connection,
    .guest_notified = guest_notified,
};

// ---------------------------------------------------------------- queries

void cvhost_get_state(struct cvhost_socket *s, struct cvhost_state *state) {
    memset(state, 0, sizeof *state);
    state->numa = -1;
    state->vid = NO_DEVICE;
    state->generation = __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE);
    // inside the first queue's lock the device cannot go away
    cdpdk_spin_lock(&s->rx[0].counters.lock);
    int vid = __atomic_load_n(&s->vid, __ATOMIC_SEQ_CST);
    if (vid != NO_DEVICE) {
        state->running = true;
        state->vid = vid;
        state->queue_pairs = (uint16_t)__atomic_load_n(&s->pairs, __ATOMIC_RELAXED);
        state->enabled_rx = (uint16_t)count_bits(&s->rx_enabled);
        state->enabled_tx = (uint16_t)count_bits(&s->tx_enabled);
        state->offloads = __atomic_load_n(&s->offloads, __ATOMIC_RELAXED);
        uint16_t mtu = 0;
        if (rte_vhost_get_mtu(vid, &mtu) == 0) state->guest_mtu = mtu;
        state->numa = rte_vhost_get_numa_node(vid);
        rte_vhost_get_negotiated_features(vid, &state->features);
    }
    cdpdk_spin_unlock(&s->rx[0].counters.lock);
    guard_describe(s, state);
}

uint16_t cvhost_ring_size(struct cvhost_socket *s, uint16_t index) {
    struct rte_vhost_vring ring;
    uint16_t size = 0;
    cdpdk_spin_lock(&s->rx[0].counters.lock);
    int vid = __atomic_load_n(&s->vid, __ATOMIC_SEQ_CST);
    if (vid != NO_DEVICE && rte_vhost_get_vhost_vring(vid, index, &ring) == 0) size = ring.size;
    cdpdk_spin_unlock(&s->rx[0].counters.lock);
    return size;
}

uint64_t cvhost_generation(const struct cvhost_socket *s) { return __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE); }
uint64_t cvhost_global_generation(void) { return __atomic_load_n(&all_generation, __ATOMIC_ACQUIRE); }

int cvhost_event_fd(void) {
    pthread_mutex_lock(&event_lock);
    if (event_fd < 0) __atomic_store_n(&event_fd, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), __ATOMIC_RELEASE);
    int fd = event_fd;
    pthread_mutex_unlock(&event_lock);
    return fd;
}

void cvhost_set_tx_retries(struct cvhost_socket *s, uint8_t retries) { __atomic_store_n(&s->tx_retries, retries, __ATOMIC_RELAXED); }
void cvhost_set_pool(struct cvhost_socket *s, struct cdpdk_mempool *pool) { __atomic_store_n(&s->pool, pool, __ATOMIC_RELEASE); }
bool cvhost_is_running(const struct cvhost_socket *s) { return __atomic_load_n(&s->vid, __ATOMIC_RELAXED) != NO_DEVICE; }

struct cdpdk_queue_counters *cvhost_rx_counters(struct cvhost_socket *s, uint16_t pair) {
    return pair < CVHOST_MAX_QUEUE_PAIRS ? &s->rx[pair].counters : NULL;
}
struct cdpdk_queue_counters *cvhost_tx_counters(struct cvhost_socket *s, uint16_t pair) {
    return pair < CVHOST_MAX_QUEUE_PAIRS ? &s->tx[pair].counters : NULL;
}
