// Which versions of TLS are spoken.

/// What a list such as `TLSv1.2,TLSv1.3` or `TLSv1.2+` allows. There is nothing below 1.2.
struct TLSVersionRange: Equatable {
    enum Version: Int { case v1_2 = 2, v1_3 }

    var lowest = Version.v1_2
    var highest = Version.v1_3

    /// - Parameter text: versions and ranges, separated by commas or blanks; empty is all of them
    init(_ text: String) throws(TLSError) {
        func version(_ name: Substring) throws(TLSError) -> Version {
            switch name {
            case "TLSv1.2": .v1_2
            case "TLSv1.3": .v1_3
            default: throw .badProtocols(text)
            }
        }
        let parts = text.split { $0 == "," || $0 == " " }
        if parts.isEmpty { return }
        var found: [Version] = []
        for part in parts {
            if part.hasSuffix("+") {
                found += [try version(part.dropLast()), .v1_3]
                continue
            }
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count <= 2, let first = ends.first, let last = ends.last else { throw .badProtocols(text) }
            let range = (try version(first), try version(last))
            guard range.0.rawValue <= range.1.rawValue else { throw .badProtocols(text) }
            found += [range.0, range.1]
        }
        lowest = found.contains(.v1_2) ? .v1_2 : .v1_3
        highest = found.contains(.v1_3) ? .v1_3 : .v1_2
    }
}
