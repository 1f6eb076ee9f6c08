import Testing

@testable import GlmcCodegen
@testable import GlmcIR

/// Sizes are computed in 128 bits, and the dimensions that an artifact accepts leave none of them.
@Suite struct DimensionLimitTests {
    private func limit(_ axes: Int, of count: Int) throws -> Int {
        let names = (0..<axes).map { "n\($0)" }
        let text = """
            func @f(\(names.map { "%\($0): f32[\($0), 0]" }.joined(separator: ", ")), %s: f32[]) {
            \(names.enumerated().map { "  dimension \($1) = input \($0) axis 0" }.joined(separator: "\n"))
              %y = expand(%s, shape: [\((names + [String(count)]).joined(separator: ", "))])
              %z = reduce(%y, fn: "add", axes: [0])
              return %z
            }
            """
        return DimensionLimit(try ProgramBuilder.build(try Parser.parseFunction(text), target: .scalar, threads: 1)).size
    }

    @Test func productsOfManyDimensionsAllowLess() throws {
        #expect(try limit(2, of: 1) == 1 << 24 && limit(4, of: 8) == 1 << 24)
        #expect(try limit(6, of: 1) <= 1 << 18 && limit(6, of: 1) >= 1 << 16)
        #expect(try limit(4, of: 1 << 32) <= 1 << 20)
    }
}
