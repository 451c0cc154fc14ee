"""What manages a host with Open vSwitch, by its own command lines: the rest of ovs-vsctl's subcommands, libvirt, OpenStack's Neutron."""
import json
import os

import pytest

from Harness.process import Child, wait_until

# ovs-vsctl: what test_ovsdb.py leaves out


def test_fake_bridges_and_external_ids(bridge):
    bridge.vsctl("br-set-external-id", "br0", "bridge-id", "br0", "--", "br-set-external-id", "br0", "owner", "me")
    assert bridge.vsctl("br-get-external-id", "br0", "owner") == "me"
    assert bridge.vsctl("br-get-external-id", "br0").splitlines() == ["bridge-id=br0", "owner=me"]
    bridge.vsctl("br-set-external-id", "br0", "owner")
    assert bridge.vsctl("br-get-external-id", "br0") == "bridge-id=br0"
    bridge.vsctl("add-br", "fake9", "br0", "9")
    try:
        assert bridge.vsctl("list-br").splitlines() == ["br0", "fake9"] and bridge.vsctl("--real", "list-br") == "br0"
        assert bridge.vsctl("br-to-vlan", "fake9") == "9" and bridge.vsctl("br-to-vlan", "br0") == "0"
        assert bridge.vsctl("br-to-parent", "fake9") == "br0" and bridge.vsctl("br-to-parent", "br0") == "br0"
        bridge.vsctl("add-port", "fake9", "t9", "--", "set", "Interface", "t9", "type=tap")
        assert bridge.vsctl("list-ports", "fake9") == "t9" and bridge.vsctl("list-ifaces", "fake9") == "t9"
        assert bridge.vsctl("port-to-br", "t9") == "fake9" and bridge.get("Port", "t9", "tag") == "9"
        # It is a port of its parent, and works as such.
        assert int(bridge.get("Interface", "fake9", "ofport")) > 0 and int(bridge.get("Interface", "t9", "ofport")) > 0
    finally:
        bridge.vsctl("--if-exists", "del-br", "fake9")
    assert bridge.vsctl("list-br") == "br0"


def test_bonds_can_be_written_down(bridge):
    done = bridge.vsctl("add-bond", "br0", "bond0", "t1", "t2", "--", "set", "Interface", "t1", "type=tap", "--", "set", "Interface", "t2", "type=tap", check=False)
    assert done.returncode in (0, 65)
    assert bridge.vsctl("list-ifaces", "br0").splitlines() == ["t1", "t2"] and bridge.vsctl("list-ports", "br0") == "bond0"
    if bridge.kind == "apus":
        assert "bonds are not supported" in bridge.get("Interface", "t1", "error")
    bridge.vsctl("del-port", "bond0")
    assert bridge.vsctl("list-ifaces", "br0") == ""


def test_fail_mode_controllers_ssl_and_reset(bridge, folder):
    bridge.vsctl("set-fail-mode", "br0", "secure")
    assert bridge.vsctl("get-fail-mode", "br0") == "secure"
    bridge.vsctl("del-fail-mode", "br0")
    assert bridge.vsctl("get-fail-mode", "br0") == ""
    bridge.vsctl("set-ssl", "/k", "/c", "/ca")
    assert "Private key: /k" in bridge.vsctl("get-ssl")
    bridge.vsctl("del-ssl")
    assert bridge.vsctl("get-ssl") == ""
    bridge.vsctl("set-controller", "br0", f"unix:{folder}/none", "--", "set-fail-mode", "br0", "secure", "--", "set-manager", f"punix:{folder}/manager")
    assert bridge.vsctl("get-controller", "br0") == f"unix:{folder}/none" and bridge.vsctl("get-manager") == f"punix:{folder}/manager"
    # Around the reference nobody serves managers.
    served = bridge.kind == "apus"
    wait_until(lambda: os.path.exists(f"{folder}/manager") or not served, 20, "the manager's socket")
    bridge.vsctl("emer-reset")
    assert bridge.vsctl("get-controller", "br0") == bridge.vsctl("get-fail-mode", "br0") == bridge.vsctl("get-manager") == ""
    wait_until(lambda: not os.path.exists(f"{folder}/manager"), 20, "the manager's socket is gone")


@pytest.mark.apus
def test_what_is_about_other_features_is_written_and_refused(bridge):
    """Zones' time limits and auto-attach are kept in the database; the switch says that they have no effect."""
    # The commands want the datapath's row, which a kernel's or another's switch makes.
    bridge.vsctl("--", "--id=@d", "create", "Datapath", "datapath_version=0", "--", "set", "Open_vSwitch", ".", "datapaths:netdev=@d")
    try:
        bridge.vsctl("add-zone-tp", "netdev", "zone=5", "icmp_first=1", "icmp_reply=2")
        assert "Zone:5, Timeout Policies: icmp_first=1 icmp_reply=2" in bridge.vsctl("list-zone-tp", "netdev")
        bridge.vsctl("del-zone-tp", "netdev", "zone=5")
        assert bridge.vsctl("list-dp-cap", "netdev") == ""
        assert "datapaths of Open_vSwitch has no effect" in bridge.log()
        bridge.vsctl("add-aa-mapping", "br0", "100", "7")
        assert bridge.vsctl("get-aa-mapping", "br0") == "100 7"
        bridge.vsctl("del-aa-mapping", "br0", "100", "7")
        assert "auto-attach is not supported" in bridge.get("Bridge", "br0", "status")
    finally:
        bridge.vsctl("clear", "Open_vSwitch", ".", "datapaths", "--", "clear", "Bridge", "br0", "auto_attach", "--", "--all", "destroy", "AutoAttach")


def test_rows_by_hand(bridge):
    uuid = bridge.vsctl("create", "QoS", "type=linux-noop", "external_ids:a=b")
    assert bridge.vsctl("--columns=type", "--no-headings", "--format=csv", "list", "QoS", uuid) == "linux-noop"
    bridge.vsctl("add", "QoS", uuid, "external_ids", "c=d")
    assert json.loads(bridge.vsctl("--format=json", "--columns=external_ids", "find", "QoS", "external_ids:c=d"))["data"] == [[["map", [["a", "b"], ["c", "d"]]]]]
    bridge.vsctl("destroy", "QoS", uuid)
    assert bridge.vsctl("--if-exists", "get", "QoS", uuid, "type") == "" and bridge.vsctl("get", "QoS", uuid, "type", check=False).returncode == 1
    bridge.vsctl("comment", "nothing", "--", "list-br")


# libvirt (virnetdevopenvswitch)


def test_libvirt_plugs_and_unplugs(bridge):
    """The lines that libvirt runs for a guest's tap device, from start to migration and removal."""
    add = ["--timeout=5", "--", "--may-exist", "add-port", "br0", "vnet0", "tag=7", "vlan_mode=native-untagged", "trunk=7,8", "--", "set", "Interface", "vnet0", "type=tap", "--",
           "set", "Interface", "vnet0", 'external-ids:attached-mac="52:54:00:00:00:01"', "--", "set", "Interface", "vnet0", 'external-ids:iface-id="5d6c"', "--",
           "set", "Interface", "vnet0", 'external-ids:vm-id="77aa"', "--", "set", "Interface", "vnet0", "external-ids:iface-status=active"]
    # `trunk` is libvirt's abbreviation of the column's name.
    bridge.vsctl(*add)
    bridge.vsctl(*add)
    assert bridge.get("Port", "vnet0", "trunks") == "[7, 8]" and int(bridge.get("Interface", "vnet0", "ofport")) > 0
    assert bridge.vsctl("--timeout=5", "iface-to-br", "vnet0") == "br0"
    wanted = {f"{side}_{what}" for side in ("rx", "tx") for what in ("packets", "bytes", "errors", "dropped")}

    def statistics():
        text = bridge.vsctl("--timeout=5", "--if-exists", "--format=list", "--data=json", "--no-headings", "--columns=statistics", "list", "Interface", "vnet0")
        return dict(json.loads(text)[1])

    wait_until(lambda: wanted <= set(statistics()), 20, lambda: f"statistics {statistics()}")
    # The VLAN of a running guest changes.
    bridge.vsctl("--timeout=5", "--", "--if-exists", "clear", "Port", "vnet0", "tag", "--", "--if-exists", "clear", "Port", "vnet0", "trunk", "--",
                 "--if-exists", "clear", "Port", "vnet0", "vlan_mode", "--", "--if-exists", "set", "Port", "vnet0", "tag=9")
    assert bridge.get("Port", "vnet0", "tag") == "9" and bridge.get("Port", "vnet0", "trunks") == "[]"
    # Migration carries a controller's data along.
    bridge.vsctl("--timeout=5", "set", "Interface", "vnet0", "external_ids:PortData=opaque")
    assert bridge.vsctl("--timeout=5", "--if-exists", "get", "Interface", "vnet0", "external_ids:PortData") == "opaque"
    # Bandwidth, in and out. Shaping is not there, and said.
    bridge.vsctl("--timeout=5", "set", "Interface", "vnet0", "ingress_policing_rate=8000", "ingress_policing_burst=800")
    bridge.vsctl("--timeout=5", "set", "port", "vnet0", "qos=@qos1", "--", "--id=@qos1", "create", "qos", "type=linux-htb", "other_config:min-rate=1000000",
                 "other_config:max-rate=2000000", "queues:0=@queue0", "external-ids:vm-id=77aa", "external-ids:ifname=vnet0", "--",
                 "--id=@queue0", "create", "queue", "other_config:min-rate=1000000", "external-ids:vm-id=77aa", "external-ids:ifname=vnet0")
    if bridge.kind == "apus":
        assert "linux-htb is not supported" in bridge.vsctl("get", "Port", "vnet0", "status:unsupported")
    found = bridge.vsctl("--timeout=5", "--no-heading", "--columns=_uuid", "find", "queue", "external-ids:vm-id=77aa", "external-ids:ifname=vnet0")
    assert len(found.split(":")[-1].strip()) == 36
    bridge.vsctl("--timeout=5", "clear", "port", "vnet0", "qos", "--", "--all", "destroy", "qos", "--", "--all", "destroy", "queue")
    bridge.vsctl("--timeout=5", "--", "--if-exists", "del-port", "vnet0")
    assert bridge.vsctl("--timeout=5", "iface-to-br", "vnet0", check=False).returncode == 1


def test_libvirt_finds_a_vhost_user_port_by_its_socket(bridge):
    path = bridge.path("guest.sock")
    bridge.add_port("vhu1", "dpdkvhostuserclient", vhost_server_path=path)
    find = ["--timeout=5", "--no-headings", "--columns=name", "find", "Interface", f"options:vhost-server-path={path}"]
    assert bridge.vsctl(*find).split(":")[-1].strip() == "vhu1"
    assert bridge.vsctl("--timeout=5", "get", "Interface", "vhu1", "name") == "vhu1"


# OpenStack


def test_neutrons_agent(bridge, folder):
    """A bridge as the agent makes it, the port that os-vif plugs, the monitor it runs, the capabilities it reads."""
    child = Child(["ovsdb-client", "monitor", f"unix:{bridge.db_socket}", "Interface", "name,ofport,external_ids", "--format=json"], f"{folder}/monitor")
    try:
        bridge.vsctl("--may-exist", "add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev", "fail_mode=secure",
                     "other_config:mac-table-size=50000", "--", "set", "Bridge", "br-int", "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15")
        bridge.vsctl("set-controller", "br-int", "tcp:127.0.0.1:6633", "--", "set", "Controller", "br-int", "connection_mode=out-of-band", "inactivity_probe=10000",
                     "controller_rate_limit=100", "controller_burst_limit=25")
        assert len(bridge.get("Bridge", "br-int", "datapath_id").strip('"')) == 16
        for name, peer, owner in (("int-br-ex", "phy-br-ex", "br-int"), ("phy-br-ex", "int-br-ex", "br0")):
            bridge.vsctl("--may-exist", "add-port", owner, name, "--", "set", "Interface", name, "type=patch", f"options:peer={peer}")
        bridge.vsctl("--may-exist", "add-port", "br-int", "tap1", "--", "set", "Interface", "tap1", "type=tap", "external_ids:iface-id=aa", "external_ids:attached-mac=fa:16:3e:00:00:01",
                     "external_ids:iface-status=active", "external_ids:vm-uuid=bb", "mtu_request=1450", "--", "set", "Port", "tap1", "tag=4095",
                     "other_config={net_uuid=n,network_type=vlan,physical_network=p,segmentation_id=5,tag=1}")
        bridge.vsctl("set", "Port", "tap1", "tag=1")
        numbers = [int(bridge.get("Interface", name, "ofport")) for name in ("int-br-ex", "phy-br-ex", "tap1")]
        assert all(number > 0 for number in numbers)
        assert bridge.get("Interface", "tap1", "mtu") == "1450" and bridge.get("Interface", "int-br-ex", "error") == "[]"
        wait_until(lambda: '"tap1"' in child.output() and '"iface-id","aa"' in child.output(), 20, child.output, alive=child)
        (row,) = bridge.rows("Open_vSwitch")
        assert "dpdkvhostuserclient" in row["iface_types"] and "netdev" in row["datapath_types"]
        assert "unsupported" not in bridge.get("Port", "tap1", "status")
    finally:
        child.stop()
        bridge.vsctl("--if-exists", "del-br", "br-int")
