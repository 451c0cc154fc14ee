import Management
import Testing

@Suite struct StreamTargetTests {
    private func place(_ text: String) -> StreamTarget.Place? { StreamTarget(text, defaultPort: 6653)?.place }

    @Test func targetsAsTheConfigurationWritesThem() {
        #expect(place("tcp:10.0.0.1") == .internet(host: "10.0.0.1", port: 6653))
        #expect(place("tcp:10.0.0.1:1") == .internet(host: "10.0.0.1", port: 1))
        #expect(place("ssl:[fe80::1]:77") == .internet(host: "fe80::1", port: 77))
        #expect(place("tcp:[::1]") == .internet(host: "::1", port: 6653))
        #expect(place("tcp:::1") == .internet(host: "::1", port: 6653))
        #expect(place("ptcp:") == .internet(host: "0.0.0.0", port: 6653))
        #expect(place("ptcp:0:127.0.0.1") == .internet(host: "127.0.0.1", port: 0))
        #expect(place("pssl:6640:[::1]") == .internet(host: "::1", port: 6640))
        #expect(place("unix:a/b") == .unix(path: "a/b"))
        #expect(StreamTarget("punix:x", defaultPort: 0)?.isPassive == true)
        #expect(StreamTarget("pssl:1", defaultPort: 0)?.usesTLS == true)
        #expect(StreamTarget("unix:x", defaultPort: 0)?.isPassive == false)
    }

    @Test(arguments: ["", "tcp", "tcp:", "tcp:a:70000", "tcp:a:0", "ptcp:x", "unix:", "http:a", "ssl:[::1"])
    func whatIsNoTarget(_ text: String) {
        #expect(StreamTarget(text, defaultPort: 6653) == nil)
    }
}
