import GlmcIR

/// A function and inputs to run it on. Its text form is a file test whose first lines say what the inputs are.
public struct FuzzCase: Sendable {
    public var function: Function
    /// The inputs of each run; sizes that the function leaves open differ between runs.
    public var runs: [[Tensor]]

    public init(_ function: Function, _ runs: [[Tensor]]) {
        self.function = function
        self.runs = runs
    }

    private static let inputMark = "// input: ", nextMark = "// next run"

    /// As a file: `remarks` become comments in front.
    public func text(remarks: [String]) -> String {
        let head = remarks.flatMap { $0.split(separator: "\n") }.map { "// " + $0 }
        let inputs = runs.map { run in run.map { Self.inputMark + Printer.print($0) }.joined(separator: "\n") }
        return head.joined(separator: "\n") + "\n" + inputs.joined(separator: "\n\(Self.nextMark)\n") + "\n" + Printer.print(function, weights: .inline)
    }

    /// Reads what `text` writes.
    /// - Throws: `Diagnostic` where it is something else.
    public init(text: String, file: String) throws {
        function = try Parser.parseFunction(text, file: file)
        runs = [[]]
        for line in text.split(separator: "\n") {
            if line == Self.nextMark {
                runs.append([])
            } else if line.hasPrefix(Self.inputMark) {
                runs[runs.count - 1].append(try Parser.parseTensor(String(line.dropFirst(Self.inputMark.count)), file: file))
            }
        }
        let count = function.inputs.count
        guard runs.allSatisfy({ $0.count == count }) else { throw Diagnostic(.invalid, "needs \(count) lines `\(Self.inputMark)TENSOR` for each run", at: [file]) }
    }

    /// Cases side by side in one function, which shares nothing between them; outputs and inputs stand in the cases' order. What has
    /// fewer runs than others repeats its first.
    public static func joined(_ cases: [FuzzCase]) throws -> FuzzCase {
        var copier = FunctionCopier(name: "random"), names: [String] = [], outputs: [ValueID] = []
        for part in cases {
            for (output, axes) in part.function.squeezedAxes { copier.rewriter.squeeze(axes, ofOutput: outputs.count + output) }
            outputs += try copier.copy(part.function, outputs: part.function.outputs, keepsInputs: true).outputs
            names += part.function.outputNames
        }
        copier.rewriter.setResults(outputs, names: names)
        let count = cases.map(\.runs.count).max() ?? 1
        return FuzzCase(copier.rewriter.function, (0..<count).map { run in cases.flatMap { $0.runs[run < $0.runs.count ? run : 0] } })
    }
}

/// Copies functions, or parts of them, node by node into a new one.
struct FunctionCopier {
    var rewriter: Rewriter

    init(name: String) { rewriter = Rewriter(Function(name)) }

    /// What a value of the original is in the copy.
    enum Cut {
        /// A new input of its type.
        case input
        /// Another value of the original, of the same type.
        case value(ValueID)
    }

    /// Copies what `outputs` need.
    /// - Parameter keepsInputs: also inputs that nothing reads.
    /// - Returns: the outputs, and the values of the original that the copy's inputs stand for.
    mutating func copy(
        _ source: Function, outputs: [ValueID], cuts: [ValueID: Cut] = [:], keepsInputs: Bool = false
    ) throws -> (outputs: [ValueID], inputs: [ValueID]) {
        let roots = outputs.map { Self.resolve($0, cuts) }
        var needed = Set<ValueID>()
        var pending = roots
        while let value = pending.popLast() {
            guard needed.insert(value).inserted, cuts[value] == nil, let node = source.definingNode(value) else { continue }
            pending += Self.reads(node, source).map { Self.resolve($0, cuts) }
        }
        let body = source.nodes(in: source.body)
        let results = body.flatMap { source[$0].results }
        // The input whose size a dimension is stays wherever the dimension is mentioned.
        let mentioned = body.filter { !source[$0].results.allSatisfy { !needed.contains($0) } }.map { String(describing: source[$0]) }
            + (source.inputs + results).filter { needed.contains($0) }.map { "\(source.type($0))" }
        let base = rewriter.function.inputs.count
        let kept = source.inputs.enumerated().filter { position, value in
            keepsInputs || needed.contains(value) || source.dimensions.contains { name, info in
                if case .input(position, _) = info.source { mentioned.contains { $0.contains(name) } } else { false }
            }
        }
        let all = kept.map(\.element) + results.filter { cuts[$0] != nil && needed.contains($0) }
        var map: [ValueID: ValueID] = [:]
        for value in all {
            let name = source[value].name.isEmpty ? "v\(value.index)" : source[value].name
            map[value] = source.defaults[value].map { rewriter.addInput(default: $0, name: name) } ?? rewriter.addArgument(source.type(value), name: name)
        }
        for (name, info) in source.dimensions {
            switch info.source {
            case .value(let position, let element):
                if let at = kept.firstIndex(where: { $0.offset == position }) { rewriter.addDimension(name, DimensionInfo(.value(base + at, element: element))) }
            case .input(let position, let axis):
                if let at = kept.firstIndex(where: { $0.offset == position }) { rewriter.addDimension(name, DimensionInfo(.input(base + at, axis: axis))) }
            case .dataDependent:
                // A size that is found is one that an input has, where the value became an input.
                if let at = all.firstIndex(where: { cuts[$0] != nil && source.tensorType($0).shape.contains(.dimension(name)) }),
                   let axis = source.tensorType(all[at]).shape.firstIndex(of: .dimension(name)) {
                    rewriter.addDimension(name, DimensionInfo(.input(base + at, axis: axis)))
                } else {
                    rewriter.addDimension(name, info)
                }
            }
        }
        try copyNodes(of: source.body, source, to: rewriter.function.body, &map, cuts) { node in node.results.contains { needed.contains($0) && cuts[$0] == nil } }
        return (try roots.map { try Self.mapped($0, map) }, all)
    }

    private mutating func copyNodes(
        of block: BlockID, _ source: Function, to target: BlockID, _ map: inout [ValueID: ValueID], _ cuts: [ValueID: Cut], where isNeeded: (Node) -> Bool
    ) throws {
        for id in source.nodes(in: block) where isNeeded(source[id]) {
            let node = source[id]
            let regions = try node.regions.map { region in
                let copy = rewriter.addBlock()
                for argument in source[region].arguments { map[argument] = rewriter.addArgument(source.type(argument), name: source[argument].name, to: copy) }
                try copyNodes(of: region, source, to: copy, &map, cuts) { _ in true }
                rewriter.setResults(try source[region].results.map { try Self.mapped(Self.resolve($0, cuts), map) }, of: copy)
                return copy
            }
            let operands = try node.operands.map { try Self.mapped(Self.resolve($0, cuts), map) }
            let results = try rewriter.create(
                node.op, operands, at: .end(target), regions: regions, provenance: node.provenance, names: node.results.map { source[$0].name })
            for (old, new) in zip(node.results, results) where map[old] == nil { map[old] = new }
        }
    }

    private static func resolve(_ value: ValueID, _ cuts: [ValueID: Cut]) -> ValueID {
        var value = value
        while case .value(let other)? = cuts[value] { value = other }
        return value
    }

    private static func mapped(_ value: ValueID, _ map: [ValueID: ValueID]) throws -> ValueID {
        guard let new = map[value] else { throw Diagnostic(.internal, "a value is copied before it is computed") }
        return new
    }

    /// What a node and its regions read.
    private static func reads(_ id: NodeID, _ source: Function) -> [ValueID] {
        source[id].operands + source[id].regions.flatMap { region in
            source[region].results + source.nodes(in: region).flatMap { reads($0, source) }
        }
    }
}
