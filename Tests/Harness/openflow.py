"""A bare OpenFlow connection: bytes out, messages in. For what no well-behaved client says."""
import socket
import ssl
import struct
import time

from .process import HarnessError

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6


def message(version, kind, xid, body=b""):
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


class Messages:
    """What comes out of `socket`, cut into messages; `seconds` is how long to wait for one."""

    socket, buffer, seconds = None, b"", 10

    def receive(self, seconds=None):
        """The next message as (version, type, xid, body); None when the other side has closed."""
        deadline = time.monotonic() + (seconds or self.seconds)
        while True:
            if len(self.buffer) >= 8:
                version, kind, length, xid = struct.unpack_from("!BBHI", self.buffer)
                if len(self.buffer) >= length:
                    body, self.buffer = self.buffer[8:length], self.buffer[length:]
                    return version, kind, xid, body
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise HarnessError(f"no OpenFlow message in time; {len(self.buffer)} bytes so far")
            self.socket.settimeout(rest)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                continue
            except (ConnectionResetError, ssl.SSLError):
                return None
            if not data:
                return None
            self.buffer += data


class OpenFlow(Messages):
    def __init__(self, path, version=4, hello=True, seconds=10):
        self.version, self.seconds = version, seconds
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.socket.connect(path)
        if hello:
            self.send(HELLO, 1)
            kind, *_ = self.receive()[1:2]
            if kind != HELLO:
                raise HarnessError(f"the first message is of type {kind}, not a HELLO")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, kind, xid, body=b""):
        self.send_raw(message(self.version, kind, xid, body))

    def reply(self, xid):
        """The message that answers `xid`; others are skipped, echo requests answered."""
        while True:
            received = self.receive()
            if received is None:
                raise HarnessError("the connection was closed instead of an answer")
            if received[1] == ECHO_REQUEST:
                self.send(ECHO_REPLY, received[2], received[3])
            elif received[2] == xid:
                return received

    def error(self, xid):
        """(type, code) of the error that answers `xid`."""
        _, kind, _, body = self.reply(xid)
        if kind != ERROR:
            raise HarnessError(f"message {xid} was answered by type {kind}, not by an error")
        return struct.unpack_from("!HH", body)
