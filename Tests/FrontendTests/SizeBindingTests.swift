import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

private func load(_ nodes: [Proto], _ inputs: [Proto], initializers: [Proto] = [], opset: Int64 = 17, output: Int64 = 1) throws -> Function {
    let graph = Onnx.graph(nodes: nodes, initializers: initializers, inputs: inputs, outputs: [Onnx.value("y", output, sizes: [])])
    let model = try OnnxReader.model(ByteSpan(Onnx.model(graph, opset: opset).bytes), file: "test.onnx")
    let function = try OnnxImporter.importModel(model, file: "test.onnx").function
    try Verifier.verify(function)
    return function
}

private func refusal(_ nodes: [Proto], _ inputs: [Proto], initializers: [Proto] = []) -> String {
    do {
        return "accepted: \(try load(nodes, inputs, initializers: initializers))"
    } catch let error as Diagnostics {
        return error.description
    } catch {
        return "\(error)"
    }
}

/// The inputs' shapes as text, such as `[B, N] [N]`.
private func shapes(_ function: Function) -> String {
    function.inputs.map { "\(function.tensorType($0).shape)" }.joined(separator: " ")
}

private func float(_ name: String, _ sizes: String...) -> Proto { Onnx.value(name, 1, sizes: sizes) }

/// Free sizes that the model needs equal to others, or to constants, become these.
@Suite struct SizeBindingTests {
    static let norm = [Onnx.node("LayerNormalization", ["x", "s", "b"], ["y"])]

    /// Sizes that a model computes in 32 bits, or in floats, are exact, or the run is refused.
    @Test(arguments: [(6, 10_737_419, 100, 200), (1, 100_000, 167, 168)] as [(Int64, Int64, Int, Int)])
    func sizesFitTheirTypes(_ element: Int64, _ factor: Int64, _ fits: Int, _ exceeds: Int) throws {
        func cast(_ from: String, _ to: Int64, _ name: String) -> Proto { Onnx.node("Cast", [from], [name], [Proto().string(1, "to").int(3, to).int(20, 2)]) }
        let constants = [Onnx.tensor("f", 7, [1]).packed(7, [factor])]
        let nodes = [Onnx.node("Shape", ["x"], ["s"]), cast("s", element, "n"), cast("f", element, "k"), Onnx.node("Mul", ["n", "k"], ["p"]), cast("p", 7, "y")]
        let function = try load(nodes, [float("x", "N")], initializers: constants, output: 7)
        func rows(_ count: Int) -> Tensor { Tensor([Float](repeating: 0, count: count)) }
        #expect(try Interpreter.run(function, [rows(fits)])[0].integers == [fits * Int(factor)])
        #expect(throws: Diagnostic.self) { try Interpreter.run(function, [rows(exceeds + 1)]) }
    }

    /// Bounds that follow from sizes count from the back where they come out negative, as constants do: `x[a·t + b : c·t + d : step]`.
    @Test(arguments: [(-1, 0), (1, -3), (1, 0), (0, -2), (2, -1)], [(0, Int.max), (1, -3), (-1, 0), (0, Int.min), (1, 1)])
    func slicesByComputedBounds(_ first: (Int, Int), _ last: (Int, Int)) throws {
        for step in [1, 2, -1, -3] {
            func bound(_ name: String, _ line: (Int, Int)) -> ([Proto], [Proto]) {
                let constants = [("a", line.0), ("b", line.1)].map { Onnx.tensor(name + $0.0, 7, [1]).packed(7, [Int64($0.1)]) }
                if line.0 == 0 { return ([Onnx.node("Identity", [name + "b"], [name])], constants) }
                return ([Onnx.node("Mul", ["t", name + "a"], [name + "m"]), Onnx.node("Add", [name + "m", name + "b"], [name])], constants)
            }
            let (start, end) = (bound("s", first), bound("e", last))
            let constants = start.1 + end.1 + [Onnx.tensor("axis", 7, [1]).packed(7, [0]), Onnx.tensor("step", 7, [1]).packed(7, [Int64(step)])]
            let nodes = [Onnx.node("Shape", ["z"], ["t"])] + start.0 + end.0 + [Onnx.node("Slice", ["x", "s", "e", "axis", "step"], ["y"])]
            let function = try load(nodes, [float("x", "N"), float("z", "T")], initializers: constants)
            for (n, t) in [(0, 0), (0, 2), (1, 0), (1, 1), (1, 4), (4, 0), (4, 1), (4, 2), (4, 5), (5, 3), (5, 4)] {
                /// - Parameter lowest: 0 for starts, also going down, as ONNX has it.
                func position(_ line: (Int, Int), lowest: Int) -> Int {
                    let value = line.0 == 0 ? line.1 : line.0 * t + line.1, wrapped = value < 0 && value > .min ? value + n : value
                    return step > 0 ? min(max(wrapped, 0), n) : min(max(wrapped, lowest), n - 1)
                }
                let expected = stride(from: position(first, lowest: 0), to: position(last, lowest: -1), by: step).map(Double.init)
                let x = Tensor((0..<n).map(Float.init)), z = Tensor([Float](repeating: 0, count: t))
                let y = try #require(try Interpreter.run(function, [x, z]).first)
                #expect(y.doubles == expected, "step \(step), \(n) elements, t = \(t)")
            }
        }
    }

    @Test func parametersAreAsWideAsWhatTheyScale() throws {
        let function = try load(Self.norm, [float("x", "B", "N"), float("s", "M"), float("b", "")])
        #expect(shapes(function) == "[B, N] [N] [N]")
        #expect(function.dimensions.map(\.name) == ["B", "N"])
        let x = Tensor([Float](arrayLiteral: 1, 3, 5, 5), shape: [2, 2]), two = Tensor([Float]([2, 2]), shape: [2]), one = Tensor([Float]([1, 1]), shape: [2])
        // (1, 3) has mean 2 and deviation 1, (5, 5) has none.
        let y = try #require(try Interpreter.run(function, [x, two, one]).first)
        #expect(y.shape == [2, 2] && zip(y.doubles, [-1, 3, 1, 1]).allSatisfy { abs($0 - $1) < 1e-4 })
        #expect(throws: Diagnostic.self) { try Interpreter.run(function, [x, two, Tensor([Float]([1, 1, 1]), shape: [3])]) }
    }

    @Test func constantsFixSizes() throws {
        let parameters = [Onnx.floatTensor("s", [3], [1, 1, 1]), Onnx.floatTensor("b", [3], [0, 0, 0])]
        #expect(shapes(try load(Self.norm, [float("x", "B", "N")], initializers: parameters)) == "[B, 3]")
        let conv = Onnx.node("Conv", ["x", "w"], ["y"], [Onnx.attribute("kernel_shape", ints: [3, 5])])
        #expect(shapes(try load([conv], [float("x", "B", "C", "H", "W"), float("w", "", "", "", "")])) == "[B, C, H, W] [w_0, C, 3, 5]")
        let dequantize = Onnx.node("DequantizeLinear", ["x", "s"], ["y"], [Proto().string(1, "axis").int(3, 0).int(20, 2)])
        #expect(shapes(try load([dequantize], [Onnx.value("x", 3, sizes: ["N", "M"])], initializers: [parameters[0]])) == "[3, M]")
        let reshape = Onnx.node("Reshape", ["x", "t"], ["y"])
        #expect(shapes(try load([reshape], [float("x", "N")], initializers: [Onnx.tensor("t", 7, [2]).packed(7, [2, 3])])) == "[6]")
    }

    @Test func sizesFollowFromEachOtherThroughTheModel() throws {
        // K = L from the first product, then M = K from the second one.
        let nodes = [Onnx.node("MatMul", ["x", "w"], ["h"]), Onnx.node("MatMul", ["h", "x"], ["y"])]
        #expect(shapes(try load(nodes, [float("x", "N", "K"), float("w", "L", "M")])) == "[N, K] [K, N]")
        // Joined along the last axis, two widths make up the rows of the filter.
        let joined = [Onnx.node("Concat", ["x", "z"], ["h"], [Proto().string(1, "axis").int(3, 1).int(20, 2)]), Onnx.node("MatMul", ["h", "w"], ["y"])]
        #expect(shapes(try load(joined, [float("x", "N", "A"), float("z", "M", "B"), float("w", "K", "O")])) == "[N, A] [N, B] [A+B, O]")
    }

    @Test func givenNamesAreKept() throws {
        let product = [Onnx.node("MatMul", ["x", "w"], ["y"])]
        #expect(shapes(try load(product, [float("x", "N", ""), float("w", "width", "")])) == "[N, width] [width, w_1]")
    }

    @Test func broadcastingLeavesSizesFree() throws {
        #expect(shapes(try load([Onnx.node("Add", ["x", "z"], ["y"])], [float("x", "N"), float("z", "M")])) == "[N] [M]")
    }

    /// A branch that may not be taken says nothing about the inputs.
    @Test func branchesBindNothing() throws {
        let then = Onnx.graph(nodes: [Onnx.node("MatMul", ["x", "w"], ["t"])], outputs: [float("t", "", "")])
        let otherwise = Onnx.graph(nodes: [Onnx.node("Identity", ["x"], ["e"])], outputs: [float("e", "", "")])
        let branch = Onnx.node("If", ["c"], ["y"], [Onnx.attribute("then_branch", graph: then), Onnx.attribute("else_branch", graph: otherwise)])
        let inputs = [float("x", "N", "K"), float("w", "L", "M"), Onnx.value("c", 9, [])]
        #expect(shapes(try load([branch], inputs)) == "[N, K] [L, M] []")
        // Taken always, it does.
        let known = [Onnx.tensor("c", 9, []).packed(5, [1])]
        #expect(shapes(try load([branch], Array(inputs[..<2]), initializers: known)) == "[N, K] [K, M]")
    }

    /// One end is cut off, more than there is, and the other added to.
    @Test func padsMayCutOffWhatTheyAdd() throws {
        for pads in [[-1, 2], [2, -1]] as [[Int64]] {
            let function = try load([Onnx.node("Pad", ["x", "p"], ["y"])], [float("x", "N")], initializers: [Onnx.tensor("p", 7, [2]).packed(7, pads)])
            for size in [0, 1, 3] {
                let x = (1...3).prefix(size).map { Float($0) }
                let wanted = pads[0] < 0 ? (x + [0, 0]).dropFirst() : ([0, 0] + x).dropLast()
                #expect(try Interpreter.run(function, [Tensor(x, shape: [size])])[0].doubles == wanted.map { Double($0) })
            }
        }
    }

    @Test func contradictionsAreRefused() {
        let three = Onnx.floatTensor("s", [3], [1, 1, 1]), four = Onnx.floatTensor("b", [4], [0, 0, 0, 0])
        #expect(refusal(Self.norm, [float("x", "B", "5")], initializers: [three, four]).contains("5 against 3"))
        #expect(refusal(Self.norm, [float("x", "B", "N")], initializers: [three, four]).contains("3 against 4"))
        #expect(refusal([Onnx.node("MatMul", ["x", "w"], ["y"])], [float("x", "N", "5"), float("w", "4", "M")]).contains("5 columns against 4 rows"))
    }

    /// Sizes that the model finds are not mistaken for sizes of inputs that happen to be called alike.
    @Test func foundSizesHaveNamesOfTheirOwn() throws {
        let nodes = [Onnx.node("NonZero", ["nonzero"], ["i"]), Onnx.node("Cast", ["i"], ["y"], [Proto().string(1, "to").int(3, 1).int(20, 2)])]
        let function = try load(nodes, [float("nonzero", "", ""), float("boxes", "", "")])
        let result = try #require(function.outputs.first.map { function.tensorType($0) })
        let count = try #require(result.shape.last?.dimensionName)
        #expect(function.isDataDependent(count) && function.dimensions.count { $0.name == count } == 1)
        #expect(function.inputs.allSatisfy { !function.tensorType($0).shape.contains(.dimension(count)) })
    }

    /// What an operator needs known is taken from inputs that are given, and only that.
    @Test func neededSizesComeFromGivenInputs() throws {
        let graph = Onnx.graph(
            nodes: [Onnx.node("Conv", ["x", "w"], ["y"])], inputs: [float("x", "B", "C", "L"), float("w", "O", "D", "K")], outputs: [float("y", "", "", "")])
        let model = try OnnxReader.model(ByteSpan(Onnx.model(graph).bytes), file: "test.onnx")
        #expect(throws: Diagnostics.self) { try OnnxImporter.importModel(model, file: "test.onnx") }
        var options = ImportOptions()
        options.boundInputs["w"] = Tensor([Float](repeating: 1, count: 24), shape: [4, 2, 3])
        let imported = try OnnxImporter.importModel(model, file: "test.onnx", options: options)
        #expect(shapes(imported.function) == "[B, C, L] [O, C, 3]" && imported.consumedSizes == ["w"] && imported.consumedInputs.isEmpty)
    }
}

/// Branches on sizes: what is assumed about a size becomes part of the inputs' types, which artifacts check, or is not assumed.
@Suite struct SizeAssumptionTests {
    /// `If(d == 1) Squeeze(x, 1) else x`, as exporters write a squeeze; `d` is what `size` computes.
    private func squeeze(_ size: [Proto], compare: String = "Equal", inputs: [Proto], then rest: [Proto] = []) throws -> Function {
        let then = Onnx.graph(nodes: [Onnx.node("Squeeze", ["x", "one"], ["t"])], outputs: [float("t", "", "")])
        let otherwise = Onnx.graph(nodes: [Onnx.node("Identity", ["x"], ["e"])], outputs: [float("e", "", "", "")])
        let branch = Onnx.node("If", ["c"], [rest.isEmpty ? "y" : "z"], [Onnx.attribute("then_branch", graph: then), Onnx.attribute("else_branch", graph: otherwise)])
        return try load(size + [Onnx.node(compare, ["d", "one"], ["c"]), branch] + rest, inputs, initializers: [Onnx.tensor("one", 7, [1]).packed(7, [1])])
    }

    static let second = [Onnx.node("Shape", ["x"], ["s"]), Onnx.node("Gather", ["s", "one"], ["d"])]

    /// Where an operator needs to know the rank, the size is taken to be one.
    @Test(arguments: [
        [Onnx.node("Transpose", ["z"], ["y"], [Onnx.attribute("perm", ints: [1, 0])])],
        [Onnx.node("Relu", ["z"], ["r"]), Onnx.node("MatMul", ["r", "r"], ["y"])],
        [Onnx.node("Reshape", ["z", "s"], ["y"])], [Onnx.node("Add", ["z", "x"], ["y"])], [Onnx.node("Relu", ["z"], ["r"]), Onnx.node("Mul", ["z", "r"], ["y"])],
    ]) func squeezesFixTheSize(_ rest: [Proto]) throws {
        let function = try squeeze(Self.second, inputs: [float("x", "2", "K", "2")], then: rest)
        #expect(shapes(function) == "[2, 1, 2]" && function.squeezedAxes.isEmpty)
    }

    /// Where nothing needs it, the result is squeezed when the model runs.
    @Test(arguments: [
        [], [Onnx.node("Identity", ["z"], ["y"])], [Onnx.node("Relu", ["z"], ["r"]), Onnx.node("Sigmoid", ["r"], ["y"])],
        [Onnx.node("Mul", ["z", "two"], ["r"]), Onnx.node("Neg", ["r"], ["y"])],
    ]) func squeezesThatNothingDependsOnStay(_ rest: [Proto]) throws {
        let two = Onnx.node("Constant", [], ["two"], [Proto().string(1, "value_float").float(2, 2).int(20, 1)])
        let function = try squeeze(Self.second + [two], inputs: [float("x", "N", "K", "2")], then: rest)
        #expect(shapes(function) == "[N, K, 2]" && function.squeezedAxes == [0: [1]])
        #expect(function.outputs.map { "\(function.tensorType($0).shape)" } == ["[N, K, 2]"])
        for size in [1, 3, 0] {
            let x = Tensor([Float](repeating: 1, count: 8 * size), shape: [4, size, 2])
            #expect(try Interpreter.run(function, [x]).map(\.shape) == [size == 1 ? [4, 2] : [4, size, 2]])
        }
    }

    /// A squeeze of another axis than the one whose size is asked about is none that a size decides.
    @Test func squeezesOfOtherAxesAreNotTaken() throws {
        let first = [Onnx.node("Shape", ["x"], ["s"]), Onnx.node("Gather", ["s", "zero"], ["d"]), Onnx.node("Sub", ["one", "one"], ["zero"])]
        let function = try squeeze(first, inputs: [float("x", "N", "K", "2")])
        #expect(function.squeezedAxes.isEmpty)
    }

    /// Sizes are not negative: such a condition is none.
    @Test func impossibleSizesAreNotAssumed() throws {
        let negative = [Onnx.node("Shape", ["x"], ["s"]), Onnx.node("Gather", ["s", "one"], ["g"]), Onnx.node("Add", ["g", "one"], ["h"]), Onnx.node("Add", ["h", "one"], ["d"])]
        let function = try squeeze(negative, inputs: [float("x", "N", "K", "2")])
        #expect(shapes(function) == "[N, K, 2]" && function.outputs.map { "\(function.tensorType($0).shape)" } == ["[N, K, 2]"])
    }

    /// What depends on data, or on a size that no input has alone, is refused.
    @Test func whatCannotBeCheckedIsRefused() {
        #expect(throws: Diagnostics.self) { try squeeze([], inputs: [float("x", "N", "K", "2"), Onnx.value("d", 7, [1])]) }
        let product = [Onnx.node("Size", ["x"], ["n"]), Onnx.node("Reshape", ["n", "one"], ["d"])]
        #expect(throws: Diagnostics.self) { try squeeze(product, inputs: [float("x", "N", "K", "2")]) }
    }

    /// A size of 1 in a squeeze is a demand on the inputs.
    @Test func squeezedAxesHaveOneElement() throws {
        let function = try load([Onnx.node("Squeeze", ["x", "a"], ["y"])], [float("x", "N", "K")], initializers: [Onnx.tensor("a", 7, [1]).packed(7, [1])])
        #expect(shapes(function) == "[N, 1]")
        #expect(refusal([Onnx.node("Squeeze", ["x"], ["y"])], [float("x", "N", "1")]).contains("depends on whether the size N is 1"))
    }

    /// `x[:-1]` of f + 1 rows has max(f, 0) rows, which are f where other tensors have f rows.
    @Test func cutsAreAsLongAsWhatTheyAreAddedTo() throws {
        let kernel = Onnx.floatTensor("w", [1, 1, 3], [1, 1, 1]), wide = Onnx.floatTensor("v", [1, 1, 2], [1, 1])
        let ends = [Onnx.tensor("from", 7, [1]).packed(7, [0]), Onnx.tensor("to", 7, [1]).packed(7, [-1]), Onnx.tensor("axis", 7, [1]).packed(7, [2])]
        let conv = Onnx.node("Conv", ["x", "w"], ["h"], [Onnx.attribute("strides", ints: [2])])
        let position = Onnx.node("Conv", ["h", "v"], ["p"], [Onnx.attribute("pads", ints: [1, 1])])
        let cut = Onnx.node("Slice", ["p", "from", "to", "axis"], ["q"]), sum = Onnx.node("Add", ["h", "q"], ["y"])
        let function = try load([conv, position, cut, sum], [float("x", "1", "1", "N")], initializers: [kernel, wide] + ends)
        let rows = (Extent.dimension("N") - 3).floorDivided(by: 2) + 1
        #expect(function.outputs.map { function.tensorType($0).shape } == [[1, 1, rows]])
        // The sums of three, in steps of two, and each with the one before: 6, 12 and 18, and 6, 18 and 30.
        let y = try Interpreter.run(function, [Tensor((1...7).map { Float($0) }, shape: [1, 1, 7])])
        #expect(y.first?.doubles == [12, 30, 48])
    }

    /// Where the cut comes first, the sum tells.
    @Test func sumsTellThatCutsAreNotEmpty() {
        let (n, zero) = (Extent.dimension("n"), Extent(0))
        let equation = SizeEquation(.maximum(n - 1, zero), n - 1)
        #expect(equation.clamped == [n - 1] && SizeEquation(n, n - 1).clamped.isEmpty && SizeEquation(n - 1, n - 1).clamped.isEmpty)
        #expect(SizeEquation(.maximum(n - 1, zero) + 1, n, leftMayBeOne: true).clamped.isEmpty, "0 rows and 1 row may be added")
    }

    /// A float holds half a size; what is rounded at once is a size again.
    @Test func fractionsOfSizesAreNoSizes() throws {
        func nodes(_ between: [Proto]) -> [Proto] {
            let to = { (type: Int64) in Proto().string(1, "to").int(3, type).int(20, 2) }
            return [Onnx.node("Shape", ["x"], ["s"]), Onnx.node("Cast", ["s"], ["f"], [to(1)]), Onnx.node("Div", ["f", "two"], ["h"])] + between
                + [Onnx.node("Cast", ["w"], ["t"], [to(7)]), Onnx.node("ConstantOfShape", ["t"], ["y"])]
        }
        let two = [Onnx.floatTensor("two", [1], [2])], x = [float("x", "N")]
        let half = Extent.dimension("N").floorDivided(by: 2)
        for rounding in ["Identity", "Floor"] {
            let function = try load(nodes([Onnx.node(rounding, ["h"], ["w"])]), x, initializers: two)
            #expect(function.outputs.map { function.tensorType($0).shape } == [[half]])
        }
        #expect(refusal(nodes([Onnx.node("Mul", ["h", "two"], ["w"])]), x, initializers: two).contains("must follow from the shapes"))
        let (a, b) = (Extent.dimension("a"), Extent.dimension("b"))
        for (x, y) in [(0, 1), (1, 4), (5, 2), (9, 3)] {
            #expect(BinaryOperator.divide.evaluate(a - 4, b, .i64)?.evaluate(["a": x, "b": y]) == (x - 4) / y)
            #expect(BinaryOperator.remainder.evaluate(a - 4, b, .i64)?.evaluate(["a": x, "b": y]) == (x - 4) % y)
        }
    }
}
