/// Names of the VirtIO features a guest may negotiate (VirtIO 1.2, sections 5.1.3 and 6).
enum VhostFeatures {
    private static let known: [(Int, String)] = [
        (0, "csum"), (1, "guest_csum"), (3, "mtu"), (7, "guest_tso4"), (8, "guest_tso6"), (11, "host_tso4"), (12, "host_tso6"),
        (15, "mrg_rxbuf"), (16, "status"), (17, "ctrl_vq"), (21, "guest_announce"), (22, "mq"), (26, "log_all"), (27, "any_layout"),
        (28, "indirect_desc"), (29, "event_idx"), (32, "version_1"), (33, "iommu_platform"), (34, "ring_packed"), (35, "in_order"),
    ]

    /// Those negotiated, in the order of their bits, separated by blanks.
    static func names(_ features: UInt64) -> String {
        known.filter { features >> UInt64($0.0) & 1 == 1 }.map(\.1).joined(separator: " ")
    }

    /// As the field shows them: 16 digits.
    static func hexadecimal(_ features: UInt64) -> String {
        let digits = String(features, radix: 16)
        return "0x" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
