// The guard: one thread that owns all vhost-user sockets, and hands checked messages on to rte_vhost.
//
// It never waits for anybody: sockets do not block, a half message has a deadline, a front-end that talks too much is read
// more slowly, one that connects again and again is accepted more slowly, and replies nobody takes end the connection. What it
// holds of a front-end is bounded: one message, one reply, `MAX_SESSIONS` of them a socket.
//
// ## Thread safety
// Everything here is under `lock`, which is held for system calls that do not block. rte_vhost's thread takes it within callbacks; so
// nobody may wait for that thread while holding it.
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull
/// A message is whole this long after its first byte, and a reply taken this long after it was made.
#define MESSAGE_DEADLINE (5 * SECOND)
/// Messages a second, and how many may come at once: QEMU says some 1,500 for 128 queue pairs.
#define MESSAGE_RATE 2000
#define MESSAGE_BURST 8192
/// Front-ends accepted a second, and at once.
#define ACCEPT_RATE 20
#define ACCEPT_BURST 40
/// A client tries again after the first, and doubles up to the last.
#define BACKOFF_FIRST (50 * MILLISECOND)
#define BACKOFF_LAST (1000 * MILLISECOND)
/// How often the eventfds of guests that get interrupts are looked at.
#define CALL_INTERVAL (50 * MILLISECOND)
#define EVENTS 32
#define WATCHES_FIRST 64

enum { WATCH_LISTENER = 1, WATCH_FRONT, WATCH_BACK };

/// What an epoll event stands for; the generation tells whether it still does.
struct watch_slot {
    uint32_t generation;
    uint8_t kind;
    uint8_t session;
    struct cvhost_socket *owner;   ///< null: free
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int epoll_fd = -1, wake_fd = -1;
static struct watch_slot *watches;
static uint32_t watch_count;
static struct cvhost_socket *sockets[CVHOST_MAX_SOCKETS];
static unsigned socket_count;
static uint64_t library_faults_seen;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

void guard_wake(void) {
    uint64_t one = 1;
    int fd = __atomic_load_n(&wake_fd, __ATOMIC_ACQUIRE);
    if (fd >= 0 && write(fd, &one, sizeof one) < 0) return;  // EAGAIN: it is readable already
}

static void close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

// ---------------------------------------------------------------- watches

static uint64_t token(uint32_t index) { return (uint64_t)watches[index].generation << 32 | index; }

/// Index + 1 of a new watch on `fd`, or 0.
static uint32_t watch(int fd, uint32_t events, struct cvhost_socket *s, uint8_t kind, uint8_t session) {
    uint32_t index = 0;
    while (index < watch_count && watches[index].owner != NULL) index++;
    if (index == watch_count) {
        uint32_t more = watch_count == 0 ? WATCHES_FIRST : 2 * watch_count;
        struct watch_slot *grown = realloc(watches, more * sizeof *grown);
        if (grown == NULL) return 0;
        memset(grown + watch_count, 0, (more - watch_count) * sizeof *grown);
        watches = grown;
        watch_count = more;
    }
    watches[index].generation++;
    watches[index].kind = kind;
    watches[index].session = session;
    watches[index].owner = s;
    struct epoll_event event = {.events = events, .data.u64 = token(index)};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        watches[index].owner = NULL;
        return 0;
    }
    return index + 1;
}

static void want(uint32_t number, int fd, uint32_t events) {
    if (number == 0) return;
    struct epoll_event event = {.events = events, .data.u64 = token(number - 1)};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

/// The descriptor is about to be closed. epoll forgets it only when no copy of it is left anywhere, so it is told.
static void unwatch(uint32_t *number, int fd) {
    if (*number == 0) return;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    watches[*number - 1].owner = NULL;
    *number = 0;
}

// ---------------------------------------------------------------- sessions

static void set_reason(struct cvhost_socket *s, const char *text) { snprintf(s->reason, sizeof s->reason, "%s", text); }

static void clear_out(struct session *e) {
    for (unsigned i = 0; i < e->out_fd_count; i++) close_fd(&e->out_fds[i]);
    e->out_fd_count = 0;
    e->out_size = e->out_sent = 0;
}

/// Ends a front-end's connection. Its slot is free once rte_vhost has noticed, too.
static void end(struct cvhost_socket *s, struct session *e) {
    if (!e->used || (e->front < 0 && e->back < 0)) return;
    unwatch(&e->front_watch, e->front);
    unwatch(&e->back_watch, e->back);
    close_fd(&e->front);
    close_fd(&e->back);
    message_clear(&e->in);
    clear_out(e);
    for (unsigned i = 0; i < MAX_FILES; i++) close_fd(&e->known.files[i].fd);
    cvhost_changed(s);
}

static void refuse(struct cvhost_socket *s, struct session *e, unsigned event, const char *reason) {
    count_event(s, event);
    if (atomic_load(&e->vid) != NO_DEVICE && __atomic_load_n(&s->vid, __ATOMIC_ACQUIRE) == atomic_load(&e->vid)) cvhost_suspend(s);
    char text[CVHOST_REASON_SIZE];
    snprintf(text, sizeof text, "cut off: %s", reason);
    set_reason(s, text);
    end(s, e);
}

/// Frees slots whose connection both sides have forgotten.
static void reap(struct cvhost_socket *s) {
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        struct session *e = &s->sessions[i];
        if (!e->used || e->front >= 0 || e->back >= 0) continue;
        // one that rte_vhost has not accepted yet will be, and closed at once
        if (atomic_load(&s->awaiting) == (int)i) continue;
        if (atomic_load(&e->vid) != NO_DEVICE && !atomic_load(&e->gone)) continue;
        knowledge_release(&e->known);
        e->used = false;
    }
}

static void update_interest(struct session *e, uint64_t time) {
    uint32_t front = 0, back = 0;
    if (!e->whole && time >= e->paused_until) front |= EPOLLIN;
    if (e->out_sent < e->out_size) front |= EPOLLOUT;
    if (e->out_size == 0) back |= EPOLLIN;
    if (e->whole) back |= EPOLLOUT;
    if (front != e->front_interest) want(e->front_watch, e->front, front);
    if (back != e->back_interest) want(e->back_watch, e->back, back);
    e->front_interest = front;
    e->back_interest = back;
}

static int connect_to(const char *path) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int code = errno;
    close(fd);
    return -code;
}

/// A new front-end on descriptor `front`, which is closed if it cannot be served.
static bool begin(struct cvhost_socket *s, int front, uint64_t time) {
    reap(s);
    struct session *e = NULL, *oldest = NULL;
    unsigned number = 0;
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        struct session *candidate = &s->sessions[i];
        if (!candidate->used) {
            e = candidate;
            number = i;
            break;
        }
        bool runs = __atomic_load_n(&s->attached, __ATOMIC_ACQUIRE) == atomic_load(&candidate->vid) && atomic_load(&candidate->vid) != NO_DEVICE;
        if (!runs && candidate->front >= 0 && (oldest == NULL || candidate->serial < oldest->serial)) oldest = candidate;
    }
    if (e == NULL) {
        // whoever connected and never came to anything makes room, for the one after this
        if (oldest != NULL) refuse(s, oldest, CVHOST_EVENT_EVICTED, "others wanted to connect, and it had set up no queues");
        close(front);
        return false;
    }
    memset(e, 0, sizeof *e);
    e->front = front;
    e->back = -1;
    atomic_store(&e->vid, NO_DEVICE);
    knowledge_init(&e->known);
    e->tokens = MESSAGE_BURST;
    e->refilled = time;
    e->serial = ++s->serial;
    atomic_store(&s->awaiting, (int)number);
    int back = connect_to(s->inner);
    if (back < 0) {
        atomic_store(&s->awaiting, -1);
        set_reason(s, "the vhost library does not take connections");
        close(front);
        return false;
    }
    e->back = back;
    e->used = true;
    s->awaiting_since = time;
    e->front_interest = e->back_interest = EPOLLIN;
    e->front_watch = watch(front, EPOLLIN, s, WATCH_FRONT, (uint8_t)number);
    e->back_watch = watch(back, EPOLLIN, s, WATCH_BACK, (uint8_t)number);
    count_event(s, CVHOST_EVENT_CONNECTED);
    cvhost_changed(s);
    return true;
}

/// Receives up to `size` bytes and their descriptors. Bytes, 0 at the end, or -errno; -EMSGSIZE if there were too many descriptors.
static ssize_t receive(int fd, void *bytes, size_t size, int *fds, unsigned *fd_count) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * MAX_REGIONS)];
    } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    bool excess = (message.msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
            if (*fd_count < MAX_REGIONS) {
                fds[(*fd_count)++] = got;
            } else {
                close(got);
                excess = true;
            }
        }
    }
    return excess ? -EMSGSIZE : n;
}

/// Sends with the descriptors. Bytes taken, or -errno.
static ssize_t transmit(int fd, const void *bytes, size_t size, const int *fds, unsigned fd_count) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * MAX_REGIONS)];
    } control;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    ssize_t n;
    do n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/// Hands the checked message on. False if the connection is gone.
static bool hand_on(struct cvhost_socket *s, struct session *e) {
    while (e->handed < e->in.have) {
        unsigned fds = e->handed == 0 ? e->in.fd_count : 0;
        ssize_t n = transmit(e->back, e->in.bytes + e->handed, e->in.have - e->handed, e->in.fds, fds);
        if (n == -EAGAIN || n == -ENOBUFS || n == -ETOOMANYREFS) return true;
        if (n < 0) {
            end(s, e);
            return false;
        }
        e->handed += (uint32_t)n;
    }
    memcpy(&e->last_request, e->in.bytes, sizeof e->last_request);
    message_clear(&e->in);
    e->whole = false;
    e->handed = 0;
    e->deadline = 0;
    return true;
}

static void refill(struct session *e, uint64_t time) {
    uint64_t more = (time - e->refilled) * MESSAGE_RATE / SECOND;
    if (more == 0) return;
    e->refilled = time;
    e->tokens = e->tokens + more > MESSAGE_BURST ? MESSAGE_BURST : e->tokens + more;
}

/// Reads from the front-end, at most some messages at a time so that others get their turn.
static void read_front(struct cvhost_socket *s, struct session *e, uint64_t time) {
    char reason[CVHOST_REASON_SIZE];
    for (unsigned turn = 0; turn < 32 && !e->whole; turn++) {
        uint32_t size = e->in.have < HEADER_SIZE ? HEADER_SIZE : HEADER_SIZE + e->payload;
        unsigned had = e->in.fd_count;
        ssize_t n = receive(e->front, e->in.bytes + e->in.have, size - e->in.have, e->in.fds, &e->in.fd_count);
        if (n == -EAGAIN) return;
        if (n == 0 || n == -ECONNRESET) {
            if (e->in.have > 0) count_event(s, CVHOST_EVENT_REFUSED);
            end(s, e);
            return;
        }
        if (n < 0) {
            snprintf(reason, sizeof reason, n == -EMSGSIZE ? "a message with more than %d descriptors" : "its messages cannot be received (%d)",
                     n == -EMSGSIZE ? MAX_REGIONS : (int)-n);
            refuse(s, e, CVHOST_EVENT_REFUSED, reason);
            return;
        }
        // descriptors come with a message's first byte
        if (e->in.have > 0 && e->in.fd_count > had) {
            refuse(s, e, CVHOST_EVENT_REFUSED, "descriptors in the middle of a message");
            return;
        }
        if (e->in.have == 0) e->deadline = time + MESSAGE_DEADLINE;
        e->in.have += (uint32_t)n;
        if (e->in.have < HEADER_SIZE) continue;
        if (e->in.have == HEADER_SIZE) {
            int payload = message_payload(&e->in, reason, sizeof reason);
            if (payload < 0) {
                refuse(s, e, CVHOST_EVENT_REFUSED, reason);
                return;
            }
            e->payload = (uint32_t)payload;
        }
        if (e->in.have < HEADER_SIZE + e->payload) continue;
        if (!message_check(&e->in, &e->known, reason, sizeof reason)) {
            refuse(s, e, CVHOST_EVENT_REFUSED, reason);
            return;
        }
        e->whole = true;
        if (!hand_on(s, e)) return;
        refill(e, time);
        if (e->tokens > 0) e->tokens--;
        if (e->tokens == 0) {
            count_event(s, CVHOST_EVENT_SLOWED);
            e->paused_until = time + SECOND * 32 / MESSAGE_RATE;
            return;
        }
    }
}

static void write_front(struct cvhost_socket *s, struct session *e) {
    while (e->out_sent < e->out_size) {
        ssize_t n = transmit(e->front, e->out + e->out_sent, e->out_size - e->out_sent, e->out_fds, e->out_sent == 0 ? e->out_fd_count : 0);
        if (n == -EAGAIN) return;
        if (n < 0) {
            end(s, e);
            return;
        }
        e->out_sent += (uint32_t)n;
    }
    clear_out(e);
}

static void read_back(struct cvhost_socket *s, struct session *e, uint64_t time) {
    if (e->out_size != 0) return;
    ssize_t n = receive(e->back, e->out, sizeof e->out, e->out_fds, &e->out_fd_count);
    if (n == -EAGAIN) return;
    if (n <= 0) {
        // it had no room for one more device, and will not say so
        int number = (int)(e - s->sessions);
        if (atomic_load(&e->vid) == NO_DEVICE) atomic_compare_exchange_strong(&s->awaiting, &number, -1);
        // rte_vhost closes a connection when it does not like a message
        char reason[CVHOST_REASON_SIZE];
        snprintf(reason, sizeof reason, "the vhost library refused its %s", request_name(e->last_request));
        refuse(s, e, CVHOST_EVENT_REFUSED_BY_LIBRARY, reason);
        return;
    }
    e->out_size = (uint32_t)n;
    if (e->deadline == 0) e->deadline = time + MESSAGE_DEADLINE;
    write_front(s, e);
    if (e->out_size == 0 && e->in.have == 0) e->deadline = 0;
}

// ---------------------------------------------------------------- listening and connecting

static void accept_some(struct cvhost_socket *s, uint64_t time) {
    uint64_t more = (time - s->accept_refilled) * ACCEPT_RATE / SECOND;
    if (more > 0) {
        s->accept_tokens = s->accept_tokens + more > ACCEPT_BURST ? ACCEPT_BURST : s->accept_tokens + more;
        s->accept_refilled = time;
    }
    // one at a time is made known to rte_vhost, so that its devices can be told apart
    while (s->accept_tokens > 0 && atomic_load(&s->awaiting) < 0) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        s->accept_tokens--;
        begin(s, fd, time);
        if (s->accept_tokens == 0) count_event(s, CVHOST_EVENT_SLOWED);
    }
}

static bool is_connected(const struct cvhost_socket *s) {
    for (unsigned i = 0; i < MAX_SESSIONS; i++)
        if (s->sessions[i].used && s->sessions[i].front >= 0) return true;
    return false;
}

static void try_to_connect(struct cvhost_socket *s, uint64_t time) {
    if (is_connected(s) || atomic_load(&s->awaiting) >= 0 || time < s->retry_at) return;
    int fd = connect_to(s->path);
    s->connect_error = fd < 0 ? -fd : 0;
    s->retry_at = time + s->backoff;
    s->backoff = 2 * s->backoff < BACKOFF_LAST ? 2 * s->backoff : BACKOFF_LAST;
    if (fd >= 0) begin(s, fd, time);
}

// ---------------------------------------------------------------- what time brings

/// A PMD thread that interrupts a guest writes to an eventfd of the front-end's, and one that is full would hold it for ever.
/// A driver that is alive leaves none full: it is emptied, and the front-end cut off.
static bool watch_queues(struct cvhost_socket *s) {
    struct session *e = session_of(s, __atomic_load_n(&s->attached, __ATOMIC_ACQUIRE));
    if (e == NULL) return false;
    struct pollfd calls[MAX_RINGS];
    unsigned count = 0;
    uint32_t rings = 2 * __atomic_load_n(&s->pairs, __ATOMIC_RELAXED);
    for (unsigned q = 0; q < rings && q < MAX_RINGS; q++)
        if (e->known.calls[q] >= 0) calls[count++] = (struct pollfd){.fd = e->known.calls[q], .events = POLLIN | POLLOUT};
    if (count == 0 || poll(calls, count, 0) <= 0) return count > 0;
    bool full = false;
    for (unsigned i = 0; i < count; i++) {
        if ((calls[i].revents & (POLLIN | POLLOUT)) != POLLIN) continue;
        full = true;
        uint64_t value;
        if (read(calls[i].fd, &value, sizeof value) < 0) continue;
    }
    if (full && e->front >= 0) refuse(s, e, CVHOST_EVENT_STUCK, "a call eventfd of it was full, which would hold a thread of the switch");
    return true;
}

static void look_at_faults(struct cvhost_socket *s, bool library_faulted) {
    uint64_t faults = __atomic_load_n(&s->events[CVHOST_EVENT_FAULT], __ATOMIC_RELAXED);
    bool here = faults != s->faults_seen;
    s->faults_seen = faults;
    if (!here && !library_faulted) return;
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        struct session *e = &s->sessions[i];
        if (!e->used || e->front < 0) continue;
        bool ran = here && atomic_load(&e->vid) != NO_DEVICE && atomic_load(&e->vid) == __atomic_load_n(&s->attached, __ATOMIC_ACQUIRE);
        if (!ran && !knowledge_has_shrunk(&e->known)) continue;
        refuse(s, e, CVHOST_EVENT_SHRUNK, "its memory was taken away while in use");
    }
}

/// All of a socket's timers. Returns when to look again.
static uint64_t tick(struct cvhost_socket *s, uint64_t time, bool library_faulted) {
    uint64_t next = UINT64_MAX;
    look_at_faults(s, library_faulted);
    if (atomic_load(&s->awaiting) >= 0 && time > s->awaiting_since + MESSAGE_DEADLINE) atomic_store(&s->awaiting, -1);
    reap(s);
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        struct session *e = &s->sessions[i];
        if (!e->used || e->front < 0) continue;
        if (e->deadline != 0 && time >= e->deadline) {
            refuse(s, e, CVHOST_EVENT_STALLED, e->out_size > 0 ? "it did not take a reply for 5 s" : "a message of it was not whole after 5 s");
            continue;
        }
        if (e->deadline != 0 && e->deadline < next) next = e->deadline;
        if (e->paused_until > time) {
            if (e->paused_until < next) next = e->paused_until;
        } else if (e->paused_until != 0) {
            e->paused_until = 0;
            e->tokens += 32;
        }
        update_interest(e, time);
    }
    if (s->options.client) {
        if (is_connected(s)) {
            if (cvhost_is_running(s)) s->backoff = BACKOFF_FIRST;
        } else {
            try_to_connect(s, time);
            if (!is_connected(s) && s->retry_at < next) next = s->retry_at > time ? s->retry_at : time + MILLISECOND;
        }
    } else if (s->listener >= 0) {
        uint64_t more = (time - s->accept_refilled) * ACCEPT_RATE / SECOND;
        bool may = s->accept_tokens + more > 0 && atomic_load(&s->awaiting) < 0;
        want(s->listener_watch, s->listener, may ? EPOLLIN : 0);
        if (s->accept_tokens + more == 0 && time + SECOND / ACCEPT_RATE < next) next = time + SECOND / ACCEPT_RATE;
    }
    if (watch_queues(s) && time + CALL_INTERVAL < next) next = time + CALL_INTERVAL;
    return next;
}

static void handle(const struct epoll_event *event, uint64_t time) {
    uint32_t index = (uint32_t)event->data.u64;
    if (index >= watch_count || watches[index].owner == NULL || token(index) != event->data.u64) return;
    struct cvhost_socket *s = watches[index].owner;
    struct session *e = &s->sessions[watches[index].session];
    switch (watches[index].kind) {
    case WATCH_LISTENER: accept_some(s, time); break;
    case WATCH_FRONT:
        if (event->events & EPOLLOUT) write_front(s, e);
        if (e->front >= 0 && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !e->whole) read_front(s, e, time);
        // hung up with a message still waiting for rte_vhost: nothing is left to read for
        else if (e->front >= 0 && (event->events & (EPOLLHUP | EPOLLERR))) end(s, e);
        break;
    case WATCH_BACK:
        if (event->events & EPOLLOUT && e->whole) hand_on(s, e);
        if (e->back >= 0 && e->out_size != 0 && (event->events & (EPOLLHUP | EPOLLERR))) end(s, e);
        if (e->back >= 0 && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))) read_back(s, e, time);
        break;
    default: break;
    }
}

static void *run(void *unused) {
    (void)unused;
    pthread_setname_np(pthread_self(), "vhost-guard");
    uint64_t next = UINT64_MAX;
    for (;;) {
        struct epoll_event events[EVENTS];
        uint64_t time = now();
        int timeout = next == UINT64_MAX ? -1 : next <= time ? 0 : (int)((next - time) / MILLISECOND + 1);
        int n = epoll_wait(epoll_fd, events, EVENTS, timeout > 1000 ? 1000 : timeout);
        time = now();
        pthread_mutex_lock(&lock);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == UINT64_MAX) {
                uint64_t value;
                if (read(wake_fd, &value, sizeof value) < 0) continue;
            } else {
                handle(&events[i], time);
            }
        }
        uint64_t faults = atomic_load(&fault_in_library_count);
        bool library_faulted = faults != library_faults_seen;
        library_faults_seen = faults;
        next = UINT64_MAX;
        for (unsigned i = 0; i < socket_count; i++) {
            uint64_t at = tick(sockets[i], time, library_faulted);
            if (at < next) next = at;
        }
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

/// Under the lock.
static int start(char *error, size_t error_size) {
    if (epoll_fd >= 0) return 0;
    int poller = epoll_create1(EPOLL_CLOEXEC), wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    pthread_t thread;
    if (poller >= 0 && wake >= 0 && epoll_ctl(poller, EPOLL_CTL_ADD, wake, &event) == 0) {
        epoll_fd = poller;
        __atomic_store_n(&wake_fd, wake, __ATOMIC_RELEASE);
        int code = pthread_create(&thread, NULL, run, NULL);
        if (code == 0) {
            pthread_detach(thread);
            return 0;
        }
        errno = code;
    }
    snprintf(error, error_size, "the thread that guards vhost-user sockets cannot start: %s", strerror(errno));
    __atomic_store_n(&wake_fd, -1, __ATOMIC_RELEASE);
    epoll_fd = -1;
    if (poller >= 0) close(poller);
    if (wake >= 0) close(wake);
    return -1;
}

/// Listens on the socket's path, with its mode from the first moment on.
static int listen_on(struct cvhost_socket *s, char *error, size_t error_size) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, s->path, strlen(s->path) + 1);
    const char *step = "make a socket";
    bool bound = false;
    if (fd >= 0) {
        // a socket file's mode is its socket's less the mask; until the owner is set nobody else may connect
        bool owned = s->options.owner != UINT32_MAX || s->options.group != UINT32_MAX;
        step = "set the mode";
        if (fchmod(fd, owned ? 0600 : s->options.mode) == 0) {
            step = "bind";
            if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) {
                bound = true;
                step = "set owner and group";
                if (!owned || chown(s->path, s->options.owner, s->options.group) == 0) {
                    step = "set the mode";
                    if (chmod(s->path, s->options.mode) == 0) {
                        step = "listen";
                        if (listen(fd, 128) == 0) {
                            struct stat status;
                            if (stat(s->path, &status) == 0) {
                                s->listener_device = status.st_dev;
                                s->listener_inode = status.st_ino;
                            }
                            s->listener = fd;
                            return 0;
                        }
                    }
                }
            }
        }
    }
    snprintf(error, error_size, "cannot listen: %s: %s", step, strerror(errno));
    if (fd >= 0) close(fd);
    if (bound) unlink(s->path);
    return -1;
}

int guard_add(struct cvhost_socket *s, char *error, size_t error_size) {
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        s->sessions[i].front = s->sessions[i].back = -1;
        atomic_store(&s->sessions[i].vid, NO_DEVICE);
    }
    s->listener = -1;
    atomic_store(&s->awaiting, -1);
    s->backoff = BACKOFF_FIRST;
    s->accept_tokens = ACCEPT_BURST;
    s->accept_refilled = now();
    pthread_mutex_lock(&lock);
    int result = -1;
    if (socket_count == CVHOST_MAX_SOCKETS) {
        snprintf(error, error_size, "there are %d vhost-user sockets already", CVHOST_MAX_SOCKETS);
    } else if (start(error, error_size) == 0 && (s->options.client || listen_on(s, error, error_size) == 0)) {
        if (s->listener >= 0) s->listener_watch = watch(s->listener, EPOLLIN, s, WATCH_LISTENER, 0);
        sockets[socket_count++] = s;
        result = 0;
    }
    pthread_mutex_unlock(&lock);
    guard_wake();
    return result;
}

void guard_remove(struct cvhost_socket *s) {
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < socket_count; i++) {
        if (sockets[i] != s) continue;
        sockets[i] = sockets[--socket_count];
        break;
    }
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        struct session *e = &s->sessions[i];
        if (!e->used) continue;
        end(s, e);
        knowledge_release(&e->known);
    }
    if (s->listener >= 0) {
        unwatch(&s->listener_watch, s->listener);
        close_fd(&s->listener);
        // another switch's socket in its place is left alone
        struct stat status;
        if (lstat(s->path, &status) == 0 && status.st_dev == s->listener_device && status.st_ino == s->listener_inode) unlink(s->path);
    }
    pthread_mutex_unlock(&lock);
}

// ---------------------------------------------------------------- for rte_vhost's thread, and for queries

int guard_accepted(struct cvhost_socket *s, int vid) {
    pthread_mutex_lock(&lock);
    int index = atomic_exchange(&s->awaiting, -1);
    if (index >= 0) atomic_store(&s->sessions[index].vid, vid);
    pthread_mutex_unlock(&lock);
    guard_wake();
    return index;
}

void guard_closed(struct cvhost_socket *s, int vid) {
    struct session *e = session_of(s, vid);
    if (e != NULL) atomic_store(&e->gone, true);
    guard_wake();
}

struct session *session_of(struct cvhost_socket *s, int vid) {
    if (vid == NO_DEVICE) return NULL;
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        struct session *e = &s->sessions[i];
        if (atomic_load(&e->vid) == vid && !atomic_load(&e->gone)) return e;
    }
    return NULL;
}

void guard_describe(struct cvhost_socket *s, struct cvhost_state *state) {
    pthread_mutex_lock(&lock);
    state->connected = is_connected(s);
    for (unsigned i = 0; i < CVHOST_EVENTS; i++) state->events[i] = __atomic_load_n(&s->events[i], __ATOMIC_RELAXED);
    if (state->running) {
        state->reason[0] = 0;
    } else if (state->connected) {
        snprintf(state->reason, sizeof state->reason, "the front-end is connected, but its driver has not set up the queues yet");
    } else if (s->options.client) {
        snprintf(state->reason, sizeof state->reason, "cannot connect to %s: %s; it is tried again%s%s", s->path,
                 s->connect_error != 0 ? strerror(s->connect_error) : "the other side hung up", s->reason[0] ? "; the last front-end was " : "",
                 s->reason);
    } else {
        snprintf(state->reason, sizeof state->reason, "no front-end is connected to %s%s%s", s->path,
                 s->reason[0] ? "; the last one was " : "", s->reason);
    }
    pthread_mutex_unlock(&lock);
}
