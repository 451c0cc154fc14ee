import Flow
import TestSupport
import Testing
import Wire

/// Whether every checksum of a well-formed sample packet is right (a UDP checksum of zero counts as right).
func checksumsAreValid(_ bytes: [UInt8]) -> Bool {
    var key = FlowKey()
    let headers = bytes.withUnsafeBytes { key.extract($0, inPort: 0) }
    guard headers.hasL3 else { return true }
    return bytes.withUnsafeBytes { buffer in
        let l3 = UnsafeRawBufferPointer(rebasing: buffer[Int(headers.l3Offset)...])
        let base = l3.baseAddress!
        var pseudo: UInt64 = 0
        let payloadEnd: Int
        let start = Int(headers.l4Offset) - Int(headers.l3Offset)
        if let ip = IPv4View(l3), key[.ethType] == 0x0800 {
            if !ip.isChecksumValid { return false }
            if key[.ipFrag] != 0 { return true }
            payloadEnd = ip.totalLength
            if headers.l4Protocol != 1 {
                pseudo = InternetChecksum.pseudoHeaderSum(
                    source: base.loadUnaligned(fromByteOffset: 12, as: UInt32.self),
                    destination: base.loadUnaligned(fromByteOffset: 16, as: UInt32.self), protocol: headers.l4Protocol,
                    length: payloadEnd - start)
            }
        } else if let ip = IPv6View(l3), key[.ethType] == 0x86dd {
            if key[.ipFrag] != 0 { return true }
            payloadEnd = 40 + ip.payloadLength
            pseudo = InternetChecksum.pseudoHeaderSum(addresses: base + 8, protocol: headers.l4Protocol, length: payloadEnd - start)
        } else {
            return true
        }
        if headers.l4Offset == 0 { return true }
        switch headers.l4Protocol {
        case 132:
            return CRC32C.of(base + start, count: payloadEnd - start, zeroedAt: 8)
                == UInt32(littleEndian: base.loadUnaligned(fromByteOffset: start + 8, as: UInt32.self))
        case 17 where base.loadUnaligned(fromByteOffset: start + 6, as: UInt16.self) == 0: return true
        case 2: return true
        default: return InternetChecksum.finish(InternetChecksum.sum(base + start, count: payloadEnd - start) + pseudo) == 0
        }
    }
}

@Suite struct RewriterTests {
    static let writable: [Field] = [
        .ethDst, .ethSrc, .vlanTCI, .vlanVID, .vlanVID12, .vlanPCP, .mplsLabel, .mplsTC, .mplsTTL, .nwSrc, .nwDst, .nwTOS, .ipDSCP, .nwECN,
        .nwTTL,
        .ipv6Src, .ipv6Dst, .ipv6Label, .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA, .tcpSrc, .tcpDst, .udpSrc, .udpDst, .sctpSrc, .sctpDst,
        .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code, .ndTarget, .ndSLL, .ndTLL, .ndReserved, .nshFlags, .nshTTL, .nshSPI, .nshSI, .nshC1,
        .nshC4,
    ]

    @Test func samplesHaveValidChecksums() {
        for (name, bytes) in Samples.all where !name.hasPrefix("solicit twice") { #expect(checksumsAreValid(bytes), "\(name)") }
    }

    /// Writing a field and reading the packet again gives the key with that field changed, and right checksums.
    @Test func writesWhatExtractionReads() {
        var random = SeededRandom()
        for (name, original) in Samples.all where name != "solicit twice" {
            for field in RewriterTests.writable {
                for _ in 0..<8 {
                    var bytes = original
                    var before = FlowKey()
                    let headers = bytes.withUnsafeBytes { before.extract($0, inPort: 3) }
                    let ones = field.layout.allOnes
                    let value = UInt128.random(in: 0...ones, using: &random)
                    let mask = field.info.isMaskable && Bool.random(using: &random) ? UInt128.random(in: 0...ones, using: &random) : ones
                    let done = bytes.withUnsafeMutableBytes {
                        PacketRewriter.set(field, value: value, mask: mask, packet: $0.baseAddress!, length: $0.count, headers: headers)
                    }
                    if !done {
                        #expect(bytes == original, "\(name) \(field.name)")
                        continue
                    }
                    #expect(before.meetsPrerequisites(of: field), "\(name) \(field.name) was written into a packet that has none")
                    var after = FlowKey()
                    _ = bytes.withUnsafeBytes { after.extract($0, inPort: 3) }
                    #expect(checksumsAreValid(bytes), "\(name) \(field.name) \(value)/\(mask)")
                    switch field {
                    case .icmpv6Type, .icmpv6Code: continue
                    case .vlanTCI, .vlanVID:
                        before.store(
                            before.load(at: FlowOffset.vlanTCI, count: 2) & ~(mask & 0xefff) | (value & mask & 0xefff),
                            at: FlowOffset.vlanTCI, count: 2)
                    // Two and six bits of the header, whatever the key has room for.
                    case .nshFlags: before[field] = before[field] & ~(mask & 3) | value & mask & 3
                    case .nshTTL: before[field] = value & 63
                    default: before[field] = before[field] & ~mask | value & mask
                    }
                    #expect(after == before, "\(name) \(field.name) \(value)/\(mask), seed \(random.seed)")
                }
            }
        }
    }

    /// Fields that a sample has can be written (the loop above would pass if nothing ever could).
    @Test func writesWhereThereIsAField() {
        for (name, fields) in [
            ("tcp", [.ethDst, .nwSrc, .nwDst, .nwTOS, .nwTTL, .tcpSrc, .tcpDst]), ("udp", [.udpSrc]), ("sctp", [.sctpDst]),
            ("icmp", [.icmpType]),
            ("qinq udp", [.vlanVID, .vlanPCP, .udpDst]), ("ipv6 extensions", [.ipv6Src, .ipv6Dst, .udpSrc, .nwTTL]),
            ("arp", [.arpOp, .arpSPA, .arpTHA]),
            ("solicit", [.ndTarget, .ndSLL]), ("advert", [.ndTLL, .icmpv6Type]), ("mpls 2", [.mplsLabel, .mplsTTL]),
            ("nsh", [.nshSPI, .nshC4]),
        ] as [(String, [Field])] {
            var bytes = Samples.all.first { $0.name == name }!.bytes
            var key = FlowKey()
            let headers = bytes.withUnsafeBytes { key.extract($0, inPort: 3) }
            for field in fields {
                let done = bytes.withUnsafeMutableBytes {
                    PacketRewriter.set(
                        field, value: 1, mask: field.layout.allOnes, packet: $0.baseAddress!, length: $0.count, headers: headers)
                }
                #expect(done, "\(name) \(field.name)")
            }
        }
    }

    /// No field of any sample, cut anywhere, is written outside the packet.
    @Test func staysWithinTruncatedPackets() {
        let memory = Guarded()
        for (_, original) in Samples.all {
            for length in stride(from: 0, through: original.count, by: 1) {
                let start = UnsafeMutableRawPointer(mutating: memory.place(original.prefix(length)))
                (start - 1).storeBytes(of: 0x5a, as: UInt8.self)
                var key = FlowKey()
                let headers = key.extract(UnsafeRawBufferPointer(start: start, count: length), inPort: 1)
                for field in RewriterTests.writable {
                    PacketRewriter.set(field, value: .max, mask: field.layout.allOnes, packet: start, length: length, headers: headers)
                }
                #expect((start - 1).load(as: UInt8.self) == 0x5a)
            }
        }
    }

    /// The same of headers that are taken off or put on, and of TTLs copied between them: at every length a packet can be cut to.
    @Test func headersComeAndGoWithinTruncatedPackets() {
        let memory = Guarded()
        for (_, original) in Samples.all {
            for length in 0...original.count {
                for change in 0..<6 {
                    let start = UnsafeMutableRawPointer(mutating: memory.place(original.prefix(length)))
                    (start - 1).storeBytes(of: 0x5a, as: UInt8.self)
                    var key = FlowKey()
                    let headers = key.extract(UnsafeRawBufferPointer(start: start, count: length), inPort: 1)
                    switch change {
                    case 0: _ = PacketRewriter.popVLAN(packet: start, length: length)
                    case 1: _ = PacketRewriter.popMPLS(packet: start, length: length, l2Length: Int(headers.l3Offset), etherType: 0x0800)
                    case 2: _ = PacketRewriter.pbbHeaderLength(start, length, headers)
                    case 3: _ = PacketRewriter.copyTTL(outwards: true, packet: start, length: length, headers: headers)
                    case 4: _ = PacketRewriter.copyTTL(outwards: false, packet: start, length: length, headers: headers)
                    default: _ = PacketRewriter.set(.nwTTL, value: 1, mask: 0xff, packet: start, length: length, headers: headers)
                    }
                    #expect((start - 1).load(as: UInt8.self) == 0x5a)
                }
            }
        }
    }

    @Test func udpWithoutChecksumStaysWithout() {
        var bytes = Samples.ipv4(17)
        bytes[40] = 0
        bytes[41] = 0
        var key = FlowKey()
        let headers = bytes.withUnsafeBytes { key.extract($0, inPort: 3) }
        bytes.withUnsafeMutableBytes {
            PacketRewriter.set(.udpDst, value: 99, mask: 0xffff, packet: $0.baseAddress!, length: $0.count, headers: headers)
            PacketRewriter.set(.nwDst, value: 99, mask: 0xffff_ffff, packet: $0.baseAddress!, length: $0.count, headers: headers)
        }
        #expect(bytes[40] == 0 && bytes[41] == 0)
        #expect(FlowKey(packet: bytes, inPort: 3)[.udpDst] == 99)
        #expect(checksumsAreValid(bytes))
    }

    @Test func pushAndPopVLAN() {
        let original = Samples.ipv4(6)
        var buffer = [UInt8](repeating: 0, count: 4) + original
        buffer.withUnsafeMutableBytes { PacketRewriter.pushVLAN(newStart: $0.baseAddress!, tpid: 0x88a8, tci: 0xb064) }
        let tagged = FlowKey(packet: buffer, inPort: 1)
        #expect(tagged.load(at: FlowOffset.vlanTCI, count: 2) == 0xb064)
        #expect(tagged.load(at: FlowOffset.vlanTPID, count: 2) == 0x88a8)
        #expect(tagged[.tcpDst] == 80)
        let popped = buffer.withUnsafeMutableBytes { PacketRewriter.popVLAN(packet: $0.baseAddress!, length: $0.count) }
        #expect(popped)
        #expect(Array(buffer.dropFirst(4)) == original)
        var untagged = original
        let again = untagged.withUnsafeMutableBytes { PacketRewriter.popVLAN(packet: $0.baseAddress!, length: $0.count) }
        #expect(!again && untagged == original)
    }

    @Test func pushAndPopMPLS() {
        let original = Samples.ipv4(6, tags: [VLANTag(identifier: 9)])
        var buffer = [UInt8](repeating: 0, count: 4) + original
        buffer.withUnsafeMutableBytes {
            PacketRewriter.pushMPLS(
                newStart: $0.baseAddress!, l2Length: 18, etherType: 0x8847, entry: MPLSEntry(label: 77, isBottom: true, ttl: 9).rawValue)
        }
        let labelled = FlowKey(packet: buffer, inPort: 1)
        #expect(labelled[.ethType] == 0x8847 && labelled[.mplsLabel] == 77 && labelled[.mplsTTL] == 9 && labelled[.vlanVID12] == 9)
        let popped = buffer.withUnsafeMutableBytes {
            PacketRewriter.popMPLS(packet: $0.baseAddress!, length: $0.count, l2Length: 18, etherType: 0x0800)
        }
        #expect(popped)
        #expect(Array(buffer.dropFirst(4)) == original)
    }

    @Test func sourceRoutedDestinationIsNotInTheChecksum() {
        var bytes = Samples.ipv6(17, extensions: [43])
        bytes[14 + 40 + 3] = 1
        var key = FlowKey()
        let headers = bytes.withUnsafeBytes { key.extract($0, inPort: 3) }
        #expect(headers.isSourceRouted)
        let old = Array(bytes.suffix(13))
        _ = bytes.withUnsafeMutableBytes {
            PacketRewriter.set(.ipv6Dst, value: 1, mask: .max, packet: $0.baseAddress!, length: $0.count, headers: headers)
        }
        #expect(FlowKey(packet: bytes, inPort: 3)[.ipv6Dst] == 1)
        #expect(Array(bytes.suffix(13)) == old)
    }
}
