#define _GNU_SOURCE
#include "CLinux.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clinux_pin_to_cpu(uint32_t cpu) {
    if (cpu >= CLINUX_MAX_CPUS) return -EINVAL;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}
int clinux_set_affinity(int thread_id, const uint64_t *words, size_t word_count) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t cpu = 0; cpu < word_count * 64 && cpu < CLINUX_MAX_CPUS; cpu++)
        if (words[cpu / 64] >> (cpu % 64) & 1) CPU_SET(cpu, &set);
    return sched_setaffinity(thread_id, sizeof set, &set) == 0 ? 0 : -errno;
}
int clinux_thread_ids(int *ids, int capacity) {
    DIR *directory = opendir("/proc/self/task");
    if (directory == NULL) return -errno;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int id = atoi(entry->d_name);
        if (id <= 0) continue;
        if (count < capacity) ids[count] = id;
        count++;
    }
    closedir(directory);
    return count;
}
int clinux_get_affinity(uint64_t *words, size_t word_count) {
    cpu_set_t set;
    CPU_ZERO(&set);
    int result = pthread_getaffinity_np(pthread_self(), sizeof set, &set);
    if (result != 0) return -result;
    memset(words, 0, word_count * sizeof *words);
    for (size_t cpu = 0; cpu < word_count * 64 && cpu < CLINUX_MAX_CPUS; cpu++)
        if (CPU_ISSET(cpu, &set)) words[cpu / 64] |= 1ull << (cpu % 64);
    return 0;
}
int clinux_set_thread_name(const char *name) {
    char cut[16];
    snprintf(cut, sizeof cut, "%s", name);
    return -pthread_setname_np(pthread_self(), cut);
}
int clinux_current_cpu(void) { return sched_getcpu(); }
int clinux_thread_id(void) { return (int)syscall(SYS_gettid); }

int clinux_numa_of_cpu(uint32_t cpu) {
    // node directories are few and numbered from 0
    for (int node = 0; node < 64; node++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/node%d", cpu, node);
        if (access(path, F_OK) == 0) return node;
    }
    return 0;
}

int clinux_eventfd(void) {
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}
int clinux_eventfd_signal(int fd) {
    uint64_t one = 1;
    return write(fd, &one, sizeof one) == (ssize_t)sizeof one || errno == EAGAIN ? 0 : -errno;
}
int clinux_eventfd_drain(int fd) {
    uint64_t count;
    if (read(fd, &count, sizeof count) == (ssize_t)sizeof count) return 1;
    return errno == EAGAIN ? 0 : -errno;
}
void clinux_sleep_nanoseconds(uint64_t nanoseconds) {
    struct timespec t = {.tv_sec = (time_t)(nanoseconds / 1000000000ull), .tv_nsec = (long)(nanoseconds % 1000000000ull)};
    nanosleep(&t, NULL);
}
int clinux_wait(struct pollfd *descriptors, uint32_t count, uint64_t nanoseconds) {
    struct timespec t = {.tv_sec = (time_t)(nanoseconds / 1000000000ull), .tv_nsec = (long)(nanoseconds % 1000000000ull)};
    int ready = ppoll(descriptors, count, &t, NULL);
    return ready < 0 ? 0 : ready;
}
uint64_t clinux_monotonic_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}
int clinux_set_timer_slack(uint64_t nanoseconds) {
    return prctl(PR_SET_TIMERSLACK, (unsigned long)nanoseconds, 0, 0, 0) == 0 ? 0 : -errno;
}

intptr_t clinux_read(int fd, void *buffer, size_t size) {
    for (;;) {
        ssize_t n = read(fd, buffer, size);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}
intptr_t clinux_write(int fd, const void *buffer, size_t size) {
    for (;;) {
        ssize_t n = write(fd, buffer, size);
        if (n >= 0) return n;
        if (errno != EINTR) return -errno;
    }
}
