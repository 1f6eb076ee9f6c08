/// Writes kernels of the loop language as text, for people and for tests.
///
/// ```
/// kernel @relu(read x: f32, write y: f32) {
///   parallel for i1 in 0..<1024 {
///     let t2: f32 = max(x[i1], 0.0)
///     y[i1] = t2
///   }
/// }
/// ```
public struct KernelPrinter {
    /// Prints one kernel.
    public static func print(_ kernel: KernelFunction) -> String {
        var printer = KernelPrinter(kernel)
        printer.printKernel()
        return printer.text
    }

    /// The first line of a statement, for messages: not too much of it.
    static func firstLine(of statement: Statement, in kernel: KernelFunction) -> String {
        var printer = KernelPrinter(kernel)
        printer.printStatement(statement)
        return shortened(printer.text.prefix { $0 != "\n" })
    }

    /// An expression, for messages.
    static func spell(_ expression: Expr, in kernel: KernelFunction) -> String { shortened(KernelPrinter(kernel).spell(expression)[...]) }

    private static func shortened(_ text: Substring) -> String { text.count > 200 ? text.prefix(199) + "…" : String(text) }

    private let kernel: KernelFunction
    private var text = ""
    private var depth = 0

    private init(_ kernel: KernelFunction) { self.kernel = kernel }

    private mutating func line(_ content: String) { text += String(repeating: "  ", count: depth) + content + "\n" }

    private mutating func block(_ head: String, _ body: [Statement]) {
        line(head + " {")
        depth += 1
        body.forEach { printStatement($0) }
        depth -= 1
        line("}")
    }

    private mutating func printKernel() {
        let parameters = kernel.buffers.compactMap { buffer -> String? in
            guard case .parameter = buffer.role else { return nil }
            return "\(buffer.isWritten ? "write" : "read") \(buffer.name): \(buffer.element.rawValue)"
        }
        line("kernel @\(kernel.name)(\(parameters.joined(separator: ", "))) {")
        depth += 1
        for buffer in kernel.buffers {
            guard case .scratch(let count, let perThread) = buffer.role else { continue }
            line("\(perThread ? "thread " : "")scratch \(buffer.name): \(buffer.element.rawValue)[\(count)]")
        }
        kernel.body.forEach { printStatement($0) }
        depth -= 1
        line("}")
    }

    private mutating func printStatement(_ statement: Statement) {
        switch statement {
        case .bind(let variable, let value): line("let \(variable.name): \(variable.type) = \(spell(value))")
        case .declare(let variable, let value): line("var \(variable.name): \(variable.type) = \(spell(value))")
        case .assign(let variable, let value): line("\(variable.name) = \(spell(value))")
        case .store(let access, let value): line("\(spell(access)) = \(spell(value))")
        case .loop(let loop):
            let step = loop.step == 1 ? "" : " by \(loop.step)"
            block("\(spell(loop.kind))for \(loop.variable.name) in \(spell(loop.lower))..<\(spell(loop.upper))\(step)", loop.body)
        case .conditional(let condition, let then, let otherwise):
            block("if \(spell(condition))", then)
            if !otherwise.isEmpty { block("else", otherwise) }
        case .whileLoop(let condition, let body): block("while \(spell(condition))", body)
        case .setDimension(let name, let value): line("dimension \(Quoting.identifierOrQuoted(name)) = \(spell(value))")
        case .report(let origin, let value, let lower, let upper): line("report \(origin): \(spell(value)) in \(spell(lower))...\(spell(upper))")
        case .barrier: line("barrier")
        case .single(let body): block("single", body)
        case .prefetch(let access): line("prefetch \(spell(access))")
        case .pin(let variables): line("pin \(variables.map(\.name).joined(separator: ", "))")
        case .comment(let comment): line("// \(comment)")
        }
    }

    private func spell(_ kind: LoopKind) -> String {
        switch kind {
        case .serial: ""
        case .unrolled: "unrolled "
        case .parallel: "parallel "
        case .simd(let reductions):
            reductions.isEmpty ? "simd " : "simd(\(reductions.map { "\($0.op.rawValue) \($0.variable.name)" }.joined(separator: ", "))) "
        }
    }

    /// `x[i]`, `x[i:16]` for vectors, `x[i:16 first n]` with a mask.
    private func spell(_ access: Access) -> String {
        let buffer = kernel.buffers.indices.contains(access.buffer.index) ? kernel.buffers[access.buffer.index].name : "buffer\(access.buffer.index)"
        let lanes = access.type.lanes == 1 ? "" : ":\(access.type.lanes)"
        let mask = access.mask.map { " first \(spell($0))" } ?? ""
        return "\(buffer)[\(spell(access.index))\(lanes)\(mask)]"
    }

    private func spell(_ expression: Expr) -> String {
        switch expression {
        case .integer(let value, let element): element == .i64 ? String(value) : "\(element.rawValue)(\(value))"
        case .float(let value, let element):
            element == .f32 ? TensorPrinter.spell(value.wrappedValue) : "\(element.rawValue)(\(TensorPrinter.spell(value.wrappedValue)))"
        case .variable(let variable): variable.name
        case .dimension(let name): "$" + Quoting.identifierOrQuoted(name)
        case .threadIndex: "thread"
        case .threadCount: "threads"
        case .unary(let op, let a): "\(op.rawValue)(\(spell(a)))"
        case .binary(let op, let a, let b):
            KernelPrinter.infix[op].map { "(\(spell(a)) \($0) \(spell(b)))" } ?? "\(op.rawValue)(\(spell(a)), \(spell(b)))"
        case .select(let condition, let a, let b): "select(\(spell(condition)), \(spell(a)), \(spell(b)))"
        case .cast(let a, let element): "\(element.rawValue)(\(spell(a)))"
        case .roundSaturate(let a, let element): "roundSaturate.\(element.rawValue)(\(spell(a)))"
        case .load(let access): spell(access)
        case .broadcast(let a, let lanes): "broadcast\(lanes)(\(spell(a)))"
        case .loadBroadcast(let access, let lanes): "broadcast\(lanes)(\(spell(access)))"
        case .horizontal(let op, let a): "horizontal.\(op.rawValue)(\(spell(a)))"
        case .fma(let a, let b, let c): "fma(\(spell(a)), \(spell(b)), \(spell(c)))"
        case .dot(let a, let b, let c): "dot(\(spell(a)), \(spell(b)), \(spell(c)))"
        case .dotNibbles(let a, let b, let c, let d): "dot_nibbles(\(spell(a)), \(spell(b)), \(spell(c)), \(spell(d)))"
        case .bitcast(let a, let type): "bitcast.\(type)(\(spell(a)))"
        }
    }

    private static let infix: [BinaryOperator: String] = [
        .add: "+", .subtract: "-", .multiply: "*", .divide: "/", .remainder: "%", .and: "&", .or: "|", .xor: "^",
        .shiftLeft: "<<", .shiftRight: ">>", .equal: "==", .notEqual: "!=", .less: "<", .lessOrEqual: "<=", .greater: ">", .greaterOrEqual: ">=",
    ]
}

extension KernelType: CustomStringConvertible {
    /// `f32` or `f32x16`.
    public var description: String { lanes == 1 ? element.rawValue : "\(element.rawValue)x\(lanes)" }
}

extension KernelFunction: CustomStringConvertible {
    public var description: String { KernelPrinter.print(self) }
}
