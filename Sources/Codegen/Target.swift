import GlmcIR

/// What the emitted code runs on: one row per instruction set.
public struct Target: Hashable, Sendable {
    public enum Family: String, Hashable, Sendable { case x86, arm, portable, cuda }

    /// The name that `-march` accepts.
    public var name: String
    public var family: Family
    /// Bits of a vector register; 0 = no vectors are emitted explicitly.
    public var vectorBits: Int
    /// Vector registers that a kernel may use.
    public var registers: Int
    /// Bytes of a core's second-level cache that kernels count on: what the least of the processors has that these instructions are usual on.
    public var cacheBytes = 512 << 10
    /// First factors of which neighbouring products are added to each 32-bit lane: u8 and i8 (four, times i8), bf16 (two).
    public var dots: Set<ElementType>
    /// Whether products of bytes are added up by one instruction, or in pairs of 16 bits by several.
    var addsBytesAtOnce: Bool { family == .arm || features.contains("avx512vnni") }
    /// Whether codes of four bits are multiplied with i8 and summed into 32-bit lanes, 8 per lane at once.
    public var hasNibbleDots: Bool
    /// Loads and stores that leave lanes out.
    public var hasMasks: Bool
    /// Flags that choose the instruction set, for gcc and clang alike.
    public var compilerFlags: [String]
    /// CPU features that an artifact checks before it runs, as named in `glmc.h`.
    public var features: [String]
    /// The `--target` triple for cross compilation with clang; nil for the host.
    public var triple: String?

    /// Lanes of a full register for elements of `byteCount` bytes; 1 without vectors.
    public func lanes(ofBytes byteCount: Int) -> Int { Swift.max(vectorBits / 8 / byteCount, 1) }

    /// Every target, best first within a family.
    public static let all: [Target] = [
        Target(name: "avx512bf16", family: .x86, vectorBits: 512, registers: 32, cacheBytes: 1 << 20, dots: [.u8, .i8, .bf16], hasNibbleDots: true, hasMasks: true,
               compilerFlags: ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx512bf16", "-mavx2", "-mfma", "-mf16c", "-mprefer-vector-width=512"],
               features: ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni", "avx512bf16", "fma", "f16c"], triple: nil),
        Target(name: "avx512vnni", family: .x86, vectorBits: 512, registers: 32, cacheBytes: 1 << 20, dots: [.u8, .i8], hasNibbleDots: true, hasMasks: true,
               compilerFlags: ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx2", "-mfma", "-mf16c", "-mprefer-vector-width=512"],
               features: ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni", "fma", "f16c"], triple: nil),
        Target(name: "avx512", family: .x86, vectorBits: 512, registers: 32, cacheBytes: 1 << 20, dots: [.u8, .i8], hasNibbleDots: true, hasMasks: true,
               compilerFlags: ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mf16c", "-mprefer-vector-width=512"],
               features: ["avx512f", "avx512bw", "avx512dq", "avx512vl", "fma", "f16c"], triple: nil),
        Target(name: "avx2", family: .x86, vectorBits: 256, registers: 16, dots: [.u8, .i8], hasNibbleDots: true, hasMasks: false,
               compilerFlags: ["-mavx2", "-mfma", "-mf16c"], features: ["avx2", "fma", "f16c"], triple: nil),
        Target(name: "neon-dotprod", family: .arm, vectorBits: 128, registers: 32, dots: [.u8, .i8], hasNibbleDots: true, hasMasks: false,
               compilerFlags: ["-march=armv8.2-a+dotprod"], features: ["neon", "dotprod"], triple: "aarch64-linux-gnu"),
        Target(name: "neon", family: .arm, vectorBits: 128, registers: 32, dots: [], hasNibbleDots: false, hasMasks: false,
               compilerFlags: ["-march=armv8-a"], features: ["neon"], triple: "aarch64-linux-gnu"),
        Target(name: "sm_90", family: .cuda, vectorBits: 0, registers: 64, dots: [], hasNibbleDots: false, hasMasks: false,
               compilerFlags: ["-gencode", "arch=compute_90,code=sm_90"], features: [], triple: nil),
        Target(name: "sm_80", family: .cuda, vectorBits: 0, registers: 64, dots: [], hasNibbleDots: false, hasMasks: false,
               compilerFlags: ["-gencode", "arch=compute_80,code=sm_80"], features: [], triple: nil),
        Target(name: "scalar", family: .portable, vectorBits: 0, registers: 16, dots: [], hasNibbleDots: false, hasMasks: false,
               compilerFlags: [], features: [], triple: nil),
    ]

    /// Other names for targets that users' hands know.
    static let aliases = [
        "x86-64-v4": "avx512", "cascadelake": "avx512vnni", "icelake-server": "avx512vnni", "cooperlake": "avx512bf16",
        "sapphirerapids": "avx512bf16", "znver4": "avx512bf16", "znver5": "avx512bf16", "skylake-avx512": "avx512", "x86-64-v3": "avx2", "haswell": "avx2",
        "znver2": "avx2", "znver3": "avx2", "armv8.2-a+dotprod": "neon-dotprod", "armv8-a": "neon", "x86-64": "scalar",
    ]

    /// The target named `name`; `native` is the best that this machine runs.
    public static func named(_ name: String) -> Target? {
        if name == "native" { return native }
        let canonical = aliases[name] ?? name
        return all.first { $0.name == canonical }
    }

    /// The best target that this machine runs.
    public static var native: Target {
        let available = HostFeatures.current
        return all.first { $0.family == HostFeatures.family && $0.features.allSatisfy(available.contains) } ?? scalar
    }

    public static var scalar: Target { all[all.count - 1] }
}

extension Target {
    /// The vector expressions that its section of `glmc_vector.h` defines.
    var vectorForms: VectorForms {
        // AVX-512 knows half registers too.
        let full = lanes(ofBytes: 4)
        return VectorForms(lanes: full == 1 ? [] : full == 16 ? [8, 16] : [full], dots: dots, hasNibbleDots: hasNibbleDots)
    }
}
