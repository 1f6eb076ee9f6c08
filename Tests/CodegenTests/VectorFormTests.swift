import Foundation
import GlmcIR
import Testing

@testable import GlmcCodegen

/// What `VectorForms` calls legal exists as C on every target with vectors, and widening makes nothing else.
@Suite struct VectorFormTests {
    static let targets = Target.all.filter { target in
        target.vectorBits > 0 && (target.family == HostFeatures.family || target.family == .arm && WholeArtifactTests.missingArmTools.isEmpty)
    }

    /// One buffer for each element type, by its place among all types.
    private static let buffers = ElementType.allCases.map { Buffer("b_\($0.rawValue)_", $0, isWritten: true) }

    private static func buffer(_ element: ElementType) -> BufferID { BufferID(ElementType.allCases.firstIndex(of: element) ?? 0) }

    private static func load(_ type: KernelType, at index: Expr = .int(0), isMasked: Bool = false) -> Expr {
        .load(Access(buffer(type.element), index, type, mask: isMasked ? .int(3) : nil))
    }

    /// Every operation on every type with every number of lanes, legal or not.
    private static let candidates: [Expr] = {
        var all: [Expr] = []
        let types = [4, 8, 16, 32, 64].flatMap { lanes in ElementType.allCases.map { KernelType($0, lanes: lanes) } }
        for type in types {
            let a = load(type)
            all += [a, load(type, isMasked: true), .broadcast(load(KernelType(type.element)), type.lanes)]
            all += [.loadBroadcast(Access(buffer(type.element), .int(1), KernelType(type.element)), type.lanes), .fma(a, a, a)]
            all += UnaryOperator.allCases.map { .unary($0, a) }
            all += BinaryOperator.allCases.map { $0.isComparison ? .select(.binary($0, a, a), a, a) : .binary($0, a, a) }
            all += ReductionOperator.allCases.map { .horizontal($0, a) }
            all += ElementType.allCases.flatMap { [.cast(a, $0), .roundSaturate(a, $0)] }
            all += types.map { .bitcast(a, $0) }
            for (first, second, count) in [(ElementType.u8, ElementType.i8, 4), (.bf16, .bf16, 2)] {
                all.append(.dot(load(KernelType(first, lanes: count * type.lanes)), load(KernelType(second, lanes: count * type.lanes)), a))
            }
        }
        return all
    }()

    private static func isLegal(_ expr: Expr, _ forms: VectorForms) -> Bool { forms.allows(expr) && expr.children.allSatisfy { isLegal($0, forms) } }

    @Test(arguments: targets) func areDefined(_ target: Target) throws {
        let forms = target.vectorForms
        var builder = KernelBuilder(buffers: Self.buffers)
        let legal = Self.candidates.filter { Self.isLegal($0, forms) && forms.holds($0.type) }
        #expect(legal.count > 60)
        builder.single { builder in
            for expr in legal {
                let value = builder.bind(expr)
                for isMasked in [false, true] where forms.accesses(value.type, isMasked: isMasked) {
                    builder.emit(.store(Access(Self.buffer(value.type.element), .int(0), value.type, mask: isMasked ? .int(3) : nil), value))
                }
            }
            for lanes in forms.lanes {
                let register = builder.declare(Self.load(KernelType(.f32, lanes: lanes)))
                builder.emit(.pin([register]))
            }
        }
        try compile(builder, for: target)
    }

    @Test(arguments: targets) func areAllThatWideningMakes(_ target: Target) throws {
        let forms = target.vectorForms, lane = Variable("lane", .index)
        var builder = KernelBuilder(buffers: Self.buffers)
        var refused = 0, made: [Statement] = []
        for element in ElementType.allCases where !element.isComplex && element != .string && element.computeType == element {
            let moving = Self.load(KernelType(element), at: .variable(lane)), still = Self.load(KernelType(element)), type = KernelType(element)
            for (a, b) in [(moving, moving), (moving, still), (still, moving), (still, still)] {
                var scalar = [a, .fma(a, b, a), .binary(.add, b, .constant(1, element))] + UnaryOperator.allCases.map { .unary($0, a) }
                scalar += BinaryOperator.allCases.map { $0.isComparison ? .select(.binary($0, a, b), b, a) : .binary($0, a, b) }
                scalar += ElementType.allCases.flatMap { [.cast(a, $0), .roundSaturate(a, $0)] }
                for expr in scalar where (try? verify([.store(Access(Self.buffer(expr.type.element), .int(0), expr.type), expr.substituted(lane))])) != nil {
                    for mask in [nil, Expr.int(3)] {
                        var vectorizer = Vectorizer(lane: lane, lanes: target.lanes(ofBytes: 4), mask: mask, replacements: [:])
                        let store = Statement.store(Access(Self.buffer(expr.type.element), .variable(lane), expr.type), expr)
                        guard let wide = vectorizer.vectorized([store]) else {
                            refused += 1
                            continue
                        }
                        for case .store(let access, let value) in wide {
                            #expect(forms.accesses(access.type, isMasked: access.mask != nil) && Self.isLegal(value, forms) && value.type == access.type, "\(type): \(value)")
                        }
                        made += wide
                    }
                }
            }
        }
        #expect(refused > 100)
        builder.emit(.single(made))
        try compile(builder, for: target)
    }

    private func verify(_ body: [Statement]) throws { try KernelVerifier.verify(KernelFunction("forms", buffers: Self.buffers, body: [.single(body)])) }

    private func compile(_ builder: KernelBuilder, for target: Target) throws {
        var builder = builder
        let kernel = KernelFunction("forms", buffers: builder.buffers, body: builder.finish())
        try KernelVerifier.verify(kernel)
        let folder = try Scratch(), file = "\(folder.path)/forms.c"
        for support in RuntimeSupport.files + RuntimeSupport.kernelFiles { try folder.write(support.name, String(decoding: support.text, as: UTF8.self)) }
        try folder.write("forms.c", KernelFiles.header(vectorBits: target.vectorBits) + KernelFiles.definition(kernel, symbol: "forms", dimensionIndex: [:]))
        for name in target.family == HostFeatures.family ? ["gcc", "clang"] : ["aarch64-linux-gnu-gcc", "clang"] where Toolchain.locate(name) != nil {
            let toolchain = try Toolchain.find(name, for: target)
            let result = try ChildProcess.run([toolchain.path] + Toolchain.commonFlags + toolchain.targetFlags(target) + target.compilerFlags + ["-O1", "-Werror", "-c", file, "-o", file + ".o"])
            #expect(result.succeeded, "\(target.name), \(name): \(result.errors.prefix(2000))")
        }
    }
}

extension Expr {
    fileprivate func substituted(_ variable: Variable) -> Expr { Affine.substitute(variable, with: .int(0), in: self) }
}
