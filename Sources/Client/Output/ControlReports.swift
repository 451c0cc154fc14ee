// The texts of control commands, taken apart for programs.
//
// For people the switch's own text is the best form: it is what the field's handbooks show. Programs get its parts.

internal import OVSDB

/// Reports made from control commands' answers.
public enum ControlReports {
    /// `dpctl/dump-flows`: lines of "MATCH, packets:N, bytes:N, used:T, [flags:F, ]actions:A".
    public static func datapathFlows(_ text: String) -> Report {
        var objects: [JSON] = []
        for line in text.split(separator: "\n") {
            guard let actions = line.range(of: ", actions:"), let packets = line.range(of: ", packets:") else { continue }
            var members: [(String, JSON)] = [
                ("match", .string(String(line[..<packets.lowerBound]))), ("actions", .string(String(line[actions.upperBound...]))),
            ]
            for word in line[packets.lowerBound..<actions.lowerBound].split(separator: ",") {
                let parts = word.split(separator: ":", maxSplits: 1).map { String($0.filter { $0 != " " }) }
                guard parts.count == 2 else { continue }
                members.append((parts[0], Int64(parts[1]).map { .integer($0) } ?? .string(parts[1])))
            }
            objects.append(.object(JSONObject(members)))
        }
        return Report(text: text.isEmpty ? "no flow is cached: nothing has been forwarded for a while\n" : text, json: .array(objects))
    }

    /// `dpif-netdev/pmd-stats-show` and `dpif-netdev/pmd-rxq-show`, joined by thread.
    /// `performance` is `dpif-netdev/pmd-perf-show`'s, for what goes on now and where the cycles go.
    public static func pmd(statistics: String, queues: String, performance: String = "") -> Report {
        var threads: [(name: String, members: [(String, JSON)], queues: [JSON])] = []
        func position(_ name: String) -> Int {
            if let known = threads.firstIndex(where: { $0.name == name }) { return known }
            threads.append((name, [], []))
            return threads.count - 1
        }
        for (text, isQueues) in [(statistics, false), (performance, false), (queues, true)] {
            var current: Int?
            for line in text.split(separator: "\n") {
                if !line.hasPrefix(" "), line.hasSuffix(":") {
                    current = position(String(line.dropLast()))
                } else if let current, isQueues, line.range(of: "port:") != nil {
                    threads[current].queues.append(queue(line))
                } else if let current, let colon = line.firstIndex(of: ":") {
                    let value = trimmed(line[line.index(after: colon)...])
                    let number = Int64(value).map { JSON.integer($0) } ?? Double(value).map { .real($0) }
                    threads[current].members.append((trimmed(line[..<colon]), number ?? .string(value)))
                }
            }
        }
        let objects = threads.map { thread in
            JSON.object(JSONObject(thread.members + [("thread", .string(thread.name)), ("queues", .array(thread.queues))]))
        }
        guard !threads.isEmpty else {
            return Report(text: "no thread of the datapath runs yet: the first port starts one\n", json: .array([]))
        }
        return Report(text: table(threads), json: .array(objects))
    }

    private typealias ThreadParts = (name: String, members: [(String, JSON)], queues: [JSON])

    /// The threads, one line each, and under them their queues.
    private static func table(_ threads: [ThreadParts]) -> String {
        let columns: [(title: String, member: String)] = [
            ("PACKETS", "packets received"), ("CACHE HITS", "emc hits"), ("MEGAFLOW HITS", "megaflow hits"),
            ("UPCALLS", "miss with success upcall"), ("FAILED", "miss with failed upcall"), ("BUSY", "processing cycles"),
            ("CYCLES/PACKET", "avg processing cycles per packet"),
        ]
        var table = TextTable(["THREAD"] + columns.map(\.title), right: Set(columns.map(\.title)))
        var queues = TextTable(["THREAD", "PORT", "QUEUE", "LOAD"], right: ["QUEUE", "LOAD"])
        for thread in threads {
            let members = Dictionary(thread.members, uniquingKeysWith: { $1 })
            let name = shortName(thread.name)
            table.add(
                [name]
                    + columns.map { column in
                        guard let value = members[column.member] else { return "-" }
                        let text = value.string ?? value.text
                        // "12345 (6.78%)" is the share of cycles, "123.45 (12345/100)" the quotient.
                        guard let bracket = text.firstIndex(of: "(") else { return text }
                        if column.title == "BUSY" { return String(text[text.index(after: bracket)...].dropLast()) }
                        return String(text[..<bracket].filter { $0 != " " })
                    })
            for queue in thread.queues {
                let load = queue["usage_percent"]?.integer.map { "\($0)%" } ?? "-"
                queues.add([name, queue["port"]?.string ?? "?", queue["queue"]?.text ?? "?", load])
            }
        }
        let now = details(
            threads,
            [
                ("PACKETS/S 1S", "packets per second, last second"), ("1MIN", "packets per second, last minute"),
                ("UPCALLS/S 1S", "upcalls per second, last second"), ("1MIN", "upcalls per second, last minute"),
                ("BUSY % 1S", "busy percent, last second"), ("1MIN", "busy percent, last minute"),
                ("UPCALL US P50", "upcall microseconds, 50th percentile below"), ("P99", "upcall microseconds, 99th percentile below"),
            ])
        let stages = details(
            threads,
            ["receive", "extract", "lookup", "upcalls", "actions", "transmit"].map { ("\($0.uppercased())", "\($0) cycles per packet") })
        return table.text + (now.map { "\n" + $0 } ?? "") + (stages.map { "\nCycles a packet, by stage:\n" + $0 } ?? "")
            + (queues.isEmpty ? "" : "\n" + queues.text)
    }

    /// A table of members by thread, of those threads that have any; nil if none has.
    private static func details(_ threads: [ThreadParts], _ columns: [(title: String, member: String)]) -> String? {
        var table = TextTable(["THREAD"] + columns.map(\.title), right: Set(columns.map(\.title)))
        for thread in threads {
            let members = Dictionary(thread.members, uniquingKeysWith: { $1 })
            guard columns.contains(where: { members[$0.member] != nil }) else { continue }
            table.add([shortName(thread.name)] + columns.map { members[$0.member].map { $0.string ?? $0.text } ?? "-" })
        }
        return table.isEmpty ? nil : table.text
    }

    /// "pmd thread numa_id 0 core_id 1" is "pmd core 1".
    private static func shortName(_ name: String) -> String {
        let words = name.split(separator: " ")
        if words.first == "pmd", let core = words.last { return "pmd core \(core)" }
        return name.hasSuffix(" thread") ? String(name.dropLast(" thread".count)) : name
    }

    /// `ofproto/trace`.
    public static func trace(_ text: String) -> Report {
        var members: [(String, JSON)] = [("text", .string(text))]
        for line in text.split(separator: "\n") {
            for (prefix, name) in [
                ("Flow: ", "flow"), ("Final flow: ", "final_flow"), ("Megaflow: ", "megaflow"), ("Datapath actions: ", "datapath_actions"),
            ]
            where line.hasPrefix(prefix) {
                members.append((name, .string(String(line.dropFirst(prefix.count)))))
            }
        }
        return Report(text: text, json: .object(JSONObject(members)))
    }

    /// "port: p1  queue-id:  0 (enabled)   pmd usage:  0 %".
    private static func queue(_ line: Substring) -> JSON {
        var words = line.split(separator: " ").map(String.init)[...]
        var members: [(String, JSON)] = []
        while let word = words.popFirst() {
            if word == "port:", let name = words.popFirst() { members.append(("port", .string(name))) }
            if word == "queue-id:", let id = words.popFirst() { members.append(("queue", Int64(id).map { .integer($0) } ?? .string(id))) }
            if word == "(enabled)" || word == "(disabled)" { members.append(("enabled", .boolean(word == "(enabled)"))) }
            if word == "usage:", let usage = words.popFirst() {
                members.append(("usage_percent", Int64(usage).map { .integer($0) } ?? .string(usage)))
            }
        }
        return .object(JSONObject(members))
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " }.reversed())
    }
}

extension Substring {
    /// The first occurrence of `text`.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
