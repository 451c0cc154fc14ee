"""What the pipeline's actions do to a frame, byte by byte, and what reaches which port."""
import struct

import pytest

from Harness.packets import checksum, ethernet, ipv4, mac_bytes, udp, udp_frame
from Harness.process import wait_until

FRAME = udp_frame()
TAGGED = udp_frame(vlan=5, size=64)


def ip_ok(frame, offset=14):
    """Both checksums of a UDP over IPv4 frame are right."""
    header = frame[offset:offset + 20]
    segment = frame[offset + 20:offset + struct.unpack_from("!H", header, 2)[0]]
    pseudo = header[12:20] + struct.pack("!BBH", 0, header[9], len(segment))
    return checksum(header) == 0 and (segment[6:8] == b"\0\0" or checksum(pseudo + segment) == 0)


CASES = {
    "output": ("output:2", FRAME, lambda f: f == FRAME),
    "set-eth-dst": ("mod_dl_dst:02:00:00:00:00:99,output:2", FRAME, lambda f: f == mac_bytes("02:00:00:00:00:99") + FRAME[6:]),
    "set-eth-src": ("mod_dl_src:02:00:00:00:00:98,output:2", FRAME, lambda f: f == FRAME[:6] + mac_bytes("02:00:00:00:00:98") + FRAME[12:]),
    "set-ip-src": ("mod_nw_src:1.2.3.4,output:2", FRAME, lambda f: f[26:30] == bytes([1, 2, 3, 4]) and ip_ok(f)),
    "set-ip-dst": ("mod_nw_dst:1.2.3.4,output:2", FRAME, lambda f: f[30:34] == bytes([1, 2, 3, 4]) and ip_ok(f)),
    "set-ip-tos": ("mod_nw_tos:32,output:2", FRAME, lambda f: f[15] == 32 and ip_ok(f)),
    "set-udp-src": ("mod_tp_src:4321,output:2", FRAME, lambda f: f[34:36] == struct.pack("!H", 4321) and ip_ok(f)),
    "set-udp-dst": ("mod_tp_dst:4321,output:2", FRAME, lambda f: f[36:38] == struct.pack("!H", 4321) and ip_ok(f)),
    "dec-ttl": ("dec_ttl,output:2", FRAME, lambda f: f[22] == 63 and ip_ok(f)),
    "all-at-once": ("mod_dl_dst:02:00:00:00:00:99,mod_nw_src:9.8.7.6,mod_tp_dst:53,dec_ttl,output:2", FRAME,
                    lambda f: f[:6] == mac_bytes("02:00:00:00:00:99") and f[26:30] == bytes([9, 8, 7, 6]) and f[36:38] == b"\0\x35"
                    and f[22] == 63 and ip_ok(f)),
    "push-vlan": ("mod_vlan_vid:7,output:2", FRAME, lambda f: f == FRAME[:12] + b"\x81\x00\x00\x07" + FRAME[12:]),
    "push-vlan-pcp": ("mod_vlan_vid:7,mod_vlan_pcp:3,output:2", FRAME, lambda f: f == FRAME[:12] + b"\x81\x00\x60\x07" + FRAME[12:]),
    "change-vlan": ("mod_vlan_vid:9,output:2", TAGGED, lambda f: f == TAGGED[:14] + b"\x00\x09" + TAGGED[16:]),
    "pop-vlan": ("strip_vlan,output:2", TAGGED, lambda f: f == TAGGED[:12] + TAGGED[16:]),
    "push-second-vlan": ("push_vlan:0x88a8,set_field:4103->vlan_vid,output:2", TAGGED,
                         lambda f: f == TAGGED[:12] + b"\x88\xa8\x00\x07" + TAGGED[12:]),
    "move": ("move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],output:2", FRAME, lambda f: f == FRAME[6:12] + FRAME[6:]),
    "load-part": ("load:0xff->NXM_OF_IP_SRC[0..7],output:2", FRAME, lambda f: f[26:30] == bytes([10, 0, 0, 255]) and ip_ok(f)),
}


@pytest.mark.parametrize("name", CASES)
def test_action(through, name):
    actions, frame, right = CASES[name]
    (out,) = through([frame], [f"in_port=1,ip,actions={actions}" if "load" in actions else f"in_port=1,actions={actions}"], version="OpenFlow13" if "push_vlan" in actions else None)
    assert right(out), f"{actions}: {frame.hex()} became {out.hex()}"


def test_ttl_that_is_spent_is_not_forwarded(through):
    assert through([udp_frame(ttl=1)], ["in_port=1,actions=dec_ttl,output:2"], count=0) == []


def test_registers_metadata_and_several_tables(through):
    flows = ["table=0,in_port=1,actions=load:0x12345678->NXM_NX_REG0[],goto_table:10",
             "table=10,reg0=0x12345678,actions=write_metadata:0xabcdef,goto_table:20",
             "table=20,udp,metadata=0xabcdef,actions=move:NXM_NX_REG0[0..15]->NXM_OF_UDP_DST[],goto_table:253",
             "table=253,udp,tp_dst=0x5678,actions=output:2"]
    (out,) = through([FRAME], flows, version="OpenFlow13")
    assert out[36:38] == b"\x56\x78" and ip_ok(out)


def test_resubmit_continues_behind_it(through):
    flows = ["table=0,in_port=1,actions=resubmit(,5),mod_dl_src:02:00:00:00:00:77,output:2",
             "table=5,actions=mod_dl_dst:02:00:00:00:00:66,output:2"]
    first, second = through([FRAME], flows, count=2)
    assert first == mac_bytes("02:00:00:00:00:66") + FRAME[6:]
    assert second == mac_bytes("02:00:00:00:00:66") + mac_bytes("02:00:00:00:00:77") + FRAME[12:]


def test_priority_decides(through):
    flows = ["priority=10,in_port=1,actions=drop", "priority=20,udp,in_port=1,tp_dst=2000,actions=output:2"]
    frames = [udp_frame(dst_port=2000), udp_frame(dst_port=2001)]
    assert through(frames, flows, count=1) == frames[:1]


def test_masked_matches(through):
    flows = ["priority=10,ip,in_port=1,nw_src=10.0.0.0/24,actions=output:2",
             "priority=10,udp,in_port=1,nw_src=10.0.1.0/24,tp_dst=0x1000/0xf000,actions=output:2",
             "priority=10,in_port=1,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=output:2"]
    wanted = [udp_frame(src="10.0.0.9"), udp_frame(src="10.0.1.9", dst_port=0x1234), udp_frame(src="10.9.9.9", dst="10.0.0.1"),
              ethernet(ipv4(udp(bytes(18))), dst="01:00:5e:00:00:01")]
    wanted[2] = ethernet(ipv4(udp(bytes(18), src="10.9.9.9"), src="10.9.9.9"), dst="ff:ff:ff:ff:ff:ff")
    refused = [udp_frame(src="10.0.2.9"), udp_frame(src="10.0.1.9", dst_port=0x2234)]
    assert sorted(through(wanted + refused, flows, count=len(wanted))) == sorted(wanted)


def test_every_frame_comes_out_once_and_unchanged(through):
    frames = [udp_frame(src_port=1 + n % 500, dst_port=7, size=60 + n % 1400) for n in range(2000)]
    out = through(frames, ["in_port=1,actions=output:2"])
    assert sorted(out) == sorted(frames)
    # Frames of one flow keep their order.
    for flow in range(500):
        port = struct.pack("!H", 1 + flow)
        assert [frame for frame in out if frame[34:36] == port] == frames[flow::500]


def test_short_and_odd_frames_pass_unharmed(through):
    whole = udp_frame(size=100)
    frames = [ethernet(b"", kind=0x1234) + bytes(46)]
    frames += [whole[:cut] + bytes(max(0, 60 - cut)) for cut in range(14, 44)]
    frames += [ethernet(bytes([0x4F]) + bytes(45)), ethernet(bytes([0x45, 0, 0xFF, 0xFF]) + bytes(42)), ethernet(bytes([0x41]) + bytes(45))]
    frames += [ethernet(b"\x60" + bytes(5) + bytes([0, 64]) + bytes(40), kind=0x86DD), ethernet(b"\x60" + bytes(45), kind=0x86DD)]
    frames += [ethernet(bytes(46), kind=kind) for kind in (0x0806, 0x8847, 0x8100)]
    out = through(frames, ["in_port=1,actions=output:2"])
    missing, extra = [f.hex() for f in frames if f not in out], [f.hex() for f in out if f not in frames]
    assert (missing, extra, len(out)) == ([], [], len(frames))


def test_two_outputs_of_different_content(through):
    first, second = through([FRAME], ["in_port=1,actions=output:2,mod_nw_dst:1.1.1.1,output:2"], count=2)
    assert first == FRAME
    assert second[30:34] == bytes([1, 1, 1, 1]) and ip_ok(second)


def test_in_port_sends_back_only_when_asked(bridge, cable):
    bridge.add_port("p1", "dpdk", ofport=1, dpdk_devargs=f"net_af_packet7,iface={cable.device}")
    for flow, expected in (("in_port=1,actions=output:1", 0), ("in_port=1,actions=in_port", 5)):
        bridge.ofctl("del-flows")
        bridge.ofctl("add-flow", flow)
        before = bridge.port_stats()["1"]["tx_packets"]
        cable.send([FRAME] * 5)
        wait_until(lambda: bridge.flow_packets("in_port=1") == 5, 10, lambda: f"5 frames counted by the flow: {bridge.ofctl('dump-flows')}")
        assert bridge.port_stats()["1"]["tx_packets"] - before == expected
