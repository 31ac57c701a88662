// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours: Swift 6 mode, no warning survives, unsafe constructs are spelled out.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .strictMemorySafety(),
]

let package = Package(
    name: "aegis",
    targets: [
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CIDN2", pkgConfig: "libidn2", providers: [.apt(["libidn2-dev"])]),
        .target(name: "ConfigModel", dependencies: ["CYAML", "CIDN2"], swiftSettings: house),
        .target(name: "Reconciler", dependencies: ["ConfigModel"], swiftSettings: house),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: house),
        .testTarget(name: "ConfigModelTests", dependencies: ["ConfigModel", "TestSupport"], swiftSettings: house),
        .testTarget(
            name: "ReconcilerTests",
            dependencies: ["Reconciler", "TestSupport"],
            exclude: ["Golden"],
            swiftSettings: house
        ),
    ]
)
