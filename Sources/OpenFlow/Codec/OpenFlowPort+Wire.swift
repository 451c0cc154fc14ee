// Port numbers: 16 bits in OpenFlow 1.0, 32 bits later.

public import Flow

extension OpenFlowPort {
    /// From the 16-bit numbering: reserved ports move to the top of the 32-bit one.
    public init(wire16 value: UInt16) { self.init(value < 0xff00 ? UInt32(value) : 0xffff_0000 | UInt32(value)) }

    /// In the 16-bit numbering; what does not fit becomes NONE.
    public var wire16: UInt16 { isEncodable ? UInt16(truncatingIfNeeded: rawValue) : 0xffff }

    /// Whether the number exists in both numberings. Apus assigns no others.
    public var isEncodable: Bool { rawValue < 0xff00 || rawValue >= 0xffff_ff00 }
}
