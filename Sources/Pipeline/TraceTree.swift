// The tree of a trace, and its text in the field's form (`ofproto/trace`).
//
// Tables hang under the table that sent the packet there. A table that is the last thing under its parent is printed at its
// parent's level, so that a chain of gotos stays flat; any other is printed one level deeper.

/// One line of a trace and what hangs under it.
final class TraceNode {
    enum Kind {
        case bridge, table, bucket, action, detail, warning, error
        /// Nothing is printed under it at its own level.
        var isLeaf: Bool {
            switch self {
            case .bridge, .table: false
            case .bucket, .action, .detail, .warning, .error: true
            }
        }
    }

    let kind: Kind
    let text: String
    private var children: [TraceNode] = []

    init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
    }

    @discardableResult
    func add(_ kind: Kind, _ text: String) -> TraceNode {
        let node = TraceNode(kind, text)
        children.append(node)
        return node
    }

    /// The lines under this node.
    func render(level: Int = 0) -> String {
        var output = ""
        for (index, node) in children.enumerated() {
            let indent = level + (index < children.count - 1 || node.kind.isLeaf ? 1 : 0)
            let margin = String(repeating: " ", count: indent * 4)
            switch node.kind {
            case .bridge: output += "\n\(margin)\(node.text)\n\(margin)\(String(repeating: "-", count: node.text.count))\n"
            case .table, .bucket, .action: output += "\(margin)\(node.text)\n"
            case .detail: output += "\(margin) -> \(node.text)\n"
            case .warning: output += "\(margin) >> \(node.text)\n"
            case .error: output += "\(margin) >>>> \(node.text) <<<<\n"
            }
            output += node.render(level: indent > level ? level + 2 : level)
        }
        return output
    }
}
