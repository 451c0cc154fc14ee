"""OpenFlow controllers for the tests: a scripted one of our own, and os-ken's in a process of its own."""
import json
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
import time

from .openflow import ECHO_REPLY, ECHO_REQUEST, HELLO, Messages, message
from .process import Child, HarnessError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: Where os-ken lives, made by `make deps`; `.build/python.missing` says why if it could not be.
PYTHON = f"{ROOT}/.build/python/bin/python"


def osken_missing():
    """Why os-ken cannot be used; None if it can."""
    if os.access(PYTHON, os.X_OK) and subprocess.run([PYTHON, "-c", "import os_ken"], capture_output=True).returncode == 0:
        return None
    reason = f"{ROOT}/.build/python.missing"
    if os.path.exists(reason):
        with open(reason) as text:
            return text.read().strip()
    return "os-ken is not installed: make deps does it"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Listener:
    """Waits for a switch to connect: `target` is what the Controller row says."""

    def __init__(self, path=None, tls=None):
        self.tls = tls
        if path:
            self.socket, self.target = socket.socket(socket.AF_UNIX), f"unix:{path}"
            self.socket.bind(path)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", 0))
            self.port = self.socket.getsockname()[1]
            self.target = f"{'ssl' if tls else 'tcp'}:127.0.0.1:{self.port}"
        self.socket.listen(8)

    def accept(self, version=4, hello=True, seconds=20, bitmap=None):
        deadline = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                peer, _ = self.socket.accept()
            except TimeoutError as error:
                raise HarnessError(f"no switch connected to {self.target} in {seconds} s") from error
            if self.tls:
                peer.settimeout(seconds)
                peer = self.tls.wrap_socket(peer, server_side=True)
            try:
                return Controller(peer, version, hello, seconds, bitmap)
            except ConnectionError:
                # A busy machine: the switch had given this attempt up before we took it.
                continue

    def waits(self, seconds):
        """Whether somebody connects within some seconds."""
        return bool(select.select([self.socket], [], [], seconds)[0])

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Controller(Messages):
    """A controller's end of one connection. Echoes are answered while it waits for something else."""

    def __init__(self, peer, version, hello=True, seconds=20, bitmap=None):
        self.socket, self.version, self.seconds = peer, version, seconds
        self.next_xid = 100
        self.backlog = []
        if hello:
            body = struct.pack("!HHI", 1, 8, bitmap if bitmap is not None else 1 << version)
            self.send(HELLO, body, xid=1)
            first = self.receive()
            if first is None:
                raise ConnectionError("the switch closed before its hello")
            if first[1] != HELLO:
                raise HarnessError(f"the first message is of type {first[1]}, not a HELLO")
            self.hello = first

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, kind, body=b"", xid=None):
        if xid is None:
            self.next_xid += 1
            xid = self.next_xid
        self.socket.sendall(message(self.version, kind, xid, body))
        return xid

    def wait(self, kind, xid=None, seconds=None):
        """The next message of a type (and xid); the others are kept for `take`."""
        deadline = time.monotonic() + (seconds or self.seconds)
        for index, kept in enumerate(self.backlog):
            if kept[1] == kind and xid in (None, kept[2]):
                return self.backlog.pop(index)
        while True:
            got = self.receive(max(0.01, deadline - time.monotonic()))
            if got is None:
                raise HarnessError(f"the switch closed while a message of type {kind} was waited for; so far {self.backlog}")
            if got[1] == ECHO_REQUEST:
                self.socket.sendall(message(self.version, ECHO_REPLY, got[2], got[3]))
            elif got[1] == kind and xid in (None, got[2]):
                return got
            else:
                self.backlog.append(got)

    def ask(self, kind, body=b"", answer=None):
        """Sends a request and returns the message of type `answer` (default: the next number) with its xid, or the error."""
        xid = self.send(kind, body)
        wanted = kind + 1 if answer is None else answer
        deadline = time.monotonic() + self.seconds
        while True:
            got = self.receive(max(0.01, deadline - time.monotonic()))
            if got is None:
                raise HarnessError("the switch closed")
            if got[2] == xid and got[1] in (wanted, 1):
                return got
            self.backlog.append(got)

    def barrier(self):
        return self.ask(20 if self.version > 1 else 18)


class OsKen:
    """os-ken with one of the applications of `osken_apps.py`, listening at a TCP port; its events are lines of JSON."""

    def __init__(self, application, folder, *arguments, tls=None):
        self.port = free_port()
        self.log = f"{folder}/{application}-{self.port}.log"
        self.target = f"{'ssl' if tls else 'tcp'}:127.0.0.1:{self.port}"
        words = [PYTHON, f"{ROOT}/Tests/Harness/osken_apps.py", application, str(self.port), json.dumps(tls or {}), *arguments]
        self.child = Child(words, self.log, env=dict(os.environ, PYTHONUNBUFFERED="1"), name="os-ken")

    def events(self, kind=None):
        with open(self.log, errors="replace") as log:
            found = [json.loads(line) for line in log if line.startswith("{")]
        return [event for event in found if kind in (None, event["event"])]

    def stop(self):
        self.child.stop()


def certificates(folder):
    """An authority, and keys with certificates of a switch and a controller, made by openssl. Returns the paths by name."""
    def openssl(*words):
        done = subprocess.run(["openssl", *words], capture_output=True, text=True)
        if done.returncode:
            raise HarnessError(f"openssl {words[0]}: {done.stderr}")
    paths = {}
    for name in ("ca", "other"):
        paths[name] = f"{folder}/{name}.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}-key.pem", "-out", paths[name])
    for name, authority in (("switch", "ca"), ("controller", "ca"), ("stranger", "other")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{folder}/{name}-key.pem", "-out", f"{folder}/{name}.csr")
        openssl("x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", paths[authority], "-CAkey", f"{folder}/{authority}-key.pem", "-CAcreateserial",
                "-days", "2", "-out", f"{folder}/{name}.pem")
        paths[name], paths[f"{name}-key"] = f"{folder}/{name}.pem", f"{folder}/{name}-key.pem"
    return paths


def server_context(paths, name="controller"):
    """TLS for a controller: shows a certificate, and wants one of the authority's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths[name], paths[f"{name}-key"])
    context.load_verify_locations(paths["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    return context
