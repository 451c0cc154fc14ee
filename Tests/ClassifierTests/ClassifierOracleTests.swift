// The classifier against a linear scan, and its masks against packets that agree under them.

import Base
import Flow
import Synchronization
import Testing

@testable import Classifier

/// A classifier, and a list that must say the same.
private final class Pair {
    let epochs = ReaderEpochs()
    let classifier: Classifier
    var list: [ClassifierRule] = []
    var version: UInt64 = 1

    init() { classifier = Classifier(epochs: epochs, seed: 0x1234) }

    func insert(_ match: Match, priority: Int32) {
        let next = version + 1
        if let old = classifier.find(match, priority: priority, version: next) {
            classifier.remove(old, version: next)
            list.removeAll { $0 === old }
        }
        let rule = ClassifierRule(match: match, priority: priority, shape: classifier.shape(for: match.mask))
        classifier.insert(rule, version: next)
        list.append(rule)
    }

    func remove(at index: Int) {
        classifier.remove(list[index], version: version + 1)
        list.swapAt(index, list.count - 1)
        list.removeLast()
    }

    func publish() {
        classifier.prepare()
        version += 1
        classifier.settle()
    }

    func lookup(_ key: FlowKey) -> (rule: ClassifierRule?, mask: FlowMask) {
        let slot = epochs.enter()
        defer { epochs.leave(slot) }
        var key = key
        var mask = FlowMask()
        let rule = classifier.lookup(&key, version: version, mask: &mask)
        return (rule?.takeUnretainedValue(), mask)
    }

    func scan(_ key: FlowKey) -> Int32? { list.filter { $0.pattern.matches(key) }.map(\.rank).max() }
}

@Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
func lookupsEqualALinearScan(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let pair = Pair()
    for _ in 0..<40 {
        for _ in 0..<random.next() % 30 { pair.insert(RandomRules.match(&random), priority: Int32(random.next() % 20)) }
        for _ in 0..<random.next() % 20 where !pair.list.isEmpty { pair.remove(at: Int(random.next() % UInt64(pair.list.count))) }
        pair.publish()
        for _ in 0..<40 {
            let packet = RandomRules.packet(&random)
            let (rule, mask) = pair.lookup(packet)
            #expect(rule?.rank == pair.scan(packet), "seed \(seed)")
            if let rule { #expect(rule.pattern.matches(packet) && mask.isSuperset(of: rule.shape.mask)) }
            for _ in 0..<4 {
                let other = RandomRules.disturbed(packet, outside: mask, &random)
                #expect(pair.lookup(other).rule === rule, "a packet that agrees under the mask meets another rule, seed \(seed)")
            }
        }
    }
    while !pair.list.isEmpty { pair.remove(at: 0) }
    pair.publish()
    pair.classifier.settle()
    pair.classifier.settle()
    #expect(pair.classifier.linkedCount == 0 && !pair.classifier.isUnsettled)
    #expect(pair.classifier.groups.isEmpty && pair.classifier.groupsByHash.isEmpty && pair.classifier.subtables.isEmpty)
    for trie in pair.classifier.tries { #expect(trie.root.pointee.load(ordering: .relaxed) == 0) }
}

@Test func findIsExactAndFiltersAreLoose() {
    var random = SeededGenerator(seed: 77)
    let pair = Pair()
    for _ in 0..<300 { pair.insert(RandomRules.match(&random), priority: Int32(random.next() % 5)) }
    pair.publish()
    for rule in pair.list { #expect(pair.classifier.find(rule.pattern, priority: rule.rank, version: pair.version) === rule) }
    #expect(pair.classifier.find(pair.list[0].pattern, priority: 99, version: pair.version) == nil)
    for _ in 0..<50 {
        let filter = RandomRules.match(&random)
        var found: Set<ObjectIdentifier> = []
        pair.classifier.forEach(at: pair.version, matching: filter) { found.insert(ObjectIdentifier($0)) }
        let expected = pair.list.filter { $0.shape.mask.isSuperset(of: filter.mask) && filter.mask.agrees(filter.key, $0.pattern.key) }
        #expect(found == Set(expected.map(ObjectIdentifier.init)))
        var seen: Set<ObjectIdentifier> = []
        pair.classifier.forEachVisible(at: pair.version, matching: filter) { seen.insert(ObjectIdentifier($0)) }
        #expect(seen == found)
        let overlaps = pair.list.contains { rule in
            rule.rank == 3
                && zip(0..<64, 0..<64).allSatisfy { word, _ in
                    (rule.pattern.key.words[word] ^ filter.key.words[word]) & rule.pattern.mask.bits.words[word]
                        & filter.mask.bits.words[word] == 0
                }
        }
        #expect(pair.classifier.hasOverlap(filter, priority: 3, version: pair.version) == overlaps)
    }
}

@Test func changesAreInvisibleUntilPublishedAndCanBeTakenBack() {
    let pair = Pair()
    var match = Match()
    match.set(.nwDst, 0x0a00_0001)
    pair.insert(match, priority: 1)
    pair.publish()
    var packet = FlowKey()
    packet[.nwDst] = 0x0a00_0001
    let first = pair.lookup(packet).rule
    #expect(first === pair.list[0])

    // Replace it, then take that back.
    let old = pair.list[0]
    let next = pair.version + 1
    pair.classifier.remove(old, version: next)
    let new = ClassifierRule(match: match, priority: 1, shape: pair.classifier.shape(for: match.mask))
    pair.classifier.insert(new, version: next)
    #expect(pair.lookup(packet).rule === old)
    #expect(pair.classifier.find(match, priority: 1, version: next) === new)
    pair.classifier.withdraw(new)
    pair.classifier.restore(old)
    pair.classifier.prepare()
    pair.classifier.settle()
    #expect(pair.lookup(packet).rule === old)
    pair.version += 1
    #expect(pair.lookup(packet).rule === old)

    // A reader of the old version still finds what was removed after it began.
    let slot = pair.epochs.enter()
    pair.classifier.remove(old, version: pair.version + 1)
    pair.classifier.prepare()
    pair.classifier.settle()
    var mask = FlowMask()
    #expect(pair.classifier.lookup(&packet, version: pair.version, mask: &mask)?.takeUnretainedValue() === old)
    #expect(pair.classifier.lookup(&packet, version: pair.version + 1, mask: &mask) == nil)
    pair.epochs.leave(slot)
    pair.classifier.settle()
    pair.classifier.settle()
    #expect(pair.classifier.linkedCount == 0)
}

@Test func aPrefixThatCannotMatchCostsFewBits() {
    let pair = Pair()
    for (address, length) in [(0x0a00_0000, 8), (0x0a01_0000, 16), (0xc0a8_0101, 32)] as [(UInt128, Int)] {
        var match = Match()
        match.set(.nwDst, address, mask: 0xffff_ffff & ~((1 << UInt128(32 - length)) - 1))
        pair.insert(match, priority: Int32(length))
    }
    pair.publish()
    func bits(_ address: UInt128) -> UInt128 {
        var packet = FlowKey()
        packet[.nwDst] = address
        return pair.lookup(packet).mask.bits[.nwDst]
    }
    // 11.x differs from 10.x in bit 8, and from 192.x in bit 1.
    #expect(bits(0x0b00_0000) == 0xff00_0000)
    #expect(bits(0x4000_0000) == 0xc000_0000)
    #expect(bits(0x0a01_0203) == 0xffff_0000)
    #expect(bits(0xc0a8_0101) == 0xffff_ffff)
}

/// Prefixes of few bits, of which many nest, and of many bits, which fill buckets and split them.
/// Rules that name another port say nothing about this one's addresses, whatever the order of priorities.
@Test func rulesOfAnotherPortMakeMasksNoMoreSpecific() {
    let pair = Pair()
    var mine = Match()
    mine.set(.inPort, 1)
    pair.insert(mine, priority: 10)
    for length in 1...32 {
        var other = Match()
        other.set(.inPort, 3)
        other.set(.ethType, 0x0800)
        other.set(.nwSrc, 0x0a00_0001, mask: UInt128(UInt32.max << UInt32(32 - length)))
        other.set(.nwProto, 17)
        other.set(.tcpDst, UInt128(length))
        pair.insert(other, priority: Int32(length))
    }
    pair.publish()
    var key = FlowKey()
    key[.inPort] = 1
    key[.ethType] = 0x0800
    key[.nwSrc] = 0x0a00_0003
    key[.nwProto] = 17
    key[.tcpDst] = 31
    let (rule, mask) = pair.lookup(key)
    #expect(rule?.rank == 10)
    var expected = FlowMask()
    expected.bits[.inPort] = 0xffff_ffff
    expected.bits[.ethType] = 0xffff
    #expect(mask == expected)

    // Where the port is theirs, addresses count again, and few of their bits say no.
    key[.inPort] = 3
    key[.nwSrc] = 0x8000_0000
    let (none, theirs) = pair.lookup(key)
    #expect(none == nil)
    #expect(theirs.bits[.nwSrc] == 0x8000_0000)

    // What is left when the port's last rule is gone is looked at no more.
    while pair.list.count > 1 { pair.remove(at: 1) }
    pair.publish()
    pair.publish()
    #expect(pair.lookup(key).mask.bits[.ethType] == 0)
}

@Test(arguments: [(11, 12, 32), (12, 12, 32), (13, 32, 32), (14, 12, 128), (15, 128, 128)] as [(UInt64, Int, Int)])
func triesEqualAListOfPrefixes(seed: UInt64, bits: Int, width: Int) {
    var random = SeededGenerator(seed: seed)
    let root = allocateWords(1)
    defer { root.deallocate() }
    let trie = PrefixTrie(root: atomicWord(root, 0), width: width)
    var prefixes: [(UInt128, Int)] = []
    func address() -> UInt128 {
        var value: UInt128 = 0
        for _ in 0..<random.next() % 4 { value ^= 1 << UInt128(127 - Int(random.next() % UInt64(bits))) }
        return value
    }
    for round in 0..<400 {
        // Grows for a while, shrinks for a while.
        if random.next() % 3 != (round / 100 % 2 == 0 ? 0 : 1) || prefixes.isEmpty {
            let length = Int(random.next() % UInt64(bits)) + 1
            let prefix = PrefixTrie.cut(address(), length)
            prefixes.append((prefix, length))
            trie.insert(prefix, length: length) { $0.deallocate() }
        } else {
            let (prefix, length) = prefixes.remove(at: Int(random.next() % UInt64(prefixes.count)))
            trie.remove(prefix, length: length) { $0.deallocate() }
        }
        for _ in 0..<5 {
            let wanted = random.next() % 2 == 0 ? address() : (prefixes.randomElement(using: &random)?.0 ?? 0) ^ address() >> 4
            let result = trie.lookup(wanted)
            let lengths = Set(prefixes.filter { PrefixTrie.cut(wanted, $0.1) == $0.0 }.map(\.1))
            func isAnswer(_ result: TrieResult) -> Bool { (1...width).allSatisfy { result.contains($0) == lengths.contains($0) } }
            #expect(isAnswer(result), "seed \(seed)")
            // Whatever shares the checked bits has the same answer.
            let other = PrefixTrie.cut(wanted, result.checkedBits) | (address() & ~PrefixTrie.cut(.max, result.checkedBits))
            #expect(isAnswer(trie.lookup(other)), "seed \(seed)")
        }
    }
    for (prefix, length) in prefixes { trie.remove(prefix, length: length) { $0.deallocate() } }
    #expect(loadWord(root, 0) == 0)
}

@Test(arguments: [1, 2, 3] as [UInt64])
func stagedLookupsEqualALinearScanAndTheirMasksHold(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let pair = Pair()
    func staged(_ key: FlowKey) -> (rank: Int32?, mask: FlowMask) {
        let slot = pair.epochs.enter()
        defer { pair.epochs.leave(slot) }
        var key = key
        var mask = FlowMask()
        var best: Int32?
        pair.classifier.forEachStagedMatch(&key, version: pair.version, mask: &mask) { rule in
            best = max(best ?? .min, rule.rank)
            return best
        }
        return (best, mask)
    }
    for round in 0..<15 {
        for _ in 0..<random.next() % 20 { pair.insert(RandomRules.match(&random), priority: Int32(random.next() % 20)) }
        for _ in 0..<random.next() % 10 where !pair.list.isEmpty { pair.remove(at: Int(random.next() % UInt64(pair.list.count))) }
        pair.publish()
        pair.classifier.prefixOrder = round % 3 == 0 ? PrefixOrder([])! : round % 3 == 1 ? .standard : PrefixOrder([.nwSrc, .ipv6Dst])!
        for _ in 0..<60 {
            let key = RandomRules.packet(&random)
            let (rank, mask) = staged(key)
            #expect(rank == pair.scan(key))
            for _ in 0..<5 {
                // Another packet that agrees under the mask, and, as every packet of a megaflow, in its type.
                var other = RandomRules.packet(&random)
                var bits = mask
                bits.bits[.ethType] = 0xffff
                for word in 0..<FlowKey.wordCount {
                    other.words[word] = other.words[word] & ~bits.bits.words[word] | key.words[word] & bits.bits.words[word]
                }
                #expect(pair.scan(other) == rank)
            }
        }
    }
}

@Test func subtablesThatDifferInPortsOnlyShareAGroup() {
    let pair = Pair()
    func match(_ source: UInt128?, _ destination: UInt128?) -> Match {
        var match = Match()
        match.set(.nwDst, 0x0a00_0000, mask: 0xff00_0000)
        if let source { match.set(.tcpSrc, source) }
        if let destination { match.set(.tcpDst, destination) }
        return match
    }
    pair.insert(match(1, nil), priority: 1)
    pair.insert(match(nil, 2), priority: 2)
    pair.insert(match(1, 2), priority: 3)
    pair.insert(match(nil, nil), priority: 0)
    pair.publish()
    // Three with ports, and one that has nothing behind L3.
    #expect(pair.classifier.groups.count == 2 && pair.classifier.subtables.count == 4)
    var packet = FlowKey()
    packet[.nwDst] = 0x0a01_0203
    packet[.tcpSrc] = 1
    packet[.tcpDst] = 2
    #expect(pair.lookup(packet).rule?.rank == 3)
    packet[.tcpSrc] = 7
    #expect(pair.lookup(packet).rule?.rank == 2)
    packet[.tcpDst] = 7
    #expect(pair.lookup(packet).rule?.rank == 0)
    // The address says that no port matters.
    packet[.nwDst] = 0x0b01_0203
    let (rule, mask) = pair.lookup(packet)
    #expect(rule == nil && mask.bits[.tcpSrc] == 0 && mask.bits[.tcpDst] == 0)
    // A subtable that empties leaves the group to the others.
    pair.remove(at: 2)
    pair.publish()
    pair.classifier.settle()
    pair.classifier.settle()
    packet[.nwDst] = 0x0a01_0203
    packet[.tcpSrc] = 1
    packet[.tcpDst] = 2
    #expect(pair.lookup(packet).rule?.rank == 2 && pair.classifier.subtables.count == 3)
}

@Test func removedRulesAreFreedASliceAtATime() {
    let pair = Pair()
    for number in 0..<1000 as Range<UInt128> {
        var match = Match()
        match.set(.nwDst, 0x0a00_0000 + number)
        pair.insert(match, priority: 1)
    }
    pair.publish()
    for index in (0..<1000).reversed() { pair.classifier.remove(pair.list[index], version: pair.version + 1) }
    pair.list.removeAll()
    pair.classifier.prepare()
    pair.version += 1
    for left in stride(from: 900, through: 0, by: -100) {
        pair.classifier.settle(atMost: 100)
        #expect(pair.classifier.linkedCount == left)
        var packet = FlowKey()
        packet[.nwDst] = 0x0a00_0000
        #expect(pair.lookup(packet).rule == nil)
    }
    pair.classifier.settle(atMost: 100)
    #expect(!pair.classifier.isUnsettled && pair.classifier.groups.isEmpty)
}
