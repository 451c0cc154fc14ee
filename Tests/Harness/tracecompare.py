"""What two switches say of a packet in `ofproto/trace`, compared by what would leave them.

A trace's datapath actions are carried out on a picture of the packet: what counts is which copy leaves by which port with which
headers. So it makes no difference whether a field is set to the value it has, in which order fields are set, or whether a
packet is changed in a copy or changed back.
"""
import ipaddress
import random
import re

PORTS = (1, 2, 3, 4)


def split(text):
    """Cuts at the commas outside of parentheses."""
    parts, depth, current = [], 0, ""
    for character in text:
        if character == "," and depth == 0:
            parts.append(current)
            current = ""
            continue
        depth += (character == "(") - (character == ")")
        current += character
    return [part for part in parts + [current] if part]


def number(text):
    """An address or number as an integer."""
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text):
        return int(text.replace(":", ""), 16)
    if "." in text or ":" in text:
        return int(ipaddress.ip_address(text))
    return int(text, 0)


# The datapath's names of a field, and where they differ by header, one name for both.
NAMES = {"ip.tos": "tos", "ipv4.tos": "tos", "ipv6.tclass": "tos", "ip.ttl": "ttl", "ipv4.ttl": "ttl", "ipv6.hlimit": "ttl",
         "ip.nw_ecn": "tos", "skb_mark": "skb_mark"}


class Packet:
    def __init__(self, fields, tags=(), labels=()):
        self.fields, self.tags, self.labels, self.cut = dict(fields), list(tags), list(labels), None

    def copy(self):
        twin = Packet(self.fields, self.tags, self.labels)
        twin.cut = self.cut
        return twin

    def picture(self):
        return (tuple(sorted((key, value) for key, value in self.fields.items() if value)), tuple(self.tags), tuple(self.labels), self.cut)

    def write(self, name, text):
        value, _, mask = text.partition("/")
        value, bits = number(value), number(mask) if mask else None
        old = self.fields.get(name, 0)
        self.fields[name] = value if bits is None else old & ~bits | value & bits

    def set(self, text):
        group, _, body = text.partition("(")
        body = body[:-1]
        if "=" not in body:
            self.write(group, body.strip("()"))
            return
        for part in split(body):
            key, _, value = part.partition("=")
            name = NAMES.get(f"{group}.{key}", f"{group}.{key}")
            if group == "vlan":
                tpid, tci = self.tags[0]
                value = int(value.split("/")[0], 0)
                tci = {"vid": tci & 0xE000 | value, "pcp": tci & 0xFFF | value << 13, "tci": value & 0xEFFF}[key]
                self.tags[0] = (tpid, tci)
            elif group == "mpls":
                self.labels[0] = dict(self.labels[0], **{key: int(value.split("/")[0], 0)})
            else:
                self.write(name, value)


def leaving(actions, packet, out):
    """Carries out `actions` and appends (port, picture) to `out` for each copy that leaves."""
    for action in split(actions):
        name, _, body = action.partition("(")
        body = body[:-1]
        values = dict(part.partition("=")[::2] for part in split(body)) if body else {}
        if action.isdigit():
            out.append((int(action), packet.picture()))
            packet.cut = None
        elif name == "set":
            packet.set(body)
        elif name == "push_vlan":
            packet.tags.insert(0, (values.get("tpid", "0x8100"), int(values["vid"], 0) | int(values.get("pcp", "0"), 0) << 13))
        elif name == "pop_vlan":
            packet.tags.pop(0)
        elif name == "push_mpls":
            packet.labels.insert(0, {key: int(values[key], 0) for key in ("label", "tc", "ttl")})
        elif name == "pop_mpls":
            packet.labels.pop(0)
        elif name == "trunc":
            packet.cut = int(body)
        elif name == "clone":
            leaving(body, packet.copy(), out)
        elif name == "userspace" and "reason=2," in body:
            pass  # The reference hands expired packets up and decides there whether anybody is told; Apus decides at once.
        elif name == "userspace":
            out.append(("controller", packet.picture()))
        elif name == "check_pkt_len":
            larger, other = [], []
            leaving(re.search(r",gt\((.*)\),le\(", action).group(1), packet.copy(), larger)
            leaving(re.search(r",le\((.*)\)\)$", action).group(1), packet.copy(), other)
            out.append((f"length {values['size']}", repr((sorted(map(repr, larger)), sorted(map(repr, other))))))
        elif name in ("drop", "recirc"):
            out += [(action, packet.picture())] if name == "recirc" else []
        else:
            raise ValueError(f"unknown datapath action {action}")
    return out


def outcome(trace, packet):
    """What leaves, as a sorted list; the order in which ports are flooded is nobody's promise."""
    actions = re.search(r"^Datapath actions: (.*)$", trace, re.M)
    if not actions:
        return [trace]
    return sorted(map(repr, leaving(actions.group(1), packet, [])))


class Cases:
    """Seeded random tables and packets, from small sets of values, so that they meet."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, *values):
        return self.random.choice(values)

    def chance(self, percent):
        return self.random.random() * 100 < percent

    def match(self, table):
        parts = []
        if self.chance(30):
            parts.append(f"in_port={self.pick(*PORTS)}")
        if self.chance(20):
            parts.append(self.pick("dl_src=02:00:00:00:00:01", "dl_dst=02:00:00:00:00:02", "dl_dst=02:00:00:00:00:00/ff:ff:ff:ff:ff:fc"))
        if self.chance(20):
            parts.append(self.pick("vlan_tci=0", "dl_vlan=5", "vlan_tci=0x1000/0x1000", "dl_vlan_pcp=3"))
        if table and self.chance(40):
            parts.append(self.pick("reg0=1", "reg0=0/1", "reg1=0x10/0xf0", "metadata=3", "metadata=0x100/0xff00", "xreg1=7"))
        kind = self.pick("", "", "ip", "tcp", "udp", "ipv6", "tcp6", "arp", "icmp")
        if kind:
            parts.append(kind)
        if kind in ("ip", "tcp", "udp", "icmp"):
            if self.chance(40):
                parts.append(self.pick("nw_src=10.0.0.1", "nw_dst=10.0.0.0/24", "nw_dst=10.0.0.2", "nw_tos=32", "nw_ttl=64", "nw_ecn=1"))
        if kind in ("ipv6", "tcp6") and self.chance(40):
            parts.append(self.pick("ipv6_src=fd00::1", "ipv6_dst=fd00::/64", "ipv6_label=7", "nw_ttl=64"))
        if kind in ("tcp", "udp", "tcp6") and self.chance(50):
            parts.append(self.pick("tp_dst=80", "tp_src=0x400/0xfc00", "tp_dst=0x50/0xfff0"))
        if kind == "tcp" and self.chance(20):
            parts.append("tcp_flags=+syn-ack")
        if kind == "arp" and self.chance(60):
            parts.append(self.pick("arp_op=1", "arp_spa=10.0.0.1", "arp_tha=02:00:00:00:00:09"))
        return ",".join(parts), kind

    def actions(self, table, kind, tagged, nested=False):
        result = ["strip_vlan"] if tagged and self.chance(20) else []
        tagged = tagged and not result
        for _ in range(self.random.randrange(4)):
            choices = [
                lambda: f"mod_dl_dst:02:00:00:00:00:0{self.pick(1, 2, 7)}", lambda: "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
                lambda: f"load:{self.pick(0, 1, 0x10, 0x123)}->NXM_NX_REG{self.pick(0, 1)}[]", lambda: "load:7->OXM_OF_PKT_REG1[]",
                lambda: "load:3->NXM_NX_REG0[4..7]", lambda: "move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG1[0..11]",
                lambda: "push:NXM_NX_REG0[],pop:NXM_NX_REG1[]", lambda: "push:NXM_OF_ETH_SRC[0..15],pop:NXM_NX_REG0[16..31]",
                lambda: f"push_vlan:0x8100,set_field:{4096 + self.pick(5, 6, 4095)}->vlan_vid,set_field:2->vlan_pcp",
                lambda: f"output:{self.pick(*PORTS)}", lambda: "output:NXM_NX_REG0[0..2]", lambda: f"output(port={self.pick(*PORTS)},max_len=100)",
                lambda: "note:01.02", lambda: "set_field:00:00:00:00:00:05/00:00:00:00:00:0f->eth_src",
                lambda: "bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG0[0..15],members:9,2,3)",
                lambda: "multipath(eth_src,0,modulo_n,1,0,NXM_NX_REG0[0..7])", lambda: "learn(table=9,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])",
            ]
            if tagged:
                # Later versions of OpenFlow take a tag off, or change one, only where the match says that there is one.
                choices += [lambda: "set_field:6->vlan_pcp", lambda: f"set_field:{4096 + self.pick(5, 9)}->vlan_vid"]
            if kind in ("ip", "tcp", "udp", "icmp"):
                choices += [lambda: f"mod_nw_src:10.0.0.{self.pick(1, 9)}", lambda: f"mod_nw_dst:10.0.0.{self.pick(2, 8)}",
                            lambda: "load:9->NXM_OF_IP_DST[0..7]"] * 2
            if kind in ("ip", "tcp", "udp", "icmp", "ipv6", "tcp6"):
                choices += [lambda: "dec_ttl", lambda: f"mod_nw_tos:{self.pick(32, 64)}", lambda: "mod_nw_ecn:1", lambda: "mod_nw_ttl:7"]
            if kind in ("ipv6", "tcp6"):
                choices += [lambda: "set_field:fd00::7->ipv6_dst", lambda: "set_field:9->ipv6_label"] * 2
            if kind in ("tcp", "udp", "tcp6"):
                choices += [lambda: f"mod_tp_dst:{self.pick(80, 443)}", lambda: "mod_tp_src:1000"] * 2
            if kind == "arp":
                choices += [lambda: "set_field:2->arp_op", lambda: "set_field:10.0.0.7->arp_spa",
                            lambda: "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]"] * 3
            if table < 3:
                choices += [lambda: f"resubmit(,{self.random.randrange(table + 1, 4)})", lambda: f"resubmit({self.pick(*PORTS)},{table + 1})"] * 2
            if not nested:
                choices.append(lambda: f"clone({self.actions(3, kind, tagged, nested=True)})")
            result.append(self.random.choice(choices)())
        ends = [f"output:{self.pick(*PORTS)}", "IN_PORT", "ALL", "FLOOD", "controller", f"output:{self.pick(*PORTS)}"]
        if table < 3 and not nested:
            ends += [f"goto_table:{table + 1}", f"write_metadata:{self.pick(3, 0x100)},goto_table:{table + 1}",
                     f"write_actions(set_field:02:00:00:00:00:03->eth_dst,output:{self.pick(*PORTS)}),goto_table:{table + 1}",
                     "exit", "clear_actions"] * 2
        result.append(self.pick(*ends))
        return ",".join(result)

    def flows(self):
        lines = []
        for table in range(4):
            for _ in range(self.random.randrange(3, 7)):
                match, kind = self.match(table)
                parts = [f"table={table}", f"priority={self.random.randrange(1, 60000)}", match]
                lines.append(",".join(part for part in parts if part) + f",actions={self.actions(table, kind, 'dl_vlan' in match or 'vlan_tci=0x1000' in match)}")
        if self.chance(40):
            # Clauses of two dimensions, and the flow they lead to.
            lines += ["table=1,priority=60001,ip,nw_src=10.0.0.1,actions=conjunction(7,1/2)",
                      "table=1,priority=60001,ip,nw_src=10.0.0.3,actions=conjunction(7,1/2),conjunction(8,1/2)",
                      "table=1,priority=60001,tcp,tp_dst=80,actions=conjunction(7,2/2)",
                      "table=1,priority=60001,tcp,tp_dst=81,actions=conjunction(8,2/2)",
                      "table=1,priority=60001,conj_id=7,actions=output:4", "table=1,priority=60001,conj_id=8,ip,actions=output:3"]
        return lines

    def packet(self):
        """The flow's text for both switches, and its picture."""
        fields = {"eth.src": self.pick(1, 5), "eth.dst": self.pick(2, 6)}
        text = [f"in_port=p{self.pick(*PORTS)}"]
        for key in ("src", "dst"):
            fields[f"eth.{key}"] |= 0x020000000000
            text.append(f"dl_{key}=02:00:00:00:00:0{fields[f'eth.{key}'] & 15}")
        tags = []
        if self.chance(40):
            vid, pcp = self.pick(5, 6), self.pick(0, 3)
            tags = [("0x8100", vid | pcp << 13)]
            text.append(f"dl_vlan={vid},dl_vlan_pcp={pcp}")
        kind = self.pick("tcp", "udp", "icmp", "tcp6", "arp", "")
        if not kind:
            return ",".join(text + ["dl_type=0x1234"]), Packet(fields, tags)
        text.append(kind)
        if kind in ("tcp", "udp", "icmp"):
            for key, values in (("src", (1, 3)), ("dst", (2, 77))):
                fields[f"ipv4.{key}"] = 0x0A000000 | self.pick(*values)
                text.append(f"nw_{key}=10.0.0.{fields[f'ipv4.{key}'] & 255}")
        elif kind == "tcp6":
            for key, values in (("src", (1, 3)), ("dst", (2, 7))):
                last = self.pick(*values)
                fields[f"ipv6.{key}"] = 0xFD << 120 | last
                text.append(f"ipv6_{key}=fd00::{last}")
            fields["ipv6.label"] = self.pick(0, 7)
            text.append(f"ipv6_label={fields['ipv6.label']:#07x}")
        elif kind == "arp":
            fields |= {"arp.op": self.pick(1, 2), "arp.sip": 0x0A000000 | self.pick(1, 2), "arp.tip": 0x0A000009,
                       "arp.sha": 0x020000000008, "arp.tha": 0x020000000009}
            text.append(f"arp_op={fields['arp.op']},arp_spa=10.0.0.{fields['arp.sip'] & 255},arp_tpa=10.0.0.9")
            text.append("arp_sha=02:00:00:00:00:08,arp_tha=02:00:00:00:00:09")
        if kind != "arp":
            fields |= {"tos": self.pick(0, 32, 33), "ttl": self.pick(1, 2, 64)}
            text.append(f"nw_tos={fields['tos'] & 252},nw_ecn={fields['tos'] & 3},nw_ttl={fields['ttl']}")
        if kind in ("tcp", "udp", "tcp6"):
            group = kind.removesuffix("6")
            for key in ("src", "dst"):
                fields[f"{group}.{key}"] = self.pick(80, 81, 1025)
                text.append(f"{group}_{key}={fields[f'{group}.{key}']}")
        if kind == "tcp" and self.chance(50):
            text.append("tcp_flags=" + self.pick("syn", "syn|ack"))
        return ",".join(text), Packet(fields, tags)
