import Base
import Glibc
import Synchronization
import Testing

@Suite struct QuiescentStateTests {
    @Test func gracePeriodsWaitForOnlineReadersOnly() {
        let state = QuiescentState(slotCount: 3)
        defer { state.deallocate() }
        let first = state.beginGracePeriod()
        #expect(state.hasPassed(first))
        state.online(1)
        let second = state.beginGracePeriod()
        #expect(!state.hasPassed(second))
        state.quiescent(1)
        #expect(state.hasPassed(second))
        let third = state.beginGracePeriod()
        #expect(!state.hasPassed(third))
        state.offline(1)
        #expect(state.hasPassed(third))
        // Who comes online after a grace period began cannot hold what was unlinked before.
        let fourth = state.beginGracePeriod()
        state.online(2)
        #expect(state.hasPassed(fourth))
        state.offline(2)
    }

    /// A word behind a published pointer is poisoned only after a grace period: no reader ever sees the poison.
    @Test func readersNeverSeeFreedMemory() {
        final class Shared: Sendable {
            let state = QuiescentState(slotCount: 2)
            let pointer: Atomic<UInt>
            let stop = Atomic<Bool>(false)
            let failures = Atomic<Int>(0)
            init(_ first: UInt) { pointer = Atomic(first) }
        }
        func make() -> UInt {
            let word = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: 1)
            UnsafeMutableRawPointer(word).storeBytes(of: 42, as: UInt64.self)
            return UInt(bitPattern: word)
        }
        let shared = Shared(make())
        let readers = (0..<2).map { slot in
            PlainThread {
                shared.state.online(slot)
                while !shared.stop.load(ordering: .relaxed) {
                    let word = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: shared.pointer.load(ordering: .acquiring))!
                    if word.pointee.load(ordering: .relaxed) != 42 { shared.failures.wrappingAdd(1, ordering: .relaxed) }
                    shared.state.quiescent(slot)
                }
                shared.state.offline(slot)
            }
        }
        var old: [UnsafeMutablePointer<Atomic<UInt64>>] = []
        for _ in 0..<200 {
            let previous = shared.pointer.exchange(make(), ordering: .acquiringAndReleasing)
            shared.state.synchronize()
            let word = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: previous)!
            word.pointee.store(0xdead, ordering: .relaxed)
            old.append(word)
        }
        shared.stop.store(true, ordering: .relaxed)
        readers.forEach { $0.join() }
        old.forEach { $0.deallocate() }
        #expect(shared.failures.load(ordering: .relaxed) == 0)
        UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: shared.pointer.load(ordering: .relaxed))!.deallocate()
        shared.state.deallocate()
    }
}

/// A thread of its own: tasks that spin would hold the few threads that all tests' tasks share.
final class PlainThread {
    private var thread = pthread_t()
    private final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    init(_ body: @escaping @Sendable () -> Void) {
        let result = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(Box(body)).toOpaque())
        precondition(result == 0, "no thread for a test")
    }
    func join() { pthread_join(thread, nil) }
}

@Suite struct RecordRingTests {
    @Test func isBoundedAndKeepsOrder() {
        let ring = RecordRing(capacity: 4, stride: 12)
        defer { ring.deallocate() }
        #expect(ring.nextToConsume() == nil)
        var next = 0
        for round in 0..<5 {
            while let record = ring.nextToProduce() {
                record.storeBytes(of: next, as: Int.self)
                ring.produce()
                next += 1
            }
            #expect(ring.count == 4)
            for offset in 0..<4 {
                #expect(ring.nextToConsume()?.load(as: Int.self) == round * 4 + offset)
                ring.consume()
            }
        }
        #expect(ring.count == 0)
    }

    @Test func handsOverBetweenThreads() {
        let ring = RecordRing(capacity: 16, stride: 8)
        let total = 20_000
        let producer = PlainThread {
            for number in 0..<total {
                while true {
                    if let record = ring.nextToProduce() {
                        record.storeBytes(of: number, as: Int.self)
                        ring.produce()
                        break
                    }
                    sched_yield()
                }
            }
        }
        var isRight = true
        for number in 0..<total {
            while ring.nextToConsume() == nil { sched_yield() }
            isRight = isRight && ring.nextToConsume()!.load(as: Int.self) == number
            ring.consume()
        }
        producer.join()
        #expect(isRight)
        ring.deallocate()
    }
}

@Suite struct KeyedHashTests {
    @Test func looksAtMaskedBitsOnlyAndSpreads() {
        let secrets = HashSecrets(seed: 3)
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 32)
        defer { words.deallocate() }
        words.initialize(repeating: 0, count: 32)
        for index in 0..<16 { words[16 + index] = secrets.words[index] }
        let (line, mask) = (words, words + 8)
        mask[3] = 0xff00
        var buckets = [Int](repeating: 0, count: 64)
        for value in 0..<256 as Range<UInt64> {
            line[3] = value << 8
            let hash = KeyedHash.maskedLine(line, mask, words + 16, 0)
            buckets[Int(hash & 63)] += 1
            line[3] |= 0xffff_ffff_ffff_00ff & ~0xff00 & ~0xff << 8
            line[5] = value
            #expect(KeyedHash.maskedLine(line, mask, words + 16, 0) == hash)
            line[5] = 0
        }
        // 256 keys in 64 buckets: four each, give or take.
        #expect(buckets.max()! <= 16)
        // Another seed, other hashes.
        let other = HashSecrets(seed: 4)
        #expect((0..<16).contains { other.words[$0] != secrets.words[$0] })
    }
}
