"""Headers put on, taken off and looked behind: frames in, frames out. Open vSwitch lacks some of this (PBB, copy-TTL)."""
import struct

import pytest

from Harness.packets import ethernet, ipv4, mac_bytes, udp, udp_frame

pytestmark = pytest.mark.apus

FRAME = udp_frame()
IP = FRAME[14:]
SHIM = struct.Struct("!I")


def mpls(*labels, kind=0x8847, payload=IP):
    """A frame with label stack entries (label, TTL), the last at the bottom."""
    stack = b"".join(SHIM.pack(label << 12 | (index == len(labels) - 1) << 8 | ttl) for index, (label, ttl) in enumerate(labels))
    return FRAME[:12] + struct.pack("!H", kind) + stack + payload


def pbb(service, frame=FRAME):
    return frame[:12] + b"\x88\xe7" + SHIM.pack(service) + frame


def vlan(frame, *tags):
    return frame[:12] + b"".join(struct.pack("!HH", *tag) for tag in tags) + frame[12:]


NSH = (mac_bytes("02:00:00:00:00:77") + bytes(6) + b"\x89\x4f" + SHIM.pack(63 << 22 | 6 << 16 | 1 << 8 | 3) + SHIM.pack(0x1234 << 8 | 255)
       + bytes(16) + FRAME)
FRAME_IN_MPLS = bytes(12) + b"\x88\x47" + SHIM.pack(7 << 12 | 1 << 8 | 64) + FRAME
TTL9 = ethernet(ipv4(udp(bytes(18)), ttl=9))
CASES = {
    "push-pbb": ("ip,actions=push_pbb:0x88e7,set_field:0x123456->pbb_isid,set_field:1->pbb_uca,output:2", FRAME, pbb(0x08123456)),
    "push-pbb-on-a-tag": ("ip,actions=push_pbb:0x88e7,output:2", vlan(FRAME, (0x8100, 0x6005)),
                          pbb(0x60000000, vlan(FRAME, (0x8100, 0x6005)))),
    "push-pbb-twice": ("ip,actions=push_pbb:0x88e7,set_field:7->pbb_isid,push_pbb:0x88e7,output:2", FRAME, pbb(7, pbb(7))),
    "pop-pbb": ("dl_type=0x88e7,pbb_isid=5,actions=pop_pbb,output:2", pbb(5), FRAME),
    "match-behind-pbb": ("dl_type=0x88e7,actions=pop_pbb,resubmit(,1)|table=1,udp,tp_dst=2000,actions=dec_ttl,output:2", pbb(5),
                         lambda out: out[22] == 63 and out[:14] == FRAME[:14]),
    "match-behind-mpls": ("mpls,actions=pop_mpls:0x0800,resubmit(,1)|table=1,udp,tp_dst=2000,actions=mod_dl_src:02:00:00:00:00:77,output:2",
                          mpls((5, 3)), FRAME[:6] + mac_bytes("02:00:00:00:00:77") + FRAME[12:]),
    "registers-survive": ("mpls,actions=load:7->NXM_NX_REG1[],pop_mpls:0x0800,resubmit(,1)|table=1,ip,reg1=7,actions=output:2",
                          mpls((5, 3)), FRAME),
    "pop-two-labels": ("mpls,actions=pop_mpls:0x8847,pop_mpls:0x0800,output:2", mpls((5, 3), (6, 4)), FRAME),
    "four-labels": ("ip,actions=push_mpls:0x8847,set_mpls_label(1),push_mpls:0x8847,set_mpls_label(2),push_mpls:0x8847,set_mpls_label(3)"
                    ",push_mpls:0x8847,set_mpls_label(4),output:2", FRAME, mpls((4, 64), (3, 64), (2, 64), (1, 64))),
    "three-tags": ("ip,actions=push_vlan:0x88a8,output:2", vlan(FRAME, (0x8100, 7), (0x8100, 5)),
                   vlan(FRAME, (0x88A8, 7), (0x8100, 7), (0x8100, 5))),
    "pop-of-three-tags": ("vlan_tci=0x1000/0x1000,actions=strip_vlan,resubmit(,1)|table=1,udp,dl_vlan=6,actions=output:2",
                          vlan(FRAME, (0x8100, 7), (0x8100, 6), (0x8100, 5)), vlan(FRAME, (0x8100, 6), (0x8100, 5))),
    "copy-ttl-out": ("mpls,actions=copy_ttl_out,output:2", mpls((5, 3)), mpls((5, 64))),
    "copy-ttl-out-of-labels": ("mpls,actions=copy_ttl_out,output:2", mpls((5, 3), (6, 40)), mpls((5, 40), (6, 40))),
    "copy-ttl-in": ("mpls,actions=copy_ttl_in,pop_mpls:0x0800,output:2", mpls((5, 9)), TTL9),
    "encap-nsh": ("ip,actions=encap(nsh(md_type=1)),set_field:0x1234->nsh_spi,encap(ethernet),set_field:02:00:00:00:00:77->eth_dst,output:2",
                  FRAME, NSH),
    "decap-nsh": ("dl_type=0x894f,nsh_spi=0x1234,actions=decap(),decap(),resubmit(,1)|table=1,udp,tp_dst=2000,actions=output:2", NSH, FRAME),
    "encap-mpls": ("ip,actions=encap(mpls),set_field:7->mpls_label,encap(ethernet),output:2", FRAME, FRAME_IN_MPLS),
    "decap-mpls": ("mpls,actions=decap(),decap(packet_type(ns=0,type=0)),output:2", FRAME_IN_MPLS, FRAME),
    "new-ethernet": ("ip,actions=decap(),encap(ethernet),set_field:02:00:00:00:00:77->eth_dst,dec_ttl,output:2", FRAME,
                     lambda out: out[:14] == NSH[:12] + b"\x08\x00" and out[22] == 63 and len(out) == len(FRAME)),
    "set-type": ("ip,actions=set_field:0x1234->eth_type,output:2", FRAME, FRAME[:12] + b"\x12\x34" + IP),
    "set-bottom": ("mpls,actions=set_field:0->mpls_bos,output:2", mpls((5, 3)), FRAME[:12] + b"\x88\x47" + SHIM.pack(5 << 12 | 3) + IP),
    "long-packet": ("actions=check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,1)|table=1,reg0=1,actions=output:2", udp_frame(size=101),
                    udp_frame(size=101)),
    "short-packet": ("actions=check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,1)|table=1,reg0=1,actions=output:2", udp_frame(size=100), None),
}


@pytest.mark.parametrize("name", CASES)
def test_frames(name, through, bridge):
    flows, frame, expected = CASES[name]

    def add(text):
        bridge.apusctl("flow", "add", "br0", text)
    # By default what is behind an inner tag is not known.
    if "tags" in name:
        bridge.vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
    out = through([frame], flows.split("|"), count=0 if expected is None else 1, add=add)
    if expected is None:
        assert out == []
    elif callable(expected):
        assert expected(out[0]), out[0].hex()
    else:
        assert out[0].hex() == expected.hex()


def test_learning_a_way_back(through, bridge):
    """The first packet is flooded and teaches where its sender is; the answer goes there alone."""
    flows = ["table=0,actions=learn(table=1,idle_timeout=60,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1)",
             "table=1,priority=0,actions=output:2"]
    assert through([FRAME], flows) == [FRAME]
    learned = bridge.ofctl("dump-flows", "table=1,dl_dst=02:00:00:00:00:01")
    assert "actions=output:1" in learned and "idle_timeout=60" in learned
