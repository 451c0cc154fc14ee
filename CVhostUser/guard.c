// The guard: one thread that owns all vhost-user sockets, and hands checked messages on to rte_vhost.
//
// It never waits for anybody: sockets do not block, a half message has a deadline, a front-end that talks too much is read
// more slowly, one that connects again and again is accepted more slowly, and replies nobody takes end the connection. What it
// holds of a front-end is bounded: one message, one reply, `MAX_SESSIONS` of them a socket.
//
// ## Thread safety
// Everything here is under `lock`, which is held for system calls that do not block. rte_vhost's thread takes it within callbacks; so
// nobody may wait for that thread while holding it.
#include "guard.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

/// Front-ends accepted a second, and at once.
#define ACCEPT_RATE 20
#define ACCEPT_BURST 40
/// A client tries again after the first, and doubles up to the last.
#define BACKOFF_FIRST (50 * MILLISECOND)
#define BACKOFF_LAST (1000 * MILLISECOND)
/// How often the eventfds of guests that get interrupts are looked at.
#define CALL_INTERVAL (50 * MILLISECOND)
#define EVENTS 32
/// In place of an error of the latest attempt to connect.
#define NOT_TRIED -1

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int wake_fd = -1;
static struct cvhost_socket *sockets[CVHOST_MAX_SOCKETS];
static unsigned socket_count;
static uint64_t library_faults_seen;

void guard_wake(void) {
    uint64_t one = 1;
    int fd = __atomic_load_n(&wake_fd, __ATOMIC_ACQUIRE);
    if (fd >= 0 && write(fd, &one, sizeof one) < 0) return;  // EAGAIN: it is readable already
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
        session_begin(s, fd, time);
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
    int fd = channel_connect(s->path);
    int error = fd < 0 ? -fd : 0;
    bool is_news = error != s->connect_error;
    s->connect_error = error;
    s->retry_at = time + s->backoff;
    s->backoff = 2 * s->backoff < BACKOFF_LAST ? 2 * s->backoff : BACKOFF_LAST;
    if (fd >= 0) session_begin(s, fd, time);
    // why a port is down is shown in its row, and nothing else would tell that it is another reason now
    if (is_news) cvhost_changed(s);
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
    if (full && e->front >= 0) session_refuse(s, e, CVHOST_EVENT_STUCK, "a call eventfd of it was full, which would hold a thread of the switch");
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
        session_refuse(s, e, CVHOST_EVENT_SHRUNK, "its memory was taken away while in use");
    }
}

/// All of a socket's timers. Returns when to look again.
static uint64_t tick(struct cvhost_socket *s, uint64_t time, bool library_faulted) {
    uint64_t next = UINT64_MAX;
    look_at_faults(s, library_faulted);
    if (atomic_load(&s->awaiting) >= 0 && time > s->awaiting_since + MESSAGE_DEADLINE) atomic_store(&s->awaiting, -1);
    session_reap(s);
    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        struct session *e = &s->sessions[i];
        if (!e->used || e->front < 0) continue;
        if (e->deadline != 0 && time >= e->deadline) {
            session_refuse(s, e, CVHOST_EVENT_STALLED,
                           e->out_size > 0              ? "it did not take a reply for 5 s"
                           : e->known.owes_answer ? "it did not acknowledge where its memory is for 5 s"
                                                  : "a message of it was not whole after 5 s");
            continue;
        }
        if (e->deadline != 0 && e->deadline < next) next = e->deadline;
        if (e->paused_until > time) {
            if (e->paused_until < next) next = e->paused_until;
        } else if (e->paused_until != 0) {
            e->paused_until = 0;
            e->tokens += 32;
        }
        session_update_interest(e, time);
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
        watch_want(s->listener_watch, s->listener, may ? EPOLLIN : 0);
        if (s->accept_tokens + more == 0 && time + SECOND / ACCEPT_RATE < next) next = time + SECOND / ACCEPT_RATE;
    }
    if (watch_queues(s) && time + CALL_INTERVAL < next) next = time + CALL_INTERVAL;
    return next;
}

static void handle(const struct epoll_event *event, uint64_t time) {
    const struct watch_slot *slot = watched(event);
    if (slot == NULL) return;
    struct cvhost_socket *s = slot->owner;
    struct session *e = &s->sessions[slot->session];
    switch (slot->kind) {
    case WATCH_LISTENER: accept_some(s, time); break;
    case WATCH_FRONT:
        if (event->events & EPOLLOUT) session_write_front(s, e);
        if (e->front >= 0 && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !e->whole) session_read_front(s, e, time);
        // hung up with a message still waiting for rte_vhost: nothing is left to read for
        else if (e->front >= 0 && (event->events & (EPOLLHUP | EPOLLERR))) session_end(s, e);
        break;
    case WATCH_BACK:
        if (event->events & EPOLLOUT && e->whole) session_hand_on(s, e);
        if (e->back >= 0 && e->out_size != 0 && (event->events & (EPOLLHUP | EPOLLERR))) session_end(s, e);
        if (e->back >= 0 && (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))) session_read_back(s, e, time);
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
        uint64_t time = guard_now();
        int timeout = next == UINT64_MAX ? -1 : next <= time ? 0 : (int)((next - time) / MILLISECOND + 1);
        int n = epoll_wait(watch_poller, events, EVENTS, timeout > 1000 ? 1000 : timeout);
        time = guard_now();
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
    if (watch_poller >= 0) return 0;
    int poller = epoll_create1(EPOLL_CLOEXEC), wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    pthread_t thread;
    if (poller >= 0 && wake >= 0 && epoll_ctl(poller, EPOLL_CTL_ADD, wake, &event) == 0) {
        watch_poller = poller;
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
    watch_poller = -1;
    if (poller >= 0) close(poller);
    if (wake >= 0) close(wake);
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
    s->connect_error = NOT_TRIED;
    s->accept_tokens = ACCEPT_BURST;
    s->accept_refilled = guard_now();
    pthread_mutex_lock(&lock);
    int result = -1;
    if (socket_count == CVHOST_MAX_SOCKETS) {
        snprintf(error, error_size, "there are %d vhost-user sockets already", CVHOST_MAX_SOCKETS);
    } else if (start(error, error_size) == 0 && (s->options.client || channel_listen(s, error, error_size) == 0)) {
        if (s->listener >= 0) s->listener_watch = watch_add(s->listener, EPOLLIN, s, WATCH_LISTENER, 0);
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
        session_end(s, e);
        knowledge_release(&e->known);
    }
    if (s->listener >= 0) {
        watch_remove(&s->listener_watch, s->listener);
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
                 s->connect_error == NOT_TRIED ? "it was not tried yet"
                 : s->connect_error != 0       ? strerror(s->connect_error)
                                               : "the other side hung up",
                 s->reason[0] ? "; the last front-end was " : "",
                 s->reason);
    } else {
        snprintf(state->reason, sizeof state->reason, "no front-end is connected to %s%s%s", s->path,
                 s->reason[0] ? "; the last one was " : "", s->reason);
    }
    pthread_mutex_unlock(&lock);
}
