// Rule sets of the shapes that ClassBench describes (D. Taylor, J. Turner, "ClassBench: A Packet Classification Benchmark",
// 2007): access control lists, firewalls, IP chains. They differ in how specific addresses are, in how often ports are
// exact, ranges or wild, and in how much prefixes are nested. OpenFlow has no ranges: a range is one of the masks it splits into.

internal import Base
internal import Flow

struct RuleSet {
    enum Kind: String, CaseIterable { case acl, fw, ipc }

    /// Weights of prefix lengths, and of the classes of ports: wild, from 1024 on, below 1024, some range, exact.
    private struct Parameters {
        var source: [(length: Int, weight: Int)]
        var destination: [(length: Int, weight: Int)]
        var sourcePort: [Int]
        var destinationPort: [Int]
        /// Protocols: TCP, UDP, ICMP, any.
        var protocols: [Int]
    }

    private static func parameters(_ kind: Kind) -> Parameters {
        switch kind {
        case .acl:
            Parameters(
                source: [
                    (0, 12), (8, 2), (16, 8), (20, 3), (21, 3), (22, 5), (23, 6), (24, 18), (26, 3), (27, 5), (28, 6), (30, 4), (32, 25),
                ],
                destination: [
                    (0, 2), (16, 5), (20, 2), (21, 4), (22, 5), (23, 5), (24, 20), (26, 5), (27, 7), (28, 8), (29, 5), (30, 5), (32, 27),
                ],
                sourcePort: [96, 1, 1, 1, 1], destinationPort: [20, 6, 1, 13, 60], protocols: [75, 14, 5, 6])
        case .fw:
            Parameters(
                source: [(0, 45), (8, 3), (12, 2), (16, 8), (20, 2), (24, 12), (27, 3), (28, 3), (30, 2), (32, 20)],
                destination: [(0, 30), (8, 2), (16, 7), (20, 2), (24, 14), (26, 3), (28, 4), (30, 3), (32, 35)],
                sourcePort: [65, 12, 2, 9, 12], destinationPort: [22, 10, 2, 14, 52], protocols: [52, 30, 4, 14])
        case .ipc:
            Parameters(
                source: [(0, 20), (8, 3), (14, 2), (16, 10), (18, 2), (20, 3), (22, 4), (24, 18), (26, 3), (28, 4), (30, 3), (32, 28)],
                destination: [
                    (0, 15), (8, 3), (15, 2), (16, 10), (19, 2), (20, 4), (22, 4), (24, 20), (25, 2), (27, 4), (29, 4), (32, 30),
                ],
                sourcePort: [80, 4, 2, 5, 9], destinationPort: [40, 6, 2, 10, 42], protocols: [60, 22, 8, 10])
        }
    }

    /// The rules, the first one of the highest priority.
    let matches: [Match]
    private var random: SplitMix64

    init(_ kind: Kind, count: Int, seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let parameters = RuleSet.parameters(kind)
        func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }
        func weighted(_ weights: [Int]) -> Int {
            var left = below(weights.reduce(0, +))
            for (index, weight) in weights.enumerated() {
                if left < weight { return index }
                left -= weight
            }
            return 0
        }
        // Addresses come from some networks, so that prefixes nest.
        let networks = (0..<max(4, count / 50)).map { _ in UInt32(truncatingIfNeeded: random.next()) }
        func prefix(_ lengths: [(length: Int, weight: Int)]) -> (value: UInt128, mask: UInt128) {
            let length = lengths[weighted(lengths.map(\.weight))].length
            let host = UInt32(truncatingIfNeeded: random.next()) & (below(4) == 0 ? 0xffff : 0xfff)
            let mask: UInt32 = length == 0 ? 0 : ~UInt32(0) << UInt32(32 - length)
            return (UInt128((networks[below(networks.count)] ^ host) & mask), UInt128(mask))
        }
        func port(_ weights: [Int]) -> (value: UInt128, mask: UInt128) {
            switch weighted(weights) {
            case 0: return (0, 0)
            case 1:
                let bit = UInt128(1 << (10 + below(6)))
                return (bit, 0xffff & ~(bit - 1))
            case 2: return (0, 0xfc00)
            case 3:
                let size = UInt128(1 << (1 + below(9)))
                return (UInt128(below(65536)) & ~(size - 1) & 0xffff, 0xffff & ~(size - 1))
            default:
                return (
                    [80, 443, 53, 25, 22, 110, 143, 161, 389, 445, 1433, 3306, 8080][below(13)]
                        + (below(3) == 0 ? UInt128(below(3000)) : 0), 0xffff
                )
            }
        }
        var seen: Set<[UInt64]> = []
        var matches: [Match] = []
        while matches.count < count {
            var match = Match()
            match.set(.ethType, 0x0800)
            let (source, destination) = (prefix(parameters.source), prefix(parameters.destination))
            match.set(.nwSrc, source.value, mask: source.mask)
            match.set(.nwDst, destination.value, mask: destination.mask)
            let proto = weighted(parameters.protocols)
            if proto < 3 { match.set(.nwProto, [6, 17, 1][proto]) }
            if proto < 2 {
                let (from, to) = (port(parameters.sourcePort), port(parameters.destinationPort))
                match.set(.tcpSrc, from.value, mask: from.mask)
                match.set(.tcpDst, to.value, mask: to.mask)
            }
            let compact = CompactMatch(match)
            // A set this large from few networks may run dry: then the host part decides.
            if seen.insert([compact.present] + compact.words).inserted { matches.append(match) }
        }
        self.matches = matches
        self.random = random
    }

    /// A packet that a random rule of the set matches.
    mutating func packet() -> FlowKey {
        let match = matches[Int(random.next() % UInt64(matches.count))]
        var key = FlowKey()
        for word in 0..<8 {
            let mask = match.mask.bits.words[word]
            key.words[word] = match.key.words[word] | random.next() & ~mask
        }
        key[.datapathInPort] = 1
        key[.ethType] = 0x0800
        key[.nwProto] = match.mask.bits[.nwProto] == 0 ? 6 : match.key[.nwProto]
        key.store(0, at: FlowOffset.ipFragment, count: 1)
        key.store(0, at: FlowOffset.mplsCount, count: 1)
        key[.vlanTCI] = 0
        return key
    }
}
