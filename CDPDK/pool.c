// Pools of mbufs: in EAL's memory, and on the process heap for test devices.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include "internal.h"

struct cdpdk_mempool *cdpdk_pool_create(
    const char *name, uint32_t count, uint32_t cache, uint16_t data_room, int numa, char *error, size_t error_size) {
    if (!cdpdk_eal_is_initialized()) {
        cdpdk_reason(error, error_size, "DPDK is not initialised");
        return NULL;
    }
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create(name, count, cache, 0, (uint16_t)(data_room + RTE_PKTMBUF_HEADROOM), numa < 0 ? SOCKET_ID_ANY : numa);
    if (pool == NULL) cdpdk_reason(error, error_size, "%s", rte_strerror(rte_errno));
    return (struct cdpdk_mempool *)pool;
}

// The heap pool: a mempool whose backing store is malloc. DPDK's own free functions reach it through the pool's operations, so
// that its packets may travel everywhere.

#define HEAP_OPS "apus_heap"

static int heap_alloc(struct rte_mempool *pool) {
    (void)pool;
    return 0;
}
static void heap_free(struct rte_mempool *pool) { (void)pool; }

// As in every mempool an object has a header in front, which DPDK reads (`rte_pktmbuf_detach`): one line, to keep the alignment.
#define HEAP_HEADER 64
_Static_assert(sizeof(struct rte_mempool_objhdr) <= HEAP_HEADER, "the object header fits in front");

static int heap_enqueue(struct rte_mempool *pool, void *const *objects, unsigned n) {
    (void)pool;
    for (unsigned i = 0; i < n; i++) free((char *)objects[i] - HEAP_HEADER);
    __atomic_sub_fetch(&pool->pool_id, n, __ATOMIC_RELAXED);
    return 0;
}
static int heap_dequeue(struct rte_mempool *pool, void **objects, unsigned n) {
    uint16_t buffer = rte_pktmbuf_data_room_size(pool);
    for (unsigned i = 0; i < n; i++) {
        size_t size = (sizeof(struct rte_mbuf) + buffer + 63) / 64 * 64;
        char *block = aligned_alloc(64, HEAP_HEADER + size);
        if (block == NULL) {
            while (i > 0) free((char *)objects[--i] - HEAP_HEADER);
            return -ENOBUFS;
        }
        struct rte_mbuf *m = (struct rte_mbuf *)(block + HEAP_HEADER);
        memset(block, 0, HEAP_HEADER + sizeof *m);
        struct rte_mempool_objhdr *header = (struct rte_mempool_objhdr *)((char *)m - sizeof *header);
        header->mp = pool;
        header->iova = (uintptr_t)m;
        m->buf_addr = (char *)m + sizeof *m;
        m->buf_iova = (uintptr_t)m->buf_addr;
        m->buf_len = buffer;
        m->data_off = RTE_PKTMBUF_HEADROOM;
        m->pool = pool;
        m->nb_segs = 1;
        m->port = RTE_MBUF_PORT_INVALID;
        rte_mbuf_refcnt_set(m, 1);
        objects[i] = m;
    }
    __atomic_add_fetch(&pool->pool_id, n, __ATOMIC_RELAXED);
    return 0;
}
static unsigned heap_count(const struct rte_mempool *pool) { return pool->size; }

static const struct rte_mempool_ops heap_ops = {
    .name = HEAP_OPS,
    .alloc = heap_alloc,
    .free = heap_free,
    .enqueue = heap_enqueue,
    .dequeue = heap_dequeue,
    .get_count = heap_count,
};
RTE_MEMPOOL_REGISTER_OPS(heap_ops);

struct cdpdk_mempool *cdpdk_heap_pool_create(uint16_t data_room) {
    size_t size = sizeof(struct rte_mempool) + sizeof(struct rte_pktmbuf_pool_private) + 64;
    struct rte_mempool *pool = aligned_alloc(64, (size + 63) / 64 * 64);
    if (pool == NULL) return NULL;
    memset(pool, 0, (size + 63) / 64 * 64);
    strncpy(pool->name, HEAP_OPS, sizeof pool->name - 1);
    pool->socket_id = SOCKET_ID_ANY;
    pool->size = UINT32_MAX;
    pool->private_data_size = sizeof(struct rte_pktmbuf_pool_private);
    pool->elt_size = (uint32_t)(sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM + data_room);
    struct rte_pktmbuf_pool_private *private = rte_mempool_get_priv(pool);
    private->mbuf_data_room_size = (uint16_t)(data_room + RTE_PKTMBUF_HEADROOM);
    pool->ops_index = -1;
    for (unsigned i = 0; i < rte_mempool_ops_table.num_ops; i++)
        if (strcmp(rte_mempool_ops_table.ops[i].name, HEAP_OPS) == 0) pool->ops_index = (int32_t)i;
    if (pool->ops_index < 0) {
        free(pool);
        return NULL;
    }
    return (struct cdpdk_mempool *)pool;
}

void cdpdk_pool_free(struct cdpdk_mempool *pool) {
    if (pool == NULL) return;
    if (strcmp(pool_of(pool)->name, HEAP_OPS) == 0)
        free(pool);
    else
        rte_mempool_free(pool_of(pool));
}
uint16_t cdpdk_pool_data_room(struct cdpdk_mempool *pool) {
    return (uint16_t)(rte_pktmbuf_data_room_size(pool_of(pool)) - RTE_PKTMBUF_HEADROOM);
}
int64_t cdpdk_heap_pool_outstanding(const struct cdpdk_mempool *pool) {
    return (int64_t)__atomic_load_n(&((const struct rte_mempool *)pool)->pool_id, __ATOMIC_RELAXED);
}

char *cdpdk_pool_describe(struct cdpdk_mempool *pool) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL) return NULL;
    rte_mempool_dump(file, pool_of(pool));
    fclose(file);
    return text;
}
char *cdpdk_heap_describe(void) {
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL) return NULL;
    rte_malloc_dump_stats(file, NULL);
    fclose(file);
    return text;
}
