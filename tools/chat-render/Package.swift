// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "chat-render",
    dependencies: [.package(name: "glmc", path: "../..")],
    targets: [
        .executableTarget(name: "chat-render", dependencies: [.product(name: "GlmcFrontend", package: "glmc")])
    ]
)
