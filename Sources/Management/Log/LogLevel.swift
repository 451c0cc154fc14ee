// Severities and destinations, as `vlog/set` names them.

internal import Logging

/// A severity, least urgent last. `off` is a threshold only: nothing is logged at it.
public enum LogLevel: Int, CaseIterable, Comparable, Sendable {
    case off, emergency, error, warning, info, debug

    /// The name in a log line and in `vlog/list`.
    public var name: String {
        switch self {
        case .off: "OFF"
        case .emergency: "EMER"
        case .error: "ERR"
        case .warning: "WARN"
        case .info: "INFO"
        case .debug: "DBG"
        }
    }

    /// The level of that name in any case, and of the names other tools use for the same ("error", "warning", "debug").
    public init?(name: String) {
        let wanted = name.lowercased()
        for level in LogLevel.allCases where level.name.lowercased() == wanted {
            self = level
            return
        }
        switch wanted {
        case "emergency": self = .emergency
        case "error": self = .error
        case "warning": self = .warning
        case "debug": self = .debug
        default: return nil
        }
    }

    init(_ level: Logger.Level) {
        switch level {
        case .trace, .debug: self = .debug
        case .info, .notice: self = .info
        case .warning: self = .warning
        case .error: self = .error
        case .critical: self = .emergency
        }
    }

    /// The most talkative swift-log level that this threshold lets through.
    var loggerLevel: Logger.Level {
        switch self {
        case .off, .emergency: .critical
        case .error: .error
        case .warning: .warning
        case .info: .info
        case .debug: .trace
        }
    }

    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}

/// Where log lines go.
public enum LogDestination: Int, CaseIterable, Sendable {
    /// Standard error.
    case console
    case syslog
    /// The file of `--log-file`.
    case file

    public var name: String {
        switch self {
        case .console: "console"
        case .syslog: "syslog"
        case .file: "file"
        }
    }
}
