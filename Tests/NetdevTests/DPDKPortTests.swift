import CDPDK
import Glibc
import Netdev
import Testing

extension DPDKTests {
    @Suite struct Devices {
        @Test func captureIsReplayedIntoNullDevice() throws {
            try DPDKFixture.start()
            try withTemporaryDirectory { directory in
                let frames = (0..<40).map { frame(UInt8($0), length: 60 + Int($0)) }
                try writeCapture(frames, to: directory + "/in.pcap")
                let input = try Netdev.open(
                    NetdevConfiguration(name: "in", kind: .dpdk, options: ["dpdk-devargs": "net_pcap1,rx_pcap=\(directory)/in.pcap"]))
                let output = try Netdev.open(
                    NetdevConfiguration(
                        name: "out", kind: .dpdk, options: ["dpdk-devargs": "net_null1,no-rx=1", "n_rxq": "2"], transmitThreads: 2))
                #expect(input.link().isUp)
                #expect(output.rxQueueCount == 2)
                #expect(output.txQueueCount == 2)
                #expect(output.txQueue(1, threads: 2).isShared == false)
                #expect(output.txQueue(1, threads: 3).isShared)
                #expect(output.txQueue(0, threads: 1).maximumFrameLength == 1522)
                let received = receive(40, by: input.rxQueue(0))
                #expect(received == frames)
                #expect(input.statistics().rxPackets == 40)
                #expect(input.statistics().rxBytes == UInt64(frames.reduce(0) { $0 + $1.count }))
                #expect(input.status()["driver_name"] == "net_pcap")
                let pool = try #require(cdpdk_heap_pool_create(2048))
                #expect(send(frames, by: output.txQueue(0, threads: 1), pool: pool) == 40)
                #expect(output.statistics().txPackets == 40)
                input.close()
                output.close()
                #expect(input.statistics().rxPackets == 40, "a closed port remembers its counters")
            }
        }

        @Test func endlessReplayComesBackAfterRemoval() throws {
            try DPDKFixture.start()
            try withTemporaryDirectory { directory in
                try writeCapture([frame(1)], to: directory + "/in.pcap")
                let configuration = NetdevConfiguration(
                    name: "again", kind: .dpdk, options: ["dpdk-devargs": "net_pcap2,rx_pcap=\(directory)/in.pcap,infinite_rx=1"])
                for _ in 0..<5 {
                    let port = try Netdev.open(configuration)
                    #expect(receive(100, by: port.rxQueue(0)).count >= 100)
                    port.close()
                }
            }
        }

        @Test func ringDeviceLoopsBack() throws {
            try DPDKFixture.start()
            let port = try Netdev.open(NetdevConfiguration(name: "loop", kind: .dpdk, options: ["dpdk-devargs": "net_ring1"]))
            defer { port.close() }
            let pool = try #require(cdpdk_heap_pool_create(2048))
            let frames = (0..<20).map { frame(UInt8($0)) }
            #expect(send(frames, by: port.txQueue(0, threads: 1), pool: pool) == 20)
            #expect(receive(20, by: port.rxQueue(0)) == frames)
        }

        @Test func refusalsNameTheDeviceAndTheReason() throws {
            try DPDKFixture.start()
            func refusal(_ options: [String: String], name: String = "bad") -> String {
                do throws(PortError) {
                    let port = try Netdev.open(NetdevConfiguration(name: name, kind: .dpdk, options: options))
                    port.close()
                    return "it opened"
                } catch { return error.description }
            }
            #expect(refusal([:]).contains("needs options:dpdk-devargs"))
            let capture = refusal(["dpdk-devargs": "net_pcap7,rx_pcap=/nonexistent/x.pcap"])
            #expect(capture.contains("/nonexistent/x.pcap") && capture.contains("No such file"), "\(capture)")
            let pci = refusal(["dpdk-devargs": "0000:ff:1f.7"])
            #expect(pci.contains("0000:ff:1f.7") && !pci.contains("it opened"), "\(pci)")
            let driver = refusal(["dpdk-devargs": "net_nosuchdriver0"])
            #expect(driver.contains("net_nosuchdriver0"), "\(driver)")
            let argument = refusal(["dpdk-devargs": "net_null8,nosuchkey=1"])
            #expect(argument.contains("net_null8"), "\(argument)")
            #expect(refusal(["dpdk-devargs": ","]).contains("cannot open device"))
            #expect(refusal(["dpdk-devargs": "net_null9", "n_rxq": "0"]).contains("1 to 64"))
            #expect(refusal(["dpdk-devargs": "net_null9", "n_rxq": "many"]).contains("n_rxq=many"))
            #expect(refusal(["dpdk-devargs": "net_null9", "n_rxq_desc": "1000"]).contains("power of two"))
            try withTemporaryDirectory { directory in
                try writeCapture([], to: directory + "/empty.pcap")
                let garbage = open(directory + "/garbage.pcap", O_WRONLY | O_CREAT, 0o600)
                _ = write(garbage, "no capture", 10)
                close(garbage)
                let reason = refusal(["dpdk-devargs": "net_pcap8,rx_pcap=\(directory)/garbage.pcap"])
                #expect(reason.contains("garbage.pcap"), "\(reason)")
            }
        }

        @Test func aDeviceServesOnePortAtATime() throws {
            try DPDKFixture.start()
            let first = try Netdev.open(NetdevConfiguration(name: "first", kind: .dpdk, options: ["dpdk-devargs": "net_null5"]))
            let error = #expect(throws: PortError.self) {
                try Netdev.open(NetdevConfiguration(name: "second", kind: .dpdk, options: ["dpdk-devargs": "net_null5"]))
            }
            #expect(error == .deviceInUse(port: "second", device: "net_null5", by: "first"))
            #expect(first.statistics().rxPackets == 0)
            first.close()
            let second = try Netdev.open(NetdevConfiguration(name: "second", kind: .dpdk, options: ["dpdk-devargs": "net_null5"]))
            second.close()
        }

        /// What only hardware can do: the port works without, and says so.
        @Test func optionsOfHardwareAreAskedFor() throws {
            try DPDKFixture.start()
            func open(_ options: [String: String]) throws -> any Port {
                let all = ["dpdk-devargs": "net_null10", "n_rxq": "2"].merging(options) { $1 }
                return try Netdev.open(NetdevConfiguration(name: "card", kind: .dpdk, options: all))
            }
            let plain = try open([:])
            #expect(plain.status()["unsupported"] == nil && plain.status()["rx-steering"] == nil)
            #expect(plain.failure == nil)
            plain.close()
            let port = try open([
                "rx-flow-ctrl": "true", "dpdk-lsc-interrupt": "true", "rx-steering": "rss+lacp", "dpdk-vf-mac": "52:54:00:00:00:01",
            ])
            defer { port.close() }
            #expect(port.rxQueueCount == 2, "a queue for LACP is taken back if the device does not obey")
            let said = port.status()["unsupported"] ?? ""
            for word in ["the device has no such flow control", "dpdk-lsc-interrupt", "no representor"] {
                #expect(said.contains(word), "\(said)")
            }
            #expect(port.status()["rx-steering"] == "unsupported")
            let error = #expect(throws: PortError.self) { try open(["dpdk-vf-mac": "01:00:00:00:00:00"]) }
            #expect(error?.description.contains("01:00:00:00:00:00") == true)
        }

        /// A device by its address; one that DPDK had before any port stays when its port goes.
        @Test func aDeviceIsFoundByItsAddress() throws {
            try DPDKFixture.start()
            let named = try Netdev.open(NetdevConfiguration(name: "named", kind: .dpdk, options: ["dpdk-devargs": "net_null11"]))
            let address = named.hardwareAddress
            let error = #expect(throws: PortError.self) {
                try Netdev.open(NetdevConfiguration(name: "found", kind: .dpdk, options: ["dpdk-devargs": "class=eth,mac=\(address)"]))
            }
            #expect(error == .deviceInUse(port: "found", device: "class=eth,mac=\(address)", by: "named"))
            named.close()
            let gone = #expect(throws: PortError.self) {
                try Netdev.open(NetdevConfiguration(name: "found", kind: .dpdk, options: ["dpdk-devargs": "class=eth,mac=\(address)"]))
            }
            #expect(gone?.description.contains("no device that DPDK has probed matches") == true, "\(gone?.description ?? "")")
        }

        @Test func mtuWidensTheBuffers() throws {
            try DPDKFixture.start()
            let port = try Netdev.open(
                NetdevConfiguration(name: "jumbo", kind: .dpdk, options: ["dpdk-devargs": "net_null6,size=9000"], requestedMTU: 9000))
            defer { port.close() }
            #expect(port.mtu == 9000)
            let received = receive(1, by: port.rxQueue(0))
            #expect(received.first?.count == 9000)
            #expect(throws: PortError.self) {
                try Netdev.open(
                    NetdevConfiguration(name: "giant", kind: .dpdk, options: ["dpdk-devargs": "net_null7"], requestedMTU: 65000))
            }
        }
    }
}
