internal import Flow

/// Until `Flow` brings its rewriter: fields other than whole Ethernet addresses stay as they are.
enum PacketRewriter {
    @_noLocks static func set(_ field: Field, value: UInt128, mask: UInt128, in data: UnsafeMutableRawPointer, length: Int) {}
}
