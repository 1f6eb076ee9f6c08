/// A value of the loop language while it is interpreted: the type's lanes as exact numbers.
struct KernelValue {
    /// One lane. Integers and bools are kept as the type's value (u64 by bit pattern), floats as f64, rounded to the type.
    enum Lane {
        case integer(Int)
        case float(Double)

        var integer: Int {
            switch self {
            case .integer(let x): x
            case .float(let x): ElementWriter.truncate(x)
            }
        }

        /// The number as f64; `element` says how integers are to be read.
        func double(_ element: ElementType) -> Double {
            switch self {
            case .integer(let x): element == .u64 ? Double(UInt(bitPattern: x)) : Double(x)
            case .float(let x): x
            }
        }
    }

    let element: ElementType
    let lanes: [Lane]

    init(_ element: ElementType, _ lanes: [Lane]) {
        self.element = element
        self.lanes = lanes
    }

    init(_ value: Int) { self.init(.i64, [.integer(value)]) }

    var type: KernelType { KernelType(element, lanes: lanes.count) }
    /// The first lane as an integer: loop bounds, indices, conditions.
    var integer: Int { lanes[0].integer }

    /// Applies `function` to the lanes of values of equal lane counts.
    func map(to element: ElementType, _ function: (Lane) throws -> Lane) rethrows -> KernelValue {
        KernelValue(element, try lanes.map { Self.normalized(try function($0), element) })
    }

    func zip(_ other: KernelValue, to element: ElementType, _ function: (Lane, Lane) throws -> Lane) rethrows -> KernelValue {
        KernelValue(element, try Swift.zip(lanes, other.lanes).map { Self.normalized(try function($0, $1), element) })
    }

    /// Rounds a float to its type, wraps an integer to its width.
    static func normalized(_ lane: Lane, _ element: ElementType) -> Lane {
        switch lane {
        case .float(let x):
            switch element {
            case .f64: .float(x)
            case .f32: .float(Double(Float(x)))
            default: .float(roundTrip(element, { $0.store(x, at: 0) }, { $0.load(at: 0) }))
            }
        case .integer(let x):
            switch element {
            case .i64, .u64: .integer(x)
            default: .integer(roundTrip(element, { $0.store(integer: x, at: 0) }, { $0.loadInteger(at: 0) }))
            }
        }
    }

    private static func roundTrip<T>(_ element: ElementType, _ store: (ElementWriter) -> Void, _ load: (ElementReader) -> T) -> T {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { bytes in
            store(ElementWriter(element, bytes))
            return load(ElementReader(element, UnsafeRawBufferPointer(bytes)))
        }
    }

    // MARK: Operators

    static func unary(_ op: UnaryOperator, _ a: KernelValue) throws -> KernelValue {
        let element = op.isPredicate ? .bool : a.element
        return try a.map(to: element) { lane in
            switch lane {
            case .integer(let x): return .integer(try op.evaluate(x, a.element))
            case .float(let x):
                let value = op.evaluate(x)
                return op.isPredicate ? .integer(Int(value)) : .float(value)
            }
        }
    }

    static func binary(_ op: BinaryOperator, _ a: KernelValue, _ b: KernelValue) throws -> KernelValue {
        try a.zip(b, to: op.isComparison ? .bool : a.element) { x, y in
            switch (x, y) {
            case (.integer(let x), .integer(let y)): return .integer(try op.evaluate(x, y, a.element))
            default:
                let value = op.evaluate(x.double(a.element), y.double(a.element))
                return op.isComparison ? .integer(Int(value)) : .float(value)
            }
        }
    }

    /// The conversion rules of `Expr.cast`.
    func converted(to target: ElementType) -> KernelValue {
        map(to: target) { lane in
            switch lane {
            case .integer(let x):
                guard target.isFloat else { return .integer(target == .bool ? (x != 0 ? 1 : 0) : x) }
                if target == .f32 { return .float(Double(element == .u64 ? Float(UInt(bitPattern: x)) : Float(x))) }
                return .float(lane.double(element))
            case .float(let x):
                if target.isFloat { return .float(x) }
                if target == .bool { return .integer(x != 0 ? 1 : 0) }
                return .integer(ElementWriter.truncated(x, to: target))
            }
        }
    }

    func roundSaturated(to target: ElementType) -> KernelValue {
        map(to: target) { .integer(ElementWriter.roundSaturated($0.double(element), to: target)) }
    }

    /// `a * b + c`, rounded once.
    static func fma(_ a: KernelValue, _ b: KernelValue, _ c: KernelValue) -> KernelValue {
        KernelValue(a.element, a.lanes.indices.map { i in
            let (x, y, z) = (a.lanes[i].double(a.element), b.lanes[i].double(a.element), c.lanes[i].double(a.element))
            return a.element == .f32 ? .float(Double(Float(z).addingProduct(Float(x), Float(y)))) : .float(z.addingProduct(x, y))
        })
    }

    var lowerNibbles: KernelValue { map(to: .u8) { .integer($0.integer & 15) } }
    var upperNibbles: KernelValue { map(to: .u8) { .integer($0.integer >> 4 & 15) } }

    static func dot(_ a: KernelValue, _ b: KernelValue, _ c: KernelValue) -> KernelValue {
        let group = a.lanes.count / c.lanes.count
        return KernelValue(c.element, c.lanes.indices.map { i in
            let terms = group * i..<group * (i + 1)
            if c.element == .f32 {
                let sum = terms.reduce(c.lanes[i].double(.f32)) { $0 + a.lanes[$1].double(.bf16) * b.lanes[$1].double(.bf16) }
                return .float(Double(Float(sum)))
            }
            let sum = terms.reduce(c.lanes[i].integer) { $0 &+ a.lanes[$1].integer &* b.lanes[$1].integer }
            return normalized(.integer(sum), .i32)
        })
    }

    func horizontal(_ op: ReductionOperator) throws -> KernelValue {
        var result = KernelValue(element, [lanes[0]])
        for lane in lanes.dropFirst() { result = try .binary(op.binary, result, KernelValue(element, [lane])) }
        return result
    }

    // MARK: Memory

    init(_ type: KernelType, loading count: Int, from bytes: UnsafeRawBufferPointer) {
        let reader = ElementReader(type.element, bytes)
        element = type.element
        lanes = (0..<type.lanes).map { i in
            guard i < count else { return type.element.isFloat ? .float(0) : .integer(0) }
            return type.element.isFloat ? .float(reader.load(at: i)) : .integer(reader.loadInteger(at: i))
        }
    }

    func store(_ count: Int, to bytes: UnsafeMutableRawBufferPointer) {
        let writer = ElementWriter(element, bytes)
        for (i, lane) in lanes.prefix(count).enumerated() {
            switch lane {
            case .integer(let x): writer.store(integer: x, at: i)
            case .float(let x): writer.store(x, at: i)
            }
        }
    }

    func bitcast(to type: KernelType) -> KernelValue {
        withUnsafeTemporaryAllocation(byteCount: Swift.max(lanes.count * element.byteCount, type.lanes * type.element.byteCount), alignment: 16) { bytes in
            store(lanes.count, to: bytes)
            return KernelValue(type, loading: type.lanes, from: UnsafeRawBufferPointer(bytes))
        }
    }
}
