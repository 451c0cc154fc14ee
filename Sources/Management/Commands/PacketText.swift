// Packets in commands: hexadecimal bytes, and bytes made of a flow.

internal import Flow

enum PacketText {
    /// Bytes from hexadecimal digits, with spaces, colons and dots between them ignored; nil if there is anything else.
    static func bytes(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text where character != " " && character != ":" && character != "." && character != "\n" {
            guard character.isASCII, let digit = character.hexDigitValue else { return nil }
            if let first = high {
                bytes.append(first << 4 | UInt8(digit))
                high = nil
            } else {
                high = UInt8(digit)
            }
        }
        return high == nil ? bytes : nil
    }

    /// A packet of this flow, as the field makes them: with 64 bytes of payload where such a packet has some, or of this length.
    static func compose(_ key: FlowKey, length: Int? = nil) -> [UInt8] {
        let etherType = key[.ethType]
        guard etherType != 0 else {
            // A type of 0 is what the field puts there.
            var typed = key
            typed[.ethType] = 0x0600
            var packet = typed.compose(payload: [], minimumLength: length ?? 14)
            let place = 12 + 4 * [FlowOffset.vlanTCI, FlowOffset.vlanTCI2].filter { key.load(at: $0, count: 2) & 0x1000 != 0 }.count
            (packet[place], packet[place + 1]) = (0, 0)
            return packet
        }
        var size = 0
        if etherType == 0x0800 || etherType == 0x86dd, key[.ipFrag] & 2 == 0 {
            let isControl = key[.tcpFlags] & 0x7 != 0
            let type = key[.icmpType]
            switch key[.nwProto] {
            case 6: size = isControl ? 0 : 64
            case 17: size = 64
            case 1: size = etherType == 0x0800 && (type == 0 || type == 8) ? 64 : 0
            case 58: size = etherType == 0x86dd && (type == 128 || type == 129) ? 64 : 0
            default: size = 0
            }
        }
        func made(_ size: Int) -> [UInt8] { key.compose(payload: (0..<size).map { UInt8(truncatingIfNeeded: $0) }, minimumLength: 0) }
        let packet = made(size)
        guard let length, length != packet.count else { return packet }
        // The payload gives way, headers do not.
        if length < packet.count { return packet.count - length <= size ? made(size - (packet.count - length)) : packet }
        let grown = made(size + length - packet.count)
        // What has no payload of its own is padded behind its end.
        return grown.count == length ? grown : packet + [UInt8](repeating: 0, count: length - packet.count)
    }
}
