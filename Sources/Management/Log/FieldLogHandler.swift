// swift-log's door to the log registry.

public import Logging

/// Hands swift-log messages to a `LogRegistry`; the logger's label is the module's name.
public struct FieldLogHandler: LogHandler {
    private let module: String
    private let registry: LogRegistry
    public var metadata: Logger.Metadata = [:]

    public init(module: String, registry: LogRegistry) {
        self.module = module
        self.registry = registry
    }

    /// The registry decides; setting a level on one logger has no effect.
    public var logLevel: Logger.Level {
        get { registry.threshold(of: module).loggerLevel }
        set {}
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var text = event.message.description
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) { text += " \(key)=\(value)" }
        registry.log(module, LogLevel(event.level), text)
    }
}
