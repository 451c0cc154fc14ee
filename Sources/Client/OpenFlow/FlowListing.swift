// How flows are shown.

public import Flow
internal import OVSDB

/// Flows of a bridge, and the names of its ports.
public struct FlowListing: Sendable {
    public var flows: [FlowDescription]
    public var ports: PortNames

    /// A table for people, with port names; objects for programs, with port numbers.
    public var report: Report {
        var table = TextTable(
            ["TABLE", "PRIORITY", "PACKETS", "BYTES", "AGE", "MATCH", "ACTIONS"], right: ["TABLE", "PRIORITY", "PACKETS", "BYTES", "AGE"])
        for flow in flows {
            let match = FlowText.format(flow.match, ports: ports)
            var timeouts = flow.idleTimeout == 0 ? "" : " idle_timeout=\(flow.idleTimeout)"
            if flow.hardTimeout != 0 { timeouts += " hard_timeout=\(flow.hardTimeout)" }
            if flow.cookie != 0 { timeouts += " cookie=0x" + String(flow.cookie, radix: 16) }
            table.add([
                String(flow.table), String(flow.priority), String(flow.packets), String(flow.bytes),
                FlowListing.age(flow.durationNanoseconds),
                (match.isEmpty ? "any" : match) + timeouts, FlowText.format(flow.actions, ports: ports),
            ])
        }
        return Report(text: table.isEmpty ? "no such flow\n" : table.text, json: .array(flows.map(FlowListing.json)))
    }

    private static func json(_ flow: FlowDescription) -> JSON {
        [
            "table": .integer(Int64(flow.table)), "priority": .integer(Int64(flow.priority)),
            "cookie": .string("0x" + String(flow.cookie, radix: 16)),
            "packets": .integer(Int64(clamping: flow.packets)), "bytes": .integer(Int64(clamping: flow.bytes)),
            "duration_seconds": .real(Double(flow.durationNanoseconds / 1_000_000) / 1000),
            "idle_timeout": .integer(Int64(flow.idleTimeout)),
            "hard_timeout": .integer(Int64(flow.hardTimeout)), "match": .string(FlowText.format(flow.match)),
            "actions": .string(FlowText.format(flow.actions)),
        ]
    }

    /// 12s, 3m 4s, 5h 6m, 7d 8h.
    static func age(_ nanoseconds: UInt64) -> String {
        let seconds = nanoseconds / 1_000_000_000
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m \(seconds % 60)s"
        case ..<86400: return "\(seconds / 3600)h \(seconds / 60 % 60)m"
        default: return "\(seconds / 86400)d \(seconds / 3600 % 24)h"
        }
    }
}
