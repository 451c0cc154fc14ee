// The descriptors that the guard waits for, and what an event of theirs stands for.
#include "guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define WATCHES_FIRST 64

int watch_poller = -1;
static struct watch_slot *watches;
static uint32_t watch_count;

static uint64_t token(uint32_t index) { return (uint64_t)watches[index].generation << 32 | index; }

uint32_t watch_add(int fd, uint32_t events, struct cvhost_socket *s, uint8_t kind, uint8_t session) {
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
    if (epoll_ctl(watch_poller, EPOLL_CTL_ADD, fd, &event) != 0) {
        watches[index].owner = NULL;
        return 0;
    }
    return index + 1;
}

void watch_want(uint32_t number, int fd, uint32_t events) {
    if (number == 0) return;
    struct epoll_event event = {.events = events, .data.u64 = token(number - 1)};
    epoll_ctl(watch_poller, EPOLL_CTL_MOD, fd, &event);
}

void watch_remove(uint32_t *number, int fd) {
    if (*number == 0) return;
    epoll_ctl(watch_poller, EPOLL_CTL_DEL, fd, NULL);
    watches[*number - 1].owner = NULL;
    *number = 0;
}

const struct watch_slot *watched(const struct epoll_event *event) {
    uint32_t index = (uint32_t)event->data.u64;
    if (index >= watch_count || watches[index].owner == NULL || token(index) != event->data.u64) return NULL;
    return &watches[index];
}
