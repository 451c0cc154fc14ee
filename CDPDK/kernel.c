// Tap devices and packet sockets: bursts of system calls.
//
// Both speak with a header in front of each frame (Linux's `virtio_net_hdr`), so that packets need not be finished when
// they change hands: TCP from and to the host comes in pieces of up to 64 KiB, checksums pending.
//
// A packet socket's frames arrive in a ring that it shares with the kernel (TPACKET_V2), without a system call: to look for some costs
// a load. Those longer than a place of the ring wait in the socket, too, and are fetched from there. A burst is sent with one call: a ring for
// sending was no faster (2026-11-21: 650 against 700 thousand frames a second over veth). A tap device wants one call a frame: a burst of
// calls goes to the kernel in one (batch.c).
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include "internal.h"

#define BURST 32
/// Longest frame: IP's 65,535 bytes behind Ethernet and two tags.
#define LONGEST (65535 + 22)
/// A tag the kernel took out of a frame is put back in front.
#define TAG 4
/// Pieces of one packet in a vector: 64 KiB in buffers of 2 KiB, and some.
#define PIECES 40

struct slot {
    struct virtio_net_hdr header;
    struct iovec vector[PIECES];
    struct sockaddr_ll from;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    } control;
};

struct cdpdk_kernel_queue {
    int fd;
    bool is_socket;
    bool has_header;
    struct express *express;         ///< another way to send; null: there is none
    bool uses_express;
    struct batch *batch;             ///< how frames are written many at a time; null: one by one
    uint8_t *ring;                   ///< of frames received; null: there is none
    size_t ring_bytes;
    uint32_t frame_size, frames;
    uint32_t place;                  ///< of the next frame
    struct rte_mbuf *waiting[BURST]; ///< empty buffers for frames to come
    uint16_t waiting_count;
    uint8_t *spill;                  ///< what does not fit a buffer; `LONGEST` bytes a slot
    struct mmsghdr messages[BURST];
    struct slot slots[BURST];
};

struct cdpdk_kernel_queue *cdpdk_kernel_queue_create(int fd, bool is_socket, bool has_header, bool receives) {
    struct cdpdk_kernel_queue *q = aligned_alloc(64, (sizeof *q + 63) / 64 * 64);
    if (q == NULL) return NULL;
    memset(q, 0, sizeof *q);
    q->fd = fd;
    q->is_socket = is_socket;
    q->has_header = has_header;
    // touched, and so taken from memory, only where long frames come
    if (receives) q->spill = malloc((size_t)LONGEST * (is_socket ? BURST : 1));
    if (receives && q->spill == NULL) {
        free(q);
        return NULL;
    }
    return q;
}

void cdpdk_kernel_queue_free(struct cdpdk_kernel_queue *q) {
    if (q == NULL) return;
    for (unsigned i = 0; i < q->waiting_count; i++) rte_pktmbuf_free(q->waiting[i]);
    express_close(q->express);
    batch_close(q->batch);
    if (q->ring != NULL) munmap(q->ring, q->ring_bytes);
    free(q->spill);
    free(q);
}

void cdpdk_kernel_queue_set_ring(struct cdpdk_kernel_queue *q, void *memory, size_t bytes, uint32_t frame_size, uint32_t frames) {
    q->ring = memory;
    q->ring_bytes = bytes;
    q->frame_size = frame_size;
    q->frames = frames;
}

bool cdpdk_kernel_queue_open_express(struct cdpdk_kernel_queue *q, uint32_t interface) {
    q->express = express_open(interface);
    q->uses_express = q->express != NULL;
    return q->uses_express;
}

void cdpdk_kernel_queue_use_express(struct cdpdk_kernel_queue *q, bool use) {
    __atomic_store_n(&q->uses_express, use && q->express != NULL, __ATOMIC_RELAXED);
}

bool cdpdk_kernel_queue_open_batch(struct cdpdk_kernel_queue *q) {
    q->batch = batch_open(q->fd);
    return q->batch != NULL;
}

/// Appends what did not fit the first buffer in further ones. False if there are none.
static bool add_rest(struct rte_mbuf *m, const uint8_t *rest, uint32_t size, struct rte_mempool *pool) {
    struct rte_mbuf *last = m;
    while (size > 0) {
        struct rte_mbuf *more = rte_pktmbuf_alloc(pool);
        if (more == NULL) return false;
        uint16_t here = rte_pktmbuf_tailroom(more) < size ? rte_pktmbuf_tailroom(more) : (uint16_t)size;
        memcpy(rte_pktmbuf_append(more, here), rest, here);
        rest += here;
        size -= here;
        last->next = more;
        last = more;
        m->nb_segs++;
        m->pkt_len += here;
    }
    return true;
}

/// Makes a packet of `size` bytes received into `m`'s buffer and behind it into `rest`. False if it is none of ours.
static bool finish(
    struct cdpdk_kernel_queue *q, struct rte_mbuf *m, uint32_t size, const uint8_t *rest, const struct virtio_net_hdr *header,
    struct rte_mempool *pool) {
    uint16_t room = rte_pktmbuf_tailroom(m);
    uint16_t first = size < room ? (uint16_t)size : room;
    m->data_len = first;
    m->pkt_len = first;
    if (size > first && (rest == NULL || !add_rest(m, rest, size - first, pool))) return false;
    if (q->has_header && (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
        uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
        bool segments = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
        cdpdk_offload_mark((struct cdpdk_mbuf *)m, segments ? header->gso_size : 0);
    }
    return true;
}

static void insert_tag(struct rte_mbuf *m, uint16_t type, uint16_t tci) {
    uint8_t *d = m->data_len < 12 ? NULL : (uint8_t *)rte_pktmbuf_prepend(m, TAG);
    if (d == NULL) return;
    memmove(d, d + TAG, 12);
    d[12] = (uint8_t)(type >> 8);
    d[13] = (uint8_t)type;
    d[14] = (uint8_t)(tci >> 8);
    d[15] = (uint8_t)tci;
}

/// Puts a VLAN tag back that the kernel took out.
static void restore_tag(struct rte_mbuf *m, const struct msghdr *message) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, c)) {
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
        struct tpacket_auxdata aux;
        memcpy(&aux, CMSG_DATA(c), sizeof aux);
        if ((aux.tp_status & TP_STATUS_VLAN_VALID) != 0)
            insert_tag(m, (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? aux.tp_vlan_tpid : ETH_P_8021Q, aux.tp_vlan_tci);
        return;
    }
}

static uint16_t refill(struct cdpdk_kernel_queue *q, struct rte_mempool *pool, uint16_t n) {
    while (q->waiting_count < n) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        if (m == NULL) break;
        q->waiting[q->waiting_count++] = m;
    }
    return q->waiting_count < n ? q->waiting_count : n;
}

static uint16_t receive_burst(
    struct cdpdk_kernel_queue *q, struct rte_mempool *pool, struct rte_mbuf **out, uint16_t n, struct cdpdk_queue_counters *counters) {
    n = refill(q, pool, n);
    for (uint16_t i = 0; i < n; i++) {
        struct slot *s = &q->slots[i];
        struct rte_mbuf *m = q->waiting[i];
        unsigned pieces = 0;
        if (q->has_header) s->vector[pieces++] = (struct iovec){.iov_base = &s->header, .iov_len = sizeof s->header};
        s->vector[pieces++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(m, void *), .iov_len = rte_pktmbuf_tailroom(m)};
        s->vector[pieces++] = (struct iovec){.iov_base = q->spill + (size_t)i * LONGEST, .iov_len = LONGEST};
        s->from.sll_pkttype = PACKET_HOST;
        q->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &s->from, .msg_namelen = sizeof s->from, .msg_iov = s->vector, .msg_iovlen = pieces,
            .msg_control = &s->control, .msg_controllen = sizeof s->control};
    }
    int got = n > 0 ? recvmmsg(q->fd, q->messages, n, MSG_DONTWAIT, NULL) : 0;
    cdpdk_counter_add(&counters->calls, 1);
    if (got <= 0) return 0;
    uint16_t received = 0;
    for (int i = 0; i < got; i++) {
        struct slot *s = &q->slots[i];
        struct rte_mbuf *m = q->waiting[i];
        uint32_t size = q->messages[i].msg_len, header = q->has_header ? sizeof s->header : 0;
        bool ours = s->from.sll_pkttype != PACKET_OUTGOING;
        if (ours && (q->messages[i].msg_hdr.msg_flags & MSG_TRUNC) == 0 && size > header &&
            finish(q, m, size - header, q->spill + (size_t)i * LONGEST, &s->header, pool)) {
            restore_tag(m, &q->messages[i].msg_hdr);
            out[received++] = m;
        } else {
            if (ours) cdpdk_counter_add(&counters->errors, 1);
            rte_pktmbuf_free(m);
        }
    }
    uint16_t left = (uint16_t)(q->waiting_count - got);
    memmove(q->waiting, q->waiting + got, left * sizeof *q->waiting);
    q->waiting_count = left;
    return received;
}

/// The packet of a frame in the ring; null if it is none of ours.
static struct rte_mbuf *take_frame(
    struct cdpdk_kernel_queue *q, const struct tpacket2_hdr *frame, uint32_t status, struct rte_mbuf *m, struct rte_mempool *pool) {
    struct virtio_net_hdr header = {0};
    const uint8_t *data = (const uint8_t *)frame + frame->tp_mac;
    uint32_t size = frame->tp_snaplen;
    if (size == 0 || frame->tp_mac + size > q->frame_size) return NULL;
    if (q->has_header) memcpy(&header, data - sizeof header, sizeof header);
    uint16_t room = rte_pktmbuf_tailroom(m), first = size < room ? (uint16_t)size : room;
    rte_memcpy(rte_pktmbuf_mtod(m, void *), data, first);
    if (!finish(q, m, size, data + first, &header, pool)) return NULL;
    if ((status & TP_STATUS_VLAN_VALID) != 0)
        insert_tag(m, (status & TP_STATUS_VLAN_TPID_VALID) != 0 ? frame->tp_vlan_tpid : ETH_P_8021Q, frame->tp_vlan_tci);
    return m;
}

/// What the ring has.
static uint16_t ring_burst(
    struct cdpdk_kernel_queue *q, struct rte_mempool *pool, struct rte_mbuf **out, uint16_t n, struct cdpdk_queue_counters *counters) {
    uint16_t received = 0;
    // frames that are refused count too: a flood of them must not keep the thread here
    for (unsigned attempts = 2u * n; received < n && attempts > 0; attempts--) {
        struct tpacket2_hdr *frame = (struct tpacket2_hdr *)(q->ring + (size_t)q->place * q->frame_size);
        uint32_t status = __atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE);
        if ((status & TP_STATUS_USER) == 0) break;
        uint32_t next = q->place + 1 == q->frames ? 0 : q->place + 1;
        // its header and, with IPv4 or IPv6 and the usual ports, all that will be looked at
        const uint8_t *ahead = q->ring + (size_t)next * q->frame_size;
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + 64);
        __builtin_prefetch(ahead + 128);
        const struct sockaddr_ll *from = (const struct sockaddr_ll *)((const uint8_t *)frame + TPACKET_ALIGN(sizeof *frame));
        bool ours = from->sll_pkttype != PACKET_OUTGOING, is_long = (status & TP_STATUS_COPY) != 0;
        struct rte_mbuf *m = NULL;
        if (ours && !is_long) {
            if (q->waiting_count == 0) {
                // without buffers frames stay where they are, and the kernel counts those that find no place
                if (rte_pktmbuf_alloc_bulk(pool, q->waiting, BURST) != 0) break;
                q->waiting_count = BURST;
            }
            struct rte_mbuf *buffer = q->waiting[--q->waiting_count];
            m = frame->tp_snaplen == frame->tp_len ? take_frame(q, frame, status, buffer, pool) : NULL;
            if (m == NULL) rte_pktmbuf_free(buffer);
        }
        __atomic_store_n(&frame->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        q->place = next;
        if (is_long) {
            received = (uint16_t)(received + receive_burst(q, pool, out + received, 1, counters));
        } else if (m != NULL) {
            out[received++] = m;
        } else if (ours) {
            cdpdk_counter_add(&counters->errors, 1);
        }
    }
    return received;
}

/// One frame a call.
static uint16_t read_burst(
    struct cdpdk_kernel_queue *q, struct rte_mempool *pool, struct rte_mbuf **out, uint16_t n, struct cdpdk_queue_counters *counters) {
    uint16_t received = 0;
    // frames that are refused count too: a flood of them must not keep the thread here
    for (unsigned attempts = 2u * n; received < n && attempts > 0 && refill(q, pool, 1) > 0; attempts--) {
        struct rte_mbuf *m = q->waiting[--q->waiting_count];
        struct virtio_net_hdr header;
        struct iovec vector[3];
        int pieces = 0;
        if (q->has_header) vector[pieces++] = (struct iovec){.iov_base = &header, .iov_len = sizeof header};
        vector[pieces++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(m, void *), .iov_len = rte_pktmbuf_tailroom(m)};
        vector[pieces++] = (struct iovec){.iov_base = q->spill, .iov_len = LONGEST};
        ssize_t size;
        do size = readv(q->fd, vector, pieces);
        while (size < 0 && errno == EINTR);
        uint32_t front = q->has_header ? sizeof header : 0;
        if (size <= 0) {
            q->waiting[q->waiting_count++] = m;
            break;
        }
        if ((uint32_t)size > front && finish(q, m, (uint32_t)size - front, q->spill, &header, pool)) {
            out[received++] = m;
        } else {
            cdpdk_counter_add(&counters->errors, 1);
            rte_pktmbuf_free(m);
        }
    }
    return received;
}

uint16_t cdpdk_kernel_rx_burst(
    struct cdpdk_kernel_queue *q, struct cdpdk_mempool *pool, struct cdpdk_mbuf **out, uint16_t n, struct cdpdk_queue_counters *counters) {
    if (n > BURST) n = BURST;
    if (q->ring != NULL) return ring_burst(q, pool_of(pool), reals(out), n, counters);
    return q->is_socket ? receive_burst(q, pool_of(pool), reals(out), n, counters) : read_burst(q, pool_of(pool), reals(out), n, counters);
}

/// The vector of a packet with its header; 0 if it has too many pieces.
static unsigned describe(const struct cdpdk_kernel_queue *q, struct slot *s, const struct rte_mbuf *m) {
    unsigned pieces = 0;
    if (q->has_header) {
        struct cdpdk_offload_request request;
        memset(&s->header, 0, sizeof s->header);
        if (cdpdk_offload_describe((const struct cdpdk_mbuf *)m, &request)) {
            s->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
            s->header.csum_start = request.checksum_start;
            s->header.csum_offset = request.checksum_offset;
            s->header.hdr_len = request.headers;
            s->header.gso_size = request.segment_size;
            if (request.segment_size != 0) s->header.gso_type = request.is_v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        }
        s->vector[pieces++] = (struct iovec){.iov_base = &s->header, .iov_len = sizeof s->header};
    }
    for (; m != NULL; m = m->next) {
        if (pieces == PIECES) return 0;
        s->vector[pieces++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(m, void *), .iov_len = m->data_len};
    }
    return pieces;
}

/// Who asks the device to finish them, or is not finished at all.
#define UNFINISHED (CDPDK_PARTIAL | RTE_MBUF_F_TX_OFFLOAD_MASK)

/// How many packets, from the first, go the express way, or (`otherwise`) do not.
static uint16_t express_run(struct rte_mbuf **m, uint16_t n, bool otherwise) {
    uint16_t i = 0;
    while (i < n && (m[i]->nb_segs == 1 && m[i]->data_len <= EXPRESS_LONGEST && (m[i]->ol_flags & UNFINISHED) == 0) != otherwise) i++;
    return i;
}

/// Sends some packets by messages. 1 or more, or -1 with `errno` for the first one.
static int send_messages(struct cdpdk_kernel_queue *q, struct rte_mbuf **m, uint16_t n) {
    for (uint16_t i = 0; i < n; i++) {
        unsigned pieces = describe(q, &q->slots[i], m[i]);
        q->messages[i].msg_hdr = (struct msghdr){.msg_iov = q->slots[i].vector, .msg_iovlen = pieces};
        if (pieces > 0) continue;
        if (i == 0) {
            errno = EMSGSIZE;
            return -1;
        }
        n = i;
    }
    if (q->is_socket) return sendmmsg(q->fd, q->messages, n, MSG_DONTWAIT);
    return writev(q->fd, q->messages[0].msg_hdr.msg_iov, (int)q->messages[0].msg_hdr.msg_iovlen) > 0 ? 1 : -1;
}

/// A frame to be written: with its header in front if there is room that nobody else uses, else in pieces.
static struct batch_frame batch_frame(const struct cdpdk_kernel_queue *q, struct slot *s, struct rte_mbuf *m, unsigned pieces) {
    bool is_flat = pieces == 1u + q->has_header && m->nb_segs == 1;
    if (is_flat && !q->has_header) return (struct batch_frame){.data = rte_pktmbuf_mtod(m, void *), .size = m->data_len};
    if (is_flat && rte_pktmbuf_headroom(m) >= sizeof s->header && cdpdk_mbuf_is_exclusive((const struct cdpdk_mbuf *)m)) {
        uint8_t *start = rte_pktmbuf_mtod(m, uint8_t *) - sizeof s->header;
        memcpy(start, &s->header, sizeof s->header);
        return (struct batch_frame){.data = start, .size = (uint32_t)(m->data_len + sizeof s->header)};
    }
    return (struct batch_frame){.data = s->vector, .pieces = pieces};
}

/// Writes a burst with one call. Returns how many were taken, and freed; the others are at its end.
static uint16_t batch_burst(struct cdpdk_kernel_queue *q, struct rte_mbuf **m, uint16_t n, struct cdpdk_queue_counters *counters) {
    struct batch_frame frames[BURST];
    struct rte_mbuf *asked[BURST], *taken[BURST], *refused[BURST];
    int results[BURST];
    uint16_t count = 0, taken_count = 0, refused_count = 0;
    for (uint16_t i = 0; i < n; i++) {
        unsigned pieces = describe(q, &q->slots[i], m[i]);
        if (pieces == 0) {
            refused[refused_count++] = m[i];
            continue;
        }
        frames[count] = batch_frame(q, &q->slots[i], m[i], pieces);
        asked[count++] = m[i];
    }
    cdpdk_counter_add(&counters->calls, 1);
    batch_send(q->batch, frames, count, results);
    for (uint16_t i = 0; i < count; i++) {
        if (results[i] > 0)
            taken[taken_count++] = asked[i];
        else
            refused[refused_count++] = asked[i];
    }
    cdpdk_count_burst(counters, (struct cdpdk_mbuf **)taken, taken_count, false);
    if (taken_count > 0) rte_pktmbuf_free_bulk(taken, taken_count);
    memcpy(m + taken_count, refused, refused_count * sizeof *m);
    return taken_count;
}

uint16_t cdpdk_kernel_tx_burst(
    struct cdpdk_kernel_queue *q, struct cdpdk_mbuf **packets, uint16_t count, struct cdpdk_queue_counters *counters) {
    struct rte_mbuf **m = reals(packets);
    struct rte_mbuf *refused[BURST];
    uint16_t refused_count = 0, n = count < BURST ? count : BURST;
    uint16_t done = 0, sent = 0;
    // one frame is cheaper with a call of its own
    if (q->batch != NULL && n > 1 && !batch_is_gone(q->batch)) return batch_burst(q, m, n, counters);
    while (done < n) {
        bool express = __atomic_load_n(&q->uses_express, __ATOMIC_RELAXED) && !express_is_gone(q->express);
        uint16_t run = express ? express_run(m + done, (uint16_t)(n - done), false) : 0;
        bool is_express = run > 0;
        int took;
        cdpdk_counter_add(&counters->calls, 1);
        if (is_express) {
            took = express_send(q->express, m + done, run);
            if (took < run && express_is_gone(q->express) && took == 0) continue;
            errno = ENOBUFS;
        } else {
            // a tap device takes one a call
            run = !q->is_socket ? 1 : express ? express_run(m + done, (uint16_t)(n - done), true) : (uint16_t)(n - done);
            took = send_messages(q, m + done, run);
            if (took < 0 && errno == EINTR) continue;
        }
        if (took > 0) {
            cdpdk_count_burst(counters, packets + done, (uint16_t)took, false);
            rte_pktmbuf_free_bulk(m + done, (unsigned)took);
            done = (uint16_t)(done + took);
            sent = (uint16_t)(sent + took);
            if (!is_express || took == run) continue;
        }
        // this one is not taken; if there is no room, nor are the others
        bool is_full = errno == EAGAIN || errno == ENOBUFS;
        do refused[refused_count++] = m[done++];
        while (is_full && done < n);
    }
    memcpy(m + sent, refused, refused_count * sizeof *m);
    // a burst is never longer than this; what is, stays where it is behind those refused
    return sent;
}
