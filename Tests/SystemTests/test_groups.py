"""Groups, meters, mirrors and policing: ovs-ofctl's and ovs-vsctl's view of them, and what they do to frames."""
import re
import time

import pytest

from Harness.packets import read_pcap, udp_frame
from Harness.process import wait_until

SERIAL = [0]
VERSIONS = ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"]


class Rig:
    """Port 1 takes frames in, ports 2 to 4 record what leaves."""

    def __init__(self, bridge, cable, folder):
        self.bridge, self.cable = bridge, cable
        SERIAL[0] += 1
        self.files = {}
        for port in (2, 3, 4):
            self.files[port] = f"{folder}/out{port}.pcap"
            bridge.add_port(f"sink{port}", "dpdk", ofport=port, dpdk_devargs=f"net_pcap{SERIAL[0]}0{port},tx_pcap={self.files[port]}")
        bridge.add_port("source", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet9{SERIAL[0]},iface={cable.device}")
        self.sent = 0

    def ofctl(self, *words, version="OpenFlow13", **options):
        return self.bridge.ofctl(*words, version=version, **options)

    def received(self):
        return self.bridge.port_stats()["1"]["rx_packets"] or 0

    def send(self, frames):
        before = self.received()
        self.cable.send(frames)
        wait_until(lambda: self.received() - before >= len(frames), 10, lambda: f"{len(frames)} frames: {self.bridge.port_stats()}")

    def counts(self):
        return {port: len(read_pcap(name)) for port, name in self.files.items()}

    def drops(self, reason):
        return int(self.bridge.statistics("source").get(f"drop_{reason}", 0))


@pytest.fixture
def rig(bridge, cable, folder):
    rig = Rig(bridge, cable, folder)
    yield rig
    bridge.vsctl("--", "clear", "bridge", "br0", "mirrors")
    for name in ("source", "sink2", "sink3", "sink4"):
        bridge.vsctl("--if-exists", "del-port", "br0", name)


def lines(text):
    return sorted(line.strip() for line in text.splitlines()[1:] if line.strip())


@pytest.mark.parametrize("version", VERSIONS)
def test_groups_as_they_are_listed(bridge, version):
    def ofctl(*words, **options):
        return bridge.ofctl(*words, version=version, **options)
    ofctl("add-group", "group_id=1,type=select,bucket=weight:3,actions=output:1,bucket=weight:5,actions=output:2")
    ofctl("add-groups", "-", stdin="group_id=2,type=all,bucket=output:1,bucket=output:2\n"
          "group_id=3,type=indirect,bucket=output:3\ngroup_id=4,type=ff,bucket=watch_port:1,actions=output:1,bucket=watch_group:3,actions=output:2\n")
    first, second = ("bucket_id:0,", "bucket_id:1,") if version in ("OpenFlow10", "OpenFlow15") else ("", "")
    assert lines(ofctl("dump-groups")) == sorted([
        f"group_id=1,type=select,bucket={first}weight:3,actions=output:1,bucket={second}weight:5,actions=output:2",
        f"group_id=2,type=all,bucket={first}actions=output:1,bucket={second}actions=output:2",
        f"group_id=3,type=indirect,bucket={first}actions=output:3",
        f"group_id=4,type=ff,bucket={first}watch_port:1,actions=output:1,bucket={second}watch_group:3,actions=output:2"])
    ofctl("add-flow", "in_port=1,actions=group:2")
    (text,) = lines(ofctl("dump-group-stats", "group_id=2"))
    duration = r"duration=[\d.]+s," if version == "OpenFlow10" or version >= "OpenFlow13" else ""
    assert re.fullmatch(
        rf"group_id=2,{duration}ref_count=1,packet_count=0,byte_count=0,bucket0:packet_count=0,byte_count=0,bucket1:packet_count=0,byte_count=0", text)
    assert "Types:  0xf" in ofctl("dump-group-features") and "Capabilities:  0x7" in ofctl("dump-group-features")
    ofctl("mod-group", "group_id=3,type=indirect,bucket=output:4")
    assert any("output:4" in line for line in lines(ofctl("dump-groups")))
    ofctl("--may-create", "mod-group", "group_id=9,type=all,bucket=output:4")
    ofctl("del-groups", "group_id=2")
    assert "group:2" not in ofctl("dump-flows")
    ofctl("del-groups")
    assert lines(ofctl("dump-groups")) == []


def test_groups_are_refused_with_the_standard_errors(bridge):
    def error(*words, version="OpenFlow15"):
        done = bridge.ofctl(*words, version=version, check=False)
        return re.search(r"OFP\w+", done.stderr.split("OFPT_ERROR")[-1].split(":", 1)[-1]).group(0)
    bridge.ofctl("add-group", "group_id=1,type=all,bucket=bucket_id:1,actions=output:1", version="OpenFlow15")
    assert error("add-group", "group_id=1,type=all") == "OFPGMFC_GROUP_EXISTS"
    assert error("mod-group", "group_id=2,type=all") == "OFPGMFC_UNKNOWN_GROUP"
    assert error("add-flow", "actions=group:7") == "OFPBAC_BAD_OUT_GROUP"
    assert error("insert-buckets", "group_id=1,command_bucket_id=9,bucket=bucket_id:3,actions=output:2") == "OFPGMFC_UNKNOWN_BUCKET"
    assert error("insert-buckets", "group_id=1,command_bucket_id=last,bucket=bucket_id:1,actions=output:2") == "OFPGMFC_BUCKET_EXISTS"
    assert error("remove-buckets", "group_id=1,command_bucket_id=9") == "OFPGMFC_UNKNOWN_BUCKET"
    assert error("add-group", "group_id=5,type=indirect,bucket=group:5", version="OpenFlow13") == "OFPGMFC_LOOP"


def test_buckets_and_selection_methods(bridge):
    def ofctl(*words):
        return bridge.ofctl(*words, version="OpenFlow15")
    ofctl("add-group", "group_id=1,type=all,bucket=bucket_id:1,actions=output:1,bucket=bucket_id:2,actions=output:2")
    ofctl("insert-buckets", "group_id=1,command_bucket_id=first,bucket=bucket_id:3,actions=output:3")
    ofctl("insert-buckets", "group_id=1,command_bucket_id=1,bucket=bucket_id:4,actions=output:4")
    assert re.findall(r"bucket_id:(\d)", ofctl("dump-groups")) == ["3", "1", "4", "2"]
    ofctl("remove-buckets", "group_id=1,command_bucket_id=4")
    ofctl("remove-buckets", "group_id=1,command_bucket_id=last")
    assert re.findall(r"bucket_id:(\d)", ofctl("dump-groups")) == ["3", "1"]
    ofctl("add-group", "group_id=2,type=select,selection_method=hash,fields(ip_dst=255.255.255.0,tcp_src),bucket=bucket_id:4,actions=output:1")
    ofctl("add-group", "group_id=3,type=select,selection_method=dp_hash,selection_method_param=5,bucket=bucket_id:4,actions=output:1")
    text = ofctl("dump-groups")
    assert "selection_method=hash,fields(ip_dst=255.255.255.0,tcp_src),bucket=bucket_id:4" in text
    assert "selection_method=dp_hash,selection_method_param=5,bucket=bucket_id:4" in text
    bridge.ofctl("--bundle", "add-groups", "-", version="OpenFlow14", stdin="group_id=8,type=all,bucket=output:1\ngroup_id=9,type=all,bucket=group:8\n")
    assert "group_id=9" in ofctl("dump-groups")


def test_a_group_of_all_copies(rig):
    rig.ofctl("add-group", "group_id=1,type=all,bucket=mod_dl_dst:02:00:00:00:00:99,output:2,bucket=output:3", version="OpenFlow11")
    rig.ofctl("add-flow", "in_port=1,actions=group:1,output:4")
    frame = udp_frame()
    rig.send([frame] * 5)
    wait_until(lambda: rig.counts() == {2: 5, 3: 5, 4: 5}, 10, rig.counts)
    assert read_pcap(rig.files[2])[0] == bytes.fromhex("020000000099") + frame[6:]
    assert read_pcap(rig.files[3])[0] == frame == read_pcap(rig.files[4])[0]
    text = rig.ofctl("dump-group-stats")
    assert f"packet_count=5,byte_count={5 * len(frame)},bucket0:packet_count=5" in text


def test_a_select_group_spreads_connections(rig):
    rig.ofctl("add-group", "group_id=1,type=select,bucket=weight:1,actions=output:2,bucket=weight:3,actions=output:3")
    rig.ofctl("add-flow", "in_port=1,actions=group:1")
    frames = [udp_frame(src_port=port) for port in range(1000, 1400)]
    for _ in range(2):
        rig.send(frames)
    wait_until(lambda: sum(rig.counts().values()) == 800, 10, rig.counts)
    counts = rig.counts()
    assert counts[2] % 2 == 0 and 120 <= counts[2] <= 280, counts
    # One decision for the choice, and one for each hash value.
    flows = [line for line in rig.bridge.appctl("dpctl/dump-flows").splitlines() if "in_port" in line]
    chosen = [line for line in flows if re.search(r"dp_hash\(0(x[0-9a-f])?/0xf\)", line)]
    assert len(chosen) == 16 and len(flows) <= 20, flows
    ways = [line.rsplit("actions:")[-1] for line in chosen]
    assert sorted(ways.count(way) for way in set(ways)) == [4, 12], flows
    text = rig.ofctl("dump-group-stats")
    assert "packet_count=800," in text and f"bucket1:packet_count={counts[3]}," in text


def test_fast_failover_follows_its_ports(rig):
    rig.ofctl("add-group", "group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3")
    rig.ofctl("add-flow", "in_port=1,actions=group:1")
    rig.send([udp_frame()] * 3)
    wait_until(lambda: rig.counts() == {2: 3, 3: 0, 4: 0}, 10, rig.counts)
    rig.ofctl("mod-port", "sink2", "down")
    rig.send([udp_frame()] * 4)
    wait_until(lambda: rig.counts() == {2: 3, 3: 4, 4: 0}, 10, rig.counts)
    rig.ofctl("mod-port", "sink2", "up")
    text = rig.bridge.appctl("ofproto/trace", "br0", "in_port=1,udp")
    assert "    group:1\n     -> using bucket 0\n    bucket 0\n            output:2\n" in text, text


def test_meters_as_they_are_listed(bridge):
    def ofctl(*words, version="OpenFlow13", **options):
        return bridge.ofctl(*words, version=version, **options)
    ofctl("add-meter", "meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=100")
    ofctl("add-meter", "meter=controller,pktps,bands=type=drop,rate=10")
    assert ofctl("dump-meters").split("\n", 1)[1] == (
        "meter=1 kbps burst stats bands=\ntype=drop rate=1000 burst_size=100\n\nmeter=controller pktps bands=\ntype=drop rate=10\n")
    assert re.search(r"meter:1 flow_count:0 packet_in_count:0 byte_in_count:0 duration:[\d.]+s bands:\n0: packet_count:0 byte_count:0",
                     ofctl("meter-stats", "meter=1"))
    assert "max_meter:262144 max_bands:8" in ofctl("meter-features")
    ofctl("add-flow", "in_port=1,actions=meter:1,output:2")
    ofctl("add-flow", "in_port=2,actions=meter:1,output:1", version="OpenFlow15")
    assert "flow_count:2" in ofctl("meter-stats", "meter=1", version="OpenFlow15")
    ofctl("mod-meter", "meter=1,pktps,bands=type=dscp_remark,rate=5,prec_level=1")
    assert "type=dscp_remark rate=5 prec_level=1" in ofctl("dump-meters", "meter=1", version="OpenFlow14")
    for words, code in ((("add-meter", "meter=1,kbps,bands=type=drop,rate=1"), "OFPMMFC_METER_EXISTS"),
                        (("mod-meter", "meter=9,kbps,bands=type=drop,rate=1"), "OFPMMFC_UNKNOWN_METER"),
                        (("add-flow", "actions=meter:9"), "OFPMMFC_INVALID_METER"), (("dump-meters", "meter=9"), "OFPMMFC_UNKNOWN_METER")):
        done = ofctl(*words, check=False)
        assert code in done.stderr + done.stdout, (words, done)
    ofctl("del-meter", "meter=1")
    assert "meter:1" not in ofctl("dump-flows")
    ofctl("del-meters")
    assert "meter=" not in ofctl("dump-meters")


def test_a_meter_drops_what_exceeds_it(rig):
    rig.ofctl("add-meter", "meter=1,pktps,burst,stats,bands=type=drop,rate=1,burst_size=10")
    rig.ofctl("add-flow", "in_port=1,actions=meter:1,output:2")
    start = time.monotonic()
    rig.send([udp_frame()] * 200)
    passed = rig.counts()[2]
    assert 10 <= passed <= 11 + time.monotonic() - start
    text = rig.ofctl("meter-stats", "meter=1")
    assert "packet_in_count:200" in text
    wait_until(lambda: rig.drops("meter") == 200 - rig.counts()[2], 10, lambda: rig.bridge.statistics("source"))


def mirror(bridge, *words):
    bridge.vsctl("--", "--id=@p", "get", "port", "sink4", "--", "--id=@s", "get", "port", "source", "--", "--id=@d", "get", "port", "sink2", "--",
                 "--id=@m", "create", "mirror", "name=m", *words, "--", "set", "bridge", "br0", "mirrors=@m")


def test_mirrors_copy(rig):
    rig.ofctl("add-flow", "in_port=1,actions=mod_dl_dst:02:00:00:00:00:99,output:2")
    frame = udp_frame(size=200)
    mirror(rig.bridge, "select_src_port=@s", "output_port=@p", "snaplen=100")
    rig.send([frame] * 3)
    wait_until(lambda: rig.counts() == {2: 3, 3: 0, 4: 3}, 10, rig.counts)
    assert read_pcap(rig.files[4])[0] == frame[:100]
    rig.bridge.vsctl("set", "mirror", "m", "select_src_port=[]", "--", "--id=@d", "get", "port", "sink2", "--", "add", "mirror", "m", "select_dst_port", "@d",
                     "--", "clear", "mirror", "m", "snaplen")
    rig.send([frame] * 2)
    wait_until(lambda: rig.counts() == {2: 5, 3: 0, 4: 5}, 10, rig.counts)
    assert read_pcap(rig.files[4])[-1] == bytes.fromhex("020000000099") + frame[6:]
    wait_until(lambda: "tx_packets=5" in rig.bridge.vsctl("get", "mirror", "m", "statistics"), 15,
               lambda: rig.bridge.vsctl("get", "mirror", "m", "statistics"))
    rig.bridge.vsctl("clear", "bridge", "br0", "mirrors")
    rig.send([frame] * 2)
    wait_until(lambda: rig.counts() == {2: 7, 3: 0, 4: 5}, 10, rig.counts)


@pytest.mark.apus
def test_policing(rig):
    rig.ofctl("add-flow", "in_port=1,actions=output:2")
    # 8 kbit/s with a burst of 8 kbit: 1,000 bytes.
    rig.bridge.vsctl("set", "interface", "source", "ingress_policing_rate=8", "ingress_policing_burst=8")
    rig.send([udp_frame(size=114)] * 100)
    assert 10 <= rig.counts()[2] <= 40
    wait_until(lambda: rig.drops("ingress_policing") == 100 - rig.counts()[2], 10, lambda: rig.bridge.statistics("source"))
    assert int(rig.bridge.statistics("source")["ovs_rx_qos_drops"]) == rig.drops("ingress_policing")
    rig.bridge.vsctl("set", "interface", "source", "ingress_policing_rate=0")
    before = rig.counts()[2]
    rig.bridge.vsctl("set", "port", "sink2", "qos=@q", "--", "--id=@q", "create", "qos", "type=egress-policer", "other-config:cir=1000", "other-config:cbs=1000")
    rig.send([udp_frame(size=114)] * 100)
    wait_until(lambda: rig.drops("egress_policing") == 100 - (rig.counts()[2] - before), 10, lambda: rig.bridge.statistics("source"))
    assert 10 <= rig.counts()[2] - before <= 40
    text = rig.bridge.appctl("qos/show", "sink2")
    assert text.startswith("QoS: sink2 egress-policer\ncbs: 1000\ncir: 1000\n\nDefault:\n  tx_packets: "), text
    assert rig.bridge.appctl("qos/show", "sink3") == "QoS not configured on sink3\n"
