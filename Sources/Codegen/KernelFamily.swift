import GlmcIR

/// One row of the table of tuned kernels: when it applies, and the generator of its loop code.
///
/// A family's generator writes every element of the node's result through `site.store`, which applies the fused epilogue.
public struct KernelFamily: Sendable {
    /// Shown in the manifest, profiles and comments.
    public let name: String
    /// Whether the family can compute the node on this target; called before memory is laid out. Look at op, types, layouts
    /// and which operands are constants; the strides come later, whatever the layout, and must be taken as they are. A kernel that
    /// reads vectors along an axis asks for `KernelSite.operand(_:along:)`.
    public let matches: @Sendable (KernelQuery) -> Bool
    /// Whether many rows of operand 0 are read at once, element by element: such rows had better not lie a multiple of a cache's
    /// way apart.
    public let readsManyRows: Bool
    /// What a node that matches wants of a constant that other kernels may read too; asked before anything is emitted.
    public let panels: @Sendable (KernelQuery) -> PanelRequest?
    /// Emits the kernel's body.
    public let emit: @Sendable (inout KernelSite) throws -> Void

    public init(
        _ name: String, readsManyRows: Bool = false, matches: @escaping @Sendable (KernelQuery) -> Bool,
        panels: @escaping @Sendable (KernelQuery) -> PanelRequest? = { _ in nil }, emit: @escaping @Sendable (inout KernelSite) throws -> Void
    ) {
        self.readsManyRows = readsManyRows
        self.panels = panels
        self.name = name
        self.matches = matches
        self.emit = emit
    }
}

/// What `KernelFamily.matches` may look at.
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
    let constants: [Tensor?]
    let results: [TensorPlacement]
    let epilogue: Epilogue
    /// In which panels constants lie that several kernels read.
    let formats: PanelFormats

    public var builder: KernelBuilder {
        get { assembly.builder }
        _modify { yield &assembly.builder }
    }

    public func op<O: Op>(_ type: O.Type) throws -> O {
        guard let op = node.op as? O else { throw Diagnostic(.internal, "a kernel for \(O.mnemonic) was chosen for \(node.op.mnemonic)") }
        return op
    }

    /// The constant that operand `i` is, if it is one.
    public func constant(_ i: Int) -> Tensor? { constants[i] }

    /// Operand `i` in memory. Constants that are only packed have no memory of their own: use `packed` for those.
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

    /// A parameter that holds constant data in the kernel's own order. `pack` writes all `count` elements, zero at first; it
    /// runs once per compile, possibly while others run. Equal keys must mean equal bytes.
    public mutating func packed(
        _ name: String, _ element: ElementType, count: Int, key: PackingKey, pack: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
    ) -> BufferID {
        assembly.packed(name, element, PackedConstant(key: key, byteCount: count * element.byteCount, pack: pack))
    }

    /// A private area in the workspace.
    public mutating func scratch(_ name: String, _ element: ElementType, count: Extent, perThread: Bool) -> BufferID {
        assembly.builder.scratch(name, element, count: count, perThread: perThread)
    }

    /// Applies the epilogue to `value` and stores it. `value` holds one element (one lane) or consecutive elements along
    /// `axis` of the node's result, starting at `index`; of several lanes, only the first `count` exist where it is given.
    public mutating func store(_ value: Expr, at index: [Expr], along axis: Int, count: Expr? = nil) throws {
        try epilogue.store(value, at: index, along: axis, count: count, in: &assembly)
    }
}

/// What makes packed data what it is: the scheme with all its parameters, and the source tensors.
public struct PackingKey: Hashable, Sendable {
    public let scheme: String
    public let sources: [Tensor]
    public init(_ scheme: String, _ sources: [Tensor]) {
        self.scheme = scheme
        self.sources = sources
    }
}

/// Constant data that a kernel wants in an order of its own.
public struct PackedConstant: Sendable {
    public let key: PackingKey
    public let byteCount: Int
    public let pack: @Sendable (UnsafeMutableRawBufferPointer) -> Void
}

/// What a kernel's buffer parameter is bound to at the call.
enum BufferBinding: Sendable {
    case root(RootID, advances: [Advance])
    case packed(PackedConstant)
}

/// A kernel under construction: its code, and what its parameters stand for.
struct KernelAssembly {
    var builder = KernelBuilder()
    /// What each parameter is bound to; scratch buffers have no entry.
    private(set) var bindings: [BufferID: BufferBinding] = [:]
    private var bufferOf: [Argument: BufferID] = [:]
    private var packedBuffers: [PackingKey: BufferID] = [:]
    private var spills: [KernelType: BufferID] = [:]

    /// The view of a placed value, adding its memory to the parameters when first seen.
    mutating func view(_ placement: TensorPlacement, isWritten: Bool) -> TensorView {
        let id: BufferID, memory = Argument.root(placement.root, advances: placement.advances)
        if let known = bufferOf[memory] {
            id = known
            if isWritten { builder.markWritten(known) }
        } else {
            id = builder.parameter(Buffer("B\(builder.buffers.count)", placement.element, isWritten: isWritten))
            bufferOf[memory] = id
            bindings[id] = .root(placement.root, advances: placement.advances)
        }
        return TensorView(id, placement.element, shape: placement.shape, strides: placement.strides, offset: placement.offset)
    }

    /// A thread's private place for one register of `type`.
    mutating func spill(_ type: KernelType) -> BufferID {
        if let known = spills[type] { return known }
        let id = builder.scratch("spill", type.element, count: Extent(type.lanes), perThread: true)
        spills[type] = id
        return id
    }

    mutating func packed(_ name: String, _ element: ElementType, _ constant: PackedConstant) -> BufferID {
        if let known = packedBuffers[constant.key] { return known }
        let id = builder.parameter(Buffer("\(name)\(builder.buffers.count)", element, isWritten: false))
        packedBuffers[constant.key] = id
        bindings[id] = .packed(constant)
        return id
    }
}
