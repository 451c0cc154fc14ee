// Network interfaces of the host: tap devices, packet sockets, and their settings.
#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(CLINUX_INTERFACE_NAME_SIZE == IFNAMSIZ, "interface name");

/// Memory of a packet socket's ring: 2,048 frames of up to some 1,900 bytes.
#define RING_BYTES (4u << 20)
#define RING_BLOCK (64u << 10)
#define RING_FRAME_FRONT 160
#define RING_FRAME_MAX (16u << 10)

static int fill(struct ifreq *request, const char *name) {
    memset(request, 0, sizeof *request);
    size_t length = strlen(name);
    if (length == 0 || length >= IFNAMSIZ) return -EINVAL;
    memcpy(request->ifr_name, name, length);
    return 0;
}

/// One ioctl on a throw-away socket.
static int ask(unsigned long command, struct ifreq *request) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int result = ioctl(fd, command, request) == 0 ? 0 : -errno;
    close(fd);
    return result;
}

int clinux_tap_open(const char *name, bool offloads, bool *existed, bool *has_header) {
    struct ifreq request;
    int result = fill(&request, name);
    if (result != 0) return result;
    *existed = clinux_interface_index(name) > 0;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -errno;
    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (offloads ? IFF_VNET_HDR : 0));
    if (ioctl(fd, TUNSETIFF, &request) != 0) {
        result = -errno;
        close(fd);
        return result;
    }
    *has_header = offloads;
    // without it the host finishes its packets itself, and still takes unfinished ones
    if (offloads) ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
    return fd;
}

/// Asks for a ring of frames and maps it; before `bind`, so that no frame goes another way. Without memory there is none.
static void make_ring(int fd, struct clinux_packet_ring *ring) {
    int version = TPACKET_V2, threshold = 1;
    uint32_t frame = 2048;
    // what the kernel puts in front of a frame, and two tags
    while (frame < RING_FRAME_MAX && frame < ring->mtu + RING_FRAME_FRONT) frame *= 2;
    uint32_t frames = RING_BYTES / frame;
    struct tpacket_req request = {
        .tp_block_size = RING_BLOCK, .tp_block_nr = RING_BYTES / RING_BLOCK, .tp_frame_size = frame, .tp_frame_nr = frames};
    if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
        // longer frames (several segments in one) come by `recvmsg`, and a mark in the ring says so
        setsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, &threshold, sizeof threshold) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) != 0)
        return;
    void *memory = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (memory == MAP_FAILED) {
        memset(&request, 0, sizeof request);
        setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request);
        return;
    }
    ring->memory = memory;
    ring->bytes = RING_BYTES;
    ring->frame_size = frame;
    ring->frames = frames;
}

int clinux_packet_drops(int fd, uint64_t *drops) {
    struct tpacket_stats statistics;
    socklen_t size = sizeof statistics;
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) != 0) return -errno;
    *drops = statistics.tp_drops;
    return 0;
}

int clinux_packet_socket_open(const char *name, bool offloads, bool *has_header, struct clinux_packet_ring *ring) {
    int index = clinux_interface_index(name);
    if (index < 0) return index;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int one = 1;
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
    struct packet_mreq promiscuous = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
    int buffer = 4 * 1024 * 1024;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    // Linux 4.20 and later: do not hand our own transmissions back; older kernels are filtered when frames are received
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
    *has_header = offloads && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) == 0;
    ring->memory = NULL;
    make_ring(fd, ring);
    if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int result = -errno;
        if (ring->memory != NULL) munmap(ring->memory, ring->bytes);
        close(fd);
        return result;
    }
    return fd;
}

int clinux_interface_has_queue(const char *name) {
    int index = clinux_interface_index(name);
    if (index < 0) return index;
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
        .link = {.ifi_index = index}};
    union {
        struct nlmsghdr header;
        char bytes[16384];
    } reply;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), result = -ENODATA;
    if (fd < 0) return -errno;
    ssize_t size = send(fd, &request, sizeof request, 0) < 0 ? -1 : recv(fd, &reply, sizeof reply, 0);
    if (size < (ssize_t)NLMSG_LENGTH(sizeof(struct ifinfomsg)) || !NLMSG_OK(&reply.header, (size_t)size)) {
        result = size < 0 ? -errno : -EPROTO;
    } else if (reply.header.nlmsg_type == RTM_NEWLINK) {
        int left = (int)IFLA_PAYLOAD(&reply.header);
        for (struct rtattr *a = IFLA_RTA(NLMSG_DATA(&reply.header)); RTA_OK(a, left); a = RTA_NEXT(a, left))
            if (a->rta_type == IFLA_QDISC) result = strncmp(RTA_DATA(a), "noqueue", RTA_PAYLOAD(a)) != 0;
    }
    close(fd);
    return result;
}

int clinux_unshare_network(void) { return unshare(CLONE_NEWNET) == 0 ? 0 : -errno; }

int clinux_interface_index(const char *name) {
    struct ifreq request;
    int result = fill(&request, name);
    if (result == 0) result = ask(SIOCGIFINDEX, &request);
    return result == 0 ? request.ifr_ifindex : result;
}
int clinux_interface_get_mac(const char *name, uint8_t *mac) {
    struct ifreq request;
    int result = fill(&request, name);
    if (result == 0) result = ask(SIOCGIFHWADDR, &request);
    if (result == 0) memcpy(mac, request.ifr_hwaddr.sa_data, 6);
    return result;
}
int clinux_interface_set_mac(const char *name, const uint8_t *mac) {
    struct ifreq request;
    int result = fill(&request, name);
    if (result != 0) return result;
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, mac, 6);
    return ask(SIOCSIFHWADDR, &request);
}
int clinux_interface_get_mtu(const char *name) {
    struct ifreq request;
    int result = fill(&request, name);
    if (result == 0) result = ask(SIOCGIFMTU, &request);
    return result == 0 ? request.ifr_mtu : result;
}
int clinux_interface_set_mtu(const char *name, uint32_t mtu) {
    struct ifreq request;
    int result = fill(&request, name);
    if (result != 0) return result;
    request.ifr_mtu = (int)mtu;
    return ask(SIOCSIFMTU, &request);
}
int clinux_interface_get_flags(const char *name) {
    struct ifreq request;
    int result = fill(&request, name);
    if (result == 0) result = ask(SIOCGIFFLAGS, &request);
    return result == 0 ? (unsigned short)request.ifr_flags : result;
}
int clinux_interface_set_up(const char *name, bool up) {
    struct ifreq request;
    int flags = clinux_interface_get_flags(name);
    if (flags < 0) return flags;
    int wanted = up ? flags | IFF_UP : flags & ~IFF_UP;
    if (wanted == flags) return 0;
    fill(&request, name);
    request.ifr_flags = (short)wanted;
    return ask(SIOCSIFFLAGS, &request);
}
int clinux_interface_carrier(const char *name) {
    int flags = clinux_interface_get_flags(name);
    return flags >= 0 && (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0;
}
uint32_t clinux_interface_speed(const char *name) {
    if (strchr(name, '/') != NULL || strlen(name) >= IFNAMSIZ) return 0;
    char path[96];
    snprintf(path, sizeof path, "/sys/class/net/%s/speed", name);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    long speed = 0;
    if (fscanf(file, "%ld", &speed) != 1 || speed < 0 || speed > 10 * 1000 * 1000) speed = 0;
    fclose(file);
    return (uint32_t)speed;
}
