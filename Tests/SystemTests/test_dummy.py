"""The field's test controls: a daemon started as its test suites start it, dummy ports, virtual time."""
import os
import re
import subprocess

import pytest

from Harness.dummy import Suite
from Harness.packets import read_pcap
from Harness.process import run, wait_until

pytestmark = pytest.mark.apus

ICMP = ("in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),"
        "ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)")
UDP_TO_1 = ("in_port(2),eth(src=50:54:00:00:00:0a,dst=50:54:00:00:00:09),eth_type(0x0800),"
            "ipv4(src=192.168.0.2,dst=192.168.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)")


def test_start_and_end(suite):
    assert suite.started.stdout == "" and suite.started.stderr == ""
    suite.bridge(1, 2, 10)
    assert suite.appctl("dpif/show") == """dummy@ovs-dummy: hit:0 missed:0
  br0:
    br0 65534/100: (dummy-internal)
    p1 1/1: (dummy)
    p10 10/10: (dummy)
    p2 2/2: (dummy)
"""
    suite.stop()
    lines = suite.log().splitlines()
    assert lines
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\|\d{5}\|[a-z_0-9]+\|(INFO|DBG)\|", line), line
    left = [name for name in os.listdir(suite.folder) if name.endswith((".pid", ".ctl", ".mgmt", ".sock"))]
    assert not left


def test_packets_and_time(suite):
    suite.bridge(1, 2, 3)
    suite.ofctl("add-flow", "br0", "actions=NORMAL")
    suite.appctl("time/stop")
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    flows = suite.appctl("dpctl/dump-flows").splitlines()
    assert flows[0] == "flow-dump from the main thread:" and len(flows) == 2
    assert flows[1].startswith("recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),"
                               "eth_type(0x0800),ipv4(frag=no), packets:0, bytes:0, used:never, actions:"), flows
    suite.appctl("netdev-dummy/receive", "p1", ICMP, "--len", "200")
    assert "n_packets=2, n_bytes=306" in suite.ofctl("dump-flows", "br0")
    assert suite.appctl("fdb/show", "br0") == " port  VLAN  MAC                Age\n    1     0  50:54:00:00:00:09    0\n"
    assert suite.appctl("time/warp", "20000", "1000") == "warped\n"
    assert suite.appctl("fdb/show", "br0").endswith("   20\n")
    assert suite.appctl("dpctl/dump-flows") == "", "idle flows are gone after ten seconds"
    suite.appctl("netdev-dummy/receive", "p2", UDP_TO_1)
    assert "actions:1\n" in suite.appctl("dpctl/dump-flows")
    assert suite.appctl("time/warp", "300000") == "warped\n"
    assert suite.appctl("fdb/show", "br0") == " port  VLAN  MAC                Age\n"
    stats = suite.vsctl("get", "Interface", "p1", "statistics")
    assert "rx_packets=2" in stats and "tx_packets=1" in stats and "rx_dropped" not in stats


def test_errors_are_the_fields(suite):
    suite.bridge(1)
    for words, error in (
            (["netdev-dummy/receive", "nosuch", "00"], "no such dummy netdev"),
            (["netdev-dummy/receive", "p1", "zz"], "syntax error at zz"),
            (["netdev-dummy/receive", "p1", "--qid", "1", "eth_type(0x1234)"], "bad rx queue id."),
            (["netdev-dummy/set-admin-state", "xx"], "Invalid Admin State"),
            (["netdev-dummy/set-admin-state", "nosuch", "up"], "Unknown Dummy Interface"),
            (["netdev-dummy/ip6addr", "p1", "::zz"], "::zz: invalid IPv6 address"),
            (["time/warp", "x"], "invalid MSECS"),
            (["time/warp", "0"], "invalid MSECS"),
            (["vlog/set", "foo"], 'no destination, level, or module "foo"'),
            (["vlog/set", "PATTERN:foo:x"], 'unknown destination "foo"'),
            (["vlog/set", "FACILITY:xx"], "invalid facility")):
        done = suite.appctl(*words, check=False)
        assert done.returncode == 2 and done.stderr.splitlines()[0] == error, (words, done.stderr)


def test_admin_state(suite):
    suite.bridge(1)
    assert suite.appctl("netdev-dummy/set-admin-state", "p1", "down") == "OK\n"
    wait_until(lambda: suite.vsctl("get", "Interface", "p1", "admin_state", "link_state").split() == ["down", "down"], 5, "p1 is down")
    assert suite.appctl("netdev-dummy/set-admin-state", "up") == "OK\n"
    wait_until(lambda: suite.vsctl("get", "Interface", "p1", "admin_state", "link_state").split() == ["up", "up"], 5, "p1 is up")


def test_captures_and_streams(suite, folder):
    suite.bridge(1, 2)
    suite.vsctl("add-br", "br1", "--", "set", "bridge", "br1", "datapath-type=dummy", "fail-mode=secure", "--",
                "set", "Interface", "p2", f"options:pstream=punix:{folder}/p2.sock", f"options:tx_pcap={folder}/p2-tx.pcap", "--",
                "add-port", "br1", "p3", "--", "set", "Interface", "p3", "type=dummy", f"options:stream=unix:{folder}/p2.sock",
                f"options:rxq_pcap={folder}/p3-rx.pcap")
    wait_until(lambda: suite.appctl("netdev-dummy/conn-state", "p3") == "p3: connected\n", 10, "the stream is connected")
    suite.ofctl("add-flow", "br0", "in_port=1,actions=2")
    suite.ofctl("add-flow", "br1", "actions=drop")
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    wait_until(lambda: "n_packets=1," in suite.ofctl("dump-flows", "br1"), 10, "the packet came through")
    sent = run(["ovs-pcap", f"{folder}/p2-tx.pcap"]).stdout
    assert sent == run(["ovs-pcap", f"{folder}/p3-rx.pcap"]).stdout
    assert sent.startswith("50540000000a50540000000908004500005c000000004001f94dc0a80001c0a80002080013fc0000000000010203")


def test_log_controls(suite):
    suite.appctl("vlog/set", "bridge:file:dbg", "any:syslog:off")
    assert re.search(r"^bridge +OFF +OFF +DBG$", suite.appctl("vlog/list"), re.M)
    suite.appctl("vlog/set", "PATTERN:file:%p|%m")
    assert re.search(r"^FILE +none +%p\|%m$", suite.appctl("vlog/list-pattern"), re.M)
    os.rename(f"{suite.folder}/ovs-vswitchd.log", f"{suite.folder}/old.log")
    suite.appctl("vlog/reopen")
    suite.bridge()
    assert "INFO|bridge br0: " in suite.log()
    suite.appctl("vlog/close")
    size = len(suite.log())
    suite.vsctl("del-br", "br0")
    assert len(suite.log()) == size


def test_learning_by_hand(suite):
    suite.bridge(1, 2)
    suite.ofctl("add-flow", "br0", "actions=NORMAL")
    suite.appctl("fdb/add", "br0", "p2", "0", "50:54:00:00:00:09")
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    assert "    2     0  50:54:00:00:00:09  static\n" in suite.appctl("fdb/show", "br0"), "a static entry does not move"
    suite.appctl("netdev-dummy/receive", "p2", UDP_TO_1)
    assert suite.appctl("fdb/stats-show", "br0") == """Statistics for bridge "br0":
  Current/maximum MAC entries in the table: 2/8192
  Current static MAC entries in the table : 1
  Total number of learned MAC entries     : 1
  Total number of expired MAC entries     : 0
  Total number of evicted MAC entries     : 0
  Total number of port moved MAC entries  : 0
"""
    suite.appctl("fdb/del", "br0", "0", "50:54:00:00:00:09")
    for words, error in ((["fdb/del", "br0", "0", "50:54:00:00:00:09"], "could not find static mac entry"),
                         (["fdb/add", "br0", "p1", "0", "zz"], "bad MAC address"), (["fdb/add", "no", "p1", "0", "zz"], "no such bridge"),
                         (["bridge/dump-flows", "no"], "Unknown bridge"), (["dpif/dump-flows", "no"], "no such bridge")):
        done = suite.appctl(*words, check=False)
        assert done.returncode == 2 and done.stderr.splitlines()[0] == error, (words, done.stderr)
    assert re.match(r"duration=\d+s, n_packets=2, n_bytes=212, ,actions=NORMAL\n", suite.appctl("bridge/dump-flows", "br0"))


def test_replacing_a_port_keeps_the_device(suite):
    suite.bridge(1, 2)
    suite.ofctl("add-flow", "br0", "in_port=1,actions=2")
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    suite.vsctl("del-port", "br0", "p2", "--", "add-port", "br0", "p2", "--", "set", "Interface", "p2", "type=dummy", "ofport_request=2")
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    suite.appctl("time/warp", "6000", "1000")
    assert "tx_packets=2" in suite.vsctl("get", "Interface", "p2", "statistics")
    assert "deleted interface p2" not in suite.log()


def test_what_is_not_there_is_said_in_the_row(suite):
    suite.bridge(1)
    suite.vsctl("set", "bridge", "br0", "stp_enable=true", "--", "set", "interface", "p1", "bfd:enable=true")
    assert "spanning tree" in suite.vsctl("get", "bridge", "br0", "status:unsupported")
    assert "BFD" in suite.vsctl("get", "interface", "p1", "status:unsupported")
    suite.vsctl("set", "bridge", "br0", "stp_enable=false", "--", "clear", "interface", "p1", "bfd")
    assert suite.vsctl("get", "bridge", "br0", "status") == "{}\n"
    assert suite.vsctl("get", "interface", "p1", "status") == "{}\n"
    suite.vsctl("set", "Open_vSwitch", ".", "other_config:enable-statistics=true")
    suite.appctl("time/warp", "6000", "1000")
    assert re.search(r'cpu="\d+".*load_average=.*memory=.*process_apusd=', suite.vsctl("get", "Open_vSwitch", ".", "statistics"))


def test_configured_by_the_fields_database_server(folder):
    env = dict(os.environ, OVS_RUNDIR=folder, OVS_LOGDIR=folder, OVS_DBDIR=folder, OVS_SYSCONFDIR=folder)
    run(["ovsdb-tool", "create", f"{folder}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema"], env=env)
    run(["ovsdb-server", "--detach", "--no-chdir", "--pidfile", "--log-file", f"--remote=punix:{folder}/db.sock", f"{folder}/conf.db"], env=env)
    try:
        run(["ovs-vsctl", "--no-wait", "init"], env=env)
        suite = Suite(folder, f"unix:{folder}/db.sock")
        try:
            assert suite.started.returncode == 0, suite.started.stderr
            assert suite.started.stderr == ""
            suite.bridge(1, 2)
            suite.ofctl("add-flow", "br0", "in_port=1,actions=2")
            suite.appctl("netdev-dummy/receive", "p1", ICMP)
            assert "n_packets=1, n_bytes=106" in suite.ofctl("dump-flows", "br0")
            assert suite.vsctl("get", "Interface", "p2", "ofport") == "2\n"
            suite.vsctl("del-br", "br0")
            assert suite.appctl("dpif/show") == ""
            assert not re.search(r"\|(WARN|ERR|EMER)\|", suite.log()), suite.log()
        finally:
            suite.stop()
    finally:
        run(["ovs-appctl", "-t", "ovsdb-server", "exit"], env=env, check=False)


def test_a_database_server_in_place_is_taken(folder):
    """A suite starts a database server at db.sock, and then the daemon without a word of it."""
    env = dict(os.environ, OVS_RUNDIR=folder, OVS_LOGDIR=folder, OVS_DBDIR=folder)
    schema = "/usr/share/openvswitch/vswitch.ovsschema"
    run(["ovsdb-tool", "create", f"{folder}/conf.db", schema], env=env)
    server = subprocess.Popen(["ovsdb-server", f"--remote=punix:{folder}/db.sock", f"{folder}/conf.db"], env=env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    suite = None
    try:
        wait_until(lambda: os.path.exists(f"{folder}/db.sock"), 10, "the server listens")
        run(["ovs-vsctl", "--no-wait", "init"], env=env)
        suite = Suite(folder)
        assert suite.started.returncode == 0 and suite.started.stderr == "", suite.started.stderr
        suite.bridge(1, 2)
        assert "p1 1/1: (dummy)" in suite.appctl("dpif/show")
        assert "|ERR|" not in suite.log() and "|WARN|" not in suite.log()
    finally:
        if suite:
            suite.stop()
        server.terminate()
        server.wait(10)


def test_flows_in_the_log_and_in_full(suite):
    suite.bridge(1, 2)
    suite.appctl("vlog/set", "dpif:dbg", "dpif_netdev:dbg")
    suite.ofctl("add-flow", "br0", "in_port=1,ip,actions=mod_nw_dst:1.2.3.4,2")
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    lines = suite.log().splitlines()
    miss = next(index for index, line in enumerate(lines) if "miss upcall:" in line)
    assert lines[miss + 1] == ("recirc_id(0),dp_hash(0),skb_priority(0),in_port(1),skb_mark(0),ct_state(0),ct_zone(0),ct_mark(0),ct_label(0),"
                               "packet_type(ns=0,id=0)," + ICMP[len("in_port(1),"):])
    added = next(line for line in lines if "|dpif_netdev|DBG|flow_add: " in line)
    match = "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(dst=192.168.0.2,proto=1,frag=no)"
    assert re.sub(r"(mega_)?ufid:[-0-9a-f]* ", "", added).endswith(f"flow_add: {match}, actions:set(ipv4(dst=1.2.3.4)),2"), added
    full = suite.appctl("dpctl/dump-flows", "-m").splitlines()[1]
    assert "ipv4(src=192.168.0.1/0.0.0.0,dst=192.168.0.2,proto=1,tos=0/0,ttl=64/0,frag=no),icmp(type=8/0,code=0/0)" in full, full
    ufid = re.match(r"ufid:[-0-9a-f]{36}", full)[0]
    assert suite.appctl("dpctl/get-flow", ufid).startswith(match)
    assert suite.appctl("upcall/disable-megaflows") == "megaflows disabled\n"
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    assert "ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,tos=0,ttl=64,frag=no)" in suite.appctl("dpctl/dump-flows")


def test_a_dummys_counters_and_queue(suite):
    suite.bridge(1)
    assert "rx pkts=0, bytes=0, drop=?, errs=?, frame=?, over=?, crc=?" in suite.ofctl("dump-ports", "br0", "1")
    assert "port 1 queue 0: bytes=?, pkts=?, errors=?, duration=?" in suite.ofctl("queue-stats", "br0", "1")
    assert suite.ofctl("queue-get-config", "br0", "1").endswith("port=1\nqueue 0:\n")
    suite.ofctl("mod-port", "br0", "p1", "down")
    assert "state:      LINK_DOWN" in suite.ofctl("show", "br0")


def test_made_up_cpus(folder):
    suite = Suite(folder, "--dummy-numa=0,0,1,1")
    try:
        assert suite.started.returncode == 0, suite.started.stderr
        suite.bridge()
        suite.vsctl("set", "Open_vSwitch", ".", "other_config:pmd-cpu-mask=c", "--", "add-port", "br0", "p1", "--", "set", "Interface", "p1",
                    "type=dummy-pmd", "options:n_rxq=2")
        assert re.findall("numa_id ([0-9]+) core_id ([0-9]+)", suite.appctl("dpif-netdev/pmd-rxq-show")) == [("1", "2"), ("1", "3")]
    finally:
        suite.stop()


def test_queues_mark_packets(suite):
    suite.bridge(1, 2)
    suite.vsctl("set", "Port", "p2", "qos=@n", "--", "--id=@n", "create", "QoS", "type=linux-htb", "queues=1=@q", "--", "--id=@q", "create", "Queue", "dscp=1")
    suite.ofctl("add-flow", "br0", "actions=enqueue:2:1,output:2")
    trace = suite.appctl("ofproto/trace", "br0", "in_port=1,icmp,nw_tos=252").splitlines()
    assert trace[-1] == "Datapath actions: set(ipv4(tos=0x4/0xfc)),set(skb_priority(0x1)),2,set(ipv4(tos=0xfc/0xfc)),set(skb_priority(0)),2"
    assert "skb_priority=0," in trace[-2]


def test_a_controller_lets_paused_packets_go_on(suite, folder):
    """The field's client hands a paused packet back, and reads what the switch gave it to go on with, in order to print it."""
    suite.bridge(1, 2, 3)
    for port in (2, 3):
        suite.vsctl("set", "Interface", f"p{port}", f"options:tx_pcap={folder}/p{port}.pcap")
    for flow in ("table=0,in_port=1,actions=clone(set_field:5->reg1,resubmit(,1)),output:3",
                 "table=1,reg1=5,actions=controller(pause),resubmit(,2)", "table=2,reg1=5,actions=output:2"):
        suite.ofctl("-O", "OpenFlow13", "add-flow", "br0", flow)
    log = f"{folder}/resume.log"

    def said():
        with open(log) as file:
            return file.read()
    with open(log, "w") as out:
        client = subprocess.Popen(["ovs-ofctl", "-O", "OpenFlow13", "monitor", "br0", "resume"], stdout=out, stderr=out, env=suite.env)
    try:
        # Packets that come before the client has asked for them pass it by.
        wait_until(lambda: resumes(suite, said), 60, said)
        assert "decode error" not in said() and "reg1=0x5" in said()
        wait_until(lambda: read_pcap(f"{folder}/p2.pcap"), 60, said)
        assert read_pcap(f"{folder}/p3.pcap")
    finally:
        client.terminate()
        client.wait()


def resumes(suite, said):
    """Sends a packet; whether one came back."""
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    return "NXT_RESUME" in said()


def test_numbers_go_to_who_asks(suite):
    suite.bridge(1, 2)

    def numbers():
        return [suite.vsctl("get", "Interface", name, "ofport").strip() for name in ("p1", "p2")]
    suite.vsctl("set", "Interface", "p1", "ofport_request=[]", "--", "set", "Interface", "p2", "ofport_request=1")
    first, second = numbers()
    assert second == "1" and first != "1"
    suite.vsctl("set", "Interface", "p1", "ofport_request=1")
    assert numbers() == [first, "1"], "who has it keeps it"
    suite.vsctl("set", "Interface", "p1", "ofport_request=2", "--", "set", "Interface", "p2", "ofport_request=1")
    assert numbers() == ["2", "1"]
    suite.vsctl("set", "Interface", "p1", "ofport_request=1", "--", "set", "Interface", "p2", "ofport_request=2")
    assert numbers() == ["1", "2"]


def test_the_bridges_own_mtu(suite):
    """As large as all of its ports can send, unless it asks for another."""
    suite.bridge(1)

    def wait(mtu):
        suite.vsctl("--timeout=30", "wait-until", "Interface", "br0", f"mtu={mtu}")
    wait(1500)
    suite.vsctl("set", "Interface", "p1", "mtu_request=1600")
    wait(1600)
    suite.vsctl("del-port", "p1")
    wait(1500)
    suite.vsctl("add-port", "br0", "p2", "--", "set", "Interface", "p2", "type=dummy", "mtu_request=1700")
    wait(1700)
    suite.vsctl("set", "Interface", "br0", "mtu_request=1400")
    wait(1400)


def test_names_of_bridges_are_no_paths(suite):
    os.mkdir(f"{suite.folder}/b")
    suite.vsctl("--no-wait", "add-br", "b/c", "--", "set", "bridge", "b/c", "datapath-type=dummy")
    suite.bridge(1)
    assert "ignoring bridge with invalid name 'b/c'" in suite.log()
    assert os.listdir(f"{suite.folder}/b") == [] and suite.vsctl("get", "Interface", "b/c", "ofport") == "[]\n"


def test_statistics_by_their_interval(suite):
    suite.bridge(1)
    suite.appctl("time/stop")

    def received(seconds):
        suite.appctl("netdev-dummy/receive", "p1", ICMP)
        suite.appctl("time/warp", str(seconds * 1000), "1000")
        return re.search(r"rx_packets=(\d+)", suite.vsctl("get", "Interface", "p1", "statistics")).group(1)
    assert received(11) == "1"
    suite.vsctl("set", "Open_vSwitch", ".", "other_config:stats-update-interval=100000")
    assert received(50) == "1"
    assert received(101) == "3"
    suite.vsctl("remove", "Open_vSwitch", ".", "other_config", "stats-update-interval")
    assert received(11) == "4", "the short interval does not wait for the long one's end"


def test_static_addresses_are_counted(suite):
    suite.bridge(1, 2)
    suite.ofctl("add-flow", "br0", "actions=NORMAL")
    suite.appctl("fdb/add", "br0", "p2", "0", "50:54:00:00:00:09")
    suite.appctl("netdev-dummy/receive", "p1", ICMP)
    # Once a translation: the packet's own, and one more if its flow is translated again meanwhile.
    assert int(suite.appctl("coverage/read-counter", "mac_learning_static_none_move")) in (1, 2)
