import GlmcIR
import GlmcRuntime
import Testing

@testable import GlmcCodegen

/// States: updated in place where nothing reads them later, right in any case; entry points that share code, weights and states.
@Suite struct StateTests {
    /// Sizes that an input holds, in an order of its own, on all targets: a size that does not fit is refused.
    @Test func inputsHoldSizes() throws {
        let function = try Parser.parseFunction("""
            func @chosen(%x: f32[n], %s: i64[3]) {
              dimension p = input 1 value 2
              dimension q = input 1 value
              %y = reshape(%x, shape: [p, q])
              %z = reduce(%y, fn: "add", axes: [1])
              return %y, %z
            }
            """)
        let x = Tensor((0..<12).map { Float($0) }, shape: [12])
        for target in NativeRun.targets {
            let sizes = Tensor([4, -7, 3], shape: [3]), results = try NativeRun(function, target: target)([x, sizes], threads: 2)
            #expect(results == (try Interpreter.run(function, [x, sizes])) && results[0].shape == [3, 4])
            for wrong in [[5, 0, 3], [-4, 0, -3], [1 << 40, 0, 0]] {
                let error = #expect(throws: RuntimeError.self) { try NativeRun(function, target: target)([x, Tensor(wrong, shape: [3])], threads: 1) }
                #expect(error?.kind == .badShape)
            }
        }
    }

    private static let cache = """
        func @step(%cache: f32[8, 3], %rows: f32[n, 3], %filled: i64[]) {
          dimension filled = input 2 value
          %w = constant(value: f32[3, 3](1, 2, 3, 4, 5, 6, 7, 8, 10)) : f32[3, 3]
          %keys = matmul(%rows, %w)
          %new = insert_slice(%cache, %keys, starts: [filled, 0])
          %seen = slice(%new, starts: [0, 0], sizes: [filled+n, 3], steps: [1, 1])
          %sum = reduce(%seen, fn: "add", axes: [0])
          return %sum, %new updates %cache
        }
        """

    /// Functions whose states change in ways that a careless order of copies would spoil.
    static let functions = [
        cache,
        // Two states change places.
        """
        func @swap(%a: f32[2, 3], %b: f32[2, 3]) {
          return %b as "a_after" updates %a, %a as "b_after" updates %b
        }
        """,
        // The old value is an output as well.
        """
        func @old(%a: f32[4], %x: f32[1]) {
          %before = reshape(%a, shape: [2, 2])
          %new = insert_slice(%a, %x, starts: [1])
          return %before, %new updates %a
        }
        """,
        // A new value that is computed from the whole old one.
        """
        func @recurrent(%h: f32[3], %x: f32[3, 3]) {
          %row = reshape(%h, shape: [1, 3])
          %y = matmul(%row, %x)
          %z = reshape(%y, shape: [3])
          %t = unary.tanh(%z)
          return %t updates %h
        }
        """,
        // What is read before the update, by an op that a later one fuses.
        """
        func @before(%a: f32[4, 4], %x: f32[2, 4]) {
          %n = unary.negate(%a)
          %new = insert_slice(%a, %x, starts: [2, 0])
          %m = binary.multiply(%n, %new)
          return %m, %new updates %a
        }
        """,
        // Two updates in a row.
        """
        func @twice(%a: f32[4, 4], %x: f32[2, 4], %y: f32[4, 1]) {
          %b = insert_slice(%a, %x, starts: [2, 0])
          %c = insert_slice(%b, %y, starts: [0, 1])
          %s = reduce(%c, fn: "add", axes: [0, 1])
          return %s, %c updates %a
        }
        """,
    ]

    @Test(arguments: functions) func statesAreRight(text: String) throws {
        let function = try Parser.parseFunction(text)
        try Verifier.verify(function)
        var random = RandomInputs()
        var inputs = try random.tensors(for: function, dimensions: ["n": 2])
        for (i, input) in function.inputs.enumerated() where function.tensorType(input).element == .i64 { inputs[i] = Tensor([3], shape: []) }
        let expected = try Interpreter.run(function, inputs, dimensions: ["n": 2])
        for target in NativeRun.targets {
            for threads in [1, 3] {
                let results = try NativeRun(function, target: target)(inputs, threads: threads)
                for (result, wanted) in zip(results, expected) {
                    #expect(result.shape == wanted.shape)
                    for (a, b) in zip(result.doubles, wanted.doubles) { #expect(abs(a - b) <= 1e-5 * max(1, abs(b)), "\(target.name), \(threads) threads") }
                }
            }
        }
    }

    /// A cache costs what is written to it: the update's kernel stores into the state itself, and nothing else touches it.
    @Test func updatesWriteTheirRowsOnly() throws {
        let program = try ProgramBuilder.build(try Parser.parseFunction(Self.cache), target: .scalar, threads: 1)
        let states = program.storages.indices.filter { if case .state = program.storages[$0].owner { true } else { false } }.map { StorageID(index: $0) }
        let writers = program.launches.filter { !$0.writes.isDisjoint(with: states) }
        #expect(writers.map(\.family) == ["insert_slice"])
        #expect(writers[0].reads.isDisjoint(with: states))
        #expect(!program.storages.contains { $0.owner == .arena && $0.byteCount == Extent(8 * 3 * 4) }, "no copy of the cache has memory")
    }

    /// An update of what is read later, or given by the caller, works on a copy.
    @Test func updatesCopyWhatIsNeeded() throws {
        let function = try Parser.parseFunction("""
            func @f(%x: f32[4], %r: f32[1]) {
              %a = unary.negate(%x)
              %b = insert_slice(%a, %r, starts: [2])
              %c = insert_slice(%x, %r, starts: [0])
              %d = binary.add(%a, %b)
              %e = binary.add(%d, %c)
              return %e
            }
            """)
        let inputs = [Tensor([1, 2, 3, 4], shape: [4]), Tensor([10], shape: [1])].map { tensor in Tensor(.f32, tensor.shape, values: { Double(tensor.integers[$0]) }) }
        let result = try NativeRun(function, target: .scalar)(inputs, threads: 2)
        // -x + b + c, with b = -x but for 10 in place 2, and c = x but for 10 in place 0.
        let wanted: [Double] = [8, -2, 10, -4]
        #expect(result[0].doubles == wanted)
    }

    /// Entry points share kernels and weights, and each finds what another one left in a state.
    @Test func entryPointsShare() throws {
        let weights = "constant(value: f32[64, 64] splat(0.5)) : f32[64, 64]"
        let functions = try Parser.parse("""
            func @fill(%cache: f32[8, 64], %rows: f32[n, 64]) {
              %w = \(weights)
              %y = matmul(%rows, %w)
              %new = insert_slice(%cache, %y, starts: [0, 0])
              return %new updates %cache
            }

            func @add(%cache: f32[8, 64], %rows: f32[n, 64], %filled: i64[]) {
              dimension filled = input 2 value
              %w = \(weights)
              %y = matmul(%rows, %w)
              %new = insert_slice(%cache, %y, starts: [filled, 0])
              return %new updates %cache
            }
            """)
        let module = Module(functions)
        try module.verify()
        #expect(module.states.map(\.name) == ["cache"])
        let programs = try ProgramBuilder.build(module, target: .scalar, threads: 1)
        #expect(Weights(programs).byteCount < 2 * 64 * 64 * 4)

        let run = try NativeRun(module, name: "two", target: .scalar)
        let session = try Session(run.artifact, threads: 1)
        #expect(run.artifact.entryPoints.map(\.name) == ["fill", "add"])
        let entry = run.artifact.entryPoints[1]
        #expect(entry.inputs.map(\.state) == [0, nil, nil] && entry.outputs.map(\.state) == [0])
        func buffer(_ shape: [Int], _ value: Float) throws -> TensorBuffer {
            try [Float](repeating: value, count: shape.reduce(1, *)).withUnsafeBytes { try TensorBuffer(type: .f32, shape: shape, bytes: $0) }
        }
        var cache = try #require(try session.run(["cache": try buffer([8, 64], 0), "rows": try buffer([3, 64], 1)], entryPoint: "fill")["new"])
        let filled = try withUnsafeBytes(of: Int64(3)) { try TensorBuffer(type: .i64, shape: [], bytes: $0) }
        cache = try #require(try session.run(["cache": cache, "rows": try buffer([2, 64], 2), "filled": filled], entryPoint: "add")["new"])
        let sums = cache.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        let firstColumn = (0..<8).map { sums[$0 * 64] }, wanted: [Float] = [32, 32, 32, 64, 64, 0, 0, 0]
        #expect(firstColumn == wanted)
        // More rows than there is room for, and numbers that are no size.
        #expect(throws: RuntimeError.self) { try session.run(["cache": cache, "rows": try buffer([6, 64], 2), "filled": filled], entryPoint: "add") }
        let negative = try withUnsafeBytes(of: Int64(-1)) { try TensorBuffer(type: .i64, shape: [], bytes: $0) }
        #expect(throws: RuntimeError.self) { try session.run(["cache": cache, "rows": try buffer([1, 64], 2), "filled": negative], entryPoint: "add") }
    }

    @Test func modulesAreChecked() throws {
        let one = try Parser.parseFunction("func @f(%s: f32[2]) {\n  return %s updates %s\n}\n")
        let other = try Parser.parseFunction("func @g(%s: f32[3]) {\n  return %s updates %s\n}\n")
        #expect(throws: Diagnostic.self) { try Module([one, one]).verify() }
        #expect(throws: Diagnostic.self) { try Module([one, other]).verify() }
        #expect(throws: Diagnostic.self) { try Module([]).verify() }
        try Module([one]).verify()
    }
}
