// Looking for the rule of highest priority.

public import Flow
internal import Synchronization

/// A group that has the packet's first stages, and how far its subtables have been visited.
private struct Candidate {
    /// The priority that the next subtable may have.
    var priority = Int64.min
    var next = 0
    var count = 0
    var filter: UInt64 = 0
    /// Of the words of the stages that are shared.
    var hash: UInt64 = 0
    var members: UnsafePointer<SubtableGroup.Member>?

    /// Goes on to the next subtable that the filter lets by.
    @inline(__always) mutating func advance() {
        while next < count {
            let member = members.unsafelyUnwrapped + next
            if filter >> UInt64(member.pointee.filterBit) & 1 == 1 {
                priority = Int64(member.pointee.priority)
                return
            }
            next += 1
        }
        priority = Int64.min
    }
}

extension Classifier {
    /// Groups whose subtables are visited in one order; a further one is gone through at once.
    private static let candidates = 8

    /// The rule of highest priority that matches `key` at `version`, if any. Among equal priorities any one may be found.
    ///
    /// Groups are taken in the order of their highest priority. Those that have the packet's first stages become candidates, and of
    /// all candidates the subtable of highest priority is next.
    ///
    /// - Parameter mask: gets the bits that were looked at, in addition to what it has.
    /// - Returns: unretained; stays as long as the caller holds its slot of `epochs`.
    /// - Complexity: O(groups of higher priority than the result's, and subtables of those that have the packet's addresses)
    public func lookup(
        _ key: UnsafePointer<FlowKey>, version: UInt64, mask: UnsafeMutablePointer<FlowMask>
    ) -> Unmanaged<ClassifierRule>? {
        let words = UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self)
        let looked = UnsafeMutableRawPointer(mask).assumingMemoryBound(to: UInt64.self)
        let list = pointer(loadWord(shared, 0)).unsafelyUnwrapped
        let count = list.load(as: Int.self)
        var best: UnsafeMutableRawPointer?
        var bestPriority = Int64.min
        var prefixes = InlineArray<4, TrieResult>(repeating: TrieResult())
        var walked = 0
        var candidates = InlineArray<8, Candidate>(repeating: Candidate())
        var candidateCount = 0
        var index = 0
        while true {
            var first = 0
            var firstPriority = Int64.min
            for place in 0..<candidateCount where candidates[place].priority > firstPriority {
                first = place
                firstPriority = candidates[place].priority
            }
            let summary = index < count ? list.load(fromByteOffset: 16 + 16 * index, as: UInt64.self) : 1 << 63
            if Int64(bitPattern: summary) >> 32 > firstPriority, index < count {
                if Int64(bitPattern: summary) >> 32 <= bestPriority { break }
                let body = pointer(list.load(fromByteOffset: 8 + 16 * index, as: UInt64.self)).unsafelyUnwrapped
                index += 1
                guard hasPrefixes(summary, words, looked, &prefixes, &walked),
                    var candidate = Classifier.enter(body, words, looked, seed)
                else { continue }
                candidate.advance()
                if candidateCount < Classifier.candidates {
                    candidates[candidateCount] = candidate
                    candidateCount += 1
                    continue
                }
                while candidate.priority > bestPriority { Classifier.visit(&candidate, words, looked, version, &best, &bestPriority) }
                continue
            }
            if firstPriority <= bestPriority { break }
            Classifier.visit(&candidates[first], words, looked, version, &best, &bestPriority)
            // Candidates that are through make room.
            if candidates[first].priority == Int64.min {
                candidateCount -= 1
                candidates[first] = candidates[candidateCount]
            }
        }
        return best.map { Subtable.rule($0) }
    }

    /// Whether rules have prefixes of a group's lengths that the packet's addresses are in. Notes the bits that say so.
    @inline(__always) private func hasPrefixes(
        _ summary: UInt64, _ words: UnsafePointer<UInt64>, _ looked: UnsafeMutablePointer<UInt64>,
        _ prefixes: inout InlineArray<4, TrieResult>, _ walked: inout Int
    ) -> Bool {
        if summary & 0xffff_ffff == 0 { return true }
        for field in 0..<4 {
            let length = Int(summary >> UInt64(8 * field) & 0xff)
            if length == 0 { continue }
            let trieField = TrieField(rawValue: field).unsafelyUnwrapped
            if walked >> field & 1 == 0 {
                walked |= 1 << field
                prefixes[field] = tries[field].lookup(trieField.load(words))
            }
            if !prefixes[field].contains(length) {
                trieField.unwildcard(min(prefixes[field].checkedBits, length), in: looked)
                return false
            }
        }
        return true
    }

    /// Goes through a group's stages. Nil if no rule of it agrees with the packet.
    @inline(__always) private static func enter(
        _ body: UnsafeMutableRawPointer, _ words: UnsafePointer<UInt64>, _ looked: UnsafeMutablePointer<UInt64>, _ seed: UInt64
    ) -> Candidate? {
        let layout = (body + SubtableGroup.layoutOffset).assumingMemoryBound(to: SubtableGroup.Layout.self)
        let maskWords = (body + SubtableGroup.wordsOffset).assumingMemoryBound(to: SubtableGroup.MaskWord.self)
        let ends = layout.pointee.stageEnds
        var candidate = Candidate()
        candidate.filter = UInt64.max
        var hash = seed
        var place = 0
        for stage in 0..<3 {
            let end = stage == 0 ? ends.0 : stage == 1 ? ends.1 : ends.2
            if end == place { continue }
            while place < end {
                let (word, bits) = (maskWords[place].place, maskWords[place].bits)
                hash = hashStep(hash, words[word] & bits)
                looked[word] |= bits
                place += 1
            }
            guard let table = HashTableLink(loadWord(body, 1 + stage)) else { continue }
            candidate.filter = SubtableGroup.filter(table, hashFinish(hash))
            if candidate.filter == 0 { return nil }
        }
        let list = pointer(loadWord(body, 0)).unsafelyUnwrapped
        candidate.hash = hash
        candidate.count = list.load(as: Int.self)
        candidate.members = SubtableGroup.members(list)
        return candidate
    }

    /// Looks into the candidate's next subtable.
    @inline(__always) private static func visit(
        _ candidate: inout Candidate, _ words: UnsafePointer<UInt64>, _ looked: UnsafeMutablePointer<UInt64>, _ version: UInt64,
        _ best: inout UnsafeMutableRawPointer?, _ bestPriority: inout Int64
    ) {
        let member = candidate.members.unsafelyUnwrapped + candidate.next
        candidate.next += 1
        candidate.advance()
        var hash = candidate.hash
        let (first, second) = (SubtableGroup.furtherWords.0, SubtableGroup.furtherWords.1)
        if member.pointee.bits.0 != 0 {
            hash = hashStep(hash, words[first] & member.pointee.bits.0)
            looked[first] |= member.pointee.bits.0
        }
        if member.pointee.bits.1 != 0 {
            hash = hashStep(hash, words[second] & member.pointee.bits.1)
            looked[second] |= member.pointee.bits.1
        }
        guard let node = find(member.pointee.body, hashFinish(hash), words, version) else { return }
        let priority = node.load(fromByteOffset: ClassifierRule.priorityWord * 8, as: Int64.self)
        if priority > bestPriority {
            best = node
            bestPriority = priority
        }
    }

    @inline(__always) private static func find(
        _ body: UnsafeMutableRawPointer, _ hash: UInt64, _ words: UnsafePointer<UInt64>, _ version: UInt64
    ) -> UnsafeMutableRawPointer? {
        let table = HashTableLink(loadWord(body, 0)).unsafelyUnwrapped
        var index = hash & table.mask
        while true {
            let slot = loadWord(table.slots, Int(index))
            if slot == 0 { return nil }
            if slot != Subtable.tombstone, (slot ^ hash) & ~Subtable.addressMask == 0,
                var node = pointer(slot & Subtable.addressMask)
            {
                let layout = (body + Subtable.layoutOffset).assumingMemoryBound(to: Subtable.Layout.self)
                let key = (node + ClassifierRule.keyWord * 8).assumingMemoryBound(to: UInt64.self)
                var difference: UInt64 = 0
                for word in 0..<layout.pointee.wordCount {
                    difference |= key[word] ^ (words[Int(layout.pointee.words[word])] & layout.pointee.bits[word])
                }
                if difference == 0 {
                    while true {
                        let addedIn = node.load(fromByteOffset: ClassifierRule.addedInWord * 8, as: UInt64.self)
                        if addedIn <= version, version < loadWord(node, ClassifierRule.removedInWord) { return node }
                        guard let next = pointer(loadWord(node, ClassifierRule.nextWord)) else { return nil }
                        node = next
                    }
                }
            }
            index = (index + 1) & table.mask
        }
    }
}
