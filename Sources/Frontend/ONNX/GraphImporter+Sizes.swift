import GlmcIR

/// What free sizes of a model's inputs have to be for the model to make sense: constants, or expressions over sizes that stay free.
struct SizeBindings {
    /// By dimension; the values mention no dimension that is bound itself.
    private(set) var values: [String: Extent] = [:]
    /// Bound inputs some of whose sizes were taken over.
    var builtIn: Set<String> = []
    /// Sizes of tensors that are written as if they could be negative; artifacts check that they are not.
    private(set) var neverNegative: Set<Extent> = []

    /// Adds what follows from `equations` among the dimensions that are free. What has no solution is left to the operators to refuse,
    /// or to the artifact to check.
    /// - Parameter eliminationRank: how little a free dimension should be given up for another one; nil for what is no free dimension.
    /// - Returns: whether anything followed.
    mutating func solve(_ equations: [SizeEquation], _ eliminationRank: (String) -> Int?) -> Bool {
        let before = (values.count, neverNegative)
        for var equation in equations {
            equation.left = equation.left.substitute { values[$0] }
            equation.right = equation.right.substitute { values[$0] }
            neverNegative.formUnion(equation.clamped)
            guard let (name, value) = equation.solution(eliminationRank) else { continue }
            values = values.mapValues { $0.substitute { $0 == name ? value : nil } }
            values[name] = value
        }
        neverNegative = Set(neverNegative.map { $0.substitute { values[$0] } })
        return (values.count, neverNegative) != before
    }
}

extension GraphImporter {
    /// A size that is 0 where `size` would be negative, which it is not where a tensor that is always there has it.
    func clamped(_ size: Extent) -> Extent {
        size.isNeverNegative || neverNegative.contains(size) ? size : .maximum(size, 0)
    }

    mutating func exist(_ ids: [ValueID]) {
        for id in ids { assumeThatSizesFit(id) }
        guard block == rewriter.function.body else { return }
        for id in ids { for size in shape(id) where !size.isNeverNegative { neverNegative.insert(size) } }
    }

    /// What is known of a value as sizes is exact; its type holds them all, or the run is refused.
    private mutating func assumeThatSizesFit(_ id: ValueID) {
        let element = element(id)
        guard let (low, high) = Self.exactSizes[element], let sizes = rewriter.function.symbolicContents(id) else { return }
        for size in sizes where !size.isConstant {
            // Artifacts take no dimension beyond 2²⁴.
            let limits = Dictionary(uniqueKeysWithValues: size.dimensions.map { ($0, Extent(1 << 24)) }), bounds = size.bounds(limits)
            if bounds.high.constant.map({ $0 > high }) ?? true { rewriter.assume(Extent(high) - size, for: Self.narrowSize) }
            if bounds.low.constant.map({ $0 < low }) ?? true { rewriter.assume(size - Extent(low), for: Self.narrowSize) }
        }
    }

    private static let narrowSize = "a size that the model computes in fewer than 64 bits"

    /// Types narrower than i64 whose elements are followed as sizes, and between which integers they hold all.
    private static let exactSizes: [ElementType: (low: Int, high: Int)] = [.i32: (-1 << 31, 1 << 31 - 1), .f32: (-1 << 24, 1 << 24), .f64: (-1 << 53, 1 << 53)]

    mutating func expect(_ equations: [SizeEquation]) {
        guard !mayNotRun else { return }
        self.equations += equations.filter { !$0.holds && (!$0.leftMayBeOne || !$0.clamped.isEmpty) }
    }

    /// The bindings with what this import found out; nil where that is nothing new.
    /// - Parameter failed: whether something stood in the way, so that sizes of given inputs may help.
    func improvedSizes(failed: Bool) -> SizeBindings? {
        let eliminationRank = eliminationRank
        var improved = sizes
        if improved.solve(equations, { eliminationRank[$0] }) { return improved }
        // Only what does not follow from the model is taken from the inputs that were given.
        guard failed else { return nil }
        let given = neededSizes.sorted().compactMap { name in givenSizes[name].map { SizeEquation(.dimension(name), Extent($0.size)) } }
        improved.builtIn.formUnion(neededSizes.compactMap { givenSizes[$0]?.input })
        return improved.solve(given, { eliminationRank[$0] }) ? improved : nil
    }

    /// How little each free dimension should be given up for another one: names that the file gives are kept rather than those made up, and
    /// earlier ones rather than later ones.
    private var eliminationRank: [String: Int] {
        var eliminationRank: [String: Int] = [:]
        for (i, dimension) in rewriter.function.dimensions.enumerated() {
            guard case .input = dimension.info.source else { continue }
            eliminationRank[dimension.name] = (unnamed.contains(dimension.name) ? 0 : 1 << 32) - i
        }
        return eliminationRank
    }

    /// Whether the extent depends on sizes of inputs alone, which artifacts know before they run.
    func isFree(_ extent: Extent) -> Bool { extent.dimensions.isSubset(of: eliminationRank.keys) }

    /// Whether the extent depends on a size that an input holds.
    func isHeldByInput(_ extent: Extent) -> Bool {
        rewriter.function.dimensions.contains { name, info in
            if case .value = info.source { extent.dimensions.contains(name) } else { false }
        }
    }

    /// Whether the equation, once expected, holds in the finished import because a free dimension is bound.
    func isBindable(_ equation: SizeEquation) -> Bool {
        let eliminationRank = eliminationRank
        return !mayNotRun && equation.solution { eliminationRank[$0] } != nil
    }

    // MARK: Sizes that operators need

    /// A size as a number. Where it depends on free sizes of inputs that are bound, nil too, but the import will start again with the
    /// sizes that those inputs have.
    mutating func known(_ extent: Extent) -> Int? {
        neededSizes.formUnion(extent.dimensions)
        return extent.constant
    }

    mutating func known(_ shape: some Collection<Extent>) -> [Int]? {
        let sizes = shape.map { known($0) }, numbers = sizes.compactMap { $0 }
        return numbers.count == sizes.count ? numbers : nil
    }

    mutating func constantShape(_ id: ValueID, _ what: String) throws -> [Int] {
        guard let sizes = known(shape(id)) else {
            throw Diagnostic.unsupported("the shape of \(what) must be known at compile time, not \(type(id))", hint: "fix it with --shape")
        }
        return sizes
    }

    /// Has the import start again with the given sizes that `id` depends on, as far as inputs are bound.
    mutating func buildInSizes(behind id: ValueID) {
        var seen: Set<ValueID> = [], rest = [id]
        while let value = rest.popLast() {
            guard seen.insert(value).inserted else { continue }
            for extent in shape(value) { neededSizes.formUnion(extent.dimensions) }
            guard let node = rewriter.function.definingNode(value) else { continue }
            if let sizes = rewriter.function.definingOp(value, as: Extents.self) {
                for extent in sizes.values { neededSizes.formUnion(extent.dimensions) }
            }
            rest += rewriter.function[node].operands
        }
    }
}
