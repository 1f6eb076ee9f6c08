import Foundation
import Testing

/// The C support text: free of warnings, clean under the sanitizers, and usable from C, C++ and Python.
@Suite struct SupportTextTests {
    static let variants: [[String]] = [[], ["-O0"], ["-march=native"], ["-DGLMC_NO_FUTEX"], ["-DMOCK_STATIC", "-Wpedantic"]]

    @Test(arguments: compilers, variants) func compilesWithoutWarnings(compiler: String, flags: [String]) throws {
        let built = try shell([compiler] + strict + ["-O2"] + flags + ["-fPIC", "-c", includeFlag, mock, "-o", "/dev/null"])
        #expect(built.status == 0 && built.output.isEmpty, "\(built.output)")
    }

    /// gcc only: the toolchain's clang links its thread sanitizer against libraries that a C program does not have.
    @Test(arguments: [[], ["-fsanitize=address,undefined"], ["-fsanitize=thread"], ["-fsanitize=thread", "-DGLMC_NO_FUTEX"]])
    func worksUnderSanitizers(flags: [String]) throws {
        guard compilers.contains("gcc") else { return }
        let scratch = try Scratch(), program = scratch.file("test")
        defer { scratch.remove() }
        let built = try shell(["gcc"] + strict + ["-O1", "-g", includeFlag] + flags + [mock, "\(root)/Tests/RuntimeTests/Mock/mock_test.c", "-o", program])
        #expect(built.status == 0, "\(built.output)")
        // The thread sanitizer wants a predictable address space.
        let ran = try shell(has("setarch") ? ["setarch", "-R", program] : [program])
        #expect(ran.status == 0 && ran.output == "ok\n", "\(ran.output)")
    }

    @Test func exportsNothingElse() throws {
        let scratch = try Scratch(), library = try buildMock(scratch)
        defer { scratch.remove() }
        let names = try shell(["nm", "-D", "--defined-only", library]).output.split(separator: "\n").compactMap { $0.split(separator: " ").last }
        #expect(names.sorted() == ["glmc_model_get", "mock"])
    }

    @Test func headerIsCxx() throws {
        guard has("g++") else { return }
        let built = try shell(["g++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", "\(root)/Sources/CGlmcABI/include/glmc.h"])
        #expect(built.status == 0, "\(built.output)")
    }

    @Test func cExampleRuns() throws {
        let scratch = try Scratch(), library = try buildMock(scratch), program = scratch.file("run")
        defer { scratch.remove() }
        let example = "\(root)/Examples/c/run.c"
        #expect(try shell([compilers[0]] + strict + [includeFlag, example, "-ldl", "-o", program]).status == 0)
        #expect(try shell([program, library]).output.contains("mock: 64 bytes of workspace"))
        let linked = try shell([compilers[0]] + strict + ["-DMODEL=mock", "-DMOCK_STATIC", includeFlag, example, mock, "-o", program])
        #expect(linked.status == 0, "\(linked.output)")
        #expect(try shell([program]).output.contains("positive: [16, 2]"))
    }

    @Test func pythonExampleRuns() throws {
        guard let python else { return }
        let scratch = try Scratch(), library = try buildMock(scratch)
        defer { scratch.remove() }
        let ran = try shell([python, "\(root)/Examples/python/run.py", library])
        #expect(ran.status == 0 && ran.output.contains("y: float32[2, 8]"), "\(ran.output)")
    }

    /// What the Python module is asked to do and does not do; `Mock/mock_test.py` prints "ok" or fails.
    @Test func pythonRefusesMisuse() throws {
        guard let python else { return }
        let scratch = try Scratch(), library = try buildMock(scratch)
        defer { scratch.remove() }
        let ran = try shell([python, "\(root)/Tests/RuntimeTests/Mock/mock_test.py", "\(root)/python", library])
        #expect(ran.status == 0 && ran.output == "ok\n", "\(ran.output)")
    }
}
