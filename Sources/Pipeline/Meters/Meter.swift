// A bridge's meter, and the numbers by which the datapath knows meters.

internal import Base
internal import DatapathAPI
internal import OpenFlow
internal import Synchronization

/// A meter as it was configured.
struct Meter: Sendable {
    var config: MeterConfig
    /// The datapath's number.
    let datapathMeter: UInt32
    let created: Instant
}

/// The datapath's meter numbers, given out lowest first.
///
/// ## Thread safety
/// Guarded by a lock.
final class MeterNumbers: Sendable {
    private struct State {
        /// Given back, in no order.
        var free: Set<UInt32> = []
        var next: UInt32 = 0
    }
    private let state = Mutex(State())

    /// Nil if all are taken.
    func take() -> UInt32? {
        state.withLock { state in
            if let number = state.free.min() {
                state.free.remove(number)
                return number
            }
            guard state.next < PipelineLimits.meters else { return nil }
            state.next += 1
            return state.next - 1
        }
    }

    func giveBack(_ number: UInt32) { state.withLock { _ = $0.free.insert(number) } }
}

extension DatapathMeter {
    /// What the datapath is to do for a meter of OpenFlow's.
    init(_ config: MeterConfig) {
        self.init(
            isPacketRate: config.flags.contains(.packets),
            bands: config.bands.map { band in
                Band(
                    rate: band.rate, burst: config.flags.contains(.burst) ? band.burst : 0,
                    remark: band.kind == .dscpRemark ? band.precedenceLevel : nil)
            })
    }
}
