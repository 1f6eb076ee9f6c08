import GlmcCodegen
import GlmcIR
import Testing

/// Emitted code against `evaluate`, on every target of this machine, with one and two threads.
@Suite struct ArtifactTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var dimensions: [String: Int] = [:]
        var tolerance = 2e-6
        var testDescription: String { name }
    }

    private static let squeezed = """
        func @squeezed(%x: f32[n, t, 2]) {
          %y = unary.negate(%x)
          %z = unary.exp(%x)
          return %y squeezed [1], %z
        }
        """

    /// `%n` and `%i` as integers of a type.
    private static func quantized(_ type: String) -> String {
        """
        %\(type)z = constant(value: \(type)[](1)) : \(type)[]
        %\(type)qn = quantize(%n, %s, %\(type)z, to: \(type))
        %\(type)qi = quantize(%i, %s, %\(type)z, to: \(type))
        %\(type)n = cast(%\(type)qn, to: "i64")
        %\(type)i = cast(%\(type)qi, to: "i64")
        """
    }

    static let cases: [Case] = [
        Case(name: "fused elementwise with broadcasting", text: """
            func @elementwise(%x: f32[2, 3, 37], %y: f32[3, 1], %z: f32[]) {
              %a = binary.add(%x, %y)
              %b = binary.multiply(%a, %z)
              %c = unary.tanh(%b)
              %d = unary.exp(%c)
              return %d, %b
            }
            """),
        Case(name: "a result without an axis of one element", text: squeezed, dimensions: ["n": 5, "t": 1]),
        Case(name: "a result with an axis of several elements", text: squeezed, dimensions: ["n": 5, "t": 3]),
        Case(name: "averages of windows that lie in the padding", text: """
            func @padding(%x: f32[2, 16, 1, 5]) {
              %a = pool.average(%x, window: [2, 2], strides: [1, 1], dilations: [2, 1], before: [1, 0], after: [1, 1])
              %b = pool.average(%x, window: [2, 2], strides: [1, 1], dilations: [1, 1], before: [3, 2], after: [3, 2])
              return %a, %b
            }
            """),
        Case(name: "NaN and infinities become integers", text: """
            func @special(%x: f32[37]) {
              %o = binary.subtract(%x, %x)
              %n = binary.divide(%o, %o)
              %i = binary.divide(%x, %o)
              %s = constant(value: f32[](0.1)) : f32[]
              \(["u8", "i8", "u16", "i16", "i32", "u4", "i4", "u2", "i2"].map(quantized).joined(separator: "\n"))
              return %u8n, %u8i, %i8n, %i8i, %u16n, %u16i, %i16n, %i16i, %i32n, %i32i, %u4n, %u4i, %i4n, %i4i, %u2n, %u2i, %i2n, %i2i
            }
            """),
        Case(name: "16-bit floats with f32 sums", text: """
            func @narrow(%x: f32[7, 9], %y: bf16[9, 5], %i: i64[4]) {
              %a = cast(%x, to: "bf16")
              %m = matmul(%a, %y)
              %h = cast(%m, to: "f16")
              %w = constant(value: f16[5, 3](1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, -0.5, 0.25, 65504))
              %p = matmul(%m, %w)
              %g = gather(%w, %i, axis: 0)
              return %h, %p, %g
            }
            """, tolerance: 1e-4),
        Case(name: "views, concat and pad share memory", text: """
            func @views(%x: f32[2, 6, 5]) {
              %a = unary.negate(%x)
              %t = transpose(%a, permutation: [0, 2, 1])
              %p = pad(%t, before: [0, 1, 2], after: [0, 0, 1], value: 0.5)
              %s = slice(%p, starts: [0, 2, 1], sizes: [2, 3, 4], steps: [1, -1, 2])
              %b = unary.absolute(%s)
              %c = concat(%b, %s, %b, axis: 1)
              return %c
            }
            """),
        Case(name: "reductions", text: """
            func @reductions(%x: f32[4, 33, 19]) {
              %a = reduce(%x, fn: "add", axes: [2], keep_dims: true)
              %b = binary.subtract(%x, %a)
              %c = reduce(%b, fn: "maximum", axes: [0, 1], keep_dims: false)
              return %c, %a
            }
            """, tolerance: 1e-5),
        Case(name: "convolution with epilogue", text: """
            func @convolution(%x: f32[1, 5, 11, 13], %w: f32[24, 5, 3, 3], %b: f32[24, 1, 1], %r: f32[1, 24, 6, 7]) {
              %p = pad(%x, before: [0, 0, 1, 1], after: [0, 0, 1, 1], value: 0.0)
              %c = conv(%p, %w, strides: [2, 2], dilations: [1, 1], groups: 1)
              %d = binary.add(%c, %b)
              %e = binary.add(%d, %r)
              %f = activation(%e, kind: "relu")
              return %f
            }
            """, tolerance: 1e-5),
        Case(name: "product, attention and norm", text: """
            func @block(%x: f32[1, 9, 32], %w: f32[32, 32], %s: f32[32]) {
              %a = matmul(%x, %w)
              %h = reshape(%a, shape: [1, 9, 4, 8])
              %q = transpose(%h, permutation: [0, 2, 1, 3])
              %c = attention(%q, %q, %q, scale: 0.25, causal: true, causal_offset: 0, softcap: 0.0)
              %t = transpose(%c, permutation: [0, 2, 1, 3])
              %r = reshape(%t, shape: [1, 9, 32])
              %y = layer_norm(%r, %s, %s, axis: -1, epsilon: 1e-5)
              return %y
            }
            """, tolerance: 1e-5),
        Case(name: "free dimensions", text: """
            func @symbolic(%x: f32[n, 3, m], %w: f32[m, 8]) {
              %a = matmul(%x, %w)
              %b = softmax(%a, axis: -1)
              %c = reshape(%b, shape: [3*n, 8])
              %d = binary.add(%c, %c)
              return %d, %b
            }
            """, dimensions: ["n": 5, "m": 21], tolerance: 1e-5),
    ]
    /// Sizes that differ by name and are 1 in one operand: whether an axis is repeated shows only in the run.
    static let repeated = Case(name: "batches that turn out to be repeated", text: """
        func @repeated(%x: f32[a, b, 3, 20], %y: f32[c, d, 20, 33]) {
          %z = matmul(%x, %y)
          return %z
        }
        """, dimensions: ["a": 3, "b": 1, "c": 1, "d": 2], tolerance: 1e-5)

    @Test(arguments: cases + [repeated]) func matchesEvaluate(_ example: Case) throws {
        let function = try Parser.parseFunction(example.text)
        var random = RandomInputs()
        let inputs = try random.tensors(for: function, dimensions: example.dimensions)
        let expected = try Interpreter.run(function, inputs, dimensions: example.dimensions)
        for target in NativeRun.targets {
            for compiler in ["gcc", "clang"] {
                let results = try NativeRun(function, target: target, compiler: compiler)(inputs, threads: 2)
                for (actual, reference) in zip(results, expected) {
                    #expect(actual.shape == reference.shape)
                    #expect(relativeError(actual, reference) <= example.tolerance, "\(example.name) on \(target.name) with \(compiler)")
                }
            }
        }
    }
}

/// ‖a − b‖ / ‖b‖.
func relativeError(_ a: Tensor, _ b: Tensor) -> Double {
    let (x, y) = (a.doubles, b.doubles)
    let difference = zip(x, y).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    let norm = y.reduce(0) { $0 + $1 * $1 }
    return difference == 0 ? 0 : (difference / max(norm, 1e-30)).squareRoot()
}
