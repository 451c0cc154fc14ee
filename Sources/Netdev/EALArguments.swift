/// The EAL's command line, made of the settings in `Open_vSwitch.other_config` and of what the machine has. Pure, so that
/// tests can go through all machines.
struct EALArguments: Equatable {
    /// What the machine has.
    struct Machine: Equatable {
        /// Hugepages can be had without a mounted file system.
        var hasHugepages: Bool
        var memoryMiB: Int
        /// CPUs this process may run on.
        var cpus: [Int]
        /// A device driver or VFIO mode is in use that needs physical addresses.
        var needsPhysicalAddresses: Bool
        var processID: Int
    }

    var arguments: [String]
    /// Sentences about what was decided, for the log.
    var notes: [String]

    /// - Parameter settings: `other_config`; keys that do not concern DPDK are ignored.
    init(settings: [String: String], machine: Machine) throws(PortError) {
        var notes: [String] = []
        let extra = try EALArguments.split(settings["dpdk-extra"] ?? "")
        func given(_ names: String...) -> Bool {
            extra.contains { argument in
                names.contains { name in
                    argument == name || argument.hasPrefix(name + "=")
                        || (!name.hasPrefix("--") && argument.hasPrefix(name) && !argument.hasPrefix("--"))
                }
            }
        }
        var made = ["apusd"]

        if let mask = settings["dpdk-lcore-mask"], !mask.isEmpty {
            guard EALArguments.isHexadecimal(mask) else {
                throw .dpdkUnavailable(reason: "other_config:dpdk-lcore-mask='\(mask)' is not a hexadecimal number such as 0x3")
            }
            made += ["-c", mask]
        } else if !given("-c", "-l", "--lcores") {
            // one lcore that floats: PMD threads are the switch's own and are pinned by it
            made += ["--lcores", "0@(\(EALArguments.ranges(machine.cpus)))"]
        }

        let socketMemory = settings["dpdk-socket-mem"] ?? ""
        let allocated = settings["dpdk-alloc-mem"] ?? ""
        let withoutHugepages = given("--no-huge") || !machine.hasHugepages
        if withoutHugepages {
            if !given("--no-huge") {
                made.append("--no-huge")
                notes.append("no hugepages are free on this machine: DPDK uses ordinary memory, which is slower")
                if !socketMemory.isEmpty {
                    notes.append("other_config:dpdk-socket-mem=\(socketMemory) is taken as a total, for want of hugepages")
                }
            }
            if !given("-m", "--socket-mem") {
                let range = NetdevLimits.memoryMiBWithoutHugepages
                let fitting = min(max(machine.memoryMiB / 8, range.lowerBound), range.upperBound)
                made += ["-m", String(EALArguments.total(socketMemory) ?? Int(allocated) ?? fitting)]
            }
            if !given("--no-shconf") { made.append("--no-shconf") }
        } else {
            // Memory by descriptors, without files: needs no mounted hugetlbfs, leaves nothing behind, meets no other process.
            if !given("--in-memory", "--huge-dir", "--no-shconf", "--huge-unlink") { made.append("--in-memory") }
            if !socketMemory.isEmpty && !given("--socket-mem", "-m") { made += ["--socket-mem", socketMemory] }
            if socketMemory.isEmpty, !allocated.isEmpty, !given("--socket-mem", "-m") { made += ["-m", allocated] }
            if let limit = settings["dpdk-socket-limit"], !limit.isEmpty, !given("--socket-limit") { made += ["--socket-limit", limit] }
        }
        if !given("--file-prefix") { made.append("--file-prefix=apus-\(machine.processID)") }
        if !given("--iova-mode"), withoutHugepages || !machine.needsPhysicalAddresses { made.append("--iova-mode=va") }
        // its thread also prints when the process ends
        if !given("--telemetry", "--no-telemetry") { made.append("--no-telemetry") }
        // ports are probed when they are added, one by one; an allow list that matches nothing keeps the start from taking all
        if !given("-a", "--allow", "-b", "--block", "--no-pci") { made += ["-a", "0000:00:00.0"] }
        arguments = made + extra
        self.notes = notes
    }

    /// Splits at blanks; quotes, single or double, keep blanks.
    static func split(_ text: String) throws(PortError) -> [String] {
        var words: [String] = []
        var word = ""
        var inWord = false
        var quote: Character?
        for character in text {
            if let open = quote {
                if character == open { quote = nil } else { word.append(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                inWord = true
            } else if character == " " || character == "\t" || character == "\n" {
                if inWord { words.append(word) }
                word = ""
                inWord = false
            } else {
                word.append(character)
                inWord = true
            }
        }
        if quote != nil { throw .dpdkUnavailable(reason: "other_config:dpdk-extra='\(text)' has a quote that does not end") }
        if inWord { words.append(word) }
        return words
    }

    private static func isHexadecimal(_ text: String) -> Bool {
        let digits = text.hasPrefix("0x") || text.hasPrefix("0X") ? text.dropFirst(2) : Substring(text)
        return !digits.isEmpty && digits.allSatisfy(\.isHexDigit)
    }

    /// The sum of a list such as `1024,1024`; nil if it is none.
    private static func total(_ list: String) -> Int? {
        guard !list.isEmpty else { return nil }
        var sum = 0
        for part in list.split(separator: ",") {
            guard let value = Int(part), value >= 0, value < 1 << 30 else { return nil }
            sum += value
        }
        return sum > 0 ? sum : nil
    }

    /// `0-3,8` for ascending numbers.
    static func ranges(_ numbers: [Int]) -> String {
        var parts: [String] = []
        var index = 0
        while index < numbers.count {
            var end = index
            while end + 1 < numbers.count && numbers[end + 1] == numbers[end] + 1 { end += 1 }
            parts.append(index == end ? "\(numbers[index])" : "\(numbers[index])-\(numbers[end])")
            index = end + 1
        }
        return parts.isEmpty ? "0" : parts.joined(separator: ",")
    }
}
