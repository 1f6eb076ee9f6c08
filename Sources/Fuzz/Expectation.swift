import GlmcIR

/// What a function may give for inputs: what the interpreter gives, and how far rounding can carry that.
///
/// The bounds come from the interpreter as well. It runs the function again with small random errors in what every op reads and
/// gives, as large as the op's rounding may be (stochastic arithmetic); what an element varies by is what it may be off by. So a
/// chain that magnifies errors gets wide bounds, one that does not gets narrow ones, and an element that a comparison flips is
/// not looked at.
public struct Expectation {
    /// The type that products are computed in, which decides how large their errors are.
    public enum Precision: String, Sendable, CaseIterable {
        case full, fp16, bf16, int8

        /// The error of an operand of a product, relative to itself, or for int8 to the largest one.
        var error: Double {
            switch self {
            case .full: 0
            case .fp16: 1e-3
            case .bf16: 8e-3
            case .int8: 1e-2
            }
        }
    }

    private let function: Function
    private let inputs: [Tensor]
    private let precision: Precision
    private let isMoved: [Bool]
    public let results: [Tensor]
    /// Results of runs with errors in them.
    private var disturbed: [[Tensor]] = []

    /// - Throws: where the interpreter refuses the inputs: then there is nothing to expect.
    public init(_ function: Function, _ inputs: [Tensor], precision: Precision = .full) throws {
        self.function = function
        self.inputs = inputs
        self.precision = precision
        results = try Interpreter.run(function, inputs)
        isMoved = Self.moved(function)
        disturb(runs: 3, scale: 1)
    }

    private mutating func disturb(runs: Int, scale: Double) {
        let precision = precision
        for _ in 0..<runs {
            var noise = Noise(disturbed.count * 7919 + 17)
            let run = try? Interpreter(function).run(inputs, disturb: { node, operands, result in
                Self.disturbed(node, operands, result, precision, scale, &noise)
            })
            if let run { disturbed.append(run) }
        }
    }

    /// What is wrong with result number `index`; nil where it is as it may be.
    public mutating func difference(_ index: Int, _ actual: Tensor) -> String? {
        guard let first = mismatch(index, actual) else { return nil }
        // Before anything is called wrong, more and larger errors are tried.
        if disturbed.count <= 3 { disturb(runs: 20, scale: 3) }
        return mismatch(index, actual) == nil ? nil : first
    }

    private func mismatch(_ index: Int, _ actual: Tensor) -> String? {
        let expected = results[index], runs = disturbed.map { $0[index] }
        guard actual.element == expected.element else { return "is \(actual.type), not \(expected.type)" }
        guard runs.allSatisfy({ $0.shape == expected.shape }) else { return nil }
        guard actual.shape == expected.shape else { return "is \(actual.type), not \(expected.type)" }
        guard expected.element.isFloat else {
            for i in 0..<expected.count {
                let wanted = expected.reader.loadInteger(at: i), found = actual.reader.loadInteger(at: i)
                if found != wanted && runs.allSatisfy({ $0.reader.loadInteger(at: i) == wanted }) { return "has \(found) at \(i), not \(wanted)" }
            }
            return nil
        }
        let largest = expected.doubles.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
        let floor = largest * 4 * max(Self.epsilon(expected.element), precision.error)
        for i in 0..<expected.count {
            let wanted = expected.reader.load(at: i), found = actual.reader.load(at: i), others = runs.map { $0.reader.load(at: i) }
            if wanted == found || (wanted.isNaN && found.isNaN) {
                if wanted == 0, isMoved[index], wanted.sign != found.sign { return "has \(found) at \(i), not \(wanted)" }
                continue
            }
            guard others.allSatisfy({ $0.isFinite == wanted.isFinite && $0.isNaN == wanted.isNaN }) else { continue }
            let low = others.reduce(wanted, min), high = others.reduce(wanted, max)
            if !wanted.isFinite {
                if low == high || wanted.isNaN { return "has \(found) at \(i), not \(wanted)" }
                continue
            }
            if !(abs(found - wanted) <= floor + 6 * (high - low)) { return "has \(found) at \(i), not \(wanted)" }
        }
        return nil
    }

    // MARK: Errors

    /// A few units in the last place. Steps on 16-bit floats are rounded each by the interpreter, fused ones once.
    private static func epsilon(_ element: ElementType) -> Double {
        switch element {
        case .f64: 1e-14
        case .f32: 1e-6
        case .f16: 1e-3
        case .bf16: 8e-3
        default: 0.13
        }
    }

    /// Ops that only move elements or choose between them.
    private static let moves: Set = [
        "constant", "extents", "iota", "transpose", "reshape", "slice", "expand", "relayout", "concat", "pad", "gather", "gather_elements", "gather_nd",
        "reverse_sequence", "select", "compress", "bitcast", "top_k", "unique",
    ]
    /// Ops whose operands `--bf16`, `--fp16` and `--int8` may round.
    private static let products: Set = ["conv", "conv_transpose", "matmul", "block_matmul", "block_matmul_integer", "block_row_matmul", "attention", "lstm", "gru", "rnn"]

    private static func disturbed(_ node: Node, _ operands: [Tensor], _ result: Tensor, _ precision: Precision, _ scale: Double, _ noise: inout Noise) -> Tensor {
        guard node.regions.isEmpty, !(node.op is Constant), result.element.isFloat || operands.contains(where: \.element.isFloat) else { return result }
        let isProduct = products.contains(node.op.mnemonic)
        if moves.contains(node.op.mnemonic) {
            // Tables and values between products may be stored narrow.
            return precision == .full || precision == .int8 || !result.element.isFloat ? result : shaken(result, precision.error * scale, 0, &noise)
        }
        guard result.element.isFloat || node.op is Quantize else { return result }
        var again = result
        // Several results are not told apart here: they get errors of their own below.
        if node.results.count == 1 {
            let moved = operands.map { operand -> Tensor in
                let own = operand.element.isFloat ? epsilon(operand.element) : 0
                let narrow = isProduct ? precision.error : 0
                return operand.element.isFloat ? shaken(operand, max(own, precision == .int8 ? 0 : narrow) * scale, precision == .int8 ? narrow * scale : 0, &noise) : operand
            }
            let types = [ValueType.tensor(result.type)]
            if !node.op.attributesNameDimensions, let values = try? node.op.evaluate(moved, in: EvaluationContext(resultTypes: types)), values.count == 1, values[0].shape == result.shape { again = values[0] }
        }
        guard result.element.isFloat else { return again }
        if precision == .int8, isProduct {
            // A row that holds an infinity has no scale: instead of infinities and NaNs, all that it gives may be NaN.
            let values = again.doubles
            again = Tensor(again.element, again.shape, values: { values[$0].isFinite || noise.bool() ? values[$0] : .nan })
        }
        // A GELU is its operand times a sum that cancels, whose error is relative to one.
        if let activation = node.op as? Activation, [.gelu, .geluTanh].contains(activation.kind) {
            let error = epsilon(result.element) * scale, values = again.doubles, x = operands[0].doubles
            again = Tensor(again.element, again.shape, values: { values[$0] + (x[$0].isFinite ? x[$0] * error * Double(noise.int(-100...100)) / 100 : 0) })
        }
        // A zero point may be taken off after the product, whose rounding is then relative to the zero point's share.
        if node.op is Dequantize, operands.count > 2 {
            let largest = [1, 2].map { operands[$0].doubles.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 } }
            let error = largest[0] * largest[1] * epsilon(result.element) * scale, values = again.doubles
            again = Tensor(again.element, again.shape, values: { values[$0] + error * Double(noise.int(-100...100)) / 100 })
        }
        // Sums of products by other methods than one after the other round relative to the largest.
        let spread = node.op is Cast ? 0 : epsilon(result.element)
        return shaken(again, spread * scale, isProduct ? 1e-6 * scale : 0, &noise)
    }

    /// Every element with an error up to `relative` times itself and `absolute` times the largest.
    private static func shaken(_ tensor: Tensor, _ relative: Double, _ absolute: Double, _ noise: inout Noise) -> Tensor {
        guard relative > 0 || absolute > 0 else { return tensor }
        let values = tensor.doubles, largest = absolute == 0 ? 0 : values.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
        return Tensor(tensor.element, tensor.shape, values: { i in
            let x = values[i]
            return x.isFinite ? x + (abs(x) * relative + largest * absolute) * Double(noise.int(-100...100)) / 100 : x
        })
    }

    /// For every output, whether nothing but moves lies between it and inputs and constants, so that it keeps every bit.
    private static func moved(_ function: Function) -> [Bool] {
        var known = Set(function.inputs)
        for id in function.nodes(in: function.body) where moves.contains(function[id].op.mnemonic) && function[id].operands.allSatisfy({ known.contains($0) }) {
            known.formUnion(function[id].results)
        }
        return function.outputs.map { known.contains($0) }
    }
}

extension Op {
    /// Whether attributes hold sizes that are known only within a run.
    fileprivate var attributesNameDimensions: Bool {
        Self.attributes.contains { if case .extents(let list) = $0.get(self) { list.contains { !$0.isConstant } } else { false } }
    }
}
