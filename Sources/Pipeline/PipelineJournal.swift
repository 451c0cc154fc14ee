// What the pipeline tells an operator.
//
// The pipeline does not log: whoever runs it says what is to become of its lines. Nothing is put into words that nobody wants.

internal import Synchronization

/// The pipeline's lines, on their way to a log.
///
/// ## Thread safety
/// All members may be used from any thread; the writer is called on the thread that had something to say.
public final class PipelineJournal: Sendable {
    /// Whose lines they are, in the field's words.
    public enum Module: String, Sendable {
        case groups = "ofproto_dpif"
        case translation = "ofproto_dpif_xlate"
    }
    public enum Level: Sendable { case warning, debug }
    public typealias Writer = @Sendable (Module, Level, String) -> Void

    private let writer = Mutex<Writer?>(nil)
    private let debugsGroups = Atomic<Bool>(false)

    init() {}

    /// Whether lines about how select groups choose are wanted.
    public var wantsGroups: Bool {
        get { debugsGroups.load(ordering: .relaxed) }
        set { debugsGroups.store(newValue, ordering: .relaxed) }
    }

    /// From now on lines go to `writer`.
    public func connect(_ writer: @escaping Writer) { self.writer.withLock { $0 = writer } }

    func write(_ module: Module, _ level: Level, _ line: @autoclosure () -> String) {
        guard let writer = writer.withLock({ $0 }) else { return }
        writer(module, level, line())
    }
}
