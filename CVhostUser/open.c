// Sockets come and go: what is offered to front-ends, and the order in which the library and the guard learn of a socket.
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_vhost.h>

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == CVHOST_MAX_PATH + 1, "socket path");

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

static void release(struct cvhost_socket *s) {
    registry_remove(s);
    free(s);
}

/// Room for packets that do not fit an mbuf: 256 of 64 KiB that are on their way at once.
#define ROOM_BYTES (16u << 20)

/// DPDK asks before it maps pages. No burst may have any: a guest that says that a table of descriptors has 4 GiB would have DPDK map, and
/// the kernel clear, all the pages there are before it finds that they do not suffice, hundreds of times a second.
static int allow_pages(int node, size_t limit, size_t total) {
    (void)node, (void)limit, (void)total;
    return fault_inside == NULL ? 0 : -1;
}

/// A packet that does not fit an mbuf is copied to a piece of DPDK's heap, which maps and unmaps pages as they are needed: nearly one for
/// each such packet, half a millisecond of a thread's time. So the heap is made to keep some pages, once for each NUMA node, for the
/// life of the process, and gets no more in a burst. Where there is no memory for that, nothing changes.
static void keep_room(void) {
    for (unsigned i = 0; i < rte_socket_count(); i++) {
        int node = rte_socket_id_by_idx(i);
        char *room = node < 0 ? NULL : rte_malloc_socket(NULL, ROOM_BYTES, 0, node);
        if (room == NULL) continue;
        for (size_t at = 0; at < ROOM_BYTES;) {
            struct rte_memseg *page = rte_mem_virt2memseg(room + at, NULL);
            if (page == NULL || page->len == 0) break;
            page->flags |= RTE_MEMSEG_FLAG_DO_NOT_FREE;
            at = (size_t)((char *)page->addr + page->len - room);
        }
        rte_free(room);
        rte_mem_alloc_validator_register("apus-bursts", allow_pages, node, 0);
    }
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
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (options->offloads) pthread_once(&once, keep_room);
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
    int added = registry_add(s, directory);
    if (added != 0) {
        snprintf(error, error_size, "%s",
                 added == REGISTRY_TAKEN ? "another port uses this socket path" : "no folder can be made for the vhost library's sockets");
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
    if (rte_vhost_driver_disable_features(s->inner, unwanted) != 0 || rte_vhost_driver_callback_register(s->inner, &cvhost_operations) != 0) {
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
    cvhost_changed(NULL);
}
