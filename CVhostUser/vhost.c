// Devices: what rte_vhost attaches and detaches, and the bursts of PMD threads.
#include "internal.h"

#include <errno.h>
#include <linux/limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == CVHOST_MAX_PATH + 1, "socket path");

_Static_assert(CVHOST_MAX_QUEUE_PAIRS % 64 == 0, "words of bits");

// ---------------------------------------------------------------- registry
//
// Callbacks find their socket by its inner path. The lock is held for the search only, never while rte_vhost is called; a socket
// leaves the list after rte_vhost_driver_unregister, which ends all callbacks for its path.

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cvhost_socket *registry;
static uint64_t all_generation;
static int event_fd = -1;

static struct cvhost_socket *find(int vid) {
    char path[PATH_MAX];
    if (rte_vhost_get_ifname(vid, path, sizeof path) != 0) return NULL;
    pthread_mutex_lock(&registry_lock);
    struct cvhost_socket *s = registry;
    while (s != NULL && strcmp(s->inner, path) != 0) s = s->next;
    pthread_mutex_unlock(&registry_lock);
    return s;
}

void cvhost_changed(struct cvhost_socket *s) {
    __atomic_add_fetch(&s->generation, 1, __ATOMIC_RELEASE);
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
    struct cvhost_socket *s = find(vid);
    return s != NULL && guard_accepted(s, vid) >= 0 ? 0 : -1;
}

static void destroy_connection(int vid) {
    struct cvhost_socket *s = find(vid);
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
    struct cvhost_socket *s = find(vid);
    struct session *e = s != NULL ? session_of(s, vid) : NULL;
    if (e == NULL) return -1;
    // the last guest that became ready is the port's: its predecessor is dead as a rule, only not noticed yet
    withdraw(s);
    take_over(s, e, vid);
    uint64_t features = 0;
    rte_vhost_get_negotiated_features(vid, &features);
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
    struct cvhost_socket *s = find(vid);
    if (s == NULL || __atomic_load_n(&s->attached, __ATOMIC_ACQUIRE) != vid) return;
    withdraw(s);
    __atomic_store_n(&s->attached, NO_DEVICE, __ATOMIC_SEQ_CST);
    cvhost_changed(s);
}

static int vring_state_changed(int vid, uint16_t index, int enable) {
    struct cvhost_socket *s = find(vid);
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
static __thread struct queue *burst_queue;
static void guest_notified(int vid) {
    (void)vid;
    if (burst_queue != NULL) cdpdk_counter_add(&burst_queue->counters.kicks, 1);
}

static const struct rte_vhost_device_ops operations = {
    .new_device = new_device,
    .destroy_device = destroy_device,
    .vring_state_changed = vring_state_changed,
    .new_connection = new_connection,
    .destroy_connection = destroy_connection,
    .guest_notified = guest_notified,
};

// ---------------------------------------------------------------- open and close

/// Never offered: UDP fragmentation, which Linux has given up, and segmentation of packets with congestion bits, which the
/// offloaded kinds do not tell apart; nor the legacy bit that stands for all of them.
#define UNWANTED_FEATURES                                                                                              \
    (1ull << VIRTIO_NET_F_GSO | 1ull << VIRTIO_NET_F_GUEST_ECN | 1ull << VIRTIO_NET_F_GUEST_UFO |                       \
     1ull << VIRTIO_NET_F_HOST_ECN | 1ull << VIRTIO_NET_F_HOST_UFO)
/// Whose packets carry partial checksums or are larger than the MTU.
#define PARTIAL_PACKET_FEATURES                                                                                        \
    (1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |                    \
     1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6)

static void reason(char *error, size_t size, const char *text, int code) {
    char line[256];
    if (cdpdk_log_last_error(line, sizeof line) > 0)
        snprintf(error, size, "%s: %s", text, line);
    else if (code != 0)
        snprintf(error, size, "%s: %s", text, strerror(code));
    else
        snprintf(error, size, "%s", text);
}

// rte_vhost's own sockets: in a folder that nobody else may enter.

static char inner_directory[CVHOST_MAX_PATH + 1];
static unsigned inner_users;
static uint64_t inner_number;

/// Under the registry's lock: a path in the folder, which is made if it is not there.
static int make_inner_path(const char *directory, char *path, size_t size) {
    // room for a slash and a number
    if (inner_users == 0) {
        size_t length = strlen(directory);
        int made = -1;
        if (length > 0 && length + 24 < sizeof inner_directory) {
            snprintf(inner_directory, sizeof inner_directory, "%s/.vhost", directory);
            struct stat status;
            made = mkdir(inner_directory, 0700);
            if (made != 0 && errno == EEXIST && lstat(inner_directory, &status) == 0 && S_ISDIR(status.st_mode) &&
                status.st_uid == geteuid() && (status.st_mode & 077) == 0)
                made = 0;
        }
        if (made != 0) {
            snprintf(inner_directory, sizeof inner_directory, "/tmp/apus-XXXXXX");
            if (mkdtemp(inner_directory) == NULL) return -1;
        }
    }
    snprintf(path, size, "%.90s/%llu", inner_directory, (unsigned long long)++inner_number);
    inner_users++;
    // left by a switch that was killed
    unlink(path);
    return 0;
}

static void release(struct cvhost_socket *s) {
    pthread_mutex_lock(&registry_lock);
    for (struct cvhost_socket **p = &registry; *p != NULL; p = &(*p)->next) {
        if (*p != s) continue;
        *p = s->next;
        break;
    }
    if (s->inner[0] != 0) {
        unlink(s->inner);
        if (--inner_users == 0) rmdir(inner_directory);
    }
    pthread_mutex_unlock(&registry_lock);
    free(s);
}

/// Ends all devices of the socket. The calling thread acts for rte_vhost's.
static void unregister(struct cvhost_socket *s) {
    bool before = fault_in_library;
    fault_in_library = true;
    rte_vhost_driver_unregister(s->inner);
    fault_in_library = before;
}

struct cvhost_socket *cvhost_open(
    const char *path, const char *directory, const struct cvhost_options *options, struct cdpdk_mempool *pool, char *error,
    size_t error_size) {
    size_t length = strlen(path);
    if (length == 0 || length > CVHOST_MAX_PATH) {
        snprintf(error, error_size, "the socket path has %zu bytes; 1 to %d are possible", length, CVHOST_MAX_PATH);
        return NULL;
    }
    if (!cdpdk_eal_is_initialized()) {
        snprintf(error, error_size, "DPDK is not initialised");
        return NULL;
    }
    cvhost_event_fd();
    fault_install();
    struct cvhost_socket *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    if (s == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    memset(s, 0, sizeof *s);
    memcpy(s->path, path, length + 1);
    s->options = *options;
    s->vid = s->attached = NO_DEVICE;
    s->tx_retries = options->tx_retries;
    s->pool = pool;
    for (uint16_t q = 0; q < CVHOST_MAX_QUEUE_PAIRS; q++) {
        s->tx[q].index = (uint16_t)(2 * q);
        s->rx[q].index = (uint16_t)(2 * q + 1);
    }
    pthread_mutex_lock(&registry_lock);
    bool taken = false;
    for (struct cvhost_socket *other = registry; other != NULL; other = other->next)
        if (strcmp(other->path, path) == 0) taken = true;
    int made = taken ? 0 : make_inner_path(directory, s->inner, sizeof s->inner);
    if (!taken && made == 0) {
        s->next = registry;
        registry = s;
    }
    pthread_mutex_unlock(&registry_lock);
    if (taken || made != 0) {
        snprintf(error, error_size, taken ? "another port uses this socket path" : "no folder can be made for the vhost library's sockets");
        free(s);
        return NULL;
    }

    // A packet is one piece: in its mbuf, or, if it is longer (at most 64 KiB), in a buffer of its own.
    uint64_t flags = RTE_VHOST_USER_LINEARBUF_SUPPORT | RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
    uint64_t unwanted = UNWANTED_FEATURES;
    if (options->offloads)
        flags |= RTE_VHOST_USER_EXTBUF_SUPPORT;
    else
        unwanted |= PARTIAL_PACKET_FEATURES;
    if (options->iommu) flags |= RTE_VHOST_USER_IOMMU_SUPPORT;
    if (options->postcopy) flags |= RTE_VHOST_USER_POSTCOPY_SUPPORT;
    cdpdk_log_mark();
    errno = 0;
    if (rte_vhost_driver_register(s->inner, flags) != 0) {
        reason(error, error_size, "cannot register the socket", errno);
        release(s);
        return NULL;
    }
    if (rte_vhost_driver_disable_features(s->inner, unwanted) != 0 || rte_vhost_driver_callback_register(s->inner, &operations) != 0) {
        reason(error, error_size, "cannot configure the socket", 0);
    } else if (rte_vhost_driver_start(s->inner) != 0) {
        reason(error, error_size, "the vhost library does not start", errno);
    } else if (guard_add(s, error, error_size) == 0) {
        return s;
    }
    unregister(s);
    release(s);
    return NULL;
}

void cvhost_close(struct cvhost_socket *s) {
    guard_remove(s);
    unregister(s);
    release(s);
    __atomic_add_fetch(&all_generation, 1, __ATOMIC_RELEASE);
}

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
    pthread_mutex_lock(&registry_lock);
    if (event_fd < 0) __atomic_store_n(&event_fd, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), __ATOMIC_RELEASE);
    int fd = event_fd;
    pthread_mutex_unlock(&registry_lock);
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

// ---------------------------------------------------------------- data path

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
    if (!cdpdk_spin_try_lock(&ring->counters.lock)) return 0;
    uint16_t received = 0;
    enter(s, ring);
    int vid = __atomic_load_n(&s->vid, __ATOMIC_SEQ_CST);
    if (vid != NO_DEVICE) {
        if (__atomic_load_n(&ring->silence, __ATOMIC_RELAXED)) silence(ring, vid);
        struct rte_mempool *pool = (struct rte_mempool *)__atomic_load_n(&s->pool, __ATOMIC_ACQUIRE);
        received = rte_vhost_dequeue_burst(vid, ring->index, pool, (struct rte_mbuf **)out, n);
        if (received > 0) cdpdk_count_burst(&ring->counters, out, received, true);
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
