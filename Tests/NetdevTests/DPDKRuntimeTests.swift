import CDPDK
import CLinux
import Glibc
import Testing

@testable import Netdev

/// All that needs DPDK in the test process; one after the other, since memory is small.
@Suite(.serialized) struct DPDKTests {
    @Test func initialisationLeavesAffinityAlone() throws {
        var before = [UInt64](repeating: 0, count: 16)
        var after = before
        clinux_get_affinity(&before, 16)
        let status = try DPDKFixture.start()
        clinux_get_affinity(&after, 16)
        #expect(before == after)
        #expect(try DPDKRuntime.initialize() == status)
        #expect(!status.usesHugepages)
        #expect(status.version.hasPrefix("DPDK "))
        var name = Array("again".utf8CString)
        let (result, reason) = name.withUnsafeMutableBufferPointer { name in
            var argument = name.baseAddress!
            return withReason { cdpdk_eal_init(1, &argument, $0, $1) }
        }
        #expect(result == -1 && reason.contains("once"))
    }

    @Test func threadsRegisterAndLeave() throws {
        try DPDKFixture.start()
        for _ in 0..<200 {
            let id = try onThread { () -> UInt32 in
                #expect(cdpdk_thread_register() == 0)
                let id = cdpdk_thread_lcore()
                cdpdk_thread_unregister()
                return id
            }
            #expect(id < 128)
        }
    }

    @Test func poolsFitTheMemory() {
        #expect(MbufPools.dataRoom(mtu: 1500) == 2048)
        #expect(MbufPools.dataRoom(mtu: 2026) == 2048)
        #expect(MbufPools.dataRoom(mtu: 2027) == 3072)
        #expect(MbufPools.dataRoom(mtu: 9000) == 9216)
        #expect(MbufPools.count(dataRoom: 2048, freeBytes: nil) == NetdevLimits.poolMbufsWithoutHugepages)
        #expect(MbufPools.count(dataRoom: 2048, freeBytes: 2560 << 20) == 262_144)
        #expect(MbufPools.count(dataRoom: 2048, freeBytes: 1 << 20) == NetdevLimits.poolMbufsMinimum)
    }
}

@Suite struct EALArgumentsTests {
    func make(_ settings: [String: String], hugepages: Bool = false, physical: Bool = false) throws -> [String] {
        let machine = EALArguments.Machine(
            hasHugepages: hugepages, memoryMiB: 4096, cpus: [0, 1, 2, 5], needsPhysicalAddresses: physical, processID: 77)
        return try EALArguments(settings: settings, machine: machine).arguments
    }

    @Test func ordinaryMemoryWithoutHugepages() throws {
        #expect(
            try make([:]) == [
                "apusd", "--lcores", "0@(0-2,5)", "--no-huge", "-m", "512", "--no-shconf", "--file-prefix=apus-77", "--iova-mode=va",
                "--no-telemetry", "-a", "0000:00:00.0",
            ])
        #expect(try make(["dpdk-socket-mem": "100,28"]).contains("128"))
    }
    @Test func memoryWithoutFilesWithHugepages() throws {
        let made = try make(["dpdk-socket-mem": "1024,0", "dpdk-lcore-mask": "0x3"], hugepages: true, physical: true)
        #expect(
            made == [
                "apusd", "-c", "0x3", "--in-memory", "--socket-mem", "1024,0", "--file-prefix=apus-77", "--no-telemetry", "-a",
                "0000:00:00.0",
            ])
    }
    @Test func whatTheUserGivesIsNotGivenTwice() throws {
        let made = try make(
            ["dpdk-extra": "--no-huge -m 64 --file-prefix=mine --iova-mode pa --no-pci -l 1 --no-shconf --telemetry"], hugepages: true)
        #expect(
            made == [
                "apusd", "--no-huge", "-m", "64", "--file-prefix=mine", "--iova-mode", "pa", "--no-pci", "-l", "1", "--no-shconf",
                "--telemetry",
            ])
        #expect(try make(["dpdk-extra": "-m64"]).filter { $0 == "-m" }.isEmpty)
    }
    @Test func quotesKeepBlanks() throws {
        #expect(try EALArguments.split(" a 'b c'\"d\"  e\t''") == ["a", "b cd", "e", ""])
        #expect(throws: PortError.self) { try EALArguments.split("'open") }
        #expect(throws: PortError.self) { try make(["dpdk-lcore-mask": "two"]) }
    }
}
