// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "RunArtifact",
    dependencies: [.package(name: "glmc", path: "../..")],
    targets: [.executableTarget(name: "RunArtifact", dependencies: [.product(name: "GlmcRuntime", package: "glmc")])]
)
