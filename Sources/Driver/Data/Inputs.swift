import Foundation
import GlmcFrontend
import GlmcIR
import GlmcRuntime

/// Gathers the inputs of a run from files and random numbers.
enum Inputs {
    /// Flags of every subcommand that feeds a model.
    static let flags: [Flag] = [
        Flag("input", .value("NAME=FILE.npy"), repeated: true, "an input from a .npy file"),
        Flag("inputs", .value("FILE.npz"), "inputs by name from a .npz file"),
        Flag("random", .value("SEED"), "random values for inputs that no file gives and that have no default: floats in 0..<1, integers 0 or 1; free dimensions are 1 unless --dim gives a size"),
    ]

    /// One tensor per input of `entry`; none for optional ones that no file gives.
    /// - Parameter seed: used when `--random` is not given; nil: then every input must come from a file.
    static func gather(_ arguments: Arguments, for entry: Artifact.EntryPoint, defaultSeed seed: UInt64? = nil) throws -> [String: TensorBuffer] {
        var tensors: [String: TensorBuffer] = [:]
        func add(_ name: String, _ array: NumpyArray) throws {
            guard let info = entry.inputs.first(where: { $0.name == name }) else {
                let nearest = nearestName(to: name, among: entry.inputs.map(\.name))
                throw Diagnostic(.invalid, "the model has no input '\(name)'", hint: nearest.map { "did you mean '\($0)'?" } ?? "it takes \(entry.inputs.map { "'\($0.name)'" }.joined(separator: ", "))")
            }
            tensors[name] = try TensorBuffer(array, as: info.type)
        }
        if let path = arguments.string("inputs") {
            for item in try Npz.read(path) { try add(item.name, item.array) }
        }
        for (name, path) in try arguments.pairs("input") { try add(name, Npy.read(path)) }

        let missing = entry.inputs.filter { tensors[$0.name] == nil && !$0.isOptional }
        guard !missing.isEmpty else { return tensors }
        guard let seed = try arguments.int("random").map(UInt64.init) ?? seed else {
            throw Diagnostic(
                .invalid, "missing input\(missing.count == 1 ? "" : "s") \(missing.map { "'\($0.name)' (\(describe($0)))" }.joined(separator: ", "))",
                hint: "give --inputs FILE.npz, --input NAME=FILE.npy, or --random SEED")
        }
        let sizes = try dimensions(arguments, entry)
        var generator = Generator(state: seed)
        for info in missing { tensors[info.name] = try random(info, sizes, &generator) }
        return tensors
    }

    /// `f32[batch, 3, 224, 224]`.
    static func describe(_ info: Artifact.TensorInfo) -> String { "\(info.type)[\(info.dimensions.joined(separator: ", "))]" }

    private static func dimensions(_ arguments: Arguments, _ entry: Artifact.EntryPoint) throws -> [String: Int] {
        var sizes: [String: Int] = [:]
        for dimension in entry.dimensions where !dimension.isDataDependent { sizes[dimension.name] = max(dimension.minimum, 1) }
        for (name, text) in try arguments.pairs("dim") {
            guard let value = Int(text), value >= 0 else { throw arguments.misuse("--dim takes NAME=NUMBER, not '\(name)=\(text)'") }
            sizes[name] = value
        }
        return sizes
    }

    private static func random(_ info: Artifact.TensorInfo, _ sizes: [String: Int], _ generator: inout Generator) throws -> TensorBuffer {
        let shape = zip(info.shape, info.dimensions).map { size, name in size ?? sizes[name] ?? 1 }
        guard let bytes = info.type.byteCount(shape: shape), UInt64(bytes) <= ProcessInfo.processInfo.physicalMemory else {
            throw Diagnostic(.invalid, "input '\(info.name)' of shape \(shape) is larger than this machine's memory")
        }
        var tensor = try TensorBuffer(zeros: info.type, shape: shape)
        guard let element = info.type.elementType else { return tensor }
        let count = shape.reduce(1, *) * (element.isComplex ? 2 : 1)
        tensor.withUnsafeMutableBytes { bytes in
            let writer = ElementWriter(element, bytes)
            for index in 0..<count {
                let value = generator.next()
                writer.store(element.isFloat || element.isComplex ? value : (value < 0.5 ? 0 : 1), at: index)
            }
        }
        return tensor
    }

    /// splitmix64: the same numbers on every machine.
    private struct Generator {
        var state: UInt64
        mutating func next() -> Double {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
            return Double((z ^ z >> 31) >> 11) * 0x1p-53
        }
    }
}
