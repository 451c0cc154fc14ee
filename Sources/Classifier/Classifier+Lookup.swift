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

/// What was found out about the packet's metadata.
private struct MetadataFilters {
    /// By the number of a metadata stage.
    var filters = InlineArray<16, UInt64>(repeating: 0)
    /// Bits by number: looked up; in the mask.
    var known = 0
    var looked = 0
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
        // Bits of each field that are in the mask because of its trie.
        var noted = InlineArray<4, Int>(repeating: -1)
        var metadata = MetadataFilters()
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
            let summary = index < count ? Classifier.groupSummary(list, index) : 1 << 63
            if Int64(bitPattern: summary) >> 32 > firstPriority, index < count {
                if Int64(bitPattern: summary) >> 32 <= bestPriority { break }
                let exclusion = prefixExclusion(summary, words, &prefixes, &walked)
                // Where the address says no, and with bits that are looked at anyway, it is said.
                if exclusion.field >= 0, exclusion.bits <= noted[exclusion.field] {
                    index += 1
                    continue
                }
                let group = Classifier.groupBody(list, index)
                index += 1
                guard hasMetadata(group, list, words, looked, &metadata) else { continue }
                if exclusion.field >= 0 {
                    noted[exclusion.field] = exclusion.bits
                    TrieField(rawValue: exclusion.field).unsafelyUnwrapped.unwildcard(exclusion.bits, in: looked)
                    continue
                }
                guard
                    var candidate = Classifier.enter(pointer(group & Classifier.addressMask).unsafelyUnwrapped, words, looked, seed)
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

    /// Whether rules of a group may have the packet's metadata. Notes the bits that say no.
    @inline(__always) private func hasMetadata(
        _ group: UInt64, _ list: UnsafeMutableRawPointer, _ words: UnsafePointer<UInt64>, _ looked: UnsafeMutablePointer<UInt64>,
        _ metadata: inout MetadataFilters
    ) -> Bool {
        let number = Int(group >> 56)
        if number == 0 { return true }
        let stage = pointer(list.load(fromByteOffset: 8 * number, as: UInt64.self)).unsafelyUnwrapped
        if metadata.known >> number & 1 == 0 {
            metadata.known |= 1 << number
            metadata.filters[number] = MetadataStage.filter(stage, words, seed)
        }
        if metadata.filters[number] >> (group >> 48 & 63) & 1 == 1 { return true }
        if metadata.looked >> number & 1 == 0 {
            metadata.looked |= 1 << number
            MetadataStage.unwildcard(stage, in: looked)
        }
        return false
    }

    /// The field whose prefixes say that no rule has one of a group's length that the packet's address is in, and how many of the
    /// address's bits say so. The field is -1 if none does.
    @inline(__always) private func prefixExclusion(
        _ summary: UInt64, _ words: UnsafePointer<UInt64>, _ prefixes: inout InlineArray<4, TrieResult>, _ walked: inout Int
    ) -> (field: Int, bits: Int) {
        if summary & 0xffff_ffff == 0 { return (-1, 0) }
        for field in 0..<4 {
            let length = Int(summary >> UInt64(8 * field) & 0xff)
            if length == 0 { continue }
            if walked >> field & 1 == 0 {
                walked |= 1 << field
                prefixes[field] = tries[field].lookup(TrieField(rawValue: field).unsafelyUnwrapped.load(words))
            }
            if !prefixes[field].contains(length) { return (field, min(prefixes[field].checkedBits, length)) }
        }
        return (-1, 0)
    }

    /// Goes through a group's stages. Nil if no rule of it agrees with the packet.
    @inline(__always) private static func enter(
        _ body: UnsafeMutableRawPointer, _ words: UnsafePointer<UInt64>, _ looked: UnsafeMutablePointer<UInt64>, _ seed: UInt64
    ) -> Candidate? {
        let layout = (body + SubtableGroup.layoutOffset).assumingMemoryBound(to: SubtableGroup.Layout.self)
        let maskWords = (body + SubtableGroup.wordsOffset).assumingMemoryBound(to: MaskWord.self)
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
            guard stage > 0, let table = HashTableLink(loadWord(body, stage)) else { continue }
            candidate.filter = StageTable.filter(table, hash)
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
