// Asking for memory before it is needed.

internal import CLinux

/// Asks for the cache line at `address`, which need not be valid; nil asks for nothing.
public func prefetch(_ address: UnsafeRawPointer?) {
    if let address { clinux_prefetch(address) }
}
