import Foundation
import GlmcCodegen
import GlmcIR
import Testing

/// The vector forms of elementary functions against libm in f64, on f32 from the whole range.
@Suite struct VectorMathTests {
    /// Name, function, and the largest error allowed in units in the last place; see `glmc_vector_math.h`.
    private static let functions: [(name: String, exact: @Sendable (Double) -> Double, ulps: Double)] = [
        ("exp", { exp($0) }, 1.5), ("log", { log($0) }, 1.5), ("tanh", { tanh($0) }, 2), ("erf", { erf($0) }, 6),
    ]

    @Test(arguments: NativeRun.targets) func staysWithinItsBound(_ target: Target) throws {
        guard target.vectorBits > 0 else { return }
        // A product by one puts every value into all lanes of a register; the function follows as its epilogue.
        let values = (0..<1 << 16).map { Float(bitPattern: UInt32($0) &* 65_521) }
        let inputs = [Tensor(.f32, [values.count, 1], values: { Double(values[$0]) }), Tensor(.f32, [1, 16], values: { _ in 1 })]
        for (name, exact, limit) in Self.functions {
            let parsed = try Parser.parseFunction("func @\(name)(%x: f32[65536, 1], %kw: f32[1, 16]) {\n  %c = matmul(%x, %kw)\n  %d = unary.\(name)(%c)\n  return %d\n}")
            let function = try withConstants(parsed, inputs)
            let result = try NativeRun(function, target: target)(inputs, threads: 1)[0].doubles
            var worst = (ulps: 0.0, at: Float(0))
            for (i, x) in values.enumerated() {
                let reference = exact(Double(x)), rounded = Float(reference), found = result[16 * i]
                if rounded.isNaN || rounded.isInfinite {
                    #expect(rounded.isNaN ? found.isNaN : found == Double(rounded), "\(name)(\(x)) on \(target.name) is \(found)")
                } else {
                    let ulps = abs(found - reference) / Double(rounded.ulp)
                    if !(ulps <= worst.ulps) { worst = (ulps, x) }
                }
            }
            #expect(worst.ulps <= limit, "\(name)(\(worst.at)) on \(target.name) is \(worst.ulps) ulp off")
        }
    }
}
