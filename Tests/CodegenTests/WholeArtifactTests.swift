import Foundation
import GlmcCodegen
import GlmcIR
import Testing

/// Every kernel family in one artifact, as a program of its own: under sanitizers, from many threads at once, and on another processor.
@Suite(.serialized) struct WholeArtifactTests {
    static let sizes = [false, true]

    @Test(arguments: sizes) func concurrentCallersGetRightAnswers(free: Bool) throws {
        let collection = try KernelCollection(free: free), program = try LinkedProgram(collection.function)
        try program.run(collection, callers: 8, threads: 1, runs: 4)
        try program.run(collection, callers: 8, threads: 2, runs: 4)
    }

    /// Every buffer and weight has a red zone behind it in these builds: an access that runs over ends the program.
    @Test(arguments: sizes) func touchesOnlyItsOwnMemory(free: Bool) throws {
        let collection = try KernelCollection(free: free)
        for target in [Target.native, .scalar] {
            let program = try LinkedProgram(collection.function, target: target, flags: ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"])
            try program.run(collection, callers: 2, threads: 2)
            for sizes in free ? [KernelCollection.ones, KernelCollection.zeros] : [] { try program.run(KernelCollection(free: true, sizes: sizes), callers: 1, threads: 2) }
        }
    }

    @Test(arguments: sizes) func hasNoDataRaces(free: Bool) throws {
        let collection = try KernelCollection(free: free)
        try LinkedProgram(collection.function, flags: ["-fsanitize=thread"]).run(collection, callers: 2, threads: 3)
    }

    static let armTools = ["qemu-aarch64", "aarch64-linux-gnu-gcc", "clang"]
    static let missingArmTools = armTools.filter { Toolchain.locate($0) == nil }

    @Test(.enabled(if: missingArmTools.isEmpty, "not found: \(missingArmTools.joined(separator: ", ")); make test installs them where there is apt"), arguments: sizes)
    func computesTheSameOnARM(free: Bool) throws {
        let collection = try KernelCollection(free: free)
        for (name, cpu, compiler) in [("neon-dotprod", "max", "clang"), ("neon", "cortex-a53", "aarch64-linux-gnu-gcc")] {
            let target = try #require(Target.named(name))
            let program = try LinkedProgram(collection.function, target: target, compiler: compiler, linker: "aarch64-linux-gnu-gcc")
            try program.run(collection, callers: 1, threads: 2, runs: 1, launcher: ["qemu-aarch64", "-cpu", cpu, "-L", "/usr/aarch64-linux-gnu"])
        }
    }
}
