// Quiescent-state reclamation and rings, in heap memory: they need no EAL.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include "internal.h"

static void *aligned_zeroed(size_t size) {
    size = (size + 127) / 128 * 128;
    void *p = aligned_alloc(128, size);
    if (p != NULL) memset(p, 0, size);
    return p;
}

static struct rte_rcu_qsbr *qsbr(struct cdpdk_qsbr *q) { return (struct rte_rcu_qsbr *)q; }

struct cdpdk_qsbr *cdpdk_qsbr_create(uint32_t max_threads) {
    size_t size = rte_rcu_qsbr_get_memsize(max_threads);
    if (size == 1) return NULL;
    struct cdpdk_qsbr *q = aligned_zeroed(size);
    if (q != NULL && rte_rcu_qsbr_init(qsbr(q), max_threads) != 0) {
        free(q);
        return NULL;
    }
    return q;
}
void cdpdk_qsbr_free(struct cdpdk_qsbr *q) { free(q); }
int cdpdk_qsbr_register(struct cdpdk_qsbr *q, uint32_t thread) { return rte_rcu_qsbr_thread_register(qsbr(q), thread) == 0 ? 0 : -1; }
int cdpdk_qsbr_unregister(struct cdpdk_qsbr *q, uint32_t thread) {
    return rte_rcu_qsbr_thread_unregister(qsbr(q), thread) == 0 ? 0 : -1;
}
void cdpdk_qsbr_online(struct cdpdk_qsbr *q, uint32_t thread) { rte_rcu_qsbr_thread_online(qsbr(q), thread); }
void cdpdk_qsbr_offline(struct cdpdk_qsbr *q, uint32_t thread) { rte_rcu_qsbr_thread_offline(qsbr(q), thread); }
void cdpdk_qsbr_quiescent(struct cdpdk_qsbr *q, uint32_t thread) { rte_rcu_qsbr_quiescent(qsbr(q), thread); }
uint64_t cdpdk_qsbr_start(struct cdpdk_qsbr *q) { return rte_rcu_qsbr_start(qsbr(q)); }
bool cdpdk_qsbr_check(struct cdpdk_qsbr *q, uint64_t token, bool wait) { return rte_rcu_qsbr_check(qsbr(q), token, wait) == 1; }

static struct rte_ring *ring(const struct cdpdk_ring *r) { return (struct rte_ring *)(uintptr_t)r; }

struct cdpdk_ring *cdpdk_ring_create(uint32_t count, bool single_producer, bool single_consumer) {
    ssize_t size = rte_ring_get_memsize(count);
    if (size < 0) return NULL;
    struct cdpdk_ring *r = aligned_zeroed((size_t)size);
    if (r == NULL) return NULL;
    unsigned flags = (single_producer ? RING_F_SP_ENQ : 0u) | (single_consumer ? RING_F_SC_DEQ : 0u);
    if (rte_ring_init(ring(r), "apus", count, flags) != 0) {
        free(r);
        return NULL;
    }
    return r;
}
void cdpdk_ring_free(struct cdpdk_ring *r) { free(r); }
uint32_t cdpdk_ring_enqueue_burst(struct cdpdk_ring *r, void *const *objects, uint32_t n) {
    return rte_ring_enqueue_burst(ring(r), objects, n, NULL);
}
uint32_t cdpdk_ring_dequeue_burst(struct cdpdk_ring *r, void **objects, uint32_t n) {
    return rte_ring_dequeue_burst(ring(r), objects, n, NULL);
}
uint32_t cdpdk_ring_count(const struct cdpdk_ring *r) { return rte_ring_count(ring(r)); }
uint32_t cdpdk_ring_free_count(const struct cdpdk_ring *r) { return rte_ring_free_count(ring(r)); }
uint16_t cdpdk_ring_enqueue_packets(struct cdpdk_ring *r, struct cdpdk_mbuf **packets, uint16_t n) {
    return (uint16_t)rte_ring_enqueue_burst(ring(r), (void *const *)packets, n, NULL);
}
uint16_t cdpdk_ring_dequeue_packets(struct cdpdk_ring *r, struct cdpdk_mbuf **packets, uint16_t n) {
    return (uint16_t)rte_ring_dequeue_burst(ring(r), (void **)packets, n, NULL);
}
