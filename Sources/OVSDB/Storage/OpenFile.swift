// A descriptor that is closed when nobody needs it any more.

internal import Glibc

/// An open file. Work on another thread keeps it open by holding it.
///
/// ## Thread safety
/// The number never changes; what is done with it (`pread`, `pwrite`, `fdatasync`) is the kernel's to order.
final class OpenFile: Sendable {
    let descriptor: Int32
    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }
}
