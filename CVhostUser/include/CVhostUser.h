// vhost-user ports over DPDK's rte_vhost, with a guard in front of it.
//
// A *socket* is one path that the switch listens on (server) or connects to (client, again and again with growing pauses).
// One front-end (guest) is attached to it at a time: the last one that became ready, so that a guest which is restarted
// need not wait until its predecessor's death is noticed. Front-ends speak to the guard (guard.c), which reads, checks and
// hands on their messages; rte_vhost itself listens in a directory of ours.
// Callbacks become state here that others poll: nothing is called back into Swift.
//
// ## Thread safety
//
// rte_vhost's own threads attach and detach guests. A PMD thread enters a virtqueue by taking its lock word (one
// atomic exchange a burst), and reads the device id only inside. `destroy_device` first withdraws the device id, then
// takes and releases every lock word: after it, no PMD thread can be inside, and rte_vhost may unmap the guest's memory.
// The same lock word lets several PMD threads share a guest's receive queue.
// rte_vhost calls `vring_state_changed` with all of its queue locks held, which a PMD thread inside may be waiting for;
// hence that callback only writes atomics and waits for nobody. `destroy_device` is never called under those locks.
//
// Open, close and the queries belong to control threads. `cvhost_close` frees the socket: the caller must have taken its
// handles away from all PMD threads and waited for a grace period.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "CDPDK.h"

#pragma clang assume_nonnull begin

struct cvhost_socket;

/// Queue pairs a socket can have: rte_vhost's own limit.
#define CVHOST_MAX_QUEUE_PAIRS 128
/// Sockets there can be.
#define CVHOST_MAX_SOCKETS 1024
/// `sun_path` less its terminating zero.
#define CVHOST_MAX_PATH 107
#define CVHOST_REASON_SIZE 320

struct cvhost_options {
    bool client;              ///< connect instead of listen
    bool iommu;               ///< offer VIRTIO_F_IOMMU_PLATFORM
    bool postcopy;
    bool offloads;            ///< offer checksum and segmentation offload in both directions
    uint8_t tx_retries;       ///< extra attempts of a transmit burst that a guest's ring did not take whole, 0 to 32
    uint16_t mode;            ///< server: permissions of the socket
    uint32_t owner;           ///< server: UINT32_MAX leaves it
    uint32_t group;
};

/// What happened on a socket, as counters.
enum {
    CVHOST_EVENT_CONNECTED,          ///< front-ends that connected
    CVHOST_EVENT_REFUSED,            ///< ... cut off for a message that is not valid
    CVHOST_EVENT_REFUSED_BY_LIBRARY, ///< ... that rte_vhost cut off
    CVHOST_EVENT_STALLED,            ///< ... that left a message half, or a reply untaken
    CVHOST_EVENT_EVICTED,            ///< ... that had set up nothing when others came
    CVHOST_EVENT_SLOWED,             ///< times that messages or connections came too fast, and were taken more slowly
    CVHOST_EVENT_FAULT,              ///< accesses to guest memory that was not there
    CVHOST_EVENT_SHRUNK,             ///< front-ends cut off for that
    CVHOST_EVENT_STUCK,              ///< ... whose full eventfd held a thread
    CVHOST_EVENT_DEAR,               ///< bursts that cost much more than their packets are worth, after which the queue rested
    CVHOST_EVENTS
};

/// Registers and starts the path. In server mode the socket exists, with its mode and owner, when this returns. `directory` is
/// where a folder for rte_vhost's own sockets may be made; empty or too long: in /tmp. Received packets' memory comes from `pool`.
/// Null on failure, with the reason in `error`.
struct cvhost_socket *_Nullable cvhost_open(
    const char *path, const char *directory, const struct cvhost_options *options, struct cdpdk_mempool *pool, char *error,
    size_t error_size);
/// Detaches the guest, stops listening or connecting, and frees.
void cvhost_close(struct cvhost_socket *s);

/// What is known of the guest. All zero but `generation` if none is attached.
struct cvhost_state {
    uint64_t generation;      ///< changes whenever anything below does
    bool connected;           ///< a front-end is connected
    bool running;             ///< its queues may be used: link up
    int vid;
    uint16_t queue_pairs;     ///< pairs the front-end has set up, at most CVHOST_MAX_QUEUE_PAIRS
    uint16_t enabled_rx;      ///< virtqueues enabled that we receive from
    uint16_t enabled_tx;      ///< virtqueues enabled that we send to
    uint16_t guest_mtu;       ///< 0: unknown
    int numa;                 ///< -1: unknown
    uint64_t features;        ///< negotiated virtio features
    uint32_t offloads;        ///< CDPDK_OFFLOAD_*: what the guest takes
    uint64_t events[CVHOST_EVENTS];
    char reason[CVHOST_REASON_SIZE]; ///< not running: why, in a sentence without its full stop
};
/// Descriptors of a virtqueue of the running guest; 0 if there is none.
uint16_t cvhost_ring_size(struct cvhost_socket *s, uint16_t index);
void cvhost_get_state(struct cvhost_socket *s, struct cvhost_state *state);
uint64_t cvhost_generation(const struct cvhost_socket *s);
/// Changes whenever any socket's state does: one number to poll for all.
uint64_t cvhost_global_generation(void);
/// An eventfd that becomes readable whenever any socket's state changes; -1 if there is none.
int cvhost_event_fd(void);
void cvhost_set_tx_retries(struct cvhost_socket *s, uint8_t retries);
/// From the next burst on, received packets' memory comes from `pool`. The old pool stays: packets of it may be under way.
void cvhost_set_pool(struct cvhost_socket *s, struct cdpdk_mempool *pool);

/// Up to `n` packets that the guest sent on queue pair `pair`, each in one segment if it fits one mbuf of the socket's pool.
/// 0 if there is no such queue at the moment.
CDPDK_HOT uint16_t cvhost_rx_burst(struct cvhost_socket *s, uint16_t pair, struct cdpdk_mbuf *_Nonnull *_Nonnull out, uint16_t n);
/// Copies packets to the guest, retrying up to `tx_retries` times while the guest makes room. `queue` is any number (say the
/// PMD thread's): it is mapped to a queue that the guest has enabled. Returns how many, from the first, were sent: those
/// are freed here; the rest stay the caller's.
CDPDK_HOT uint16_t cvhost_tx_burst(
    struct cvhost_socket *s, uint32_t queue, struct cdpdk_mbuf *_Nonnull *_Nonnull packets, uint16_t n);
/// Whether a guest's queue can be used at the moment (a relaxed look).
CDPDK_HOT bool cvhost_is_running(const struct cvhost_socket *s);

/// Counters of one queue pair's directions; null beyond the last pair.
struct cdpdk_queue_counters *_Nullable cvhost_rx_counters(struct cvhost_socket *s, uint16_t pair);
struct cdpdk_queue_counters *_Nullable cvhost_tx_counters(struct cvhost_socket *s, uint16_t pair);

/// Reads a front-end's messages from a socket that does not block, as the guard does, checks them, and drops them instead of handing them
/// on. Returns how many were let through, or -1 if what was let through is not one valid message after another, which must not
/// happen. Closes the descriptor. For fuzzers and tests.
int cvhost_replay(int front);

#pragma clang assume_nonnull end
