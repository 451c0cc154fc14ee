// The sockets there are, by the path that rte_vhost knows each by, and the folder of these paths.
//
// Callbacks find their socket by its inner path. The lock is held for the search only, never while rte_vhost is called; a socket
// leaves the list after rte_vhost_driver_unregister, which ends all callbacks for its path.
#include "internal.h"

#include <errno.h>
#include <linux/limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <rte_vhost.h>

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cvhost_socket *registry;

struct cvhost_socket *registry_find(int vid) {
    char path[PATH_MAX];
    if (rte_vhost_get_ifname(vid, path, sizeof path) != 0) return NULL;
    pthread_mutex_lock(&registry_lock);
    struct cvhost_socket *s = registry;
    while (s != NULL && strcmp(s->inner, path) != 0) s = s->next;
    pthread_mutex_unlock(&registry_lock);
    return s;
}

// rte_vhost's own sockets: in a folder that nobody else may enter.

static char inner_directory[CVHOST_MAX_PATH + 1];
static unsigned inner_users;
static uint64_t inner_number;

/// Under the registry's lock: a path in the folder, which is made if it is not there.
static int make_inner_path(const char *directory, char *path, size_t size) {
    // room for a slash and a number
    if (inner_users == 0) {
        size_t length = strlen(directory);
        int made = -1;
        if (length > 0 && length + 24 < sizeof inner_directory) {
            snprintf(inner_directory, sizeof inner_directory, "%s/.vhost", directory);
            struct stat status;
            made = mkdir(inner_directory, 0700);
            if (made != 0 && errno == EEXIST && lstat(inner_directory, &status) == 0 && S_ISDIR(status.st_mode) &&
                status.st_uid == geteuid() && (status.st_mode & 077) == 0)
                made = 0;
        }
        if (made != 0) {
            snprintf(inner_directory, sizeof inner_directory, "/tmp/apus-XXXXXX");
            if (mkdtemp(inner_directory) == NULL) return -1;
        }
    }
    snprintf(path, size, "%.90s/%llu", inner_directory, (unsigned long long)++inner_number);
    inner_users++;
    // left by a switch that was killed
    unlink(path);
    return 0;
}

int registry_add(struct cvhost_socket *s, const char *directory) {
    pthread_mutex_lock(&registry_lock);
    bool taken = false;
    for (struct cvhost_socket *other = registry; other != NULL; other = other->next)
        if (strcmp(other->path, s->path) == 0) taken = true;
    int result = taken ? REGISTRY_TAKEN : make_inner_path(directory, s->inner, sizeof s->inner) != 0 ? REGISTRY_NO_FOLDER : 0;
    if (result == 0) {
        s->next = registry;
        registry = s;
    }
    pthread_mutex_unlock(&registry_lock);
    return result;
}

void registry_remove(struct cvhost_socket *s) {
    pthread_mutex_lock(&registry_lock);
    for (struct cvhost_socket **p = &registry; *p != NULL; p = &(*p)->next) {
        if (*p != s) continue;
        *p = s->next;
        break;
    }
    unlink(s->inner);
    if (--inner_users == 0) rmdir(inner_directory);
    pthread_mutex_unlock(&registry_lock);
}
