// One vhost-user message, checked before rte_vhost sees it: sizes, descriptors, memory tables, ring addresses.
//
// Lengths first, in 64 bits, additions checked. A message that this file does not know is not let through: the front-end is
// cut off, with the reason. What QEMU and DPDK's virtio-user say is let through unchanged.
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/// Requests of a front-end (the vhost-user specification, "Front-end message types").
enum {
    GET_FEATURES = 1, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD, SET_VRING_NUM, SET_VRING_ADDR,
    SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES,
    GET_QUEUE_NUM, SET_VRING_ENABLE, SEND_RARP, NET_SET_MTU, SET_BACKEND_REQ_FD, IOTLB_MSG, SET_VRING_ENDIAN,
    POSTCOPY_ADVISE = 28, POSTCOPY_LISTEN, POSTCOPY_END, GET_INFLIGHT_FD, SET_INFLIGHT_FD, SET_STATUS = 39, GET_STATUS,
    REQUESTS
};

/// What a request must look like: bytes of payload, descriptors.
static const struct shape {
    const char *name;
    uint16_t least, most;
    uint8_t fds_least, fds_most;
} shapes[REQUESTS] = {
    [GET_FEATURES] = {"GET_FEATURES", 0, 0, 0, 0},
    [SET_FEATURES] = {"SET_FEATURES", 8, 8, 0, 0},
    [SET_OWNER] = {"SET_OWNER", 0, 0, 0, 0},
    [RESET_OWNER] = {"RESET_OWNER", 0, 0, 0, 0},
    [SET_MEM_TABLE] = {"SET_MEM_TABLE", 8, MAX_PAYLOAD, 0, MAX_REGIONS},
    [SET_LOG_BASE] = {"SET_LOG_BASE", 16, 16, 1, 1},
    [SET_VRING_NUM] = {"SET_VRING_NUM", 8, 8, 0, 0},
    [SET_VRING_ADDR] = {"SET_VRING_ADDR", 40, 40, 0, 0},
    [SET_VRING_BASE] = {"SET_VRING_BASE", 8, 8, 0, 0},
    [GET_VRING_BASE] = {"GET_VRING_BASE", 8, 8, 0, 0},
    [SET_VRING_KICK] = {"SET_VRING_KICK", 8, 8, 0, 1},
    [SET_VRING_CALL] = {"SET_VRING_CALL", 8, 8, 0, 1},
    [SET_VRING_ERR] = {"SET_VRING_ERR", 8, 8, 0, 1},
    [GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", 0, 0, 0, 0},
    [SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", 8, 8, 0, 0},
    [GET_QUEUE_NUM] = {"GET_QUEUE_NUM", 0, 0, 0, 0},
    [SET_VRING_ENABLE] = {"SET_VRING_ENABLE", 8, 8, 0, 0},
    [SEND_RARP] = {"SEND_RARP", 8, 8, 0, 0},
    [NET_SET_MTU] = {"NET_SET_MTU", 8, 8, 0, 0},
    [SET_BACKEND_REQ_FD] = {"SET_BACKEND_REQ_FD", 0, 8, 1, 1},
    [IOTLB_MSG] = {"IOTLB_MSG", 26, 32, 0, 0},
    [SET_VRING_ENDIAN] = {"SET_VRING_ENDIAN", 8, 8, 0, 0},
    [POSTCOPY_ADVISE] = {"POSTCOPY_ADVISE", 0, 0, 0, 0},
    [POSTCOPY_LISTEN] = {"POSTCOPY_LISTEN", 0, 0, 0, 0},
    [POSTCOPY_END] = {"POSTCOPY_END", 0, 0, 0, 0},
    [GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", 20, 24, 0, 0},
    [SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", 20, 24, 1, 1},
    [SET_STATUS] = {"SET_STATUS", 8, 8, 0, 0},
    [GET_STATUS] = {"GET_STATUS", 0, 8, 0, 0},
};

/// Largest ring of either kind (VirtIO 1.2, sections 2.7 and 2.8).
#define MAX_RING_SIZE 32768
_Static_assert(SET_VRING_ADDR == REQUEST_SET_VRING_ADDR && SET_VRING_BASE == REQUEST_SET_VRING_BASE, "resume.c knows them by number");

static uint32_t word32(const struct message *m, unsigned offset) {
    uint32_t v;
    memcpy(&v, m->bytes + offset, sizeof v);
    return v;
}
static uint64_t word64(const struct message *m, unsigned offset) {
    uint64_t v;
    memcpy(&v, m->bytes + offset, sizeof v);
    return v;
}
static uint64_t payload64(const struct message *m, unsigned offset) { return word64(m, HEADER_SIZE + offset); }
static uint32_t payload32(const struct message *m, unsigned offset) { return word32(m, HEADER_SIZE + offset); }

const char *request_name(uint32_t request) {
    return request < REQUESTS && shapes[request].name != NULL ? shapes[request].name : "unknown request";
}

void message_clear(struct message *m) {
    for (unsigned i = 0; i < m->fd_count; i++)
        if (m->fds[i] >= 0) close(m->fds[i]);
    m->fd_count = 0;
    m->have = 0;
}

void knowledge_init(struct knowledge *k) {
    memset(k, 0, sizeof *k);
    for (unsigned i = 0; i < MAX_FILES; i++) k->files[i].fd = -1;
    for (unsigned i = 0; i < MAX_RINGS; i++) k->calls[i] = -1;
}

static void forget(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

void knowledge_release(struct knowledge *k) {
    for (unsigned i = 0; i < MAX_FILES; i++) forget(&k->files[i].fd);
    for (unsigned i = 0; i < MAX_RINGS; i++) forget(&k->calls[i]);
}

bool knowledge_has_shrunk(const struct knowledge *k) {
    for (unsigned i = 0; i < MAX_FILES; i++) {
        struct stat status;
        if (k->files[i].fd >= 0 && fstat(k->files[i].fd, &status) == 0 && (uint64_t)status.st_size < k->files[i].bytes) return true;
    }
    return false;
}

int message_payload(const struct message *m, char *reason, size_t reason_size) {
    uint32_t request = word32(m, 0), flags = word32(m, 4), size = word32(m, 8);
    if ((flags & 3) != 1) {
        snprintf(reason, reason_size, "a message of protocol version %u; version 1 is spoken here", flags & 3);
        return -1;
    }
    if (request >= REQUESTS || shapes[request].name == NULL) {
        snprintf(reason, reason_size, "request %u, which is not known here", request);
        return -1;
    }
    const struct shape *shape = &shapes[request];
    if (size < shape->least || size > shape->most) {
        snprintf(reason, reason_size, "%s with %u bytes of payload; it has %u to %u", shape->name, size, shape->least, shape->most);
        return -1;
    }
    return (int)size;
}

/// Whether [start, start + size) overlaps [other, other + other_size); both ends are known not to wrap.
static bool overlaps(uint64_t start, uint64_t size, uint64_t other, uint64_t other_size) {
    return start < other + other_size && other < start + size;
}

/// Whether the file can be mapped without harm: regular, of a file system that answers page faults from this machine, long enough.
static bool check_file(int fd, uint64_t offset, uint64_t size, const char *what, char *reason, size_t reason_size) {
    struct stat status;
    if (size == 0 || offset + size < offset || offset + size > INT64_MAX) {
        snprintf(reason, reason_size, "%s of %llu bytes at offset %llu", what, (unsigned long long)size, (unsigned long long)offset);
        return false;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        snprintf(reason, reason_size, "a descriptor that is no file for %s", what);
        return false;
    }
    if ((uint64_t)status.st_size < offset + size) {
        snprintf(reason, reason_size, "%s that ends at %llu in a file of %llu bytes", what, (unsigned long long)(offset + size),
                 (unsigned long long)status.st_size);
        return false;
    }
    struct statfs system;
    if (fstatfs(fd, &system) != 0) {
        snprintf(reason, reason_size, "%s: %s", what, strerror(errno));
        return false;
    }
    switch ((unsigned long)system.f_type) {
    // in memory, or on a local disk; one served by a process (FUSE) or a network could make a page fault wait for ever
    case TMPFS_MAGIC: case HUGETLBFS_MAGIC: case RAMFS_MAGIC: case EXT4_SUPER_MAGIC: case XFS_SUPER_MAGIC: case BTRFS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
        return true;
    default:
        snprintf(reason, reason_size, "%s on a file system of type 0x%lx, which may keep page faults waiting", what,
                 (unsigned long)system.f_type);
        return false;
    }
}

static bool is_eventfd(int fd) {
    char link[32], path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, link, sizeof link - 1);
    if (n < 0) return false;
    link[n] = 0;
    return strcmp(link, "anon_inode:[eventfd]") == 0;
}

static void watch(struct file *file, int fd, uint64_t bytes) {
    forget(&file->fd);
    file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    file->bytes = bytes;
}

static bool check_memory(struct message *m, struct knowledge *k, char *reason, size_t reason_size) {
    uint32_t count = payload32(m, 0), size = word32(m, 8);
    if (size == 8 && m->fd_count == 0 && k->owes_answer) {
        k->owes_answer = false;
        return true;
    }
    if (count == 0 || count > MAX_REGIONS) {
        snprintf(reason, reason_size, "a memory table of %u regions; 1 to %d are possible", count, MAX_REGIONS);
        return false;
    }
    if (size != 8 + 32 * count || m->fd_count != count) {
        snprintf(reason, reason_size, "a memory table of %u regions with %u bytes and %u descriptors", count, size, m->fd_count);
        return false;
    }
    struct region regions[MAX_REGIONS];
    uint64_t ends[MAX_REGIONS];
    for (uint32_t i = 0; i < count; i++) {
        unsigned at = 8 + 32 * i;
        struct region r = {.guest = payload64(m, at), .size = payload64(m, at + 8), .user = payload64(m, at + 16)};
        uint64_t offset = payload64(m, at + 24);
        if (r.size == 0 || r.guest + r.size < r.guest || r.user + r.size < r.user) {
            snprintf(reason, reason_size, "memory region %u of %llu bytes at 0x%llx wraps around", i, (unsigned long long)r.size,
                     (unsigned long long)r.guest);
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (!overlaps(r.guest, r.size, regions[j].guest, regions[j].size) && !overlaps(r.user, r.size, regions[j].user, regions[j].size))
                continue;
            snprintf(reason, reason_size, "memory regions %u and %u overlap", j, i);
            return false;
        }
        if (!check_file(m->fds[i], offset, r.size, "a memory region", reason, reason_size)) return false;
        regions[i] = r;
        ends[i] = offset + r.size;
    }
    k->owes_answer = k->listens;
    memcpy(k->regions, regions, sizeof *regions * count);
    k->region_count = count;
    for (unsigned i = 0; i < MAX_REGIONS; i++) {
        if (i < count)
            watch(&k->files[i], m->fds[i], ends[i]);
        else
            forget(&k->files[i].fd);
    }
    return true;
}

/// Whether all of [address, address + size) lies in one region of what the front-end calls its own addresses.
static bool is_in_memory(const struct knowledge *k, uint64_t address, uint64_t size) {
    if (address + size < address) return false;
    for (unsigned i = 0; i < k->region_count; i++) {
        const struct region *r = &k->regions[i];
        if (address >= r->user && address + size <= r->user + r->size) return true;
    }
    return false;
}

/// Whether a ring of so many descriptors lies in memory.
static bool check_place(
    const struct knowledge *k, uint32_t index, uint64_t n, const struct place *place, char *reason, size_t reason_size) {
    // without memory rte_vhost only remembers them; with an IOMMU they are the guest's, and looked up page by page
    if (k->region_count == 0 || (k->features & FEATURE_IOMMU) != 0) return true;
    uint64_t sizes[3] = {16 * n, 4 + 8 * n, 4 + 2 * n};
    if (k->features & FEATURE_PACKED) sizes[1] = sizes[2] = 4;
    static const char *names[3] = {"descriptors", "used ring", "available ring"};
    for (unsigned part = 0; part < 3; part++) {
        uint64_t address = place->part[part];
        if (is_in_memory(k, address, sizes[part])) continue;
        snprintf(reason, reason_size, "virtqueue %u: its %s, %llu bytes at 0x%llx, are not in the guest's memory", index, names[part],
                 (unsigned long long)sizes[part], (unsigned long long)address);
        return false;
    }
    return true;
}

/// Whether the ring has a size. rte_vhost makes what it keeps about a ring when it is told the size, throws it away when the ring is
/// stopped, and does not look whether it is there when the ring is started.
static bool has_size(const struct message *m, const struct knowledge *k, uint32_t index, char *reason, size_t reason_size) {
    if (k->ring_size[index] != 0) return true;
    snprintf(reason, reason_size, "%s of virtqueue %u, whose size was not said since it was last stopped", request_name(word32(m, 0)), index);
    return false;
}

static void forget_ring(struct knowledge *k, uint32_t index) {
    k->ring_size[index] = 0;
    k->places[index].is_known = false;
}

/// Other features are another device; and rte_vhost throws away what is more than one queue pair if there may be no more.
static void learn_features(struct knowledge *k, uint64_t features) {
    bool is_new = ((features ^ k->features) & ~FEATURE_LOG_ALL) != 0;
    for (uint32_t index = 0; index < MAX_RINGS; index++)
        if (is_new || (index >= 2 && (features & FEATURE_MULTIQUEUE) == 0)) forget_ring(k, index);
    k->features = features;
}

static bool check_addresses(const struct message *m, struct knowledge *k, char *reason, size_t reason_size) {
    uint32_t index = payload32(m, 0);
    struct place place = {.is_known = true, .part = {payload64(m, 8), payload64(m, 16), payload64(m, 24)}};
    if (!has_size(m, k, index, reason, reason_size)) return false;
    if (!check_place(k, index, k->ring_size[index], &place, reason, reason_size)) return false;
    k->places[index] = place;
    return true;
}

static bool check_size(struct knowledge *k, uint32_t index, uint32_t n, char *reason, size_t reason_size) {
    if (n == 0 || n > MAX_RING_SIZE || ((n & (n - 1)) != 0 && (k->features & FEATURE_PACKED) == 0)) {
        snprintf(reason, reason_size, "virtqueue %u of %u descriptors; powers of two to %d are possible", index, n, MAX_RING_SIZE);
        return false;
    }
    // rte_vhost does not look again whether a ring that has its place, and grows there, ends in memory
    if (k->places[index].is_known && n > k->ring_size[index]) {
        if ((k->features & FEATURE_IOMMU) != 0) {
            snprintf(reason, reason_size, "virtqueue %u grows from %u to %u descriptors where it is", index, k->ring_size[index], n);
            return false;
        }
        if (!check_place(k, index, n, &k->places[index], reason, reason_size)) return false;
    }
    k->ring_size[index] = n;
    return true;
}

static bool check_index(uint32_t index, char *reason, size_t reason_size) {
    if (index < MAX_RINGS) return true;
    snprintf(reason, reason_size, "virtqueue %u; 0 to %d are possible", index, MAX_RINGS - 1);
    return false;
}

static bool check_eventfd(const struct message *m, struct knowledge *k, char *reason, size_t reason_size) {
    uint32_t request = word32(m, 0);
    uint64_t value = payload64(m, 0);
    uint32_t index = value & 0xff;
    bool none = (value & 0x100) != 0;
    if ((value & ~0x1ffull) != 0 || none != (m->fd_count == 0)) {
        snprintf(reason, reason_size, "%s 0x%llx with %u descriptors", request_name(request), (unsigned long long)value, m->fd_count);
        return false;
    }
    if (!check_index(index, reason, reason_size)) return false;
    if (!none && !is_eventfd(m->fds[0])) {
        snprintf(reason, reason_size, "%s with a descriptor that is no eventfd", request_name(request));
        return false;
    }
    if (request == SET_VRING_KICK && !none && !has_size(m, k, index, reason, reason_size)) return false;
    if (request == SET_VRING_CALL) {
        forget(&k->calls[index]);
        if (!none) k->calls[index] = fcntl(m->fds[0], F_DUPFD_CLOEXEC, 3);
    }
    return true;
}

bool message_check(struct message *m, struct knowledge *k, char *reason, size_t reason_size) {
    uint32_t request = word32(m, 0);
    const struct shape *shape = &shapes[request];
    if (m->fd_count < shape->fds_least || m->fd_count > shape->fds_most) {
        snprintf(reason, reason_size, "%s with %u descriptors; it has %u to %u", shape->name, m->fd_count, shape->fds_least, shape->fds_most);
        return false;
    }
    uint32_t index = shape->least >= 8 ? payload32(m, 0) : 0;
    uint32_t value = shape->least >= 8 ? payload32(m, 4) : 0;
    switch (request) {
    case SET_FEATURES: learn_features(k, payload64(m, 0)); return true;
    case RESET_OWNER:
        for (uint32_t ring = 0; ring < MAX_RINGS; ring++) forget_ring(k, ring);
        return true;
    case SET_MEM_TABLE: return check_memory(m, k, reason, reason_size);
    case SET_LOG_BASE:
        if (!check_file(m->fds[0], payload64(m, 8), payload64(m, 0), "a dirty log", reason, reason_size)) return false;
        watch(&k->files[LOG_FILE], m->fds[0], payload64(m, 8) + payload64(m, 0));
        return true;
    case SET_VRING_NUM:
        return check_index(index, reason, reason_size) && check_size(k, index, value, reason, reason_size);
    case SET_VRING_ADDR: return check_index(index, reason, reason_size) && check_addresses(m, k, reason, reason_size);
    case GET_VRING_BASE:
        if (!check_index(index, reason, reason_size)) return false;
        forget_ring(k, index);
        return true;
    case SET_VRING_BASE:
    case SET_VRING_ENABLE:
    case SET_VRING_ENDIAN: return check_index(index, reason, reason_size);
    case SET_VRING_KICK:
    case SET_VRING_CALL:
    case SET_VRING_ERR: return check_eventfd(m, k, reason, reason_size);
    case NET_SET_MTU:
        if (payload64(m, 0) >= 68 && payload64(m, 0) <= 65535) return true;
        snprintf(reason, reason_size, "an MTU of %llu; 68 to 65535 are possible", (unsigned long long)payload64(m, 0));
        return false;
    case GET_INFLIGHT_FD:
    case SET_INFLIGHT_FD: {
        uint16_t queues, descriptors;
        memcpy(&queues, m->bytes + HEADER_SIZE + 16, 2);
        memcpy(&descriptors, m->bytes + HEADER_SIZE + 18, 2);
        if (queues > MAX_RINGS || descriptors > MAX_RING_SIZE) {
            snprintf(reason, reason_size, "an inflight record of %u queues with %u descriptors", queues, descriptors);
            return false;
        }
        if (request == GET_INFLIGHT_FD) return true;
        if (!check_file(m->fds[0], payload64(m, 8), payload64(m, 0), "an inflight record", reason, reason_size)) return false;
        watch(&k->files[INFLIGHT_FILE], m->fds[0], payload64(m, 8) + payload64(m, 0));
        return true;
    }
    case POSTCOPY_ADVISE:
    case POSTCOPY_LISTEN:
    case POSTCOPY_END:
        if (!k->may_postcopy) {
            snprintf(reason, reason_size, "%s, but post-copy migration is not offered to it", shape->name);
            return false;
        }
        k->listens = request == POSTCOPY_LISTEN || (request == POSTCOPY_ADVISE && k->listens);
        return true;
    default: return true;
    }
}
