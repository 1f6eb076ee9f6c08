import Foundation
@testable import GlmcCodegen
import GlmcIR
import Testing

/// One C file with kernels of every family, with and without vectors, compiles alone for every target, and computes what it should.
@Suite struct SingleFileTests {
    @Test(arguments: ["scalar", "avx2", "avx512", "avx512vnni", "neon", "neon-dotprod"]) func compilesAlone(_ name: String) throws {
        let target = try #require(Target.named(name)), collection = try KernelCollection(free: false)
        let isForeign = target.family == .arm && HostFeatures.family != .arm
        if target.family == .x86 && HostFeatures.family != .x86 || isForeign && !WholeArtifactTests.missingArmTools.isEmpty { return }
        let folder = try Scratch(), source = "\(folder.path)/all.c"
        var options = CompileOptions(name: "all")
        options.minParallelWork = 1
        options.kind = .cSource
        options.target = target
        try ArtifactCompiler.compile(collection.function, to: source, options: options)
        let strict = Toolchain.languageFlags + ["-Wall", "-Wextra", "-Werror", "-I", folder.path] + target.compilerFlags
        for compiler in isForeign ? ["aarch64-linux-gnu-gcc"] : ["gcc", "clang"] where Toolchain.locate(compiler) != nil {
            let canRun = NativeRun.targets.contains(target) && compiler == "gcc", object = "\(folder.path)/all.o"
            let built = try ChildProcess.run(["sh", "-c", "cd '\(folder.path)' && exec \"$@\"", "sh", compiler] + strict + (canRun ? ["-O1", "-c", source, "-o", object] : ["-fsyntax-only", source]))
            #expect(built.succeeded, "\(name), \(compiler): \(built.errors.prefix(2000))")
            if canRun && built.succeeded { try LinkedProgram(linking: object).run(collection, callers: 1, threads: 2) }
        }
    }
}
