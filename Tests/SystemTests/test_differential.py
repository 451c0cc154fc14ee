"""The same random tables and packets in Apus and in Debian's Open vSwitch: what leaves must be the same.

DIFFERENTIAL_CASES is how many packets (a few hundred by default), DIFFERENTIAL_SEED where the random numbers begin. What is known
to be different is not generated:

- A new VLAN tag begins as the outer one was (OpenFlow 1.5 section 7.2.6.4), the reference's with 0: pushes are followed by
  sets of id and priority here.
- Packets whose TTL is used up are handed to the control plane by the reference, which may then tell nobody; Apus drops them where
  nobody is to be told. Such copies are not compared.
- `multipath` and `bundle` by hash choose by different hashes: only choices that do not depend on it are made.
"""
import os
import subprocess

import pytest

from Harness.jsonrpc import JsonRpc
from Harness.process import Child, run, wait_until
from Harness.switch import Switch
from Harness.tracecompare import PORTS, Cases, outcome

OVS = "/usr/lib/openvswitch-switch/ovs-vswitchd"
PACKETS_PER_TABLE = 20

pytestmark = [pytest.mark.apus, pytest.mark.skipif(not os.access(OVS, os.X_OK), reason=f"{OVS} is not installed")]


class Reference(Switch):
    """Open vSwitch without DPDK, every port of it a dummy."""

    def start(self, wait=True):
        run(["ovsdb-tool", "create", self.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema"])
        self.database_server = Child(
            ["ovsdb-server", self.path("conf.db"), f"--remote=punix:{self.db_socket}", f"--unixctl={self.path('ovsdb.ctl')}"],
            self.path("ovsdb-server.out"), env=self.env)
        wait_until(self._answers, 20, f"{self.db_socket} answers", alive=self.database_server)
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
        self.unixctl_override = self.path("switch.ctl")
        self.daemon = Child(
            [OVS, f"unix:{self.db_socket}", "--enable-dummy=override", "--disable-system", "--disable-system-route",
             f"--unixctl={self.unixctl_override}"], self.path("ovs-vswitchd.out"), env=self.env)
        wait_until(lambda: os.path.exists(self.unixctl_override), 20, "Open vSwitch answers", alive=self.daemon)
        return self


@pytest.fixture(scope="module")
def pair():
    switches = [Reference(kind="ovs"), Switch(arguments=["--enable-dummy=override"])]
    try:
        for switch in switches:
            switch.start()
            ports = [word for number in PORTS for word in (
                "--", "add-port", "br0", f"p{number}", "--", "set", "Interface", f"p{number}", "type=dummy", f"ofport_request={number}")]
            switch.vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
            switch.vsctl("add-br", "br0", "--", "set", "Bridge", "br0", "datapath-type=dummy", "fail-mode=secure", *ports)
        yield switches
    finally:
        for switch in switches:
            switch.stop()
            switch.remove()


def load(switch, flows):
    """Replaces all flows; false if the client finds that their actions do not fit together."""
    text = "delete\n" + "\n".join(flows) + "\n"
    done = subprocess.run(["ovs-ofctl", "-O", "OpenFlow15", "--bundle", "add-flows", switch.path("br0.mgmt"), "-"], input=text, text=True,
                          capture_output=True, env=switch.env, timeout=60)
    if "inconsistent" in done.stderr or "usable flow formats" in done.stderr:
        return False
    assert done.returncode == 0, f"{switch.kind}: {done.stderr}\n{text}"
    return True


def test_what_leaves_is_the_same(pair):
    wanted = int(os.environ.get("DIFFERENTIAL_CASES", "300"))
    seed = int(os.environ.get("DIFFERENTIAL_SEED", "1"))
    connections = [JsonRpc(switch.unixctl_socket, 20) for switch in pair]
    done, tables, differences = 0, 0, []
    while done < wanted and len(differences) < 5:
        tables += 1
        cases = Cases(seed * 1000003 + tables)
        flows = cases.flows()
        if not all([load(switch, flows) for switch in pair]):
            continue
        for _ in range(PACKETS_PER_TABLE):
            text, packet = cases.packet()
            traces = [connection.call("ofproto/trace", ["br0", text]) for connection in connections]
            results = [outcome(trace, packet.copy()) for trace in traces]
            done += 1
            if results[0] != results[1]:
                differences.append("\n".join(["", *flows, text, "--- reference", traces[0], "--- Apus", traces[1]]))
                break
    for connection in connections:
        connection.close()
    assert not differences, f"{len(differences)} differences within {done} cases from seed {seed}:" + "\n==========".join(differences)
