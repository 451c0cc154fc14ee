// The controllers of one bridge, and what the bridge does without them.
//
// A bridge in fail mode standalone whose primary controllers are all gone for three probe intervals forwards by itself: its flow
// tables are emptied, and every packet is handled as NORMAL says, until a controller takes the switch again. A controller that
// connects and does not take it (it asks who we are and hangs up) changes nothing; it is sent a packet-in now and then, so that one
// that waits for packets has something to answer.

internal import Base
internal import Logging
internal import OVSDB
internal import OpenFlow
internal import Pipeline
internal import Switch

/// Only on the control loop's thread.
final class BridgeControllers {
    private let loop: ControlLoop
    private let directory: String
    private let tls: TLSContext
    private let service: OpenFlowService
    private let logger: Logger
    private var controllers: [UUID: RemoteController] = [:]
    private var timer: TimerQueue.Token?
    private var isFailedOpen = false
    private var lastProbe = Instant(nanoseconds: 0)
    /// Sees every message of every controller, in both directions.
    var tap: (([UInt8]) -> Void)?
    /// Called when a controller's state has changed, with the reports of all.
    var onReport: (([UUID: ControllerReport]) -> Void)?
    private static let checkMilliseconds: UInt64 = 1000
    /// How often the ages in the reports are brought up to date.
    private static let reportMilliseconds: UInt64 = 5000
    private var lastReport: Instant

    init(loop: ControlLoop, directory: String, tls: TLSContext, service: OpenFlowService, logger: Logger) {
        self.loop = loop
        self.directory = directory
        self.tls = tls
        self.service = service
        self.logger = logger
        lastReport = loop.clock.now
    }

    /// Whether a controller that we connect to is configured.
    var hasPrimary: Bool { controllers.values.contains(where: \.isPrimary) }

    /// Whether anybody is connected.
    var isConnected: Bool { controllers.values.contains(where: \.isConnected) }

    /// Brings the controllers in line with the configuration.
    func configure(_ wanted: BridgeConnections) {
        let byID = Dictionary(wanted.controllers.map { ($0.uuid, $0) }, uniquingKeysWith: { first, _ in first })
        for (id, controller) in controllers {
            if let settings = byID[id], controller.accepts(settings) { continue }
            controllers[id] = nil
            controller.close("the controller is not configured any more")
        }
        var fresh: [RemoteController] = []
        for settings in wanted.controllers {
            if let controller = controllers[settings.uuid] {
                controller.update(settings, wanted)
                continue
            }
            let controller = RemoteController(
                settings, connections: wanted, loop: loop, directory: directory, tls: tls, service: service, logger: logger)
            controller.tap = { [weak self] in self?.tap?($0) }
            controller.onChange = { [weak self] in self?.changed() }
            controllers[settings.uuid] = controller
            fresh.append(controller)
        }
        // First: it empties the flow tables, which a controller that connects at once must not lose again.
        service.bridge.setHasControllers(hasPrimary)
        for controller in fresh { controller.start() }
        if controllers.isEmpty { cancelTimer() } else if timer == nil { schedule() }
        reviewFailMode()
        changed()
    }

    func close() {
        cancelTimer()
        onReport = nil
        for controller in controllers.values { controller.close("bridge \(service.bridge.name) is gone") }
        controllers = [:]
    }

    // MARK: Reports

    private func changed() {
        reviewFailMode()
        let now = loop.clock.now
        lastReport = now
        onReport?(controllers.mapValues { $0.report(now: now) })
    }

    // MARK: Time

    private func schedule() {
        timer = loop.timers.schedule(afterMilliseconds: BridgeControllers.checkMilliseconds) { [weak self] in
            guard let self else { return }
            self.reviewFailMode()
            if self.loop.clock.now.milliseconds(since: self.lastReport) >= BridgeControllers.reportMilliseconds { self.changed() }
            self.schedule()
        }
    }

    private func cancelTimer() {
        if let timer { loop.timers.cancel(timer) }
        timer = nil
    }

    // MARK: Fail mode

    private static let probeIntervals: UInt64 = 3
    private static let probePacketMilliseconds: UInt64 = 2000

    /// Milliseconds without controllers after which the bridge forwards by itself.
    private var patienceMilliseconds: UInt64 {
        // A controller that is not probed counts as one with the usual interval.
        let probes = controllers.values.filter(\.isPrimary).map { $0.settings.probeMilliseconds }
        return BridgeControllers.probeIntervals * max(probes.max() ?? 0, 5000)
    }

    private func reviewFailMode() {
        let now = loop.clock.now
        let primaries = controllers.values.filter(\.isPrimary)
        guard service.bridge.failMode == .standalone, !primaries.isEmpty else { return recover("") }
        let missing = primaries.map { $0.failureMilliseconds(now: now) }.min() ?? 0
        if missing < patienceMilliseconds {
            // Less than that was not enough to fail, and is not enough to go on failing.
            return recover(missing == 0 ? "a controller has taken the switch" : "")
        }
        if !isFailedOpen {
            isFailedOpen = true
            logger.warning(
                "bridge \(service.bridge.name): no controller has taken the switch for \(missing / 1000) seconds, failing open: every packet is handled as NORMAL says"
            )
            service.bridge.setFailedOpen(true)
        }
        if now.milliseconds(since: lastProbe) >= BridgeControllers.probePacketMilliseconds {
            lastProbe = now
            service.sendProbePacketIns()
        }
    }

    private func recover(_ reason: String) {
        guard isFailedOpen else { return }
        isFailedOpen = false
        service.bridge.setFailedOpen(false)
        logger.warning("bridge \(service.bridge.name): no longer failing open\(reason.isEmpty ? "" : ": \(reason)")")
    }
}
