// The guard's reading without anything behind it: for fuzzers and tests.
#include "guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/// Turns without progress after which a front-end counts as silent.
#define IDLE_TURNS 4

/// Takes what was handed on, and counts its messages. False if that is not one whole message after another.
static bool drain(int fd, struct message *m, int *messages) {
    char reason[CVHOST_REASON_SIZE];
    for (;;) {
        int payload = 0;
        if (m->have >= HEADER_SIZE && (payload = message_payload(m, reason, sizeof reason)) < 0) return false;
        uint32_t size = m->have < HEADER_SIZE ? HEADER_SIZE : HEADER_SIZE + (uint32_t)payload;
        if (m->have == size) {
            message_clear(m);
            (*messages)++;
            continue;
        }
        ssize_t n = channel_receive(fd, m->bytes + m->have, size - m->have, m->fds, &m->fd_count);
        if (n == -EAGAIN || n == 0) return true;
        if (n < 0) return false;
        m->have += (uint32_t)n;
    }
}

int cvhost_replay(int front) {
    int pair[2], messages = 0;
    struct cvhost_socket *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
    struct message *taken = calloc(1, sizeof *taken);
    if (s == NULL || taken == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        free(s);
        free(taken);
        close(front);
        return -1;
    }
    memset(s, 0, sizeof *s);
    s->vid = s->attached = NO_DEVICE;
    atomic_store(&s->awaiting, -1);
    struct session *e = &s->sessions[0];
    knowledge_init(&e->known);
    e->known.may_postcopy = true;
    e->used = true;
    e->front = front;
    e->back = pair[0];
    e->tokens = UINT32_MAX;
    atomic_store(&e->vid, NO_DEVICE);
    bool valid = true;
    for (unsigned idle = 0; valid && e->front >= 0 && idle < IDLE_TURNS;) {
        uint32_t had = e->in.have;
        int before = messages;
        if (!e->whole) session_read_front(s, e, 0);
        if (e->front >= 0 && e->whole) session_hand_on(s, e);
        valid = drain(pair[1], taken, &messages);
        idle = messages == before && e->in.have == had ? idle + 1 : 0;
    }
    if (valid) valid = drain(pair[1], taken, &messages) && taken->have == 0;
    session_end(s, e);
    knowledge_release(&e->known);
    message_clear(taken);
    close(pair[1]);
    free(taken);
    free(s);
    return valid ? messages : -1;
}
