/// The memory behind one buffer of an interpreted kernel.
public struct KernelMemory: Sendable {
    public let element: ElementType
    public internal(set) var bytes: [UInt8]

    /// `count` elements, every byte set to `pattern`.
    public init(_ element: ElementType, count: Int, pattern: UInt8 = 0) {
        self.element = element
        bytes = [UInt8](repeating: pattern, count: Swift.max(count, 0) * element.byteCount)
    }

    public init(_ tensor: Tensor) {
        element = tensor.element
        bytes = Array(tensor.bytes)
    }

    public var count: Int { element.byteCount == 0 ? 0 : bytes.count / element.byteCount }

    /// The elements as a tensor of a shape that they fill.
    public func tensor(_ shape: [Int]) -> Tensor {
        Tensor(element, shape) { target in target.copyBytes(from: bytes.prefix(target.count)) }
    }
}

/// Runs kernels of the loop language directly, on one thread, checking every access: the oracle of lowerings, and of what the text
/// emitter makes of them.
public struct KernelInterpreter {
    /// In which order iterations run that are declared independent.
    public enum Order: Sendable { case forward, backward }

    private let kernel: KernelFunction
    private let order: Order
    private var memory: [KernelMemory]
    private var dimensions: [String: Int]
    private var variables: [String: KernelValue] = [:]
    private var steps = 0
    /// Kernels that run longer than this are taken to loop forever.
    private static let stepLimit = 200_000_000

    /// Runs `kernel` on its parameters, in the order of its buffers; scratch areas are provided.
    /// - Parameter order: `backward` shows dependences between iterations of parallel and vectorised loops.
    /// - Throws: `Diagnostic` for an access out of range, a variable that is not defined, a write to a read-only buffer, a division
    ///   of integers by zero, and code that does not end.
    public static func run(
        _ kernel: KernelFunction, on parameters: inout [KernelMemory], dimensions: inout [String: Int], order: Order = .forward
    ) throws {
        var memory: [KernelMemory] = []
        var rest = parameters[...]
        for buffer in kernel.buffers {
            switch buffer.role {
            case .parameter:
                guard let next = rest.popFirst() else { throw Diagnostic(.internal, "kernel \(kernel.name) has more parameters than the \(parameters.count) given") }
                memory.append(next)
            case .scratch(let count, _):
                guard let size = count.evaluate(dimensions) else { throw Diagnostic(.internal, "the size \(count) of scratch \(buffer.name) is not known") }
                memory.append(KernelMemory(buffer.element, count: size, pattern: 0xA5))
            }
        }
        guard rest.isEmpty else { throw Diagnostic(.internal, "kernel \(kernel.name) has fewer parameters than the \(parameters.count) given") }
        var interpreter = KernelInterpreter(kernel: kernel, order: order, memory: memory, dimensions: dimensions)
        do {
            try interpreter.run(kernel.body)
        } catch let error as Diagnostic {
            throw error.inside("kernel \(kernel.name)")
        }
        parameters = kernel.buffers.indices.filter { kernel.buffers[$0].role == .parameter }.map { interpreter.memory[$0] }
        dimensions = interpreter.dimensions
    }

    private init(kernel: KernelFunction, order: Order, memory: [KernelMemory], dimensions: [String: Int]) {
        self.kernel = kernel
        self.order = order
        self.memory = memory
        self.dimensions = dimensions
    }

    // MARK: Statements

    private mutating func run(_ statements: [Statement]) throws {
        for statement in statements { try run(statement) }
    }

    private mutating func run(_ statement: Statement) throws {
        steps += 1
        guard steps < Self.stepLimit else { throw Diagnostic(.internal, "the code does not end within \(Self.stepLimit) steps") }
        switch statement {
        case .bind(let variable, let value), .declare(let variable, let value), .assign(let variable, let value):
            let result = try evaluate(value)
            guard result.type == variable.type else { throw Diagnostic(.internal, "\(variable.name) has type \(variable.type), its value \(result.type)") }
            variables[variable.name] = result
        case .store(let access, let value):
            try store(try evaluate(value), access)
        case .loop(let loop):
            try run(loop)
        case .conditional(let condition, let then, let otherwise):
            try run(try evaluate(condition).integer != 0 ? then : otherwise)
        case .whileLoop(let condition, let body):
            while try evaluate(condition).integer != 0 { try run(body) }
        case .setDimension(let name, let value):
            dimensions[name] = try evaluate(value).integer
        case .report(_, let value, let lower, let upper):
            throw Diagnostic(.invalid, try Self.rangeError(evaluate(value).integer, evaluate(lower).integer, evaluate(upper).integer))
        case .single(let body):
            try run(body)
        case .barrier, .prefetch, .pin, .comment:
            break
        }
    }

    private static func rangeError(_ value: Int, _ lower: Int, _ upper: Int) -> String { "the data hold \(value), which is outside of \(lower) to \(upper)" }

    private mutating func run(_ loop: Loop) throws {
        let lower = try evaluate(loop.lower).integer, upper = try evaluate(loop.upper).integer
        guard loop.step > 0 else { throw Diagnostic(.internal, "the loop over \(loop.variable.name) has step \(loop.step)") }
        let isFree = switch loop.kind {
        case .serial, .unrolled: false
        case .simd, .parallel: order == .backward
        }
        guard lower < upper else { return }
        let count = (upper - lower + loop.step - 1) / loop.step
        for i in 0..<count {
            variables[loop.variable.name] = KernelValue(lower + (isFree ? count - 1 - i : i) * loop.step)
            try run(loop.body)
        }
        variables[loop.variable.name] = nil
    }

    // MARK: Memory

    /// The byte range of the lanes of `access` that exist, and how many those are.
    private mutating func range(of access: Access) throws -> (bytes: Range<Int>, lanes: Int) {
        guard memory.indices.contains(access.buffer.index) else { throw Diagnostic(.internal, "there is no buffer \(access.buffer.index)") }
        let target = memory[access.buffer.index]
        let index = try evaluate(access.index).integer
        let mask = try access.mask.map { try evaluate($0).integer }
        let lanes = Swift.max(0, Swift.min(mask ?? access.type.lanes, access.type.lanes))
        let start = index.multipliedReportingOverflow(by: target.element.byteCount)
        let end = start.partialValue.addingReportingOverflow(lanes * access.type.element.byteCount)
        guard lanes == 0 || (!start.overflow && !end.overflow && start.partialValue >= 0 && end.partialValue <= target.bytes.count) else {
            throw Diagnostic(.internal, "\(kernel.buffers[access.buffer.index].name)[\(index)] of \(lanes) lanes is out of range: the buffer has \(target.count) elements")
        }
        return (lanes == 0 ? 0..<0 : start.partialValue..<end.partialValue, lanes)
    }

    private mutating func load(_ access: Access) throws -> KernelValue {
        let (range, lanes) = try range(of: access)
        return memory[access.buffer.index].bytes.withUnsafeBytes { bytes in
            KernelValue(access.type, loading: lanes, from: UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
    }

    private mutating func store(_ value: KernelValue, _ access: Access) throws {
        guard value.type == access.type else { throw Diagnostic(.internal, "a value of type \(value.type) is stored as \(access.type)") }
        let (range, lanes) = try range(of: access)
        guard kernel.buffers[access.buffer.index].isWritten else { throw Diagnostic(.internal, "\(kernel.buffers[access.buffer.index].name) is read-only") }
        memory[access.buffer.index].bytes.withUnsafeMutableBytes { bytes in
            value.store(lanes, to: UnsafeMutableRawBufferPointer(rebasing: bytes[range]))
        }
    }

    // MARK: Expressions

    private mutating func evaluate(_ expr: Expr) throws -> KernelValue {
        switch expr {
        case .integer(let value, let element): return KernelValue(element, [KernelValue.normalized(.integer(value), element)])
        case .float(let value, let element): return KernelValue(element, [KernelValue.normalized(.float(value.wrappedValue), element)])
        case .variable(let variable):
            guard let value = variables[variable.name] else { throw Diagnostic(.internal, "\(variable.name) is not defined") }
            return value
        case .dimension(let name):
            guard let value = dimensions[name] else { throw Diagnostic(.internal, "the dimension \(name) is not known") }
            return KernelValue(value)
        case .threadIndex: return KernelValue(0)
        case .threadCount: return KernelValue(1)
        case .unary(let op, let a): return try .unary(op, evaluate(a))
        case .binary(let op, let a, let b): return try .binary(op, evaluate(a), evaluate(b))
        case .select(let condition, let a, let b): return try select(try evaluate(condition), a, b)
        case .cast(let a, let element): return try evaluate(a).converted(to: element)
        case .roundSaturate(let a, let element): return try evaluate(a).roundSaturated(to: element)
        case .load(let access): return try load(access)
        case .broadcast(let a, let lanes):
            let value = try evaluate(a)
            return KernelValue(value.element, Array(repeating: value.lanes[0], count: lanes))
        case .loadBroadcast(let access, let lanes):
            let value = try load(Access(access.buffer, access.index, KernelType(access.type.element), mask: access.mask))
            return KernelValue(value.element, Array(repeating: value.lanes[0], count: lanes))
        case .horizontal(let op, let a): return try evaluate(a).horizontal(op)
        case .fma(let a, let b, let c): return .fma(try evaluate(a), try evaluate(b), try evaluate(c))
        case .dot(let a, let b, let c): return .dot(try evaluate(a), try evaluate(b), try evaluate(c))
        case .dotNibbles(let a, let b, let c, let d):
            let codes = try evaluate(a)
            return .dot(codes.upperNibbles, try evaluate(c), .dot(codes.lowerNibbles, try evaluate(b), try evaluate(d)))
        case .bitcast(let a, let type): return try evaluate(a).bitcast(to: type)
        }
    }

    private mutating func select(_ condition: KernelValue, _ a: Expr, _ b: Expr) throws -> KernelValue {
        if condition.lanes.count == 1 { return try evaluate(condition.integer != 0 ? a : b) }
        let (x, y) = (try evaluate(a), try evaluate(b))
        return KernelValue(x.element, condition.lanes.indices.map { condition.lanes[$0].integer != 0 ? x.lanes[$0] : y.lanes[$0] })
    }
}
