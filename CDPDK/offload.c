// Packets that are not finished: their checksum is to be computed, or they are to be cut into segments.
//
// A guest or a tap device hands such packets over, marked as rte_vhost marks them: `RX_L4_CKSUM_NONE` (the checksum field
// means nothing, the bytes are right) and `RX_LRO` with `tso_segsz` (one TCP packet that stands for several). What the sender
// claimed about *where* its headers are is not looked at again: headers are found here, from the bytes as they are when
// the packet leaves, so that whatever was rewritten in between is right, and whatever was a lie does no harm.
#include <netinet/in.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include "internal.h"

_Static_assert(CDPDK_PARTIAL == (RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_BAD), "marks of packets that are not finished");
_Static_assert(RTE_MBUF_F_RX_L4_CKSUM_NONE == (RTE_MBUF_F_RX_L4_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_GOOD), "checksum marks");

/// VLAN tags, MPLS labels and IPv6 extension headers looked through; the flow extractor knows fewer tags and labels.
#define MAX_TAGS 4
#define MAX_LABELS 8
#define MAX_EXTENSIONS 12
/// A packet becomes at most so many segments: 64 KiB in pieces of 256 bytes. A guest that wants smaller ones wants the work.
#define MAX_PIECES 256

#define MARKS (RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_MASK)
#define TX_MARKS                                                                                                       \
    (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6)

/// Where the headers are. All of them are in the first segment.
struct where {
    uint32_t l3, l4, payload; ///< offsets; `payload` is where the transport's data begins
    uint32_t end;             ///< of the IP packet: what follows is padding
    uint8_t protocol;
    bool is_v6;
};

static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline void put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static inline void put32(uint8_t *p, uint32_t v) {
    put16(p, (uint16_t)(v >> 16));
    put16(p + 2, (uint16_t)v);
}

static bool find_transport(const uint8_t *d, uint32_t have, struct where *w) {
    if (w->protocol == IPPROTO_TCP) {
        if (w->l4 + 20 > have || w->l4 + 20 > w->end) return false;
        uint32_t header = (uint32_t)(d[w->l4 + 12] >> 4) * 4;
        w->payload = w->l4 + header;
        return header >= 20 && w->payload <= w->end && w->payload <= have;
    }
    w->payload = w->l4 + 8;
    return w->protocol == IPPROTO_UDP && w->payload <= w->end && w->payload <= have;
}

/// Finds TCP or UDP. False if there is none, or if lengths contradict each other.
static bool find_headers(const struct rte_mbuf *m, struct where *w) {
    const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
    uint32_t have = m->data_len, whole = m->pkt_len, at = 12;
    if (have < 14) return false;
    uint16_t type = get16(d + at);
    for (unsigned tags = 0; (type == 0x8100 || type == 0x88a8 || type == 0x9100) && tags < MAX_TAGS; tags++) {
        at += 4;
        if (at + 2 > have) return false;
        type = get16(d + at);
    }
    at += 2;
    if (type == 0x8847 || type == 0x8848) {
        bool bottom = false;
        for (unsigned labels = 0; !bottom && labels < MAX_LABELS; labels++) {
            if (at + 4 > have) return false;
            bottom = (d[at + 2] & 1) != 0;
            at += 4;
        }
        if (!bottom || at >= have) return false;
        type = d[at] >> 4 == 4 ? 0x0800 : d[at] >> 4 == 6 ? 0x86dd : 0;
    }
    w->l3 = at;
    if (type == 0x0800) {
        if (at + 20 > have || d[at] >> 4 != 4) return false;
        uint32_t header = (uint32_t)(d[at] & 15) * 4;
        w->is_v6 = false;
        w->end = at + get16(d + at + 2);
        w->protocol = d[at + 9];
        w->l4 = at + header;
        if (header < 20 || w->end > whole || w->l4 > w->end || (get16(d + at + 6) & 0x3fff) != 0) return false;
    } else if (type == 0x86dd) {
        if (at + 40 > have || d[at] >> 4 != 6) return false;
        w->is_v6 = true;
        w->end = at + 40 + get16(d + at + 4);
        w->protocol = d[at + 6];
        w->l4 = at + 40;
        if (w->end > whole) return false;
        for (unsigned n = 0; w->protocol == IPPROTO_HOPOPTS || w->protocol == IPPROTO_ROUTING || w->protocol == IPPROTO_DSTOPTS; n++) {
            if (n == MAX_EXTENSIONS || w->l4 + 8 > have) return false;
            // with segments left, the checksum covers an address that is not in the header
            if (w->protocol == IPPROTO_ROUTING && d[w->l4 + 3] != 0) return false;
            w->protocol = d[w->l4];
            w->l4 += ((uint32_t)d[w->l4 + 1] + 1) * 8;
            if (w->l4 > w->end) return false;
        }
    } else {
        return false;
    }
    return find_transport(d, have, w);
}

static inline uint8_t *checksum_field(uint8_t *d, const struct where *w) {
    return d + w->l4 + (w->protocol == IPPROTO_TCP ? 16 : 6);
}

static uint64_t add_words(uint64_t sum, const uint8_t *p, uint32_t n) {
    return sum + rte_raw_cksum(p, n);
}
static uint16_t fold(uint64_t sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/// The pseudo header's sum in memory order, for a transport part of `length` bytes.
static uint64_t pseudo_sum(const uint8_t *d, const struct where *w, uint32_t length) {
    uint64_t sum = w->is_v6 ? add_words(0, d + w->l3 + 8, 32) : add_words(0, d + w->l3 + 12, 8);
    return sum + rte_cpu_to_be_16(w->protocol) + rte_cpu_to_be_16((uint16_t)length) + rte_cpu_to_be_16((uint16_t)(length >> 16));
}

static void store_checksum(uint8_t *d, const struct where *w, uint64_t sum) {
    uint16_t checksum = (uint16_t)~fold(sum);
    if (checksum == 0 && w->protocol == IPPROTO_UDP) checksum = 0xffff;
    memcpy(checksum_field(d, w), &checksum, 2);
}

/// Computes the transport checksum over all segments.
static void compute_checksum(struct rte_mbuf *m, const struct where *w) {
    uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
    memset(checksum_field(d, w), 0, 2);
    uint16_t sum = 0;
    if (rte_raw_cksum_mbuf(m, w->l4, w->end - w->l4, &sum) != 0) return;
    store_checksum(d, w, pseudo_sum(d, w, w->end - w->l4) + sum);
}

static void compute_ipv4_checksum(uint8_t *d, const struct where *w) {
    if (w->is_v6) return;
    put16(d + w->l3 + 10, 0);
    uint16_t checksum = (uint16_t)~fold(add_words(0, d + w->l3, w->l4 - w->l3));
    memcpy(d + w->l3 + 10, &checksum, 2);
}

static inline bool has_pending_checksum(const struct rte_mbuf *m) {
    return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

/// Tells the device where the checksum goes; the pseudo header's sum is in its place.
static void hand_checksum_over(struct rte_mbuf *m, const struct where *w) {
    uint8_t *d = rte_pktmbuf_mtod(m, uint8_t *);
    uint16_t partial = fold(pseudo_sum(d, w, w->end - w->l4));
    memcpy(checksum_field(d, w), &partial, 2);
    m->l2_len = w->l3;
    m->l3_len = w->l4 - w->l3;
    m->l4_len = w->payload - w->l4;
    m->ol_flags &= ~(MARKS | TX_MARKS);
    m->ol_flags |= (w->protocol == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM) |
                   (w->is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
}

/// The fields a device is told by have few bits.
static bool fits_fields(const struct where *w) { return w->l3 < 1u << 7 && w->l4 - w->l3 < 1u << 9 && w->payload - w->l4 < 1u << 8; }

uint32_t cdpdk_offload_prepare(struct cdpdk_mbuf *packet, uint32_t can, uint32_t longest) {
    struct rte_mbuf *m = real(packet);
    struct where w;
    bool is_long = (m->ol_flags & RTE_MBUF_F_RX_LRO) != 0;
    if (!is_long && m->pkt_len > longest) return CDPDK_OFFLOAD_OVERSIZE;
    if (!is_long && !has_pending_checksum(m)) return 1;
    if (!find_headers(m, &w)) {
        if (is_long) return CDPDK_OFFLOAD_MALFORMED;
        // nothing that has such a checksum: it goes as it came
        m->ol_flags &= ~(uint64_t)MARKS;
        return 1;
    }
    if (!is_long) {
        if ((can & CDPDK_OFFLOAD_CHECKSUM) != 0 && fits_fields(&w)) {
            hand_checksum_over(m, &w);
        } else {
            compute_checksum(m, &w);
            m->ol_flags &= ~(uint64_t)MARKS;
        }
        return 1;
    }
    uint32_t size = m->tso_segsz, data = w.end - w.payload;
    if (w.protocol != IPPROTO_TCP || size == 0) return CDPDK_OFFLOAD_MALFORMED;
    if (data <= size) {
        // one segment is no segmentation
        m->ol_flags &= ~(uint64_t)RTE_MBUF_F_RX_LRO;
        m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
        return cdpdk_offload_prepare(packet, can, longest);
    }
    if (w.payload + size > longest) return CDPDK_OFFLOAD_OVERSIZE;
    uint32_t count = (data + size - 1) / size;
    if (count > MAX_PIECES) return CDPDK_OFFLOAD_MALFORMED;
    if ((can & (w.is_v6 ? CDPDK_OFFLOAD_TSO6 : CDPDK_OFFLOAD_TSO4)) != 0 && fits_fields(&w)) {
        hand_checksum_over(m, &w);
        m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
        if ((can & CDPDK_OFFLOAD_IPV4) != 0 && !w.is_v6) m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
        return 1;
    }
    return count;
}

struct cdpdk_mbuf *cdpdk_offload_piece(struct cdpdk_mbuf *packet, uint32_t index, uint32_t can, struct cdpdk_mempool *pool) {
    const struct rte_mbuf *m = real(packet);
    struct where w;
    if (!find_headers(m, &w)) return NULL;
    uint32_t size = m->tso_segsz, data = w.end - w.payload, from = index * size;
    if (size == 0 || from >= data) return NULL;
    bool is_last = from + size >= data;
    if (is_last) size = data - from;
    struct rte_mbuf *piece = rte_pktmbuf_alloc(pool_of(pool));
    if (piece == NULL) return NULL;
    uint8_t *d = (uint8_t *)rte_pktmbuf_append(piece, (uint16_t)(w.payload + size));
    struct rte_mbuf *tail = NULL;
    if (d == NULL) {
        // the buffers of the port it came in by are shorter than this one's frames: the data goes to one more
        d = (uint8_t *)rte_pktmbuf_append(piece, (uint16_t)w.payload);
        tail = d != NULL ? rte_pktmbuf_alloc(pool_of(pool)) : NULL;
        uint8_t *more = tail != NULL ? (uint8_t *)rte_pktmbuf_append(tail, (uint16_t)size) : NULL;
        if (more == NULL) {
            rte_pktmbuf_free(piece);
            rte_pktmbuf_free(tail);
            return NULL;
        }
        cdpdk_mbuf_read(packet, w.payload + from, size, more);
        piece->next = tail;
        piece->nb_segs = 2;
        piece->pkt_len += size;
    } else {
        cdpdk_mbuf_read(packet, w.payload + from, size, d + w.payload);
    }
    cdpdk_mbuf_read(packet, 0, w.payload, d);
    piece->port = m->port;
    piece->hash = m->hash;
    w.end = w.payload + size;
    if (w.is_v6) {
        put16(d + w.l3 + 4, (uint16_t)(w.end - w.l3 - 40));
    } else {
        put16(d + w.l3 + 2, (uint16_t)(w.end - w.l3));
        put16(d + w.l3 + 4, (uint16_t)(get16(d + w.l3 + 4) + index));
        compute_ipv4_checksum(d, &w);
    }
    put32(d + w.l4 + 4, get32(d + w.l4 + 4) + from);
    // FIN and PSH belong to the last, CWR to the first (RFC 3168 section 6.1.2: once)
    if (!is_last) d[w.l4 + 13] &= (uint8_t)~0x09;
    if (index > 0) d[w.l4 + 13] &= (uint8_t)~0x80;
    if ((can & CDPDK_OFFLOAD_CHECKSUM) != 0 && fits_fields(&w))
        hand_checksum_over(piece, &w);
    else
        compute_checksum(piece, &w);
    return (struct cdpdk_mbuf *)piece;
}

void cdpdk_offload_complete(struct cdpdk_mbuf *packet) {
    struct rte_mbuf *m = real(packet);
    struct where w;
    if ((has_pending_checksum(m) || (m->ol_flags & RTE_MBUF_F_RX_LRO) != 0) && find_headers(m, &w)) compute_checksum(m, &w);
    m->ol_flags &= ~(uint64_t)MARKS;
}

void cdpdk_offload_mark(struct cdpdk_mbuf *packet, uint16_t segment_size) {
    struct rte_mbuf *m = real(packet);
    m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
    if (segment_size == 0) return;
    m->ol_flags |= RTE_MBUF_F_RX_LRO;
    m->tso_segsz = segment_size;
}

bool cdpdk_offload_describe(const struct cdpdk_mbuf *packet, struct cdpdk_offload_request *out) {
    const struct rte_mbuf *m = real(packet);
    if ((m->ol_flags & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_L4_MASK)) == 0) return false;
    bool is_tcp = (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
    out->checksum_start = (uint16_t)(m->l2_len + m->l3_len);
    out->checksum_offset = is_tcp ? 16 : 6;
    out->headers = (uint16_t)(m->l2_len + m->l3_len + m->l4_len);
    out->is_v6 = (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0;
    out->segment_size = (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0 ? m->tso_segsz : 0;
    return true;
}
