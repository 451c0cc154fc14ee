// Linux as Swift cannot see it: what Glibc's module map hides (`_GNU_SOURCE`, variadic ioctl, CMSG macros) and what
// PMD threads need of the processor.
//
// Functions return 0 or a value >= 0 on success and `-errno` on failure, unless they say otherwise. Those marked
// `CLINUX_HOT` may be called from PMD threads: no lock, no heap.
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <x86intrin.h>

#define CLINUX_HOT __attribute__((swift_attr("@_noLocks")))

#pragma clang assume_nonnull begin

// ---------------------------------------------------------------- threads and CPUs

/// CPUs this library can name: 0 to CLINUX_MAX_CPUS - 1.
#define CLINUX_MAX_CPUS 1024
/// Pins the calling thread to one CPU.
int clinux_pin_to_cpu(uint32_t cpu);
/// Lets a thread of this process run on the CPUs of a bit set (bit c of word c/64).
int clinux_set_affinity(int thread_id, const uint64_t *words, size_t word_count);
/// The ids of this process's threads, `capacity` at most. How many there are.
int clinux_thread_ids(int *ids, int capacity);
/// The CPUs the calling thread may run on.
int clinux_get_affinity(uint64_t *words, size_t word_count);
/// Names the calling thread; cut to 15 bytes.
int clinux_set_thread_name(const char *name);
CLINUX_HOT int clinux_current_cpu(void);
int clinux_thread_id(void);
/// NUMA node of a CPU; 0 if the machine does not say.
int clinux_numa_of_cpu(uint32_t cpu);

// ---------------------------------------------------------------- events and waiting

/// A non-blocking eventfd, close-on-exec.
int clinux_eventfd(void);
CLINUX_HOT int clinux_eventfd_signal(int fd);
/// Reads and clears it. 1 if it had been signalled, 0 if not.
CLINUX_HOT int clinux_eventfd_drain(int fd);
/// Sleeps; for the idle back-off of PMD threads.
CLINUX_HOT void clinux_sleep_nanoseconds(uint64_t nanoseconds);
/// Waits until one of the descriptors is ready, at most so long. How many are.
int clinux_wait(struct pollfd *descriptors, uint32_t count, uint64_t nanoseconds);
CLINUX_HOT uint64_t clinux_monotonic_nanoseconds(void);
/// Makes sleeps of the calling thread precise (default slack is 50 us).
int clinux_set_timer_slack(uint64_t nanoseconds);

CLINUX_HOT static inline uint64_t clinux_tsc(void) { return __rdtsc(); }
CLINUX_HOT static inline void clinux_pause(void) { _mm_pause(); }
CLINUX_HOT static inline void clinux_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
/// Which of the eight 32-bit words at `words` (32-byte aligned) equal `word`: bit n for word n.
CLINUX_HOT __attribute__((target("avx2"))) static inline uint32_t clinux_match_8(const void *words, uint32_t word) {
    __m256i all = _mm256_load_si256((const __m256i *)words);
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(all, _mm256_set1_epi32((int)word))));
}

// ---------------------------------------------------------------- devices

#define CLINUX_INTERFACE_NAME_SIZE 16
/// Opens (creating it if need be) the tap device `name`, non-blocking, close-on-exec, without packet information; it vanishes with
/// the descriptor. `existed` tells whether it was there before. -EBUSY if another process holds it.
/// With `offloads`, frames carry a `virtio_net_hdr` in both directions (`has_header`), and the host leaves checksums and segmentation to us.
int clinux_tap_open(const char *name, bool offloads, bool *existed, bool *has_header);
/// A raw, non-blocking packet socket bound to the interface. It sees frames the host receives on it, not those sent.
/// `offloads` and `has_header` as for tap devices; an old kernel may not have it.
/// `ring`: `mtu` tells how long frames are; on return `memory` is the ring in which frames arrive (TPACKET_V2), to be unmapped by the
/// caller, or null if there is none: then they are received by `recvmsg`.
struct clinux_packet_ring {
    uint32_t mtu;
    uint32_t frame_size;
    uint32_t frames;
    size_t bytes;
    void *_Nullable memory;
};
int clinux_packet_socket_open(const char *name, bool offloads, bool *has_header, struct clinux_packet_ring *ring);
/// Frames that found the socket full since the last call.
int clinux_packet_drops(int fd, uint64_t *drops);
/// Whether what is sent by the interface passes a queueing discipline: 1 or 0, or -errno.
int clinux_interface_has_queue(const char *name);
/// Moves the calling thread, for good, into a fresh network namespace.
int clinux_unshare_network(void);

/// Of an interface in the calling thread's network namespace.
int clinux_interface_index(const char *name);
int clinux_interface_get_mac(const char *name, uint8_t *mac);
int clinux_interface_set_mac(const char *name, const uint8_t *mac);
int clinux_interface_get_mtu(const char *name);
int clinux_interface_set_mtu(const char *name, uint32_t mtu);
int clinux_interface_set_up(const char *name, bool up);
/// IFF_* flags, or -errno.
int clinux_interface_get_flags(const char *name);
/// 1 with a carrier, 0 without or if the device cannot tell.
int clinux_interface_carrier(const char *name);
/// Megabits a second; 0 if unknown.
uint32_t clinux_interface_speed(const char *name);

/// Where a test device's packets go: a capture file, and streams that carry each packet behind its length (2 bytes, big-endian).
struct clinux_sink {
    int capture;
    int streams[8];
};
/// Writes a packet wherever the sink says. What cannot be written is lost.
CLINUX_HOT void clinux_sink_packet(struct clinux_sink *sink, const void *data, size_t size);
/// Appends a record to a capture in classic form; `clinux_capture_header` begins one. 0 or a negative errno.
int clinux_capture_header(int fd);
CLINUX_HOT int clinux_capture_record(int fd, const void *data, size_t size);

/// read(2) and write(2) that say what happened in the return value: bytes, or -errno. Retried on EINTR.
CLINUX_HOT intptr_t clinux_read(int fd, void *buffer, size_t size);
CLINUX_HOT intptr_t clinux_write(int fd, const void *buffer, size_t size);

#pragma clang assume_nonnull end
