// What the files of this folder share: the socket, the front-ends that speak on it, and who may touch what.
//
//     front-end (QEMU, ...)  <--- front --->  guard.c, session.c  <--- back --->  rte_vhost  --- callbacks --->  vhost.c, burst.c  <--->  PMD threads
//
// rte_vhost reads all of its sockets with one thread and blocking calls, and trusts what it reads: one half message would
// stop every guest's control plane. So front-ends never reach it: the guard owns the real sockets, reads whole messages
// with deadlines, checks each one (message.c), and hands only those on, over a socket in a directory of its own.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdatomic.h>
#include "CVhostUser.h"

#define NO_DEVICE (-1)
/// Front-ends a socket has at once: the guest's, and those that are about to replace it or to be noticed as dead.
#define MAX_SESSIONS 4
/// Virtqueues a front-end may name.
#define MAX_RINGS (2 * CVHOST_MAX_QUEUE_PAIRS)
/// File descriptors with one message: a memory table of this many regions has most.
#define MAX_REGIONS 8
#define HEADER_SIZE 12
/// Longest payload of any message that is let through: the memory table's.
#define MAX_PAYLOAD (8 + 32 * MAX_REGIONS)
/// A memory region, the dirty log and the inflight record are files of the front-end's.
#define LOG_FILE MAX_REGIONS
#define INFLIGHT_FILE (MAX_REGIONS + 1)
#define MAX_FILES (MAX_REGIONS + 2)

/// A message as it came, whole.
struct message {
    uint8_t bytes[HEADER_SIZE + MAX_PAYLOAD];
    uint32_t have;              ///< bytes read so far
    int fds[MAX_REGIONS];
    unsigned fd_count;
};

/// What a front-end has said about itself, as far as later messages are checked against it.
struct knowledge {
    uint64_t features;
    bool may_postcopy;               ///< its port offers post-copy migration
    bool listens;                    ///< it migrates so: from now on each memory table is answered, and it acknowledges the answer
    bool owes_answer;                ///< rte_vhost waits for that, and does nothing else meanwhile
    struct region {
        uint64_t guest, user, size;
    } regions[MAX_REGIONS];
    unsigned region_count;
    uint32_t ring_size[MAX_RINGS];   ///< 0: not said since the ring was last made or stopped
    /// Where its descriptors, its used and its available ring are; without a size they do not count.
    struct place {
        bool is_known;
        uint64_t part[3];
    } places[MAX_RINGS];
    uint16_t base[MAX_RINGS];        ///< where it said that the ring goes on
    bool base_is_new[MAX_RINGS];     ///< it said so after it last gave the ring's addresses
    /// Copies of descriptors: the files that are mapped, with the bytes that must be there, and the guest's call eventfds.
    struct file {
        int fd;
        uint64_t bytes;
    } files[MAX_FILES];
    int calls[MAX_RINGS];
};

void knowledge_init(struct knowledge *k);
void knowledge_release(struct knowledge *k);
/// Whether a file that is mapped has become shorter than what is mapped of it.
bool knowledge_has_shrunk(const struct knowledge *k);

/// Bytes of payload the header announces, or -1 with a reason if such a message is not let through.
int message_payload(const struct message *m, char *reason, size_t reason_size);
/// Whether the whole message may be handed on. If so, `k` has learnt from it.
bool message_check(struct message *m, struct knowledge *k, char *reason, size_t reason_size);
void message_clear(struct message *m);
const char *request_name(uint32_t request);

#define REQUEST_SET_VRING_ADDR 9
#define REQUEST_SET_VRING_BASE 10
#define FEATURE_MULTIQUEUE (1ull << 22)
#define FEATURE_LOG_ALL (1ull << 26)
#define FEATURE_IOMMU (1ull << 33)
#define FEATURE_PACKED (1ull << 34)
#define FEATURE_IN_ORDER (1ull << 35)

// resume.c
/// After a checked message: if it gives the addresses of a packed ring whose place the front-end does not know any more, appends the
/// message that does. To be called for each message, in their order.
void resume_append(struct message *m, struct knowledge *k);

/// One direction of a queue pair. The lock word lives in its counters.
struct queue {
    struct cdpdk_queue_counters counters;
    uint16_t index;            ///< of the virtqueue: even ones we send to, odd ones we receive from
    uint8_t silence;           ///< the guest is to be told not to notify us; done by whoever holds the lock
    // burst.c, by whoever holds the lock
    uint8_t dear;              ///< how many bursts of late cost more than they were worth
    uint8_t empty_polls;       ///< in a row
    uint64_t rests_until;      ///< TSC; 0: it does not rest
} __attribute__((aligned(64)));

/// One bit a queue pair.
struct bits {
    uint64_t word[CVHOST_MAX_QUEUE_PAIRS / 64];
};

/// A front-end from its connection to its end.
struct session {
    bool used;
    int front, back;
    uint32_t front_watch, back_watch;
    uint32_t front_interest, back_interest; ///< epoll events asked for
    _Atomic int vid;           ///< NO_DEVICE until rte_vhost has accepted; written by its thread
    _Atomic bool gone;         ///< rte_vhost has closed it
    uint64_t serial;
    struct message in;         ///< being read, or waiting to be handed on
    uint32_t payload;          ///< of `in`, once its header is there
    bool whole;                ///< `in` is checked and waits for room in `back`
    uint32_t handed;           ///< bytes of it that went
    uint64_t deadline;         ///< for `in` to be whole, or for `out` to be taken; 0: none
    uint64_t tokens, refilled; ///< messages that may be read at once
    uint64_t paused_until;
    uint8_t out[1024];         ///< to the front-end
    uint32_t out_size, out_sent;
    int out_fds[MAX_REGIONS];
    unsigned out_fd_count;
    uint32_t last_request;
    struct knowledge known;
    struct bits rx_enabled, tx_enabled;
};

struct cvhost_socket {
    // read by the data path
    int vid __attribute__((aligned(64)));  ///< NO_DEVICE unless running
    uint32_t pairs;            ///< queue pairs in use
    uint32_t offloads;         ///< CDPDK_OFFLOAD_*: what the guest takes
    struct cdpdk_mempool *pool;
    uint8_t tx_retries;
    bool packed;               ///< its rings are
    struct bits rx_enabled;    ///< of the running device
    struct bits tx_enabled;
    uint8_t tx_map[CVHOST_MAX_QUEUE_PAIRS]; ///< from a queue number to an enabled pair
    struct queue rx[CVHOST_MAX_QUEUE_PAIRS];
    struct queue tx[CVHOST_MAX_QUEUE_PAIRS];
    // control
    int attached;              ///< the device `vid` is or was, until it is destroyed
    uint64_t generation;
    uint64_t events[CVHOST_EVENTS];
    uint64_t faults_seen;      ///< the guard's
    struct cvhost_socket *next;
    char inner[CVHOST_MAX_PATH + 1]; ///< rte_vhost's
    // the guard's, under its lock
    struct cvhost_options options;
    char path[CVHOST_MAX_PATH + 1];
    int listener;
    uint32_t listener_watch;
    uint64_t listener_device, listener_inode;
    uint64_t accept_tokens, accept_refilled;
    uint64_t retry_at, backoff; ///< client: when to connect next
    uint64_t serial;
    int connect_error;
    uint64_t awaiting_since;
    _Atomic int awaiting;      ///< index of the session whose device is not known yet, or -1
    struct session sessions[MAX_SESSIONS];
    char reason[CVHOST_REASON_SIZE];
};

// registry.c
#define REGISTRY_TAKEN 1
#define REGISTRY_NO_FOLDER (-1)
/// Gives the socket its inner path, in a folder that nobody else may enter, and makes it known. 0, or why not.
int registry_add(struct cvhost_socket *s, const char *directory);
void registry_remove(struct cvhost_socket *s);
/// The socket of a device of rte_vhost's, or null.
struct cvhost_socket *registry_find(int vid);

// vhost.c
extern const struct rte_vhost_device_ops cvhost_operations;
/// Says that something of a socket changed, or (null) that a socket is gone.
void cvhost_changed(struct cvhost_socket *s);
/// Keeps the data path away from the device from now on, at the next burst at the latest. Async-signal-safe.
void cvhost_suspend(struct cvhost_socket *s);
static inline void count_event(struct cvhost_socket *s, unsigned event) { __atomic_fetch_add(&s->events[event], 1, __ATOMIC_RELAXED); }

// guard.c; what its files share is in guard.h
/// Starts to listen or to connect. 0, or -1 with the reason.
int guard_add(struct cvhost_socket *s, char *error, size_t error_size);
void guard_remove(struct cvhost_socket *s);
/// rte_vhost's thread: the next device of this socket. Returns the session's index, or -1.
int guard_accepted(struct cvhost_socket *s, int vid);
void guard_closed(struct cvhost_socket *s, int vid);
struct session *session_of(struct cvhost_socket *s, int vid);
void guard_describe(struct cvhost_socket *s, struct cvhost_state *state);
/// Makes the guard look at what a fault left. Async-signal-safe.
void guard_wake(void);

// burst.c
/// The queue whose burst the calling thread is in.
extern __thread struct queue *burst_queue;

// fault.c
void fault_install(void);
/// The socket whose guest's memory the calling thread may touch, for the time of a burst.
extern __thread struct cvhost_socket *fault_inside;
/// Whether the calling thread is rte_vhost's, or acts for it.
extern __thread bool fault_in_library;
/// Faults outside of bursts, so far.
extern _Atomic uint64_t fault_in_library_count;

static inline bool bit(const struct bits *b, unsigned i) {
    return __atomic_load_n(&b->word[i / 64], __ATOMIC_RELAXED) >> (i % 64) & 1;
}
static inline void set_bit(struct bits *b, unsigned i, bool on) {
    if (on)
        __atomic_fetch_or(&b->word[i / 64], 1ull << (i % 64), __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&b->word[i / 64], ~(1ull << (i % 64)), __ATOMIC_RELAXED);
}
static inline void copy_bits(struct bits *to, const struct bits *from) {
    for (unsigned w = 0; w < CVHOST_MAX_QUEUE_PAIRS / 64; w++)
        __atomic_store_n(&to->word[w], __atomic_load_n(&from->word[w], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}
static inline unsigned count_bits(const struct bits *b) {
    unsigned n = 0;
    for (unsigned w = 0; w < CVHOST_MAX_QUEUE_PAIRS / 64; w++)
        n += (unsigned)__builtin_popcountll(__atomic_load_n(&b->word[w], __ATOMIC_RELAXED));
    return n;
}
