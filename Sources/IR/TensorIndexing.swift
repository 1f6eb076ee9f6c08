/// Dense row-major strides, in elements, of a constant shape.
public func rowMajorStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1) }
    return strides
}

/// The indices of a shape in row-major order.
public struct IndexSequence: Sequence, IteratorProtocol {
    private let shape: [Int]
    private var current: [Int]?

    public init(_ shape: [Int]) {
        self.shape = shape
        current = shape.contains { $0 <= 0 } ? nil : [Int](repeating: 0, count: shape.count)
    }

    public mutating func next() -> [Int]? {
        guard let result = current else { return nil }
        var index = result
        for axis in shape.indices.reversed() {
            index[axis] += 1
            if index[axis] < shape[axis] {
                current = index
                return result
            }
            index[axis] = 0
        }
        current = nil
        return result
    }
}

/// The flat index of `index` under `strides`.
@inline(__always)
public func flatIndex(_ index: [Int], _ strides: [Int]) -> Int {
    var sum = 0
    for axis in index.indices { sum += index[axis] * strides[axis] }
    return sum
}

/// For every index of `shape` in row-major order: `offset + Σ index[axis] * strides[axis]`.
public func flatOffsets(_ shape: [Int], strides: [Int], offset: Int = 0) -> [Int] {
    var positions = [offset]
    for (extent, stride) in zip(shape, strides) {
        positions = positions.flatMap { base in (0..<max(extent, 0)).map { base &+ $0 &* stride } }
    }
    return positions
}

/// An axis split of a constant shape: everything before, the axis, everything after, as products.
public struct AxisSplit {
    public let outer: Int
    public let count: Int
    public let inner: Int

    public init(_ shape: [Int], axis: Int) {
        outer = shape[..<axis].reduce(1, *)
        count = shape[axis]
        inner = shape[(axis + 1)...].reduce(1, *)
    }
}

/// Copies single elements of a fixed byte width between buffers.
public struct ElementCopier {
    private let width: Int
    private let from: UnsafeRawPointer
    private let to: UnsafeMutableRawPointer

    /// nil where there is nothing to copy: empty tensors, and strings, whose elements live elsewhere.
    public init?(_ element: ElementType, from source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer) {
        guard element.byteCount > 0, let from = source.baseAddress, let to = target.baseAddress else { return nil }
        width = element.byteCount
        self.from = from
        self.to = to
    }

    @inline(__always)
    public func copy(_ source: Int, to target: Int) {
        switch width {
        case 1: to.storeBytes(of: from.load(fromByteOffset: source, as: UInt8.self), toByteOffset: target, as: UInt8.self)
        case 2: to.storeBytes(of: from.loadUnaligned(fromByteOffset: source &* 2, as: UInt16.self), toByteOffset: target &* 2, as: UInt16.self)
        case 4: to.storeBytes(of: from.loadUnaligned(fromByteOffset: source &* 4, as: UInt32.self), toByteOffset: target &* 4, as: UInt32.self)
        case 8: to.storeBytes(of: from.loadUnaligned(fromByteOffset: source &* 8, as: UInt64.self), toByteOffset: target &* 8, as: UInt64.self)
        default: (to + target &* width).copyMemory(from: from + source &* width, byteCount: width)
        }
    }

    /// Copies `count` consecutive elements.
    @inline(__always)
    public func copy(_ source: Int, to target: Int, count: Int) {
        (to + target &* width).copyMemory(from: from + source &* width, byteCount: count &* width)
    }

    /// Copies `count` elements whose sources lie `stride` apart.
    @inline(__always)
    public func copy(_ source: Int, stride: Int, to target: Int, count: Int) {
        if stride == 1 { return copy(source, to: target, count: count) }
        for i in 0..<count { copy(source &+ i &* stride, to: target &+ i) }
    }

    /// Copies a strided window to dense elements in row-major order: element `index` lies at `offset` + Σ index[axis]·strides[axis].
    func copy(window: [Int], strides: [Int], offset: Int = 0) {
        let inner = window.last ?? 1, step = strides.last ?? 1
        var target = 0
        for index in IndexSequence(Array(window.dropLast())) {
            copy(offset + flatIndex(index, strides), stride: step, to: target, count: inner)
            target += inner
        }
    }
}

extension Tensor {
    /// A dense copy of a strided window: element `index` is element `offset + Σ index[axis] * strides[axis]` of this tensor.
    /// - Throws: `Diagnostic` where the window leaves the tensor.
    public func strided(_ window: [Int], strides: [Int], offset: Int = 0) throws -> Tensor {
        guard Tensor.byteCount(element, window) != nil, window.count == strides.count else {
            throw Diagnostic(.invalid, "\(element.rawValue)\(window) is not a possible shape")
        }
        if !window.contains(0) {
            var low = offset, high = offset
            for (extent, stride) in zip(window, strides) {
                let reach = saturatingProduct(extent - 1, stride)
                if stride < 0 { low = saturatingSum(low, reach) } else { high = saturatingSum(high, reach) }
            }
            guard low >= 0, high < count else {
                throw Diagnostic(.invalid, "a window of shape \(window) reads elements \(low)...\(high) of a tensor of shape \(shape)")
            }
        }
        return Tensor(element, window) { bytes in
            guard !window.contains(0), let copier = ElementCopier(element, from: self.bytes, to: bytes) else { return }
            copier.copy(window: window, strides: strides, offset: offset)
        }
    }

    /// A tensor whose element `i` is this tensor's element `source(i)`.
    /// - Throws: `Diagnostic` where a source index is out of range, and what `source` throws.
    public func picking(_ shape: [Int], source: (Int) throws -> Int) throws -> Tensor {
        let limit = count
        return try Tensor(element, shape) { bytes in
            let copier = ElementCopier(element, from: self.bytes, to: bytes)
            for i in 0..<shape.reduce(1, *) {
                let position = try source(i)
                guard position >= 0, position < limit else { throw Diagnostic(.invalid, "element \(position) of a tensor of shape \(self.shape) was asked for") }
                copier?.copy(position, to: i)
            }
        }
    }
}

/// Checks an axis attribute, which must be non-negative: importers count negative axes from the end.
/// - Throws: `Diagnostic` where the axis does not exist.
public func checkAxis(_ axis: Int, of type: TensorType, _ what: String = "axis") throws {
    guard axis >= 0, axis < type.rank else { throw Diagnostic(.invalid, "\(what) \(axis) does not exist in \(type)") }
}

/// Makes a data index valid: negative ones count from the end.
/// - Throws: `Diagnostic` where the index is out of range.
public func checkedIndex(_ index: Int, of extent: Int) throws -> Int {
    let position = index < 0 ? index + extent : index
    guard position >= 0, position < extent else { throw Diagnostic(.invalid, "index \(index) is out of range for an axis of \(extent) elements") }
    return position
}

/// Refuses constant indices into an axis; nothing where they, or the axis, are not known.
/// - Throws: `Diagnostic` naming the index.
func checkIndices(_ indices: Tensor?, into extent: Extent, mayCountBackwards: Bool = true) throws {
    guard let indices, let count = extent.constant else { return }
    let reader = indices.reader
    for i in 0..<indices.count {
        let index = reader.loadInteger(at: i), position = try checkedIndex(index, of: count)
        guard mayCountBackwards || index == position else { throw Diagnostic(.invalid, "index \(index) is negative") }
    }
}

/// The same for tuples of indices, one index for each of `extents` along the last axis.
func checkIndexTuples(_ indices: Tensor?, into extents: some Collection<Extent>) throws {
    guard let indices, let depth = indices.shape.last, depth == extents.count, depth > 0 else { return }
    let reader = indices.reader
    for (k, extent) in extents.enumerated() {
        guard let count = extent.constant else { continue }
        for i in stride(from: k, to: indices.count, by: depth) { _ = try checkedIndex(reader.loadInteger(at: i), of: count) }
    }
}

/// Refuses constant lengths outside of `0...extent`.
/// - Throws: `Diagnostic` naming the length.
func checkLengths(_ lengths: Tensor?, upTo extent: Extent) throws {
    guard let lengths, let limit = extent.constant else { return }
    for length in lengths.integers where !(0...limit ~= length) { throw Diagnostic(.invalid, "the length \(length) is outside of 0 to \(limit)") }
}

extension Expr {
    /// A data index made valid for an axis of `extent` elements: negative ones count from the end, where they may. One out of range is an error of the
    /// data, which the kernel reports; until then the nearest element stands for it. An axis without elements has none: see `holdsElements`.
    public func wrapped(into extent: Extent, countsBackwards: Bool = true, in builder: inout KernelBuilder) -> Expr {
        let size = Expr(extent)
        let isForward = type.element.isUnsignedInteger || !countsBackwards
        if case .integer(let value, _) = self, let count = extent.constant, !isForward || value >= 0, let position = try? checkedIndex(value, of: count) {
            return .int(position)
        }
        let index = builder.bind(converted(to: .i64), "index")
        builder.require(index, from: isForward ? 0 : 0 - extent, through: extent - 1)
        let positive: Expr = isForward ? index : .select(index < .int(0), index + size, index)
        return .max(.min(positive, size - .int(1)), .int(0))
    }
}

extension Expr {
    /// Whether none of the extents is 0; nil where that is known.
    static func holdsElements(_ extents: [Extent]) -> Expr? {
        extents.filter { $0.constant ?? 0 <= 0 }.map { .int(0) < Expr($0) }.reduce(nil) { all, one in all.map { $0 && one } ?? one }
    }
}

extension KernelBuilder {
    /// Emits statements that run only where `condition` holds; nil: always.
    mutating func emit(_ statements: [Statement], where condition: Expr?) {
        emit(condition.map { [.conditional($0, then: statements, else: [])] } ?? statements)
    }
}

extension OperandElements {
    /// Operand `i` at an index into `extents` that comes from data: zero where there is nothing to index.
    func load(_ i: Int, at index: [Expr], into extents: [Extent], in builder: inout KernelBuilder) throws -> Expr {
        let value = try load(i, at: index, in: &builder), element = types[i].element
        guard let holds = Expr.holdsElements(extents), !element.isComplex else { return value }
        return .select(holds, value, .constant(0, element.computeType))
    }
}

extension KernelBuilder {
    /// One parallel loop over all indices of `shape`, all iterations being independent.
    public mutating func parallelLoops(over shape: [Extent], _ body: (inout KernelBuilder, [Expr]) throws -> Void) rethrows {
        try parallelRows(of: shape, over: shape.indices.filter { shape[$0] != 1 }, body)
    }

    /// Copies every element, in parallel, walking the target's memory in order. Nothing where both are the same memory.
    public mutating func copy(_ source: TensorView, to target: TensorView) {
        if source.buffer == target.buffer && source.offset == target.offset && source.strides == target.strides { return }
        let order = target.physicalOrder
        let outer = order.count > 1 ? Array(order.dropLast()) : [], inner = order.count > 1 ? order.last : nil
        parallelRows(of: target.shape, over: order.count > 1 ? outer : order) { builder, index in
            guard let inner else { return builder.emit(target.store(source.load(index), index)) }
            builder.loop("c", to: Expr(target.shape[inner]), kind: .simd(reductions: [])) { builder, i in
                var index = index
                index[inner] = i
                builder.emit(target.store(source.load(index), index))
            }
        }
    }

    /// Gives `result` the elements of `operand`, some of which the kernel is going to exchange. Nothing where both are the same memory.
    public mutating func beginUpdate(of operand: TensorView, in result: TensorView) {
        if operand == result { return }
        copy(operand, to: result)
        emit(.barrier)
    }

    /// The index whose row-major flat position in `shape` is `flat`.
    public mutating func unflatten(_ flat: Expr, _ shape: [Extent]) -> [Expr] {
        var index = [Expr](repeating: .int(0), count: shape.count)
        let axes = shape.indices.filter { shape[$0] != 1 }
        var rest = flat
        for (position, axis) in axes.enumerated().reversed() {
            if position == 0 {
                index[axis] = rest
            } else {
                rest = bind(rest, "q")
                index[axis] = rest % Expr(shape[axis])
                rest = rest / Expr(shape[axis])
            }
        }
        return index
    }
}
