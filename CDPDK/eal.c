// EAL: initialisation, threads, and where the log goes.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf_dyn.h>
#include <rte_version.h>
#include "internal.h"

static int initialized;
static int attempted;

// ---------------------------------------------------------------- log

/// Longest line kept; the rest of a longer one is cut.
#define LINE_SIZE 512

static cdpdk_log_sink log_sink;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_error[LINE_SIZE];
static int last_error_level = 9;

static void log_line(int level, const char *line, size_t length) {
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == ' ')) length--;
    if (length == 0) return;
    if (level >= 1 && level <= RTE_LOG_ERR) {
        // the first error is the cause; those that follow are its consequences
        pthread_mutex_lock(&log_lock);
        if (last_error[0] == 0) {
            size_t n = length < LINE_SIZE - 1 ? length : LINE_SIZE - 1;
            memcpy(last_error, line, n);
            last_error[n] = 0;
            last_error_level = level;
        }
        pthread_mutex_unlock(&log_lock);
    }
    cdpdk_log_sink sink = __atomic_load_n(&log_sink, __ATOMIC_ACQUIRE);
    if (sink != NULL)
        sink(level, line, length);
    else
        fprintf(stderr, "%.*s\n", (int)length, line);
}

static ssize_t log_write(void *cookie, const char *text, size_t size) {
    (void)cookie;
    int level = rte_log_cur_msg_loglevel();
    size_t start = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\n') continue;
        log_line(level, text + start, i - start);
        start = i + 1;
    }
    if (start < size) log_line(level, text + start, size - start);
    return (ssize_t)size;
}

static void log_open(void) {
    static FILE *stream;
    if (stream != NULL) return;
    cookie_io_functions_t functions = {.write = log_write};
    stream = fopencookie(NULL, "w", functions);
    if (stream == NULL) return;
    setvbuf(stream, NULL, _IOLBF, 4096);
    rte_openlog_stream(stream);
}

void cdpdk_log_set_sink(cdpdk_log_sink sink) { __atomic_store_n(&log_sink, sink, __ATOMIC_RELEASE); }
void cdpdk_log_set_level(int level) {
    rte_log_set_global_level((uint32_t)level);
    rte_log_set_level_pattern("*", (uint32_t)level);
}
void cdpdk_log_mark(void) {
    pthread_mutex_lock(&log_lock);
    last_error[0] = 0;
    pthread_mutex_unlock(&log_lock);
}
size_t cdpdk_log_last_error(char *out, size_t size) {
    if (size == 0) return 0;
    pthread_mutex_lock(&log_lock);
    snprintf(out, size, "%s", last_error);
    pthread_mutex_unlock(&log_lock);
    return strlen(out);
}

// ---------------------------------------------------------------- initialisation

/// The switch's own bytes in every mbuf, so that no driver is given them for a dynamic field.
static int reserve_user_fields(void) {
    static const struct rte_mbuf_dynfield field = {
        .name = "apus_user", .size = sizeof(((struct cdpdk_mbuf *)0)->user), .align = 8, .flags = 0};
    size_t offset = offsetof(struct cdpdk_mbuf, user);
    return rte_mbuf_dynfield_register_offset(&field, offset) == (int)offset ? 0 : -1;
}

int cdpdk_eal_init(int argc, char **argv, char *error, size_t error_size) {
    if (__atomic_exchange_n(&attempted, 1, __ATOMIC_ACQ_REL) != 0) {
        cdpdk_reason(error, error_size, "DPDK can be initialised only once a process");
        return -1;
    }
    cpu_set_t affinity;
    int saved = pthread_getaffinity_np(pthread_self(), sizeof affinity, &affinity);
    log_open();
    cdpdk_log_mark();
    // one line a vhost-user message is too much; `--log-level` in the arguments still has the last word
    rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_NOTICE);
    // a line for every bad descriptor of a guest, on the thread that forwards everybody's packets, is a weapon
    rte_log_set_level_pattern("lib.vhost.data", RTE_LOG_CRIT);
    // EAL's parser reorders the array and expects writable strings that live as long as the process
    char **copy = calloc((size_t)argc + 1, sizeof *copy);
    if (copy == NULL) {
        cdpdk_reason(error, error_size, "out of memory");
        return -1;
    }
    for (int i = 0; i < argc; i++) copy[i] = strdup(argv[i]);
    int result = rte_eal_init(argc, copy);
    int code = rte_errno;
    if (saved == 0) pthread_setaffinity_np(pthread_self(), sizeof affinity, &affinity);
    if (result < 0) {
        char line[LINE_SIZE];
        if (cdpdk_log_last_error(line, sizeof line) > 0)
            cdpdk_reason(error, error_size, "%s", line);
        else
            cdpdk_reason(error, error_size, "%s", rte_strerror(code));
        return -1;
    }
    __atomic_store_n(&initialized, 1, __ATOMIC_RELEASE);
    if (reserve_user_fields() != 0) {
        cdpdk_reason(error, error_size, "no room for the switch's fields in the mbuf: %s", rte_strerror(rte_errno));
        return -1;
    }
    return 0;
}

bool cdpdk_eal_is_initialized(void) { return __atomic_load_n(&initialized, __ATOMIC_ACQUIRE) != 0; }
int cdpdk_eal_cleanup(void) {
    if (!cdpdk_eal_is_initialized()) return 0;
    __atomic_store_n(&initialized, 0, __ATOMIC_RELEASE);
    return rte_eal_cleanup();
}
bool cdpdk_eal_has_hugepages(void) { return cdpdk_eal_is_initialized() && rte_eal_has_hugepages() != 0; }
uint64_t cdpdk_eal_free_memory(void) {
    uint64_t sum = 0;
    struct rte_malloc_socket_stats stats;
    for (unsigned i = 0; cdpdk_eal_is_initialized() && i < rte_socket_count(); i++)
        if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0) sum += stats.heap_freesz_bytes;
    return sum;
}
const char *cdpdk_version(void) { return rte_version(); }

int cdpdk_thread_register(void) {
    if (!cdpdk_eal_is_initialized()) return 0;
    if (rte_lcore_id() != LCORE_ID_ANY) return 0;
    return rte_thread_register() == 0 ? 0 : -rte_errno;
}
void cdpdk_thread_unregister(void) {
    if (cdpdk_eal_is_initialized() && rte_lcore_id() != LCORE_ID_ANY) rte_thread_unregister();
}
uint32_t cdpdk_thread_lcore(void) { return rte_lcore_id(); }

uint64_t cdpdk_tsc_hz(void) {
    static uint64_t measured;
    if (cdpdk_eal_is_initialized()) return rte_get_tsc_hz();
    uint64_t known = __atomic_load_n(&measured, __ATOMIC_RELAXED);
    if (known != 0) return known;
    struct timespec from, to, nap = {.tv_nsec = 20 * 1000 * 1000};
    clock_gettime(CLOCK_MONOTONIC_RAW, &from);
    uint64_t start = __rdtsc();
    nanosleep(&nap, NULL);
    uint64_t end = __rdtsc();
    clock_gettime(CLOCK_MONOTONIC_RAW, &to);
    uint64_t elapsed = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000ull + (uint64_t)to.tv_nsec - (uint64_t)from.tv_nsec;
    uint64_t hz = (uint64_t)((double)(end - start) * 1e9 / (double)elapsed);
    __atomic_store_n(&measured, hz, __ATOMIC_RELAXED);
    return hz;
}
