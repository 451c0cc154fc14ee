"""JSON-RPC over a unix socket, by hand: what an OVSDB or unixctl client sends when no library is between."""
import json
import socket
import time

from .process import HarnessError


class JsonRpc:
    """One connection. Messages follow each other without any framing, as RFC 7047 has it."""

    def __init__(self, path, seconds=10):
        self.seconds = seconds
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        # A unix socket whose backlog is full says EAGAIN where a TCP socket would wait.
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.socket.connect(path)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        self.buffer = ""
        self.notifications = []
        self.next_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, method, params, id=None):
        self.send_raw(json.dumps({"method": method, "params": params, "id": id}).encode())

    def receive(self, seconds=None):
        """The next message, whatever it is. None when the other side has closed."""
        deadline = time.monotonic() + (self.seconds if seconds is None else seconds)
        while True:
            text = self.buffer.lstrip()
            if text:
                try:
                    message, end = json.JSONDecoder().raw_decode(text)
                    self.buffer = text[end:]
                    return message
                except json.JSONDecodeError:
                    pass
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise HarnessError(f"no JSON message in time; unparsed so far: {text[:200]!r}")
            self.socket.settimeout(remaining)
            try:
                data = self.socket.recv(1 << 20)
            except TimeoutError:
                continue
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.buffer += data.decode()

    def request(self, method, params, seconds=None):
        """Sends a request and returns the whole reply. Answers echo requests, keeps notifications aside."""
        self.next_id += 1
        wanted = self.next_id
        self.send(method, params, wanted)
        while True:
            message = self.receive(seconds)
            if message is None:
                raise HarnessError(f"the connection was closed instead of an answer to {method}")
            if "method" in message:
                if message["method"] == "echo" and message.get("id") is not None:
                    self.send_raw(json.dumps({"id": message["id"], "result": message["params"], "error": None}).encode())
                else:
                    self.notifications.append(message)
                continue
            if message.get("id") == wanted:
                return message

    def call(self, method, params, seconds=None):
        """Sends a request and returns its result; an error reply fails."""
        reply = self.request(method, params, seconds)
        if reply.get("error") is not None:
            raise HarnessError(f"{method}: {reply['error']}")
        return reply["result"]

    def notification(self, seconds=None):
        """The next notification, from those kept aside or from the wire."""
        if self.notifications:
            return self.notifications.pop(0)
        while True:
            message = self.receive(seconds)
            if message is None:
                raise HarnessError("the connection was closed instead of a notification")
            if "method" in message and message["method"] != "echo":
                return message
            if message.get("method") == "echo":
                self.send_raw(json.dumps({"id": message["id"], "result": message["params"], "error": None}).encode())


def select(db_socket, table, where=(), columns=None, database="Open_vSwitch"):
    """Rows of a table by a raw `transact` with one `select`, OVSDB's sets and maps turned into Python's."""
    operation = {"op": "select", "table": table, "where": list(where)}
    if columns:
        operation["columns"] = columns
    with JsonRpc(db_socket) as connection:
        (result,) = connection.call("transact", [database, operation])
    if "error" in result:
        raise HarnessError(f"select from {table}: {result}")
    return [{column: plain(value) for column, value in row.items()} for row in result["rows"]]


def plain(value):
    """An OVSDB value as Python has it: maps as dict, sets as list, uuids as text."""
    if isinstance(value, list) and len(value) == 2 and value[0] in ("map", "set", "uuid", "named-uuid"):
        kind, content = value
        if kind == "map":
            return {plain(key): plain(item) for key, item in content}
        if kind == "set":
            return [plain(item) for item in content]
        return content
    return value
