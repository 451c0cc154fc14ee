// Replies that take long to make: on another thread, so that nobody else waits for them.

internal import OpenFlow

/// A reply of many messages that is made a batch at a time, beside the control loop, and sent as the peer reads it.
///
/// ## Thread safety
/// Belongs to the service's executor. Only `produce` runs elsewhere, never twice at one time: the next batch is asked for when
/// the last one has come.
final class DetachedReply: @unchecked Sendable {
    /// Messages, and whether they are the last.
    typealias Batch = (messages: [[UInt8]], isLast: Bool)

    /// Messages that wait for the peer while more are made: about half a megabyte.
    private static let readyMessages = 8

    private let executor: any ServiceExecutor
    private let produce: @Sendable () -> Batch
    private weak var connection: OpenFlowConnection?
    private var ready: [[UInt8]] = []
    private var isMaking = false
    private var isFinished = false

    private init(_ connection: OpenFlowConnection, _ executor: any ServiceExecutor, _ produce: @escaping @Sendable () -> Batch) {
        self.connection = connection
        self.executor = executor
        self.produce = produce
    }

    /// Answers with what `produce` makes; until that is through, the connection handles no further message.
    static func send(on connection: OpenFlowConnection, _ executor: any ServiceExecutor, _ produce: @escaping @Sendable () -> Batch) {
        let reply = DetachedReply(connection, executor, produce)
        connection.sendReply { reply.next() }
    }

    private func next() -> OpenFlowConnection.ReplyStep {
        // One batch ahead of the peer, so that neither waits for the other.
        if ready.count < DetachedReply.readyMessages { make() }
        if ready.isEmpty { return isFinished ? .end : .later }
        return .message(ready.removeFirst())
    }

    private func make() {
        if isMaking || isFinished { return }
        isMaking = true
        executor.detach {
            let batch = self.produce()
            self.executor.submit { self.take(batch) }
        }
    }

    private func take(_ batch: Batch) {
        isMaking = false
        isFinished = batch.isLast
        ready += batch.messages
        connection?.replyAdvanced()
    }
}
