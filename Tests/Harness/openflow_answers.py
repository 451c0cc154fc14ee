"""Asks a switch what `openflow_cases` has, and tells what it answers in a form that two switches can be compared by."""
import struct

from . import openflow_cases as cases
from .openflow import ECHO_REPLY, ECHO_REQUEST, ERROR, OpenFlow, message

LAST = 999


class Asked:
    """One switch with a bridge `br0`, emptied before each case."""

    def __init__(self, path):
        self.path = path
        self.cleaner = OpenFlow(path, 6)
        # Port-mods name a port by its address: 02:00:00:00:00:01 in the cases stands for port 1's.
        self.cleaner.send(18, 5, struct.pack("!HHIII", 13, 0, 0, 1, 0))
        self.address = self.cleaner.reply(5)[3][16:22]

    def close(self):
        self.cleaner.socket.close()

    def empty(self):
        for kind, body in (cases.flow_mod(6, command=3, table=255), cases.group_mod(6, command=2, number=0xFFFFFFFC), cases.meter_mod(2, number=cases.ANY),
                           (9, struct.pack("!HH", 0, 128))):
            self.cleaner.send(kind, 9, body)
        self.cleaner.send(20, 10)
        self.cleaner.reply(10)

    def answers(self, version, messages):
        """What comes back, as ('error', index, type, code), ('flows', index, count) or ('message', index, type, kind)."""
        self.empty()
        with OpenFlow(self.path, version) as connection:
            bodies = [(kind, body.replace(bytes([2, 0, 0, 0, 0, 1]), self.address)) for kind, body in messages]
            connection.send_raw(b"".join(message(version, kind, 100 + index, body) for index, (kind, body) in enumerate(bodies)))
            connection.send(18 if version == 1 else 20, LAST)
            told = []
            while True:
                received = connection.receive()
                if received is None:
                    return told + [("closed",)]
                _, kind, xid, body = received
                if xid == LAST:
                    return told
                if kind == ECHO_REQUEST:
                    connection.send(ECHO_REPLY, xid, body)
                    continue
                # A reply in parts is one reply.
                answer = describe(version, kind, xid - 100, body)
                if not told or told[-1] != answer:
                    told.append(answer)


def describe(version, kind, index, body):
    if kind == ERROR:
        return "error", index, *struct.unpack_from("!HH", body)
    if kind != (17 if version == 1 else 19):
        return "message", index, kind
    what, offset = struct.unpack_from("!H", body)[0], 4 if version == 1 else 8
    if what != 1:
        return "message", index, kind, what
    count = 0
    while offset + 2 <= len(body) and struct.unpack_from("!H", body, offset)[0] >= 8:
        offset += struct.unpack_from("!H", body, offset)[0]
        count += 1
    return "flows", index, count
