// The classifier alone, on rule sets of ClassBench's shapes, by number of rules.

internal import Base
internal import Classifier
internal import Flow

enum ClassifierBench {
    static let name = "classifier"

    static func run(wantsJSON: Bool) {
        if !wantsJSON { print("rule set        rules  masks  insert ns  lookup ns") }
        for kind in RuleSet.Kind.allCases {
            for count in [10, 100, 1_000, 10_000, 100_000] {
                let (masks, insert, lookup) = measure(kind, count)
                let (first, second) = (ApusBench.fixed(insert, 0), ApusBench.fixed(lookup, 0))
                if wantsJSON {
                    print(
                        "{\"name\":\"\(name)-\(kind.rawValue)-\(count)\",\"masks\":\(masks),\"insert_nanoseconds\":\(first),"
                            + "\"lookup_nanoseconds\":\(second)}")
                } else {
                    let label = "\(name) \(kind.rawValue)"
                    print(
                        label + String(repeating: " ", count: 14 - label.count) + ApusBench.pad("\(count)", 7)
                            + ApusBench.pad("\(masks)", 7)
                            + ApusBench.pad(first, 11) + ApusBench.pad(second, 11))
                }
            }
        }
    }

    private static func measure(_ kind: RuleSet.Kind, _ count: Int) -> (masks: Int, insert: Double, lookup: Double) {
        var set = RuleSet(kind, count: count, seed: 17)
        let clock = Clock()
        let epochs = ReaderEpochs()
        let classifier = Classifier(epochs: epochs, seed: 5)
        let compact = set.matches.map { CompactMatch($0) }
        var masks: Set<UInt64> = []
        let start = clock.now.nanoseconds
        for (index, match) in compact.enumerated() {
            let shape = classifier.shape(for: match)
            classifier.insert(ClassifierRule(compactMatch: match, priority: Int32(count - index), shape: shape), version: 2)
        }
        classifier.prepare()
        classifier.settle()
        let inserted = clock.now.nanoseconds
        for match in set.matches {
            let words = CompactMatch(Match(key: FlowKey(), mask: match.mask))
            masks.insert(UInt64(bitPattern: Int64(([words.present] + words.words).hashValue)))
        }
        var packets = (0..<4096).map { _ in set.packet() }
        var found = 0
        var mask = FlowMask()
        let slot = epochs.enter()
        for index in packets.indices where classifier.lookup(&packets[index], version: 2, mask: &mask) != nil { found += 1 }
        precondition(found == packets.count, "each packet comes from a rule")
        let begin = clock.now.nanoseconds
        var rounds = 0
        repeat {
            for index in packets.indices { _ = classifier.lookup(&packets[index], version: 2, mask: &mask) }
            rounds += 1
        } while clock.now.nanoseconds - begin < 300_000_000
        let end = clock.now.nanoseconds
        epochs.leave(slot)
        return (masks.count, Double(inserted - start) / Double(count), Double(end - begin) / Double(rounds * packets.count))
    }
}
