// What the files of this folder share.
#pragma once
#include <rte_config.h>
#include <rte_mbuf.h>
#include "CDPDK.h"

static inline struct rte_mbuf *real(const struct cdpdk_mbuf *m) { return (struct rte_mbuf *)(uintptr_t)m; }
static inline struct rte_mbuf **reals(struct cdpdk_mbuf **m) { return (struct rte_mbuf **)m; }
static inline struct rte_mempool *pool_of(const struct cdpdk_mempool *p) { return (struct rte_mempool *)(uintptr_t)p; }

/// Formats a reason, without a newline; nothing if there is no room for one.
void cdpdk_reason(char *error, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/// Takes back what was asked of a device beyond its queues, before it is stopped or closed.
void cdpdk_port_forget(uint16_t port);
/// Sends LACP frames to this queue, the last one, and spreads everything else over those before it. 0, or a negative number if the
/// device cannot do that: nothing was changed then.
int cdpdk_port_steer_lacp(uint16_t port, uint16_t queue);

// express.c: sending by AF_XDP, for one thread at a time.

struct express;
/// Bytes of the longest frame it takes.
#define EXPRESS_LONGEST 2048u
/// Null if the interface, the kernel or its limits do not allow it.
struct express *express_open(uint32_t interface);
void express_close(struct express *x);
/// Copies packets of one segment each, at most `EXPRESS_LONGEST` long and finished. How many, from the first, were taken; they stay the
/// caller's to free.
uint16_t express_send(struct express *x, struct rte_mbuf **packets, uint16_t n);
/// Whether the interface is gone, and nothing can be sent any more.
bool express_is_gone(const struct express *x);

// batch.c: writing many frames with one call, for one thread at a time.

struct batch;
/// One frame: `size` bytes, or as many `struct iovec` as `pieces` says.
struct batch_frame {
    const void *data;
    uint32_t size;
    uint32_t pieces;
};
/// Null if the kernel or its settings do not allow it. The descriptor stays the caller's; it must not block.
struct batch *batch_open(int fd);
void batch_close(struct batch *b);
/// Writes at most 32 frames, in order; `results` are as `write` returns them, with errors as negative numbers.
void batch_send(struct batch *b, const struct batch_frame *frames, uint16_t n, int *results);
/// Whether it has failed, and other ways are to be used.
bool batch_is_gone(const struct batch *b);
