#define _GNU_SOURCE
#include "CVhostUser.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
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

#define NO_DEVICE (-1)
/// Connections a socket has at once: the guest's, and those that are about to replace it or to be noticed as dead.
#define MAX_CONNECTIONS 4

_Static_assert(CVHOST_MAX_QUEUE_PAIRS == 32, "a word has a bit for each queue pair");

/// A front-end, from its connection to its end. Written by rte_vhost's threads.
struct connection {
    int vid;                   ///< NO_DEVICE: this slot is free
    uint32_t rx_enabled;       ///< one bit a queue pair
    uint32_t tx_enabled;
};

/// One direction of a queue pair. The lock word lives in its counters.
struct queue {
    struct cdpdk_queue_counters counters;
    uint16_t index;            ///< of the virtqueue: even ones we send to, odd ones we receive from
    uint8_t silence;           ///< the guest is to be told not to notify us; done by whoever holds the lock
} __attribute__((aligned(64)));

struct cvhost_socket {
    // read by the data path
    int vid __attribute__((aligned(64)));  ///< NO_DEVICE unless running
    uint32_t pairs;            ///< queue pairs in use
    uint32_t rx_enabled;       ///< of the running device
    uint32_t tx_enabled;
    uint8_t tx_retries;
    uint8_t tx_map[CVHOST_MAX_QUEUE_PAIRS]; ///< from a queue number to an enabled pair
    struct queue rx[CVHOST_MAX_QUEUE_PAIRS];
    struct queue tx[CVHOST_MAX_QUEUE_PAIRS];
    // control
    uint64_t generation;
    struct connection connections[MAX_CONNECTIONS];
    uint32_t connection_count; ///< so far
    struct cvhost_socket *next;
    bool client;
    char path[CVHOST_MAX_PATH + 1];
};

// ---------------------------------------------------------------- registry
//
// Callbacks find their socket by its path. The lock is held for the search only, never while rte_vhost is called; a socket
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
    while (s != NULL && strcmp(s->path, path) != 0) s = s->next;
    pthread_mutex_unlock(&registry_lock);
    return s;
}

static void changed(struct cvhost_socket *s) {
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
    uint32_t mask = __atomic_load_n(&s->tx_enabled, __ATOMIC_RELAXED);
    for (unsigned q = 0; q < pairs; q++)
        if (mask >> q & 1) enabled[n++] = (uint8_t)q;
    for (unsigned q = 0; q < CVHOST_MAX_QUEUE_PAIRS; q++) {
        bool own = q < pairs && (mask >> q & 1);
        uint8_t target = own || n == 0 ? (uint8_t)(n == 0 ? 0 : q) : enabled[next++ % n];
        __atomic_store_n(&s->tx_map[q], target, __ATOMIC_RELAXED);
    }
}

static uint32_t pairs_of(int vid) {
    uint32_t pairs = rte_vhost_get_vring_num(vid) / 2u;
    return pairs < CVHOST_MAX_QUEUE_PAIRS ? pairs : CVHOST_MAX_QUEUE_PAIRS;
}

// ---------------------------------------------------------------- rte_vhost's callbacks

static struct connection *connection_of(struct cvhost_socket *s, int vid) {
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++)
        if (__atomic_load_n(&s->connections[i].vid, __ATOMIC_ACQUIRE) == vid) return &s->connections[i];
    return NULL;
}

static int new_connection(int vid) {
    struct cvhost_socket *s = find(vid);
    if (s == NULL) return -1;
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) {
        struct connection *c = &s->connections[i];
        int expected = NO_DEVICE;
        if (!__atomic_compare_exchange_n(&c->vid, &expected, vid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
        __atomic_store_n(&c->rx_enabled, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&c->tx_enabled, 0, __ATOMIC_RELAXED);
        __atomic_add_fetch(&s->connection_count, 1, __ATOMIC_RELAXED);
        changed(s);
        return 0;
    }
    return -1;
}

static void destroy_connection(int vid) {
    struct cvhost_socket *s = find(vid);
    struct connection *c = s != NULL ? connection_of(s, vid) : NULL;
    if (c == NULL) return;
    __atomic_store_n(&c->vid, NO_DEVICE, __ATOMIC_RELEASE);
    changed(s);
}

static void wait_until_left(struct queue *queue) {
    cdpdk_spin_lock(&queue->counters.lock);
    cdpdk_spin_unlock(&queue->counters.lock);
}

/// Takes the device away from the data path. Whoever takes a lock from now on finds no device; whoever held one has left
/// when we get it.
static void withdraw(struct cvhost_socket *s) {
    __atomic_store_n(&s->vid, NO_DEVICE, __ATOMIC_SEQ_CST);
    for (unsigned q = 0; q < CVHOST_MAX_QUEUE_PAIRS; q++) {
        wait_until_left(&s->rx[q]);
        wait_until_left(&s->tx[q]);
    }
}

static int new_device(int vid) {
    struct cvhost_socket *s = find(vid);
    struct connection *c = s != NULL ? connection_of(s, vid) : NULL;
    if (c == NULL) return -1;
    // the last guest that became ready is the port's: its predecessor is dead as a rule, only not noticed yet
    withdraw(s);
    __atomic_store_n(&s->pairs, pairs_of(vid), __ATOMIC_RELAXED);
    __atomic_store_n(&s->rx_enabled, __atomic_load_n(&c->rx_enabled, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    __atomic_store_n(&s->tx_enabled, __atomic_load_n(&c->tx_enabled, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    for (unsigned q = 0; q < CVHOST_MAX_QUEUE_PAIRS; q++) __atomic_store_n(&s->rx[q].silence, 1, __ATOMIC_RELAXED);
    map_queues(s);
    __atomic_store_n(&s->vid, vid, __ATOMIC_SEQ_CST);
    changed(s);
    return 0;
}

static void destroy_device(int vid) {
    struct cvhost_socket *s = find(vid);
    if (s == NULL || __atomic_load_n(&s->vid, __ATOMIC_ACQUIRE) != vid) return;
    withdraw(s);
    changed(s);
}

static int vring_state_changed(int vid, uint16_t index, int enable) {
    struct cvhost_socket *s = find(vid);
    struct connection *c = s != NULL ? connection_of(s, vid) : NULL;
    unsigned pair = index / 2u;
    if (c == NULL || pair >= CVHOST_MAX_QUEUE_PAIRS) return 0;
    uint32_t *mask = index % 2u == 0 ? &c->tx_enabled : &c->rx_enabled;
    if (enable)
        __atomic_fetch_or(mask, 1u << pair, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(mask, ~(1u << pair), __ATOMIC_RELAXED);
    if (__atomic_load_n(&s->vid, __ATOMIC_RELAXED) == vid) {
        if (index % 2u == 1 && enable) __atomic_store_n(&s->rx[pair].silence, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&s->pairs, pairs_of(vid), __ATOMIC_RELAXED);
        __atomic_store_n(&s->rx_enabled, __atomic_load_n(&c->rx_enabled, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
        __atomic_store_n(&s->tx_enabled, __atomic_load_n(&c->tx_enabled, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
        map_queues(s);
        changed(s);
    }
    return 0;
}

static const struct rte_vhost_device_ops operations = {
    .new_device = new_device,
    .destroy_device = destroy_device,
    .vring_state_changed = vring_state_changed,
    .new_connection = new_connection,
    .destroy_connection = destroy_connection,
};

// ---------------------------------------------------------------- open and close

/// Features whose packets would carry partial checksums or be larger than the MTU: this switch sends and receives whole
/// packets with whole checksums only.
#define PARTIAL_PACKET_FEATURES                                                                                        \
    (1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GSO |                           \
     1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN |                \
     1ull << VIRTIO_NET_F_GUEST_UFO | 1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_HOST_TSO6 |                  \
     1ull << VIRTIO_NET_F_HOST_ECN | 1ull << VIRTIO_NET_F_HOST_UFO)

struct start {
    const char *path;
    int result, code;
};

/// Binds the socket on a thread that has a file-mode mask of its own: umask is the whole process's otherwise, and a chmod
/// after bind would leave a moment in which anybody may connect.
static void *start_with_tight_mask(void *argument) {
    struct start *start = argument;
    if (unshare(CLONE_FS) == 0) umask(0117);
    start->result = rte_vhost_driver_start(start->path);
    start->code = errno;
    return NULL;
}

static void reason(char *error, size_t size, const char *text, int code) {
    char line[256];
    if (cdpdk_log_last_error(line, sizeof line) > 0)
        snprintf(error, size, "%s: %s", text, line);
    else if (code != 0)
        snprintf(error, size, "%s: %s", text, strerror(code));
    else
        snprintf(error, size, "%s", text);
}

static void unlist(struct cvhost_socket *s) {
    pthread_mutex_lock(&registry_lock);
    for (struct cvhost_socket **p = &registry; *p != NULL; p = &(*p)->next) {
        if (*p != s) continue;
        *p = s->next;
        break;
    }
    pthread_mutex_unlock(&registry_lock);
}

struct cvhost_socket *cvhost_open(const char *path, const struct cvhost_options *options, char *error, size_t error_size) {
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
    struct cvhost_socket *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    if (s == NULL) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    memset(s, 0, sizeof *s);
    memcpy(s->path, path, length + 1);
    s->client = options->client;
    s->vid = NO_DEVICE;
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++) s->connections[i].vid = NO_DEVICE;
    s->tx_retries = options->tx_retries;
    for (uint16_t q = 0; q < CVHOST_MAX_QUEUE_PAIRS; q++) {
        s->tx[q].index = (uint16_t)(2 * q);
        s->rx[q].index = (uint16_t)(2 * q + 1);
    }
    pthread_mutex_lock(&registry_lock);
    bool taken = false;
    for (struct cvhost_socket *other = registry; other != NULL; other = other->next)
        if (strcmp(other->path, path) == 0) taken = true;
    if (!taken) {
        s->next = registry;
        registry = s;
    }
    pthread_mutex_unlock(&registry_lock);
    if (taken) {
        snprintf(error, error_size, "another port uses this socket path");
        free(s);
        return NULL;
    }

    uint64_t flags = RTE_VHOST_USER_LINEARBUF_SUPPORT | RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS;
    if (options->client) flags |= RTE_VHOST_USER_CLIENT;
    if (options->iommu) flags |= RTE_VHOST_USER_IOMMU_SUPPORT;
    if (options->postcopy) flags |= RTE_VHOST_USER_POSTCOPY_SUPPORT;
    cdpdk_log_mark();
    errno = 0;
    if (rte_vhost_driver_register(path, flags) != 0) {
        reason(error, error_size, "cannot register the socket", errno);
        goto failed;
    }
    if (rte_vhost_driver_disable_features(path, PARTIAL_PACKET_FEATURES) != 0 ||
        rte_vhost_driver_callback_register(path, &operations) != 0) {
        reason(error, error_size, "cannot configure the socket", 0);
        rte_vhost_driver_unregister(path);
        goto failed;
    }
    struct start start = {.path = path};
    pthread_t thread;
    int code = pthread_create(&thread, NULL, start_with_tight_mask, &start);
    if (code == 0) pthread_join(thread, NULL);
    if (code != 0 || start.result != 0) {
        reason(error, error_size, options->client ? "cannot connect" : "cannot listen", code != 0 ? code : start.code);
        rte_vhost_driver_unregister(path);
        goto failed;
    }
    return s;

failed:
    unlist(s);
    free(s);
    return NULL;
}

void cvhost_close(struct cvhost_socket *s) {
    rte_vhost_driver_unregister(s->path);
    unlist(s);
    free(s);
    __atomic_add_fetch(&all_generation, 1, __ATOMIC_RELEASE);
}

// ---------------------------------------------------------------- queries

void cvhost_get_state(struct cvhost_socket *s, struct cvhost_state *state) {
    memset(state, 0, sizeof *state);
    state->numa = -1;
    state->vid = NO_DEVICE;
    state->generation = __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE);
    state->connections = __atomic_load_n(&s->connection_count, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < MAX_CONNECTIONS; i++)
        if (__atomic_load_n(&s->connections[i].vid, __ATOMIC_ACQUIRE) != NO_DEVICE) state->connected = true;
    // inside the first queue's lock the device cannot go away
    cdpdk_spin_lock(&s->rx[0].counters.lock);
    int vid = __atomic_load_n(&s->vid, __ATOMIC_SEQ_CST);
    if (vid != NO_DEVICE) {
        state->running = true;
        state->vid = vid;
        state->queue_pairs = (uint16_t)__atomic_load_n(&s->pairs, __ATOMIC_RELAXED);
        state->enabled_rx = (uint16_t)__builtin_popcount(__atomic_load_n(&s->rx_enabled, __ATOMIC_RELAXED));
        state->enabled_tx = (uint16_t)__builtin_popcount(__atomic_load_n(&s->tx_enabled, __ATOMIC_RELAXED));
        struct rte_vhost_vring ring;
        if (rte_vhost_get_vhost_vring(vid, 0, &ring) == 0) state->ring_size = ring.size;
        uint16_t mtu = 0;
        if (rte_vhost_get_mtu(vid, &mtu) == 0) state->guest_mtu = mtu;
        state->numa = rte_vhost_get_numa_node(vid);
        rte_vhost_get_negotiated_features(vid, &state->features);
    }
    cdpdk_spin_unlock(&s->rx[0].counters.lock);
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
    // a poll finds the packets; notifications would only cost the guest
    rte_vhost_enable_guest_notification(vid, ring->index, 0);
}

uint16_t cvhost_rx_burst(
    struct cvhost_socket *s, uint16_t pair, struct cdpdk_mempool *pool, struct cdpdk_mbuf **out, uint16_t n) {
    if (pair >= CVHOST_MAX_QUEUE_PAIRS) return 0;
    struct queue *ring = &s->rx[pair];
    // a look before the atomic exchange: ports without a guest are polled for nothing
    if (__atomic_load_n(&s->vid, __ATOMIC_RELAXED) == NO_DEVICE || !(__atomic_load_n(&s->rx_enabled, __ATOMIC_RELAXED) >> pair & 1))
        return 0;
    if (!cdpdk_spin_try_lock(&ring->counters.lock)) return 0;
    uint16_t received = 0;
    int vid = __atomic_load_n(&s->vid, __ATOMIC_SEQ_CST);
    if (vid != NO_DEVICE) {
        if (__atomic_load_n(&ring->silence, __ATOMIC_RELAXED)) silence(ring, vid);
        received = rte_vhost_dequeue_burst(vid, ring->index, (struct rte_mempool *)pool, (struct rte_mbuf **)out, n);
        if (received > 0) cdpdk_count_burst(&ring->counters, out, received, true);
    }
    cdpdk_spin_unlock(&ring->counters.lock);
    return received;
}

uint16_t cvhost_tx_burst(struct cvhost_socket *s, uint32_t queue, struct cdpdk_mbuf **packets, uint16_t n) {
    if (__atomic_load_n(&s->vid, __ATOMIC_RELAXED) == NO_DEVICE) return 0;
    uint32_t pairs = __atomic_load_n(&s->pairs, __ATOMIC_RELAXED);
    if (pairs == 0) return 0;
    unsigned pair = __atomic_load_n(&s->tx_map[queue % pairs], __ATOMIC_RELAXED);
    if (!(__atomic_load_n(&s->tx_enabled, __ATOMIC_RELAXED) >> pair & 1)) return 0;
    struct queue *ring = &s->tx[pair];
    cdpdk_spin_lock(&ring->counters.lock);
    uint16_t sent = 0;
    int vid = __atomic_load_n(&s->vid, __ATOMIC_SEQ_CST);
    if (vid != NO_DEVICE) {
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
    cdpdk_spin_unlock(&ring->counters.lock);
    if (sent > 0) cdpdk_mbuf_free_bulk(packets, sent);
    return sent;
}
