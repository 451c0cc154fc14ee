// What can go wrong for somebody who asks a switch for something.
//
// Every error is one sentence that names the offending value and says what would work, because it is what `apusctl`
// prints. Exit statuses are stable: scripts test them.

internal import Flow

/// Why a request to a switch failed.
public enum ClientError: Error, Equatable, CustomStringConvertible {
    /// Nothing listens in the run directory.
    case notRunning(runDirectory: String)
    /// Something is wrong with a socket or its peer.
    case connection(path: String, reason: String)
    /// The switch did not answer in time.
    case timedOut(waitingFor: String, seconds: Double)
    /// There is no such thing; `known` are the things of this kind that there are.
    case unknown(kind: String, name: String, known: [String])
    /// The value cannot be meant.
    case invalid(String)
    /// The switch said no, and why.
    case refused(String)
    /// The configuration was stored, but the switch could not carry it out.
    case notApplied(String)

    public var description: String {
        switch self {
        case .notRunning(let directory):
            "no switch is running in \(directory): start it with `apusd --rundir \(directory)`, or name its directory with --rundir"
        case .connection(let path, let reason):
            "cannot talk to the switch at \(path): \(reason)"
        case .timedOut(let what, let seconds):
            "no \(what) within \(ClientError.seconds(seconds)): look at the log of apusd, or allow more time with --timeout"
        case .unknown(let kind, let name, let known):
            ClientError.unknownText(kind, name, known)
        case .invalid(let text), .refused(let text), .notApplied(let text):
            text
        }
    }

    /// 1: refused or failed. 2: no such thing, or a value that cannot be meant. 3: no switch to talk to. 4: out of time.
    /// (64: the command line itself is wrong.)
    public var exitStatus: Int32 {
        switch self {
        case .refused, .notApplied: 1
        case .unknown, .invalid: 2
        case .notRunning, .connection: 3
        case .timedOut: 4
        }
    }

    private static func seconds(_ value: Double) -> String { value == value.rounded() ? "\(Int(value)) s" : "\(value) s" }

    private static func unknownText(_ kind: String, _ name: String, _ known: [String]) -> String {
        let start = "there is no \(kind) \"\(name)\""
        if let similar = Suggestion.nearest(to: name, among: known) { return start + "; did you mean \"\(similar)\"?" }
        if known.isEmpty { return start + ", nor any other" }
        let shown = known.sorted().prefix(12)
        return start + "; there \(known.count == 1 ? "is" : "are") " + shown.joined(separator: ", ")
            + (known.count > shown.count ? ", ..." : "")
    }
}
