// swift-tools-version: 6.0
import PackageDescription

// A pass from outside of glmc: a library with the pass, and a compiler of one's own that knows it.
let package = Package(
    name: "CustomPass",
    dependencies: [.package(name: "glmc", path: "../..")],
    targets: [
        .target(name: "LogSumExp", dependencies: [.product(name: "GlmcIR", package: "glmc"), .product(name: "GlmcPasses", package: "glmc")]),
        .executableTarget(name: "glmc-custom", dependencies: ["LogSumExp", .product(name: "GlmcDriver", package: "glmc")]),
        .testTarget(name: "LogSumExpTests", dependencies: ["LogSumExp"]),
    ]
)
