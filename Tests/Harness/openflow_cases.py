"""OpenFlow messages by hand, right and wrong ones, for every version: what two switches are asked in `test_openflow_answers.py`.

A case is a name and a list of (type, body); `cases(version)` yields some thousands of them. Versions are wire numbers, 1 to 6.
"""
import struct

VERSIONS = (1, 2, 3, 4, 5, 6)
ANY = 0xFFFFFFFF
NO_BUFFER = 0xFFFFFFFF
NICIRA, ONF = 0x2320, 0x4F4E4600
FLOW_MOD, GROUP_MOD, METER_MOD = 14, 15, 29

# OpenFlow's fields: number, bytes, bits, what must be matched before it.
ETH_IP, ETH_IP6, ETH_ARP, ETH_MPLS, ETH_PBB = 0x0800, 0x86DD, 0x0806, 0x8847, 0x88E7
FIELDS = [
    (0, 4, 32, ()), (1, 4, 32, ((0, 4, 1),)), (2, 8, 64, ()), (3, 6, 48, ()), (4, 6, 48, ()), (5, 2, 16, ()), (6, 2, 13, ()),
    (7, 1, 3, ((6, 2, 0x1005),)), (8, 1, 6, ((5, 2, ETH_IP),)), (9, 1, 2, ((5, 2, ETH_IP6),)), (10, 1, 8, ((5, 2, ETH_IP),)),
    (11, 4, 32, ((5, 2, ETH_IP),)), (12, 4, 32, ((5, 2, ETH_IP),)), (13, 2, 16, ((5, 2, ETH_IP), (10, 1, 6))),
    (14, 2, 16, ((5, 2, ETH_IP6), (10, 1, 6))), (15, 2, 16, ((5, 2, ETH_IP), (10, 1, 17))), (16, 2, 16, ((5, 2, ETH_IP), (10, 1, 17))),
    (17, 2, 16, ((5, 2, ETH_IP), (10, 1, 132))), (18, 2, 16, ((5, 2, ETH_IP), (10, 1, 132))), (19, 1, 8, ((5, 2, ETH_IP), (10, 1, 1))),
    (20, 1, 8, ((5, 2, ETH_IP), (10, 1, 1))), (21, 2, 16, ((5, 2, ETH_ARP),)), (22, 4, 32, ((5, 2, ETH_ARP),)), (23, 4, 32, ((5, 2, ETH_ARP),)),
    (24, 6, 48, ((5, 2, ETH_ARP),)), (25, 6, 48, ((5, 2, ETH_ARP),)), (26, 16, 128, ((5, 2, ETH_IP6),)), (27, 16, 128, ((5, 2, ETH_IP6),)),
    (28, 4, 20, ((5, 2, ETH_IP6),)), (29, 1, 8, ((5, 2, ETH_IP6), (10, 1, 58))), (30, 1, 8, ((5, 2, ETH_IP6), (10, 1, 58))),
    (31, 16, 128, ((5, 2, ETH_IP6), (10, 1, 58), (29, 1, 135))), (32, 6, 48, ((5, 2, ETH_IP6), (10, 1, 58), (29, 1, 135))),
    (33, 6, 48, ((5, 2, ETH_IP6), (10, 1, 58), (29, 1, 136))), (34, 4, 20, ((5, 2, ETH_MPLS),)), (35, 1, 3, ((5, 2, ETH_MPLS),)),
    (36, 1, 1, ((5, 2, ETH_MPLS),)), (38, 8, 64, ()), (42, 2, 12, ((5, 2, ETH_IP), (10, 1, 6))), (43, 4, 32, ()), (44, 4, 32, ()),
]
# OpenFlow's that the reference does not know: only asked of Apus.
EXTRA_FIELDS = [(37, 3, 24, ((5, 2, ETH_PBB),)), (39, 2, 9, ((5, 2, ETH_IP6),)), (41, 1, 1, ((5, 2, ETH_PBB),))]
# Nicira's: class, number, bytes, what must be matched before it.
NICIRA_FIELDS = [(1, number, 4, ()) for number in range(16)] + [
    (0, 0, 2, ()), (0, 1, 6, ()), (0, 2, 6, ()), (0, 3, 2, ()), (0, 4, 2, ()), (0, 5, 1, ((5, 2, ETH_IP),)), (0, 7, 4, ((5, 2, ETH_IP),)),
    (1, 16, 8, ()), (1, 26, 1, ((5, 2, ETH_IP),)), (1, 29, 1, ((5, 2, ETH_IP),)), (1, 30, 1, ((5, 2, ETH_MPLS),)), (1, 31, 4, ()), (1, 32, 4, ()),
    (1, 33, 4, ()), (1, 34, 2, ((5, 2, ETH_IP), (10, 1, 6))), (1, 35, 4, ()), (1, 36, 4, ()), (1, 37, 4, ()), (1, 38, 2, ()), (1, 39, 1, ()),
    (1, 104, 2, ()), (1, 105, 4, ()), (1, 106, 2, ()), (1, 107, 4, ()), (1, 108, 16, ()), (1, 109, 16, ()), (1, 110, 16, ()),
    (1, 111, 16, ()), (1, 114, 16, ()), (1, 119, 1, ()), (1, 120, 4, ()), (1, 124, 2, ()), (1, 40, 4, ()), (1, 40, 8, ()), (1, 103, 4, ()),
    (0x8001, 0, 8, ()), (0x8001, 7, 8, ()), (0x8001, 8, 8, ()), (1, 126, 4, ()), (0x8002, 0, 4, ()), (0x8000, 60, 4, ()), (7, 0, 4, ())]


def oxm(number, size, value, mask=None, space=0x8000):
    head = struct.pack("!HBB", space, number << 1 | (mask is not None), size * (2 if mask is not None else 1) & 0xFF)
    return head + value.to_bytes(size, "big") + (mask.to_bytes(size, "big") if mask is not None else b"")


def need(fields):
    return b"".join(oxm(*field) for field in fields)


def pad8(data):
    return data + bytes(-len(data) % 8)


def match(body=b"", kind=1):
    return pad8(struct.pack("!HH", kind, 4 + len(body)) + body)


def match11(wildcards=0x3FF, port=0, eth_type=0, vlan=0, pcp=0, tos=0, protocol=0, mpls=0, tc=0, masks=True):
    addresses = bytes(6) + (b"\xff" * 6 if masks else bytes(6))
    return (struct.pack("!HHII", 0, 88, port, wildcards) + addresses * 2 + struct.pack("!HBxHBB", vlan, pcp, eth_type, tos, protocol)
            + (bytes(4) + (b"\xff" * 4 if masks else bytes(4))) * 2 + struct.pack("!HHIB3x", 0, 0, mpls, tc) + bytes(8) + b"\xff" * 8)


def match10(wildcards=0x3FFFFF, port=0, eth_type=0, vlan=0, pcp=0, tos=0, protocol=0, source=0, target=0, tp_src=0, tp_dst=0):
    return struct.pack("!IH12xHBxHBB2xIIHH", wildcards, port, vlan, pcp, eth_type, tos, protocol, source, target, tp_src, tp_dst)


def plain_match(version):
    return match10() if version == 1 else match11() if version == 2 else match()


def action(kind, body=b""):
    data = struct.pack("!HH", kind, 4 + len(body)) + body
    return data


def output(version, port, maximum=0):
    return action(0, struct.pack("!HH", port & 0xFFFF, maximum)) if version == 1 else action(0, struct.pack("!IH6x", port, maximum))


def set_field(body):
    size = 4 + len(body)
    return struct.pack("!HH", 25, size + -size % 8) + pad8(struct.pack("!HH", 0, 0) + body)[4:]


def nicira_action(subtype, body):
    return action(0xFFFF, struct.pack("!IH", NICIRA, subtype) + body)


def apply(actions, kind=4):
    return struct.pack("!HHI", kind, 8 + len(actions), 0) + actions


def flow_mod(version, fields=b"", actions=b"", command=0, table=0, priority=100, flags=0, cookie=0, cookie_mask=0, idle=0, hard=0, buffer=NO_BUFFER,
             out_port=ANY, out_group=ANY, importance=0, instructions=None, whole_match=None):
    if version == 1:
        return 14, (whole_match or match10()) + struct.pack("!QHHHHIHH", cookie, command, idle, hard, priority, buffer, out_port & 0xFFFF, flags) + actions
    if instructions is None:
        instructions = apply(actions) if actions else b""
    head = struct.pack("!QQBBHHHIIIHH", cookie, cookie_mask, table, command, idle, hard, priority, buffer, out_port, out_group, flags, importance)
    return 14, head + (whole_match or (match11() if version == 2 else match(fields))) + instructions


def multipart(version, kind, body=b"", flags=0):
    return (16 if version == 1 else 18), struct.pack("!HH", kind, flags) + (b"" if version == 1 else bytes(4)) + body


def flow_stats(version, fields=b"", kind=1, table=0xFF, out_port=ANY, out_group=ANY, cookie=0, mask=0):
    if version == 1:
        return multipart(version, kind, match10() + struct.pack("!BxH", table, out_port & 0xFFFF))
    body = struct.pack("!B3xII4xQQ", table, out_port, out_group, cookie, mask)
    return multipart(version, kind, body + (match11() if version == 2 else match(fields)))


def bucket(version, actions=b"", weight=0, port=ANY, group=ANY, number=0):
    if version < 6:
        return struct.pack("!HHII4x", 16 + len(actions), weight, port, group) + actions
    properties = struct.pack("!HHHxx", 0, 8, weight) + struct.pack("!HHI", 1, 8, port) + struct.pack("!HHI", 2, 8, group)
    return struct.pack("!HHI", 8 + len(actions) + len(properties), len(actions), number) + actions + properties


def group_mod(version, command=0, kind=0, number=1, buckets=b"", bucket_id=0xFFFFFFFF, properties=b""):
    if version < 6:
        return GROUP_MOD, struct.pack("!HBxI", command, kind, number) + buckets
    return GROUP_MOD, struct.pack("!HBxIHxxI", command, kind, number, len(buckets), bucket_id) + buckets + properties


def band(kind=1, rate=1000, burst=100, size=16, extra=bytes(4)):
    return struct.pack("!HHII", kind, size, rate, burst) + extra


def meter_mod(command=0, flags=1, number=1, bands=b""):
    return METER_MOD, struct.pack("!HHI", command, flags, number) + bands


def packet_out(version, actions=b"", port=0xFFFFFFFD, buffer=NO_BUFFER, data=bytes(60), length=None, fields=None):
    length = len(actions) if length is None else length
    if version == 1:
        return 13, struct.pack("!IHH", buffer, port & 0xFFFF, length) + actions + data
    if version < 6:
        return 13, struct.pack("!IIH6x", buffer, port, length) + actions + data
    return 13, struct.pack("!IHxx", buffer, length) + match(oxm(0, 4, port) if fields is None else fields) + actions + data


def bundle_control(number, kind, flags=3, properties=b""):
    return 33, struct.pack("!IHH", number, kind, flags) + properties


def bundle_add(version, number, inner, flags=3, xid=None, size=None, wire=None):
    kind, body = inner
    message = struct.pack("!BBHI", wire or version, kind, 8 + len(body) if size is None else size, 0x77 if xid is None else xid) + body
    return 34, struct.pack("!IxxH", number, flags) + message


def experimenter(subtype, body=b"", vendor=NICIRA):
    return 4, struct.pack("!II", vendor, subtype) + body


def full(size, bits):
    return (1 << bits) - 1


def field_cases(version):
    for space, number, size, bits, before in [(0x8000, *field) for field in FIELDS] + [(s, n, b, b * 8, p) for s, n, b, p in NICIRA_FIELDS]:
        name = f"{space:x}.{number}"
        some, ones, prior = 0x5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A & full(size, bits), full(size, size * 8), need(before)
        if number == 6 and space == 0x8000:
            some |= 0x1000
        ask = flow_stats(version)

        def one(what, body, actions=b""):
            return f"{name} {what}", [flow_mod(version, body, actions), ask]
        yield one("alone", oxm(number, size, some, space=space))
        yield one("with what it needs", prior + oxm(number, size, some, space=space))
        yield one("zero", prior + oxm(number, size, 0, space=space))
        yield one("all ones", prior + oxm(number, size, ones, space=space))
        mask = 0xF0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0 & full(size, bits)
        yield one("masked", prior + oxm(number, size, some & mask, mask, space))
        yield one("outside its mask", prior + oxm(number, size, some, mask, space))
        yield one("mask of zeros", prior + oxm(number, size, 0, 0, space))
        yield one("mask of ones", prior + oxm(number, size, some, full(size, bits), space))
        yield one("mask of too many ones", prior + oxm(number, size, some, ones, space))
        yield one("twice", prior + oxm(number, size, some, space=space) * 2)
        yield one("too long", prior + oxm(number, size + 1, some, space=space))
        yield one("too short", prior + oxm(number, size - 1, 0, space=space) if size > 1 else prior + oxm(number, 0, 0, space=space))
        yield one("before what it needs", oxm(number, size, some, space=space) + prior)
        yield one("set", prior, set_field(oxm(number, size, some, space=space)) + output(version, 2))
        yield one("set without what it needs", b"", set_field(oxm(number, size, some, space=space)))
        yield one("set to ones", prior, set_field(oxm(number, size, ones, space=space)))
        yield one("set masked", prior, set_field(oxm(number, size, some & mask, mask, space)))
        yield one("set outside its mask", prior, set_field(oxm(number, size, some, mask, space)))
        yield one("set too long", prior, set_field(oxm(number, size + 1, some, space=space)))
        header = struct.unpack("!I", oxm(number, size, 0, space=space)[:4])[0]
        register = struct.unpack("!I", oxm(0, 4, 0, space=1)[:4])[0]
        load = nicira_action(7, struct.pack("!HIQ", (bits - 1 if bits <= 64 else 31), header, some & full(size, min(bits, 64) if bits <= 64 else 32)))
        yield one("load", prior, load)
        yield one("load beyond", prior, nicira_action(7, struct.pack("!HIQ", (bits - 1) << 6 | 1 if bits <= 64 else 0x1FC1, header, 1)))
        yield one("load too much", prior, nicira_action(7, struct.pack("!HIQ", 0, header, 2)))
        yield one("load, nothing matched", b"", load)
        yield one("move to register", prior, nicira_action(6, struct.pack("!HHHII", min(bits, 32), 0, 0, header, register)))
        yield one("move from register", prior, nicira_action(6, struct.pack("!HHHII", min(bits, 32), 0, 0, register, header)))
        yield one("move beyond", prior, nicira_action(6, struct.pack("!HHHII", 1, bits, 0, header, register)))
        yield one("move nothing", prior, nicira_action(6, struct.pack("!HHHII", 0, 0, 0, header, register)))
        yield one("push", prior, nicira_action(27, struct.pack("!HIH6x", 0, header, bits)) + nicira_action(28, struct.pack("!HIH6x", 0, register, 32)))
        yield one("output", prior, nicira_action(15, struct.pack("!HIH6x", min(bits, 16) - 1, header, 64)))
        if version == 6:
            yield one("copy", prior, action(28, struct.pack("!HHH2x", min(bits, 32), 0, 0) + oxm(number, size, 0, space=space)[:4] + struct.pack("!I", register) + bytes(4)))
        if version >= 3:
            yield f"{name} asked for", [flow_mod(version, b""), flow_stats(version, prior + oxm(number, size, some, space=space)),
                                        flow_stats(version, prior + oxm(number, size, some, space=space), kind=2)]


def match_cases(version):
    if version == 1:
        for wildcards in [0, 0x3FFFFF, 0xFFFFFFFF, 0x3FFFEF, 0x3FFFCF, 0x3FFF0F, 0x3FFFFD, 0x3FFFFE, 0x2FFFFF, 0x1FFFFF, 0x3FE00F, 0x3DFF0F]:
            for eth_type in (0, 0x800, 0x806, 0x86DD, 0x8847, 0x5FF, 0x100):
                for protocol in (0, 1, 6, 58):
                    whole = match10(wildcards, 1, eth_type, 5, 3, 0x20, protocol, 0x0A000001, 0x0A000002, 7, 9)
                    yield f"1.0 match {wildcards:x} {eth_type:x} {protocol}", [flow_mod(1, whole_match=whole), flow_stats(1)]
        for vlan in (0, 5, 0xFFF, 0x1000, 0xFFFF):
            for wildcards in (0x3FFFFD, 0x2FFFFD, 0x2FFFFF):
                yield f"1.0 vlan {vlan:x} {wildcards:x}", [flow_mod(1, whole_match=match10(wildcards, vlan=vlan, pcp=7)), flow_stats(1)]
        for tos in (0, 3, 0x20, 0xFC, 0xFF):
            yield f"1.0 tos {tos:x}", [flow_mod(1, whole_match=match10(0x1FFFEF, eth_type=0x800, tos=tos)), flow_stats(1)]
        for port in (0, 1, 4, 99, 0xFF00, 0xFFF7, 0xFFF8, 0xFFF9, 0xFFFD, 0xFFFE, 0xFFFF):
            yield f"1.0 in port {port:x}", [flow_mod(1, whole_match=match10(0x3FFFFE, port)), flow_stats(1)]
    if version == 2:
        for bit in range(12):
            for eth_type in (0, 0x800, 0x806, 0x86DD, 0x8847, 0x8848):
                for protocol in (0, 1, 6, 17, 132):
                    whole = match11(0x3FF & ~(1 << bit) & ~8 & ~0x20 if bit < 10 else 0x3FF | 1 << bit, 1, eth_type, 5, 3, 0x20, protocol, 17, 3)
                    yield f"1.1 match {bit} {eth_type:x} {protocol}", [flow_mod(2, whole_match=whole), flow_stats(2)]
        for vlan in (0, 5, 0xFFE, 0xFFF, 0x1000, 0xFFFE, 0xFFFF):
            for wildcards in (0x3FD, 0x3F9, 0x3FB):
                yield f"1.1 vlan {vlan:x} {wildcards:x}", [flow_mod(2, whole_match=match11(wildcards, vlan=vlan, pcp=7)), flow_stats(2)]
        for port in (0, 1, 99, 0xFF00, 0xFFFFFF00, 0xFFFFFFF8, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF):
            yield f"1.1 in port {port:x}", [flow_mod(2, whole_match=match11(0x3FE, port)), flow_stats(2)]
    if version >= 3:
        yield from field_cases(version)
        for kind in (0, 2, 0x8000):
            yield f"match of type {kind}", [flow_mod(version, whole_match=match(kind=kind))]
        for size in (0, 3, 5, 7, 100, 0xFFFF):
            yield f"match of length {size}", [flow_mod(version, whole_match=struct.pack("!HH", 1, size) + bytes(4))]
        yield "match without padding", [flow_mod(version, whole_match=struct.pack("!HH", 1, 4))]
        for vlan in (0, 5, 0xFFF, 0x1000, 0x1005, 0x1FFF, 0x2000, 0xFFFF):
            for mask in (None, 0, 0xFFF, 0x1000, 0x1FFF, 0xFFFF, 0x10FF):
                yield f"vlan {vlan:x}/{mask}", [flow_mod(version, oxm(6, 2, vlan & (0xFFFF if mask is None else mask), mask)), flow_stats(version)]
        yield "priority without a tag", [flow_mod(version, oxm(6, 2, 0) + oxm(7, 1, 3))]
        yield "unknown experimenter's field", [flow_mod(version, struct.pack("!HBBI", 0xFFFF, 2, 8, 0x12345678) + bytes(4))]
        yield "experimenter's field cut", [flow_mod(version, struct.pack("!HBB", 0xFFFF, 2, 2) + bytes(2))]
        yield "ONF's flags of TCP", [flow_mod(version, need(((5, 2, ETH_IP), (10, 1, 6))) + struct.pack("!HBBIH", 0xFFFF, 42 << 1, 6, ONF, 2)), flow_stats(version)]


def action_cases(version):
    names = [(kind, size) for kind in range(32) for size in (0, 4, 12, 20)]
    for eth_type in (0, ETH_IP, ETH_IP6, ETH_MPLS):
        for kind, size in names:
            if eth_type and size not in (4, 12):
                continue
            whole, fields = None, oxm(5, 2, eth_type) if eth_type else b""
            if version == 1:
                whole = match10(0x3FFFEF, eth_type=eth_type)
            if version == 2:
                whole = match11(0x3F7, eth_type=eth_type)
            body = struct.pack("!H", 0x8847 if kind in (19, 20) else 0x8100 if kind == 17 else 1) + bytes(max(0, size - 2)) if size else b""
            yield f"action {kind} of {4 + size} on {eth_type:x}", [flow_mod(version, fields, action(kind, body), whole_match=whole), flow_stats(version)]
    for subtype in list(range(60)) + [254, 255, 1000]:
        for size in (6, 14, 22, 30):
            yield f"Nicira's action {subtype} of {10 + size}", [flow_mod(version, b"", nicira_action(subtype, bytes(size))), flow_stats(version)]
    for port in (0, 1, 4, 5, 99, 0xFEFF, 0xFF00, 0xFFF7, 0xFFF8, 0xFFF9, 0xFFFA, 0xFFFB, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF,
                 0xFFFFFEFF, 0xFFFFFF00, 0xFFFFFFF7, 0xFFFFFFF8, 0xFFFFFFF9, 0xFFFFFFFA, 0xFFFFFFFB, 0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF):
        if version == 1 and port > 0xFFFF:
            continue
        yield f"output to {port:x}", [flow_mod(version, b"", output(version, port, 77)), flow_stats(version)]
        yield f"delete what goes to {port:x}", [flow_mod(version, b"", output(version, port)), flow_mod(version, command=3, out_port=port), flow_stats(version)]
        yield f"packet out to {port:x}", [packet_out(version, output(version, port))]
        yield f"packet out from {port:x}", [packet_out(version, output(version, 1), port=port)]
    yield "an action that is longer than the rest", [flow_mod(version, b"", struct.pack("!HH4x", 0, 64))]
    yield "an action of length 0", [flow_mod(version, b"", struct.pack("!HH4x", 0, 0))]
    yield "an action of length 4", [flow_mod(version, b"", struct.pack("!HH4x", 0, 4))]
    yield "an unknown vendor's action", [flow_mod(version, b"", action(0xFFFF, struct.pack("!I", 0x1234567)))]
    yield "a vendor's action without a vendor", [flow_mod(version, b"", action(0xFFFF))]
    if version > 1:
        yield "a group that is not there", [flow_mod(version, b"", action(22, struct.pack("!I", 77)))]
        yield "group any", [flow_mod(version, b"", action(22, struct.pack("!I", ANY)))]
        for kind in (0x8100, 0x88A8, 0x9100, 0x800):
            yield f"push tag {kind:x}", [flow_mod(version, b"", action(17, struct.pack("!Hxx", kind))), flow_stats(version)]
        for kind in (0x8847, 0x8848, 0x800):
            yield f"push label {kind:x}", [flow_mod(version, b"", action(19, struct.pack("!Hxx", kind))), flow_stats(version)]
            yield f"pop label for {kind:x}", [flow_mod(version, oxm(5, 2, ETH_MPLS), action(20, struct.pack("!Hxx", kind))), flow_stats(version)]
    for subtype, body in [(1, struct.pack("!H4x", 1)), (14, struct.pack("!HB3x", 1, 3)), (14, struct.pack("!HB3x", 1, 255)), (14, struct.pack("!HB3x", 99, 1)), (44, struct.pack("!HB3x", 1, 3)),
                          (2, struct.pack("!xxI", 5)), (9, struct.pack("!6xQ", 5)), (4, struct.pack("!xxI", 5)), (5, bytes(6)), (17, bytes(6)), (8, b"abcdef"), (18, bytes(6)),
                          (21, struct.pack("!H4xHH4x", 2, 1, 2)), (21, struct.pack("!H4xHH4x", 9, 1, 2)), (19, struct.pack("!HHxx", 5, 9)), (20, struct.pack("!HHBx", 64, 7, 1)),
                          (34, struct.pack("!BBI", 0, 2, 99)), (34, struct.pack("!BBI", 2, 2, 99)), (34, struct.pack("!BBI", 0, 1, 99)), (34, struct.pack("!BBI", 0, 65, 99)),
                          (39, struct.pack("!HI", 1, 100)), (39, struct.pack("!HI", 1, 13)), (39, struct.pack("!HI", 0xFFFD, 100)), (39, struct.pack("!HI", 99, 100)),
                          (42, bytes(6) + output(max(version, 2), 1)), (43, bytes(6)), (29, struct.pack("!HIII", 100, 1, 2, 3)), (29, struct.pack("!HIII", 0, 1, 2, 3)),
                          (23, struct.pack("!H4x", 0x8847)), (24, struct.pack("!H4x", 0x800)), (25, struct.pack("!B5x", 3)), (26, bytes(6)), (30, struct.pack("!xxI", 3)), (31, struct.pack("!B5x", 3)),
                          (40, struct.pack("!xxI", 3)), (22, struct.pack("!6xQQ", 3, 7)), (48, bytes(6)), (47, bytes(6)), (46, struct.pack("!HI", 0, 0x1894F)), (46, struct.pack("!HI", 0, 0)),
                          (46, struct.pack("!HI", 0, 0x18847)), (46, struct.pack("!HI", 0, 0x99))]:
        for fields in (b"", oxm(5, 2, ETH_IP) if version > 2 else None):
            if fields is not None:
                yield f"Nicira's {subtype} {body.hex()} {fields.hex()}", [flow_mod(version, fields, nicira_action(subtype, body)), flow_stats(version)]


def instruction_cases(version):
    if version == 1:
        return
    for kind in list(range(9)) + [0xFFFF]:
        for size in (4, 8, 16, 24, 12):
            body = struct.pack("!HH", kind, size) + (bytes([3]) + bytes(size - 5) if size > 4 else b"")
            yield f"instruction {kind} of {size}", [flow_mod(version, instructions=body), flow_stats(version)]
    for name, body in [("apply twice", apply(b"") * 2), ("write twice", apply(b"", 3) * 2), ("clear twice", apply(b"", 5) * 2),
                       ("clear with actions", apply(output(version, 1), 5)), ("goto itself", struct.pack("!HHB3x", 1, 8, 0)),
                       ("goto 254", struct.pack("!HHB3x", 1, 8, 254)), ("goto 255", struct.pack("!HHB3x", 1, 8, 255)),
                       ("goto, then apply", struct.pack("!HHB3x", 1, 8, 3) + apply(output(version, 1))),
                       ("metadata", struct.pack("!HH4xQQ", 2, 24, 5, 7)), ("metadata outside mask", struct.pack("!HH4xQQ", 2, 24, 15, 7)),
                       ("metadata, then goto, then write", struct.pack("!HH4xQQ", 2, 24, 5, 7) + struct.pack("!HHB3x", 1, 8, 3) + apply(output(version, 1), 3)),
                       ("an unknown meter", struct.pack("!HHI", 6, 8, 99)), ("an experimenter", struct.pack("!HHI", 0xFFFF, 8, NICIRA)),
                       ("write with resubmit", apply(nicira_action(1, struct.pack("!H4x", 1)), 3)), ("write with learn", apply(nicira_action(16, bytes(22)), 3)),
                       ("write with set-field", apply(set_field(oxm(3, 6, 5)), 3)), ("write outputs twice", apply(output(version, 1) + output(version, 2), 3)),
                       ("a length beyond", struct.pack("!HH4x", 4, 64)), ("a length of 0", struct.pack("!HH4x", 4, 0)), ("a length of 7", struct.pack("!HH4x", 4, 7))]:
        yield f"instruction: {name}", [flow_mod(version, instructions=body), flow_stats(version)]
    yield "goto back", [flow_mod(version, table=5, instructions=struct.pack("!HHB3x", 1, 8, 3))]


def flow_cases(version):
    for command in range(8):
        yield f"flow command {command}", [flow_mod(version, actions=output(version, 1), command=command), flow_stats(version)]
    for table in (1, 253, 254, 255):
        for command in (0, 1, 3, 4):
            yield f"flow command {command} table {table}", [flow_mod(version, command=command, table=table), flow_stats(version)]
    for bit in range(16):
        yield f"flow flag {bit}", [flow_mod(version, flags=1 << bit, actions=output(version, 1)), flow_stats(version)]
    for buffer in (0, 1, 77):
        yield f"flow with buffer {buffer}", [flow_mod(version, buffer=buffer, actions=output(version, 1)), flow_stats(version)]
    for out in (1, 0, 99, 0xFFFFFFFD):
        yield f"delete by port {out:x}", [flow_mod(version, actions=output(version, 1)), flow_mod(version, command=3, out_port=out), flow_stats(version)]
    for out in (1, 0, ANY, 0xFFFFFFFC):
        yield f"delete by group {out:x}", [flow_mod(version, actions=output(version, 1)), flow_mod(version, command=3, out_group=out), flow_stats(version)]
    yield "overlap", [flow_mod(version, actions=output(version, 1)), flow_mod(version, flags=2, priority=100), flow_stats(version)]
    yield "no overlap", [flow_mod(version), flow_mod(version, flags=2, priority=99), flow_stats(version)]
    if version > 2:
        yield "overlap of another", [flow_mod(version, oxm(0, 4, 1)), flow_mod(version, oxm(5, 2, 0x800), flags=2), flow_stats(version)]
        yield "cookies", [flow_mod(version, oxm(0, 4, n), cookie=n) for n in (1, 2, 3)] + [
            flow_mod(version, command=1, cookie=2, cookie_mask=3, actions=output(version, 3)), flow_mod(version, command=3, cookie=1, cookie_mask=1), flow_stats(version),
            flow_stats(version, cookie=2, mask=2), flow_stats(version, kind=2)]
        yield "modify keeps cookie, timeouts", [flow_mod(version, cookie=5, idle=50, hard=60, flags=1, importance=3), flow_mod(version, command=1, cookie=9, idle=10, hard=20, importance=8, actions=output(version, 2)), flow_stats(version)]
        yield "modify strict adds nothing", [flow_mod(version, command=2, actions=output(version, 2)), flow_stats(version)]
    yield "add replaces", [flow_mod(version, cookie=5, idle=50), flow_mod(version, cookie=6, actions=output(version, 2)), flow_stats(version)]
    yield "modify without a match", [flow_mod(version, command=1, cookie=7, actions=output(version, 2)), flow_stats(version)]
    yield "modify with a cookie mask", [flow_mod(version, command=1, cookie=7, cookie_mask=ANY, actions=output(version, 2)), flow_stats(version)]
    yield "removed is told", [flow_mod(version, cookie=5, idle=50, hard=60, flags=1, actions=output(version, 2)), flow_mod(version, command=3), flow_stats(version)]
    yield "removed strictly is told", [flow_mod(version, flags=1), flow_mod(version, command=4, priority=5), flow_mod(version, command=4)]
    for size in (0, 8, 32, 39):
        kind, body = flow_mod(version)
        yield f"flow-mod of {size}", [(kind, body[:size])]
    for kind in (1, 2):
        for table in (0, 5, 254, 255):
            yield f"statistics {kind} of table {table}", [flow_mod(version, actions=output(version, 1)), flow_stats(version, kind=kind, table=table)]
        for out in (1, 2, 99, 0xFFFFFFFC):
            yield f"statistics {kind} by port {out:x}", [flow_mod(version, actions=output(version, 1)), flow_stats(version, kind=kind, out_port=out)]
        for group in (1, 0xFFFFFFFC, 0xFFFFFF01):
            yield f"statistics {kind} by group {group:x}", [flow_mod(version, actions=output(version, 1)), flow_stats(version, kind=kind, out_group=group)]


def group_cases(version):
    if version == 1:
        return
    one, two = bucket(version, output(version, 1)), bucket(version, output(version, 2), number=1)
    ask = [multipart(version, 7, struct.pack("!I4x", 0xFFFFFFFC) if version == 6 else b""), multipart(version, 6, struct.pack("!I4x", 0xFFFFFFFC))]

    def case(name, *mods):
        return f"group: {name}", [*mods, *ask]
    for kind in (0, 1, 2, 3, 4, 128, 255):
        yield case(f"type {kind}", group_mod(version, kind=kind, buckets=one))
        yield case(f"type {kind} of two", group_mod(version, kind=kind, buckets=one + two))
        yield case(f"type {kind} of none", group_mod(version, kind=kind))
        yield case(f"type {kind} with weight", group_mod(version, kind=kind, buckets=bucket(version, output(version, 1), weight=5)))
        yield case(f"type {kind} with watch port", group_mod(version, kind=kind, buckets=bucket(version, output(version, 1), port=1)))
        yield case(f"type {kind} with watch group", group_mod(version, kind=kind, number=2, buckets=one), group_mod(version, kind=kind, buckets=bucket(version, output(version, 1), group=2)))
        yield case(f"type {kind} modified to 0", group_mod(version, kind=kind, buckets=one), group_mod(version, command=1, kind=0, buckets=two))
    for command in (1, 2, 3, 4, 5, 6, 0x8000, 0xFFFF):
        yield case(f"command {command}", group_mod(version, kind=0, buckets=one), group_mod(version, command=command, kind=0, buckets=two))
        yield case(f"command {command} on nothing", group_mod(version, command=command, kind=0, buckets=one))
    yield case("twice", group_mod(version, buckets=one), group_mod(version, buckets=two))
    for number in (0, 0xFFFFFF00, 0xFFFFFF01, 0xFFFFFFFC, ANY):
        yield case(f"number {number:x}", group_mod(version, number=number, buckets=one))
        yield case(f"delete {number:x}", group_mod(version, buckets=one), group_mod(version, command=2, number=number))
        yield case(f"modify {number:x}", group_mod(version, command=1, number=number, buckets=one))
    yield case("deleted with buckets", group_mod(version, buckets=one), group_mod(version, command=2, buckets=one))
    yield case("deleted with what refers to it", group_mod(version, buckets=one), flow_mod(version, actions=action(22, struct.pack("!I", 1))), group_mod(version, command=2), flow_stats(version))
    to = [bucket(version, action(22, struct.pack("!I", number))) for number in range(4)]
    yield case("to itself", group_mod(version, number=1, buckets=to[1]))
    yield case("to one that is not there", group_mod(version, number=1, buckets=to[2]))
    yield case("round", group_mod(version, number=1, buckets=one), group_mod(version, number=2, buckets=to[1]), group_mod(version, number=1, command=1, buckets=to[2]))
    yield case("chain", group_mod(version, number=1, buckets=one), group_mod(version, number=2, buckets=to[1]), group_mod(version, number=1, command=2))
    for port in (0, 99, 0xFFFFFF00, 0xFFFFFFFD, 0xFFFFFFFE, ANY):
        yield case(f"bucket to {port:x}", group_mod(version, buckets=bucket(version, output(version, port))))
        yield case(f"watching {port:x}", group_mod(version, kind=3, buckets=bucket(version, output(version, 1), port=port)))
    yield case("bucket with a bad action", group_mod(version, buckets=bucket(version, action(99, bytes(4)))))
    yield case("bucket with a bad field", group_mod(version, buckets=bucket(version, set_field(oxm(5, 2, 5)))))
    yield case("bucket with resubmit", group_mod(version, buckets=bucket(version, nicira_action(1, struct.pack("!H4x", 1)))))
    for size in (0, 8, 15, 17, 24, 200):
        yield case(f"bucket that says {size}", group_mod(version, buckets=struct.pack("!H", size) + one[2:]))
    yield case("bucket cut", group_mod(version, buckets=one[:12]))
    if version == 6:
        for number in (0, 7, 0xFFFFFF00, 0xFFFFFF01, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF):
            extra = bucket(version, output(version, 3), number=9)
            yield case(f"insert at {number:x}", group_mod(version, buckets=one + two), group_mod(version, command=3, buckets=extra, bucket_id=number))
            yield case(f"remove at {number:x}", group_mod(version, buckets=one + two), group_mod(version, command=5, bucket_id=number))
            yield case(f"bucket numbered {number:x}", group_mod(version, buckets=bucket(version, output(version, 3), number=number)))
        yield case("same numbers", group_mod(version, buckets=one + one))
        yield case("insert the same number", group_mod(version, buckets=one), group_mod(version, command=3, buckets=one, bucket_id=0xFFFFFFFE))
        for name in (b"dp_hash", b"hash", b"other", b""):
            content = struct.pack("!II16sQ", NTR, 1, name, 0)
            yield case(f"select by {name.decode()}", group_mod(version, kind=1, buckets=one, properties=struct.pack("!HH", 0xFFFF, 4 + len(content)) + content))
        yield case("unknown property", group_mod(version, kind=1, buckets=one, properties=struct.pack("!HHI", 7, 8, 0)))
        yield case("property cut", group_mod(version, kind=1, buckets=one, properties=struct.pack("!HHI", 7, 80, 0)))


NTR = 0x0000154D


def meter_cases(version):
    if version < 4:
        return
    ask = [multipart(version, kind, struct.pack("!I4x", ANY)) for kind in (9, 10)]

    def case(name, *mods):
        return f"meter: {name}", [*mods, *ask]
    for command in range(5):
        yield case(f"command {command}", meter_mod(command, bands=band()))
        yield case(f"command {command} on one", meter_mod(bands=band()), meter_mod(command, bands=band(rate=7)))
    for flags in (0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 15, 0x100):
        yield case(f"flags {flags}", meter_mod(flags=flags, bands=band()))
    for number in (0, 5, 0xFFFF0000, 0xFFFF0001, 0xFFFFFFFD, 0xFFFFFFFE, ANY):
        for command in (0, 1, 2):
            yield case(f"number {number:x} command {command}", meter_mod(command, number=number, bands=band()))
        yield case(f"asked for {number:x}", multipart(version, 9, struct.pack("!I4x", number)), multipart(version, 10, struct.pack("!I4x", number)))
    for kind in (0, 1, 2, 3, 4, 0xFFFF):
        yield case(f"band {kind}", meter_mod(bands=band(kind)))
    for size in (0, 4, 12, 15, 17, 24):
        yield case(f"band that says {size}", meter_mod(bands=band(size=size)))
    for rate in (0, 1, ANY):
        yield case(f"rate {rate}", meter_mod(bands=band(rate=rate)))
        yield case(f"burst {rate}", meter_mod(flags=5, bands=band(burst=rate)))
    for count in (0, 2, 8, 9):
        yield case(f"{count} bands", meter_mod(bands=b"".join(band(rate=100 + n) for n in range(count))))
    yield case("bands of the same rate", meter_mod(bands=band() + band()))
    yield case("used", meter_mod(bands=band()), flow_mod(version, instructions=struct.pack("!HHI", 6, 8, 1) if version < 6 else apply(action(29, struct.pack("!I", 1)))),
               flow_stats(version), meter_mod(2), flow_stats(version))
    yield case("used, then changed", meter_mod(bands=band()), flow_mod(version, instructions=struct.pack("!HHI", 6, 8, 1) if version < 6 else apply(action(29, struct.pack("!I", 1)))),
               meter_mod(1, bands=band(rate=9)), flow_stats(version))
    if version == 6:
        yield case("action with an unknown meter", flow_mod(version, actions=action(29, struct.pack("!I", 9))))
        yield case("action with meter 0", flow_mod(version, actions=action(29, struct.pack("!I", 0))))


def switch_cases(version):
    yield "features", [(5, b"")]
    yield "features with a body", [(5, bytes(4))]
    yield "configuration", [(7, b"")]
    for flags in range(6):
        yield f"configuration {flags}", [(9, struct.pack("!HH", flags, 99)), (7, b"")]
    yield "configuration cut", [(9, b"\0")]
    yield "echo", [(2, b"abc")]
    for kind in list(range(40)) + [99, 255]:
        if kind in (0, 1, 2, 3, 20, 21, 18 if version == 1 else 20, 19 if version == 1 else 21):
            continue
        yield f"message {kind} of nothing", [(kind, b"")]
        yield f"message {kind} of 8 zeros", [(kind, bytes(8))]
        yield f"message {kind} of 56 ones", [(kind, b"\xff" * 56)]
    for subtype in list(range(40)) + [132, 1000]:
        for size in (0, 8, 16, 40):
            if subtype in (16, 20) and size == 8:
                continue
            yield f"Nicira's message {subtype} of {size}", [experimenter(subtype, bytes(size))]
    for subtype in (0, 1, 1870, 1911, 2300, 2301, 2350):
        for size in (0, 8, 16):
            yield f"ONF's message {subtype} of {size}", [experimenter(subtype, bytes(size), ONF)]
    yield "a stranger's message", [experimenter(1, bytes(8), 0x1234567)]
    yield "an experimenter's message cut", [(4, b"\0\0")]
    for kind in list(range(24)) + [0xFFFF, 0x1234]:
        for size in (0, 4, 8, 16, 40, 56):
            yield f"multipart {kind} of {size}", [multipart(version, kind, bytes(size))]
            if kind not in (12, 16):
                yield f"multipart {kind} of {size} ones", [multipart(version, kind, b"\xff" * size)]
        yield f"multipart {kind} with flags", [multipart(version, kind, flags=2)]
    for subtype in range(12):
        for size in (0, 8, 40):
            yield f"Nicira's multipart {subtype} of {size}", [multipart(version, 0xFFFF, struct.pack("!II", NICIRA, subtype) + bytes(size))]
    yield "a stranger's multipart", [multipart(version, 0xFFFF, struct.pack("!II", 0x1234567, 1))]
    wide = "!I" if version > 1 else "!H"
    for port in (0, 1, 4, 9, 0xFFFFFF00, 0xFFFFFFF8, 0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFE, ANY):
        number = struct.pack(wide, port if version > 1 else port & 0xFFFF)
        yield f"port statistics of {port:x}", [multipart(version, 4, number + bytes(4 if version > 1 else 6))]
        for queue in (0, 1, ANY):
            yield f"queue statistics of {port:x} {queue:x}", [multipart(version, 5, number + (b"" if version > 1 else bytes(2)) + struct.pack("!I", queue))]
            yield f"queues of {port:x} {queue:x}", [multipart(version, 15, number + struct.pack("!I", queue))]
        yield f"queue configuration of {port:x}", [(20 if version == 1 else 22, number + bytes(4 if version > 1 else 2))]
        yield f"port description of {port:x}", [multipart(version, 13, struct.pack("!I4x", port) if version == 6 else b"")]
    if version > 1:
        for number in (0, 1, 0xFFFFFF00, 0xFFFFFFFC, ANY):
            yield f"group statistics of {number:x}", [multipart(version, 6, struct.pack("!I4x", number))]
            yield f"group description of {number:x}", [multipart(version, 7, struct.pack("!I4x", number))]


def port_cases(version):
    def mod(number, address, config=0, mask=0, advertise=0, properties=b""):
        if version == 1:
            return 15, struct.pack("!H", number & 0xFFFF) + address + struct.pack("!III4x", config, mask, advertise)
        if version < 5:
            return 16, struct.pack("!I4x", number) + address + struct.pack("!xxIII4x", config, mask, advertise)
        return 16, struct.pack("!I4x", number) + address + struct.pack("!xxII", config, mask) + (properties or struct.pack("!HHI", 0, 8, advertise))
    right = bytes([0x02, 0, 0, 0, 0, 1])
    for number in (0, 1, 9, 0xFFFFFFFD, 0xFFFFFFFE, ANY):
        yield f"port-mod of {number:x} by zero", [mod(number, bytes(6), 0x20, 0x20)]
    for bit in range(8):
        yield f"port-mod bit {bit}", [mod(1, right, 1 << bit, 1 << bit), multipart(version, 13, struct.pack("!II", 1, 0) if version == 6 else b""), mod(1, right, 0, 1 << bit)]
    yield "port-mod with a wrong address", [mod(1, b"\x02" * 6)]
    yield "port-mod that advertises", [mod(1, right, advertise=0x20)]
    yield "port-mod of high bits", [mod(1, right, 0x100, 0x100)]
    if version >= 5:
        yield "port-mod without properties", [(16, mod(1, right)[1][:24])]
        for kind, size in ((0, 4), (0, 12), (1, 8), (2, 8), (9, 8), (0xFFFF, 12), (0xFFFF, 8)):
            yield f"port-mod property {kind} of {size}", [mod(1, right, properties=pad8(struct.pack("!HH", kind, size) + bytes(size - 4)))]


def table_cases(version):
    if version == 1:
        return
    for table in (0, 253, 254, 255):
        for config in (0, 1, 2, 3, 4, 8, 12, 16):
            again = [multipart(version, 14)] if version >= 5 and table != 255 else []
            yield f"table-mod {table} {config}", [(17, struct.pack("!B3xI", table, config)), (17, struct.pack("!B3xI", 255, 0)), *again[:0]]
    if version >= 5:
        for kind, body in ((2, struct.pack("!I", 1)), (2, struct.pack("!I", 7)), (2, bytes(8)), (3, struct.pack("!BBxx", 80, 90)), (3, struct.pack("!BBxx", 90, 80)),
                           (3, struct.pack("!BBxx", 80, 101)), (9, bytes(4)), (0xFFFF, bytes(8))):
            for config in (0, 4, 8, 12):
                yield f"table-mod property {kind} {body.hex()} {config}", [(17, struct.pack("!B3xI", 3, config) + pad8(struct.pack("!HH", kind, 4 + len(body)) + body)),
                                                                         (17, struct.pack("!B3xI", 3, 0))]


def role_cases(version):
    for role in range(6):
        if version >= 3:
            yield f"role {role}", [(24, struct.pack("!I4xQ", role, 5))]
            yield f"role {role} cut", [(24, struct.pack("!I4x", role))]
        yield f"Nicira's role {role}", [experimenter(10, struct.pack("!I", role))]
    if version == 4:
        yield "async", [(28, struct.pack("!IIIIII", 1, 2, 3, 4, 5, 6)), (26, b"")]
        yield "async, unknown bits", [(28, b"\xff" * 24), (26, b"")]
    if version >= 4:
        yield "async asked", [(26, b"")]
    if version >= 5:
        for kind in list(range(14)) + [0xFFFE, 0xFFFF]:
            for bits in (1, 0xFF, ANY):
                yield f"async property {kind} {bits:x}", [(28, struct.pack("!HHI", kind, 8, bits)), (26, b"")]
        yield "async property cut", [(28, struct.pack("!HHI", 1, 12, 0))]
        yield "async property of 4", [(28, struct.pack("!HHI", 1, 4, 0))]


def bundle_cases(version):
    if version < 5:
        return
    good, bad = flow_mod(version, actions=output(version, 1)), flow_mod(version, actions=output(version, 0))

    def case(name, *messages):
        return f"bundle: {name}", [*messages, flow_stats(version)]
    for kind in range(9):
        yield case(f"control {kind} first", bundle_control(1, kind))
        yield case(f"control {kind} on an open one", bundle_control(1, 0), bundle_control(1, kind))
        yield case(f"control {kind} on a closed one", bundle_control(1, 0), bundle_control(1, 2), bundle_control(1, kind))
        yield case(f"control {kind} on a committed one", bundle_control(1, 0), bundle_control(1, 4), bundle_control(1, kind))
        yield case(f"control {kind} with other flags", bundle_control(1, 0), bundle_control(1, kind, 1))
    for flags in (0, 1, 2, 3, 4, 0xFFFF):
        yield case(f"flags {flags}", bundle_control(1, 0, flags), bundle_add(version, 1, good, flags), bundle_control(1, 4, flags))
    yield case("added without opening", bundle_add(version, 1, good), bundle_control(1, 4))
    yield case("added to a closed one", bundle_control(1, 0), bundle_control(1, 2), bundle_add(version, 1, good))
    yield case("added with other flags", bundle_control(1, 0), bundle_add(version, 1, good, 1), bundle_control(1, 4))
    yield case("a bad one in the middle", bundle_control(1, 0), bundle_add(version, 1, good), bundle_add(version, 1, bad), bundle_control(1, 4))
    yield case("an impossible one in the middle", bundle_control(1, 0), bundle_add(version, 1, good), bundle_add(version, 1, flow_mod(version, flags=2)), bundle_control(1, 4))
    yield case("another xid inside", bundle_control(1, 0), bundle_add(version, 1, good, xid=0x5555), bundle_control(1, 4))
    yield case("another version inside", bundle_control(1, 0), bundle_add(version, 1, good, wire=4), bundle_control(1, 4))
    yield case("a wrong length inside", bundle_control(1, 0), bundle_add(version, 1, good, size=16), bundle_control(1, 4))
    yield case("a long length inside", bundle_control(1, 0), bundle_add(version, 1, good, size=160), bundle_control(1, 4))
    for name, inner in (("echo", (2, b"")), ("features", (5, b"")), ("barrier", (20, b"")), ("statistics", flow_stats(version)), ("bundle", bundle_control(2, 0)),
                        ("group", group_mod(version, buckets=bucket(version, output(version, 1)))), ("meter", meter_mod(bands=band())),
                        ("packet-out", packet_out(version, output(version, 2))), ("role", (24, struct.pack("!I4xQ", 0, 0))), ("table-mod", (17, struct.pack("!B3xI", 3, 0))),
                        ("port-mod", (16, struct.pack("!I4x6sxxII", 1, bytes([2, 0, 0, 0, 0, 1]), 0, 0)))):
        for flags in (0, 1, 2, 3):
            yield case(f"{name} inside, flags {flags}", bundle_control(1, 0, flags), bundle_add(version, 1, inner, flags), bundle_control(1, 4, flags))
    yield case("empty", bundle_control(1, 0), bundle_control(1, 4))
    yield case("opened twice", bundle_control(1, 0), bundle_control(1, 0))
    yield case("a property", bundle_control(1, 0, properties=struct.pack("!HHI", 7, 8, 0)))


def packet_out_cases(version):
    one = output(version, 1)
    yield "packet-out", [packet_out(version, one)]
    yield "packet-out without actions", [packet_out(version)]
    yield "packet-out of nothing", [packet_out(version, one, data=b"")]
    yield "packet-out of 5 bytes", [packet_out(version, one, data=bytes(5))]
    for buffer in (0, 5):
        yield f"packet-out of buffer {buffer}", [packet_out(version, one, buffer=buffer)]
        yield f"packet-out of buffer {buffer} without data", [packet_out(version, one, buffer=buffer, data=b"")]
    for length in (1, 4, 12, 200):
        yield f"packet-out that says {length}", [packet_out(version, one, length=length)]
    yield "packet-out with a bad action", [packet_out(version, action(99, bytes(4)))]
    yield "packet-out to nowhere", [packet_out(version, output(version, 0))]
    yield "packet-out to the table", [packet_out(version, output(version, 0xFFFFFFF9))]
    yield "packet-out to a port that is not there", [packet_out(version, output(version, 88))]
    yield "packet-out to a group that is not there", [packet_out(version, action(22, struct.pack("!I", 9)))]
    if version == 6:
        for name, fields in (("nothing", b""), ("metadata", oxm(0, 4, 1) + oxm(2, 8, 5)), ("a register", oxm(0, 4, 1) + oxm(0, 4, 5, space=1)), ("a header", oxm(0, 4, 1) + oxm(5, 2, 0x800)),
                             ("no port", oxm(2, 8, 5)), ("a tunnel", oxm(0, 4, 1) + oxm(38, 8, 5)), ("a packet type", oxm(0, 4, 1) + oxm(44, 4, 0)), ("another packet type", oxm(0, 4, 1) + oxm(44, 4, 0x10800)), ("a masked register", oxm(0, 4, 1) + oxm(0, 4, 5, 7, space=1))):
            yield f"packet-out with {name}", [packet_out(version, one, fields=fields)]


def monitor_cases(version):
    if version < 5:
        if version == 1:
            head = struct.pack("!II4x", NICIRA, 2)
            for flags in (0, 1, 0x3F, 0x7F, 0xFFFF):
                for table in (0, 5, 255):
                    request = struct.pack("!IHHHB5x", 7, flags, 0xFFFF, 0, table)
                    yield f"monitor {flags:x} table {table}", [flow_mod(1, actions=output(1, 1)), multipart(1, 0xFFFF, head + request), flow_mod(1, command=3)]
        return
    for flags in (0, 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x3F, 0x1F, 0x80, 0xFFFF):
        for command in (0, 1, 2, 3):
            request = struct.pack("!IIIHBB", 7, ANY, ANY, flags, 255, command) + match()
            yield f"monitor {flags:x} command {command}", [flow_mod(version, actions=output(version, 1)), multipart(version, 16, request),
                                                           flow_mod(version, cookie=9, priority=7), flow_mod(version, command=1, actions=output(version, 2)), flow_mod(version, command=3)]
    request = struct.pack("!IIIHBB", 7, ANY, ANY, 1, 255, 0) + match()
    yield "monitor twice", [multipart(version, 16, request), multipart(version, 16, request)]
    yield "monitor twice at once", [multipart(version, 16, request * 2)]
    yield "monitor of a bad match", [multipart(version, 16, struct.pack("!IIIHBB", 7, ANY, ANY, 1, 255, 0) + match(oxm(60, 4, 0)))]
    yield "monitor of table 254", [multipart(version, 16, struct.pack("!IIIHBB", 7, ANY, ANY, 1, 254, 0) + match())]


def cases(version):
    for make in (switch_cases, port_cases, table_cases, role_cases, flow_cases, match_cases, action_cases, instruction_cases, group_cases, meter_cases,
                 bundle_cases, packet_out_cases, monitor_cases):
        for name, messages in make(version):
            yield f"{make.__name__[:-6]} | {name}", messages
