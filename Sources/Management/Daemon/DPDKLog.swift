// DPDK's log lines, in ours.

internal import Netdev
internal import Synchronization

enum DPDKLog {
    /// DPDK's callback carries no context, so the registry stands here. Set once, before DPDK starts.
    private static let registry = Mutex<LogRegistry?>(nil)

    /// Logs what DPDK says under the module `dpdk`.
    static func forward(to log: LogRegistry) {
        registry.withLock { $0 = log }
        DPDKRuntime.setLogSink { level, text, length in
            // Sound: `length` bytes at `text` are DPDK's line, valid during the call.
            let bytes = UnsafeRawBufferPointer(start: UnsafeRawPointer(text), count: length)
            let line = String(decoding: bytes, as: UTF8.self).trimmingSuffix { $0.isWhitespace }
            guard !line.isEmpty else { return }
            DPDKLog.registry.withLock { $0 }?.log("dpdk", DPDKLog.severity(level), String(line))
        }
    }

    /// DPDK counts from 1 (emergency) to 8 (debug), like syslog plus one.
    private static func severity(_ level: Int32) -> LogLevel {
        switch level {
        case ...2: .emergency
        case 3, 4: .error
        case 5: .warning
        case 6, 7: .info
        default: .debug
        }
    }
}

extension String {
    fileprivate func trimmingSuffix(where matches: (Character) -> Bool) -> Substring {
        var end = endIndex
        while end > startIndex, matches(self[index(before: end)]) { end = index(before: end) }
        return self[..<end]
    }
}
