// swift-tools-version: 6.2
import PackageDescription

/// The settings of every Swift target: Swift 6 mode, warnings as errors, and unsafe constructs must be marked.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
]

/// Only scripts/fuzz builds the fuzz targets, since they link only with -sanitize=fuzzer.
let fuzzTargets: [Target] =
    Context.environment["AEGIS_FUZZ"] == nil
    ? []
    : [
        .systemLibrary(name: "CFuzzer", path: "Fuzz/CFuzzer"),
        .target(name: "FuzzDriver", dependencies: ["CFuzzer"], path: "Fuzz/FuzzDriver", swiftSettings: house),
        .target(name: "HTTP1Checks", dependencies: ["HTTP1"], path: "Fuzz/HTTP1Checks", swiftSettings: house),
        fuzzTarget("FuzzConfig", ["ConfigModel", "Reconciler"]),
        fuzzTarget("FuzzRequestHead", ["HTTP1", "HTTP1Checks"]),
        fuzzTarget("FuzzResponseHead", ["HTTP1", "HTTP1Checks"]),
        fuzzTarget("FuzzChunkedBody", ["HTTP1"]),
        fuzzTarget("FuzzWebSocketFrames", ["HTTP1"]),
        fuzzTarget("FuzzHTTP2", ["HTTP1", "HTTP1Checks", "HTTP2"]),
        fuzzTarget("FuzzHTTP2Upstream", ["HTTP1", "HTTP1Checks", "HTTP2"]),
        fuzzTarget("FuzzClientHello", ["PKI"]),
        fuzzTarget("FuzzACME", ["ACME", "PKI"]),
        fuzzTarget("FuzzCloudflare", ["Cloudflare", "HTTPClient", "PKI"]),
        fuzzTarget("FuzzVaultJSON", ["HTTPClient", "PKI", "Vault"]),
        fuzzTarget("FuzzPEM", ["PKI"]),
        fuzzTarget("FuzzPeerCertificate", ["PKI", "PeerNames"]),
        fuzzTarget("FuzzDNSAnswer", ["DNS", "PKI"]),
    ]

func fuzzTarget(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: ["FuzzDriver"] + dependencies, path: "Fuzz/\(name)", swiftSettings: house)
}

let package = Package(
    name: "aegis",
    products: [
        .executable(name: "aegis-apply", targets: ["aegis-apply"]),
        .executable(name: "aegis-gateway", targets: ["aegis-gateway"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CIDN2", pkgConfig: "libidn2", providers: [.apt(["libidn2-dev"])]),
        .target(name: "PeerNames", swiftSettings: house),
        .target(name: "ConfigModel", dependencies: ["CYAML", "CIDN2", "PeerNames"], swiftSettings: house),
        .target(name: "State", swiftSettings: house),
        .target(name: "CMappedIndex"),
        .target(
            name: "SQLiteState",
            dependencies: [
                "CMappedIndex", "PrivateFiles", "State", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CWipingMemory"),
        .target(name: "PKI", dependencies: ["COpenSSL", "CWipingMemory", "PeerNames"], swiftSettings: house),
        .target(
            name: "PrivateFiles",
            dependencies: ["PKI", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: house
        ),
        .target(
            name: "Materials",
            dependencies: [
                "ConfigModel", "PKI", "PrivateFiles", "State", "Vault",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .systemLibrary(name: "CPSL", pkgConfig: "libpsl", providers: [.apt(["libpsl-dev"])]),
        .target(name: "Remote", swiftSettings: house),
        .target(name: "ACME", dependencies: ["CPSL", "PKI", "Remote"], swiftSettings: house),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .target(
            name: "HTTPClient",
            dependencies: ["CCurl", "PKI", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: house
        ),
        .target(name: "Cloudflare", dependencies: ["HTTPClient", "PKI", "Remote"], swiftSettings: house),
        .target(name: "Vault", dependencies: ["HTTPClient", "PKI", "PeerNames", "Remote"], swiftSettings: house),
        .systemLibrary(name: "CLDNS", pkgConfig: "ldns", providers: [.apt(["libldns-dev"])]),
        .target(
            name: "DNS",
            dependencies: ["CLDNS", "PKI", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: house
        ),
        .target(
            name: "Issuers",
            dependencies: [
                "ACME", "Cloudflare", "ConfigModel", "DNS", "HTTPClient", "PKI", "PrivateFiles", "State", "Vault",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .target(
            name: "Reconciler", dependencies: ["ConfigModel", "Issuers", "Materials", "PKI", "State"],
            swiftSettings: house),
        .systemLibrary(name: "CByteSearch"),
        .target(name: "HTTP1", dependencies: ["CByteSearch"], swiftSettings: house),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .target(
            name: "HTTP2", dependencies: ["CNghttp2", "HTTP1"],
            // Needed for `Span.trimmed`, which declares how long its result lives.
            swiftSettings: house + [.enableExperimentalFeature("Lifetimes")]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CProgramArguments"),
        .target(name: "ProgramArguments", dependencies: ["CProgramArguments"], swiftSettings: house),
        .target(
            name: "Gateway",
            dependencies: [
                "ACME", "CLinux", "ConfigModel", "HTTP1", "HTTP2", "HTTPClient", "Issuers", "Materials", "PKI",
                "PeerNames",
                "PrivateFiles", "State", "Vault", .product(name: "SystemPackage", package: "swift-system"),
            ],
            // Needed for `Bytes.span`, which declares that the span lives no longer than its view.
            swiftSettings: house + [.enableExperimentalFeature("Lifetimes")]
        ),
        .target(
            name: "Operations",
            dependencies: [
                "ConfigModel", "Issuers", "Materials", "PKI", "PrivateFiles", "Reconciler", "State",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .target(
            name: "AdminAPI",
            dependencies: [
                "CZlib", "ConfigModel", "Gateway", "Issuers", "Operations", "PKI", "Reconciler", "Remote", "State",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .executableTarget(
            name: "aegis-gateway",
            dependencies: [
                "AdminAPI", "ConfigModel", "Gateway", "Issuers", "Operations", "PKI", "ProgramArguments", "SQLiteState",
                "State",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .executableTarget(
            name: "aegis-apply",
            dependencies: [
                "ConfigModel",
                "Gateway",
                "Issuers",
                "Materials",
                "Operations",
                "PKI",
                "PeerNames",
                "PrivateFiles",
                "ProgramArguments",
                "Reconciler",
                "SQLiteState",
                "State",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: house),
        .testTarget(
            name: "AdminAPITests",
            dependencies: [
                "AdminAPI", "ConfigModel", "Gateway", "Issuers", "Operations", "PKI", "SQLiteState", "State",
                "TestSupport",
            ],
            swiftSettings: house),
        .testTarget(name: "ACMETests", dependencies: ["ACME", "PKI", "Remote"], swiftSettings: house),
        .testTarget(
            name: "CloudflareTests", dependencies: ["Cloudflare", "HTTPClient", "PKI"], swiftSettings: house),
        .testTarget(name: "ConfigModelTests", dependencies: ["ConfigModel", "TestSupport"], swiftSettings: house),
        .testTarget(
            name: "DataPlaneTests",
            dependencies: [
                "ConfigModel", "Gateway", "SQLiteState", "State", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .testTarget(name: "DNSTests", dependencies: ["DNS", "PKI", "TestSupport"], swiftSettings: house),
        .testTarget(name: "HTTP1Tests", dependencies: ["HTTP1", "TestSupport"], swiftSettings: house),
        .testTarget(name: "HTTP2Tests", dependencies: ["CNghttp2", "HTTP1", "HTTP2"], swiftSettings: house),
        .testTarget(
            name: "HTTPClientTests", dependencies: ["HTTPClient", "PKI", "TestSupport"], swiftSettings: house),
        .testTarget(
            name: "IssuersTests",
            dependencies: [
                "ACME", "ConfigModel", "DNS", "HTTPClient", "Issuers", "PKI", "State", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .testTarget(
            name: "MaterialsTests",
            dependencies: [
                "Materials", "PKI", "State", "TestSupport", "Vault",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .testTarget(name: "PKITests", dependencies: ["COpenSSL", "PKI", "PeerNames"], swiftSettings: house),
        .testTarget(
            name: "ReconcilerTests",
            dependencies: ["ConfigModel", "Issuers", "Reconciler", "State", "TestSupport"],
            exclude: ["Golden"],
            swiftSettings: house
        ),
        .testTarget(
            name: "SQLiteStateTests",
            dependencies: [
                "PrivateFiles", "SQLiteState", "State", "TestSupport", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: house
        ),
        .testTarget(
            name: "VaultTests", dependencies: ["HTTPClient", "PKI", "TestSupport", "Vault"], swiftSettings: house),
        .testTarget(
            name: "CommandTests", dependencies: ["aegis-apply", "PKI", "SQLiteState", "State", "TestSupport"],
            swiftSettings: house),
    ] + fuzzTargets
)
