// Captures and packet streams of test devices.

#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

int clinux_capture_header(int fd) {
    // Magic (microseconds, this machine's byte order), version 2.4, zone, accuracy, longest record, Ethernet.
    const uint32_t header[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 262144, 1};
    return write(fd, header, sizeof header) == (ssize_t)sizeof header ? 0 : -errno;
}
int clinux_capture_record(int fd, const void *data, size_t size) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint32_t record[4] = {(uint32_t)now.tv_sec, (uint32_t)(now.tv_nsec / 1000), (uint32_t)size, (uint32_t)size};
    struct iovec parts[2] = {{record, sizeof record}, {(void *)data, size}};
    return writev(fd, parts, 2) == (ssize_t)(sizeof record + size) ? 0 : -errno;
}
void clinux_sink_packet(struct clinux_sink *sink, const void *data, size_t size) {
    if (sink->capture >= 0) (void)clinux_capture_record(sink->capture, data, size);
    uint8_t length[2] = {(uint8_t)(size >> 8), (uint8_t)size};
    for (int i = 0; i < 8; i++) {
        int fd = sink->streams[i];
        if (fd < 0) continue;
        struct iovec parts[2] = {{length, sizeof length}, {(void *)data, size}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        // A peer that got half a packet could make nothing of the rest: what was begun is finished.
        size_t total = size + sizeof length;
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0 || (size_t)n == total) continue;
        size_t done = (size_t)n;
        while (done < total) {
            const uint8_t *rest = done < sizeof length ? length + done : (const uint8_t *)data + (done - sizeof length);
            size_t left = done < sizeof length ? sizeof length - done : total - done;
            n = send(fd, rest, left, MSG_NOSIGNAL);
            if (n <= 0) break;
            done += (size_t)n;
        }
    }
}
