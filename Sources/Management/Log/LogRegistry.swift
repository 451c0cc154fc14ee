// The daemon's log: one line a message, in the field's format, at levels that can be changed while it runs.
//
//     2026-01-31T12:00:00.123Z|00042|module|WARN|text
//
// time in UTC, a sequence number over all modules (a gap shows that lines were dropped), the module, the severity, the
// text. Operators and their tools grep for exactly this.
//
// A peer that misbehaves must not be able to fill a disk: each module has a token bucket, and when it is empty lines are
// counted instead of written; the next line that passes says how many were lost. Debug lines are not limited, whoever
// turned them on wants them all.
//
// ## Thread safety
// All members may be called by any thread: the state is behind one mutex, and a line is written in one `write`. PMD
// threads never log.

public import Base
internal import Glibc
public import Logging
internal import Synchronization

/// Levels of every module and destination, and the destinations themselves.
public final class LogRegistry: Sendable {
    /// Lines a module may write at once, and how many more it earns a minute.
    static let burstLines = 60
    static let linesPerMinute: UInt64 = 60

    private struct Module {
        /// By `LogDestination.rawValue`.
        var levels: [LogLevel]
        var isLimited = true
        var tokens = LogRegistry.burstLines
        var lastEarned: Instant
        var droppedLines = 0
    }

    private struct State {
        var modules: [String: Module] = [:]
        /// What a module starts with.
        var defaults: [LogLevel] = [.info, .off, .info]
        var sequence = 0
        var filePath: String?
        var fileDescriptor: Int32 = -1
        /// By `LogDestination.rawValue`.
        var patterns = [LogPattern.standard, LogPattern.syslog, LogPattern.standard]
        /// Syslog's; the daemons' unless it was set.
        var facility: Int32?
    }

    private let clock: Clock
    private let consoleDescriptor: Int32
    private let wallMilliseconds: @Sendable () -> UInt64
    private let state = Mutex(State())
    /// Whoever asked to be told of changed levels.
    private let followers = Mutex<[@Sendable () -> Void]>([])

    /// - Parameters:
    ///   - consoleDescriptor: what console lines are written to; standard error unless a test says otherwise.
    ///   - wallMilliseconds: the time of day.
    public init(
        clock: Clock, consoleDescriptor: Int32 = 2, wallMilliseconds: @escaping @Sendable () -> UInt64 = { Clock.wallMilliseconds() }
    ) {
        self.clock = clock
        self.consoleDescriptor = consoleDescriptor
        self.wallMilliseconds = wallMilliseconds
    }

    deinit { state.withLock { if $0.fileDescriptor >= 0 { close($0.fileDescriptor) } } }

    /// A logger of `module`, registered so that `vlog/list` shows it.
    public func logger(_ module: String) -> Logger {
        state.withLock { registered(module, &$0) { _ in } }
        return Logger(label: module) { FieldLogHandler(module: $0, registry: self) }
    }

    /// Makes modules known, so that their levels can be set before they log.
    public func register(modules: [String]) {
        state.withLock { state in for module in modules { registered(module, &state) { _ in } } }
    }

    /// Makes every `Logger(label:)` of the process write here. Once a process.
    public func bootstrap() {
        LoggingSystem.bootstrap { FieldLogHandler(module: $0, registry: self) }
    }

    /// Writes one line, if the module's levels and its rate allow.
    ///
    /// - Parameter hasLines: the text is the daemon's own in every byte, and its line ends are meant.
    public func log(_ module: String, _ level: LogLevel, _ text: String, hasLines: Bool = false) {
        state.withLock { state in
            var lost = 0
            var isDue = false
            registered(module, &state) { entry in
                guard entry.levels.contains(where: { level <= $0 }) else { return }
                isDue = level == .debug || take(&entry)
                if isDue {
                    lost = entry.droppedLines
                    entry.droppedLines = 0
                }
            }
            guard isDue else { return }
            let text = hasLines ? text : LogRegistry.printable(text)
            if lost > 0 { write(module, level, "Dropped \(lost) log messages due to excessive rate", &state) }
            write(module, level, text, &state)
        }
    }

    /// Calls `body` now, and whenever levels may have changed.
    public func onLevelChange(_ body: @escaping @Sendable () -> Void) {
        followers.withLock { $0.append(body) }
        body()
    }

    /// The most talkative level any destination takes from a module.
    public func threshold(of module: String) -> LogLevel {
        state.withLock { ($0.modules[module]?.levels ?? $0.defaults).max() ?? .off }
    }

    // MARK: Changing it

    /// Sets levels as `vlog/set` says: words for module, destination and level in any order, separated by colons, spaces
    /// or commas; what is not named is meant for all. Without a level, the level is debug.
    ///
    /// - Returns: the error text of the field for a word that is none of the three, or nil.
    public func set(specification: String) -> String? {
        let head = specification.prefix { $0 != ":" }.uppercased()
        if head == "PATTERN" || head == "FACILITY" { return setForm(head, String(specification.dropFirst(head.count + 1))) }
        var module: String?
        var destination: LogDestination?
        var level: LogLevel?
        defer { for follower in followers.withLock({ $0 }) { follower() } }
        return state.withLock { state in
            for word in specification.split(whereSeparator: { ":, ".contains($0) }).map(String.init) {
                // C's names of modules, with underscores, and the files' with dashes mean the same.
                let lowered = String(word.lowercased().map { $0 == "-" ? "_" : $0 })
                if lowered == "any" { continue }
                if let known = LogLevel(name: word) {
                    level = known
                } else if let known = LogDestination.allCases.first(where: { $0.name == lowered }) {
                    destination = known
                } else if state.modules[lowered] != nil {
                    module = lowered
                } else {
                    return "no destination, level, or module \"\(word)\""
                }
            }
            let destinations = destination.map { [$0] } ?? LogDestination.allCases
            for name in module.map({ [$0] }) ?? Array(state.modules.keys) {
                for destination in destinations { state.modules[name]?.levels[destination.rawValue] = level ?? .debug }
            }
            if module == nil { for destination in destinations { state.defaults[destination.rawValue] = level ?? .debug } }
            return nil
        }
    }

    /// `PATTERN:destination:pattern` and `FACILITY:name`.
    private func setForm(_ head: String, _ rest: String) -> String? {
        if head == "FACILITY" {
            guard let facility = LogPattern.facility(named: rest) else { return "invalid facility" }
            state.withLock { $0.facility = facility }
            return nil
        }
        let parts = rest.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let name = parts[0].lowercased()
        let destination = LogDestination.allCases.first { $0.name == name }
        guard destination != nil || name == "any" else { return "unknown destination \"\(parts[0])\"" }
        guard parts.count == 2 else { return "missing pattern" }
        state.withLock { state in
            for one in LogDestination.allCases where destination == nil || one == destination {
                state.patterns[one.rawValue] = LogPattern(parts[1])
            }
        }
        return nil
    }

    /// What `vlog/list-pattern` prints.
    public func listPatterns() -> String {
        let patterns = state.withLock { $0.patterns }
        let blank = String(repeating: " ", count: 9)
        let lines = [(LogDestination.syslog, "SYSLOG"), (.console, "CONSOLE"), (.file, "FILE")].map { destination, name in
            padded(name, 7) + "  " + padded("none", 32) + "  " + patterns[destination.rawValue].text + "\n"
        }
        return blank + padded("prefix", 32) + "  format\n" + blank + padded("------", 32) + "  ------\n" + lines.joined()
    }

    /// Turns the rate limit on or off for a module, or for all.
    ///
    /// - Returns: whether there is such a module.
    public func setRateLimit(_ isLimited: Bool, module: String?) -> Bool {
        state.withLock { state in
            guard let module else {
                for name in state.modules.keys { state.modules[name]?.isLimited = isLimited }
                return true
            }
            guard state.modules[module] != nil else { return false }
            state.modules[module]?.isLimited = isLimited
            return true
        }
    }

    /// Writes to `path` too, appending; the file is created with mode 0640.
    ///
    /// - Returns: why not, or nil.
    public func openFile(_ path: String) -> String? {
        let opened = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard opened >= 0 else { return "cannot open the log file \(path): \(String(cString: strerror(errno)))" }
        state.withLock { state in
            if state.fileDescriptor >= 0 { close(state.fileDescriptor) }
            state.fileDescriptor = opened
            state.filePath = path
        }
        return nil
    }

    /// Opens the log file anew, after it was rotated away.
    ///
    /// - Returns: why not, or nil.
    public func reopenFile() -> String? {
        guard let path = state.withLock({ $0.filePath }) else { return "Logging to file not configured" }
        return openFile(path)
    }

    /// Stops writing to the log file until it is reopened.
    public func closeFile() {
        state.withLock { state in
            if state.fileDescriptor >= 0 { close(state.fileDescriptor) }
            state.fileDescriptor = -1
        }
    }

    /// The table that `vlog/list` prints.
    public func list() -> String {
        state.withLock { state in
            var text = "                 console    syslog    file\n                 -------    ------    ------\n"
            for (name, module) in state.modules.sorted(by: { $0.key < $1.key }) {
                text += padded(name, 16) + "  " + module.levels.map { aligned($0.name, 4) }.joined(separator: "       ")
                text += module.isLimited ? "\n" : "    (rate limiting disabled)\n"
            }
            return text
        }
    }

    // MARK: Within

    private func registered(_ name: String, _ state: inout State, _ body: (inout Module) -> Void) {
        var module = state.modules[name] ?? Module(levels: state.defaults, lastEarned: clock.now)
        body(&module)
        state.modules[name] = module
    }

    private func take(_ module: inout Module) -> Bool {
        guard module.isLimited else { return true }
        let now = clock.now
        let earned = now.milliseconds(since: module.lastEarned) * LogRegistry.linesPerMinute / 60_000
        if earned > 0 {
            module.tokens = min(LogRegistry.burstLines, module.tokens + Int(clamping: earned))
            module.lastEarned = now
        }
        if module.tokens == 0 {
            module.droppedLines += 1
            return false
        }
        module.tokens -= 1
        return true
    }

    private func write(_ module: String, _ level: LogLevel, _ text: String, _ state: inout State) {
        state.sequence += 1
        let levels = state.modules[module]?.levels ?? state.defaults
        let record = LogPattern.Record(
            milliseconds: wallMilliseconds(), sequence: state.sequence, module: module, level: level, text: text,
            facility: state.facility)
        if level <= levels[LogDestination.syslog.rawValue] {
            state.patterns[LogDestination.syslog.rawValue].format(record).withCString { text in
                withVaList([text]) { vsyslog((state.facility ?? Int32(LOG_DAEMON)) | level.syslogPriority, "%s", $0) }
            }
        }
        for (destination, descriptor) in [(LogDestination.console, consoleDescriptor), (.file, state.fileDescriptor)]
        where descriptor >= 0 && level <= levels[destination.rawValue] {
            LogRegistry.put(state.patterns[destination.rawValue].format(record) + "\n", descriptor)
        }
    }

    /// `text` on one line: what a peer sent may not forge lines or drive a terminal.
    private static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f: result += "\\x" + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func put(_ line: String, _ descriptor: Int32) {
        var line = line
        // A log that cannot be written must not stop the switch: the result is ignored on purpose.
        line.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}

extension LogLevel {
    /// Syslog's severity, as the field maps its own.
    var syslogPriority: Int32 {
        switch self {
        case .off, .debug: LOG_DEBUG
        case .info: LOG_NOTICE
        case .warning: LOG_WARNING
        case .error: LOG_ERR
        case .emergency: LOG_ALERT
        }
    }
}

func leadingZeros(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// Left-aligned.
func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }

/// Right-aligned.
func aligned(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
