import CDPDK
import CVhostUser
import Glibc
import Netdev
import Testing

extension DPDKTests {
    /// Guests are DPDK's own virtio-user devices in the same process: a real vhost-user conversation over a real socket.
    @Suite struct Vhost {
        func guest(_ number: Int, _ path: String, _ more: String = "") throws -> any Port {
            try Netdev.open(
                NetdevConfiguration(
                    name: "guest\(number)", kind: .dpdk, options: ["dpdk-devargs": "net_virtio_user\(number),path=\(path)\(more)"]))
        }

        func exchange(_ port: any Port, _ guest: any Port) throws {
            // the guest's packets must lie in the memory that it shares
            let pool = try #require(guest.rxQueue(0).pool)
            let frames = (0..<50).map { frame(UInt8($0), length: 60 + 20 * $0) }
            #expect(send(frames, by: port.txQueue(0, threads: 1), pool: pool) == 50)
            #expect(receive(50, by: guest.rxQueue(0)) == frames)
            #expect(send(frames, by: guest.txQueue(0, threads: 1), pool: pool) == 50)
            #expect(receive(50, by: port.rxQueue(0)) == frames)
        }

        @Test func weListenAndTheGuestConnects() throws {
            try DPDKFixture.start()
            try withTemporaryDirectory { directory in
                let port = try Netdev.open(NetdevConfiguration(name: "vhost0", kind: .dpdkvhostuser, socketDirectory: directory))
                let path = directory + "/vhost0"
                var status = stat()
                #expect(lstat(path, &status) == 0)
                #expect(status.st_mode & 0o777 == 0o660)
                #expect(status.st_mode & S_IFMT == S_IFSOCK)
                #expect(!port.link().isUp)
                #expect(port.rxQueueCount == 1)
                #expect(receive(1, by: port.rxQueue(0), seconds: 0.05).isEmpty)
                let pool = try #require(cdpdk_heap_pool_create(2048))
                #expect(send([frame(1)], by: port.txQueue(0, threads: 1), pool: pool) == 0, "nobody is there")
                #expect(port.statistics().txDropped == 1)

                for round in 1...3 {
                    let before = port.changes
                    PortEvents.drain()
                    let guest = try guest(1, path)
                    #expect(eventually { port.link().isUp })
                    #expect(port.changes != before)
                    #expect(PortEvents.drain(), "whoever waits for changes is woken")
                    try exchange(port, guest)
                    #expect(port.statistics().txPackets == UInt64(50 * round))
                    #expect(port.status()["features"] != nil)
                    guest.close()
                    #expect(eventually { !port.link().isUp })
                }
                let statistics = port.statistics().named
                #expect(statistics.first { $0.name == "rx_1_to_64_packets" }?.value == 3)
                #expect(statistics.first { $0.name == "tx_1024_to_1522_packets" }?.value == 3)
                port.close()
                #expect(access(path, F_OK) != 0, "the socket goes with its port")
            }
        }

        @Test func weConnectAndComeBack() throws {
            try DPDKFixture.start()
            try withTemporaryDirectory { directory in
                let path = directory + "/guest.sock"
                let port = try Netdev.open(
                    NetdevConfiguration(name: "client0", kind: .dpdkvhostuserclient, options: ["vhost-server-path": path]))
                defer { port.close() }
                #expect(!port.link().isUp)
                for number in 2...3 {
                    // a guest that listens waits for us before its device exists, so it is opened while the port retries
                    let guest = try guest(number, path, ",server=1")
                    #expect(eventually { port.link().isUp })
                    try exchange(port, guest)
                    guest.close()
                    #expect(eventually { !port.link().isUp })
                }
            }
        }

        @Test func queuesFollowTheGuest() throws {
            try DPDKFixture.start()
            try withTemporaryDirectory { directory in
                let port = try Netdev.open(NetdevConfiguration(name: "multi", kind: .dpdkvhostuser, socketDirectory: directory))
                let guest = try Netdev.open(
                    NetdevConfiguration(
                        name: "guest4", kind: .dpdk,
                        options: ["dpdk-devargs": "net_virtio_user4,path=\(directory)/multi,queues=2", "n_rxq": "2"], transmitThreads: 2))
                #expect(eventually { port.rxQueueCount == 2 && port.status()["n_txq"] == "2" })
                let pool = try #require(guest.rxQueue(0).pool)
                for queue in 0..<2 {
                    #expect(send([frame(UInt8(queue))], by: guest.txQueue(queue, threads: 2), pool: pool) == 1)
                    #expect(receive(1, by: port.rxQueue(queue)) == [frame(UInt8(queue))])
                    #expect(send([frame(UInt8(10 + queue))], by: port.txQueue(queue, threads: 2), pool: pool) == 1)
                    #expect(receive(1, by: guest.rxQueue(queue)) == [frame(UInt8(10 + queue))])
                }
                // more threads than queues: mapped onto those there are
                #expect(send([frame(7)], by: port.txQueue(5, threads: 6), pool: pool) == 1)
                guest.close()
                port.close()
            }
        }

        @Test func trafficFlowsWhileGuestsComeAndGo() throws {
            try DPDKFixture.start()
            try withTemporaryDirectory { directory in
                let port = try Netdev.open(NetdevConfiguration(name: "busy", kind: .dpdkvhostuser, socketDirectory: directory))
                let stop = StopFlag()
                let rx = port.rxQueue(0)
                let tx = port.txQueue(0, threads: 1)
                let worker = BackgroundThread {
                    cdpdk_thread_register()
                    let pool = cdpdk_heap_pool_create(2048)!
                    withBurst { burst in
                        while !stop.isSet {
                            let n = rx.receive(into: burst, limit: 32)
                            if n > 0 { cdpdk_mbuf_free_bulk(burst, n) }
                            _ = cdpdk_mbuf_alloc_bulk(pool, burst, 8)
                            for index in 0..<8 { cdpdk_mbuf_append(burst[index], 64) }
                            let taken = tx.transmit(burst, count: 8)
                            if taken < 8 { cdpdk_mbuf_free_bulk(burst + Int(taken), 8 - taken) }
                        }
                    }
                    cdpdk_thread_unregister()
                }
                for _ in 0..<10 {
                    let guest = try guest(5, directory + "/busy")
                    #expect(eventually { port.link().isUp })
                    #expect(receive(20, by: guest.rxQueue(0)).count >= 20)
                    guest.close()
                }
                stop.set()
                worker.join()
                port.close()
            }
        }

        @Test func refusalsNameTheSocket() throws {
            try DPDKFixture.start()
            func refusal(_ configuration: NetdevConfiguration) -> String {
                do throws(PortError) {
                    try Netdev.open(configuration).close()
                    return "it opened"
                } catch { return error.description }
            }
            let long = "/tmp/" + String(repeating: "x", count: 110)
            #expect(
                refusal(NetdevConfiguration(name: "c", kind: .dpdkvhostuserclient, options: ["vhost-server-path": long])).contains(
                    "115 bytes"))
            #expect(refusal(NetdevConfiguration(name: String(repeating: "n", count: 108), kind: .dpdkvhostuser)).contains("at most 107"))
            #expect(refusal(NetdevConfiguration(name: "a/b", kind: .dpdkvhostuser, socketDirectory: "/tmp")).contains("'/'"))
            #expect(refusal(NetdevConfiguration(name: "c", kind: .dpdkvhostuserclient)).contains("vhost-server-path"))
            let nowhere = refusal(NetdevConfiguration(name: "v", kind: .dpdkvhostuser, socketDirectory: "/nonexistent"))
            #expect(nowhere.contains("/nonexistent") && nowhere.contains("No such file"), "\(nowhere)")
            #expect(
                refusal(NetdevConfiguration(name: "v", kind: .dpdkvhostuser, options: ["tx-retries-max": "33"])).contains("0 to 32"))
            try withTemporaryDirectory { directory in
                let file = open(directory + "/plain", O_WRONLY | O_CREAT, 0o600)
                close(file)
                #expect(
                    refusal(NetdevConfiguration(name: "plain", kind: .dpdkvhostuser, socketDirectory: directory)).contains("not a socket"))
                let first = try Netdev.open(NetdevConfiguration(name: "twice", kind: .dpdkvhostuser, socketDirectory: directory))
                #expect(
                    refusal(NetdevConfiguration(name: "twice", kind: .dpdkvhostuser, socketDirectory: directory)).contains("listens on it"))
                first.close()
            }
        }

        @Test func aDeadSwitchsSocketIsReplaced() throws {
            try DPDKFixture.start()
            try withTemporaryDirectory { directory in
                let path = directory + "/stale"
                let old = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
                var address = sockaddr_un()
                address.sun_family = sa_family_t(AF_UNIX)
                withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
                let bound = withUnsafePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(old, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
                }
                #expect(bound == 0)
                close(old)
                let port = try Netdev.open(NetdevConfiguration(name: "stale", kind: .dpdkvhostuser, socketDirectory: directory))
                port.close()
            }
        }

        @Test func manySocketsAtOnce() throws {
            try DPDKFixture.start()
            try withTemporaryDirectory { directory in
                let ports = try (0..<64).map {
                    try Netdev.open(NetdevConfiguration(name: "v\($0)", kind: .dpdkvhostuser, socketDirectory: directory))
                }
                #expect(ports.allSatisfy { !$0.link().isUp })
                ports.forEach { $0.close() }
            }
        }
    }
}
