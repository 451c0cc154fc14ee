// The client of a bridge's OpenFlow socket, `BRIDGE.mgmt`.
//
// One connection, one request at a time, every wait under the command's deadline. It speaks OpenFlow 1.4, whose bundles
// make a file of flows all or nothing, and 1.3 where a bridge's `protocols` allow no more.

internal import Base
public import Flow
internal import OpenFlow

/// Asks a bridge about its flows and ports, and changes its flows.
public final class OpenFlowClient {
    public let bridge: String
    private let stream: UnixStream
    private var framer = Framer()
    private(set) var version = OpenFlowVersion.v1_4
    private var nextXid: UInt32 = 1
    /// A reply has at most this many parts; a switch that sends more is out of its mind.
    private static let partLimit = 1_000_000

    /// Connects and agrees on a version. The bridge must exist (the caller asks the database, which knows all names).
    public init(_ directory: SwitchDirectory, bridge: String) throws(ClientError) {
        self.bridge = bridge
        let path = directory.managementSocket(bridge: bridge)
        do throws(ClientError) {
            stream = try UnixStream(path: path, runDirectory: directory.path, deadline: directory.deadline)
        } catch {
            guard case .notRunning = error else { throw error }
            throw .connection(
                path: path, reason: "bridge \"\(bridge)\" is configured, but the switch has not brought it up; is apusd running?")
        }
        let offered = OpenFlowVersionSet([.v1_3, .v1_4])
        try send(.hello(Hello(version: OpenFlowVersion.v1_4.rawValue, bitmap: offered)), xid: 0)
        while true {
            let (message, _) = try receive()
            switch message {
            case .hello(let hello):
                guard let common = hello.versions.intersection(offered).highest else {
                    throw .refused(
                        "bridge \"\(bridge)\" speaks neither OpenFlow 1.3 nor 1.4; allow one of them in the Bridge's protocols column")
                }
                version = common
                return
            case .error(let error):
                throw .refused("bridge \"\(bridge)\" refuses the connection: \(text(error))")
            default: continue
            }
        }
    }

    // MARK: Messages

    private func takeXid() -> UInt32 {
        defer { nextXid += 1 }
        return nextXid
    }

    private func send(_ message: Message, xid: UInt32) throws(ClientError) {
        try stream.send(try encode(message, xid: xid))
    }

    func encode(_ message: Message, xid: UInt32) throws(ClientError) -> [UInt8] {
        guard let bytes = message.encode(version: version, xid: xid) else {
            throw .invalid("OpenFlow \(version) cannot say this, or it would be longer than 65,535 bytes")
        }
        return bytes
    }

    private func receive() throws(ClientError) -> (message: Message, xid: UInt32) {
        while true {
            do throws(OpenFlowError) {
                if let bytes = try framer.next() { return try Message.decode(bytes) }
            } catch {
                throw .connection(path: stream.path, reason: "the switch sends what is not OpenFlow (\(error))")
            }
            let bytes = try stream.receive("answer of bridge \"\(bridge)\"")
            guard !bytes.isEmpty else {
                throw .connection(path: stream.path, reason: "the switch closed the connection before it answered")
            }
            framer.append(bytes)
        }
    }

    /// The next message that answers `xid`; echo requests are answered, asynchronous messages skipped, errors thrown.
    private func answer(to xids: ClosedRange<UInt32>) throws(ClientError) -> (message: Message, xid: UInt32) {
        while true {
            let (message, xid) = try receive()
            if case .echoRequest(let data) = message {
                try send(.echoReply(data), xid: xid)
            } else if xids.contains(xid) {
                if case .error(let error) = message { throw .refused("bridge \"\(bridge)\" refuses: \(text(error))") }
                return (message, xid)
            }
        }
    }

    /// All parts of a statistics reply.
    func statistics(_ request: StatsRequest) throws(ClientError) -> [StatsReply] {
        let xid = takeXid()
        try send(.statsRequest(request, more: false), xid: xid)
        var parts: [StatsReply] = []
        while parts.count < OpenFlowClient.partLimit {
            guard case .statsReply(let reply, let more) = try answer(to: xid...xid).message else { continue }
            parts.append(reply)
            if !more { return parts }
        }
        throw .connection(path: stream.path, reason: "a reply has more than \(OpenFlowClient.partLimit) parts")
    }

    /// Sends commands, then a barrier, and waits until all of it is done.
    func execute(_ commands: [Message]) throws(ClientError) {
        let first = nextXid
        var bytes: [UInt8] = []
        for command in commands { bytes += try encode(command, xid: takeXid()) }
        let barrier = takeXid()
        bytes += try encode(.barrierRequest, xid: barrier)
        try stream.send(bytes)
        while true {
            let (message, xid) = try answer(to: first...barrier)
            if case .barrierReply = message, xid == barrier { return }
        }
    }

    /// Sends commands as one bundle: all take effect, or none. Needs OpenFlow 1.4.
    func executeAtomically(_ commands: [Message]) throws(ClientError) {
        guard version >= .v1_4 else {
            throw .refused(
                "bridge \"\(bridge)\" does not speak OpenFlow 1.4, which bundles need; allow OpenFlow14 in the Bridge's protocols column")
        }
        let flags: BundleControl.Flags = [.atomic, .ordered]
        try control(.openRequest, flags, [])
        var members: [Message] = []
        for command in commands {
            // The inner message carries the outer one's xid (OpenFlow 1.4 section 7.3.9.6).
            let xid = nextXid + UInt32(members.count)
            members.append(.bundleAdd(BundleAdd(bundleID: 1, flags: flags, message: try encode(command, xid: xid))))
        }
        try control(.commitRequest, flags, members)
    }

    private func control(_ kind: BundleControl.Kind, _ flags: BundleControl.Flags, _ before: [Message]) throws(ClientError) {
        let first = nextXid
        var bytes: [UInt8] = []
        for message in before { bytes += try encode(message, xid: takeXid()) }
        let xid = takeXid()
        bytes += try encode(.bundleControl(BundleControl(bundleID: 1, kind: kind, flags: flags)), xid: xid)
        try stream.send(bytes)
        while true {
            if case .bundleControl = try answer(to: first...xid).message { return }
        }
    }

    // MARK: Ports

    /// Numbers and names of the bridge's ports.
    public func portNames() throws(ClientError) -> [String: OpenFlowPort] {
        var names: [String: OpenFlowPort] = [:]
        for case .portDescription(let ports) in try statistics(.portDescription(.any)) {
            for port in ports { names[port.name] = port.number }
        }
        return names
    }

    /// Counters by port number, as of now.
    func portCounters() throws(ClientError) -> [OpenFlowPort: PortStats] {
        var counters: [OpenFlowPort: PortStats] = [:]
        for case .port(let ports) in try statistics(.port(.any)) {
            for port in ports { counters[port.port] = port }
        }
        return counters
    }

    /// A refusal in words.
    private func text(_ error: ErrorMessage) -> String {
        guard let code = error.code(in: version) else { return "OpenFlow error type \(error.number.type), code \(error.number.code)" }
        guard let words = OpenFlowClient.explanations[code] else { return code.rawValue }
        return "\(words) (\(code.rawValue))"
    }

    private static let explanations: [ErrorCode: String] = [
        .bacBadOutPort: "an action sends to a port that cannot be sent to", .bacBadOutGroup: "there is no such group",
        .fmfcTableFull: "the flow table is full", .fmfcBadTableId: "there is no such table",
        .fmfcOverlap: "a flow of the same priority overlaps",
        .bmcBadPrereq: "a field is matched without what it needs, such as nw_dst without ip", .bmcBadField: "a field cannot be matched",
        .bmcBadValue: "a match has a value that its field cannot have", .bacBadType: "the switch does not know an action",
        .bacBadArgument: "an action has an argument that it cannot have",
        .bacBadSetArgument: "a set_field has a value that its field cannot have",
    ]
}
