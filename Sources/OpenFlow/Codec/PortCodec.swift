// Ports: bodies after the header.

internal import Flow

enum PortCodec {
    static let nameBytes = 16

    static func port(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> OpenFlowPort {
        version == .v1_0 ? OpenFlowPort(wire16: try reader.u16()) : OpenFlowPort(try reader.u32())
    }

    static func put(_ port: OpenFlowPort, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        if version == .v1_0 { writer.u16(port.wire16) } else { writer.u32(port.rawValue) }
    }

    // MARK: Descriptions

    static func decodePort(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> PortDescription {
        let number = try port(&reader, version)
        let address: UInt64
        var length = 0
        if version == .v1_0 {
            address = try reader.ethernetAddress()
        } else {
            if version >= .v1_4 {
                length = Int(try reader.u16())
                try reader.skip(2)
            } else {
                try reader.skip(4)
            }
            address = try reader.ethernetAddress()
            try reader.skip(2)
        }
        var result = PortDescription(number: number, hardwareAddress: address, name: try reader.string(nameBytes))
        result.config = PortDescription.Config(rawValue: try reader.u32())
        let state = try reader.u32()
        result.state = PortDescription.State(rawValue: version == .v1_0 ? state & 1 : state)
        if version == .v1_0 {
            result.current = PortDescription.Features(rawValue10: try reader.u32())
            result.advertised = PortDescription.Features(rawValue10: try reader.u32())
            result.supported = PortDescription.Features(rawValue10: try reader.u32())
            result.peer = PortDescription.Features(rawValue10: try reader.u32())
            return result
        }
        if version < .v1_4 {
            try decodeFeatures(&reader, &result)
            return result
        }
        guard length >= 40 else { throw OpenFlowError(.brcBadLen, "port description of \(length) bytes") }
        var properties = try reader.sub(length - 40)
        while !properties.isAtEnd {
            var (type, body) = try properties.property()
            if type == 0 {
                try body.skip(4)
                try decodeFeatures(&body, &result)
            }
        }
        return result
    }

    private static func decodeFeatures(_ reader: inout ByteReader, _ port: inout PortDescription) throws(OpenFlowError) {
        port.current = PortDescription.Features(rawValue: try reader.u32())
        port.advertised = PortDescription.Features(rawValue: try reader.u32())
        port.supported = PortDescription.Features(rawValue: try reader.u32())
        port.peer = PortDescription.Features(rawValue: try reader.u32())
        port.currentSpeed = try reader.u32()
        port.maximumSpeed = try reader.u32()
    }

    static func encodePort(_ port: PortDescription, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let start = writer.count
        put(port.number, version, &writer)
        if version == .v1_0 {
            writer.ethernetAddress(port.hardwareAddress)
        } else {
            writer.u32(0)
            writer.ethernetAddress(port.hardwareAddress)
            writer.u16(0)
        }
        writer.string(port.name, count: nameBytes)
        writer.u32(port.config.intersection(.known(in: version)).rawValue)
        if version == .v1_0 {
            writer.u32(port.state.rawValue & 1)
            for features in [port.current, port.advertised, port.supported, port.peer] { writer.u32(features.rawValue10) }
            return
        }
        writer.u32(port.state.rawValue)
        func features(_ writer: inout ByteWriter) {
            for features in [port.current, port.advertised, port.supported, port.peer] { writer.u32(features.rawValue) }
            writer.u32(port.currentSpeed)
            writer.u32(port.maximumSpeed)
        }
        if version < .v1_4 {
            features(&writer)
        } else {
            writer.property(0) {
                $0.u32(0)
                features(&$0)
            }
            writer.patch16(writer.count - start, at: start + 4)
        }
    }

    // MARK: Messages

    static func decodeStatus(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> PortStatus {
        let reason = try reader.u8()
        try reader.skip(7)
        guard let known = PortStatus.Reason(rawValue: reason) else { throw OpenFlowError(.nxbrcBadReason, "port status reason \(reason)") }
        return PortStatus(reason: known, port: try decodePort(&reader, version))
    }

    static func encodeStatus(_ status: PortStatus, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        writer.u8(status.reason.rawValue)
        writer.zeros(7)
        encodePort(status.port, version, &writer)
    }

    static func decodeMod(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> PortMod {
        let number = try port(&reader, version)
        if version >= .v1_1 { try reader.skip(4) }
        let address = try reader.ethernetAddress()
        if version >= .v1_1 { try reader.skip(2) }
        let known = PortDescription.Config.known(in: version)
        let config = PortDescription.Config(rawValue: try reader.u32()).intersection(known)
        let mask = PortDescription.Config(rawValue: try reader.u32()).intersection(known)
        var advertise = PortDescription.Features()
        if version < .v1_4 {
            let bits = try reader.u32()
            advertise = version == .v1_0 ? PortDescription.Features(rawValue10: bits) : PortDescription.Features(rawValue: bits)
            try reader.skip(4)
        } else {
            while !reader.isAtEnd {
                var (type, body) = try reader.property()
                guard type == 0 else { throw ByteReader.unknownProperty(type, body, of: "a port-mod") }
                advertise = PortDescription.Features(rawValue: try body.u32())
                try body.expectEnd()
            }
        }
        return PortMod(port: number, hardwareAddress: address, config: config, mask: mask, advertise: advertise)
    }

    static func encodeMod(_ mod: PortMod, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        put(mod.port, version, &writer)
        if version >= .v1_1 { writer.u32(0) }
        writer.ethernetAddress(mod.hardwareAddress)
        if version >= .v1_1 { writer.u16(0) }
        writer.u32(mod.config.rawValue)
        writer.u32(mod.mask.rawValue)
        if version < .v1_4 {
            writer.u32(version == .v1_0 ? mod.advertise.rawValue10 : mod.advertise.rawValue)
            writer.u32(0)
        } else if !mod.advertise.isEmpty {
            writer.property(0) { $0.u32(mod.advertise.rawValue) }
        }
    }

    static func decodeQueuePort(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> OpenFlowPort {
        let number = try port(&reader, version)
        try reader.skip(version == .v1_0 ? 2 : 4)
        return number
    }

    static func encodeQueuePort(_ number: OpenFlowPort, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        put(number, version, &writer)
        writer.zeros(version == .v1_0 ? 2 : 4)
    }

    // MARK: Statistics

    static func decodeStats(_ reader: inout ByteReader, _ version: OpenFlowVersion) throws(OpenFlowError) -> PortStats {
        var length = 0
        if version >= .v1_4 {
            length = Int(try reader.u16())
            try reader.skip(2)
        }
        var stats = PortStats(port: try port(&reader, version))
        if version < .v1_4 { try reader.skip(version == .v1_0 ? 6 : 4) }
        if version >= .v1_4 {
            stats.durationSeconds = try reader.u32()
            stats.durationNanoseconds = try reader.u32()
        }
        stats.receivedPackets = try reader.u64()
        stats.sentPackets = try reader.u64()
        stats.receivedBytes = try reader.u64()
        stats.sentBytes = try reader.u64()
        stats.receivedDropped = try reader.u64()
        stats.sentDropped = try reader.u64()
        stats.receivedErrors = try reader.u64()
        stats.sentErrors = try reader.u64()
        if version < .v1_4 {
            try decodeEthernetStats(&reader, &stats)
            if version == .v1_3 {
                stats.durationSeconds = try reader.u32()
                stats.durationNanoseconds = try reader.u32()
            }
            return stats
        }
        guard length >= 80 else { throw OpenFlowError(.brcBadLen, "port statistics of \(length) bytes") }
        var properties = try reader.sub(length - 80)
        while !properties.isAtEnd {
            var (type, body) = try properties.property()
            if type == 0 {
                try body.skip(4)
                try decodeEthernetStats(&body, &stats)
            }
        }
        return stats
    }

    private static func decodeEthernetStats(_ reader: inout ByteReader, _ stats: inout PortStats) throws(OpenFlowError) {
        stats.frameErrors = try reader.u64()
        stats.overrunErrors = try reader.u64()
        stats.crcErrors = try reader.u64()
        stats.collisions = try reader.u64()
    }

    static func encodeStats(_ stats: PortStats, _ version: OpenFlowVersion, _ writer: inout ByteWriter) {
        let start = writer.count
        if version >= .v1_4 { writer.u32(0) }
        put(stats.port, version, &writer)
        if version < .v1_4 { writer.zeros(version == .v1_0 ? 6 : 4) }
        if version >= .v1_4 {
            writer.u32(stats.durationSeconds)
            writer.u32(stats.durationNanoseconds)
        }
        let counters = [
            stats.receivedPackets, stats.sentPackets, stats.receivedBytes, stats.sentBytes, stats.receivedDropped, stats.sentDropped,
            stats.receivedErrors, stats.sentErrors,
        ]
        for counter in counters { writer.u64(counter) }
        let ethernet = [stats.frameErrors, stats.overrunErrors, stats.crcErrors, stats.collisions]
        if version < .v1_4 {
            for counter in ethernet { writer.u64(counter) }
            if version == .v1_3 {
                writer.u32(stats.durationSeconds)
                writer.u32(stats.durationNanoseconds)
            }
        } else {
            writer.property(0) {
                $0.u32(0)
                for counter in ethernet { $0.u64(counter) }
            }
            writer.patch16(writer.count - start, at: start)
        }
    }
}
