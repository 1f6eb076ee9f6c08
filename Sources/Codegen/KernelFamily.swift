import GlmcIR

/// One row of the table of tuned kernels.
public struct KernelFamily: Sendable {
    /// Shown in the manifest, profiles and comments.
    public let name: String
    /// How the family computes a node on a target, or nil where it cannot; called before memory is laid out. Look at op, types, layouts
    /// and which operands are constants; the strides come later, whatever the layout, and must be taken as they are.
    public let match: @Sendable (KernelQuery) -> KernelPlan?

    public init(_ name: String, match: @escaping @Sendable (KernelQuery) -> KernelPlan?) {
        self.name = name
        self.match = match
    }
}

/// How a family computes a node: what it wants of the operands' storage, and the generator of its loop code.
public struct KernelPlan: Sendable {
    /// Whether many rows of operand 0 are read at once, element by element: such rows had better not lie a multiple of a cache's
    /// way apart.
    public var readsManyRows: Bool
    /// What it wants of a constant that other kernels may read too.
    public var panels: PanelRequest?
    /// Emits the kernel's body. It writes every element of the node's result through `KernelSite.store`, which applies the fused epilogue. A kernel that
    /// reads vectors along an axis asks for `KernelSite.operand(_:along:)`.
    public var emit: @Sendable (inout KernelSite) throws -> Void

    public init(readsManyRows: Bool = false, panels: PanelRequest? = nil, emit: @escaping @Sendable (inout KernelSite) throws -> Void) {
        self.readsManyRows = readsManyRows
        self.panels = panels
        self.emit = emit
    }
}

/// The family that computes a node, and how.
public struct TunedKernel: Sendable {
    public var family: String
    public var plan: KernelPlan
}

/// What `KernelFamily.match` may look at.
public struct KernelQuery {
    public let function: Function
    public let node: Node
    public let target: Target

    public func operandType(_ i: Int) -> TensorType { function.tensorType(node.operands[i]) }
    public var resultType: TensorType { function.tensorType(node.results[0]) }
    /// The constant that operand `i` is, if it is one.
    public func constant(_ i: Int) -> Tensor? { function.definingOp(node.operands[i], as: Constant.self)?.value }
    public func op<O: Op>(_ type: O.Type) -> O? { node.op as? O }
}

/// Where a tuned kernel is generated: the node, its operands as views, packed weights, and the epilogue behind `store`.
public struct KernelSite {
    public let node: Node
    public let target: Target
    public let operandTypes: [TensorType]
    public let resultTypes: [TensorType]
    /// Threads that the artifact is tuned for; the kernel must work for any number.
    public let threads: Int

    var assembly: KernelAssembly
    let placements: [TensorPlacement?]
    let results: [TensorPlacement]
    let epilogue: Epilogue
    /// In which panels constants lie that several kernels read.
    let formats: PanelFormats

    public var builder: KernelBuilder {
        get { assembly.builder }
        _modify { yield &assembly.builder }
    }

    /// Operand `i` in memory. Constants that are only read in formats of their own have no such memory: use `weight` for those.
    /// - Throws: `Diagnostic` for such a constant.
    public mutating func operand(_ i: Int) throws -> TensorView {
        guard let placement = placements[i] else { throw Diagnostic(.internal, "operand \(i) of \(node.op.mnemonic) is packed and has no memory") }
        return assembly.view(placement, isWritten: false)
    }

    /// Operand `i` with its elements along `axis` next to each other, as kernels need it that read vectors along that axis. Whatever the
    /// layout of its type, a value may be a view with any strides; such a one is copied first.
    public mutating func operand(_ i: Int, along axis: Int) throws -> TensorView {
        var view = try operand(i)
        if view.shape[axis] == 1 { view.strides[axis] = 1 }
        if view.strides[axis] == 1 { return view }
        let buffer = scratch("copy", view.element, count: view.shape.product, perThread: false)
        var strides = view.strides, stride: Extent = 1
        for other in [axis] + view.shape.indices.reversed().filter({ $0 != axis }) {
            strides[other] = stride
            stride = stride * view.shape[other]
        }
        let copy = TensorView(buffer, view.element, shape: view.shape, strides: strides)
        builder.copy(view, to: copy)
        builder.emit(.barrier)
        return copy
    }

    /// Result `i` in memory, for nodes of several results, which have no epilogue.
    public mutating func result(_ i: Int) -> TensorView { assembly.view(results[i], isWritten: true) }

    /// A parameter that holds constant data in a format of the kernel's own.
    public mutating func weight(_ element: ElementType, _ sources: [Tensor], as format: some WeightFormat, name: String = "w") throws -> BufferID {
        assembly.weight(name, element, try StoredWeight(sources, as: format))
    }

    /// A private area in the workspace.
    public mutating func scratch(_ name: String, _ element: ElementType, count: Extent, perThread: Bool) -> BufferID {
        assembly.builder.scratch(name, element, count: count, perThread: perThread)
    }

    /// Applies the epilogue to `value` and stores it. `value` holds one element (one lane) or consecutive elements along
    /// `axis` of the node's result, starting at `index`; of several lanes, only the first `count` exist where it is given.
    public mutating func store(_ value: Expr, at index: [Expr], along axis: Int, count: Expr? = nil) throws {
        try epilogue.store(value, at: index, along: axis, count: count, in: &builder)
    }
}

/// What a kernel's buffer parameter is bound to at the call.
enum BufferBinding: Sendable {
    case placed(Argument)
    case weight(StoredWeight)
}

/// A kernel under construction: its code, and what its parameters stand for.
struct KernelAssembly {
    var builder = KernelBuilder()
    /// What each parameter is bound to; scratch buffers have no entry.
    private(set) var bindings: [BufferID: BufferBinding] = [:]
    private var bufferOf: [Argument: BufferID] = [:]
    private var weightBuffers: [StoredWeight: BufferID] = [:]

    /// The view of a placed value, adding its memory to the parameters when first seen.
    mutating func view(_ placement: TensorPlacement, isWritten: Bool) -> TensorView {
        let id: BufferID, memory = Argument(storage: placement.storage, loopOffsets: placement.loopOffsets)
        if let known = bufferOf[memory] {
            id = known
            if isWritten { builder.markWritten(known) }
        } else {
            id = builder.parameter(Buffer("B\(builder.buffers.count)", placement.element, isWritten: isWritten))
            bufferOf[memory] = id
            bindings[id] = .placed(memory)
        }
        return TensorView(id, placement.element, shape: placement.shape, strides: placement.strides, offset: placement.offset)
    }

    mutating func weight(_ name: String, _ element: ElementType, _ weight: StoredWeight) -> BufferID {
        if let known = weightBuffers[weight] { return known }
        let id = builder.parameter(Buffer("\(name)\(builder.buffers.count)", element, isWritten: false))
        weightBuffers[weight] = id
        bindings[id] = .weight(weight)
        return id
    }
}
