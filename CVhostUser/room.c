// Room for what a guest's lies make rte_vhost note.
//
// In a burst rte_vhost notes each buffer that it used, and tells the guest of them at the end. It has room for as many as the ring has
// descriptors, which is enough for any honest guest: who offers more buffers than there are descriptors lies. But it takes the
// guest's word for how many there are: 32 packets may take 256 buffers each, of a ring of 256, and what is noted of them runs
// over into the heap. Nothing outside can look first, as the guest may change its mind between two looks.
//
// So the notes get room for the most that a burst can make. rte_vhost's thread asks for them, and for nothing else, without a name
// and aligned to a cache line; this file stands between it and DPDK's allocator, which a program may.
#include "internal.h"

#include <dlfcn.h>
#include <rte_malloc.h>

/// The most packets of a burst, the most buffers of a packet (rte_vhost's BUF_VECTOR_MAX), the bytes of a note, the larger kind's.
#define MOST_BYTES (32 * 256 * 12)

static size_t enough(const char *type, size_t size, unsigned align) {
    return fault_in_library && type == NULL && align == RTE_CACHE_LINE_SIZE && size < MOST_BYTES ? MOST_BYTES : size;
}

/// DPDK's own function of that name.
static void *behind(void *_Atomic *found, const char *name) {
    void *function = atomic_load_explicit(found, memory_order_relaxed);
    if (function == NULL) atomic_store_explicit(found, function = dlsym(RTLD_NEXT, name), memory_order_relaxed);
    return function;
}

void *rte_malloc_socket(const char *type, size_t size, unsigned align, int socket) {
    static void *_Atomic found;
    void *(*allocate)(const char *, size_t, unsigned, int) = behind(&found, "rte_malloc_socket");
    return allocate(type, enough(type, size, align), align, socket);
}

void *rte_realloc_socket(void *memory, size_t size, unsigned align, int socket) {
    static void *_Atomic found;
    void *(*reallocate)(void *, size_t, unsigned, int) = behind(&found, "rte_realloc_socket");
    return reallocate(memory, enough(NULL, size, align), align, socket);
}
