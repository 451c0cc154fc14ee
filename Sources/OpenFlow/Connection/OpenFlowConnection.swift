// One OpenFlow connection, without its socket.
//
// Bytes go in by `receive`, bytes come out through `output`. The connection negotiates the version, answers echoes, keeps
// the peer's settings, collects bundles, probes a silent peer, and hands every other message, decoded, to its handler.
// What the handler throws is answered with the standard's error, carrying the beginning of the offending message.
//
// Messages are handled in the order in which they come, each to its end; so a barrier needs no more than its reply.
//
// ## Thread safety
// None: a connection belongs to one thread, the control loop's.

public import Base
internal import Flow

/// A connection.
public final class OpenFlowConnection {
    public struct Configuration: Sendable {
        /// For logs.
        public var name: String
        public var versions: OpenFlowVersionSet
        /// A bridge's own socket, not a configured controller: gets asynchronous messages only once it asks for them.
        public var isService: Bool
        /// Silence after which the peer is probed, and after as much again the connection is closed; 0 never.
        public var probeMilliseconds: UInt64
        /// How many packet-ins it may get; nil is any number.
        public var packetInLimit: PacketInLimit?
        /// Whether it gets asynchronous messages at all.
        public var receivesAsynchronous = true
        /// Seconds after which a bundle that nobody adds to is thrown away.
        public var bundleIdleSeconds = OpenFlowLimits.bundleIdleSeconds
        public init(
            name: String, versions: OpenFlowVersionSet = .all, isService: Bool = true,
            probeMilliseconds: UInt64 = OpenFlowLimits.serviceProbeMilliseconds
        ) {
            self.name = name
            self.versions = versions
            self.isService = isService
            self.probeMilliseconds = probeMilliseconds
        }
    }

    /// Packets a second, packets at once, and packets that may wait (0 takes the default of the latter two).
    public struct PacketInLimit: Equatable, Sendable {
        public var rate: Int
        public var burst: Int
        public var queueSize: Int
        public init(rate: Int, burst: Int = 0, queueSize: Int = 0) {
            self.rate = rate
            self.burst = burst
            self.queueSize = queueSize
        }
    }

    /// May be changed at any time; versions count for the next connection only.
    public var configuration: Configuration { didSet { limitPacketIns() } }
    /// Nil until both hellos have been seen.
    public private(set) var version: OpenFlowVersion?
    public var settings: ConnectionSettings
    /// Why the connection is over; nil while it is not.
    public private(set) var closeReason: String?
    /// Bundles under construction.
    var bundles: [UInt32: Bundle] = [:]
    /// Whether the peer is behind with reading: no further message is handled until `outputDrained`.
    public var isCongested: () -> Bool = { false }
    /// Bytes that wait for the peer; asynchronous messages are dropped when they are many.
    public var pendingOutputBytes: () -> Int = { 0 }
    /// Sees every message in both directions (the snoop socket).
    public var tap: (([UInt8]) -> Void)?
    /// Called, if set, when the peer has taken everything that was sent.
    public var onOutputEmpty: (() -> Void)?
    /// Called when the connection has changed without anything having come in: it may have another deadline, another role.
    public var onUpdate: (() -> Void)?
    /// Asynchronous messages that were dropped because the peer does not read.
    public private(set) var droppedMessageCount: UInt64 = 0

    let clock: Clock
    private weak var handler: (any OpenFlowConnectionHandler)?
    private let output: ([UInt8]) -> Void
    private var framer = Framer()
    private var nextXID: UInt32 = 1
    private var lastReceived: Instant
    /// Whether the peer is silent and was asked for an echo.
    public private(set) var isProbed = false
    /// Whether the peer has asked for anything that only a controller that takes the switch would (or has held for
    /// `admissionMilliseconds`). A controller that turns the switch away closes the connection before.
    public private(set) var isAdmitted = false
    private var opened: Instant?
    private static let admissionMilliseconds: UInt64 = 30_000
    /// Packet-ins that wait, misses and others apart, so that neither keeps the other's away.
    private var missScheduler: PacketInScheduler?
    private var actionScheduler: PacketInScheduler?
    /// Parts of a multipart request that is not whole yet.
    private var multipart = MultipartAssembler()
    private var isHandling = false
    /// The rest of a long reply that the peer has not room for yet, or that is still being made.
    private var pendingReply: (() -> ReplyStep)?

    /// - Parameter output: takes bytes for the peer, in order.
    public init(
        configuration: Configuration, clock: Clock, handler: any OpenFlowConnectionHandler, output: @escaping ([UInt8]) -> Void
    ) {
        self.configuration = configuration
        self.clock = clock
        self.handler = handler
        self.output = output
        settings = ConnectionSettings(version: .v1_0, isService: configuration.isService)
        lastReceived = clock.now
        limitPacketIns()
    }

    public var isOpen: Bool { version != nil && closeReason == nil }

    // MARK: Sending

    /// Says hello. Call it once, first.
    public func start() {
        let versions = configuration.versions
        guard let highest = versions.highest else { return close("no OpenFlow version is enabled") }
        // Without a bitmap a hello means "this version and all below".
        let bitmap = versions == OpenFlowVersionSet.upTo(highest.rawValue) ? nil : versions
        if let bytes = Message.hello(Hello(version: highest.rawValue, bitmap: bitmap)).encode(version: highest, xid: takeXID()) {
            sendBytes(bytes)
        }
    }

    /// Sends a message. What the version cannot say is not sent.
    /// - Parameter xid: of the request it answers; nil takes a new one.
    public func send(_ message: Message, xid: UInt32? = nil) {
        guard closeReason == nil, let version, let bytes = message.encode(version: version, xid: xid ?? takeXID()) else { return }
        sendBytes(bytes)
    }

    /// Sends a message that nobody waits for, unless the peer is far behind with reading.
    public func sendAsynchronously(_ message: Message) {
        if pendingOutputBytes() > OpenFlowLimits.asynchronousBacklogBytes {
            droppedMessageCount += 1
            return
        }
        // It answers nothing.
        send(message, xid: 0)
    }

    /// Sends a packet-in, or has it wait for its turn if the connection's are limited.
    public func sendPacketIn(_ packet: PacketIn) {
        let path = packet.reason == .noMatch ? \OpenFlowConnection.missScheduler : \OpenFlowConnection.actionScheduler
        guard self[keyPath: path] != nil else { return sendAsynchronously(.packetIn(packet)) }
        if let now = self[keyPath: path]?.admit(packet, now: clock.now) { sendAsynchronously(.packetIn(now)) } else { onUpdate?() }
    }

    private func limitPacketIns() {
        guard let limit = configuration.packetInLimit else {
            // What waited is not lost.
            for packet in (missScheduler?.takeAll() ?? []) + (actionScheduler?.takeAll() ?? []) { sendAsynchronously(.packetIn(packet)) }
            (missScheduler, actionScheduler) = (nil, nil)
            return
        }
        for path in [\OpenFlowConnection.missScheduler, \OpenFlowConnection.actionScheduler] {
            if self[keyPath: path] == nil {
                self[keyPath: path] = PacketInScheduler(rate: limit.rate, burst: limit.burst, queueSize: limit.queueSize, now: clock.now)
            } else {
                self[keyPath: path]?.set(rate: limit.rate, burst: limit.burst, queueSize: limit.queueSize)
            }
        }
    }

    /// What the limits of packet-ins have done so far, by the names of the `status` column; empty without limits.
    public var packetInStatus: [(name: String, value: UInt64)] {
        [("miss", missScheduler), ("action", actionScheduler)].flatMap { name, scheduler in
            guard let scheduler else { return [(name: String, value: UInt64)]() }
            return [
                ("packet-in-\(name)-backlog", UInt64(scheduler.backlog)), ("packet-in-\(name)-bypassed", scheduler.bypassedCount),
                ("packet-in-\(name)-queued", scheduler.queuedCount), ("packet-in-\(name)-dropped", scheduler.droppedCount),
            ]
        }
    }

    /// Sends an encoded message.
    public func sendBytes(_ bytes: [UInt8]) {
        guard closeReason == nil else { return }
        tap?(bytes)
        output(bytes)
    }

    /// What a long reply goes on with.
    public enum ReplyStep {
        /// The next message, encoded.
        case message([UInt8])
        /// The next message is not made yet; `replyAdvanced` will tell when it is.
        case later
        case end
    }

    /// Sends a reply of many messages as fast as the peer reads them. Until it is through, no further message is handled.
    ///
    /// - Parameter next: says what comes next. Kept until it has said that it is the end.
    public func sendReply(_ next: @escaping () -> ReplyStep) {
        pendingReply = next
        continueReply()
    }

    /// Goes on with a reply that was to come later.
    public func replyAdvanced() {
        handleMessages()
        onUpdate?()
    }

    /// False if the reply is not through yet.
    @discardableResult
    private func continueReply() -> Bool {
        guard let next = pendingReply else { return true }
        while closeReason == nil, !isCongested() {
            switch next() {
            case .message(let bytes): sendBytes(bytes)
            case .later: return false
            case .end:
                pendingReply = nil
                return true
            }
        }
        return false
    }

    /// Answers a message with an error.
    public func sendError(_ error: OpenFlowError, to raw: [UInt8]) {
        guard let header = Header(raw) else { return }
        let version = version ?? configuration.versions.highest ?? .v1_0
        let message = Message.error(ErrorMessage(error.code, version: version, data: Array(raw.prefix(OpenFlowLimits.errorDataBytes))))
        if let bytes = message.encode(version: version, xid: header.xid) { sendBytes(bytes) }
    }

    private func takeXID() -> UInt32 {
        defer { nextXID &+= 1 }
        return nextXID
    }

    /// Ends the connection; what was sent before is still the socket's to deliver.
    public func close(_ reason: String) {
        guard closeReason == nil else { return }
        closeReason = reason
        bundles.removeAll()
        pendingReply = nil
        if version != nil { handler?.connectionClosed(self) }
    }

    // MARK: Receiving

    /// Takes bytes of the stream, and handles the messages that are whole.
    public func receive(_ bytes: [UInt8]) {
        guard closeReason == nil else { return }
        lastReceived = clock.now
        isProbed = false
        framer.append(bytes)
        handleMessages()
    }

    /// Goes on with messages that waited for the peer to read.
    public func outputDrained() { handleMessages() }

    private func handleMessages() {
        // An answer may drain or close the connection while it is being given.
        guard !isHandling else { return }
        isHandling = true
        defer { isHandling = false }
        while closeReason == nil, continueReply(), !isCongested() {
            // Who does not begin with a hello does not speak OpenFlow: what looks like a length may never come.
            if version == nil, let type = framer.pendingType, type != 0 {
                return close("the first message is of type \(type), not a hello")
            }
            do {
                guard let raw = try framer.next() else { return }
                tap?(raw)
                handle(raw)
            } catch {
                close(error.detail)
            }
        }
    }

    private func handle(_ raw: [UInt8]) {
        guard let header = Header(raw) else { return }
        guard let version else { return negotiate(raw, header) }
        if header.version != version.rawValue, header.type != 0 {
            return sendError(OpenFlowError(.brcBadVersion, "version \(header.version) after \(version) was agreed on"), to: raw)
        }
        do throws(OpenFlowError) {
            if Message.isForControllers(raw) { throw OpenFlowError(.brcBadType, "a message for controllers, not for switches") }
            let (message, xid) = try Message.decode(raw, flowModTableID: settings.flowModTableID)
            if !isAdmitted { isAdmitted = message.showsAdmission }
            if let whole = try assemble(message, xid) { try handle(whole, xid, raw, version) }
        } catch {
            sendError(error, to: raw)
        }
    }

    /// A multipart request that comes in parts is handled when it is whole; anything else at once.
    private func assemble(_ message: Message, _ xid: UInt32) throws(OpenFlowError) -> Message? {
        guard case .statsRequest(let request, let more) = message, let version else { return message }
        guard more || !multipart.isEmpty else { return message }
        guard let whole = try multipart.add(request, xid: xid, more: more, version: version, now: clock.now) else { return nil }
        return .statsRequest(whole, more: false)
    }

    private func negotiate(_ raw: [UInt8], _ header: Header) {
        guard header.type == 0, case .hello(let hello)? = try? Message.decode(raw).message else {
            return close("the first message is of type \(header.type), not a hello")
        }
        let ours = configuration.versions
        // Without bitmaps on both sides the smaller version byte decides, and either side may not have it.
        guard let agreed = ours.intersection(hello.versions).highest else {
            let text = "we support OpenFlow \(describe(ours)), you support \(describe(hello.versions))"
            let version = ours.highest ?? .v1_0
            let error = Message.error(ErrorMessage(.hfcIncompatible, version: version, data: Array(text.utf8)))
            if let bytes = error.encode(version: version, xid: header.xid) { sendBytes(bytes) }
            return close("no OpenFlow version in common: \(text)")
        }
        version = agreed
        opened = clock.now
        settings = ConnectionSettings(version: agreed, isService: configuration.isService)
        handler?.connectionOpened(self)
    }

    private func describe(_ versions: OpenFlowVersionSet) -> String {
        OpenFlowVersion.allCases.filter { versions.contains($0) }.map(\.description).joined(separator: ", ")
    }

    private func handle(_ message: Message, _ xid: UInt32, _ raw: [UInt8], _ version: OpenFlowVersion) throws(OpenFlowError) {
        switch message {
        case .hello, .echoReply: return
        case .echoRequest(let data): send(.echoReply(data), xid: xid)
        case .barrierRequest: send(.barrierReply, xid: xid)
        case .error: return
        case .setFlowFormat(let format):
            guard version == .v1_0 else { throw OpenFlowError(.brcBadSubtype, "flow formats belong to OpenFlow 1.0") }
            settings.flowFormat = format
        case .flowModTableID(let isOn): settings.flowModTableID = isOn
        case .setPacketInFormat(let format): settings.packetInFormat = format
        case .setControllerID(let id):
            settings.controllerID = id
            handler?.subscriptionChanged(self)
        case .setAsync(let config, _):
            settings.asynchronous = config
            // Who says what it wants to hear on a bridge's own socket wants to hear something.
            if configuration.isService, settings.missSendLength == 0 {
                settings.missSendLength = ConnectionSettings.defaultMissSendLength
            }
            handler?.subscriptionChanged(self)
        case .getAsyncRequest: send(.getAsyncReply(settings.asynchronous), xid: xid)
        case .bundleControl(let control): try handle(control, xid)
        case .bundleAdd(let add): try handle(add, xid, version)
        case .flowAge: break
        case .featuresReply, .getConfigReply, .barrierReply, .statsReply, .queueGetConfigReply, .roleReply, .getAsyncReply,
            .packetIn, .flowRemoved, .portStatus, .roleStatus, .tableStatus, .requestForward, .controllerStatus, .tlvTableReply,
            .flowMonitorPaused, .flowMonitorResumed:
            throw OpenFlowError(.brcBadType, "a message for controllers, not for switches")
        default: try handler?.handle(message, xid: xid, raw: raw, on: self)
        }
    }

    /// Has the handler look at a message of a bundle.
    func check(bundled message: Message) throws(OpenFlowError) { try handler?.check(bundled: message, on: self) }

    /// Hands a bundle to the handler.
    func commit(_ bundle: Bundle, xid: UInt32) throws(OpenFlowError) { try handler?.commit(bundle, xid: xid, on: self) }

    // MARK: Time

    /// When `tick` wants to be called next; nil if nothing is due ever.
    public var nextDeadline: Instant? {
        guard closeReason == nil else { return nil }
        var deadlines = bundles.values.map { $0.lastUsed.adding(milliseconds: configuration.bundleIdleSeconds * 1000) }
        deadlines += [missScheduler?.nextDeadline, actionScheduler?.nextDeadline, multipart.deadline].compactMap { $0 }
        if !isAdmitted, let opened { deadlines.append(opened.adding(milliseconds: OpenFlowConnection.admissionMilliseconds)) }
        if configuration.probeMilliseconds > 0 {
            deadlines.append(lastReceived.adding(milliseconds: configuration.probeMilliseconds * (isProbed ? 2 : 1)))
        }
        return deadlines.min()
    }

    /// Probes a silent peer, gives one up that stays silent, and throws idle bundles away.
    public func tick() {
        guard closeReason == nil else { return }
        let now = clock.now
        for (id, bundle) in bundles where now.milliseconds(since: bundle.lastUsed) >= configuration.bundleIdleSeconds * 1000 {
            bundles[id] = nil
            if let version {
                let error = ErrorMessage(
                    .bfcTimeout, version: version, data: Array(bundle.openRequest.prefix(OpenFlowLimits.errorDataBytes)))
                send(.error(error), xid: Header(bundle.openRequest)?.xid)
            }
        }
        if let opened, now.milliseconds(since: opened) >= OpenFlowConnection.admissionMilliseconds { isAdmitted = true }
        for packet in (missScheduler?.takeDue(now: now) ?? []) + (actionScheduler?.takeDue(now: now) ?? []) {
            sendAsynchronously(.packetIn(packet))
        }
        if let late = multipart.expire(now: now), let version {
            // What it asked is not kept; the xid tells the peer which request it was.
            send(.error(ErrorMessage(.brcMultipartRequestTimeout, version: version, data: [])), xid: late)
        }
        let probe = configuration.probeMilliseconds
        guard probe > 0 else { return }
        let silence = now.milliseconds(since: lastReceived)
        if silence >= 2 * probe || (silence >= probe && version == nil) {
            close("no message for \(silence / 1000) seconds")
        } else if silence >= probe, !isProbed {
            isProbed = true
            send(.echoRequest([]))
        }
    }
}
