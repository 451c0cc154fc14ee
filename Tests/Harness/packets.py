"""Frames and captures, built from bytes."""
import struct


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def ip_bytes(text):
    return bytes(int(part) for part in text.split("."))


def ethernet(payload, kind=0x0800, src="02:00:00:00:00:01", dst="02:00:00:00:00:02", vlan=None):
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return mac_bytes(dst) + mac_bytes(src) + tag + struct.pack("!H", kind) + payload


def ipv4(payload, protocol=17, src="10.0.0.1", dst="11.0.0.1", ttl=64, tos=0, fragment=0):
    header = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(payload), 0, fragment, ttl, protocol, 0) + ip_bytes(src) + ip_bytes(dst)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def udp(payload=b"", src_port=1000, dst_port=2000, src="10.0.0.1", dst="11.0.0.1"):
    length = 8 + len(payload)
    data = struct.pack("!HHHH", src_port, dst_port, length, 0) + payload
    pseudo = ip_bytes(src) + ip_bytes(dst) + struct.pack("!BBH", 0, 17, length)
    return data[:6] + struct.pack("!H", checksum(pseudo + data) or 0xFFFF) + data[8:]


def udp_frame(src_port=1000, dst_port=2000, size=60, src="10.0.0.1", dst="11.0.0.1", vlan=None, ttl=64, **ethernet_fields):
    overhead = 14 + 20 + 8 + (4 if vlan is not None else 0)
    payload = bytes(max(0, size - overhead))
    return ethernet(ipv4(udp(payload, src_port, dst_port, src, dst), src=src, dst=dst, ttl=ttl), vlan=vlan, **ethernet_fields)


def write_pcap(path, frames):
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            out.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)


def read_pcap(path):
    """The whole frames of a capture; a last record that is still being written is left out."""
    with open(path, "rb") as file:
        data = file.read()
    frames, offset = [], 24
    while offset + 16 <= len(data):
        length = struct.unpack_from("<I", data, offset + 8)[0]
        if offset + 16 + length > len(data):
            break
        frames.append(data[offset + 16:offset + 16 + length])
        offset += 16 + length
    return frames
