import GlmcIR

/// Makes a failing case smaller while it goes on failing, as delta debugging does: outputs are dropped, values become inputs, nodes
/// are passed over, runs and open sizes go, numbers become plain.
public struct Reducer {
    private let isFailing: (FuzzCase) -> Bool
    /// Candidates that may still be tried.
    private var budget: Int
    private var best: FuzzCase

    private init(_ start: FuzzCase, budget: Int, isFailing: @escaping (FuzzCase) -> Bool) {
        best = start
        self.budget = budget
        self.isFailing = isFailing
    }

    /// The smallest case found with `budget` trials; `start` where nothing smaller fails.
    /// - Parameter isFailing: whether a case shows the fault that is looked for.
    public static func reduce(_ start: FuzzCase, budget: Int = 150, isFailing: @escaping (FuzzCase) -> Bool) -> FuzzCase {
        var reducer = Reducer(start, budget: budget, isFailing: isFailing)
        while reducer.budget > 0 {
            let steps = [reducer.keepOneRun(), reducer.dropOutputs(), reducer.cutNodes(), reducer.moveOutputs(), reducer.passOver()]
            guard steps.contains(true) else { break }
        }
        _ = reducer.fixSizes()
        _ = reducer.simplifyNumbers()
        return reducer.best
    }

    private mutating func tries(_ candidate: FuzzCase?) -> Bool {
        guard let candidate, budget > 0 else { return false }
        budget -= 1
        guard isFailing(candidate) else { return false }
        best = candidate
        return true
    }

    private mutating func keepOneRun() -> Bool {
        guard best.runs.count > 1 else { return false }
        let runs = best.runs
        return runs.contains { tries(FuzzCase(best.function, [$0])) }
    }

    private mutating func dropOutputs() -> Bool {
        let outputs = best.function.outputs
        guard outputs.count > 1 else { return false }
        if outputs.contains(where: { tries(best.part([$0])) }) { return true }
        return outputs.indices.contains { i in
            var rest = outputs
            rest.remove(at: i)
            return tries(best.part(rest))
        }
    }

    /// Turns the operands of nodes into inputs, from the outputs upwards.
    private mutating func cutNodes() -> Bool {
        let function = best.function
        for id in function.nodes(in: function.body).reversed() {
            let node = function[id]
            let computed = node.operands.filter { operand in function.definingNode(operand).map { !(function[$0].op is Constant) } ?? false }
            guard !computed.isEmpty else { continue }
            if tries(best.part(function.outputs, cuts: Dictionary(computed.map { ($0, .input) }) { a, _ in a })) { return true }
            if computed.count > 1, computed.contains(where: { tries(best.part(function.outputs, cuts: [$0: .input])) }) { return true }
        }
        return false
    }

    /// Makes what the last node reads the output.
    private mutating func moveOutputs() -> Bool {
        let function = best.function
        return function.outputs.indices.contains { i in
            guard let id = function.definingNode(function.outputs[i]) else { return false }
            return function[id].operands.contains { operand in
                guard let last = function.definingNode(operand), !(function[last].op is Constant), function.tensorType(operand).element.isPassable else { return false }
                var outputs = function.outputs
                outputs[i] = operand
                return tries(best.part(outputs))
            }
        }
    }

    /// Lets an operand stand for the result of its type.
    private mutating func passOver() -> Bool {
        let function = best.function
        return function.nodes(in: function.body).reversed().contains { id in
            let node = function[id]
            return node.operands.contains { operand in
                node.results.count == 1 && function.type(operand) == function.type(node.results[0])
                    && tries(best.part(function.outputs, cuts: [node.results[0]: .value(operand)]))
            }
        }
    }

    /// Gives open sizes the values that they have in the one run that is left.
    private mutating func fixSizes() -> Bool {
        guard best.runs.count == 1, !best.function.dimensions.isEmpty else { return false }
        var copy = Rewriter(best.function), sizes: [String: Extent] = [:]
        for (name, info) in best.function.dimensions {
            if case .input(let position, let axis) = info.source { sizes[name] = Extent(best.runs[0][position].shape[axis]) }
        }
        guard (try? copy.bindDimensions(sizes)) != nil else { return false }
        return tries(FuzzCase(copy.function, best.runs))
    }

    private mutating func simplifyNumbers() -> Bool {
        var changed = false
        for run in best.runs.indices {
            for position in best.runs[run].indices {
                let tensor = best.runs[run][position]
                guard tensor.count > 1 else { continue }
                let plain = tensor.element.isFloat
                    ? Tensor(tensor.element, tensor.shape, values: { Double($0 % 7 - 3) }) : Tensor(tensor.element, tensor.shape, integers: { $0 % 2 })
                var candidate = best
                candidate.runs[run][position] = plain
                if plain != tensor, tries(candidate) { changed = true }
            }
        }
        return changed
    }
}

extension FuzzCase {
    /// The part of the case that computes `outputs`; nil where the function cannot be cut so.
    func part(_ outputs: [ValueID], cuts: [ValueID: FunctionCopier.Cut] = [:]) -> FuzzCase? {
        var copier = FunctionCopier(name: function.name)
        guard let (results, inputs) = try? copier.copy(function, outputs: outputs, cuts: cuts), !inputs.isEmpty || cuts.isEmpty else { return nil }
        copier.rewriter.setResults(results, names: results.indices.map { "y\($0)" })
        guard inputs.allSatisfy({ function.tensorType($0).element.isPassable }) else { return nil }
        var runs: [[Tensor]] = []
        for run in self.runs {
            var values: [ValueID: Tensor] = [:]
            guard (try? Interpreter(function).run(run, observe: { values[$0] = $1 })) != nil else { continue }
            for (input, tensor) in zip(function.inputs, run) { values[input] = tensor }
            runs.append(inputs.compactMap { values[$0] })
        }
        guard !runs.isEmpty, runs.allSatisfy({ $0.count == inputs.count }), copier.rewriter.function.nodeCount < function.nodeCount || !cuts.isEmpty || outputs.count < function.outputs.count else { return nil }
        return FuzzCase(copier.rewriter.function, runs)
    }
}

extension ElementType {
    /// Whether artifacts take and give tensors of the type as they lie in memory.
    var isPassable: Bool { self != .string && !isComplex && (self == .bool || bitWidth >= 8) }
}
