// OpenFlow's versions, as the header's first byte numbers them.

/// A wire version. The raw value is the header's version byte.
public enum OpenFlowVersion: UInt8, CaseIterable, Comparable, Hashable, Sendable, CustomStringConvertible {
    case v1_0 = 1
    case v1_1 = 2
    case v1_2 = 3
    case v1_3 = 4
    case v1_4 = 5
    case v1_5 = 6

    public static func < (left: OpenFlowVersion, right: OpenFlowVersion) -> Bool { left.rawValue < right.rawValue }
    /// `1.0` to `1.5`.
    public var description: String { "1.\(rawValue - 1)" }
    /// `OpenFlow10` to `OpenFlow15`, as `Bridge.protocols` spells it.
    public var protocolName: String { "OpenFlow1\(rawValue - 1)" }
    public init?(protocolName: String) {
        guard let version = OpenFlowVersion.allCases.first(where: { $0.protocolName == protocolName }) else { return nil }
        self = version
    }
}

/// A set of versions: bit n stands for the version whose header byte is n, as in the hello's bitmap.
public struct OpenFlowVersionSet: OptionSet, Hashable, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public init(_ versions: some Sequence<OpenFlowVersion>) {
        rawValue = versions.reduce(0) { $0 | 1 << UInt32($1.rawValue) }
    }
    /// All six.
    public static let all = OpenFlowVersionSet(OpenFlowVersion.allCases)
    /// `version` and all before it: what a hello without a bitmap offers.
    public static func upTo(_ versionByte: UInt8) -> OpenFlowVersionSet {
        OpenFlowVersionSet(rawValue: versionByte >= 31 ? .max & ~1 : (UInt32(1) << (UInt32(versionByte) + 1)) - 2)
    }
    /// The highest version of the set that this code speaks.
    public var highest: OpenFlowVersion? { OpenFlowVersion.allCases.last { contains($0) } }
    public func contains(_ version: OpenFlowVersion) -> Bool { rawValue >> UInt32(version.rawValue) & 1 == 1 }
}

/// Experimenter (vendor) identifiers.
public enum Experimenter {
    public static let nicira: UInt32 = 0x0000_2320
    public static let onf: UInt32 = 0x4f4e_4600
    /// Class of the NSH match fields.
    public static let nsh: UInt32 = 0x005a_d650
}
