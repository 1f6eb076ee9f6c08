import Foundation
import Testing

/// The root of the repository that these tests were built from.
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

/// Runs a program to its end and returns its exit status with everything that it printed.
func shell(_ arguments: [String], environment: [String: String] = [:]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
}

func has(_ tool: String) -> Bool { (try? shell(["sh", "-c", "command -v \(tool)"]).status) == 0 }

/// The C compilers of this machine.
let compilers = ["gcc", "clang"].filter(has)

/// A Python with numpy: `GLMC_PYTHON`, else the project's own environment, else python3; nil where there is none.
let python: String? = {
    let own = "\(root)/.venv/bin/python"
    let found = ProcessInfo.processInfo.environment["GLMC_PYTHON"] ?? (FileManager.default.isExecutableFile(atPath: own) ? own : "python3")
    return (try? shell([found, "-c", "import numpy"]).status) == 0 ? found : nil
}()

/// A folder for the files of one test.
struct Scratch {
    let path: String
    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("glmc-test-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    func remove() { try? FileManager.default.removeItem(atPath: path) }
    func file(_ name: String) -> String { path + "/" + name }
}

let includeFlag = "-I\(root)/Sources/Codegen/Prelude"
let mock = "\(root)/Tests/RuntimeTests/Mock/mock_model.c"
let strict = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread"]

/// Builds the mock model as a shared library in `scratch`.
func buildMock(_ scratch: Scratch, name: String = "mock.so", flags: [String] = []) throws -> String {
    let path = scratch.file(name)
    let built = try shell([compilers[0]] + strict + ["-O1", "-fPIC", "-shared", "-fvisibility=hidden", includeFlag] + flags + [mock, "-o", path])
    #expect(built.status == 0, "\(built.output)")
    return path
}
