import CGlmcABI

/// A way to run an artifact: owns its threads and scratch memory. Use it from one thread at a time; make one per concurrent run.
public final class Session {
    public let artifact: Artifact
    private let handle: OpaquePointer

    /// - Parameter threads: how many work on a run, the calling one included; 0 = as many as there are processors.
    /// - Throws: `unsupportedProcessor`, `noMemory`, or `badFile` when external weights are missing or of another model.
    public init(_ artifact: Artifact, threads: Int = 0) throws(RuntimeError) {
        guard (0...1024).contains(threads) else { throw RuntimeError(.badArgument, "a session cannot have \(threads) threads") }
        var handle: OpaquePointer?
        try checked { artifact.model.pointee.session_open(artifact.model, Int32(threads), artifact.weightsPath, &handle, $0, $1) }
        guard let handle else { throw RuntimeError(.noMemory, "no session was made") }
        self.artifact = artifact
        self.handle = handle
    }

    deinit { artifact.model.pointee.session_close(handle) }

    /// Runs an entry point once.
    /// - Parameter inputs: one tensor per input of the model, by name; optional ones may be left out.
    /// - Returns: every output, by name.
    /// - Throws: what is wrong with an input, or `badData` when the contents of the inputs make the result undefined.
    public func run(_ inputs: [String: TensorBuffer], entryPoint: String? = nil) throws(RuntimeError) -> [String: TensorBuffer] {
        let invocation = try bind(inputs, entryPoint: entryPoint)
        try invocation.run()
        var results: [String: TensorBuffer] = [:]
        for (index, info) in invocation.entryPoint.outputs.enumerated() { results[info.name] = try invocation.output(index) }
        return results
    }

    /// Prepares a run that can be repeated without allocating; the inputs' memory is kept as it is now.
    public func bind(_ inputs: [String: TensorBuffer], entryPoint: String? = nil) throws(RuntimeError) -> Invocation {
        let entry = try artifact.entryPoint(named: entryPoint)
        var ordered: [TensorBuffer?] = []
        for info in entry.inputs {
            guard let tensor = inputs[info.name] else {
                if info.isOptional {
                    ordered.append(nil)
                    continue
                }
                throw RuntimeError(.badArgument, "input '\(info.name)' is missing; the model takes \(entry.inputs.map { "'\($0.name)'" }.joined(separator: ", "))")
            }
            guard tensor.type == info.type else {
                throw RuntimeError(.badType, "input '\(info.name)' holds \(tensor.type), the model takes \(info.type)")
            }
            ordered.append(tensor)
        }
        if let extra = inputs.keys.sorted().first(where: { name in !entry.inputs.contains { $0.name == name } }) {
            throw RuntimeError(.badArgument, "the model has no input '\(extra)'; it takes \(entry.inputs.map { "'\($0.name)'" }.joined(separator: ", "))")
        }
        return try Invocation(session: self, entryPoint: entry, inputs: ordered)
    }

    /// Inputs bound to an entry point of a session.
    public final class Invocation {
        public let session: Session
        public let entryPoint: Artifact.EntryPoint
        private var inputs: [glmc_tensor]
        private var outputs: [glmc_tensor]
        private let owners: [AnyObject]

        fileprivate init(session: Session, entryPoint: Artifact.EntryPoint, inputs: [TensorBuffer?]) throws(RuntimeError) {
            self.session = session
            self.entryPoint = entryPoint
            var bound: [glmc_tensor] = [], owners: [AnyObject] = []
            for (tensor, info) in zip(inputs, entryPoint.inputs) {
                guard var tensor else {
                    bound.append(glmc_tensor())
                    continue
                }
                // State is updated in place: it gets memory of its own, so that the caller's value stays a value.
                if info.state != nil { tensor.withUnsafeMutableBytes { _ in } }
                bound.append(try glmc_tensor(tensor, name: info.name))
                owners.append(tensor.pinned.owner)
            }
            self.inputs = bound
            self.owners = owners
            outputs = Array(repeating: glmc_tensor(), count: entryPoint.outputs.count)
        }

        /// Runs once; results stay in memory of the session until its next run.
        public func run() throws(RuntimeError) {
            for index in outputs.indices { outputs[index].data = nil }
            let model = session.artifact.model, number = UInt32(entryPoint.index)
            try checked { text, capacity in
                inputs.withUnsafeBufferPointer { inputs in
                    outputs.withUnsafeMutableBufferPointer { outputs in
                        model.pointee.session_run(session.handle, number, inputs.baseAddress, UInt32(inputs.count), outputs.baseAddress, UInt32(outputs.count), text, capacity)
                    }
                }
            }
        }

        /// A copy of output number `index` of the last run.
        public func output(_ index: Int) throws(RuntimeError) -> TensorBuffer {
            guard outputs.indices.contains(index), let type = ScalarType(rawValue: outputs[index].dtype) else {
                throw RuntimeError(.badArgument, "there is no output number \(index), or nothing has been run yet")
            }
            var tensor = outputs[index]
            let rank = Int(tensor.rank)
            let shape = withUnsafeBytes(of: &tensor.shape) { $0.bindMemory(to: Int64.self).prefix(rank).map { Int($0) } }
            guard let count = type.byteCount(shape: shape), UInt64(count) <= tensor.bytes else {
                throw RuntimeError(.badShape, "output '\(entryPoint.outputs[index].name)' has shape \(shape), which its memory does not hold")
            }
            return try TensorBuffer(type: type, shape: shape, bytes: UnsafeRawBufferPointer(start: tensor.data, count: count))
        }
    }
}

extension glmc_tensor {
    /// Borrows the memory of `tensor`, which must outlive the result.
    init(_ tensor: TensorBuffer, name: String) throws(RuntimeError) {
        guard tensor.shape.count <= Int(GLMC_MAX_RANK) else {
            throw RuntimeError(.badShape, "input '\(name)' has \(tensor.shape.count) dimensions; an artifact takes at most \(GLMC_MAX_RANK)")
        }
        self.init()
        data = tensor.pinned.address
        bytes = UInt64(tensor.byteCount)
        dtype = tensor.type.rawValue
        rank = Int32(tensor.shape.count)
        withUnsafeMutableBytes(of: &shape) { target in
            for (axis, size) in tensor.shape.enumerated() { target.storeBytes(of: Int64(size), toByteOffset: axis * 8, as: Int64.self) }
        }
    }
}
