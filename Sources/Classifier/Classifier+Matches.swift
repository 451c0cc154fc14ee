// Every rule that matches a packet, not only the first: for rules that decide together (conjunctions).

public import Flow
internal import Synchronization

extension Classifier {
    /// Visits every rule that matches `key` at `version`, in no order.
    ///
    /// - Parameter mask: gets the bits that were looked at: those of every subtable.
    /// - Complexity: O(subtables)
    public func forEachMatch(
        _ key: UnsafePointer<FlowKey>, version: UInt64, mask: UnsafeMutablePointer<FlowMask>, _ visit: (ClassifierRule) -> Void
    ) {
        let words = UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self)
        let looked = UnsafeMutableRawPointer(mask).assumingMemoryBound(to: UInt64.self)
        forEachBody { body in
            let layout = (body + Subtable.layoutOffset).assumingMemoryBound(to: Subtable.Layout.self)
            let total = layout.pointee.wordCount
            var hash = seed
            for place in 0..<total {
                let (word, bits) = (Int(layout.pointee.words[place]), layout.pointee.bits[place])
                hash = hashStep(hash, words[word] & bits)
                looked[word] |= bits
            }
            var next = Classifier.chain(body, layout, hashFinish(hash), words)
            while let node = next {
                next = pointer(loadWord(node, ClassifierRule.nextWord))
                let rule = Subtable.rule(node).takeUnretainedValue()
                if rule.isVisible(in: version) { visit(rule) }
            }
        }
    }

    /// The first of the rules with a packet's key, whatever their versions.
    private static func chain(
        _ body: UnsafeMutableRawPointer, _ layout: UnsafeMutablePointer<Subtable.Layout>, _ hash: UInt64, _ words: UnsafePointer<UInt64>
    ) -> UnsafeMutableRawPointer? {
        let table = HashTableLink(loadWord(body, 0)).unsafelyUnwrapped
        var index = hash & table.mask
        while true {
            let slot = loadWord(table.slots, Int(index))
            if slot == 0 { return nil }
            if slot != Subtable.tombstone, (slot ^ hash) & ~Subtable.addressMask == 0, let node = pointer(slot & Subtable.addressMask) {
                let key = (node + ClassifierRule.keyWord * 8).assumingMemoryBound(to: UInt64.self)
                let isSame = (0..<layout.pointee.wordCount).allSatisfy {
                    key[$0] == words[Int(layout.pointee.words[$0])] & layout.pointee.bits[$0]
                }
                if isSame { return node }
            }
            index = (index + 1) & table.mask
        }
    }
}
