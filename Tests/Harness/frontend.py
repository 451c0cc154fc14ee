"""A vhost-user front-end by hand: every message, every ring entry and every byte of guest memory is the test's to choose.

It can be a proper guest (`start`), and it can lie in each of its parts. Layouts: the vhost-user specification, VirtIO 1.2 section 2.7.
"""
import array
import contextlib
import mmap
import os
import select
import socket
import struct
import time

from .process import HarnessError

(GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD, SET_VRING_NUM, SET_VRING_ADDR,
 SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES,
 GET_QUEUE_NUM, SET_VRING_ENABLE, SEND_RARP, NET_SET_MTU, SET_BACKEND_REQ_FD) = range(1, 22)
POSTCOPY_LISTEN = 29
GET_INFLIGHT_FD, SET_INFLIGHT_FD = 31, 32

VERSION_1, PROTOCOL_FEATURES = 1 << 32, 1 << 30
CSUM, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, HOST_TSO4, HOST_TSO6, MRG_RXBUF = 1, 2, 1 << 7, 1 << 8, 1 << 11, 1 << 12, 1 << 15
INDIRECT, LOG_ALL, PACKED = 1 << 28, 1 << 26, 1 << 34

DESC_NEXT, DESC_WRITE, DESC_INDIRECT = 1, 2, 4
# Packed rings: a descriptor is available if these two differ, the first being the driver's wrap counter; used if they are equal.
DESC_AVAIL, DESC_USED = 1 << 7, 1 << 15
NEED_REPLY = 8
# The guest's memory: rings first, then buffers. Guest addresses and the front-end's own differ, as in life.
GUEST, USER = 0x1000000, 0x7F0000000000
RING_BYTES = 0x10000
NET_HEADER = 12


def message(request, payload=b"", flags=1, size=None):
    return struct.pack("<III", request, flags, len(payload) if size is None else size) + payload


class FrontEnd:
    """One connection. `size` bytes of memory in one memfd; `queues` pairs with rings of `ring` descriptors."""

    # seconds in which the back-end answers
    patience = 30

    def __init__(self, path=None, size=4 << 20, ring=256, connection=None):
        self.path, self.ring = path, ring
        self.memory = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, size)
        self.map = mmap.mmap(self.memory, size)
        self.size = size
        self.eventfds = []
        self.kicks, self.calls = {}, {}
        self.available, self.used = {}, {}
        self.socket = connection
        if connection is None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.connect(path)
        self.socket.settimeout(self.patience)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        with contextlib.suppress(BufferError):
            self.map.close()
        os.close(self.memory)
        for fd in self.eventfds:
            os.close(fd)
        self.eventfds = []

    # Messages

    def send(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], ancillary)

    def say(self, request, payload=b"", fds=(), flags=1):
        self.send(message(request, payload, flags), fds)

    def ask(self, request, payload=b""):
        """Sends a request that has a reply; returns the reply's payload."""
        self.say(request, payload)
        return self.reply()

    def reply(self):
        header = self._read(12)
        return self._read(struct.unpack("<III", header)[2])

    def _read(self, size):
        data = b""
        while len(data) < size:
            got = self.socket.recv(size - len(data))
            if not got:
                raise HarnessError("the back-end hung up")
            data += got
        return data

    def is_cut_off(self, seconds=60):
        """Waits for the other side to hang up."""
        deadline = time.monotonic() + seconds
        self.socket.settimeout(0.2)
        while time.monotonic() < deadline:
            try:
                if not self.socket.recv(4096):
                    return True
            except TimeoutError:
                continue
            except OSError:
                return True
        return False

    def eventfd(self, flags=os.EFD_CLOEXEC | os.EFD_NONBLOCK):
        fd = os.eventfd(0, flags)
        self.eventfds.append(fd)
        return fd

    # A device

    def negotiate(self, wanted=None):
        """Features and owner. Returns the features set."""
        self.offered = struct.unpack("<Q", self.ask(GET_FEATURES))[0]
        features = self.offered & (VERSION_1 | PROTOCOL_FEATURES | (MRG_RXBUF if wanted is None else wanted))
        protocol = struct.unpack("<Q", self.ask(GET_PROTOCOL_FEATURES))[0] & ~(1 << 12)
        self.say(SET_PROTOCOL_FEATURES, struct.pack("<Q", protocol & 0b1011))  # MQ, LOG_SHMFD, REPLY_ACK
        self.say(SET_OWNER)
        self.say(SET_FEATURES, struct.pack("<Q", features))
        self.features = features
        return features

    def share(self, regions=None, fds=None):
        """The memory table; by default all of the memory in one region. A region: guest address, size, user address, offset."""
        regions = [(GUEST, self.size, USER, 0)] if regions is None else regions
        payload = struct.pack("<II", len(regions), 0) + b"".join(struct.pack("<QQQQ", *region) for region in regions)
        self.say(SET_MEM_TABLE, payload, [self.memory] * len(regions) if fds is None else fds)

    def ring_offset(self, queue):
        return queue * RING_BYTES

    def setup_ring(self, queue, size=None, user=None, call=True, base=0):
        size = size or self.ring
        start = (USER if user is None else user) + self.ring_offset(queue)
        self.say(SET_VRING_NUM, struct.pack("<II", queue, size))
        self.say(SET_VRING_BASE, struct.pack("<II", queue, base))
        self.say(SET_VRING_ADDR, struct.pack("<IIQQQQ", queue, 0, start, start + 0x8000, start + 0x4000, 0))
        kick = self.kicks[queue] = self.eventfd()
        self.say(SET_VRING_KICK, struct.pack("<Q", queue), [kick])
        if call:
            fd = self.calls[queue] = self.eventfd()
            self.say(SET_VRING_CALL, struct.pack("<Q", queue), [fd])
        else:
            self.say(SET_VRING_CALL, struct.pack("<Q", queue | 0x100))
        self.available[queue], self.used[queue] = base, base

    def enable(self, queue, on=True):
        self.say(SET_VRING_ENABLE, struct.pack("<II", queue, int(on)))

    def start(self, wanted=None, pairs=1, call=True):
        """A proper guest: all messages up to enabled queues, and room to receive in each."""
        self.negotiate(wanted)
        self.share()
        for queue in range(2 * pairs):
            self.setup_ring(queue, call=call)
        for queue in range(2 * pairs):
            self.enable(queue)
        for pair in range(pairs):
            for _ in range(self.ring // 2):
                self.give_room(2 * pair)
        return self

    def reconnect(self, connection):
        """Goes on with another back-end, with the rings as the last one left them when it died: as QEMU does."""
        self.socket.close()
        self.socket = connection
        self.socket.settimeout(self.patience)
        available, used = dict(self.available), dict(self.used)
        self.negotiate(self.features & ~(VERSION_1 | PROTOCOL_FEATURES))
        self.share()
        for queue in available:
            self.setup_ring(queue, base=self.place_after_death(queue))
        self.available, self.used = available, used
        for queue in available:
            self.enable(queue)

    def place_after_death(self, queue):
        return self.used_index(queue)

    # Rings. A descriptor's buffer, unless told otherwise, is the one of its number.

    def buffer(self, queue, number, size=2048):
        pairs = 16
        return pairs * RING_BYTES + (queue * self.ring + number % self.ring) * size

    def write(self, offset, data):
        self.map[offset:offset + len(data)] = data

    def descriptor(self, queue, index, address, length, flags=0, following=0):
        self.write(self.ring_offset(queue) + 16 * index, struct.pack("<QIHH", address & (2**64 - 1), length & 0xFFFFFFFF, flags, following))

    def publish(self, queue, head, count=1):
        """Puts a chain's head in the available ring and moves its index by `count`."""
        base = self.ring_offset(queue) + 0x4000
        self.write(base + 4 + 2 * (self.available[queue] % self.ring), struct.pack("<H", head))
        self.available[queue] = (self.available[queue] + count) & 0xFFFF
        self.write(base + 2, struct.pack("<H", self.available[queue]))

    def give_room(self, queue, size=2048):
        index = self.available[queue] % self.ring
        self.descriptor(queue, index, GUEST + self.buffer(queue, index), size, DESC_WRITE)
        self.publish(queue, index)

    def transmit(self, frame, header=b"\0" * NET_HEADER, queue=1):
        """Sends a frame in one descriptor."""
        index = self.available[queue] % self.ring
        where = self.buffer(queue, index)
        self.write(where, header + frame)
        self.descriptor(queue, index, GUEST + where, len(header) + len(frame))
        self.publish(queue, index)

    def used_index(self, queue):
        return struct.unpack_from("<H", self.map, self.ring_offset(queue) + 0x8000 + 2)[0]

    def wait_used(self, queue, count, seconds=30):
        deadline = time.monotonic() + seconds
        while self.used_index(queue) != count & 0xFFFF:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def received(self, queue=0):
        """Frames that arrived since the last call, with their headers: [(header, frame)]."""
        frames = []
        while self.used[queue] != self.used_index(queue):
            place = self.ring_offset(queue) + 0x8000 + 4 + 8 * (self.used[queue] % self.ring)
            index, length = struct.unpack_from("<II", self.map, place)
            self.used[queue] = (self.used[queue] + 1) & 0xFFFF
            where = self.buffer(queue, index)
            data = bytes(self.map[where:where + length])
            buffers = struct.unpack_from("<H", data, 10)[0] if self.features & MRG_RXBUF else 1
            for _ in range(max(buffers, 1) - 1):
                place = self.ring_offset(queue) + 0x8000 + 4 + 8 * (self.used[queue] % self.ring)
                index, length = struct.unpack_from("<II", self.map, place)
                self.used[queue] = (self.used[queue] + 1) & 0xFFFF
                where = self.buffer(queue, index)
                data += bytes(self.map[where:where + length])
                self.give_room(queue)
            frames.append((data[:NET_HEADER], data[NET_HEADER:]))
            self.give_room(queue)
        return frames

    def wait_frames(self, count, seconds=10, queue=0):
        frames = []
        deadline = time.monotonic() + seconds
        while len(frames) < count:
            frames += self.received(queue)
            if time.monotonic() > deadline:
                raise HarnessError(f"{len(frames)} of {count} frames within {seconds} s")
            time.sleep(0.002)
        return frames


class PackedFrontEnd(FrontEnd):
    """The same with packed rings (VirtIO 1.2 section 2.8): one table of descriptors, which the two sides go round in turn."""

    def negotiate(self, wanted=None):
        features = super().negotiate((MRG_RXBUF if wanted is None else wanted) | PACKED)
        if not features & PACKED:
            raise HarnessError("the back-end offers no packed rings")
        return features

    def setup_ring(self, queue, size=None, user=None, call=True, base=0):
        # both wrap counters begin at one
        super().setup_ring(queue, size, user, call, base=base | 0x8000)
        self.available[queue], self.used[queue] = base, base
        self.heads = getattr(self, "heads", {})

    def place_after_death(self, queue):
        # nothing in the ring says it in so many words, and the one who knew is dead: what was said at the beginning
        return 0

    def flags_at(self, position):
        """AVAIL and USED as the driver sets them in the round that a position counted from 0 is in."""
        return DESC_USED if position // self.ring % 2 else DESC_AVAIL

    def place(self, queue, position, address, length, flags, identifier, visible=True):
        """Writes a descriptor; its flags last, so that the other side sees all of it or nothing."""
        offset = self.ring_offset(queue) + 16 * (position % self.ring)
        self.write(offset, struct.pack("<QIH", address & (2**64 - 1), length & 0xFFFFFFFF, identifier & 0xFFFF))
        self.write(offset + 14, struct.pack("<H", (flags | (self.flags_at(position) if visible else 0)) & 0xFFFF))

    def chain(self, queue, parts, identifier=0):
        """Makes a chain of (address, length, flags) available: the first descriptor last."""
        first = self.available[queue]
        for number in range(len(parts) - 1, -1, -1):
            address, length, flags = parts[number]
            self.place(queue, first + number, address, length, flags, identifier)
        self.available[queue] = first + len(parts)

    def give_room(self, queue, size=2048):
        index = self.available[queue] % self.ring
        self.chain(queue, [(GUEST + self.buffer(queue, index), size, DESC_WRITE)], index)

    def transmit(self, frame, header=b"\0" * NET_HEADER, queue=1):
        index = self.available[queue] % self.ring
        where = self.buffer(queue, index)
        self.write(where, header + frame)
        self.chain(queue, [(GUEST + where, len(header) + len(frame), 0)], index)

    def take_used(self, queue):
        """The next used descriptor as (identifier, length); None if there is none yet."""
        position = self.used[queue]
        offset = self.ring_offset(queue) + 16 * (position % self.ring)
        _, length, identifier, flags = struct.unpack_from("<QIHH", self.map, offset)
        wanted = 0 if position // self.ring % 2 else DESC_AVAIL | DESC_USED
        if flags & (DESC_AVAIL | DESC_USED) != wanted:
            return None
        self.used[queue] += 1
        return identifier, length

    def wait_used(self, queue, count, seconds=30):
        """Waits until so many buffers of one descriptor each were used since the start."""
        deadline = time.monotonic() + seconds
        while self.used[queue] < count:
            if self.take_used(queue) is None:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.002)
        return True

    def received(self, queue=0):
        frames = []
        while (item := self.take_used(queue)) is not None:
            where = self.buffer(queue, item[0])
            data = bytes(self.map[where:where + item[1]])
            frames.append((data[:NET_HEADER], data[NET_HEADER:]))
            self.give_room(queue)
        return frames


class Listener:
    """The front-end's side of a dpdkvhostuserclient port: it listens, the switch connects."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(path)
        self.socket.listen(8)

    def connection(self, seconds=10):
        ready, _, _ = select.select([self.socket], [], [], seconds)
        if not ready:
            raise HarnessError(f"nobody connected to {self.path} within {seconds} s")
        return self.socket.accept()[0]

    def accept(self, seconds=10, kind=FrontEnd):
        return kind(self.path, connection=self.connection(seconds))

    def close(self):
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
