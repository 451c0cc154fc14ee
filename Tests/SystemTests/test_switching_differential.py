"""VLAN modes, protected ports, mirrors and groups: what the datapath is told, beside Debian's Open vSwitch given the same.

Both switches run with dummy ports and get the same random configuration; `ofproto/trace` tells what each would do with a packet.
What every port gets is compared, not how it comes about. Kept out of the cases, for they are known to differ (see
docs/migrating-from-ovs.md): mirrored packets that actions have changed, and two VLAN tags at an access port.
"""
import os
import random
import re
import shutil

import pytest

from Harness.process import Child, run, wait_until
from Harness.switch import Switch

OVS = "/usr/lib/openvswitch-switch/ovs-vswitchd"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
PORTS = range(1, 7)
GROUPS = ["group_id=1,type=all,bucket=bucket_id:0,actions=output:2,bucket=bucket_id:1,actions=push_vlan:0x8100,set_field:4102->vlan_vid,output:3",
          "group_id=2,type=ff,bucket=bucket_id:0,watch_port:4,actions=output:4,bucket=bucket_id:1,watch_port:5,actions=output:5",
          "group_id=3,type=indirect,bucket=bucket_id:0,actions=set_field:02:00:00:00:00:77->eth_dst,group:1",
          "group_id=4,type=all,bucket=bucket_id:0,actions=normal,bucket=bucket_id:1,actions=group:2,output:6"]
PLAIN = ["normal", "normal", "output:2", "output:3,output:4", "flood", "all", "in_port", "group:2", "group:2,normal"]
CHANGING = ["group:1,output:5", "group:3,normal", "group:4", "write_actions(group:3,output:2)", "set_field:02:00:00:00:00:88->eth_dst,output:2,output:3",
            "clone(set_field:02:00:00:00:00:88->eth_dst,output:2),output:3"]


class Reference:
    """Debian's Open vSwitch, with dummy ports, in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory)
        self.env = dict(os.environ, OVS_RUNDIR=directory, OVS_LOGDIR=directory, OVS_DBDIR=directory)
        self.database = f"unix:{directory}/db.sock"
        run(["ovsdb-tool", "create", f"{directory}/conf.db", SCHEMA])
        self.server = Child(["ovsdb-server", f"{directory}/conf.db", f"--remote=punix:{directory}/db.sock", f"--unixctl={directory}/db.ctl"],
                            f"{directory}/server.out", env=self.env)
        wait_until(lambda: os.path.exists(f"{directory}/db.sock"), 20, "the reference's database", alive=self.server)
        self.vsctl("--no-wait", "init")
        self.daemon = Child([OVS, "--enable-dummy=override", "--disable-system", f"--unixctl={directory}/sw.ctl", self.database],
                            f"{directory}/switch.out", env=self.env)
        wait_until(lambda: os.path.exists(f"{directory}/sw.ctl"), 20, "the reference", alive=self.daemon)

    def _run(self, words, stdin=None):
        return run(words, env=self.env, stdin=stdin).stdout

    def vsctl(self, *words):
        return self._run(["ovs-vsctl", "--timeout=20", f"--db={self.database}", *words])

    def ofctl(self, command, *words, version=None, stdin=None):
        return self._run(["ovs-ofctl", "-O", version, command, "br0", *words], stdin=stdin)

    def appctl(self, *words):
        return self._run(["ovs-appctl", "-t", f"{self.directory}/sw.ctl", *words])

    def stop(self):
        self.daemon.stop()
        self.server.stop()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    if not os.path.exists(OVS):
        pytest.skip("the reference is not installed")
    directory = f"/tmp/ar{os.getpid()}"
    shutil.rmtree(directory, ignore_errors=True)
    reference = Reference(directory)
    own = Switch("apus", arguments=["--enable-dummy=override", "--disable-system"])
    try:
        own.start()
        for side in (reference, own):
            side.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath-type=dummy", "fail-mode=secure",
                       *[word for n in PORTS for word in ("--", "add-port", "br0", f"p{n}", "--", "set", "interface", f"p{n}", "type=dummy",
                                                          f"ofport_request={n}")],
                       "--", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
        yield reference, own
    finally:
        own.stop()
        own.remove()
        reference.stop()
        shutil.rmtree(directory, ignore_errors=True)


def configuration(random):
    """ovs-vsctl's words for random VLAN modes and mirrors, and whether there are mirrors."""
    words = []
    for n in PORTS:
        words += ["--", "clear", "port", f"p{n}", "vlan_mode", "tag", "trunks", "cvlans",
                  "--", "remove", "port", f"p{n}", "other_config", "priority-tags", "--", "remove", "port", f"p{n}", "other_config", "qinq-ethtype"]
        mode = random.choice([None, "access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel"])
        settings = [f"protected={random.choice(['false', 'false', 'true'])}"]
        if mode:
            settings.append(f"vlan_mode={mode}")
        if mode in ("access", "native-tagged", "native-untagged"):
            settings.append(f"tag={random.choice([5, 6, 7])}")
        if mode in ("trunk", "native-tagged", "native-untagged") and random.random() < 0.5:
            settings.append("trunks=" + ",".join(map(str, random.sample([0, 5, 6, 7, 8, 9], 4))))
        if mode == "dot1q-tunnel":
            settings.append("tag=9")
            settings += random.choice([[], ["cvlans=0,6"], ["cvlans=5,7"], ["other_config:qinq-ethtype=802.1q"]])
        if random.random() < 0.3:
            settings.append(f"other_config:priority-tags={random.choice(['if-nonzero', 'always', 'never'])}")
        words += ["--", "set", "port", f"p{n}", *settings]
    words += [word for n in PORTS for word in ("--", f"--id=@p{n}", "get", "port", f"p{n}")] + ["--", "clear", "bridge", "br0", "mirrors"]
    mirrors = []
    for number in range(random.choice([0, 1, 1, 2])):
        mirrors.append(f"@m{number}")
        words += ["--", f"--id=@m{number}", "create", "mirror", f"name=m{number}"]
        choice = random.random()
        if choice < 0.3:
            words.append("select_all=true")
        if choice > 0.2:
            words.append(f"select_src_port=@p{random.choice(PORTS)}")
        if choice > 0.5:
            words.append(f"select_dst_port=@p{random.choice(PORTS)}")
        if random.random() < 0.3:
            words.append(f"select_vlan={random.choice([0, 5, 6])}")
        words.append(f"output_port=@p{random.choice(PORTS)}" if random.random() < 0.7 else "output_vlan=8")
        if random.random() < 0.3:
            words.append(f"snaplen={random.choice([14, 100])}")
    if mirrors:
        words += ["--", "set", "bridge", "br0", "mirrors=" + ",".join(mirrors)]
    return words[1:], bool(mirrors)


def split(text):
    """The actions of a list; commas in parentheses do not count."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return parts + [text[start:]]


def outputs(actions, tags, header, sent=None):
    """What each output of datapath actions sends: (port, tags, addresses, most bytes), for a packet with these tags and addresses."""
    sent = [] if sent is None else sent
    tags, header, cut = list(tags), dict(header), None
    for action in split(actions):
        if action.startswith("push_vlan"):
            kind = re.search(r"tpid=(0x\w+)", action)
            tags.insert(0, (kind.group(1) if kind else "0x8100", int(re.search(r"vid=(\d+)", action).group(1)), int(re.search(r"pcp=(\d+)", action).group(1))))
        elif action == "pop_vlan":
            tags = tags[1:]
        elif action.startswith("set(vlan(tci="):
            value = int(re.search(r"tci=(0x\w+|\d+)", action).group(1), 0)
            tags[0] = (tags[0][0], value & 0xfff, value >> 13)
        elif action.startswith("set(vlan("):
            tags[0] = (tags[0][0], int(re.search(r"vid=(\d+)", action).group(1)), int(re.search(r"pcp=(\d+)", action).group(1)))
        elif action.startswith("set(eth("):
            header.update(re.findall(r"(src|dst)=([0-9a-f:]+)", action))
        elif action.startswith("trunc("):
            cut = action
        elif action.startswith("clone("):
            outputs(action[6:-1], tags, header, sent)
        elif action not in ("drop", ""):
            sent.append((action, tuple(tags), tuple(sorted(header.items())), cut))
            cut = None
    return sent


def traced(side, flow):
    text = side.appctl("ofproto/trace", "br0", flow)
    text = text if isinstance(text, str) else text.stdout
    return re.search(r"Datapath actions: (.*)", text).group(1).strip()


@pytest.mark.apus
@pytest.mark.parametrize("seed", range(4))
def test_the_same_as_the_reference(pair, seed):
    chance = random.Random(seed)
    words, has_mirrors = configuration(chance)
    flows = {n: chance.choice(PLAIN if has_mirrors else PLAIN + CHANGING) for n in PORTS}
    for side in pair:
        side.vsctl(*words)
        side.ofctl("del-groups", version="OpenFlow15")
        side.ofctl("del-flows", version="OpenFlow15")
        for group in GROUPS:
            side.ofctl("add-group", group, version="OpenFlow15")
        side.ofctl("add-flows", "-", version="OpenFlow15", stdin="".join(f"in_port={n},actions={actions}\n" for n, actions in flows.items()))
    for _ in range(16):
        port = chance.choice(PORTS)
        header = {"src": f"02:00:00:00:00:0{port}", "dst": chance.choice(["ff:ff:ff:ff:ff:ff", "02:00:00:00:00:55", "01:80:c2:00:00:01"])}
        flow = f"in_port={port},eth_src={header['src']},eth_dst={header['dst']}"
        tags = []
        if chance.random() < 0.6:
            tags = [("0x8100", chance.choice([0, 5, 6, 7]), chance.choice([0, 0, 3]))]
            flow += f",dl_vlan={tags[0][1]},dl_vlan_pcp={tags[0][2]}"
        flow += ",ip,nw_proto=17"
        theirs, ours = (traced(side, flow) for side in pair)
        assert sorted(map(str, outputs(ours, tags, header))) == sorted(map(str, outputs(theirs, tags, header))), \
            f"{flow}, {flows[port]}: ours {ours}, the reference's {theirs}; {' '.join(words)}"
