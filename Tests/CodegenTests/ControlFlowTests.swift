import GlmcCodegen
import GlmcIR
import Testing

/// Branches and loops through emitted code against `evaluate`, with one thread and more.
@Suite struct ControlFlowTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        /// Values for the first input, an integer or bool scalar; other inputs are random.
        var first: [Int] = [0]
        var dimensions: [[String: Int]] = [[:]]
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "a condition that is a constant, beside others", text: """
            func @constant(%k: i64[], %x: f32[3]) {
              %w = constant(value: f32[3](0.0, 0.0, 0.0))
              %v = constant(value: f32[3](1.0, 2.0, 3.0))
              %a = binary.add(%x, %v)
              %c = constant(value: bool[](true))
              %y = if(%c) {
                %s = binary.multiply(%a, %a)
                yield %s
              } {
                %t = binary.add(%a, %w)
                yield %t
              }
              return %y
            }
            """),
        Case(name: "branches of different sizes", text: """
            func @branch(%c: bool[], %x: f32[4, 5]) {
              dimension n = data_dependent bound 8
              %y = if(%c, joined: [n]) {
                %u = slice(%x, starts: [0, 0], sizes: [2, 5], steps: [1, 1])
                yield %u
              } {
                %v = concat(%x, %x, axis: 0)
                yield %v
              }
              %z = unary.negate(%y)
              %t = reduce(%y, fn: "add", axes: [0, 1])
              return %z, %t
            }
            """, first: [0, 1]),
        Case(name: "states that change places", text: """
            func @swap(%n: i64[], %a: f32[4, 4], %b: f32[4, 4]) {
              %go = constant(value: bool[](true))
              %y, %z = loop(%n, %go, %a, %b, iterations: 0) {
              ^(%i: i64[], %c: bool[], %p: f32[4, 4], %q: f32[4, 4]):
                %t = transpose(%q, permutation: [1, 0])
                yield %c, %t, %p
              }
              return %y, %z
            }
            """, first: [-3, 0, 1, 2, 5]),
        Case(name: "what a loop reads again and again is not overwritten", text: """
            func @outer(%n: i64[], %a: f32[70, 90]) {
              %go = constant(value: bool[](true))
              %w = unary.sin(%a)
              %y = loop(%n, %go, %a, iterations: 0) {
              ^(%i: i64[], %c: bool[], %p: f32[70, 90]):
                %e = unary.cos(%w)
                %f = cast(%i, to: f32)
                %s = binary.add(%e, %f)
                %r = binary.add(%p, %s)
                yield %c, %r
              }
              return %y
            }
            """, first: [0, 3, 4]),
        Case(name: "iterations until a condition fails, stacked", text: """
            func @stacked(%n: i64[], %p: f32[3], %q: f32[3]) {
              dimension iterations = data_dependent bound 40
              %go = constant(value: bool[](true))
              %most = constant(value: i64[](40))
              %low = cast(%n, to: f32)
              %x = unary.absolute(%p)
              %y = unary.absolute(%q)
              %a, %b, %k = loop(%most, %go, %x, %y, iterations: iterations) {
              ^(%i: i64[], %c: bool[], %u: f32[3], %v: f32[3]):
                %s = binary.add(%u, %v)
                %t = reduce(%s, fn: "add", axes: [0])
                %more = binary.less(%t, %low)
                %f = cast(%i, to: f32)
                %w = binary.add(%u, %f)
                yield %more, %v, %s, %w
              }
              %r = reduce(%k, fn: "add", axes: [0])
              return %a, %b, %k, %r
            }
            """, first: [-1, 10, 1000, 1 << 30]),
        Case(name: "scans in both directions along both axes", text: """
            func @scan(%n: i64[], %s: f32[3], %x: f32[3, T], %y: f32[T, 2]) {
              dimension T = input 2 axis 1
              %f, %o, %p = scan(%s, %x, %y, input_axes: [1, 0], input_reversed: [1, 0], output_axes: [1, 0], output_reversed: [0, 1]) {
              ^(%u: f32[3], %xi: f32[3], %yi: f32[2]):
                %v = binary.add(%u, %xi)
                %w = binary.multiply(%v, %v)
                %t = unary.tanh(%yi)
                yield %v, %w, %t
              }
              return %f, %o, %p
            }
            """, dimensions: [["T": 1], ["T": 2], ["T": 33]]),
        Case(name: "a scan of nothing, in reverse", text: """
            func @nothing(%n: i64[], %s: f32[4], %x: f32[0, 4]) {
              %f, %o = scan(%s, %x, input_axes: [0], input_reversed: [1], output_axes: [1], output_reversed: [1]) {
              ^(%u: f32[4], %xi: f32[4]):
                %v = binary.add(%u, %xi)
                %w = unary.tanh(%xi)
                yield %v, %w
              }
              return %f, %o
            }
            """),
        Case(name: "a loop in a loop with a branch", text: """
            func @nested(%n: i64[], %x: f32[N, 5]) {
              dimension N = input 1 axis 0
              dimension found = data_dependent bound 5
              %init = constant(value: f32[5](0.0, 0.0, 0.0, 0.0, 0.0))
              %go = constant(value: bool[](true))
              %half = constant(value: f32[](0.5))
              %rows = extents(values: [N], shape: [])
              %a, %o, %k = loop(%rows, %go, %init, iterations: N) {
              ^(%i: i64[], %c: bool[], %acc: f32[5]):
                %row = gather(%x, %i, axis: 0)
                %nz = non_zero(%row, count: found)
                %count = extents(values: [found], shape: [])
                %r = loop(%n, %go, %row, iterations: 0) {
                ^(%j: i64[], %d: bool[], %v: f32[5]):
                  %h = binary.multiply(%v, %half)
                  %m = reduce(%h, fn: "maximum", axes: [0])
                  %more = binary.greater(%m, %half)
                  %s = if(%more) {
                    %e = unary.tanh(%h)
                    yield %e
                  } {
                    yield %v
                  }
                  yield %more, %s
                }
                %t = binary.add(%acc, %r)
                yield %c, %t, %r, %count
              }
              return %a, %o, %k
            }
            """, first: [0, 1, 6], dimensions: [["N": 0], ["N": 1], ["N": 7]]),
    ]

    @Test(arguments: cases) func matchesEvaluate(_ example: Case) throws {
        let function = try Parser.parseFunction(example.text)
        let run = try NativeRun(function, target: .native)
        var random = RandomInputs()
        for dimensions in example.dimensions {
            for first in example.first {
                var inputs = try random.tensors(for: function, dimensions: dimensions)
                inputs[0] = Tensor(inputs[0].element, [], integers: { _ in first })
                let expected = try Interpreter.run(function, inputs, dimensions: dimensions)
                for threads in 1...3 {
                    for (actual, reference) in zip(try run(inputs, threads: threads), expected) {
                        #expect(actual.shape == reference.shape)
                        #expect(relativeError(actual, reference) <= 2e-6, "\(example.name) with \(first), \(dimensions) on \(threads) threads")
                    }
                }
            }
        }
    }
}
