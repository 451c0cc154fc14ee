internal import Glibc

/// A PCI device as Linux shows it, to say in a sentence why DPDK could not open it: DPDK itself only says that it failed.
struct PCIDevice: Equatable {
    /// Domain, bus, device and function: `0000:3b:00.0`.
    let address: String

    /// Drivers of the kernel that hand a device to a process.
    private static let givers: Set = ["vfio-pci", "igb_uio", "uio_pci_generic"]
    /// Drivers that DPDK's work beside.
    private static let companions: Set = ["mlx4_core", "mlx5_core", "mana"]
    /// Names of devices a sentence lists at most.
    private static let listed = 8

    /// The device that `devargs` (`dpdk-devargs`) begins with; nil if it names none by its address. The domain may be left out.
    init?(devargs: String) {
        var text = devargs.prefix { $0 != "," }
        if text.hasPrefix("pci:") { text = text.dropFirst(4) }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3 else { return nil }
        let last = parts[parts.count - 1].split(separator: ".", omittingEmptySubsequences: false)
        guard last.count == 2, let function = Int(last[1], radix: 16), function < 8, last[1].utf8.count == 1 else { return nil }
        func digits(_ text: Substring, _ width: Int) -> String? {
            guard !text.isEmpty, text.utf8.count <= width, text.allSatisfy({ $0.isASCII && $0.isHexDigit }) else { return nil }
            return String(repeating: "0", count: width - text.utf8.count) + text.lowercased()
        }
        guard let domain = parts.count == 3 ? digits(parts[0], 4) : "0000", let bus = digits(parts[parts.count - 2], 2),
            let device = digits(last[0], 2)
        else { return nil }
        address = "\(domain):\(bus):\(device).\(function)"
    }

    /// What keeps DPDK from opening the device, and what to do; nil if Linux shows nothing that does.
    /// - Parameter root: where sysfs is mounted.
    func problem(root: String = "/sys") -> String? {
        if let absence = absence(root: root) { return absence }
        guard access("\(root)/bus/pci/devices", F_OK) == 0 else { return nil }
        let device = "\(root)/bus/pci/devices/\(address)"
        let remedy = "bind it to vfio-pci first, for instance by driverctl set-override \(address) vfio-pci"
        guard let driver = PCIDevice.linkedName("\(device)/driver") else { return "no driver of the kernel holds \(address): \(remedy)" }
        if PCIDevice.companions.contains(driver) { return nil }
        guard PCIDevice.givers.contains(driver) else { return "the kernel's driver \(driver) holds \(address): \(remedy)" }
        if driver == "vfio-pci", PCIDevice.linkedName("\(device)/iommu_group") == nil {
            return "\(address) is in no IOMMU group: switch the IOMMU on (firmware, and intel_iommu=on or amd_iommu=on for the kernel)"
        }
        return nil
    }

    /// That there is no such device; nil if there is one, or if this machine shows no PCI devices at all.
    func absence(root: String = "/sys") -> String? {
        let all = "\(root)/bus/pci/devices"
        guard access(all, F_OK) == 0, access("\(all)/\(address)", F_OK) != 0 else { return nil }
        let cards = namesInDirectory(all).filter {
            // class 02: network controllers
            textOfFile("\(all)/\($0)/class")?.hasPrefix("0x02") == true
        }.sorted()
        let found = cards.isEmpty ? "it has no NICs at all" : "its NICs are " + cards.prefix(PCIDevice.listed).joined(separator: ", ")
        return "this machine has no PCI device \(address); \(found)"
    }

    /// The last component of what a symbolic link points to.
    private static func linkedName(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            let length = readlink(path, buffer.baseAddress!, buffer.count)
            guard length > 0 else { return nil }
            let target = String(decoding: UnsafeRawBufferPointer(buffer)[..<length], as: UTF8.self)
            return target.split(separator: "/").last.map(String.init)
        }
    }
}
