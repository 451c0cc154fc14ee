// The form of a log line, as `vlog/set PATTERN:destination:pattern` gives it.

internal import Glibc

/// A pattern: text with conversions like `%D{FORMAT}`, `%05N`, `%c`, `%p`, `%m`.
struct LogPattern: Equatable {
    /// One message.
    struct Record {
        /// Since 1970.
        var milliseconds: UInt64
        var sequence: Int
        var module: String
        var level: LogLevel
        var text: String
        /// Syslog's, as it was set; nil if it was not.
        var facility: Int32?
    }

    let text: String

    init(_ text: String) { self.text = text }

    static let standard = LogPattern("%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m")
    static let syslog = LogPattern("ovs|%05N|%c%T|%p|%m")

    /// Syslog's facility of that name.
    static func facility(named name: String) -> Int32? {
        let known: [(String, Int32)] = [
            ("auth", LOG_AUTH), ("authpriv", LOG_AUTHPRIV), ("cron", LOG_CRON), ("daemon", LOG_DAEMON), ("ftp", LOG_FTP),
            ("kern", LOG_KERN), ("lpr", LOG_LPR), ("mail", LOG_MAIL), ("news", LOG_NEWS), ("syslog", LOG_SYSLOG), ("user", LOG_USER),
            ("uucp", LOG_UUCP), ("local0", LOG_LOCAL0), ("local1", LOG_LOCAL1), ("local2", LOG_LOCAL2), ("local3", LOG_LOCAL3),
            ("local4", LOG_LOCAL4), ("local5", LOG_LOCAL5), ("local6", LOG_LOCAL6), ("local7", LOG_LOCAL7),
        ].map { ($0.0, Int32($0.1)) }
        return known.first { $0.0 == name.lowercased() }?.1
    }

    /// The line for a message, without its end.
    func format(_ record: Record) -> String {
        var result = ""
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            var isLeft = false
            var pads = " "
            if rest.first == "-" {
                isLeft = true
                rest.removeFirst()
            }
            if rest.first == "0" {
                pads = "0"
                rest.removeFirst()
            }
            var width = 0
            while let digit = rest.first.flatMap({ Character($0).wholeNumberValue }), width < 100 {
                width = width * 10 + digit
                rest.removeFirst()
            }
            guard let conversion = rest.popFirst() else { break }
            var argument: String?
            if rest.first == "{", let end = rest.firstIndex(of: "}") {
                argument = String(String.UnicodeScalarView(rest[rest.index(after: rest.startIndex)..<end]))
                rest = rest[rest.index(after: end)...]
            }
            let value = LogPattern.convert(conversion, argument, record)
            let fill = String(repeating: pads, count: max(0, width - value.count))
            result += isLeft ? value + fill : fill + value
        }
        return result
    }

    private static func convert(_ conversion: Unicode.Scalar, _ argument: String?, _ record: Record) -> String {
        switch conversion {
        case "A": "apusd"
        case "B": String((record.facility ?? Int32(LOG_LOCAL0)) | record.level.syslogPriority)
        case "c": record.module
        case "d": time(record.milliseconds, argument ?? "%Y-%m-%d %H:%M:%S.###", isLocal: true)
        case "D": time(record.milliseconds, argument ?? "%Y-%m-%d %H:%M:%S.###", isLocal: false)
        case "E": host
        case "m": record.text
        case "N": String(record.sequence)
        case "n": "\n"
        case "p": record.level.name
        case "P": String(getpid())
        case "r": String(record.milliseconds)
        case "t", "T": ""
        case "%": "%"
        default: "%" + String(Character(conversion))
        }
    }

    private static var host: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, 255) == 0 else { return "unknown" }
        return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// `strftime`, with `###` for milliseconds.
    private static func time(_ milliseconds: UInt64, _ format: String, isLocal: Bool) -> String {
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        if isLocal { localtime_r(&seconds, &parts) } else { gmtime_r(&seconds, &parts) }
        var pieces: [String] = []
        for piece in LogPattern.split(format) {
            var buffer = [CChar](repeating: 0, count: 256)
            let count = piece.isEmpty ? 0 : strftime(&buffer, buffer.count, piece, &parts)
            pieces.append(count == 0 ? "" : buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })
        }
        return pieces.joined(separator: leadingZeros(Int(milliseconds % 1000), 3))
    }

    /// The pieces between `###`.
    private static func split(_ format: String) -> [String] {
        var pieces = [""]
        var rest = Substring(format)
        while !rest.isEmpty {
            if rest.hasPrefix("###") {
                pieces.append("")
                rest = rest.dropFirst(3)
            } else {
                pieces[pieces.count - 1].append(rest.removeFirst())
            }
        }
        return pieces
    }
}

extension LogRegistry {
    /// The modules that Open vSwitch's daemon has: their levels may be set whether or not this one logs under the name.
    public static let fieldModules = """
        backtrace bfd bond bridge bundle bundles cfm collectors command_line connmgr conntrack conntrack_tp coverage ct_dpif daemon \
        daemon_unix dns_resolve dpdk dpif dpif_netdev dpif_netlink entropy fail_open fatal_signal flow hmap in_band ipf ipfix jsonrpc lacp \
        lldp lockfile memory meta_flow native_tnl netdev netdev_dummy netdev_dpdk netdev_linux netdev_offload netdev_vport netflow netlink \
        netlink_socket nx_match odp_execute odp_util ofp_actions ofp_bundle ofp_connection ofp_errors ofp_flow ofp_group ofp_match \
        ofp_meter ofp_monitor ofp_msgs ofp_packet ofp_port ofp_protocol ofp_queue ofp_table ofp_util ofproto ofproto_dpif \
        ofproto_dpif_mirror ofproto_dpif_monitor ofproto_dpif_rid ofproto_dpif_upcall ofproto_dpif_xlate ofproto_xlate_cache ovs_lldp \
        ovs_numa ovs_rcu ovs_replay ovs_router ovs_thread ovsdb_cs ovsdb_error ovsdb_idl ox_stat pcap pmd_perf poll_loop process rconn \
        reconnect route_table rstp rstp_sm sflow sha1 signals socket_util socket_util_unix stp stream stream_fd stream_replay stream_ssl \
        stream_tcp stream_unix svec system_stats timeval tunnel unixctl userspace_tso util uuid vconn vconn_stream vlog vswitchd
        """.split(separator: " ").map(String.init)
}
