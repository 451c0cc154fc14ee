// What the guard's files share: sessions with front-ends, the descriptors that are waited for, sockets. All of it is under the guard's lock.
#pragma once
#include "internal.h"

#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull
/// A message is whole this long after its first byte, and a reply taken this long after it was made.
#define MESSAGE_DEADLINE (5 * SECOND)

static inline uint64_t guard_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}
static inline void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

// watch.c

enum { WATCH_LISTENER = 1, WATCH_FRONT, WATCH_BACK };

/// What an epoll event stands for; the generation tells whether it still does.
struct watch_slot {
    uint32_t generation;
    uint8_t kind;
    uint8_t session;
    struct cvhost_socket *owner;   ///< null: free
};
struct epoll_event;

/// The descriptor that all others are waited for by; -1 until there is one. Once.
extern int watch_poller;
/// Index + 1 of a new watch on `fd`, or 0.
uint32_t watch_add(int fd, uint32_t events, struct cvhost_socket *s, uint8_t kind, uint8_t session);
void watch_want(uint32_t number, int fd, uint32_t events);
/// The descriptor is about to be closed. epoll forgets it only when no copy of it is left anywhere, so it is told.
void watch_remove(uint32_t *number, int fd);
/// What an event is about; null if that is gone.
const struct watch_slot *watched(const struct epoll_event *event);

// channel.c

/// A socket that does not block, connected to `path`; or -errno.
int channel_connect(const char *path);
/// Listens on the socket's path, with its mode from the first moment on. 0, or -1 with the reason.
int channel_listen(struct cvhost_socket *s, char *error, size_t error_size);
/// Receives up to `size` bytes and their descriptors. Bytes, 0 at the end, or -errno; -EMSGSIZE if there were too many descriptors.
ssize_t channel_receive(int fd, void *bytes, size_t size, int *fds, unsigned *fd_count);
/// Sends with the descriptors. Bytes taken, or -errno.
ssize_t channel_transmit(int fd, const void *bytes, size_t size, const int *fds, unsigned fd_count);

// session.c

/// A new front-end on descriptor `front`, which is closed if it cannot be served.
bool session_begin(struct cvhost_socket *s, int front, uint64_t time);
/// Ends a front-end's connection. Its slot is free once rte_vhost has noticed, too.
void session_end(struct cvhost_socket *s, struct session *e);
/// The same, with a counter and a reason for people.
void session_refuse(struct cvhost_socket *s, struct session *e, unsigned event, const char *reason);
/// Frees slots whose connection both sides have forgotten.
void session_reap(struct cvhost_socket *s);
void session_set_reason(struct cvhost_socket *s, const char *text);
void session_update_interest(struct session *e, uint64_t time);
/// Hands the checked message on. False if the connection is gone.
bool session_hand_on(struct cvhost_socket *s, struct session *e);
void session_read_front(struct cvhost_socket *s, struct session *e, uint64_t time);
void session_write_front(struct cvhost_socket *s, struct session *e);
void session_read_back(struct cvhost_socket *s, struct session *e, uint64_t time);
