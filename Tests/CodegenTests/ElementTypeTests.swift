import GlmcCodegen
import GlmcIR
import Testing

/// Chains of ops on every element type: fused into one kernel, each value in between is what its type holds.
@Suite struct ElementTypeTests {
    private static let floats: [ElementType] = [.f32, .f64, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz]
    private static let integers: [ElementType] = [.i64, .i32, .i16, .i8, .i4, .i2, .u64, .u32, .u16, .u8, .u4, .u2]

    /// The same text for every type, as one function: one artifact for all of them.
    private func check(_ elements: [ElementType], through wide: (ElementType) -> ElementType, _ body: (_ e: String, _ wide: String, _ n: Int) -> [String], results: Int,
                       number: @escaping (ElementType, Int) -> Double) throws {
        var arguments: [String] = [], lines: [String] = [], outputs: [String] = [], inputs: [Tensor] = []
        for (n, element) in elements.enumerated() {
            let passed = wide(element)
            for i in 0..<2 {
                arguments.append("%x\(n)_\(i): \(passed.rawValue)[67]")
                let values = { (j: Int) in number(element, j * 2 + i) }
                inputs.append(passed.isFloat ? Tensor(passed, [67], values: values) : Tensor(passed, [67], integers: { Int(values($0)) }))
                lines.append("%a\(n)_\(i) = cast(%x\(n)_\(i), to: \(element.rawValue))")
            }
            lines += body(element.rawValue, passed.rawValue, n)
            outputs += (0..<results).map { "%r\(n)_\($0)" }
        }
        let function = try Parser.parseFunction("func @types(\(arguments.joined(separator: ", "))) {\n\(lines.joined(separator: "\n"))\nreturn \(outputs.joined(separator: ", "))\n}")
        let expected = try Interpreter.run(function, inputs)
        for target in [Target.scalar, Target.native] {
            let found = try NativeRun(function, target: target)(inputs, threads: 2)
            for (i, (a, b)) in zip(found, expected).enumerated() {
                let different = (0..<b.count).first { j in
                    b.element.isFloat ? !(a.doubles[j] == b.doubles[j] || (a.doubles[j].isNaN && b.doubles[j].isNaN)) : a.integers[j] != b.integers[j]
                }
                if let j = different { Issue.record("\(elements[i / results].rawValue), result \(i % results), on \(target.name): \(a.doubles[j]) at \(j), not \(b.doubles[j])") }
            }
        }
    }

    @Test func floatsRoundAfterEveryStep() throws {
        try check(Self.floats, through: { $0 == .f64 ? .f64 : .f32 }, { _, wide, n in [
            "%s\(n) = binary.add(%a\(n)_0, %a\(n)_1)", "%p\(n) = binary.multiply(%s\(n), %a\(n)_1)", "%d\(n) = binary.subtract(%p\(n), %a\(n)_0)",
            "%m\(n) = binary.maximum(%d\(n), %p\(n))", "%r\(n)_0 = cast(%m\(n), to: \(wide))",
            "%n\(n) = unary.negate(%p\(n))", "%w\(n) = cast(%n\(n), to: \(wide))", "%r\(n)_1 = binary.add(%w\(n), %w\(n))",
        ] }, results: 2) { _, i in Double((i * 37) % 61 - 30) / 7 }
    }

    @Test func integersWrapAfterEveryStep() throws {
        try check(Self.integers, through: { $0.bitWidth < 8 ? $0.computeType : $0 }, { _, wide, n in [
            "%s\(n) = binary.add(%a\(n)_0, %a\(n)_1)", "%p\(n) = binary.multiply(%s\(n), %a\(n)_1)", "%d\(n) = binary.subtract(%p\(n), %a\(n)_0)",
            "%m\(n) = binary.maximum(%d\(n), %a\(n)_1)", "%r\(n)_0 = cast(%m\(n), to: \(wide))", "%r\(n)_1 = cast(%p\(n), to: i64)",
        ] }, results: 2) { element, i in
            let range = element.integerRange ?? 0...1
            let low = max(range.lowerBound, -(1 << 31)), high = min(range.upperBound, 1 << 31)
            return Double(i % 5 == 0 ? low : i % 5 == 1 ? high : low + (i * 7919) % (high - low + 1))
        }
    }

    /// `dequantize(quantize(x))`, and a cast there and back, with values beyond the range of every type.
    @Test func quantisationRoundsInsideAKernel() throws {
        let targets: [ElementType] = [.u8, .i8, .u16, .i16, .u4, .i4, .u2, .i2, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f4e2m1]
        var lines: [String] = [], outputs: [String] = []
        for target in targets {
            let e = target.rawValue
            for saturate in target.isFloat && target != .f4e2m1 ? [true, false] : [true] {
                let n = "\(e)_\(saturate)"
                lines += [
                    "%s\(n) = constant(value: f32[](0.5))", "%z\(n) = constant(value: \(e)[](0))",
                    "%q\(n) = quantize(%x, %s\(n), %z\(n), to: \(e), saturate: \(saturate))", "%r\(n) = dequantize(%q\(n), %s\(n), %z\(n), to: f32)",
                    "%c\(n) = cast(%x, to: \(e), saturate: \(saturate))", "%t\(n) = cast(%c\(n), to: f32)", "%u\(n) = binary.add(%t\(n), %t\(n))",
                ]
                outputs += ["%r\(n)", "%u\(n)"]
            }
        }
        for narrow in ["f16", "bf16"] {
            lines += ["%c\(narrow) = cast(%x, to: \(narrow))", "%t\(narrow) = cast(%c\(narrow), to: f32)", "%u\(narrow) = unary.negate(%t\(narrow))"]
            outputs.append("%u\(narrow)")
        }
        let function = try Parser.parseFunction("func @q(%x: f32[131]) {\n\(lines.joined(separator: "\n"))\nreturn \(outputs.joined(separator: ", "))\n}")
        let special = [0, -0.0, .infinity, -.infinity, 448, 449, 464, 465, 57344, 61440, 61441, 1e30, -1e30, 0.25, 0.75, 1.25, 127.25, 127.75, 1e-3, -1e-3, 6.5]
        let x = Tensor(.f32, [131], values: { $0 < special.count ? special[$0] : Double(($0 * 53) % 97 - 48) * 1.37 })
        let expected = try Interpreter.run(function, [x])
        for target in [Target.scalar, Target.native] {
            for (i, (a, b)) in zip(try NativeRun(function, target: target)([x], threads: 1), expected).enumerated() {
                let different = (0..<b.count).first { !(a.doubles[$0] == b.doubles[$0] || (a.doubles[$0].isNaN && b.doubles[$0].isNaN)) }
                // An integer cast of what no integer type holds is open.
                if let j = different, !(outputs[i].hasPrefix("%u") && !x.doubles[j].isFinite) {
                    Issue.record("\(outputs[i]) on \(target.name): \(x.doubles[j]) becomes \(a.doubles[j]), not \(b.doubles[j])")
                }
            }
        }
    }

    /// Right values from the OCP FP8 tables: 4-bit and 3-bit significands, saturation at 448 and 57344.
    @Test func float8HasThreeOrTwoMantissaBits() throws {
        let function = try Parser.parseFunction("""
            func @f(%x: f32[6]) {
              %s = constant(value: f32[](0.5))
              %z = constant(value: f8e4m3fn[](0))
              %y = constant(value: f8e5m2[](0))
              %q = quantize(%x, %s, %z, to: f8e4m3fn)
              %a = dequantize(%q, %s, %z)
              %p = quantize(%x, %s, %y, to: f8e5m2)
              %b = dequantize(%p, %s, %y)
              return %a, %b
            }
            """)
        let x = Tensor([1.03, -2.6, 5.3, 1000, Float.infinity, -0.001])
        let results = try NativeRun(function, target: .native)([x], threads: 1)
        #expect(results[0].doubles == [1, -2.5, 5.5, 224, 224, -0.0009765625])
        #expect(results[1].doubles == [1, -2.5, 5, 1024, 28672, -0.0009765625])
    }
}
