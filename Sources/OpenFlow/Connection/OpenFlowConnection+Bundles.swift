// Bundles: messages collected and carried out together (OpenFlow 1.4 section 7.3.9, ONF extension 230).

internal import Base

/// A bundle under construction.
public struct Bundle {
    public let id: UInt32
    public let flags: BundleControl.Flags
    /// The messages, in the order in which they came.
    public private(set) var messages: [Message] = []
    /// How each of them began, as far as an error's reply carries it.
    private var beginnings: [UInt8] = []
    private var starts: [Int] = []
    var isClosed = false
    var byteCount = 0
    var lastUsed: Instant
    /// The message that opened it.
    var openRequest: [UInt8]

    init(id: UInt32, flags: BundleControl.Flags, now: Instant, openRequest: [UInt8]) {
        self.id = id
        self.flags = flags
        lastUsed = now
        self.openRequest = openRequest
    }

    /// Lets go of the messages, a few at a time.
    mutating func dissolve() { messages.dissolve() }

    mutating func append(_ message: Message, raw: [UInt8], now: Instant) {
        messages.append(message)
        byteCount += raw.count
        lastUsed = now
        starts.append(beginnings.count)
        beginnings += raw.prefix(OpenFlowLimits.errorDataBytes)
    }

    /// The first bytes of a message, for an error's reply.
    public func beginning(of index: Int) -> [UInt8] {
        Array(beginnings[starts[index]..<(index + 1 < starts.count ? starts[index + 1] : beginnings.count)])
    }
}

extension OpenFlowConnection {
    func handle(_ control: BundleControl, _ xid: UInt32) throws(OpenFlowError) {
        try requireWritable()
        let id = control.bundleID
        switch control.kind {
        case .openRequest:
            // A bundle opened twice is lost: its owner no longer knows what is in it.
            if bundles.removeValue(forKey: id) != nil { throw OpenFlowError(.bfcBadId, "bundle \(id) is open already") }
            try open(id, control.flags, openRequest: request(control, xid))
        case .closeRequest:
            if bundles[id]?.isClosed == true {
                bundles[id] = nil
                throw OpenFlowError(.bfcBundleClosed, "bundle \(id) was closed already, and is discarded")
            }
            try checkOwner(control)
            bundles[id]!.isClosed = true
            bundles[id]!.lastUsed = clock.now
        case .commitRequest:
            try checkOwner(control)
            // Whatever comes of it, the bundle is gone.
            if var bundle = bundles.removeValue(forKey: id) {
                defer { bundle.dissolve() }
                try commit(bundle, xid: xid)
            }
        case .discardRequest:
            guard bundles.removeValue(forKey: id) != nil else { throw OpenFlowError(.bfcBadId, "bundle \(id) is not open") }
        case .openReply, .closeReply, .commitReply, .discardReply:
            throw OpenFlowError(.bfcBadType, "a bundle reply is for controllers, not for switches")
        }
        if let reply = BundleControl.Kind(rawValue: control.kind.rawValue + 1) {
            send(.bundleControl(BundleControl(bundleID: id, kind: reply, flags: [])), xid: xid)
        }
    }

    /// A secondary controller may look, not touch.
    private func requireWritable() throws(OpenFlowError) {
        if settings.role == .secondary { throw OpenFlowError(.brcIsSecondary, "this controller's role is secondary") }
    }

    private func request(_ control: BundleControl, _ xid: UInt32) -> [UInt8] {
        version.flatMap { Message.bundleControl(control).encode(version: $0, xid: xid) } ?? []
    }

    private func open(_ id: UInt32, _ flags: BundleControl.Flags, openRequest: [UInt8]) throws(OpenFlowError) {
        if bundles.count >= OpenFlowLimits.bundlesPerConnection {
            throw OpenFlowError(.bfcOutOfBundles, "a connection has at most \(OpenFlowLimits.bundlesPerConnection) bundles")
        }
        bundles[id] = Bundle(id: id, flags: flags, now: clock.now, openRequest: openRequest)
    }

    private func checkOwner(_ control: BundleControl) throws(OpenFlowError) {
        guard let bundle = bundles[control.bundleID] else { throw OpenFlowError(.bfcBadId, "bundle \(control.bundleID) is not open") }
        if bundle.flags != control.flags {
            bundles[control.bundleID] = nil
            throw OpenFlowError(.bfcBadFlags, "bundle \(control.bundleID) was opened with other flags")
        }
    }

    func handle(_ add: BundleAdd, _ xid: UInt32, _ version: OpenFlowVersion) throws(OpenFlowError) {
        try requireWritable()
        guard let header = Header(add.message) else { throw OpenFlowError(.bfcMsgBadLen, "a bundled message without header") }
        if header.version != version.rawValue { throw OpenFlowError(.bfcBadVersion, "a bundled message of version \(header.version)") }
        if header.xid != xid { throw OpenFlowError(.bfcMsgBadXid, "a bundled message whose xid is not the bundling message's") }
        switch MessageType(number: header.type, version: version) {
        case .flowMod, .groupMod, .portMod, .packetOut, .experimenter: break
        default: throw OpenFlowConnection.notBundled
        }
        let message = try Message.decode(add.message, flowModTableID: settings.flowModTableID).message
        switch message {
        case .flowMod, .groupMod, .portMod, .packetOut: break
        default: throw OpenFlowConnection.notBundled
        }
        try check(bundled: message)
        // Adding to a bundle that is not open opens it.
        if bundles[add.bundleID] == nil { try open(add.bundleID, add.flags, openRequest: add.message) }
        try checkRoom(for: add)
        bundles[add.bundleID]!.append(message, raw: add.message, now: clock.now)
    }

    private static let notBundled = OpenFlowError(.bfcMsgUnsup, "only flow-mods, group-mods, port-mods and packet-outs can be bundled")

    /// Holds no copy of the bundle afterwards: its list must grow in place.
    private func checkRoom(for add: BundleAdd) throws(OpenFlowError) {
        guard let bundle = bundles[add.bundleID] else { return }
        // Whoever loses count of what it does to a bundle loses the bundle.
        if bundle.isClosed {
            bundles[add.bundleID] = nil
            throw OpenFlowError(.bfcBundleClosed, "bundle \(add.bundleID) is closed, and is discarded")
        }
        if bundle.flags != add.flags {
            bundles[add.bundleID] = nil
            throw OpenFlowError(.bfcBadFlags, "bundle \(add.bundleID) was opened with other flags, and is discarded")
        }
        let bytes = bundles.values.reduce(add.message.count) { $0 + $1.byteCount }
        if bundle.messages.count >= OpenFlowLimits.messagesPerBundle || bytes > OpenFlowLimits.bundleBytes {
            throw OpenFlowError(.bfcMsgTooMany, "bundle \(add.bundleID) is full")
        }
    }
}
