// Tables for people.

/// A table with aligned columns.
public struct TextTable: Sendable {
    private let header: [String]
    private let right: Set<String>
    private var rows: [[String]] = []

    /// - Parameter right: the columns that are aligned to the right: numbers.
    public init(_ header: [String], right: Set<String> = []) {
        self.header = header
        self.right = right
    }

    /// Adds a row; missing cells are empty.
    public mutating func add(_ cells: [String]) {
        rows.append(cells + Array(repeating: "", count: max(0, header.count - cells.count)))
    }

    public var isEmpty: Bool { rows.isEmpty }

    /// The table, each line with its newline, no trailing spaces.
    public var text: String {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        var result = ""
        for row in all {
            var line = ""
            for column in header.indices {
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                line += (column == 0 ? "" : "  ") + (right.contains(header[column]) ? padding + row[column] : row[column] + padding)
            }
            while line.hasSuffix(" ") { line.removeLast() }
            result += line + "\n"
        }
        return result
    }
}
