// Groups and meters: bodies after the header.

internal import Flow

enum GroupCodec {
    // MARK: Groups

    static func decodeMod(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> GroupMod {
        let number = try reader.u16()
        let command = GroupMod.Command(rawValue: number)
        let kindNumber = try reader.u8()
        try reader.skip(1)
        let id = try reader.u32()
        guard let command, version.hasWideGroups || (command != .insertBucket && command != .removeBucket) else {
            throw OpenFlowError(.gmfcBadCommand, "group-mod command \(number)")
        }
        var mod = GroupMod(command: command, kind: try kind(kindNumber), groupID: id)
        if version.hasWideGroups {
            let bytes = Int(try reader.u16())
            try reader.skip(2)
            mod.commandBucketID = try reader.u32()
            try checkCommandBucket(mod)
            var list = try reader.sub(bytes)
            mod.buckets = try buckets(&list, version, mod.kind)
            try GroupPropertyCodec.decode(&reader, mod.kind, mod.command, &mod.selection)
        } else {
            mod.buckets = try buckets(&reader, version, mod.kind)
            if version >= .v1_3, command == .delete, !mod.buckets.isEmpty {
                throw OpenFlowError(.gmfcInvalidGroup, "a delete of group \(id) that has buckets")
            }
        }
        try check(mod)
        return mod
    }

    /// Which bucket a command is about: one for insert and remove, all of them for the others.
    private static func checkCommandBucket(_ mod: GroupMod) throws(OpenFlowError) {
        let id = mod.commandBucketID
        let isOne = id <= GroupMod.maximumBucket || id == GroupMod.firstBucket || id == GroupMod.lastBucket
        let isGood =
            switch mod.command {
            case .insertBucket: isOne
            case .removeBucket: isOne || id == GroupMod.allBuckets
            case .add, .modify, .delete, .addOrModify: id == GroupMod.allBuckets
            }
        if !isGood { throw OpenFlowError(.gmfcBadBucket, "command bucket \(id) with a group-mod of command \(mod.command.rawValue)") }
    }

    /// What a group may be like (OpenFlow 1.3 section 6.4).
    private static func check(_ mod: GroupMod) throws(OpenFlowError) {
        if mod.kind == .indirect, mod.command != .delete, mod.command != .removeBucket, mod.buckets.count != 1 {
            throw OpenFlowError(.gmfcInvalidGroup, "an indirect group has one bucket, not \(mod.buckets.count)")
        }
        if mod.command == .removeBucket, !mod.buckets.isEmpty {
            throw OpenFlowError(.gmfcBadBucket, "a remove-bucket with buckets of its own")
        }
        for bucket in mod.buckets {
            if bucket.weight != 0, mod.kind != .select, mod.command != .insertBucket {
                throw OpenFlowError(.gmfcInvalidGroup, "weight \(bucket.weight) of a bucket: only select groups have weights")
            }
            switch mod.kind {
            case .all, .indirect:
                if bucket.hasLiveness { throw OpenFlowError(.gmfcWatchUnsupported, "a bucket of this kind of group watches nothing") }
            case .select: break
            case .fastFailover:
                if !bucket.hasLiveness {
                    throw OpenFlowError(.gmfcInvalidGroup, "a fast failover group's bucket watches a port or a group")
                }
            }
        }
    }

    static func encodeMod(_ mod: GroupMod, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u16(mod.command.rawValue)
        writer.u8(mod.kind.rawValue)
        writer.u8(0)
        writer.u32(mod.groupID)
        let lengthOffset = writer.count
        if version.hasWideGroups {
            writer.u32(0)
            writer.u32(mod.commandBucketID)
        }
        let start = writer.count
        for bucket in mod.buckets { encode(bucket, version, mod.kind, &writer) }
        if version.hasWideGroups {
            writer.patch16(writer.count - start, at: lengthOffset)
            if let selection = mod.selection { GroupPropertyCodec.encode(selection, version, &writer) }
        }
    }

    private static func kind(_ number: UInt8) throws(OpenFlowError) -> GroupKind {
        guard let kind = GroupKind(rawValue: number) else { throw OpenFlowError(.gmfcBadType, "group type \(number)") }
        return kind
    }

    private static func buckets(
        _ reader: inout ByteReader, _ version: OpenFlowVersion, _ kind: GroupKind
    ) throws(OpenFlowError) -> [GroupBucket] {
        var result: [GroupBucket] = []
        reader.lengthError = .gmfcBadBucket
        while !reader.isAtEnd {
            let length = Int(try reader.u16())
            guard length >= 16 || (version.hasWideGroups && length >= 8), length % 8 == 0 else {
                throw OpenFlowError(.gmfcBadBucket, "bucket of \(length) bytes")
            }
            var body = try reader.sub(length - 2, lengthError: .gmfcBadBucket)
            var bucket = GroupBucket(actions: [])
            if version.hasWideGroups {
                let actionBytes = Int(try body.u16())
                bucket.bucketID = try body.u32()
                if bucket.bucketID > GroupMod.maximumBucket {
                    throw OpenFlowError(.gmfcBadBucket, "bucket \(bucket.bucketID) is above \(GroupMod.maximumBucket)")
                }
                bucket.weight = kind == .select ? 1 : 0
                var list = try body.sub(actionBytes)
                bucket.actions = try ActionDecoder(version: version).decode(&list)
                try bucketProperties(&body, &bucket)
            } else {
                bucket.weight = try body.u16()
                bucket.watchPort = OpenFlowPort(try body.u32())
                bucket.watchGroup = try body.u32()
                try body.skip(4)
                bucket.bucketID = UInt32(result.count)
                bucket.actions = try ActionDecoder(version: version).decode(&body)
            }
            if bucket.watchPort != .any, !bucket.watchPort.isEncodable {
                throw OpenFlowError(.gmfcBadWatch, "watch port \(bucket.watchPort.rawValue) is not a port")
            }
            result.append(bucket)
        }
        if version.hasWideGroups, Set(result.map(\.bucketID)).count != result.count {
            throw OpenFlowError(.gmfcBadBucket, "two buckets have the same number")
        }
        return result
    }

    private static func bucketProperties(_ reader: inout ByteReader, _ bucket: inout GroupBucket) throws(OpenFlowError) {
        while !reader.isAtEnd {
            var (type, body) = try reader.property()
            switch type {
            case 0: bucket.weight = try body.u16()
            case 1: bucket.watchPort = OpenFlowPort(try body.u32())
            case 2: bucket.watchGroup = try body.u32()
            default: throw OpenFlowError(.bpcBadType, "property \(type) of a bucket")
            }
        }
    }

    private static func encode(_ bucket: GroupBucket, _ version: OpenFlowVersion, _ kind: GroupKind, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u16(0)
        if version.hasWideGroups {
            writer.u16(0)
            writer.u32(bucket.bucketID)
            ActionEncoder(version: version).encode(bucket.actions, to: &writer)
            writer.patch16(writer.count - start - 8, at: start + 2)
            if kind == .select || bucket.weight != 0 { writer.property(0) { $0.u16(bucket.weight) } }
            if bucket.watchPort != .any { writer.property(1) { $0.u32(bucket.watchPort.rawValue) } }
            if bucket.watchGroup != FlowMod.anyGroup { writer.property(2) { $0.u32(bucket.watchGroup) } }
        } else {
            writer.u16(bucket.weight)
            writer.u32(bucket.watchPort.rawValue)
            writer.u32(bucket.watchGroup)
            writer.u32(0)
            ActionEncoder(version: version).encode(bucket.actions, to: &writer)
        }
        writer.patch16(writer.count - start, at: start)
    }

    static func decodeDescription(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> GroupDescription {
        let length = Int(try reader.u16())
        guard length >= 8 else { throw OpenFlowError(.brcBadLen, "group description of \(length) bytes") }
        var body = try reader.sub(length - 2)
        let kind = try kind(try body.u8())
        try body.skip(1)
        let id = try body.u32()
        if version.hasWideGroups {
            let bytes = Int(try body.u16())
            try body.skip(6)
            var list = try body.sub(bytes)
            var group = GroupDescription(kind: kind, groupID: id, buckets: try buckets(&list, version, kind))
            try GroupPropertyCodec.decode(&body, kind, .add, &group.selection)
            return group
        }
        return GroupDescription(kind: kind, groupID: id, buckets: try buckets(&body, version, kind))
    }

    static func encode(_ group: GroupDescription, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u16(0)
        writer.u8(group.kind.rawValue)
        writer.u8(0)
        writer.u32(group.groupID)
        if version.hasWideGroups { writer.zeros(8) }
        let list = writer.count
        for bucket in group.buckets { encode(bucket, version, group.kind, &writer) }
        if version.hasWideGroups {
            writer.patch16(writer.count - list, at: start + 8)
            if let selection = group.selection { GroupPropertyCodec.encode(selection, version, &writer) }
        }
        writer.patch16(writer.count - start, at: start)
    }

    static func decodeStats(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> GroupStats {
        let length = Int(try reader.u16())
        guard length >= (version.hasGroupDurations ? 40 : 32) else {
            throw OpenFlowError(.brcBadLen, "group statistics of \(length) bytes")
        }
        var body = try reader.sub(length - 2)
        try body.skip(2)
        let id = try body.u32()
        let references = try body.u32()
        try body.skip(4)
        let packets = try body.u64()
        let bytes = try body.u64()
        let seconds = version.hasGroupDurations ? try body.u32() : 0
        let nanoseconds = version.hasGroupDurations ? try body.u32() : 0
        return GroupStats(
            groupID: id, referenceCount: references, packetCount: packets, byteCount: bytes, durationSeconds: seconds,
            durationNanoseconds: nanoseconds, buckets: try counters(&body))
    }

    static func encode(_ stats: GroupStats, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u32(0)
        writer.u32(stats.groupID)
        writer.u32(stats.referenceCount)
        writer.u32(0)
        writer.u64(stats.packetCount)
        writer.u64(stats.byteCount)
        if version.hasGroupDurations {
            writer.u32(stats.durationSeconds)
            writer.u32(stats.durationNanoseconds)
        }
        encode(stats.buckets, &writer)
        writer.patch16(writer.count - start, at: start)
    }

    private static func counters(_ reader: inout ByteReader) throws(OpenFlowError) -> [GroupStats.Bucket] {
        var result: [GroupStats.Bucket] = []
        while !reader.isAtEnd {
            let packets = try reader.u64()
            result.append(GroupStats.Bucket(packetCount: packets, byteCount: try reader.u64()))
        }
        return result
    }

    private static func encode(_ counters: [GroupStats.Bucket], _ writer: inout ByteWriter) {
        for counter in counters {
            writer.u64(counter.packetCount)
            writer.u64(counter.byteCount)
        }
    }

    static func decodeFeatures(_ reader: inout ByteReader) throws(OpenFlowError) -> GroupFeatures {
        let kinds = try reader.u32()
        let capabilities = try reader.u32()
        var words: [UInt32] = []
        for _ in 0..<8 { words.append(try reader.u32()) }
        return GroupFeatures(
            kinds: kinds, capabilities: capabilities, maximumGroups: Array(words.prefix(4)), actions: Array(words.suffix(4)))
    }

    static func encode(_ features: GroupFeatures, _ writer: inout ByteWriter) {
        writer.u32(features.kinds)
        writer.u32(features.capabilities)
        for list in [features.maximumGroups, features.actions] {
            for index in 0..<4 { writer.u32(index < list.count ? list[index] : 0) }
        }
    }

    // MARK: Meters

    static func decodeMeterMod(_ reader: inout ByteReader) throws(OpenFlowError) -> MeterMod {
        let number = try reader.u16()
        let flags = try reader.u16()
        guard let command = MeterMod.Command(rawValue: number) else { throw OpenFlowError(.mmfcBadCommand, "meter-mod command \(number)") }
        let id = try reader.u32()
        if command == .delete {
            // Only the number counts.
            _ = reader.rest()
            return MeterMod(command: .delete, meter: MeterConfig(meterID: id, flags: [], bands: []))
        }
        // The rates of the bands are in one of two units, and it is said in which.
        guard flags & ~0xf == 0, flags & 3 == 1 || flags & 3 == 2 else {
            throw OpenFlowError(.mmfcBadFlags, "meter flags 0x\(String(flags, radix: 16))")
        }
        return MeterMod(
            command: command, meter: MeterConfig(meterID: id, flags: MeterFlags(rawValue: flags), bands: try bands(&reader)))
    }

    static func encodeMeterMod(_ mod: MeterMod, _ writer: inout ByteWriter) {
        writer.u16(mod.command.rawValue)
        writer.u16(mod.meter.flags.rawValue)
        writer.u32(mod.meter.meterID)
        encode(mod.meter.bands, &writer)
    }

    private static func bands(_ reader: inout ByteReader) throws(OpenFlowError) -> [MeterBand] {
        var result: [MeterBand] = []
        while !reader.isAtEnd {
            let type = try reader.u16()
            let length = Int(try reader.u16())
            guard length == 16 else { throw OpenFlowError(.brcBadLen, "meter band of \(length) bytes, not 16") }
            var body = try reader.sub(12)
            guard let kind = MeterBand.Kind(rawValue: type) else { throw OpenFlowError(.mmfcBadBand, "meter band type \(type)") }
            let rate = try body.u32()
            let burst = try body.u32()
            let level = try body.u8()
            result.append(MeterBand(kind: kind, rate: rate, burst: burst, precedenceLevel: kind == .dscpRemark ? level : 0))
        }
        return result
    }

    private static func encode(_ bands: [MeterBand], _ writer: inout ByteWriter) {
        for band in bands {
            writer.u16(band.kind.rawValue)
            writer.u16(16)
            writer.u32(band.rate)
            writer.u32(band.burst)
            writer.u8(band.kind == .dscpRemark ? band.precedenceLevel : 0)
            writer.zeros(3)
        }
    }

    static func decodeMeterConfig(_ reader: inout ByteReader) throws(OpenFlowError) -> MeterConfig {
        let length = Int(try reader.u16())
        guard length >= 8 else { throw OpenFlowError(.brcBadLen, "meter configuration of \(length) bytes") }
        var body = try reader.sub(length - 2)
        let flags = MeterFlags(rawValue: try body.u16())
        let id = try body.u32()
        return MeterConfig(meterID: id, flags: flags, bands: try bands(&body))
    }

    static func encode(_ meter: MeterConfig, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u16(0)
        writer.u16(meter.flags.rawValue)
        writer.u32(meter.meterID)
        encode(meter.bands, &writer)
        writer.patch16(writer.count - start, at: start)
    }

    static func decodeMeterStats(_ reader: inout ByteReader) throws(OpenFlowError) -> MeterStats {
        let id = try reader.u32()
        let length = Int(try reader.u16())
        guard length >= 40 else { throw OpenFlowError(.brcBadLen, "meter statistics of \(length) bytes") }
        var body = try reader.sub(length - 6)
        try body.skip(6)
        let flows = try body.u32()
        let packets = try body.u64()
        let bytes = try body.u64()
        let seconds = try body.u32()
        let nanoseconds = try body.u32()
        return MeterStats(
            meterID: id, flowCount: flows, packetCount: packets, byteCount: bytes, durationSeconds: seconds,
            durationNanoseconds: nanoseconds, bands: try counters(&body))
    }

    static func encode(_ stats: MeterStats, _ writer: inout ByteWriter) {
        let start = writer.count
        writer.u32(stats.meterID)
        writer.zeros(8)
        writer.u32(stats.flowCount)
        writer.u64(stats.packetCount)
        writer.u64(stats.byteCount)
        writer.u32(stats.durationSeconds)
        writer.u32(stats.durationNanoseconds)
        encode(stats.bands, &writer)
        writer.patch16(writer.count - start, at: start + 4)
    }

    static func decodeMeterFeatures(_ reader: inout ByteReader) throws(OpenFlowError) -> MeterFeatures {
        let meters = try reader.u32()
        let bands = try reader.u32()
        let capabilities = try reader.u32()
        let maximumBands = try reader.u8()
        let colors = try reader.u8()
        _ = reader.rest()
        return MeterFeatures(
            maximumMeters: meters, bandKinds: bands, capabilities: capabilities, maximumBands: maximumBands, maximumColors: colors)
    }

    static func encode(_ features: MeterFeatures, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u32(features.maximumMeters)
        writer.u32(features.bandKinds)
        writer.u32(features.capabilities)
        writer.u8(features.maximumBands)
        writer.u8(features.maximumColors)
        writer.u16(0)
        // 1.5: features, then four bytes of padding.
        if version >= .v1_5 { writer.zeros(8) }
    }
}

extension OpenFlowVersion {
    /// Whether buckets have numbers and properties: in 1.5, and over 1.0, to which Nicira brought groups in 1.5's form.
    fileprivate var hasWideGroups: Bool { self >= .v1_5 || self == .v1_0 }
    fileprivate var hasGroupDurations: Bool { self >= .v1_3 || self == .v1_0 }
}
