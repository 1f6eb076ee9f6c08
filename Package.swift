// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "glmc",
    products: [
        .executable(name: "glmc", targets: ["glmc"]),
        .library(name: "GlmcIR", targets: ["GlmcIR"]),
        .library(name: "GlmcFrontend", targets: ["GlmcFrontend"]),
        .library(name: "GlmcPasses", targets: ["GlmcPasses"]),
        .library(name: "GlmcCodegen", targets: ["GlmcCodegen"]),
        .library(name: "GlmcRuntime", targets: ["GlmcRuntime"]),
        .library(name: "GlmcDriver", targets: ["GlmcDriver"]),
    ],
    targets: [
        .systemLibrary(name: "CProtobufC", path: "Sources/CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
        .systemLibrary(name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "COnnx", dependencies: ["CProtobufC"], path: "Sources/COnnx", exclude: ["onnx.proto"]),
        .target(name: "CGlmcABI", path: "Sources/CGlmcABI"),
        .target(name: "GlmcIR", path: "Sources/IR"),
        .target(name: "GlmcFrontend", dependencies: ["GlmcIR", "COnnx", "CZlib", "CGlmcABI"], path: "Sources/Frontend"),
        .target(name: "GlmcPasses", dependencies: ["GlmcIR"], path: "Sources/Passes"),
        .target(name: "GlmcCodegen", dependencies: ["GlmcIR", "CGlmcABI"], path: "Sources/Codegen", resources: [.embedInCode("Prelude")]),
        .target(name: "GlmcFuzz", dependencies: ["GlmcIR"], path: "Sources/Fuzz"),
        .target(name: "GlmcRuntime", dependencies: ["CGlmcABI"], path: "Sources/Runtime"),
        .target(
            name: "GlmcDriver",
            dependencies: ["GlmcIR", "GlmcFrontend", "GlmcPasses", "GlmcCodegen", "GlmcRuntime", "GlmcFuzz"],
            path: "Sources/Driver"),
        .testTarget(name: "CodegenTests", dependencies: ["GlmcIR", "GlmcCodegen", "GlmcRuntime"], path: "Tests/CodegenTests"),
        .testTarget(name: "FileTests", dependencies: ["GlmcIR", "GlmcPasses", "GlmcCodegen"], path: "Tests/FileTests", exclude: ["cases"]),
        .testTarget(name: "NativeTests", dependencies: ["GlmcFuzz", "GlmcIR", "GlmcCodegen", "GlmcRuntime"], path: "Tests/NativeTests"),
        .target(name: "GlmcTestSupport", dependencies: ["GlmcIR"], path: "Tests/Support"),
        .testTarget(name: "IRTests", dependencies: ["GlmcFuzz", "GlmcIR"], path: "Tests/IRTests", exclude: ["references"]),
        .testTarget(name: "PassesTests", dependencies: ["GlmcFuzz", "GlmcIR", "GlmcPasses"], path: "Tests/PassesTests"),
        .testTarget(name: "FrontendTests", dependencies: ["GlmcTestSupport", "GlmcFrontend", "GlmcRuntime"], path: "Tests/FrontendTests", exclude: ["tokenizers", "chat", "gguf", "encoders", "pictures", "encoder-decoders", "vision-language", "chatglm"]),
        .executableTarget(name: "glmc", dependencies: ["GlmcDriver"], path: "Sources/glmc"),
        .testTarget(name: "RuntimeTests", dependencies: ["GlmcRuntime", "CGlmcABI"], exclude: ["Mock"]),
        .testTarget(name: "DriverTests", dependencies: ["GlmcTestSupport", "GlmcFuzz", "GlmcDriver", "glmc"], exclude: ["crashing-compiler"]),
    ]
)
