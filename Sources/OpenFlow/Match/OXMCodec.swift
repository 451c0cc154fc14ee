// Matches as type-length-values: NXM (Nicira's, in OpenFlow 1.0 and 1.1) and OXM (1.2 and later).
//
// Both have the same form, and both read all classes; they differ in which numbers they prefer when written, and in where
// a flow-mod's cookie is.

internal import Flow

/// A match with what Nicira's form carries beside it.
struct DecodedMatch {
    @KeptCompact(projectedValue: CompactMatch()) var match: Match
    var cookie: UInt64 = 0
    var cookieMask: UInt64 = 0
}

/// One TLV's value and mask, checked for width and form.
struct DecodedField {
    var wire: WireField
    var value: UInt128
    /// Nil if the TLV has no mask.
    var mask: UInt128?
}

enum OXMCodec {
    // MARK: Reading

    /// Reads TLVs until the reader's end. Checks fields, values, masks, prerequisites and duplicates.
    static func decodeMatch(_ reader: inout ByteReader, allowsCookie: Bool = false) throws(OpenFlowError) -> DecodedMatch {
        var result = DecodedMatch()
        while !reader.isAtEnd {
            if let (cookie, mask) = try cookieHere(&reader) {
                guard allowsCookie else { throw OpenFlowError(.nxbrcNxmInvalid, "a cookie is not allowed in this match") }
                guard result.cookieMask == 0 else { throw OpenFlowError(.bmcDupField, "the cookie comes twice") }
                result.cookie = cookie & mask
                result.cookieMask = mask
                continue
            }
            let decoded = try decodeField(&reader)
            try add(decoded, to: &result.$match)
        }
        return result
    }

    /// The cookie TLV, if it is next.
    private static func cookieHere(_ reader: inout ByteReader) throws(OpenFlowError) -> (UInt64, UInt64)? {
        // Only its class and number: most fields are of another class, and a reader's copy costs.
        guard reader.remaining >= 2, reader.peek16() == FieldCatalog.classNXMNX else { return nil }
        var ahead = reader
        let header = try ahead.u32()
        let isCookie = header >> 16 == UInt32(FieldCatalog.classNXMNX) && UInt8(header >> 9 & 0x7f) == FieldCatalog.cookieNumber
        let length = header & 0xff
        guard isCookie, length == (header & 0x100 != 0 ? 16 : 8) else { return nil }
        let cookie = try ahead.u64()
        let mask = header & 0x100 != 0 ? try ahead.u64() : .max
        reader = ahead
        return (cookie, mask)
    }

    /// Reads one TLV.
    ///
    /// - Parameter forAction: whether it is to be written to a packet, where any bits of any field may be chosen.
    static func decodeField(_ reader: inout ByteReader, forAction: Bool = false) throws(OpenFlowError) -> DecodedField {
        let (wire, hasMask, length) = try decodeHeader(&reader)
        guard length == wire.byteCount * (hasMask ? 2 : 1) else {
            throw OpenFlowError(.bmcBadLen, "\(wire.field.name) has \(length) bytes, not \(wire.byteCount * (hasMask ? 2 : 1))")
        }
        var value = try reader.integer(wire.byteCount)
        var mask = hasMask ? try reader.integer(wire.byteCount) : nil
        if let given = mask {
            // An all-zero mask is the field left out; it must not hide a value.
            if value & ~given != 0 {
                throw OpenFlowError(.bmcBadWildcards, "\(wire.field.name) has value bits outside its mask")
            }
            let full = wire.byteCount == 16 ? UInt128.max : (1 << UInt128(8 * wire.byteCount)) - 1
            if given == full || given == wire.field.layout.allOnes { mask = nil }
        }
        try normalize(wire, &value, &mask, forAction: forAction)
        return DecodedField(wire: wire, value: value, mask: mask)
    }

    /// Reads a TLV's header: the field, the mask bit, and the bytes that follow (without an experimenter's id).
    static func decodeHeader(_ reader: inout ByteReader) throws(OpenFlowError) -> (WireField, hasMask: Bool, length: Int) {
        let header = try reader.u32()
        let wireClass = UInt16(header >> 16)
        let number = UInt8(header >> 9 & 0x7f)
        var length = Int(header & 0xff)
        var experimenter: UInt32 = 0
        if wireClass == FieldCatalog.classExperimenter {
            guard length >= 4 else { throw OpenFlowError(.bmcBadLen, "experimenter field with \(length) bytes") }
            experimenter = try reader.u32()
            length -= 4
        }
        guard let wire = FieldCatalog.field(wireClass: wireClass, number: number, experimenter: experimenter) else {
            throw OpenFlowError(.bmcBadField, "there is no match field with class 0x\(String(wireClass, radix: 16)) number \(number)")
        }
        return (wire, header & 0x100 != 0, length)
    }

    /// Turns the wire's value into the key's: ports to 32 bits, TOS to its DSCP bits; refuses what does not fit.
    private static func normalize(
        _ wire: WireField, _ value: inout UInt128, _ mask: inout UInt128?, forAction: Bool
    ) throws(OpenFlowError) {
        let field = wire.field
        switch field {
        case .inPort where wire.byteCount == 2:
            value = UInt128(OpenFlowPort(wire16: UInt16(value)).rawValue)
        case .inPort, .actsetOutput:
            guard OpenFlowPort(UInt32(value)).isEncodable else {
                throw OpenFlowError(.bmcBadValue, "\(field.name)=\(value) is not a port")
            }
        case .nwTOS:
            guard value & 3 == 0 else { throw OpenFlowError(.bmcBadValue, "nw_tos=\(value) has ECN bits") }
            mask = mask.map { $0 & 0xfc } ?? 0xfc
        default: break
        }
        if value & ~field.layout.allOnes != 0 {
            throw OpenFlowError(.bmcBadValue, "\(field.name)=0x\(String(value, radix: 16)) is wider than \(field.layout.bits) bits")
        }
        if let given = mask {
            if given & ~field.layout.allOnes != 0, field != .vlanVID, field != .tcpFlags {
                throw OpenFlowError(.bmcBadMask, "the mask of \(field.name) is wider than \(field.layout.bits) bits")
            }
            if !field.info.isMaskable, !forAction, field != .nwTOS, given != 0 {
                throw OpenFlowError(.bmcBadMask, "\(field.name) cannot be masked")
            }
            mask = given & field.layout.allOnes
        }
    }

    private static func add(_ decoded: DecodedField, to match: inout CompactMatch) throws(OpenFlowError) {
        let field = decoded.wire.field
        let mask = decoded.mask ?? field.layout.allOnes
        if mask == 0 { return }
        guard match.satisfies(field.info.prerequisite) else {
            throw OpenFlowError(.bmcBadPrereq, "\(field.name) needs another field before it")
        }
        if match.get(field).mask & mask != 0 { throw OpenFlowError(.bmcDupField, "\(field.name) comes twice") }
        match.set(field, decoded.value, mask: mask)
    }

    // MARK: Writing

    /// Writes the fields of `match`. What has no number in `dialect`, or lacks its prerequisite, is left out.
    static func encodeMatch(
        _ match: CompactMatch, _ dialect: MatchDialect, cookie: UInt64 = 0, cookieMask: UInt64 = 0, to writer: inout ByteWriter
    ) {
        if match.present != 0 {
            for field in FieldCatalog.matchOrder {
                guard match.present >> UInt64(field.layout.byteOffset / 8) & 0b11 != 0 else { continue }
                let (value, mask) = match.get(field)
                guard mask != 0 else { continue }
                if field == .vlanTCI {
                    encodeVLAN(match, dialect, to: &writer)
                    continue
                }
                guard match.satisfies(field.info.prerequisite) else { continue }
                if field == .ipDSCP, dialect == .nxm, mask == 0x3f {
                    encodeField(.nwTOS, value: value << 2, mask: nil, dialect, to: &writer)
                    continue
                }
                encodeField(field, value: value, mask: mask == field.layout.allOnes ? nil : mask, dialect, to: &writer)
            }
        }
        if cookieMask != 0 {
            let isExact = cookieMask == .max
            writer.u16(FieldCatalog.classNXMNX)
            writer.u8(FieldCatalog.cookieNumber << 1 | (isExact ? 0 : 1))
            writer.u8(isExact ? 8 : 16)
            writer.u64(cookie & cookieMask)
            if !isExact { writer.u64(cookieMask) }
        }
    }

    /// The VLAN: one TCI in Nicira's form; id (with its present bit) and priority in the standard's, as far as they can say it.
    private static func encodeVLAN(_ match: CompactMatch, _ dialect: MatchDialect, to writer: inout ByteWriter) {
        let (tci, mask) = match.get(.vlanTCI)
        let isStandard =
            switch dialect {
            case .nxm: false
            case .oxm:
                // Priority is matched whole, under a tag, or not at all; "untagged" has no priority bits to speak of.
                tci == 0 && mask == 0xffff || mask & 0xe000 == 0 || (mask & 0xf000 == 0xf000 && tci & 0x1000 != 0)
            }
        guard isStandard else {
            encodeField(.vlanTCI, value: tci, mask: mask == 0xffff ? nil : mask, dialect, to: &writer)
            return
        }
        let idMask = mask & 0x1fff
        if idMask != 0 { encodeField(.vlanVID, value: tci & 0x1fff, mask: idMask == 0x1fff ? nil : idMask, dialect, to: &writer) }
        if mask & 0xe000 == 0xe000, tci & 0x1000 != 0 {
            encodeField(.vlanPCP, value: tci >> 13, mask: nil, dialect, to: &writer)
        }
    }

    /// Writes one TLV; nothing if the field has no number.
    static func encodeField(_ field: Field, value: UInt128, mask: UInt128?, _ dialect: MatchDialect, to writer: inout ByteWriter) {
        guard let wire = FieldCatalog.header(of: field, dialect) else { return }
        encodeHeader(wire, hasMask: mask != nil, to: &writer)
        let isPort16 = field == .inPort && wire.byteCount == 2
        writer.integer(isPort16 ? UInt128(OpenFlowPort(UInt32(truncatingIfNeeded: value)).wire16) : value, count: wire.byteCount)
        if let mask { writer.integer(mask, count: wire.byteCount) }
    }

    static func encodeHeader(_ wire: WireField, hasMask: Bool, to writer: inout ByteWriter) {
        writer.u32(wire.header(hasMask: hasMask))
        if wire.experimenter != 0 { writer.u32(wire.experimenter) }
    }

    // MARK: ofp_match of 1.2 and later

    /// Reads `ofp_match` with type OFPMT_OXM and its padding.
    static func decodeStandardMatch(_ reader: inout ByteReader) throws(OpenFlowError) -> Match {
        try decodeCompactMatch(&reader).match
    }

    /// The same, as it is kept.
    static func decodeCompactMatch(_ reader: inout ByteReader) throws(OpenFlowError) -> CompactMatch {
        let type = try reader.u16()
        let length = Int(try reader.u16())
        guard type == 1 else { throw OpenFlowError(.bmcBadType, "match type \(type) is not OFPMT_OXM (1)") }
        guard length >= 4, (length + 7) / 8 * 8 - 4 <= reader.remaining else {
            throw OpenFlowError(.bmcBadLen, "match length \(length) where \(reader.remaining + 4) bytes are there")
        }
        var fields = try reader.sub(length - 4, lengthError: .bmcBadLen)
        let match = try decodeMatch(&fields).$match
        try reader.skip((8 - length % 8) % 8)
        return match
    }

    static func encodeStandardMatch(_ match: CompactMatch, version: OpenFlowVersion, to writer: inout ByteWriter) {
        writer.property(1) { encodeMatch(match, .oxm(version), to: &$0) }
    }

    /// Reads `length` bytes of Nicira's form and the padding to a multiple of eight.
    static func decodeNXM(_ reader: inout ByteReader, length: Int, allowsCookie: Bool) throws(OpenFlowError) -> DecodedMatch {
        var fields = try reader.sub(length, lengthError: .bmcBadLen)
        let decoded = try decodeMatch(&fields, allowsCookie: allowsCookie)
        try reader.skip((8 - length % 8) % 8)
        return decoded
    }
}
