import Foundation
import GlmcCodegen
import GlmcIR
import Testing

/// Every kernel family in one artifact, as a program of its own: under sanitizers, from many threads at once, and on another processor.
@Suite(.serialized) struct WholeArtifactTests {
    static let sizes = [false, true]

    @Test(arguments: sizes) func concurrentCallersGetRightAnswers(free: Bool) throws {
        let program = try LinkedProgram(KernelCollection(free: free))
        try program.run(callers: 8, threads: 1, runs: 4)
        try program.run(callers: 8, threads: 2, runs: 4)
    }

    /// Every buffer and weight has a gap behind it in these builds: an access that runs over ends the program.
    @Test(arguments: sizes) func touchesOnlyItsOwnMemory(free: Bool) throws {
        let flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
        for target in [Target.native, .scalar] {
            try LinkedProgram(KernelCollection(free: free), target: target, flags: flags).run(callers: 2, threads: 2)
        }
    }

    @Test(arguments: sizes) func hasNoDataRaces(free: Bool) throws {
        try LinkedProgram(KernelCollection(free: free), flags: ["-fsanitize=thread"]).run(callers: 2, threads: 3)
    }

    static let armTools = ["qemu-aarch64", "aarch64-linux-gnu-gcc", "clang"]
    static let missingArmTools = armTools.filter { Toolchain.locate($0) == nil }

    @Test(.enabled(if: missingArmTools.isEmpty, "not found: \(missingArmTools.joined(separator: ", ")); make test installs them where there is apt"), arguments: sizes)
    func computesTheSameOnARM(free: Bool) throws {
        for (name, cpu, compiler) in [("neon-dotprod", "max", "clang"), ("neon", "cortex-a53", "aarch64-linux-gnu-gcc")] {
            let target = try #require(Target.named(name))
            let program = try LinkedProgram(KernelCollection(free: free), target: target, compiler: compiler, linker: "aarch64-linux-gnu-gcc")
            try program.run(callers: 1, threads: 2, runs: 1, launcher: ["qemu-aarch64", "-cpu", cpu, "-L", "/usr/aarch64-linux-gnu"])
        }
    }
}
