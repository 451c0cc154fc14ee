// Multipart requests that come in several messages (OpenFlow 1.3 section 7.3.5: OFPMPF_REQ_MORE).
//
// Only lists can be split: table features, flow monitors. The parts of a request share its xid and its type, and come one
// after the other.

internal import Base

struct MultipartAssembler {
    /// Milliseconds after which a request whose next part does not come is thrown away.
    static let patienceMilliseconds: UInt64 = 1000
    /// Entries of all parts; more is what no switch has tables or monitors for.
    static let entryLimit = 4096

    private var xid: UInt32 = 0
    private var request: StatsRequest?
    private var last = Instant(nanoseconds: 0)

    var isEmpty: Bool { request == nil }
    var deadline: Instant? { request == nil ? nil : last.adding(milliseconds: MultipartAssembler.patienceMilliseconds) }

    /// Adds a part; returns the whole request with its last one.
    mutating func add(
        _ part: StatsRequest, xid: UInt32, more: Bool, version: OpenFlowVersion, now: Instant
    ) throws(OpenFlowError) -> StatsRequest? {
        if let begun = request, xid == self.xid {
            request = nil
            switch (begun, part) {
            case (.tableFeatures(let first), .tableFeatures(let next)): request = .tableFeatures(first + next)
            case (.flowMonitor(let first), .flowMonitor(let next)): request = .flowMonitor(first + next)
            default: throw OpenFlowError(.brcMultipartBadRequest(version), "parts of different multipart requests with one xid")
            }
        } else {
            guard request == nil || more else {
                // Another request in between: the first one's end may still come.
                return part
            }
            if more {
                switch part {
                case .tableFeatures, .flowMonitor: break
                default: throw OpenFlowError(.brcMultipartBadRequest(version), "a request that cannot come in parts")
                }
            }
            request = part
            self.xid = xid
        }
        last = now
        switch request {
        case .tableFeatures(let tables) where tables.count > MultipartAssembler.entryLimit: try overflow()
        case .flowMonitor(let monitors) where monitors.count > MultipartAssembler.entryLimit: try overflow()
        default: break
        }
        if more { return nil }
        defer { request = nil }
        return request
    }

    private mutating func overflow() throws(OpenFlowError) {
        request = nil
        throw OpenFlowError(.brcMultipartBufferOverflow, "a multipart request has at most \(MultipartAssembler.entryLimit) entries")
    }

    /// Throws away a request that was not finished in time; returns its xid.
    mutating func expire(now: Instant) -> UInt32? {
        guard request != nil, now.milliseconds(since: last) >= MultipartAssembler.patienceMilliseconds else { return nil }
        request = nil
        return xid
    }
}

extension ErrorCode {
    /// Before 1.3 there are no words for parts that are too many or do not belong together.
    static func brcMultipartBadRequest(_ version: OpenFlowVersion) -> ErrorCode {
        version >= .v1_3 ? .brcMultipartBufferOverflow : .brcBadLen
    }
}

extension Message {
    /// Whether a peer that sends this has taken the switch: a controller that is still deciding asks who it is, and no more.
    var showsAdmission: Bool {
        switch self {
        case .hello, .error, .echoRequest, .echoReply, .featuresRequest, .featuresReply, .getConfigRequest, .getConfigReply, .setConfig:
            false
        default: true
        }
    }
}
