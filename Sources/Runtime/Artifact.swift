import CGlmcABI
import Foundation

/// A compiled model: opened from a shared library, or linked into the program. Immutable; share it between threads freely.
public final class Artifact: @unchecked Sendable {
    /// What an input or output must look like.
    public struct TensorInfo: Sendable {
        public let name: String
        public let type: ScalarType
        /// `nil` where the size is free.
        public let shape: [Int?]
        /// Each size as the model has it: `224`, `batch`, `4*h + 1`.
        public let dimensions: [String]
        /// The shape is known only after a run.
        public let isDataDependent: Bool
        /// An input that may be left out: it has a default.
        public let isOptional: Bool
        /// An input whose elements are sizes of others: they are not negative.
        public let holdsSizes: Bool
        /// State that is updated in place: of an output the index of its input, of an input that of its output.
        public let state: Int?
        /// Of an output, axes that a result lacks where they have one element; `shape` has them.
        public let squeezedAxes: [Int]
    }

    /// A named dimension and its inclusive limits.
    public struct NamedDimension: Sendable {
        public let name: String
        public let minimum: Int
        /// `nil` when nothing bounds it.
        public let maximum: Int?
        /// Found while running, not given by the inputs.
        public let isDataDependent: Bool
    }

    /// A function of the model.
    public struct EntryPoint: Sendable {
        public let index: Int
        public let name: String
        public let inputs: [TensorInfo]
        public let outputs: [TensorInfo]
        public let dimensions: [NamedDimension]
        public let kernelCount: Int
    }

    public let name: String
    /// JSON; `docs/artifact.md` lists its keys.
    public let manifest: String
    /// Instruction sets that the processor must have.
    public let cpuFeatures: [String]
    public let weightsByteCount: Int
    /// The first one is what `Session.run` uses when none is named.
    public let entryPoints: [EntryPoint]
    /// Where it was opened from; `nil` when it is linked in.
    public let path: String?
    let model: UnsafePointer<glmc_model>
    let weightsPath: String?
    private let library: UnsafeMutableRawPointer?

    /// Opens a shared library that `glmc compile` wrote. Opening it runs code of it, so its bytes are checked first, and those of external weights.
    /// - Parameter checksBytes: `false` leaves that check out, which reads the whole file, where something else vouches for them.
    /// - Throws: `notAnArtifact` when the file is damaged, cannot be loaded or is no artifact.
    public convenience init(path: String, checksBytes: Bool = true) throws(RuntimeError) {
        // dlopen searches the system for a bare name: so a path.
        let absolute = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
        try Self.check(absolute, shown: path, checksBytes ? { glmc_library_is_whole($0, $1) } : nil)
        guard let library = LoadedLibraries.open(absolute) else {
            if Self.isProgram(absolute) {
                throw RuntimeError(.notAnArtifact, "'\(path)' is a program, which runs by itself ('\(path) --help' says how); only libraries (.so) can be loaded: compile the model to one")
            }
            throw RuntimeError(.notAnArtifact, "'\(path)' cannot be loaded: \(String(cString: dlerror()))")
        }
        guard let symbol = dlsym(library, "glmc_model_get") else {
            dlclose(library)
            throw RuntimeError(.notAnArtifact, "'\(path)' is a library, but not one that glmc compiled: it exports no glmc_model_get")
        }
        let get = unsafeBitCast(symbol, to: (@convention(c) () -> UnsafePointer<glmc_model>?).self)
        do throws(RuntimeError) {
            guard let model = get() else { throw RuntimeError(.notAnArtifact, "'\(path)' returned no model") }
            try self.init(model: model, library: library, path: absolute, checksBytes: checksBytes)
        } catch {
            dlclose(library)
            throw error
        }
    }

    /// - Throws: when `path` is no regular file (whatever waits for another process, or is one), or `isSound` finds its bytes changed.
    private static func check(_ path: String, shown: String, _ isSound: ((UnsafePointer<UInt8>?, UInt64) -> Int32)?) throws(RuntimeError) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw RuntimeError(.notAnArtifact, "there is no file '\(shown)'") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw RuntimeError(.notAnArtifact, "'\(shown)' is not a regular file") }
        guard let isSound else { return }
        guard let file = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else { throw RuntimeError(.notAnArtifact, "'\(shown)' cannot be read") }
        guard file.withUnsafeBytes({ isSound($0.bindMemory(to: UInt8.self).baseAddress, UInt64($0.count)) != 0 }) else {
            throw RuntimeError(.notAnArtifact, "'\(shown)' is damaged or incomplete: its bytes are not those that were compiled; compile the model again")
        }
    }

    /// Whether an ELF file names an interpreter (PT_INTERP), as programs do and libraries do not.
    private static func isProgram(_ path: String) -> Bool {
        guard let file = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else { return false }
        return file.withUnsafeBytes { bytes in
            func number<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T? {
                offset >= 0 && offset <= bytes.count - MemoryLayout<T>.size ? T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self)) : nil
            }
            guard number(UInt32.self, at: 0) == 0x464c_457f, let start = number(UInt64.self, at: 32).flatMap(Int.init(exactly:)), start < bytes.count,
                  let size = number(UInt16.self, at: 54), let count = number(UInt16.self, at: 56) else { return false }
            return (0..<Int(count)).contains { number(UInt32.self, at: start + $0 * Int(size)) == 3 }
        }
    }

    /// Wraps a model that is linked into the program; `model` comes from the artifact's exported function.
    public convenience init(linked model: UnsafePointer<glmc_model>) throws(RuntimeError) {
        try self.init(model: model, library: nil, path: nil)
    }

    private init(model: UnsafePointer<glmc_model>, library: UnsafeMutableRawPointer?, path: String?, checksBytes: Bool = false) throws(RuntimeError) {
        guard model.pointee.abi_version == GLMC_ABI_VERSION, model.pointee.size >= UInt32(MemoryLayout<glmc_model>.offset(of: \.language) ?? 0) else {
            throw RuntimeError(.notAnArtifact, "'\(path ?? "the linked model")' speaks version \(model.pointee.abi_version) of the interface, this library version \(GLMC_ABI_VERSION): compile it again")
        }
        self.model = model
        name = String(cString: model.pointee.name)
        manifest = String(cString: model.pointee.manifest)
        cpuFeatures = String(cString: model.pointee.cpu_features).split(separator: " ").map(String.init)
        weightsByteCount = Int(clamping: model.pointee.weights_bytes)
        var entryPoints: [EntryPoint] = []
        for index in 0..<Int(model.pointee.entry_count) {
            guard let entry = model.pointee.entries[index] else { continue }
            entryPoints.append(try EntryPoint(index: index, entry.pointee))
        }
        self.entryPoints = entryPoints
        self.path = path
        if model.pointee.weights == nil, let file = model.pointee.weights_file, let path {
            weightsPath = URL(fileURLWithPath: path).resolvingSymlinksInPath().deletingLastPathComponent().appendingPathComponent(String(cString: file)).path
        } else {
            weightsPath = nil
        }
        if let weightsPath, checksBytes { try Self.check(weightsPath, shown: weightsPath) { glmc_trailer_holds($0, $1) } }
        self.library = library
    }

    deinit {
        if let library { dlclose(library) }
    }

    /// - Throws: `unsupportedProcessor`, naming the instruction sets that are missing here.
    public func checkProcessor() throws(RuntimeError) {
        try checked { model.pointee.check_cpu($0, $1) }
    }

    /// - Throws: `badArgument` when there is none, naming those that there are.
    public func entryPoint(named name: String?) throws(RuntimeError) -> EntryPoint {
        guard let name else {
            guard let first = entryPoints.first else { throw RuntimeError(.badArgument, "the model has no entry point") }
            return first
        }
        guard let found = entryPoints.first(where: { $0.name == name }) else {
            throw RuntimeError(.badArgument, "no entry point '\(name)'; there are: \(entryPoints.map(\.name).joined(separator: ", "))")
        }
        return found
    }
}

extension Artifact.EntryPoint {
    fileprivate init(index: Int, _ entry: glmc_entry) throws(RuntimeError) {
        self.index = index
        name = String(cString: entry.name)
        kernelCount = Int(entry.kernel_count)
        var inputs: [Artifact.TensorInfo] = [], outputs: [Artifact.TensorInfo] = []
        for i in 0..<Int(entry.input_count) { inputs.append(try Artifact.TensorInfo(entry.inputs[i])) }
        for i in 0..<Int(entry.output_count) { outputs.append(try Artifact.TensorInfo(entry.outputs[i])) }
        self.inputs = inputs
        self.outputs = outputs
        dimensions = (0..<Int(entry.dim_count)).map { i in
            let dim = entry.dims[i]
            return Artifact.NamedDimension(
                name: String(cString: dim.name), minimum: Int(dim.min), maximum: dim.max == Int64.max ? nil : Int(dim.max),
                isDataDependent: dim.flags & GLMC_DATA_DEPENDENT != 0)
        }
    }
}

extension Artifact.TensorInfo {
    fileprivate init(_ info: glmc_tensor_info) throws(RuntimeError) {
        name = String(cString: info.name)
        guard let type = ScalarType(rawValue: info.dtype), (0...GLMC_MAX_RANK).contains(info.rank) else {
            throw RuntimeError(.notAnArtifact, "'\(name)' has element type \(info.dtype) and rank \(info.rank), which this version does not know")
        }
        self.type = type
        shape = (0..<Int(info.rank)).map { info.shape[$0] < 0 ? nil : Int(info.shape[$0]) }
        dimensions = (0..<Int(info.rank)).map { info.dims[$0].map { String(cString: $0) } ?? "?" }
        isDataDependent = info.flags & GLMC_DATA_DEPENDENT != 0
        isOptional = info.flags & GLMC_OPTIONAL != 0
        holdsSizes = info.flags & GLMC_DIMENSION != 0
        state = info.state < 0 ? nil : Int(info.state)
        squeezedAxes = (0..<Int(info.rank)).filter { info.squeezed >> $0 & 1 != 0 }
    }
}
