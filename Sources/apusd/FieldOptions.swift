// Options in the field's style, which the argument parser cannot take: with an optional value (`--pidfile[=FILE]`), or with the value
// in the same word (`-vbridge:file:dbg`). They are taken out of the command line before it is parsed.

/// What `apusd` was told in options that Open vSwitch's daemon knows too.
struct FieldOptions {
    /// `--enable-dummy[=override|system]`: the word behind the equals sign, empty without one.
    var dummy: String?
    /// `--dummy-numa=N,N,...`: for each of the CPUs that tests see, its NUMA node.
    var dummyNodes: [Int]?
    /// `--log-file[=FILE]`: empty for the default file.
    var logFile: String?
    /// `--pidfile[=FILE]` with a file.
    var pidFile: String?
    var hasPidFile = false
    /// `--unixctl=PATH`.
    var controlSocket: String?
    /// `-v[SPEC]` and `--verbose[=SPEC]`, in order.
    var logSpecifications: [String] = []
    var isDetached = false
    var isMonitored = false
    /// `--no-chdir`.
    var staysInDirectory = false
    /// Options that are accepted and have no effect, with the reason.
    var notes: [String] = []
    /// What is left for the argument parser.
    var rest: [String] = []
    /// What is wrong with them, in one sentence.
    var fault: String?

    /// Sound: written once by `main`, before any thread.
    nonisolated(unsafe) static var given = FieldOptions()

    init() {}

    /// - Parameter arguments: the command line without the program's name.
    init(parsing arguments: [String]) {
        var index = 0
        /// The value behind `=`, or the next word.
        func required(_ value: String?, _ name: String) -> String? {
            if let value { return value }
            index += 1
            if index < arguments.count { return arguments[index] }
            fault = "\(name) needs a value"
            return nil
        }
        while index < arguments.count {
            let word = arguments[index]
            if word == "--" {
                rest += arguments[index...]
                break
            }
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            let value = parts.count > 1 ? String(parts[1]) : nil
            switch name {
            case "--enable-dummy":
                dummy = value ?? ""
                if !["", "override", "system"].contains(dummy) {
                    fault = "--enable-dummy=\(dummy!) is not known: valid are override and system"
                }
            case "--dummy-numa":
                let text = required(value, name)
                dummyNodes = text?.split(separator: ",").compactMap { Int($0) }.filter { $0 >= 0 }
                if let text, dummyNodes?.isEmpty != false {
                    fault = "--dummy-numa=\(text) is not known: valid are numbers of nodes, one for each CPU, between commas"
                }
            case "--log-file": logFile = value ?? ""
            case "--pidfile":
                hasPidFile = true
                pidFile = value
            case "--unixctl": controlSocket = required(value, name)
            case "--detach": isDetached = true
            case "--no-chdir": staysInDirectory = true
            case "--verbose": logSpecifications.append(value ?? "any:any:dbg")
            case "--overwrite-pidfile": notes.append("--overwrite-pidfile: a pid file whose process is gone is always taken over")
            case "--monitor": isMonitored = true
            case "--disable-system", "--disable-system-route", "--no-self-confinement", "--hw-rawio-access", "--mlockall":
                // What they turn off or on is not there, or is so anyway.
                break
            case "--syslog-method", "--syslog-target", "--user":
                if let text = required(value, name) { notes.append("\(name) \(text) has no effect") }
            case "-V": rest.append("--version")
            case _ where word.hasPrefix("-v") && !word.hasPrefix("--"):
                logSpecifications.append(word.count > 2 ? String(word.dropFirst(2)) : "any:any:dbg")
            default: rest.append(word)
            }
            index += 1
        }
    }
}
