// A field of a key in raw memory, without copying the key.
//
// `FlowKey`'s subscript is for values; through a pointer it moves all 512 bytes for a field of two.

internal import Flow

/// Keys and masks by pointer.
enum RawField {
    /// The field's bits, right-aligned.
    @inline(__always) static func load(_ key: UnsafeRawPointer, _ field: Field) -> UInt128 {
        let layout = field.layout
        return read(key, layout) >> UInt128(layout.shift) & layout.allOnes
    }

    /// Writes the bits of `mask`.
    @inline(__always) static func store(_ key: UnsafeMutableRawPointer, _ field: Field, _ value: UInt128, mask: UInt128) {
        let layout = field.layout
        let bits = (mask & layout.allOnes) << UInt128(layout.shift)
        write(key, layout, read(key, layout) & ~bits | (value << UInt128(layout.shift)) & bits)
    }

    @inline(__always) private static func read(_ key: UnsafeRawPointer, _ layout: FieldLayout) -> UInt128 {
        let place = key + layout.byteOffset
        switch layout.byteCount {
        case 1: return UInt128(place.load(as: UInt8.self))
        case 2: return UInt128(UInt16(bigEndian: place.loadUnaligned(as: UInt16.self)))
        case 4: return UInt128(UInt32(bigEndian: place.loadUnaligned(as: UInt32.self)))
        case 6:
            let high = UInt64(UInt16(bigEndian: place.loadUnaligned(as: UInt16.self)))
            return UInt128(high << 32 | UInt64(UInt32(bigEndian: place.loadUnaligned(fromByteOffset: 2, as: UInt32.self))))
        case 8: return UInt128(UInt64(bigEndian: place.loadUnaligned(as: UInt64.self)))
        default:
            let high = UInt128(UInt64(bigEndian: place.loadUnaligned(as: UInt64.self)))
            return high << 64 | UInt128(UInt64(bigEndian: place.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    @inline(__always) private static func write(_ key: UnsafeMutableRawPointer, _ layout: FieldLayout, _ value: UInt128) {
        let place = key + layout.byteOffset
        let low = UInt64(truncatingIfNeeded: value)
        switch layout.byteCount {
        case 1: place.storeBytes(of: UInt8(truncatingIfNeeded: low), as: UInt8.self)
        case 2: place.storeBytes(of: UInt16(truncatingIfNeeded: low).bigEndian, as: UInt16.self)
        case 4: place.storeBytes(of: UInt32(truncatingIfNeeded: low).bigEndian, as: UInt32.self)
        case 6:
            place.storeBytes(of: UInt16(truncatingIfNeeded: low >> 32).bigEndian, as: UInt16.self)
            place.storeBytes(of: UInt32(truncatingIfNeeded: low).bigEndian, toByteOffset: 2, as: UInt32.self)
        case 8: place.storeBytes(of: low.bigEndian, as: UInt64.self)
        default:
            place.storeBytes(of: UInt64(truncatingIfNeeded: value >> 64).bigEndian, as: UInt64.self)
            place.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
    }
}
