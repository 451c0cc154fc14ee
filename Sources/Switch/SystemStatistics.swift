// `Open_vSwitch.statistics`: how the machine and the daemon do. Written when `other_config:enable-statistics` says so.

internal import Glibc

/// Reads the host's counters.
enum SystemStatistics {
    /// The column's pairs: numbers of CPUs, load, memory in kilobytes, this process, mounted file systems.
    static func read(program: String) -> [String: String] {
        var result: [String: String] = ["cpu": String(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))]
        if let load = text("/proc/loadavg")?.split(separator: " ").prefix(3), load.count == 3 {
            result["load_average"] = load.joined(separator: ",")
        }
        if let memory = memory() { result["memory"] = memory }
        if let process = process() { result["process_\(program)"] = process }
        let mounts = fileSystems()
        if !mounts.isEmpty { result["file_systems"] = mounts }
        return result
    }

    /// Total, used and cached memory, total and used swap.
    private static func memory() -> String? {
        guard let lines = text("/proc/meminfo")?.split(separator: "\n") else { return nil }
        var values: [Substring: Int] = [:]
        for line in lines {
            let words = line.split(whereSeparator: { $0 == " " || $0 == ":" })
            if words.count >= 2, let number = Int(words[1]) { values[words[0]] = number }
        }
        guard let total = values["MemTotal"], let free = values["MemFree"] else { return nil }
        let cached = (values["Buffers"] ?? 0) + (values["Cached"] ?? 0)
        let swap = values["SwapTotal"] ?? 0
        return "\(total),\(total - free - cached),\(cached),\(swap),\(swap - (values["SwapFree"] ?? 0))"
    }

    /// Virtual and resident kilobytes, milliseconds of CPU, crashes, milliseconds since the start, twice.
    private static func process() -> String? {
        guard let stat = text("/proc/self/stat"), let end = stat.lastIndex(of: ")"),
            let uptime = text("/proc/uptime")?.split(separator: " ").first.flatMap({ Double($0) })
        else { return nil }
        let words = stat[stat.index(after: end)...].split(separator: " ")
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        guard words.count > 21, let user = Double(words[11]), let system = Double(words[12]), let start = Double(words[19]),
            let virtual = Int(words[20]), let pages = Int(words[21])
        else { return nil }
        let age = max(0, Int((uptime - start / ticks) * 1000))
        return "\(virtual / 1024),\(pages * sysconf(Int32(_SC_PAGESIZE)) / 1024),\(Int((user + system) * 1000 / ticks)),0,\(age),\(age)"
    }

    /// Mount point, total and used kilobytes of each block device's first mount.
    private static func fileSystems() -> String {
        var seen: Set<Substring> = []
        var result: [String] = []
        for line in (text("/proc/self/mounts") ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count > 1, words[0].hasPrefix("/"), seen.insert(words[0]).inserted else { continue }
            var status = statvfs()
            guard statvfs(String(words[1]), &status) == 0, status.f_blocks > 0 else { continue }
            let unit = UInt64(status.f_frsize)
            let total = UInt64(status.f_blocks) * unit / 1024
            let used = total - min(total, UInt64(status.f_bfree) * unit / 1024)
            result.append("\(words[1]),\(total),\(used)")
        }
        return result.joined(separator: " ")
    }

    private static func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
    }
}
