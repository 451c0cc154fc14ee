// Sockets, and messages with descriptors over them. Nothing here waits.
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int channel_connect(const char *path) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    int code = errno;
    close(fd);
    return -code;
}

ssize_t channel_receive(int fd, void *bytes, size_t size, int *fds, unsigned *fd_count) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * MAX_REGIONS)];
    } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    do n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    bool excess = (message.msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof got, sizeof got);
            if (*fd_count < MAX_REGIONS) {
                fds[(*fd_count)++] = got;
            } else {
                close(got);
                excess = true;
            }
        }
    }
    return excess ? -EMSGSIZE : n;
}

ssize_t channel_transmit(int fd, const void *bytes, size_t size, const int *fds, unsigned fd_count) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * MAX_REGIONS)];
    } control;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (fd_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    ssize_t n;
    do n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int channel_listen(struct cvhost_socket *s, char *error, size_t error_size) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, s->path, strlen(s->path) + 1);
    const char *step = "make a socket";
    bool bound = false;
    if (fd >= 0) {
        // a socket file's mode is its socket's less the mask; until the owner is set nobody else may connect
        bool owned = s->options.owner != UINT32_MAX || s->options.group != UINT32_MAX;
        step = "set the mode";
        if (fchmod(fd, owned ? 0600 : s->options.mode) == 0) {
            step = "bind";
            if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) {
                bound = true;
                step = "set owner and group";
                if (!owned || chown(s->path, s->options.owner, s->options.group) == 0) {
                    step = "set the mode";
                    if (chmod(s->path, s->options.mode) == 0) {
                        step = "listen";
                        if (listen(fd, 128) == 0) {
                            struct stat status;
                            if (stat(s->path, &status) == 0) {
                                s->listener_device = status.st_dev;
                                s->listener_inode = status.st_ino;
                            }
                            s->listener = fd;
                            return 0;
                        }
                    }
                }
            }
        }
    }
    snprintf(error, error_size, "cannot listen: %s: %s", step, strerror(errno));
    if (fd >= 0) close(fd);
    if (bound) unlink(s->path);
    return -1;
}
