import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

private func imported(_ model: Proto) throws -> Function {
    let function = try OnnxImporter.importModel(try OnnxReader.model(ByteSpan(model.bytes), file: "test.onnx"), file: "test.onnx").function
    try Verifier.verify(function)
    return function
}

/// The kinds and the text of what stands in the way; empty where nothing does.
private func refusal(_ model: Proto) -> (kinds: Set<Diagnostic.Kind>, text: String) {
    do {
        _ = try imported(model)
        return ([], "")
    } catch let error as Diagnostics {
        return (Set(error.all.map(\.kind)), error.description)
    } catch let error as Diagnostic {
        return ([error.kind], error.description)
    } catch {
        return ([.internal], "\(error)")
    }
}

private func int(_ name: String, _ value: Int64) -> Proto { Proto().string(1, name).int(3, value).int(20, 2) }
private func float(_ name: String, _ sizes: String...) -> Proto { Onnx.value(name, 1, sizes: sizes) }

/// What an import does is linear in the file, or the file is refused with the number that was too large.
@Suite struct ImportBudgetTests {
    /// Every sum reads the one before twice.
    @Test(.timeLimit(.minutes(5)), arguments: ["4", "N"]) func valuesAreFollowedOnce(_ size: String) throws {
        for element in [1, 7] as [Int64] {
            let nodes = (0..<60).map { Onnx.node("Add", [$0 == 0 ? "x" : "t\($0 - 1)", $0 == 0 ? "x" : "t\($0 - 1)"], [$0 == 59 ? "y" : "t\($0)"]) }
            let value = { Onnx.value($0, element, sizes: [size]) }
            let function = try imported(Onnx.model(Onnx.graph(nodes: nodes, inputs: [value("x")], outputs: [value("y")])))
            #expect(function.nodes(in: function.body).count == 60)
        }
    }

    /// The same for sizes: 2^60 times the length is written down, and its powers are given up.
    @Test(.timeLimit(.minutes(5))) func sizesThatDouble() throws {
        for (op, kind) in [("Add", nil), ("Mul", .unsupported)] as [(String, Diagnostic.Kind?)] {
            let steps = (0..<60).map { Onnx.node(op, [$0 == 0 ? "s" : "t\($0 - 1)", $0 == 0 ? "s" : "t\($0 - 1)"], ["t\($0)"]) }
            let nodes = [Onnx.node("Shape", ["x"], ["s"])] + steps + [Onnx.node("Expand", ["z", "t59"], ["y"])]
            let (kinds, message) = refusal(Onnx.model(Onnx.graph(nodes: nodes, inputs: [float("x", "N"), float("z", "1")], outputs: [float("y", "")])))
            #expect(kinds.first == kind && kinds.count <= 1, "\(message)")
        }
    }

    @Test(.timeLimit(.minutes(5))) func functionsThatDouble() {
        var functions: [Proto] = []
        for i in 0..<40 {
            let body = i == 0 ? [Onnx.node("Relu", ["a"], ["m"]), Onnx.node("Relu", ["m"], ["b"])] : ["a", "m"].map { Onnx.node("f\(i - 1)", [$0], [$0 == "a" ? "m" : "b"]).string(7, "d") }
            let opsets = [Proto().int(2, 17), Proto().string(1, "d").int(2, 1)]
            let function = body.reduce(Proto().string(1, "f\(i)").string(4, "a").string(5, "b")) { $0.message(7, $1) }
            functions.append(opsets.reduce(function) { $0.message(9, $1) }.string(10, "d"))
        }
        let graph = Onnx.graph(nodes: [Onnx.node("f39", ["x"], ["y"]).string(7, "d")], inputs: [float("x", "2")], outputs: [float("y", "2")])
        let (kinds, text) = refusal(functions.reduce(Onnx.model(graph).message(8, Proto().string(1, "d").int(2, 1))) { $0.message(25, $1) })
        #expect(kinds == [.unsupported] && text.contains("function 'f39'") && text.contains("nodes when they are unrolled"), "\(text)")
    }

    /// Branches whose ranks differ are tried twice, at every depth.
    @Test(.timeLimit(.minutes(5))) func branchesInBranches() {
        func branch(_ depth: Int) -> Proto {
            let inner = depth == 0 ? Onnx.node("Relu", ["x"], ["z"]) : Onnx.node(
                "If", ["c"], ["z"], [Onnx.attribute("then_branch", graph: branch(depth - 1)), Onnx.attribute("else_branch", graph: Onnx.graph(
                    nodes: [Onnx.node("Unsqueeze", ["x", "axes"], ["u"])], outputs: [float("u", "")]))])
            return Onnx.graph(nodes: [inner], outputs: [float("z", "")])
        }
        let node = Onnx.node("If", ["c"], ["y"], [Onnx.attribute("then_branch", graph: branch(20)), Onnx.attribute("else_branch", graph: branch(20))])
        let graph = Onnx.graph(
            nodes: [node], initializers: [Onnx.tensor("axes", 7, [1]).packed(7, [0])], inputs: [float("x", "2"), Onnx.value("c", 9, [])], outputs: [float("y", "")])
        #expect(refusal(Onnx.model(graph)).kinds == [.unsupported])
    }

    @Test func splitsHaveAsManyPartsAsOutputs() {
        for count in [0, -1, 3, 1 << 62, .max, .min] as [Int64] {
            let split = Onnx.node("Split", ["x"], ["y"], [int("num_outputs", count)])
            let (kinds, text) = refusal(Onnx.model(Onnx.graph(nodes: [split], inputs: [float("x", "4")], outputs: [float("y", "")]), opset: 18))
            #expect(kinds == [.invalid] && text.contains("num_outputs is \(count)"), "\(text)")
        }
    }

    /// What is huge is not built to find out what it holds.
    @Test(.timeLimit(.minutes(5))) func hugeTensorsAreNotComputed() {
        let size = Onnx.tensor("s", 7, [1]).packed(7, [1 << 38])
        let nodes = [Onnx.node("ConstantOfShape", ["s"], ["c"]), Onnx.node("ReduceSum", ["c"], ["r"]), Onnx.node("Cast", ["r"], ["i"], [int("to", 7)]),
                     Onnx.node("Reshape", ["i", "one"], ["k"]), Onnx.node("Expand", ["x", "k"], ["y"])]
        let graph = Onnx.graph(nodes: nodes, initializers: [size, Onnx.tensor("one", 7, [1]).packed(7, [1])], inputs: [float("x", "1")], outputs: [float("y", "")])
        #expect(refusal(Onnx.model(graph)).kinds == [.unsupported])
    }
}

/// Names across nested graphs: every value has one definition, and only what a body takes may hide what is around it.
@Suite struct RedefinitionTests {
    private func model(_ then: [Proto], output: String, initializers: [Proto] = []) -> Proto {
        let branches = [Onnx.graph(nodes: then, initializers: initializers, outputs: [float(output, "4")]),
                        Onnx.graph(nodes: [Onnx.node("Neg", ["x"], ["q"])], outputs: [float("q", "4")])]
        let node = Onnx.node("If", ["c"], ["y"], zip(["then_branch", "else_branch"], branches).map { Onnx.attribute($0, graph: $1) })
        return Onnx.model(Onnx.graph(
            nodes: [Onnx.node("Exp", ["x"], ["t"]), node], initializers: [Onnx.floatTensor("w", [1], [7])],
            inputs: [float("x", "4"), Onnx.value("c", 9, [])], outputs: [float("y", "4")]))
    }

    @Test func nodesOfBranchesRedefineNothing() {
        for name in ["x", "t", "w"] {
            let (kinds, text) = refusal(model([Onnx.node("Relu", ["x"], [name]), Onnx.node("Neg", [name], ["z"])], output: "z"))
            #expect(kinds == [.invalid] && text.contains("'\(name)' redefines a value of the graph around this one"), "\(text)")
        }
    }

    @Test func initialisersOfBranchesHideThoseAround() throws {
        let five = Onnx.floatTensor("w", [1], [5])
        let function = try imported(model([Onnx.node("Add", ["x", "w"], ["z"])], output: "z", initializers: [five]))
        let x = Tensor([Float](arrayLiteral: 1, 2, 3, 4), shape: [4])
        let y = try Interpreter.run(function, [x, Tensor(.bool, [], integers: { _ in 1 })])
        #expect(y.first?.doubles == [6, 7, 8, 9])
    }

    /// A value of the outer graph that comes later is not around the branch yet.
    @Test func laterNamesAreFree() throws {
        let branches = ["a", "b"].map { Onnx.graph(nodes: [Onnx.node("Exp", ["x"], [$0 == "a" ? "y" : "q"])], outputs: [float($0 == "a" ? "y" : "q", "4")]) }
        let node = Onnx.node("If", ["c"], ["r"], zip(["then_branch", "else_branch"], branches).map { Onnx.attribute($0, graph: $1) })
        _ = try imported(Onnx.model(Onnx.graph(
            nodes: [node, Onnx.node("Neg", ["r"], ["y"])], inputs: [float("x", "4"), Onnx.value("c", 9, [])], outputs: [float("y", "4")])))
    }

    @Test func filtersFitTheirKernelShape() {
        let kernel = Onnx.attribute("kernel_shape", ints: [2, 2])
        for (op, type, extra) in [("Conv", 1, [String]()), ("ConvTranspose", 1, []), ("ConvInteger", 2, [])] as [(String, Int64, [String])] {
            let node = Onnx.node(op, ["x", "w"] + extra, ["y"], [kernel])
            let graph = Onnx.graph(nodes: [node], inputs: [Onnx.value("x", type, [1, 1, 5, 5]), Onnx.value("w", type, [1, 1, 3, 3])], outputs: [float("y", "")])
            let (kinds, text) = refusal(Onnx.model(graph))
            #expect(kinds == [.invalid] && text.contains("kernel_shape [2, 2] contradicts the filter"), "\(text)")
        }
    }
}
