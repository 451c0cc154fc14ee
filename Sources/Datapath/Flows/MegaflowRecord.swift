internal import Base
internal import DatapathAPI
internal import Flow
internal import Synchronization

/// What the control side keeps of a megaflow besides its entry.
///
/// ## Thread safety
/// Made by whoever installs; constants never change. The rest belongs to the maintenance thread (`Datapath`'s maintenance lock).
final class MegaflowRecord: @unchecked Sendable {
    let effects: (any TranslationEffects)?
    let compiled: CompiledActions
    let keyExtension: UnsafeMutableRawPointer?
    let port: UInt32
    let subtable: UInt32
    let installedAt: UInt64
    /// Whether hardware was asked to handle it, and cannot.
    let isOffloadRefused = Atomic<Bool>(false)

    /// Counted so far in the per-thread counters, and handed to the translator.
    var packets: UInt64 = 0
    var bytes: UInt64 = 0
    var lastUsed: UInt64 = 0
    var tcpFlags: UInt16 = 0
    /// What earlier megaflows of the same match counted that this one replaced.
    var basePackets: UInt64 = 0
    var baseBytes: UInt64 = 0
    /// The packet that led here, if such are kept. Set before the entry can be found.
    var packet: StoredKey?
    /// Of all these, the packets whose misses led here. Set before the entry can be found.
    var missedPackets: UInt64 = 0
    var missedBytes: UInt64 = 0

    init(
        effects: (any TranslationEffects)?, compiled: CompiledActions, keyExtension: UnsafeMutableRawPointer?, port: UInt32,
        subtable: UInt32, installedAt: UInt64
    ) {
        self.effects = effects
        self.compiled = compiled
        self.keyExtension = keyExtension
        self.port = port
        self.subtable = subtable
        self.installedAt = installedAt
    }

    deinit { keyExtension?.deallocate() }

    /// Last use as far as known; a megaflow that was never hit counts as used when it was installed.
    var lastActivity: UInt64 { max(lastUsed, installedAt) }
}
