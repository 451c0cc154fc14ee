// Readers that never wait, while a writer replaces what they look at. Worth running under the thread sanitizer.

import Base
import Flow
import Synchronization
import Testing

@testable import Classifier

/// What the threads share; the classifier says who may do what.
private final class Shared: Sendable {
    let epochs: ReaderEpochs
    let classifier: Classifier
    let version = Atomic<UInt64>(1)
    let isDone = Atomic<Bool>(false)
    init() {
        epochs = ReaderEpochs()
        classifier = Classifier(epochs: epochs, seed: 5)
    }
}

@Test func readersSeeOneVersionWhileTheWriterReplacesRules() async {
    let shared = Shared()
    var destination = Match()
    destination.set(.nwDst, 0x0a00_0001)
    let fixed = destination

    /// Every version has a rule of priority 1 to 9 for the destination, and noise around it.
    @Sendable func write() {
        var random = SeededGenerator(seed: 9)
        var current: [ClassifierRule] = []
        var noise: [ClassifierRule] = []
        for round in 0..<2000 {
            let next = shared.version.load(ordering: .relaxed) + 1
            for rule in current { shared.classifier.remove(rule, version: next) }
            let rule = ClassifierRule(
                match: fixed, priority: Int32(round % 9 + 1), shape: shared.classifier.shape(for: fixed.mask))
            shared.classifier.insert(rule, version: next)
            current = [rule]
            for _ in 0..<3 {
                var match = RandomRules.match(&random)
                match.set(.nwDst, UInt128(0x0b00_0000 + random.next() % 64))
                if shared.classifier.find(match, priority: 50, version: next) != nil { continue }
                let other = ClassifierRule(match: match, priority: 50, shape: shared.classifier.shape(for: match.mask))
                shared.classifier.insert(other, version: next)
                noise.append(other)
            }
            while noise.count > 100 { shared.classifier.remove(noise.removeFirst(), version: next) }
            shared.classifier.prepare()
            shared.version.store(next, ordering: .releasing)
            shared.classifier.settle()
        }
        shared.isDone.store(true, ordering: .releasing)
    }

    @Sendable func read(seed: UInt64) -> Int {
        var random = SeededGenerator(seed: seed)
        var wrong = 0
        while !shared.isDone.load(ordering: .acquiring) {
            let slot = shared.epochs.enter()
            let version = shared.version.load(ordering: .acquiring)
            var packet = RandomRules.packet(&random)
            packet[.nwDst] = 0x0a00_0001
            var mask = FlowMask()
            if version > 1 {
                if let found = shared.classifier.lookup(&packet, version: version, mask: &mask) {
                    let rule = found.takeUnretainedValue()
                    if rule.rank > 9 || !rule.isVisible(in: version) { wrong += 1 }
                } else {
                    wrong += 1
                }
            }
            shared.epochs.leave(slot)
        }
        return wrong
    }

    let wrong = await withTaskGroup(of: Int.self) { group in
        group.addTask {
            write()
            return 0
        }
        for seed in 1...3 as ClosedRange<UInt64> { group.addTask { read(seed: seed) } }
        return await group.reduce(0, +)
    }
    #expect(wrong == 0)
}
