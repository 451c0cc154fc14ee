import Base
import Flow
import TestSupport
import Testing
import Wire

#if canImport(Glibc)
import Glibc
#endif

/// A packet whose last byte is the last of a page, with an unreadable page behind it.
struct Guarded: ~Copyable {
    let base: UnsafeMutableRawPointer
    static let page = 4096
    init() {
        base = mmap(nil, Guarded.page * 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        mprotect(base + Guarded.page * 2, Guarded.page, PROT_NONE)
    }
    deinit { munmap(base, Guarded.page * 3) }
    func place(_ bytes: some Collection<UInt8>) -> UnsafeRawPointer {
        let start = base + (Guarded.page * 2 - bytes.count)
        UnsafeMutableRawBufferPointer(start: start, count: bytes.count).copyBytes(from: bytes)
        return UnsafeRawPointer(start)
    }
}

/// What the fast extractor says, with garbage where it does not write.
func extract(_ bytes: some Collection<UInt8>, inPort: UInt32, in memory: borrowing Guarded) -> (key: FlowKey, result: ExtractResult) {
    var words = [UInt64](repeating: 0xdead_beef_dead_beef, count: 40)
    let result = FlowExtractor.extract(packet: memory.place(bytes), length: bytes.count, inPort: inPort, into: &words)
    var key = FlowKey()
    for line in 0..<5 where result.lineBits & 1 << UInt8(line) != 0 {
        for word in 0..<8 { key.words[line * 8 + word] = words[line * 8 + word] }
    }
    return (key, result)
}

func check(_ bytes: [UInt8], _ name: String, _ memory: borrowing Guarded) {
    let reference = ReferenceExtractor(bytes, inPort: 5)
    let (key, result) = extract(bytes, inPort: 5, in: memory)
    #expect(key == reference.key, "\(name), \(bytes.count) bytes: \(bytes)")
    #expect(result.isMalformed == reference.malformed, "\(name), \(bytes.count) bytes")
    #expect(Int(result.l3Offset) == reference.l3Offset, "\(name), \(bytes.count) bytes")
    #expect(Int(result.l4Offset) == reference.l4Offset, "\(name), \(bytes.count) bytes")
}

@Suite struct ExtractorTests {
    @Test func agreesWithTheReferenceOnEverySampleCutAtEveryByte() {
        let memory = Guarded()
        for (name, bytes) in Samples.all {
            for length in 0...bytes.count { check(Array(bytes.prefix(length)), name, memory) }
        }
    }

    @Test func agreesWithTheReferenceOnMutatedPackets() {
        let memory = Guarded()
        var random = SeededRandom()
        for _ in 0..<40_000 {
            var bytes = Samples.all.randomElement(using: &random)!.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 12..<min(bytes.count, 90), using: &random)
                bytes[at] =
                    Bool.random(using: &random)
                    ? UInt8.random(in: 0...255, using: &random) : bytes[at] ^ (1 << UInt8.random(in: 0..<8, using: &random))
            }
            if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
            check(bytes, "mutated, seed \(random.seed)", memory)
        }
    }

    @Test func goldenUDP() {
        let bytes: [UInt8] = [
            0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00,
            0x45, 0x00, 0x00, 0x1c, 0, 0, 0x40, 0, 0x40, 0x11, 0x26, 0xcf, 10, 0, 0, 1, 10, 0, 0, 2,
            0x03, 0xe8, 0x00, 0x35, 0x00, 0x08, 0, 0,
        ]
        let key = FlowKey(packet: bytes, inPort: 9)
        #expect(key[.datapathInPort] == 9)
        #expect(key[.ethType] == 0x0800)
        #expect(key[.ethDst] == 0x0200_0000_0002)
        #expect(key[.nwSrc] == 0x0a00_0001)
        #expect(key[.nwProto] == 17)
        #expect(key[.nwTTL] == 64)
        #expect(key[.udpSrc] == 1000)
        #expect(key[.udpDst] == 53)
        #expect(key.lines == .base)
    }

    @Test func lengthLiesReadAsZero() {
        // A total length beyond the frame hides all of L3; one that ends inside UDP hides the ports.
        var bytes = Samples.ipv4(17)
        bytes[17] = 200
        #expect(FlowKey(packet: bytes, inPort: 1)[.nwSrc] == 0)
        bytes[17] = 24
        let key = FlowKey(packet: bytes, inPort: 1)
        #expect(key[.nwSrc] == 0x0a00_0001)
        #expect(key[.udpDst] == 0)
    }

    @Test func structuralBitsCoverWhatDecidesReading() {
        var mask = FlowMask()
        mask.add(.tcpDst)
        #expect(mask.bits[.ethType] == 0xffff)
        #expect(mask.bits[.nwProto] == 0xff)
        #expect(mask.bits[.ipFrag] == 3)
        #expect(mask.bits[.tcpDst] == 0xffff)
        #expect(mask.bits[.tcpSrc] == 0)
        var structural = FlowMask()
        structural.addStructural()
        #expect(structural == FlowMask.structural)
        #expect(structural.bits[.recircID] == 0xffff_ffff)
        #expect(structural.bits[.ctState] == 0)
    }

    @Test func registryIsConsistent() {
        for field in Field.allCases {
            let info = field.info
            #expect(info.field == field)
            #expect(info.layout.shift + info.layout.bits <= info.layout.byteCount * 8)
            var key = FlowKey()
            key[field] = field.layout.allOnes
            #expect(key[field] == field.layout.allOnes)
            key[field] = 0
            #expect(key == FlowKey())
        }
        #expect(Set(Field.byName.values).count == Field.allCases.count)
    }
}
