// Packets: the mirror's proof, and what needs DPDK's own inline functions.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sched.h>
#include "internal.h"

#define SAME(ours, theirs)                                                                                            \
    _Static_assert(offsetof(struct cdpdk_mbuf, ours) == offsetof(struct rte_mbuf, theirs), "offset of " #ours);       \
    _Static_assert(sizeof(((struct cdpdk_mbuf *)0)->ours) == sizeof(((struct rte_mbuf *)0)->theirs), "size of " #ours)
SAME(buf_addr, buf_addr);
SAME(buf_iova, buf_iova);
SAME(data_off, data_off);
SAME(refcnt, refcnt);
SAME(nb_segs, nb_segs);
SAME(port, port);
SAME(ol_flags, ol_flags);
SAME(packet_type, packet_type);
SAME(pkt_len, pkt_len);
SAME(data_len, data_len);
SAME(vlan_tci, vlan_tci);
SAME(hash_rss, hash.rss);
SAME(hash_high, hash.fdir.hi);
SAME(vlan_tci_outer, vlan_tci_outer);
SAME(buf_len, buf_len);
SAME(pool, pool);
SAME(next, next);
SAME(tx_offload, tx_offload);
SAME(shinfo, shinfo);
SAME(priv_size, priv_size);
SAME(timesync, timesync);
_Static_assert(offsetof(struct cdpdk_mbuf, driver_fields) == offsetof(struct rte_mbuf, dynfield1), "dynamic fields");
_Static_assert(offsetof(struct cdpdk_mbuf, user) + 24 == sizeof(struct rte_mbuf), "the switch's fields are the last");
_Static_assert(sizeof(struct cdpdk_mbuf) == sizeof(struct rte_mbuf), "size of the mbuf");
_Static_assert(CDPDK_HEADROOM == RTE_PKTMBUF_HEADROOM, "headroom");
_Static_assert(RTE_MBUF_F_EXTERNAL == 1ull << 61 && offsetof(struct rte_mbuf_ext_shared_info, refcnt) == 16, "external buffers");
_Static_assert((3ull << 61) == (RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT), "attached buffers");

void cdpdk_reason(char *error, size_t size, const char *format, ...) {
    if (size == 0) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, size, format, arguments);
    va_end(arguments);
    size_t n = strlen(error);
    while (n > 0 && (error[n - 1] == '\n' || error[n - 1] == ' ')) error[--n] = 0;
}

struct cdpdk_mbuf *cdpdk_mbuf_alloc(struct cdpdk_mempool *pool) {
    return (struct cdpdk_mbuf *)rte_pktmbuf_alloc(pool_of(pool));
}
bool cdpdk_mbuf_alloc_bulk(struct cdpdk_mempool *pool, struct cdpdk_mbuf **out, uint16_t n) {
    return rte_pktmbuf_alloc_bulk(pool_of(pool), reals(out), n) == 0;
}
void cdpdk_mbuf_free(struct cdpdk_mbuf *m) { rte_pktmbuf_free(real(m)); }
void cdpdk_mbuf_free_bulk(struct cdpdk_mbuf **m, uint16_t n) { rte_pktmbuf_free_bulk(reals(m), n); }

struct cdpdk_mbuf *cdpdk_mbuf_copy(
    const struct cdpdk_mbuf *m, struct cdpdk_mempool *pool, uint32_t offset, uint32_t length) {
    return (struct cdpdk_mbuf *)rte_pktmbuf_copy(real(m), pool_of(pool), offset, length);
}
struct cdpdk_mbuf *cdpdk_mbuf_clone(struct cdpdk_mbuf *m, struct cdpdk_mempool *pool) {
    return (struct cdpdk_mbuf *)rte_pktmbuf_clone(real(m), pool_of(pool));
}
int cdpdk_mbuf_linearize(struct cdpdk_mbuf *m) { return rte_pktmbuf_linearize(real(m)); }

int cdpdk_mbuf_pull(struct cdpdk_mbuf *packet, uint16_t n) {
    struct rte_mbuf *first = real(packet);
    if (n > first->pkt_len) n = (uint16_t)first->pkt_len;
    while (first->data_len < n) {
        struct rte_mbuf *second = first->next;
        if (second == NULL) return -1;
        uint16_t missing = (uint16_t)(n - first->data_len);
        uint16_t moved = missing < second->data_len ? missing : second->data_len;
        if (moved > rte_pktmbuf_tailroom(first)) return -1;
        memcpy(rte_pktmbuf_mtod_offset(first, char *, first->data_len), rte_pktmbuf_mtod(second, char *), moved);
        first->data_len += moved;
        second->data_off += moved;
        second->data_len -= moved;
        if (second->data_len == 0) {
            first->next = second->next;
            first->nb_segs--;
            second->next = NULL;
            second->nb_segs = 1;
            rte_pktmbuf_free_seg(second);
        }
    }
    return 0;
}

void cdpdk_mbuf_add_references(struct cdpdk_mbuf *m, uint16_t n) { rte_pktmbuf_refcnt_update(real(m), (int16_t)n); }

uint32_t cdpdk_mbuf_read(const struct cdpdk_mbuf *m, uint32_t offset, uint32_t length, uint8_t *to) {
    uint32_t done = 0;
    for (const struct cdpdk_mbuf *segment = m; segment != NULL && done < length; segment = segment->next) {
        if (offset >= segment->data_len) {
            offset -= segment->data_len;
            continue;
        }
        uint32_t here = segment->data_len - offset;
        if (here > length - done) here = length - done;
        memcpy(to + done, cdpdk_mbuf_data(segment) + offset, here);
        done += here;
        offset = 0;
    }
    return done;
}

/// Spins before the holder is taken for preempted and the CPU is given away: some microseconds, far above a burst's time.
#define SPINS_BEFORE_YIELD 2000

void cdpdk_spin_lock(uint64_t *word) {
    for (unsigned spins = 0; __atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE) != 0;) {
        while (__atomic_load_n(word, __ATOMIC_RELAXED) != 0) {
            _mm_pause();
            if (++spins % SPINS_BEFORE_YIELD == 0) sched_yield();
        }
    }
}
