/// Writes protobuf messages by hand, so that tests can make any file, valid or not.
public struct Proto: Sendable {
    public var bytes: [UInt8] = []

    public init() {}
    init(bytes: [UInt8]) { self.bytes = bytes }

    public static func varint(_ value: UInt64) -> [UInt8] {
        var value = value
        var bytes: [UInt8] = []
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7f) | 0x80)
            value >>= 7
        }
        return bytes + [UInt8(value)]
    }

    public func int(_ field: Int, _ value: Int64) -> Proto { raw(field, 0, Proto.varint(UInt64(bitPattern: value))) }
    public func bytes(_ field: Int, _ value: [UInt8]) -> Proto { raw(field, 2, Proto.varint(UInt64(value.count)) + value) }
    public func string(_ field: Int, _ value: String) -> Proto { bytes(field, Array(value.utf8)) }
    public func message(_ field: Int, _ value: Proto) -> Proto { bytes(field, value.bytes) }

    public func float(_ field: Int, _ value: Float) -> Proto {
        raw(field, 5, (0..<4).map { UInt8(value.bitPattern >> (8 * $0) & 0xff) })
    }

    public func floats(_ field: Int, _ values: [Float]) -> Proto {
        bytes(field, values.flatMap { value in (0..<4).map { UInt8(value.bitPattern >> (8 * $0) & 0xff) } })
    }

    public func packed(_ field: Int, _ values: [Int64]) -> Proto {
        bytes(field, values.flatMap { Proto.varint(UInt64(bitPattern: $0)) })
    }

    private func raw(_ field: Int, _ wireType: UInt64, _ content: [UInt8]) -> Proto {
        Proto(bytes: bytes + Proto.varint(UInt64(field) << 3 | wireType) + content)
    }
}

/// ONNX messages in the shape that tests need.
public enum Onnx {
    public static func tensor(_ name: String, _ element: Int64, _ dims: [Int64]) -> Proto {
        Proto().packed(1, dims).int(2, element).string(8, name)
    }

    public static func floatTensor(_ name: String, _ dims: [Int64], _ values: [Float]) -> Proto {
        tensor(name, 1, dims).floats(9, values)
    }

    public static func attribute(_ name: String, ints: [Int64]) -> Proto {
        Proto().string(1, name).packed(8, ints).int(20, 7)
    }

    public static func attribute(_ name: String, string: String) -> Proto {
        Proto().string(1, name).string(4, string).int(20, 3)
    }

    public static func attribute(_ name: String, graph: Proto) -> Proto {
        Proto().string(1, name).message(6, graph).int(20, 5)
    }

    public static func node(_ op: String, _ inputs: [String], _ outputs: [String], _ attributes: [Proto] = []) -> Proto {
        var node = inputs.reduce(Proto()) { $0.string(1, $1) }
        node = outputs.reduce(node) { $0.string(2, $1) }
        node = node.string(3, "n_" + (outputs.first ?? "")).string(4, op)
        return attributes.reduce(node) { $0.message(5, $1) }
    }

    public static func value(_ name: String, _ element: Int64, _ dims: [Int64]) -> Proto {
        let shape = dims.reduce(Proto()) { $0.message(1, Proto().int(1, $1)) }
        return Proto().string(1, name).message(2, Proto().message(1, Proto().int(1, element).message(2, shape)))
    }

    /// A tensor whose sizes have names; an empty name says nothing, a number is a fixed size.
    public static func value(_ name: String, _ element: Int64, sizes: [String]) -> Proto {
        let shape = sizes.reduce(Proto()) { shape, size in
            shape.message(1, Int64(size).map { Proto().int(1, $0) } ?? (size.isEmpty ? Proto() : Proto().string(2, size)))
        }
        return Proto().string(1, name).message(2, Proto().message(1, Proto().int(1, element).message(2, shape)))
    }

    public static func graph(nodes: [Proto], initializers: [Proto] = [], inputs: [Proto] = [], outputs: [Proto] = []) -> Proto {
        var graph = nodes.reduce(Proto()) { $0.message(1, $1) }.string(2, "g")
        graph = initializers.reduce(graph) { $0.message(5, $1) }
        graph = inputs.reduce(graph) { $0.message(11, $1) }
        return outputs.reduce(graph) { $0.message(12, $1) }
    }

    /// - Parameter version: of the format.
    public static func model(_ graph: Proto, opset: Int64 = 17, version: Int64 = 8) -> Proto {
        Proto().int(1, version).message(8, Proto().int(2, opset)).message(7, graph)
    }

    /// A convolution, a bias in typed form, a branch, and a reshape: something of most message types.
    public static var small: [UInt8] {
        let branch = { (op: String) in
            graph(nodes: [node(op, ["a"], ["z"])], outputs: [value("z", 1, [1, 2, 3, 3])])
        }
        let weights = floatTensor("w", [2, 1, 2, 2], (0..<8).map { Float($0) / 8 })
        let bias = tensor("b", 1, [2]).floats(4, [0.5, -0.5])
        let shape = tensor("s", 7, [2]).packed(7, [1, -1])
        let condition = tensor("c", 9, []).packed(5, [1])
        let body = graph(
            nodes: [
                node("Conv", ["x", "w", "b"], ["a"], [attribute("strides", ints: [1, 1])]),
                node("If", ["c"], ["r"], [
                    attribute("then_branch", graph: branch("Relu")), attribute("else_branch", graph: branch("Neg")),
                ]),
                node("Reshape", ["r", "s"], ["y"]),
            ],
            initializers: [weights, bias, shape, condition], inputs: [value("x", 1, [1, 1, 4, 4])],
            outputs: [value("y", 1, [1, 18])])
        return model(body).bytes
    }
}

/// A small deterministic generator, so that a failure can be repeated.
public struct TestGenerator: RandomNumberGenerator {
    public var state: UInt64
    public init(state: UInt64) { self.state = state }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    /// `bytes` with a few random changes: flipped bits, replaced, removed, repeated or inserted runs, or cut short.
    public mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        for _ in 0..<Int.random(in: 1...4, using: &self) where !result.isEmpty {
            let at = Int.random(in: 0..<result.count, using: &self)
            let count = min(Int.random(in: 1...9, using: &self), result.count - at)
            switch Int.random(in: 0..<7, using: &self) {
            case 0, 1: result[at] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 2: result[at] = UInt8.random(in: 0...255, using: &self)
            case 3: result.removeSubrange(at..<at + count)
            case 4: result.insert(contentsOf: result[at..<at + count], at: at)
            case 5: result.insert(contentsOf: (0..<count).map { _ in [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &self) ?? 0 }, at: at)
            default: result.removeSubrange(at...)
            }
        }
        return result
    }
}
