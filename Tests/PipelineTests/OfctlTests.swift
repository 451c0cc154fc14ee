// The field's own client against the service, over a Unix socket.

import Base
import DatapathAPI
import Flow
import Glibc
import OpenFlow
import Synchronization
import Testing

@testable import Pipeline

/// One thread that is server and control loop in one: enough of a server for a client that means well.
private final class OfctlServer: @unchecked Sendable, ServiceExecutor {
    let path: String
    private let directory: String
    private var listener: Int32 = -1
    private var thread = pthread_t()
    private let stops = Atomic<Bool>(false)
    private let work = Mutex<[@Sendable () -> Void]>([])
    /// Made and used on the thread only.
    private var rig: ServiceRig!
    private var sockets: [Int32: OpenFlowConnection] = [:]

    init() {
        var template = Array("/tmp/apus-ofctl-XXXXXX".utf8CString)
        directory = String(cString: mkdtemp(&template)!)
        path = directory + "/br0.mgmt"
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        precondition(bound == 0 && listen(listener, 16) == 0, "cannot listen on \(path)")
        let me = Unmanaged.passRetained(self)
        pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<OfctlServer>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, me.toOpaque())
    }

    func stop() {
        stops.store(true, ordering: .releasing)
        pthread_join(thread, nil)
        unlink(path)
        rmdir(directory)
    }

    var isCurrent: Bool { pthread_equal(pthread_self(), thread) != 0 }
    func submit(_ body: @escaping @Sendable () -> Void) { work.withLock { $0.append(body) } }

    /// Runs `body` with the rig on the server's thread.
    func withRig(_ body: @escaping @Sendable (ServiceRig) -> Void) {
        let flag = Flag()
        submit {
            body(self.rig)
            flag.value.store(true, ordering: .releasing)
        }
        while !flag.value.load(ordering: .acquiring) { usleep(1000) }
    }

    private final class Flag: Sendable { let value = Atomic<Bool>(false) }

    private func run() {
        rig = ServiceRig(executor: self)
        while !stops.load(ordering: .acquiring) {
            for body in work.withLock({ list in
                defer { list.removeAll() }; return list
            }) { body() }
            var polled = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            for fd in sockets.keys { polled.append(pollfd(fd: fd, events: Int16(POLLIN), revents: 0)) }
            _ = poll(&polled, nfds_t(polled.count), 10)
            for entry in polled where entry.revents != 0 { entry.fd == listener ? acceptOne() : read(entry.fd) }
        }
        for fd in sockets.keys { Glibc.close(fd) }
        Glibc.close(listener)
    }

    private func acceptOne() {
        let fd = accept(listener, nil, nil)
        guard fd >= 0 else { return }
        let connection = OpenFlowConnection(configuration: .init(name: "ofctl"), clock: rig.clock, handler: rig.service) { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes { Glibc.send(fd, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
                if count <= 0 { return }
                sent += count
            }
        }
        sockets[fd] = connection
        connection.start()
    }

    private func read(_ fd: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = Glibc.recv(fd, &buffer, buffer.count, 0)
        if count > 0 { sockets[fd]?.receive(Array(buffer.prefix(count))) }
        if count <= 0 || sockets[fd]?.closeReason != nil {
            sockets.removeValue(forKey: fd)?.close("gone")
            Glibc.close(fd)
        }
    }

    /// Runs `ovs-ofctl` with `{}` standing for the socket; its exit status and everything it printed.
    func ofctl(_ arguments: String...) -> (status: Int32, output: String) { ofctl(arguments, during: nil) }

    /// The same for a command that does not end by itself: it is ended after `body`.
    func ofctl(_ arguments: [String], during body: (() -> Void)?) -> (status: Int32, output: String) {
        let output = directory + "/output"
        let words =
            ["timeout", "20", "ovs-ofctl", "--unixctl=\(directory)/ctl", "-vconsole:err", "-vsyslog:off"]
            + arguments.map { $0 == "{}" ? "unix:" + path : $0 }
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&files, 1, 2)
        // The threads that tests run on block signals; a child must not inherit that, or nothing ends it.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pid: pid_t = 0
        var list = words.map { strdup($0) } + [nil]
        defer { list.forEach { free($0) } }
        guard posix_spawnp(&pid, "timeout", &files, &attributes, &list, environ) == 0 else { return (-1, "cannot start ovs-ofctl") }
        if let body {
            body()
            usleep(200_000)
            kill(pid, SIGTERM)
        }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        var text: [UInt8] = []
        let fd = open(output, O_RDONLY)
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(fd, &buffer, buffer.count)
            if count <= 0 { break }
            text += buffer.prefix(count)
        }
        Glibc.close(fd)
        unlink(output)
        unlink(directory + "/ctl")
        return (status >> 8 & 0xff, String(decoding: text, as: UTF8.self))
    }

    /// A file for `add-flows`.
    func file(_ text: String) -> String {
        let name = directory + "/flows"
        let fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
        Glibc.close(fd)
        return name
    }
    func removeFile(_ name: String) { unlink(name) }
}

private let hasOfctl = access("/usr/bin/ovs-ofctl", X_OK) == 0

@Suite(.enabled(if: hasOfctl), .serialized) struct OfctlTests {
    private func withServer(_ body: (OfctlServer) throws -> Void) rethrows {
        let server = OfctlServer()
        defer { server.stop() }
        try body(server)
    }

    /// The flows of a dump, one a line.
    private func flows(_ output: String) -> [Substring] { output.split(separator: "\n").filter { $0.contains("actions=") } }

    @Test func show() {
        withServer { server in
            for versions in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15", "OpenFlow11", "OpenFlow12"] {
                let (status, output) = server.ofctl("-O", versions, "show", "{}")
                #expect(status == 0, "\(output)")
                #expect(output.contains("dpid:0000112233445566"))
                #expect(output.contains("n_tables:254, n_buffers:0"))
                #expect(output.contains(" 2(p2): addr:02:00:00:00:00:02"))
                #expect(output.contains("10GB-FD COPPER"))
            }
            for command in ["dump-ports", "dump-ports-desc", "dump-tables", "dump-desc", "dump-table-features", "queue-stats", "get-frags"]
            {
                for versions in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"]
                where command != "dump-table-features" || versions != "OpenFlow10" {
                    let (status, output) = server.ofctl("-O", versions, command, "{}")
                    #expect(status == 0, "\(versions) \(command): \(output)")
                    #expect(!output.contains("decode"), "\(output)")
                }
            }
            #expect(server.ofctl("dump-ports", "{}", "2").output.contains("rx pkts=20"))
            #expect(server.ofctl("probe", "{}").status == 0)
            for command in ["dump-groups", "dump-group-stats", "dump-meters", "meter-stats", "meter-features", "dump-group-features"] {
                let (status, output) = server.ofctl("-O", "OpenFlow13", command, "{}")
                #expect(status == 0, "\(command): \(output)")
            }
        }
    }

    @Test(arguments: ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"]) func flowTables(version: String)
    {
        withServer { server in
            func run(_ command: String, _ flow: String) {
                let (status, output) = server.ofctl("-O", version, command, "{}", flow)
                #expect(status == 0, "\(version) \(command) \(flow): \(output)")
            }
            let lines = [
                "priority=100,tcp,nw_dst=10.0.0.1 actions=output:2", "table=1,priority=5,dl_vlan=7 actions=strip_vlan,output:1",
                "table=2,icmp6,ipv6_src=fe80::/10 actions=drop", "table=3,arp,arp_op=1 actions=NORMAL",
                "table=3,priority=0 actions=CONTROLLER:65535",
            ]
            for line in lines {
                if version == "OpenFlow11", line.contains("ipv6") { continue }
                run("add-flow", line)
            }
            var dump = server.ofctl("-O", version, "dump-flows", "{}").output
            #expect(flows(dump).count == (version == "OpenFlow11" ? 4 : 5), "\(dump)")
            #expect(dump.contains("tcp,nw_dst=10.0.0.1 actions=output:2"), "\(dump)")
            #expect(dump.contains("dl_vlan=7 actions="), "\(dump)")
            #expect(dump.contains("CONTROLLER:65535"), "\(dump)")
            run("mod-flows", "tcp,nw_dst=10.0.0.1 actions=output:3")
            dump = server.ofctl("-O", version, "dump-flows", "{}", "tcp").output
            #expect(dump.contains("actions=output:3"), "\(dump)")
            #expect(server.ofctl("-O", version, "dump-aggregate", "{}").output.contains("flow_count="))
            #expect(server.ofctl("-O", version, "--strict", "del-flows", "{}", "table=3,priority=0").status == 0)
            #expect(server.ofctl("-O", version, "del-flows", "{}").status == 0)
            // In 1.1 the client means table 0 when it names none.
            if version == "OpenFlow11" { for table in 1...3 { run("del-flows", "table=\(table)") } }
            #expect(flows(server.ofctl("-O", version, "dump-flows", "{}").output).isEmpty)
        }
    }

    @Test func actionsSurviveInEachVersion() {
        withServer { server in
            let flows = [
                "ip actions=mod_nw_dst:10.0.0.2,mod_nw_src:1.2.3.4,mod_nw_tos:16,dec_ttl,output:2",
                "tcp actions=mod_tp_dst:80,mod_tp_src:90,output:2", "dl_vlan=5 actions=mod_vlan_vid:6,mod_vlan_pcp:3,output:1",
                "actions=mod_dl_src:00:11:22:33:44:55,mod_dl_dst:00:11:22:33:44:66,output:1",
                "actions=load:0x5->NXM_NX_REG0[0..7],load:0x1->NXM_NX_REG1[],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],resubmit(,5)",
                "actions=resubmit(2,5),note:01.02.03.04.05.06,exit",
                "actions=push:NXM_NX_REG0[],pop:NXM_NX_REG1[],output:NXM_NX_REG2[0..15]",
                "actions=controller(reason=no_match,max_len=100,id=5)", "actions=controller(userdata=01.02.03)",
                "actions=output(port=2,max_len=100)", "actions=clone(mod_dl_src:00:11:22:33:44:55,output:1),output:2",
                "actions=set_queue:3,output:1,pop_queue", "ip actions=dec_ttl(1,2)", "actions=set_tunnel:0x5,output:1",
                "actions=in_port,flood,all,local", "mpls actions=dec_mpls_ttl,set_mpls_ttl:5,pop_mpls:0x0800,output:1",
                "ip actions=push_mpls:0x8847,output:1", "actions=enqueue:1:2",
            ]
            for version in ["OpenFlow10", "OpenFlow13", "OpenFlow15"] {
                for (index, flow) in flows.enumerated() {
                    let (status, output) = server.ofctl("-O", version, "add-flow", "{}", "table=\(index)," + flow)
                    #expect(status == 0, "\(version) \(flow): \(output)")
                }
                for reader in ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
                    let (status, output) = server.ofctl("-O", reader, "dump-flows", "{}")
                    #expect(status == 0, "\(output)")
                    #expect(self.flows(output).count == flows.count, "written in \(version), read in \(reader): \(output)")
                }
                // Written in 1.0, everything reads back in 1.0's words; later versions say set_field.
                if version == "OpenFlow10" {
                    let file = server.file(flows.enumerated().map { "table=\($0.offset),\($0.element)" }.joined(separator: "\n"))
                    let (status, output) = server.ofctl("diff-flows", "{}", file)
                    #expect(status == 0, "\(output)")
                    server.removeFile(file)
                }
                #expect(server.ofctl("del-flows", "{}").status == 0)
            }
        }
    }

    @Test func matchesSurviveInEachVersion() {
        withServer { server in
            let matches = [
                "in_port=1", "dl_src=00:11:22:33:44:55/ff:ff:ff:00:00:00", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "dl_type=0x1234",
                "dl_vlan=10,dl_vlan_pcp=3", "vlan_tci=0x1000/0x1000", "ip,nw_src=10.0.0.0/255.0.255.0,nw_tos=16", "ip,nw_ecn=1,nw_ttl=3",
                "ip,ip_frag=later", "tcp,tp_src=0x100/0xff00,tcp_flags=+syn-ack", "udp,tp_dst=53", "sctp,tp_dst=9",
                "icmp,icmp_type=8,icmp_code=0",
                "ipv6,ipv6_src=2001:db8::/32,ipv6_label=5", "icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1,nd_sll=00:11:22:33:44:55",
                "tcp6,tp_dst=80", "arp,arp_spa=10.0.0.1,arp_tpa=10.0.0.0/8,arp_op=2,arp_sha=00:11:22:33:44:55",
                "mpls,mpls_label=5,mpls_tc=2,mpls_bos=1",
                "reg0=0x5/0xff,reg15=3", "metadata=0x1234/0xffff", "tun_id=5,tun_src=10.0.0.1", "pkt_mark=5", "conj_id=7",
                "ct_state=+trk-new,ct_zone=5,ct_mark=3/3",
                "xxreg1=0x1234567890abcdef", "tun_ipv6_src=::1", "tun_gbp_id=4", "ct_label=0x5",
            ]
            let lines = matches.enumerated().map { "table=\($0.offset + 1),\($0.element),actions=output:1" }
            for version in ["OpenFlow10", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
                let file = server.file(lines.joined(separator: "\n"))
                let added = server.ofctl("-O", version, "add-flows", "{}", file)
                #expect(added.status == 0, "\(version): \(added.output)")
                for reader in ["OpenFlow10", "OpenFlow12", "OpenFlow15"] {
                    let (status, output) = server.ofctl("-O", reader, "diff-flows", "{}", file)
                    #expect(status == 0, "written in \(version), read in \(reader): \(output)")
                }
                server.removeFile(file)
                #expect(server.ofctl("del-flows", "{}").status == 0)
            }
        }
    }

    @Test func bundlesAndReplace() {
        withServer { server in
            let file = server.file((1...500).map { "table=4,tcp,tp_dst=\($0),actions=output:2" }.joined(separator: "\n"))
            for version in ["OpenFlow13", "OpenFlow14", "OpenFlow15"] {
                let (status, output) = server.ofctl("-O", version, "--bundle", "add-flows", "{}", file)
                #expect(status == 0, "\(version): \(output)")
                #expect(flows(server.ofctl("dump-flows", "{}").output).count == 500)
                let deleted = server.ofctl("-O", version, "--bundle", "del-flows", "{}", "table=4")
                #expect(deleted.status == 0, "\(version): \(deleted.output)")
            }
            let replaced = server.ofctl("-O", "OpenFlow13", "replace-flows", "{}", file)
            #expect(replaced.status == 0, "\(replaced.output)")
            #expect(server.ofctl("diff-flows", "{}", file).status == 0)
            let bad = server.file("actions=output:2\ntable=9,actions=output:65281\n")
            let (status, output) = server.ofctl("-O", "OpenFlow14", "--bundle", "add-flows", "{}", bad)
            #expect(status != 0, "\(output)")
            #expect(flows(server.ofctl("dump-flows", "{}").output).count == 500)
            server.removeFile(bad)
        }
    }

    @Test func errorsArePrintedByName() {
        withServer { server in
            let group = server.ofctl("-O", "OpenFlow13", "add-flow", "{}", "actions=group:5")
            #expect(group.status != 0)
            #expect(group.output.contains("OFPBAC_BAD_OUT_GROUP"), "\(group.output)")
            let group10 = server.ofctl("add-flow", "{}", "actions=group:5")
            #expect(group10.output.contains("OFPBAC_BAD_OUT_GROUP"), "\(group10.output)")
            let track = server.ofctl("-O", "OpenFlow13", "add-flow", "{}", "ip,actions=ct(commit)")
            #expect(track.output.contains("OFPBAC_BAD_TYPE"), "\(track.output)")
            #expect(server.ofctl("-O", "OpenFlow13", "add-flow", "{}", "table=254,actions=drop").output.contains("OFPBRC_EPERM"))
            #expect(server.ofctl("-O", "OpenFlow13", "add-flow", "{}", "ct_state=+trk,actions=ct(commit)").status != 0)
            // The field leaves out ports that it does not know.
            #expect(server.ofctl("-O", "OpenFlow13", "dump-ports", "{}", "77").output.contains("0 ports"))
        }
    }

    @Test func portsAndPackets() {
        withServer { server in
            #expect(server.ofctl("mod-port", "{}", "1", "noflood").status == 0)
            #expect(server.ofctl("show", "{}").output.contains("config:     NO_FLOOD"))
            for version in ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"] {
                let down = server.ofctl("-O", version, "mod-port", "{}", "2", "down")
                #expect(down.status == 0, "\(version): \(down.output)")
                #expect(server.ofctl("-O", version, "show", "{}").output.contains("PORT_DOWN"))
                #expect(server.ofctl("-O", version, "mod-port", "{}", "2", "up").status == 0)
                let sent = server.ofctl(
                    "-O", version, "packet-out", "{}",
                    "in_port=1, packet=ffffffffffff0200000000010800450000140000000040000000c0a80001c0a80002, actions=output:3")
                #expect(sent.status == 0, "\(version): \(sent.output)")
            }
            server.withRig { rig in
                rig.datapath.executed.withLock { executed in
                    #expect(executed.count == 4)
                    #expect(executed.allSatisfy { $0.actions == [.output(DatapathPort(3))] })
                }
            }
        }
    }

    @Test(arguments: ["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"]) func monitor(version: String) {
        withServer { server in
            for format in ["standard", "nxt_packet_in", "nxt_packet_in2"] {
                let (_, output) = server.ofctl(["-O", version, "-P", format, "monitor", "{}", "65534"]) {
                    // Until the monitor has said what it wants.
                    var isListening = false
                    for _ in 0..<300 where !isListening {
                        usleep(5000)
                        let flag = Listening()
                        server.withRig { rig in
                            flag.value.store(rig.service.connections.contains { $0.settings.missSendLength > 0 }, ordering: .relaxed)
                        }
                        isListening = flag.value.load(ordering: .relaxed)
                    }
                    usleep(100_000)
                    server.withRig { rig in
                        var metadata = FlowKey()
                        metadata[.reg0] = 0x77
                        rig.service.send(
                            PacketInEvent(
                                reason: .action, table: 4, cookie: 0x123, inPort: OpenFlowPort(2), controllerID: 0, userdata: [],
                                maxLength: 0xffff,
                                packet: [UInt8](repeating: 0xff, count: 12) + [0x08, 0x06] + [UInt8](repeating: 0, count: 46),
                                totalLength: 60, metadata: metadata))
                        rig.bridge.updatePort(OpenFlowPort(3)) { $0.isLinkUp = false }
                        _ = try! rig.bridge.apply(FlowModification(command: .add, table: 5, match: Match(), flags: [.sendFlowRemoved]))
                        _ = try! rig.bridge.apply(FlowModification(command: .delete, table: 5))
                    }
                }
                #expect(output.contains("PACKET_IN"), "\(version) \(format): \(output)")
                #expect(output.contains("in_port=2 (via action) data_len=60 (unbuffered)"), "\(output)")
                #expect(output.contains("PORT_STATUS") && output.contains("MOD: 3(p3)"), "\(output)")
                #expect(output.contains("FLOW_REMOVED") && output.contains("reason=delete"), "\(output)")
                if format != "standard" { #expect(output.contains("cookie=0x123") && output.contains("reg0=0x77"), "\(output)") }
                #expect(!output.contains("decode error"), "\(output)")
                server.withRig { $0.bridge.updatePort(OpenFlowPort(3)) { $0.isLinkUp = true } }
            }
        }
    }

    private final class Listening: Sendable { let value = Atomic<Bool>(false) }
}
