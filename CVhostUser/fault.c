// Guest memory that vanishes.
//
// A guest's memory is a file of its own: who owns it can cut it short, or punch a hole into it that no hugepage is left for,
// while we have it mapped. The next access is a SIGBUS, which ends a process by default. Here the faulting page becomes
// anonymous zeros instead, so that the burst under way ends in some harmless fashion; the device is taken away from the data
// path at once, and the guard cuts its front-end off.
//
// Only threads that are about to touch guest memory say so are helped: PMD threads within a burst, and rte_vhost's own.
// Any other SIGBUS goes where it went before.
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

__thread struct cvhost_socket *fault_inside;
__thread bool fault_in_library;
_Atomic uint64_t fault_in_library_count;

static struct sigaction before;

static bool replace(void *address) {
    // a page of the mapping's own size is all that can be replaced: 4 KiB, or a hugepage
    static const uintptr_t sizes[] = {4096, 2ul << 20, 1ul << 30};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *start = (void *)((uintptr_t)address & ~(sizes[i] - 1));
        if (mmap(start, sizes[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == start) return true;
        if (errno != EINVAL) return false;
    }
    return false;
}

static void handle(int number, siginfo_t *info, void *context) {
    int code = errno;
    struct cvhost_socket *s = fault_inside;
    if (info->si_code == BUS_ADRERR && (s != NULL || fault_in_library) && replace(info->si_addr)) {
        if (s != NULL) {
            count_event(s, CVHOST_EVENT_FAULT);
            cvhost_suspend(s);
        } else {
            atomic_fetch_add(&fault_in_library_count, 1);
        }
        guard_wake();
        errno = code;
        return;
    }
    if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != NULL) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        // the same instruction faults again, and ends the process as it would have
        signal(SIGBUS, SIG_DFL);
    }
    errno = code;
}

static void install(void) {
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = handle;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}

void fault_install(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}
