// Extraction a second time, slowly and safely: bounds-checked reads that throw, fields by name. The fast one must agree.

import Flow
import Wire

struct ReferenceExtractor {
    struct CutShort: Error {}
    let bytes: [UInt8]
    var key = FlowKey()
    var malformed = false
    var l3Offset = 0
    var l4Offset = 0

    init(_ bytes: [UInt8], inPort: UInt32) {
        self.bytes = bytes
        key[.datapathInPort] = UInt128(inPort)
        do { try ethernet() } catch { malformed = true }
    }

    func read(_ offset: Int, _ count: Int, end: Int? = nil) throws -> UInt128 {
        guard offset + count <= (end ?? bytes.count) else { throw CutShort() }
        return bytes[offset..<offset + count].reduce(0) { $0 << 8 | UInt128($1) }
    }

    mutating func ethernet() throws {
        _ = try read(0, 14)
        key[.ethDst] = try read(0, 6)
        key[.ethSrc] = try read(6, 6)
        var at = 12
        var type = try read(at, 2)
        var isCut = false
        for index in 0..<2 where type == 0x8100 || type == 0x88a8 {
            guard let tci = try? read(at + 2, 2), let next = try? read(at + 4, 2) else {
                isCut = true
                break
            }
            key.store(tci | 0x1000, at: index == 0 ? FlowOffset.vlanTCI : FlowOffset.vlanTCI2, count: 2)
            key.store(type, at: index == 0 ? FlowOffset.vlanTPID : FlowOffset.vlanTPID2, count: 2)
            type = next
            at += 4
        }
        at += 2
        if type < 0x600 {
            type = 0x5ff
            if let snap = try? read(at, 8), snap >> 16 == 0xaaaa_0300_0000, snap & 0xffff >= 0x600 {
                type = snap & 0xffff
                at += 8
            }
        }
        key[.ethType] = type
        l3Offset = at
        if isCut { throw CutShort() }
        switch type {
        case 0x0800: try ipv4(at)
        case 0x86dd: try ipv6(at)
        case 0x0806, 0x8035:
            _ = try read(at, 28)
            guard try read(at, 6) == 0x0001_0800_0604 else { return }
            let op = try read(at + 6, 2)
            key[.arpOp] = op < 256 ? op : 0
            key[.arpSHA] = try read(at + 8, 6)
            key[.arpSPA] = try read(at + 14, 4)
            key[.arpTHA] = try read(at + 18, 6)
            key[.arpTPA] = try read(at + 24, 4)
        case 0x8847, 0x8848:
            for index in 0..<3 {
                let entry = try read(at + 4 * index, 4)
                key.store(entry, at: FlowOffset.mplsLSE0 + 4 * index, count: 4)
                key.store(UInt128(index + 1), at: FlowOffset.mplsCount, count: 1)
                if entry & 0x100 != 0 { break }
            }
        case 0x894f:
            let first = try read(at, 2)
            let length = Int(first & 63) * 4
            let type = try read(at + 2, 1)
            _ = try read(at, max(length, 8))
            guard first >> 14 == 0, length >= 8, type != 1 || length == 24 else { throw CutShort() }
            key[.nshFlags] = first >> 12 & 3
            key[.nshTTL] = first >> 6 & 63
            key[.nshMDType] = type
            key[.nshNP] = try read(at + 3, 1)
            key.store(try read(at + 4, 4), at: FlowOffset.nshPathHeader, count: 4)
            if type == 1 { key.store(try read(at + 8, 16), at: FlowOffset.nshContext, count: 16) }
        case 0x88e7:
            let tag = try read(at, 4)
            key[.pbbISID] = tag & 0xff_ffff
            key[.pbbUCA] = tag >> 27 & 1
        default: break
        }
    }

    mutating func ipv4(_ at: Int) throws {
        _ = try read(at, 20)
        let first = try read(at, 1)
        let header = Int(first & 15) * 4
        let total = Int(try read(at + 2, 2))
        guard first >> 4 == 4, header >= 20, header <= total, at + total <= bytes.count else { throw CutShort() }
        key[.nwTOS] = try read(at + 1, 1)
        key[.nwTTL] = try read(at + 8, 1)
        key[.nwProto] = try read(at + 9, 1)
        key[.nwSrc] = try read(at + 12, 4)
        key[.nwDst] = try read(at + 16, 4)
        let fragment = try read(at + 6, 2)
        if fragment & 0x1fff != 0 {
            key[.ipFrag] = 3
            return
        }
        key[.ipFrag] = fragment & 0x2000 != 0 ? 1 : 0
        try l4(at + header, at + total, isIPv6: false)
    }

    mutating func ipv6(_ at: Int) throws {
        _ = try read(at, 40)
        let end = at + 40 + Int(try read(at + 4, 2))
        guard try read(at, 1) >> 4 == 6, end <= bytes.count else { throw CutShort() }
        key[.ipv6Src] = try read(at + 8, 16)
        key[.ipv6Dst] = try read(at + 24, 16)
        key[.ipv6Label] = try read(at, 4) & 0xfffff
        var next = try read(at + 6, 1)
        var position = at + 40
        var seen: [UInt128: Int] = [:]
        var isLater = false
        var fragment: UInt128 = 0
        while [0, 43, 44, 51, 60].contains(next) {
            _ = try read(position, 8, end: end)
            guard seen.values.reduce(0, +) < FlowExtractor.extensionHeaderLimit else { throw CutShort() }
            let units = Int(try read(position + 1, 1))
            let length = next == 44 ? 8 : next == 51 ? units * 4 + 8 : units * 8 + 8
            _ = try read(position, length, end: end)
            seen[next, default: 0] += 1
            if next == 44 {
                let offset = try read(position + 2, 2)
                if offset >> 3 != 0 {
                    isLater = true
                    fragment = 3
                    break
                }
                if offset & 1 != 0 { fragment = 1 }
            }
            next = try read(position, 1)
            position += length
        }
        var bits: UInt128 = 0
        for (kind, bit) in [(0, 0x40), (43, 0x20), (44, 0x10), (60, 8), (51, 4)] as [(UInt128, UInt128)] {
            if let count = seen[kind] { bits |= bit | (count > 1 ? 0x80 : 0) }
        }
        if next == 59 { bits |= 1 }
        if next == 50 { bits |= 2 }
        key[.ipv6ExtensionHeaders] = bits
        key[.ipFrag] = fragment
        key[.nwProto] = next
        key[.nwTOS] = try read(at, 2) >> 4 & 0xff
        key[.nwTTL] = try read(at + 7, 1)
        if !isLater { try l4(position, end, isIPv6: true) }
    }

    mutating func l4(_ at: Int, _ end: Int, isIPv6: Bool) throws {
        let needed: Int
        switch (key[.nwProto], isIPv6) {
        case (6, _): needed = 20
        case (17, _), (1, false), (2, false), (58, true): needed = 8
        case (132, _): needed = 12
        default: return
        }
        _ = try read(at, needed, end: end)
        let proto = key[.nwProto]
        if proto == 6 {
            // A header that is shorter than the shortest, or longer than what is there.
            let own = Int(try read(at + 12, 1) >> 4) * 4
            guard own >= 20 else { throw CutShort() }
            _ = try read(at, own, end: end)
        }
        l4Offset = at
        if proto == 6 || proto == 17 || proto == 132 {
            key[.tcpSrc] = try read(at, 2)
            key[.tcpDst] = try read(at + 2, 2)
            if proto == 6 { key[.tcpFlags] = try read(at + 12, 2) }
            return
        }
        key[.icmpType] = try read(at, 1)
        key[.icmpCode] = try read(at + 1, 1)
        guard isIPv6, key[.icmpType] == 135 || key[.icmpType] == 136, key[.icmpCode] == 0 else { return }
        guard let target = try? read(at + 8, 16, end: end) else { return }
        var addresses: [UInt128: UInt128] = [:]
        var position = at + 24
        var options: [UInt128] = []
        while options.count < FlowExtractor.neighborOptionLimit, position + 8 <= end {
            let length = Int(try read(position + 1, 1)) * 8
            guard length > 0, position + length <= end else { break }
            let kind = try read(position, 1)
            options.append(kind)
            if length == 8, kind == 1 || kind == 2 {
                if addresses[kind] != nil { return }
                addresses[kind] = try read(position + 2, 6)
            }
            position += length
        }
        key[.ndTarget] = target
        key[.ndReserved] = try read(at + 4, 4)
        key[.ndOptionsType] = options.first ?? 0
        key[.ndSLL] = addresses[1] ?? 0
        key[.ndTLL] = addresses[2] ?? 0
    }
}
