import GlmcIR

/// Inputs that a model takes from its last run, and the outputs that it gave them as, by name: at most one `*` in each stands for the same text.
public struct StatePattern: Sendable {
    public var input: String
    public var output: String

    public init(input: String, output: String) { (self.input, self.output) = (input, output) }

    /// The output that belongs to an input; nil where the pattern is not about it.
    func output(for name: String) -> String? {
        guard let star = input.firstIndex(of: "*") else { return name == input ? output : nil }
        let (before, after) = (input[..<star], input[input.index(after: star)...])
        guard name.hasPrefix(before), name.hasSuffix(after), name.utf8.count >= before.utf8.count + after.utf8.count else { return nil }
        let middle = name.dropFirst(before.count).dropLast(after.count)
        return output.firstIndex(of: "*").map { String(output[..<$0]) + middle + output[output.index(after: $0)...] } ?? output
    }
}

/// Keys and values that an exported decoder takes and gives, as states that are updated in place.
///
/// Such a model gives `present = concat(past, new)` along an axis of free size. As a state, `past` has room for all rows that there will be. The first ones are in use, as many as the
/// other inputs say (a mask's width), or as the new input `past` says (`past_SIZE`, one for each, where states differ in length); `new` is written behind them, and `present` is the state.
struct CacheStates {
    private var rewriter: Rewriter
    private let capacity: Int

    /// A model's function with its states.
    /// - Throws: `Diagnostics` for patterns that no input matches, and for pairs that are no such concatenation.
    static func added(to function: Function, _ patterns: [StatePattern], capacity: Int) throws -> Function {
        let names = function.inputNames
        var pairs: [Pair] = [], failures: [Diagnostic] = []
        for (number, pattern) in patterns.enumerated() {
            let found = zip(function.inputs, names).compactMap { input, name in pattern.output(for: name).map { (input, name, $0) } }
            if found.isEmpty { failures.append(Diagnostic(.usage, "no input is called '\(pattern.input)'", hint: "the model has \(names.map { "'\($0)'" }.joined(separator: ", "))")) }
            for (input, name, output) in found {
                do { pairs.append(try Pair(input, output, pattern: number, in: function)) } catch let error as Diagnostic { failures.append(error.inside("the state '\(name)'")) }
            }
        }
        for pair in pairs where pairs.contains(where: { $0.node == pair.node && $0.pattern != pair.pattern }) {
            failures.append(Diagnostic(.usage, "two patterns are about the state '\(function[pair.input].name)'"))
        }
        guard failures.isEmpty else { throw Diagnostics(failures) }
        var states = CacheStates(rewriter: Rewriter(function), capacity: capacity)
        try states.add(pairs)
        return states.rewriter.function
    }

    /// An input and the output that is this input with rows behind it.
    private struct Pair {
        let input: ValueID
        /// By position.
        let output: Int
        let node: NodeID
        let axis: Int
        /// Which pattern it is of.
        let pattern: Int

        init(_ input: ValueID, _ output: String, pattern: Int, in function: Function) throws {
            guard let position = function.outputNames.firstIndex(of: output) else {
                throw Diagnostic(.usage, "the model has no output '\(output)'", hint: "it has \(function.outputNames.map { "'\($0)'" }.joined(separator: ", "))")
            }
            let result = function.outputs[position]
            guard let node = function.definingNode(result), let concat = function[node].op as? Concat, function[node].operands.count == 2, function[node].operands[0] == input,
                function[input].uses.count == 1
            else { throw Diagnostic.unsupported("the output '\(output)' is not this input with rows behind it (one Concat, and nothing else that reads the input)") }
            (self.input, self.output, self.node, self.pattern) = (input, position, node, pattern)
            axis = concat.axis
        }
    }

    private mutating func add(_ pairs: [Pair]) throws {
        let inputs = Set(pairs.map(\.input)), function = rewriter.function
        for pair in pairs {
            let shape = function.tensorType(pair.input).shape
            if let free = shape.indices.first(where: { $0 != pair.axis && !shape[$0].isConstant }) {
                throw Diagnostic.unsupported("the state '\(function[pair.input].name)' has a free size on axis \(free) (\(shape[free]))", hint: "fix it: --dim \(shape[free])=1")
            }
        }
        // Sizes that only states told before.
        let told = function.dimensions.filter { dimension in
            if case .input(let number, _) = dimension.info.source { inputs.contains(function.inputs[number]) } else { false }
        }.map(\.name)
        for size in told {
            let name = Self.unused(told.count == 1 ? "past" : "past_" + size, in: rewriter.function)
            try rewriter.bindDimensions([size: rewriter.addSizeInput(name)])
        }
        let names = rewriter.function.outputNames
        for pair in pairs {
            var type = rewriter.function.tensorType(pair.input)
            let used = type.shape[pair.axis], rows = rewriter.function[pair.node].operands[1], provenance = rewriter.function[pair.node].provenance
            type.shape[pair.axis] = Extent(capacity)
            rewriter.setType(.tensor(type), of: pair.input)
            let place = Rewriter.Position.before(pair.node)
            let whole = try rewriter.create1(InsertSlice(axis: pair.axis, start: used, rank: type.rank), [pair.input, rows], at: place, provenance: provenance)
            let sizes = rewriter.function.tensorType(rewriter.function[pair.node].results[0]).shape
            let seen = try rewriter.create1(Slice(starts: sizes.map { _ in 0 }, sizes: sizes, steps: sizes.map { _ in 1 }), [whole], at: place, provenance: provenance)
            try rewriter.replace(pair.node, with: [seen])
            var results = rewriter.function.outputs
            results[pair.output] = whole
            rewriter.setResults(results, names: names)
            rewriter.addState(pair.input, output: pair.output)
        }
    }

    /// A name that neither an input nor a size has.
    private static func unused(_ name: String, in function: Function) -> String {
        let taken = Set(function.inputNames + function.dimensions.map(\.name))
        return taken.contains(name) ? (2...).lazy.map { "\(name)_\($0)" }.first { !taken.contains($0) } ?? name : name
    }
}
