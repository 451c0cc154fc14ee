// swift-tools-version: 6.1
//
// The house. Which target may import which is DESIGN's dependency rule; the build checks it
// (`--explicit-target-dependency-import-check error`), and `DependencyRuleTests` reads this file.
import PackageDescription

/// Swift 6 language mode for all; `-march` reaches Swift's own code generation through the C importer.
let architecture = ["-march=x86-64-v3"]
let swiftCommon: [SwiftSetting] = [
    .unsafeFlags(["-Xcc", "-march=x86-64-v3"]),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
/// The fast path, misses included: exclusivity checks off (DESIGN section 6); everything else stays checked, and in debug builds,
/// which the tests run, these are too.
let swiftHotPath: [SwiftSetting] = swiftCommon + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

/// DPDK's headers, seen by the two C targets only; Swift sees their closed headers.
let dpdkHeaders: [CSetting] = [
    .unsafeFlags(
        [
            "-I/usr/include/dpdk", "-I/usr/include/x86_64-linux-gnu/dpdk", "-include", "rte_config.h", "-O2",
            "-Wno-address-of-packed-member",
        ] + architecture),
    .define("ALLOW_EXPERIMENTAL_API"),
]
let dpdkLibraries: [LinkerSetting] = [
    "rte_eal", "rte_kvargs", "rte_ring", "rte_mempool", "rte_mbuf", "rte_net", "rte_ethdev", "rte_rcu", "rte_bus_vdev", "rte_hash",
].map { .linkedLibrary($0) }

/// SwiftNIO is for the servers only.
let nio: [Target.Dependency] = [.product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio")]
let tls = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let yaml = Target.Dependency.product(name: "Yams", package: "Yams")
let logging: [Target.Dependency] = [.product(name: "Logging", package: "swift-log")]
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

func house(
    _ name: String, _ dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = swiftCommon, exclude: [String] = []
) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: swiftCommon)
}

let package = Package(
    name: "apus",
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        // C: what Swift cannot see
        .target(name: "CLinux", cSettings: [.unsafeFlags(["-O2"] + architecture)]),
        .target(name: "CDPDK", path: "CDPDK", cSettings: dpdkHeaders, linkerSettings: dpdkLibraries),
        .target(
            name: "CVhostUser", dependencies: ["CDPDK"], path: "CVhostUser", cSettings: dpdkHeaders,
            linkerSettings: [.linkedLibrary("rte_vhost")]),

        // The layers, lowest first
        house("Base", ["CLinux"]),
        house("Wire", ["Base"]),
        house("Flow", ["Wire", "Base"], settings: swiftHotPath),
        house("Classifier", ["Flow", "Base"], settings: swiftHotPath),
        house("DatapathAPI", ["Flow", "Base"]),
        house("Netdev", ["CDPDK", "CVhostUser", "CLinux", "Wire", "Base"]),
        house(
            "Datapath", ["DatapathAPI", "Netdev", "Flow", "Wire", "Base", "CDPDK", "CVhostUser", "CLinux"], settings: swiftHotPath,
            exclude: ["README.md"]),
        house("OpenFlow", ["Flow", "Wire", "Base"], exclude: ["README.md"]),
        house(
            "Pipeline", ["Classifier", "OpenFlow", "DatapathAPI", "Flow", "Wire", "Base"], settings: swiftHotPath,
            exclude: ["README.md", "Service/README.md"]),
        house("OVSDB", ["Base"], exclude: ["README.md"]),
        house(
            "Switch",
            ["Pipeline", "Datapath", "OVSDB", "DatapathAPI", "Netdev", "OpenFlow", "Flow", "Wire", "Base"] + logging),
        house(
            "Management",
            ["Switch", "Datapath", "Netdev", "OVSDB", "OpenFlow", "Pipeline", "DatapathAPI", "Flow", "Base", "CLinux"] + nio + [tls]
                + logging),
        house("Client", ["OVSDB", "OpenFlow", "Flow", "Wire", "Base", yaml]),
        .executableTarget(name: "apusd", dependencies: ["Management", argumentParser], swiftSettings: swiftCommon),
        .executableTarget(
            name: "apus-bench",
            dependencies: ["Datapath", "Pipeline", "Classifier", "DatapathAPI", "Netdev", "Flow", "Wire", "Base", "CDPDK", "CLinux"],
            swiftSettings: swiftCommon),
        .executableTarget(name: "apusctl", dependencies: ["Client", "Base", "OVSDB", argumentParser], swiftSettings: swiftCommon),

        // Tests mirror the sources
        .target(name: "TestSupport", dependencies: ["Base"], path: "Tests/TestSupport", swiftSettings: swiftCommon),
        tests("BaseTests", ["Base"]),
        tests("WireTests", ["Wire", "Base"]),
        tests("FlowTests", ["Flow", "Wire", "Base"]),
        tests("ClassifierTests", ["Classifier", "Flow", "Base"]),
        tests("NetdevTests", ["Netdev", "Base", "CDPDK", "CVhostUser", "CLinux"]),
        tests("DatapathAPITests", ["DatapathAPI", "Flow", "Base"]),
        tests("OracleTests", ["Datapath", "Pipeline", "DatapathAPI", "Netdev", "OpenFlow", "Flow", "Wire", "Base"]),
        tests("DatapathTests", ["Datapath", "DatapathAPI", "Netdev", "Flow", "Wire", "Base", "CDPDK", "CLinux"]),
        tests("OpenFlowTests", ["OpenFlow", "Flow", "Wire", "Base"]),
        tests("PipelineTests", ["Pipeline", "Classifier", "OpenFlow", "DatapathAPI", "Flow", "Wire", "Base"]),
        tests("OVSDBTests", ["OVSDB", "Base"]),
        tests("SwitchTests", ["Switch", "Pipeline", "OVSDB", "Netdev", "Base"]),
        tests("ManagementTests", ["Management", "Pipeline", "DatapathAPI", "OVSDB", "OpenFlow", "Flow", "Base"] + nio + logging),
        tests("ClientTests", ["Client", "Management", "Switch", "Pipeline", "DatapathAPI", "OVSDB", "OpenFlow", "Flow", "Base"] + logging),
    ],
    swiftLanguageModes: [.v6]
)

// The fuzzers are built by `make fuzz` alone: the sanitizer brings their main function.
if Context.environment["APUS_FUZZ"] != nil {
    for (name, dependencies) in [
        ("Canary", []), ("Packet", ["Flow"]), ("FlowText", ["Flow"]), ("JSON", ["OVSDB"]), ("OVSDB", ["OVSDB", "Base"]),
        ("OpenFlow", ["OpenFlow", "Flow", "Base"]), ("VhostUser", ["CVhostUser", "CLinux"]),
    ] as [(String, [Target.Dependency])] {
        package.targets.append(
            .executableTarget(
                name: "Fuzz\(name)", dependencies: dependencies, path: "Tests/Fuzz/\(name)",
                swiftSettings: swiftCommon + [.unsafeFlags(["-parse-as-library"])]))
    }
}
