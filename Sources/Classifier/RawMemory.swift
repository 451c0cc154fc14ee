// Atomic words in raw memory, and the one hash of this module.
//
// What readers walk (subtables, hash slots, chains, tries) is raw memory made of 64-bit words. A word that can change after
// it was published is only ever touched through these.

internal import Synchronization

/// A word that readers load with acquire and the one writer stores with release.
typealias AtomicWord = UnsafeMutablePointer<Atomic<UInt64>>

@inline(__always) func atomicWord(_ base: UnsafeMutableRawPointer, _ index: Int) -> AtomicWord {
    (base + index * 8).assumingMemoryBound(to: Atomic<UInt64>.self)
}

@inline(__always) func loadWord(_ base: UnsafeMutableRawPointer, _ index: Int) -> UInt64 {
    atomicWord(base, index).pointee.load(ordering: .acquiring)
}

@inline(__always) func storeWord(_ base: UnsafeMutableRawPointer, _ index: Int, _ value: UInt64) {
    atomicWord(base, index).pointee.store(value, ordering: .releasing)
}

@inline(__always) func pointer(_ word: UInt64) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: UInt(word)) }

@inline(__always) func word(_ pointer: UnsafeMutableRawPointer?) -> UInt64 { UInt64(UInt(bitPattern: pointer)) }

/// `count` zeroed words.
func allocateWords(_ count: Int) -> UnsafeMutableRawPointer {
    let raw = UnsafeMutableRawPointer.allocate(byteCount: count * 8, alignment: 8)
    raw.initializeMemory(as: UInt64.self, repeating: 0, count: count)
    return raw
}

/// A hash table as readers find it: one word with the address of its memory in the low 48 bits and the power of two of its
/// slots above, so that a probe goes straight to its slot. The memory begins with two words of the writer's.
struct HashTableLink {
    static let headerBytes = 16
    let slots: UnsafeMutableRawPointer
    let mask: UInt64

    @inline(__always) init?(_ word: UInt64) {
        guard let memory = pointer(word & 0xffff_ffff_ffff) else { return nil }
        slots = memory + HashTableLink.headerBytes
        mask = (1 << (word >> 48)) - 1
    }

    var memory: UnsafeMutableRawPointer { slots - HashTableLink.headerBytes }

    /// How many slots are used or were; the writer's.
    var used: UInt64 {
        get { memory.load(as: UInt64.self) }
        nonmutating set { memory.storeBytes(of: newValue, as: UInt64.self) }
    }

    /// The word for a new table; `capacity` is a power of two.
    static func make(capacity: Int, wordsPerSlot: Int = 1) -> UInt64 {
        word(allocateWords(headerBytes / 8 + capacity * wordsPerSlot)) | UInt64(capacity.trailingZeroBitCount) << 48
    }
}

/// Steps of a multiply-and-fold hash; the seed keeps outsiders from aiming at collisions.
@inline(__always) func hashStep(_ hash: UInt64, _ word: UInt64) -> UInt64 {
    let product = (hash ^ word).multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
    return product.high ^ product.low &+ 0x2545_f491_4f6c_dd1d
}

@inline(__always) func hashFinish(_ hash: UInt64) -> UInt64 {
    let product = hash.multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
    return product.high ^ product.low
}
