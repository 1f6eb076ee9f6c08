import GlmcIR

/// How types and operators of the loop language are spelled in C. CUDA differs in rows of this table, not in code.
struct CDialect: Sendable {
    /// What a kernel function looks like from outside.
    var functionPrefix: String
    /// How a vectorisable loop is announced; empty where the language has no word for it.
    var simdPragma: String
    var unrollPragma: String
    /// What a kernel gets before and after its buffers.
    var leadingParameters: [String]
    var trailingParameters: [String]
    /// Statements at the start of every kernel.
    var prologue: String
    var restrict: String
    /// An array of the named dimensions' values.
    var dimensions: String
    var barrier: String
    /// The beginning of the call that reports data out of range, up to the array of the ops' names; nil where nobody listens.
    var report: String?
    /// The parameter that holds that array, of kernels that report.
    var originsParameter = "const char *const *origins"
    /// How far a thread's own areas lie behind the first thread's, in bytes; nil where a kernel gets the addresses of its thread's areas.
    var ownOffset: String?
    /// Whether parallel loops deal out single iterations in turn (neighbouring threads touch neighbouring elements) instead of
    /// one contiguous part per thread.
    var dealsIterations: Bool

    static let c = CDialect(
        functionPrefix: "static __attribute__((noinline)) ", simdPragma: "#pragma omp simd", unrollPragma: "#pragma GCC unroll 64",
        leadingParameters: ["glmc_frame *f"], trailingParameters: ["int tid", "int nt"], prologue: "(void)f; (void)tid; (void)nt;",
        restrict: "restrict", dimensions: "f->dims", barrier: "glmc_barrier_wait(&f->barrier);", report: "glmc_report(f, origins", ownOffset: nil, dealsIterations: false)

    static let cuda = CDialect(
        functionPrefix: "__global__ ", simdPragma: "", unrollPragma: "#pragma unroll",
        leadingParameters: ["const int64_t *dims", "int64_t own"], trailingParameters: [],
        prologue: "const int64_t tid = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, nt = (int64_t)gridDim.x * blockDim.x; (void)dims; (void)own; (void)tid; (void)nt;",
        restrict: "__restrict__", dimensions: "dims", barrier: "__syncthreads();", report: nil, ownOffset: "tid * own", dealsIterations: true)

    func type(_ type: KernelType) -> String {
        type.lanes == 1 ? scalar(type.element) : "\(type.element.rawValue)x\(type.lanes)"
    }

    func scalar(_ element: ElementType) -> String {
        switch element {
        case .f64: "double"
        case .f32: "float"
        case .f16: "glmc_f16"
        case .bf16: "glmc_bf16"
        case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: "uint8_t"
        case .i64: "int64_t"
        case .i32: "int32_t"
        case .i16: "int16_t"
        case .i8, .i4, .i2: "int8_t"
        case .u64: "uint64_t"
        case .u32: "uint32_t"
        case .u16: "uint16_t"
        case .u8, .u4, .u2: "uint8_t"
        case .bool: "glmc_bool"
        case .c64: "float"
        case .c128: "double"
        case .string: "void"
        }
    }

    /// The suffix of prelude functions for a type.
    func suffix(_ type: KernelType) -> String {
        let element: ElementType = switch type.element {
        case .i4, .i2: .i8
        case .u4, .u2, .bool: .u8
        default: type.element
        }
        return type.lanes == 1 ? element.rawValue : "\(element.rawValue)x\(type.lanes)"
    }

    func float(_ value: Double, _ element: ElementType) -> String {
        let single = element != .f64
        if value.isNaN { return single ? "NAN" : "(double)NAN" }
        if value.isInfinite { return (value < 0 ? "-" : "") + (single ? "INFINITY" : "(double)INFINITY") }
        return single ? "\(Float(value))f" : "\(value)"
    }

    func integer(_ value: Int, _ element: ElementType) -> String {
        switch element {
        case .u64: "\(UInt64(bitPattern: Int64(value)))u"
        case .i64 where value == Int.min: "INT64_MIN"
        case .i64 where value.magnitude >= 1 << 31: "\(value)ll"
        case .i32 where value == Int(Int32.min): "INT32_MIN"
        default: "\(value)"
        }
    }

    func infix(_ op: BinaryOperator, _ element: ElementType) -> String? {
        switch op {
        case .add: element == .bool ? "|" : "+"
        case .subtract: "-"
        case .multiply: element == .bool ? "&" : "*"
        case .and: element == .bool ? "&&" : "&"
        case .or: element == .bool ? "||" : "|"
        case .xor: "^"
        case .equal: "=="
        case .notEqual: "!="
        case .less: "<"
        case .lessOrEqual: "<="
        case .greater: ">"
        case .greaterOrEqual: ">="
        case .divide where element.isFloat: "/"
        default: nil
        }
    }

    /// Types on which C computes in `int`, so that results need a cast back.
    func promotes(_ element: ElementType) -> Bool {
        switch element {
        case .i8, .u8, .i16, .u16, .i4, .u4, .i2, .u2: true
        default: false
        }
    }
}
