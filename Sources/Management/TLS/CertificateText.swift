// What is needed of X.509 to keep an authority's certificate: whether it vouches for itself, and its text form (RFC 7468).

enum CertificateText {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    /// RFC 7468 section 2: 64 characters a line.
    private static let lineLength = 64

    /// The certificate between its BEGIN and END lines.
    static func pem(_ der: [UInt8]) -> String {
        var text = "-----BEGIN CERTIFICATE-----\n"
        var line: [UInt8] = []
        for character in base64(der) {
            line.append(character)
            if line.count == lineLength {
                text += String(decoding: line, as: UTF8.self) + "\n"
                line.removeAll()
            }
        }
        if !line.isEmpty { text += String(decoding: line, as: UTF8.self) + "\n" }
        return text + "-----END CERTIFICATE-----\n"
    }

    private static func base64(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group: UInt32 = 0
            for place in 0..<3 { group = group << 8 | (place < count ? UInt32(bytes[index + place]) : 0) }
            for place in 0..<4 {
                result.append(place <= count ? alphabet[Int(group >> UInt32(18 - 6 * place) & 63)] : UInt8(ascii: "="))
            }
            index += 3
        }
        return result
    }

    /// Whether issuer and subject of a DER certificate are the same name. False for what cannot be read.
    static func isSelfIssued(_ der: [UInt8]) -> Bool {
        guard let names = names(der) else { return false }
        return names.issuer.elementsEqual(names.subject)
    }

    /// The subject's common name (the last one, if there are several); nil if there is none.
    static func commonName(_ der: [UInt8]) -> String? {
        guard var rest = names(der)?.subject else { return nil }
        var found: String?
        // A sequence of sets of pairs: object identifier, string.
        while let set = element(rest) {
            rest = set.rest
            var pairs = set.content
            while let pair = element(pairs) {
                pairs = pair.rest
                guard let kind = element(pair.content), let value = element(kind.rest) else { continue }
                // 2.5.4.3
                if kind.tag == 0x06, kind.content.elementsEqual([0x55, 0x04, 0x03]) {
                    found = String(decoding: value.content, as: UTF8.self)
                }
            }
        }
        return found
    }

    /// Issuer and subject (RFC 5280 section 4.1: version, serial number, signature, issuer, validity, subject, in this order).
    private static func names(_ der: [UInt8]) -> (issuer: ArraySlice<UInt8>, subject: ArraySlice<UInt8>)? {
        guard let certificate = element(der[...]), let body = element(certificate.content) else { return nil }
        var rest = body.content
        var parts: [ArraySlice<UInt8>] = []
        while parts.count < 5, let next = element(rest) {
            // The version is optional, and tagged [0].
            if !(parts.isEmpty && next.tag == 0xa0) { parts.append(next.content) }
            rest = next.rest
        }
        // serialNumber, signature, issuer, validity, subject
        return parts.count == 5 ? (parts[2], parts[4]) : nil
    }

    /// The first element of DER bytes.
    private static func element(_ bytes: ArraySlice<UInt8>) -> (tag: UInt8, content: ArraySlice<UInt8>, rest: ArraySlice<UInt8>)? {
        var bytes = bytes
        guard let tag = bytes.popFirst(), let first = bytes.popFirst() else { return nil }
        var length = Int(first)
        if first >= 0x80 {
            let count = Int(first & 0x7f)
            guard count > 0, count <= 4 else { return nil }
            length = 0
            for _ in 0..<count {
                guard let byte = bytes.popFirst() else { return nil }
                length = length << 8 | Int(byte)
            }
        }
        guard length <= bytes.count else { return nil }
        return (tag, bytes.prefix(length), bytes.dropFirst(length))
    }
}
