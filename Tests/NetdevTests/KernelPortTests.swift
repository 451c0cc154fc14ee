import CDPDK
import CLinux
import Glibc
import Netdev
import Testing

extension DPDKTests {
    /// In a network namespace of their own, which a thread enters for good.
    @Suite(.enabled(if: geteuid() == 0, "needs root")) struct Kernel {
        /// Runs the body in a fresh network namespace; skips what cannot be had.
        func inNamespace(_ body: @escaping @Sendable () throws -> Void) throws {
            try onThread {
                try #require(clinux_unshare_network() == 0, "no network namespace: \(errno)")
                try body()
            }
        }

        @Test func tapAndPacketSocketFaceEachOther() throws {
            try DPDKFixture.start()
            try inNamespace {
                let tap = try Netdev.open(
                    NetdevConfiguration(
                        name: "tap0", kind: .tap, requestedMTU: 1400, requestedAddress: HardwareAddress("02:00:00:00:00:42")))
                #expect(tap.link().isUp)
                #expect(tap.mtu == 1400)
                #expect(tap.hardwareAddress.description == "02:00:00:00:00:42")
                #expect(tap.link().interfaceIndex > 0)
                let system = try Netdev.open(NetdevConfiguration(name: "tap0", kind: .system))
                #expect(system.mtu == 1400)
                let pool = try #require(cdpdk_heap_pool_create(2048))
                // what the host sends by the interface (IPv6 does by itself) is not ours
                func ours(_ frames: [[UInt8]]) -> [[UInt8]] { frames.filter { $0.count > 13 && $0[12] == 0x88 && $0[13] == 0xb5 } }
                let frames = (0..<20).map { frame(UInt8($0), length: 60 + $0) }
                #expect(send(frames, by: system.txQueue(0, threads: 1), pool: pool) == 20)
                #expect(ours(receive(40, by: tap.rxQueue(0), seconds: 0.5)) == frames)
                #expect(send(frames, by: tap.txQueue(0, threads: 2), pool: pool) == 20)
                #expect(ours(receive(40, by: system.rxQueue(0), seconds: 0.5)) == frames)
                #expect(tap.statistics().txPackets == 20)
                #expect(system.statistics().txPackets == 20)

                // a VLAN tag survives the packet socket, which gets it beside the frame
                let tagged = frame(9)[..<12] + [0x81, 0x00, 0x20, 0x07] + frame(9)[12...]
                #expect(send([Array(tagged)], by: tap.txQueue(0, threads: 1), pool: pool) == 1)
                #expect(receive(1, by: system.rxQueue(0), seconds: 1).contains(Array(tagged)))

                #expect(clinux_interface_set_up("tap0", false) == 0)
                let before = tap.changes
                #expect(!tap.link().isUp)
                #expect(tap.changes != before)
                #expect(send([frame(1)], by: tap.txQueue(0, threads: 1), pool: pool) == 0, "a device that is down takes nothing")
                #expect(tap.statistics().txDropped == 1)

                var wider = NetdevConfiguration(name: "tap0", kind: .tap, requestedMTU: 1600)
                #expect(try tap.apply(wider))
                #expect(tap.mtu == 1600)
                #expect(tap.txQueue(0, threads: 1).maximumFrameLength == 1622)
                wider.requestedMTU = 9000
                #expect(try tap.apply(wider) == false, "the buffers are too short")
                tap.close()
                #expect(clinux_interface_index("tap0") < 0, "the device goes with its port")
                #expect(!system.link().isUp, "an interface that is gone has no link")
                system.close()
            }
        }

        @Test func aTapDeviceTakesBurstsOfFramesInPiecesAndOnesThatAreShared() throws {
            try DPDKFixture.start()
            try inNamespace {
                let tap = try Netdev.open(NetdevConfiguration(name: "tap5", kind: .tap, requestedMTU: 4000))
                let system = try Netdev.open(NetdevConfiguration(name: "tap5", kind: .system))
                let pool = try #require(cdpdk_heap_pool_create(2048))
                func ours(_ frames: [[UInt8]]) -> [[UInt8]] { frames.filter { $0.count > 13 && $0[12] == 0x88 && $0[13] == 0xb5 } }
                func packet(_ bytes: ArraySlice<UInt8>) throws -> Packet {
                    let packet = try #require(cdpdk_mbuf_alloc(pool))
                    let data = try #require(cdpdk_mbuf_append(packet, UInt16(bytes.count)))
                    for (index, byte) in bytes.enumerated() { data[index] = byte }
                    return packet
                }
                let (short, long) = (frame(1, length: 70), frame(2, length: 3000))
                var burst: [Packet] = []
                for _ in 0..<8 {
                    let shared = try packet(short[...])
                    burst += [shared, try #require(cdpdk_mbuf_clone(shared, pool))]
                    let (head, tail) = (try packet(long[..<1500]), try packet(long[1500...]))
                    head.pointee.next = tail
                    head.pointee.nb_segs = 2
                    head.pointee.pkt_len = 3000
                    burst += [head, try packet(short[...])]
                }
                let handle = tap.txQueue(0, threads: 1)
                #expect(burst.withUnsafeMutableBufferPointer { handle.transmit($0.baseAddress!, count: 32) } == 32)
                #expect(ours(receive(64, by: system.rxQueue(0), seconds: 0.5)) == (0..<8).flatMap { _ in [short, short, long, short] })
                #expect(tap.statistics().txPackets == 32 && tap.statistics().txBytes == 8 * (3 * 70 + 3000))
                #expect(clinux_interface_set_up("tap5", false) == 0)
                #expect(send([frame(1), frame(2), frame(3)], by: handle, pool: pool) == 0, "a device that is down takes nothing")
                #expect(tap.statistics().txDropped == 3)
                #expect(cdpdk_heap_pool_outstanding(pool) == 0, "all buffers are back")
                system.close()
                tap.close()
                #expect(clinux_interface_index("tap5") < 0, "the device goes with its port")
            }
        }

        @Test func framesLongerThanAPlaceOfTheRingArriveWhole() throws {
            try DPDKFixture.start()
            try inNamespace {
                let tap = try Netdev.open(NetdevConfiguration(name: "tap2", kind: .tap, requestedMTU: 9000))
                // The ring is made for what the interface takes now; longer frames come later.
                #expect(clinux_interface_set_mtu("tap2", 1500) == 0)
                let system = try Netdev.open(NetdevConfiguration(name: "tap2", kind: .system))
                #expect(clinux_interface_set_mtu("tap2", 9000) == 0)
                #expect(system.rxQueue(0).kind == .packetRing)
                let pool = try #require(cdpdk_heap_pool_create(10_000))
                func ours(_ frames: [[UInt8]]) -> [[UInt8]] { frames.filter { $0.count > 13 && $0[12] == 0x88 && $0[13] == 0xb5 } }
                let frames = (0..<30).map { frame(UInt8($0), length: $0 % 3 == 1 ? 1960 + 240 * $0 : 60 + $0) }
                #expect(send(frames, by: tap.txQueue(0, threads: 1), pool: pool) == 30)
                #expect(ours(receive(60, by: system.rxQueue(0), seconds: 0.5)) == frames, "whole, and in their order")
                #expect(system.statistics().rxErrors == 0)
                system.close()
                tap.close()
            }
        }

        @Test func theExpressWaySendsTheSameFramesInTheSameOrder() throws {
            try DPDKFixture.start()
            try inNamespace {
                let tap = try Netdev.open(NetdevConfiguration(name: "tap4", kind: .tap, requestedMTU: 4000))
                // A tap device has a queueing discipline, which is not passed by.
                #expect(clinux_interface_has_queue("tap4") == 1)
                let usual = try Netdev.open(NetdevConfiguration(name: "tap4", kind: .system))
                #expect(usual.status()["tx_xdp"] == "false")
                usual.close()
                tap.close()
                #expect(system("ip link add left type veth peer name right && ip link set left up && ip link set right up") == 0)
                #expect(system("ip link set left mtu 4000 && ip link set right mtu 4000") == 0)
                #expect(clinux_interface_has_queue("left") == 0)
                let refused = try Netdev.open(NetdevConfiguration(name: "left", kind: .system, options: ["tx-xdp": "false"]))
                #expect(refused.status()["tx_xdp"] == "false")
                refused.close()
                let left = try Netdev.open(NetdevConfiguration(name: "left", kind: .system))
                let right = try Netdev.open(NetdevConfiguration(name: "right", kind: .system))
                #expect(left.status()["tx_xdp"] == "true")
                func ours(_ frames: [[UInt8]]) -> [[UInt8]] { frames.filter { $0.count > 13 && $0[12] == 0x88 && $0[13] == 0xb5 } }
                let pool = try #require(cdpdk_heap_pool_create(5000))
                // Long ones go the usual way, in between.
                for round in 0..<40 {
                    let frames = (0..<30).map { frame(UInt8($0), length: $0 % 7 == 3 ? 2048 + round : 60 + $0) }
                    #expect(send(frames, by: left.txQueue(0, threads: 1), pool: pool) == 30)
                    #expect(ours(receive(60, by: right.rxQueue(0), seconds: 0.01)) == frames)
                }
                #expect(left.statistics().txPackets == 1200)
                #expect(left.statistics().txDropped == 0)
                #expect(left.statistics().txBytes <= right.statistics().rxBytes, "the host's own frames come on top")

                // Down: what is taken waits, what is not is counted; up again, it goes.
                #expect(clinux_interface_set_up("left", false) == 0)
                var taken = 0
                for _ in 0..<5 { taken += send((0..<30).map { frame(UInt8($0)) }, by: left.txQueue(0, threads: 1), pool: pool) }
                #expect(taken <= 64)
                #expect(Int(left.statistics().txDropped) == 150 - taken)
                #expect(clinux_interface_set_up("left", true) == 0)
                usleep(200_000)
                #expect(send([frame(7)], by: left.txQueue(0, threads: 1), pool: pool) == 1)
                #expect(ours(receive(200, by: right.rxQueue(0), seconds: 0.3)).count == taken + 1)

                // Gone: nothing is taken, and nothing breaks.
                #expect(system("ip link del left") == 0)
                #expect(send([frame(1)], by: left.txQueue(0, threads: 1), pool: pool) == 0)
                #expect(send([frame(1)], by: left.txQueue(0, threads: 1), pool: pool) == 0)
                left.close()
                right.close()
            }
        }

        @Test func theRingWrapsAndWhatFindsItFullIsCounted() throws {
            try DPDKFixture.start()
            try inNamespace {
                let tap = try Netdev.open(NetdevConfiguration(name: "tap3", kind: .tap))
                let system = try Netdev.open(NetdevConfiguration(name: "tap3", kind: .system))
                let pool = try #require(cdpdk_heap_pool_create(2048))
                func isOurs(_ frame: [UInt8]) -> Bool { frame.count > 13 && frame[12] == 0x88 && frame[13] == 0xb5 }
                let burst = (0..<30).map { frame(UInt8($0)) }
                // More than the ring has places for, half of which are taken out in between: then twice as many as it holds.
                for _ in 0..<100 {
                    #expect(send(burst, by: tap.txQueue(0, threads: 1), pool: pool) == 30)
                    #expect(receive(60, by: system.rxQueue(0), seconds: 0.001).filter(isOurs) == burst)
                }
                #expect(system.statistics().rxDropped == 0)
                for _ in 0..<140 { #expect(send(burst, by: tap.txQueue(0, threads: 1), pool: pool) == 30) }
                let kept = receive(5000, by: system.rxQueue(0), seconds: 0.5).count
                let dropped = Int(system.statistics().rxDropped)
                #expect(dropped > 0)
                #expect(kept + dropped >= 140 * 30)
                #expect(Int(system.statistics().rxDropped) == dropped, "each is counted once")
                system.close()
                tap.close()
            }
        }

        @Test func dpdksOwnKernelDevicesWork() throws {
            try DPDKFixture.start()
            try inNamespace {
                func ours(_ frames: [[UInt8]]) -> [[UInt8]] { frames.filter { $0.count > 13 && $0[12] == 0x88 && $0[13] == 0xb5 } }
                let host = try Netdev.open(NetdevConfiguration(name: "tap1", kind: .tap))
                let pool = try #require(host.rxQueue(0).pool)
                let frames = (0..<10).map { frame(UInt8($0), length: 60 + $0) }
                let socket = try Netdev.open(
                    NetdevConfiguration(name: "afp", kind: .dpdk, options: ["dpdk-devargs": "net_af_packet0,iface=tap1"]))
                #expect(send(frames, by: socket.txQueue(0, threads: 1), pool: pool) == 10)
                #expect(ours(receive(20, by: host.rxQueue(0), seconds: 0.5)) == frames)
                #expect(send(frames, by: host.txQueue(0, threads: 1), pool: pool) == 10)
                #expect(ours(receive(20, by: socket.rxQueue(0), seconds: 0.5)) == frames)
                socket.close()
                host.close()

                let tap = try Netdev.open(NetdevConfiguration(name: "dtap", kind: .dpdk, options: ["dpdk-devargs": "net_tap7,iface=dtap7"]))
                #expect(clinux_interface_index("dtap7") > 0)
                let system = try Netdev.open(NetdevConfiguration(name: "dtap7", kind: .system))
                #expect(send(frames, by: system.txQueue(0, threads: 1), pool: pool) == 10)
                #expect(ours(receive(20, by: tap.rxQueue(0), seconds: 0.5)) == frames)
                #expect(send(frames, by: tap.txQueue(0, threads: 1), pool: pool) == 10)
                #expect(ours(receive(20, by: system.rxQueue(0), seconds: 0.5)) == frames)
                system.close()
                tap.close()
            }
        }

        @Test func internalPortsStayDownUntilTheHostWantsThem() throws {
            try DPDKFixture.start()
            try inNamespace {
                let port = try Netdev.open(NetdevConfiguration(name: "br0", kind: .internal))
                #expect(!port.link().isAdministrativelyUp)
                #expect(throws: PortError.self) { try Netdev.open(NetdevConfiguration(name: "br0", kind: .internal)) }
                port.close()
            }
        }

        @Test func refusalsNameTheInterface() throws {
            try DPDKFixture.start()
            func refusal(_ kind: PortKind, _ name: String) -> String {
                do throws(PortError) {
                    try Netdev.open(NetdevConfiguration(name: name, kind: kind)).close()
                    return "it opened"
                } catch { return error.description }
            }
            #expect(refusal(.system, "nosuch0").contains("nosuch0"))
            #expect(refusal(.system, "nosuch0").contains("No such device"))
            #expect(refusal(.tap, "averyveryverylongname").contains("15 bytes"))
            #expect(refusal(.internal, "a/b").contains("'/'"))
            #expect(refusal(.tap, "lo").contains("no tap device"))
        }
    }
}
