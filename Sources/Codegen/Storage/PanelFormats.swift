import GlmcIR

/// What a product wants of its constant right side.
public struct PanelRequest: Sendable {
    /// [K, N] behind any batches.
    var weights: Tensor
    /// The rows that share one reading of the weights; nil: not known at compile time.
    var rows: Int?
    /// The panels that suit the product best.
    var panels: AxisCut
    /// How the packed weights are read; nil for codes that share a byte, which are not looked up.
    var kind: ContractionKind?
}

/// In which panels the constant right sides of a module's products lie: one format for each, however many products of whatever entry points read it.
///
/// The product with the most rows decides; tiles of fewer rows take panels as they come. A matrix of which rows are also looked up, such as the embedding
/// of a model whose head is tied to it, is looked up in its panels.
struct PanelFormats {
    /// A matrix in panels of one width, for readers that pick columns.
    struct Lookup {
        var weights: Tensor
        var panels: AxisCut
        var kind: ContractionKind
    }
    private struct Place: Hashable {
        var storage: ObjectIdentifier
        var offset: Int
        init(_ tensor: Tensor) {
            let stored = tensor.stored
            (storage, offset) = (ObjectIdentifier(stored.storage), stored.byteOffset)
        }
    }

    private var panels: [Tensor: AxisCut] = [:]
    private var lookups: [Place: Lookup] = [:]

    init() {}

    /// - Parameter functions: every function of the module.
    init(_ requests: [PanelRequest], functions: [Function]) {
        var chosen: [Tensor: PanelRequest] = [:], order: [Tensor] = []
        for request in requests {
            guard let known = chosen[request.weights] else {
                chosen[request.weights] = request
                order.append(request.weights)
                continue
            }
            if (request.rows ?? .max) > (known.rows ?? .max) { chosen[request.weights] = request }
        }
        let others = Self.otherReaders(of: functions)
        for weights in order {
            guard var request = chosen[weights] else { continue }
            let uses = others[Place(weights)]
            if let uses, let kind = request.kind, weights.shape[weights.rank - 2] % kind.stepDepth == 0, uses.allSatisfy({ $0.picksRows(of: weights) }), order.filter({ Place($0) == Place(weights) }).count == 1 {
                let vectors = request.panels.extent
                let width = (1...max(request.panels.largest, 1)).last { vectors % $0 == 0 } ?? 1
                request.panels = AxisCut(extent: vectors, limit: width)
                lookups[Place(weights)] = Lookup(weights: weights, panels: request.panels, kind: kind)
            }
            panels[weights] = request.panels
        }
    }

    /// The panels that `weights` lie in; nil where nothing but the reader has a say in it.
    subscript(weights: Tensor) -> AxisCut? { panels[weights] }

    /// The panels in which a constant lies that is looked up; nil where it lies as it is.
    func lookup(_ constant: Tensor) -> Lookup? {
        guard let lookup = lookups[Place(constant)], constant.shape == lookup.weights.shape.reversed() else { return nil }
        return lookup
    }

    /// A reading of a constant otherwise than as a product's right side.
    private struct Reader {
        var constant: Tensor
        /// Whether it is the table of a gather along axis 0.
        var isRowGather: Bool

        func picksRows(of weights: Tensor) -> Bool {
            isRowGather && weights.rank == 2 && constant.shape == weights.shape.reversed() && constant.stored.strides == weights.stored.strides.reversed()
        }
    }

    /// Whether an operand is the right side of a matrix product.
    private static func isRightSide(_ operand: Int, of op: any Op) -> Bool {
        switch operand {
        case 1: op is MatMul || op is BlockMatMul
        case 2: op is BlockRowMatMul
        case 3: op is BlockMatMulInteger
        default: false
        }
    }

    /// Every reading of constants of two axes that are no products' right sides.
    private static func otherReaders(of functions: [Function]) -> [Place: [Reader]] {
        var readers: [Place: [Reader]] = [:]
        for function in functions {
            for id in function.allNodes {
                guard let constant = (function[id].op as? Constant)?.value, constant.rank == 2 else { continue }
                for use in function[function[id].results[0]].uses {
                    guard case .operand(let user, let position) = use else {
                        readers[Place(constant), default: []].append(Reader(constant: constant, isRowGather: false))
                        continue
                    }
                    if isRightSide(position, of: function[user].op) { continue }
                    let gather = function[user].op as? Gather
                    readers[Place(constant), default: []].append(Reader(constant: constant, isRowGather: position == 0 && gather?.axis == 0))
                }
            }
        }
        return readers
    }
}
