import GlmcIR

/// Writes one kernel of the loop language as C or CUDA. Purely mechanical: every decision was made before.
struct SourcePrinter {
    let kernel: KernelFunction
    let dialect: CDialect
    /// Positions of named dimensions in the frame.
    let dimensionIndex: [String: Int]

    private var lines: [String] = []
    private var depth = 1

    init(_ kernel: KernelFunction, dialect: CDialect, dimensionIndex: [String: Int]) {
        self.kernel = kernel
        self.dialect = dialect
        self.dimensionIndex = dimensionIndex
    }

    static func parameters(_ kernel: KernelFunction, _ dialect: CDialect) -> String {
        let buffers = kernel.buffers.map { buffer in
            "\(buffer.isWritten ? "" : "const ")\(dialect.scalar(buffer.element)) *\(dialect.restrict) \(Self.bufferVariable(buffer))"
        }
        let origins = kernel.reports && dialect.report != nil ? [dialect.originsParameter] : []
        return (dialect.leadingParameters + buffers + origins + dialect.trailingParameters).joined(separator: ", ")
    }

    /// The function's definition under the name `symbol`.
    mutating func text(symbol: String) throws -> String {
        lines = []
        for statement in kernel.body { try print(statement) }
        let body = lines
        var head = "\(dialect.functionPrefix)void \(symbol)(\(Self.parameters(kernel, dialect)))\n{\n"
        head += "    \(dialect.prologue)\n"
        if let offset = dialect.ownOffset {
            for buffer in kernel.buffers {
                guard case .scratch(_, perThread: true) = buffer.role else { continue }
                let name = Self.bufferVariable(buffer)
                head += "    \(name) = (\(dialect.scalar(buffer.element)) *)((unsigned char *)\(name) + \(offset));\n"
            }
        }
        // A phase of a kernel has all of its parameters.
        let unused = kernel.buffers.enumerated().filter { i, _ in !kernel.body.contains { $0.loads(BufferID(i)) || $0.stores(to: BufferID(i)) } }
        if !unused.isEmpty { head += "    \(unused.map { "(void)\(Self.bufferVariable($0.element));" }.joined(separator: " "))\n" }
        for name in dimensionNames() {
            guard let index = dimensionIndex[name] else { throw Diagnostic(.internal, "kernel \(kernel.name) mentions the unknown dimension \(name)") }
            head += "    const int64_t \(Self.dimensionVariable(name)) = \(dialect.dimensions)[\(index)]; (void)\(Self.dimensionVariable(name));\n"
        }
        return head + body.joined(separator: "\n") + "\n}\n"
    }

    private func dimensionNames() -> [String] {
        var names: Set<String> = []
        for statement in kernel.body {
            _ = statement.anyExpression { expr in
                if case .dimension(let name) = expr { names.insert(name) }
                return false
            }
        }
        return names.sorted()
    }

    /// A buffer's name in C, apart from all variables: those end in a digit or a letter.
    static func bufferVariable(_ buffer: Buffer) -> String { buffer.name + "_" }

    /// A C identifier for a dimension's name.
    static func dimensionVariable(_ name: String) -> String {
        "d_" + name.unicodeScalars.map { $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0)) ? String($0) : "_\(String($0.value, radix: 16))_" }.joined()
    }

    private mutating func line(_ text: String) { lines.append(String(repeating: "    ", count: depth) + text) }

    private mutating func block(_ statements: [Statement]) throws {
        depth += 1
        for statement in statements { try print(statement) }
        depth -= 1
    }

    private mutating func print(_ statement: Statement) throws {
        switch statement {
        case .bind(let variable, let value): line("const \(dialect.type(variable.type)) \(variable.name) = \(text(value));")
        case .declare(let variable, let value): line("\(dialect.type(variable.type)) \(variable.name) = \(text(value));")
        case .assign(let variable, let value): line("\(variable.name) = \(text(value));")
        case .store(let access, let value): line(store(access, value))
        case .loop(let loop): try print(loop)
        case .conditional(let condition, let then, let otherwise):
            line("if (\(text(condition))) {")
            try block(then)
            if !otherwise.isEmpty {
                line("} else {")
                try block(otherwise)
            }
            line("}")
        case .whileLoop(let condition, let body):
            line("while (\(text(condition))) {")
            try block(body)
            line("}")
        case .setDimension(let name, let value):
            guard let index = dimensionIndex[name] else { throw Diagnostic(.internal, "kernel \(kernel.name) defines the unknown dimension \(name)") }
            line("\(dialect.dimensions)[\(index)] = \(text(value));")
        case .report(let origin, let value, let lower, let upper):
            if let report = dialect.report { line("\(report)[\(origin)], \(text(value)), \(text(lower)), \(text(upper)));") }
        case .barrier: line(dialect.barrier)
        case .single(let body):
            line("if (tid == 0) {")
            try block(body)
            line("}")
        case .prefetch(let access): line("__builtin_prefetch(\(pointer(access)));")
        case .pin(let variables):
            for variable in variables { line("GLMC_PIN(\(variable.name));") }
        case .comment(let text): line(ForeignText.comment(text))
        }
    }

    private mutating func print(_ loop: Loop) throws {
        let name = loop.variable.name
        let step = loop.step == 1 ? "\(name)++" : "\(name) += \(loop.step)"
        switch loop.kind {
        case .parallel where dialect.dealsIterations:
            let start = loop.step == 1 ? "tid" : "tid * \(loop.step)", stride = loop.step == 1 ? "nt" : "nt * \(loop.step)"
            let base = loop.lower == .int(0) ? "" : "\(text(loop.lower)) + "
            line("for (int64_t \(name) = \(base)\(start); \(name) < \(text(loop.upper)); \(name) += \(stride)) {")
            try block(loop.body)
            line("}")
            return
        case .parallel:
            let count = loop.step == 1 ? loop.upper - loop.lower : (loop.upper - loop.lower + .int(loop.step - 1)) / .int(loop.step)
            line("{")
            depth += 1
            line("int64_t \(name)_begin, \(name)_end;")
            line("glmc_split(\(text(count)), 1, tid, nt, &\(name)_begin, &\(name)_end);")
            let scale = loop.step == 1 ? "" : " * \(loop.step)"
            let base = loop.lower == .int(0) ? "" : "\(text(loop.lower)) + "
            line("for (int64_t \(name) = \(base)\(name)_begin\(scale); \(name) < \(base)\(name)_end\(scale); \(step)) {")
            try block(loop.body)
            line("}")
            depth -= 1
            line("}")
            return
        case .simd(let reductions):
            let clauses = reductions.map { " reduction(\(Self.ompOperator($0.op, $0.variable.type.element)):\($0.variable.name))" }.joined()
            if !dialect.simdPragma.isEmpty { line(dialect.simdPragma + clauses) }
        case .unrolled: if !dialect.unrollPragma.isEmpty { line(dialect.unrollPragma) }
        case .serial: break
        }
        line("for (int64_t \(name) = \(text(loop.lower)); \(name) < \(text(loop.upper)); \(step)) {")
        try block(loop.body)
        line("}")
    }

    /// OpenMP's own extremes of floats lose NaNs where lanes are put together.
    private static func ompOperator(_ op: ReductionOperator, _ element: ElementType) -> String {
        switch op {
        case .minimum where element.isFloat: "glmc_minimum"
        case .maximum where element.isFloat: "glmc_maximum"
        case .add: "+"
        case .multiply: "*"
        case .minimum: "min"
        case .maximum: "max"
        case .and: "&"
        case .or: "|"
        }
    }

    // MARK: Memory

    private func pointer(_ access: Access) -> String {
        let name = Self.bufferVariable(kernel.buffers[access.buffer.index])
        return access.index == .int(0) ? name : "\(name) + \(text(access.index))"
    }

    private func isNative(_ access: Access) -> Bool {
        access.type.lanes == 1 && dialect.scalar(kernel.buffers[access.buffer.index].element) == dialect.scalar(access.type.element)
    }

    private func load(_ access: Access) -> String {
        if isNative(access) { return "\(Self.bufferVariable(kernel.buffers[access.buffer.index]))[\(text(access.index))]" }
        if let mask = access.mask { return "glmc_loadn_\(dialect.suffix(access.type))(\(pointer(access)), \(text(mask)))" }
        return "glmc_load_\(dialect.suffix(access.type))(\(pointer(access)))"
    }

    private func store(_ access: Access, _ value: Expr) -> String {
        if isNative(access) { return "\(Self.bufferVariable(kernel.buffers[access.buffer.index]))[\(text(access.index))] = \(text(value));" }
        if let mask = access.mask { return "glmc_storen_\(dialect.suffix(access.type))(\(pointer(access)), \(text(value)), \(text(mask)));" }
        return "glmc_store_\(dialect.suffix(access.type))(\(pointer(access)), \(text(value)));"
    }

    // MARK: Expressions

    private func text(_ expr: Expr) -> String {
        switch expr {
        case .integer(let value, let element): return dialect.integer(value, element)
        case .float(let value, let element): return dialect.float(value.wrappedValue, element)
        case .variable(let variable): return variable.name
        case .dimension(let name): return Self.dimensionVariable(name)
        case .threadIndex: return "(int64_t)tid"
        case .threadCount: return "(int64_t)nt"
        case .unary(let op, let a): return unary(op, a)
        case .binary(let op, let a, let b): return binary(op, a, b)
        case .select(let condition, let a, let b):
            if a.type.lanes > 1 { return "glmc_select_\(dialect.suffix(a.type))(\(text(condition)), \(text(a)), \(text(b)))" }
            return "(\(text(condition)) ? \(text(a)) : \(text(b)))"
        case .cast(let a, let element): return cast(a, element)
        case .roundSaturate(let a, let element): return saturate(a, element)
        case .load(let access): return load(access)
        case .broadcast(let a, let lanes): return "glmc_set_\(dialect.suffix(KernelType(a.type.element, lanes: lanes)))(\(text(a)))"
        case .loadBroadcast(let access, let lanes):
            return "glmc_set_\(dialect.suffix(KernelType(access.type.element, lanes: lanes)))(\(load(access)))"
        case .horizontal(let op, let a): return "glmc_horizontal_\(op.rawValue)_\(dialect.suffix(a.type))(\(text(a)))"
        case .fma(let a, let b, let c): return "glmc_fma_\(dialect.suffix(a.type))(\(text(a)), \(text(b)), \(text(c)))"
        case .dot(let a, let b, let c): return "glmc_dot_\(a.type.element == .i8 ? "i8_" : "")\(dialect.suffix(c.type))(\(text(a)), \(text(b)), \(text(c)))"
        case .dotNibbles(let a, let b, let c, let d): return "glmc_dot_nibbles_\(dialect.suffix(d.type))(\(text(a)), \(text(b)), \(text(c)), \(text(d)))"
        case .bitcast(let a, let type): return bitcast(a, type)
        }
    }

    private func unary(_ op: UnaryOperator, _ a: Expr) -> String {
        let type = a.type, value = text(a)
        switch op {
        case .negate: return dialect.promotes(type.element) && type.lanes == 1 ? "(\(dialect.type(type)))(-\(value))" : "(-\(value))"
        case .not: return "!\(value)"
        case .bitwiseNot: return type.element == .bool ? "!\(value)" : dialect.promotes(type.element) ? "(\(dialect.type(type)))(~\(value))" : "(~\(value))"
        case .isNaN: return type.element.isFloat ? "(\(value) != \(value))" : "0"
        case .isPositiveInfinity: return type.element.isFloat ? "(\(value) == \(dialect.float(.infinity, type.element)))" : "0"
        case .isNegativeInfinity: return type.element.isFloat ? "(\(value) == \(dialect.float(-.infinity, type.element)))" : "0"
        default: return "glmc_\(op.rawValue)_\(dialect.suffix(type))(\(value))"
        }
    }

    private func binary(_ op: BinaryOperator, _ a: Expr, _ b: Expr) -> String {
        let type = a.type
        if type == .index && (op == .divide || op == .remainder) && b.isSafeDivisor {
            return "(\(text(a)) \(op == .divide ? "/" : "%") \(text(b)))"
        }
        if let infix = dialect.infix(op, type.element) {
            let value = "(\(text(a)) \(infix) \(text(b)))"
            return dialect.promotes(type.element) && type.lanes == 1 && !op.isComparison ? "(\(dialect.type(type)))\(value)" : value
        }
        return "glmc_\(op.rawValue)_\(dialect.suffix(type))(\(text(a)), \(text(b)))"
    }

    private func bitcast(_ a: Expr, _ type: KernelType) -> String {
        let target = dialect.type(type), value = text(a)
        if type.element == a.type.element && type.lanes < a.type.lanes { return "glmc_low_\(dialect.suffix(a.type))(\(value))" }
        if type.lanes > 1 || a.type.lanes > 1 { return "(\(target))\(value)" }
        if target == dialect.type(a.type) { return value }
        if type.element.byteCount == 1 { return "(\(target))\(value)" }
        return "glmc_bits_\(dialect.suffix(type))_\(dialect.suffix(a.type))(\(value))"
    }

    private func cast(_ a: Expr, _ to: ElementType) -> String {
        let from = a.type.element, value = text(a)
        if from == to { return value }
        if a.type.lanes > 1 { return "glmc_cast_\(to.rawValue)_\(dialect.suffix(a.type))(\(value))" }
        if to == .bool { return "(\(value) != 0)" }
        let wide: ElementType? = from.isFloat && from.computeType == .f32 && from != .f32 ? .f32 : nil
        if let wide {
            let decoded = from == .f16 ? "(float)\(value)" : "glmc_f32_\(from.rawValue)(\(value))"
            return to == wide ? decoded : castScalar(decoded, from: wide, to: to)
        }
        return castScalar(value, from: from, to: to)
    }

    private func castScalar(_ value: String, from: ElementType, to: ElementType) -> String {
        if to.isFloat {
            switch to {
            case .f32, .f64, .f16: return "(\(dialect.scalar(to)))\(value)"
            default: return "glmc_\(to.rawValue)_f32((float)\(value))"
            }
        }
        if from.isFloat {
            switch to {
            case .i64, .i32, .u64: return "glmc_\(to.rawValue)_\(from.rawValue)(\(value))"
            default: return "(\(dialect.scalar(to)))glmc_i64_\(from.rawValue)(\(value))"
            }
        }
        switch to {
        case .i4: return "(int8_t)((int8_t)(\(value) << 4) >> 4)"
        case .i2: return "(int8_t)((int8_t)(\(value) << 6) >> 6)"
        case .u4: return "(uint8_t)(\(value) & 15)"
        case .u2: return "(uint8_t)(\(value) & 3)"
        default: return "(\(dialect.scalar(to)))\(value)"
        }
    }

    private func saturate(_ a: Expr, _ to: ElementType) -> String {
        if a.type.lanes > 1 { return "glmc_saturate_\(to.rawValue)_\(dialect.suffix(a.type))(\(text(a)))" }
        let range = to.integerRange ?? 0...0
        let element = a.type.element
        if to == .i32 { return "glmc_saturate_i32_\(dialect.suffix(a.type))(\(text(a)))" }
        return "(\(dialect.scalar(to)))glmc_saturate_\(dialect.suffix(a.type))(\(text(a)), \(dialect.float(Double(range.lowerBound), element)), \(dialect.float(Double(range.upperBound), element)))"
    }
}
