// A front-end from its connection to its end: its messages are read whole, checked, and handed on; replies go back.
#include "guard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

/// Messages a second, and how many may come at once: QEMU says some 1,500 for 128 queue pairs.
#define MESSAGE_RATE 2000
#define MESSAGE_BURST 8192

void session_set_reason(struct cvhost_socket *s, const char *text) { snprintf(s->reason, sizeof s->reason, "%s", text); }

static void clear_out(struct session *e) {
    for (unsigned i = 0; i < e->out_fd_count; i++) close_fd(&e->out_fds[i]);
    e->out_fd_count = 0;
    e->out_size = e->out_sent = 0;
}

void session_end(struct cvhost_socket *s, struct session *e) {
    if (!e->used || (e->front < 0 && e->back < 0)) return;
    watch_remove(&e->front_watch, e->front);
    watch_remove(&e->back_watch, e->back);
    close_fd(&e->front);
    close_fd(&e->back);
    message_clear(&e->in);
    clear_out(e);
    for (unsigned i = 0; i < MAX_FILES; i++) close_fd(&e->known.files[i].fd);
    cvhost_changed(s);
}

void session_refuse(struct cvhost_socket *s, struct session *e, unsigned event, const char *reason) {
    count_event(s, event);
    if (atomic_load(&e->vid) != NO_DEVICE && __atomic_load_n(&s->vid, __ATOMIC_ACQUIRE) == atomic_load(&e->vid)) cvhost_suspend(s);
    char text[CVHOST_REASON_SIZE];
    snprintf(text, sizeof text, "cut off: %s", reason);
    session_set_reason(s, text);
    session_end(s, e);
}

void session_reap(struct cvhost_socket *s) {
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

void session_update_interest(struct session *e, uint64_t time) {
    uint32_t front = 0, back = 0;
    if (!e->whole && time >= e->paused_until) front |= EPOLLIN;
    if (e->out_sent < e->out_size) front |= EPOLLOUT;
    if (e->out_size == 0) back |= EPOLLIN;
    if (e->whole) back |= EPOLLOUT;
    if (front != e->front_interest) watch_want(e->front_watch, e->front, front);
    if (back != e->back_interest) watch_want(e->back_watch, e->back, back);
    e->front_interest = front;
    e->back_interest = back;
}

bool session_begin(struct cvhost_socket *s, int front, uint64_t time) {
    session_reap(s);
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
        if (oldest != NULL) session_refuse(s, oldest, CVHOST_EVENT_EVICTED, "others wanted to connect, and it had set up no queues");
        close(front);
        return false;
    }
    memset(e, 0, sizeof *e);
    e->front = front;
    e->back = -1;
    atomic_store(&e->vid, NO_DEVICE);
    knowledge_init(&e->known);
    e->known.may_postcopy = s->options.postcopy;
    e->tokens = MESSAGE_BURST;
    e->refilled = time;
    e->serial = ++s->serial;
    atomic_store(&s->awaiting, (int)number);
    int back = channel_connect(s->inner);
    if (back < 0) {
        atomic_store(&s->awaiting, -1);
        session_set_reason(s, "the vhost library does not take connections");
        close(front);
        return false;
    }
    e->back = back;
    e->used = true;
    s->awaiting_since = time;
    e->front_interest = e->back_interest = EPOLLIN;
    e->front_watch = watch_add(front, EPOLLIN, s, WATCH_FRONT, (uint8_t)number);
    e->back_watch = watch_add(back, EPOLLIN, s, WATCH_BACK, (uint8_t)number);
    count_event(s, CVHOST_EVENT_CONNECTED);
    cvhost_changed(s);
    return true;
}

bool session_hand_on(struct cvhost_socket *s, struct session *e) {
    while (e->handed < e->in.have) {
        unsigned fds = e->handed == 0 ? e->in.fd_count : 0;
        ssize_t n = channel_transmit(e->back, e->in.bytes + e->handed, e->in.have - e->handed, e->in.fds, fds);
        if (n == -EAGAIN || n == -ENOBUFS || n == -ETOOMANYREFS) return true;
        if (n < 0) {
            session_end(s, e);
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
void session_read_front(struct cvhost_socket *s, struct session *e, uint64_t time) {
    char reason[CVHOST_REASON_SIZE];
    for (unsigned turn = 0; turn < 32 && !e->whole; turn++) {
        uint32_t size = e->in.have < HEADER_SIZE ? HEADER_SIZE : HEADER_SIZE + e->payload;
        unsigned had = e->in.fd_count;
        ssize_t n = channel_receive(e->front, e->in.bytes + e->in.have, size - e->in.have, e->in.fds, &e->in.fd_count);
        if (n == -EAGAIN) return;
        if (n == 0 || n == -ECONNRESET) {
            if (e->in.have > 0) count_event(s, CVHOST_EVENT_REFUSED);
            session_end(s, e);
            return;
        }
        if (n < 0) {
            snprintf(reason, sizeof reason, n == -EMSGSIZE ? "a message with more than %d descriptors" : "its messages cannot be received (%d)",
                     n == -EMSGSIZE ? MAX_REGIONS : (int)-n);
            session_refuse(s, e, CVHOST_EVENT_REFUSED, reason);
            return;
        }
        // descriptors come with a message's first byte
        if (e->in.have > 0 && e->in.fd_count > had) {
            session_refuse(s, e, CVHOST_EVENT_REFUSED, "descriptors in the middle of a message");
            return;
        }
        if (e->in.have == 0) e->deadline = time + MESSAGE_DEADLINE;
        e->in.have += (uint32_t)n;
        if (e->in.have < HEADER_SIZE) continue;
        if (e->in.have == HEADER_SIZE) {
            int payload = message_payload(&e->in, reason, sizeof reason);
            if (payload < 0) {
                session_refuse(s, e, CVHOST_EVENT_REFUSED, reason);
                return;
            }
            e->payload = (uint32_t)payload;
        }
        if (e->in.have < HEADER_SIZE + e->payload) continue;
        if (!message_check(&e->in, &e->known, reason, sizeof reason)) {
            session_refuse(s, e, CVHOST_EVENT_REFUSED, reason);
            return;
        }
        resume_append(&e->in, &e->known);
        e->whole = true;
        if (!session_hand_on(s, e)) return;
        if (e->known.owes_answer && !e->whole) e->deadline = time + MESSAGE_DEADLINE;
        refill(e, time);
        if (e->tokens > 0) e->tokens--;
        if (e->tokens == 0) {
            count_event(s, CVHOST_EVENT_SLOWED);
            e->paused_until = time + SECOND * 32 / MESSAGE_RATE;
            return;
        }
    }
}

void session_write_front(struct cvhost_socket *s, struct session *e) {
    while (e->out_sent < e->out_size) {
        ssize_t n = channel_transmit(e->front, e->out + e->out_sent, e->out_size - e->out_sent, e->out_fds, e->out_sent == 0 ? e->out_fd_count : 0);
        if (n == -EAGAIN) return;
        if (n < 0) {
            session_end(s, e);
            return;
        }
        e->out_sent += (uint32_t)n;
    }
    clear_out(e);
}

void session_read_back(struct cvhost_socket *s, struct session *e, uint64_t time) {
    if (e->out_size != 0) return;
    ssize_t n = channel_receive(e->back, e->out, sizeof e->out, e->out_fds, &e->out_fd_count);
    if (n == -EAGAIN) return;
    if (n <= 0) {
        // it had no room for one more device, and will not say so
        int number = (int)(e - s->sessions);
        if (atomic_load(&e->vid) == NO_DEVICE) atomic_compare_exchange_strong(&s->awaiting, &number, -1);
        // rte_vhost closes a connection when it does not like a message
        char reason[CVHOST_REASON_SIZE];
        snprintf(reason, sizeof reason, "the vhost library refused its %s", request_name(e->last_request));
        session_refuse(s, e, CVHOST_EVENT_REFUSED_BY_LIBRARY, reason);
        return;
    }
    e->out_size = (uint32_t)n;
    if (e->deadline == 0) e->deadline = time + MESSAGE_DEADLINE;
    session_write_front(s, e);
    if (e->out_size == 0 && e->in.have == 0 && !e->known.owes_answer) e->deadline = 0;
}
