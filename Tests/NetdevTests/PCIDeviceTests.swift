import Glibc
import Testing

@testable import Netdev

@Suite struct PCIDeviceTests {
    @Test func addressesAreRecognised() {
        #expect(PCIDevice(devargs: "0000:3b:00.0")?.address == "0000:3b:00.0")
        #expect(PCIDevice(devargs: "3B:00.1,representor=[0]")?.address == "0000:3b:00.1")
        #expect(PCIDevice(devargs: "pci:1:2:3.7")?.address == "0001:02:03.7")
        for text in [
            "net_null0", "class=eth,mac=52:54:00:00:00:01", "3b:00", "3b:00.8", "3b:00.", ":00.0", "00003b:00.0", "3b:g0.0", "", ",",
        ] {
            #expect(PCIDevice(devargs: text) == nil, "\(text)")
        }
    }

    @Test func problemsAreSaid() throws {
        try withTemporaryDirectory { root in
            // only what the sentences are made of; `withTemporaryDirectory` removes files of its own folder only
            let folders = ["", "/bus", "/bus/pci", "/bus/pci/devices"]
            for folder in folders.dropFirst() { mkdir(root + folder, 0o700) }
            func device(_ address: String, driver: String?, hasGroup: Bool = false) {
                let path = "\(root)/bus/pci/devices/\(address)"
                mkdir(path, 0o700)
                let file = open(path + "/class", O_WRONLY | O_CREAT, 0o600)
                _ = write(file, "0x020000\n", 9)
                close(file)
                if let driver { symlink("../../../bus/pci/drivers/\(driver)", path + "/driver") }
                if hasGroup { symlink("../../../kernel/iommu_groups/5", path + "/iommu_group") }
            }
            device("0000:01:00.0", driver: "e1000e")
            device("0000:02:00.0", driver: nil)
            device("0000:03:00.0", driver: "vfio-pci")
            device("0000:04:00.0", driver: "vfio-pci", hasGroup: true)
            device("0000:05:00.0", driver: "mlx5_core")
            defer {
                for address in 1...5 {
                    let path = "\(root)/bus/pci/devices/0000:0\(address):00.0"
                    for name in ["class", "driver", "iommu_group"] { unlink("\(path)/\(name)") }
                    rmdir(path)
                }
                for folder in folders.dropFirst().reversed() { rmdir(root + folder) }
            }
            func problem(_ devargs: String) throws -> String { try #require(PCIDevice(devargs: devargs)).problem(root: root) ?? "none" }
            let unknown = try problem("99:00.0")
            #expect(
                unknown
                    == "this machine has no PCI device 0000:99:00.0; its NICs are 0000:01:00.0, 0000:02:00.0, 0000:03:00.0, 0000:04:00.0, 0000:05:00.0"
            )
            try #expect(problem("01:00.0").hasPrefix("the kernel's driver e1000e holds 0000:01:00.0: bind it to vfio-pci first"))
            try #expect(problem("02:00.0").hasPrefix("no driver of the kernel holds 0000:02:00.0"))
            try #expect(problem("03:00.0").hasPrefix("0000:03:00.0 is in no IOMMU group"))
            try #expect(problem("04:00.0") == "none")
            try #expect(problem("05:00.0,representor=[1]") == "none")
            #expect(PCIDevice(devargs: "01:00.0")?.problem(root: root + "/nothing") == nil)
        }
    }
}
