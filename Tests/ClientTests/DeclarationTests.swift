import Client
import Testing

@Suite struct DeclarationTests {
    @Test(arguments: [
        ("bridges: 5", "bridges must be a list"),
        ("bridges:\n  - name: br0\n  - name: br0", "bridge br0 is in the document twice"),
        ("bridges:\n  - name: br0\n    fail_mod: secure", "did you mean \"fail_mode\"?"),
        ("bridges:\n  - name: br0\n    ports:\n      - name: p1\n        tag: x", "tag must be a whole number"),
        ("bridges:\n  - name: br0\n    ports:\n      - tag: 5", "needs a name"),
        ("bridge: []", "did you mean \"bridges\"?"),
        ("{", "not YAML"),
    ])
    func faultsAreNamed(text: String, fault: String) {
        do {
            _ = try Declaration(yaml: text)
            Issue.record("\(text) was taken")
        } catch {
            #expect("\(error)".contains(fault), "\(error)")
        }
    }

    @Test func whatIsRightIsTaken() throws {
        _ = try Declaration(yaml: "")
        _ = try Declaration(yaml: "bridges:\n  - {name: br0, ports: [eth0, {name: p1, type: tap, tag: 10, options: {n_rxq: 2}}]}")
        _ = try Declaration(yaml: #"{"bridges":[{"name":"br0","protocols":["OpenFlow13"]}],"managers":["ptcp:6640"]}"#)
    }
}
