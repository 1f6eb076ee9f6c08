/// Writes functions as text. The text is what `Parser` reads, and printing what was parsed gives the same text.
///
/// ```
/// func @net(%x: f32[batch, 8]) {
///   dimension batch = input 0 axis 0
///   metadata "producer" = "example"
///   %w = constant(value: f32[8, 4] splat(0.5)) : f32[8, 4]
///   %0 = matmul(%x, %w) : f32[batch, 4] loc("fc1")
///   %y = activation.relu(%0) : f32[batch, 4] loc("fc1", "relu1")
///   return %y
/// }
/// ```
///
/// An input that may be left out shows its default: `%w: f32[2] = f32[2](1.0, 2.0)`. An output whose name differs from its value's is written `return %y as "name"`,
/// one that is the new value of a state `return %y updates %cache`, and one that lacks axis 1 where that has one element `return %y squeezed [1]`. Values without a name are numbered in order of definition; `#k` tells values of one name apart. Attributes that have their
/// default value are left out; an enumeration that comes first is written after the mnemonic. `assume 2147483647-200*batch` is a size that runs check not to be negative.
public struct Printer {
    /// What happens to the elements of constants.
    public enum Weights: Sendable {
        /// Everything in the text: few elements as numbers, others as hexadecimal bytes.
        case inline
        /// Large tensors as a fingerprint: for people; the parser refuses it.
        case elided
        /// Large tensors as offsets into one binary file that lies beside the text.
        case external(fileName: String)
    }

    /// Tensors with no more elements than this are printed as numbers.
    public static let denseLimit = 32
    /// Tensors beyond this many bytes go to the external file.
    public static let inlineLimit = 1024

    /// Large tensors and where they lie in the external file.
    public struct Resource: Sendable {
        public let offset: Int
        public let tensor: Tensor
    }

    /// A printed text with the tensors that belong into its external file, in order of their offsets.
    public struct Text: Sendable {
        /// Comments in front.
        public var comments = ""
        let functions: String
        let fileName: String?
        public let resources: [Resource]

        public var text: String { text(sha256: nil) }

        /// - Parameter sha256: the digest of the external file, in hexadecimal digits, for the text to name.
        public func text(sha256: String?) -> String {
            comments + (fileName.map { "resources \(Quoting.quoted($0))\(sha256.map { " sha256 \(Quoting.quoted($0))" } ?? "")\n\n" } ?? "") + functions
        }
    }

    /// Prints one function.
    public static func print(_ function: Function, weights: Weights = .elided) -> String {
        module([function], weights: weights).text
    }

    /// A constant as it stands in the text form, whole.
    public static func print(_ tensor: Tensor) -> String {
        var printer = TensorPrinter(.inline)
        return printer.spell(.tensor(tensor))
    }

    /// Prints functions that share weights.
    public static func module(_ functions: [Function], weights: Weights) -> Text {
        var tensors = TensorPrinter(weights)
        var text = ""
        for (i, function) in functions.enumerated() {
            var printer = Printer(function, tensors)
            printer.printFunction()
            tensors = printer.tensors
            text += (i == 0 ? "" : "\n") + printer.text
        }
        let fileName: String? = if case .external(let name) = weights { name } else { nil }
        return Text(functions: text, fileName: fileName, resources: tensors.resources)
    }

    private let function: Function
    private let names: [ValueID: String]
    private var tensors: TensorPrinter
    private var text = ""

    private init(_ function: Function, _ tensors: TensorPrinter) {
        self.function = function
        self.tensors = tensors
        names = Printer.valueNames(function)
    }

    /// How every value is written, in order of definition: `%name`, `%name#1`, `%7`.
    public static func valueNames(_ function: Function) -> [ValueID: String] {
        var names: [ValueID: String] = [:]
        var count: [String: Int] = [:]
        var number = 0
        func add(_ value: ValueID) {
            let name = function[value].name
            guard !name.isEmpty else {
                names[value] = "%\(number)"
                number += 1
                return
            }
            let spelling = "%" + (Quoting.isPlainValueName(name) ? name : Quoting.quoted(name))
            let earlier = count[name, default: 0]
            count[name] = earlier + 1
            names[value] = earlier == 0 ? spelling : "\(spelling)#\(earlier)"
        }
        func add(_ block: BlockID) {
            function[block].arguments.forEach(add)
            for id in function.nodes(in: block) {
                // A node's results are written before its regions.
                function[id].results.forEach(add)
                function[id].regions.forEach(add)
            }
        }
        add(function.body)
        return names
    }

    private func spell(_ values: [ValueID]) -> String { values.map { names[$0] ?? "%?" }.joined(separator: ", ") }

    private mutating func declare(_ values: [ValueID]) -> String {
        values.map { value in
            let preset = function.defaults[value].map { " = \(tensors.spell(.tensor($0)))" } ?? ""
            return "\(names[value] ?? "%?"): \(function.type(value))\(preset)"
        }.joined(separator: ", ")
    }

    private mutating func printFunction() {
        text += "func @\(Quoting.isPlainValueName(function.name) ? function.name : Quoting.quoted(function.name))(\(declare(function.inputs))) {\n"
        for (name, info) in function.dimensions {
            let source = switch info.source {
            case .input(let position, let axis): "input \(position) axis \(axis)"
            case .value(let position, let element): "input \(position) value" + (element == 0 ? "" : " \(element)")
            case .dataDependent(let bound): "data_dependent bound \(bound)"
            }
            text += "  dimension \(Quoting.identifierOrQuoted(name)) = \(source)\n"
        }
        for one in function.assumptions { text += "  assume \(one.size) for \(Quoting.quoted(one.place))\n" }
        for (key, value) in function.metadata.sorted(by: { $0.key < $1.key }) {
            text += "  metadata \(Quoting.quoted(key)) = \(Quoting.quoted(value))\n"
        }
        printNodes(in: function.body, depth: 1)
        let outputs = function.outputs.enumerated().map { i, value -> String in
            let spelling = names[value] ?? "%?", name = function.outputNames.indices.contains(i) ? function.outputNames[i] : ""
            let known = function[value].name
            let update = function.states.first { $0.output == i }.map { " updates \(names[$0.input] ?? "%?")" } ?? ""
            let squeezed = function.squeezedAxes[i].map { " squeezed \($0)" } ?? ""
            return (name == (known.isEmpty ? "output\(i)" : known) ? spelling : "\(spelling) as \(Quoting.quoted(name))") + update + squeezed
        }
        text += "  return \(outputs.joined(separator: ", "))".trimmingEnd() + "\n}\n"
    }

    private mutating func printNodes(in block: BlockID, depth: Int) {
        for id in function.nodes(in: block) { printNode(function[id], depth: depth) }
    }

    private mutating func printNode(_ node: Node, depth: Int) {
        let indent = String(repeating: "  ", count: depth)
        let (suffix, attributes) = attributes(of: node.op)
        let arguments = (node.operands.map { names[$0] ?? "%?" } + attributes).joined(separator: ", ")
        text += indent + (node.results.isEmpty ? "" : spell(node.results) + " = ") + "\(node.op.mnemonic)\(suffix)(\(arguments))"
        if !node.results.isEmpty { text += " : " + node.results.map { function.type($0).description }.joined(separator: ", ") }
        if !node.provenance.isEmpty { text += " loc(\(node.provenance.map(Quoting.quoted).joined(separator: ", ")))" }
        for region in node.regions {
            text += " {\n"
            if !function[region].arguments.isEmpty { text += "\(indent)^(\(declare(function[region].arguments))):\n" }
            printNodes(in: region, depth: depth + 1)
            text += "\(indent)  yield \(spell(function[region].results))".trimmingEnd() + "\n\(indent)}"
        }
        text += "\n"
    }

    private mutating func attributes<O: Op>(of op: O) -> (suffix: String, list: [String]) {
        let defaults = O()
        var suffix = ""
        var list: [String] = []
        for (i, attribute) in O.attributes.enumerated() {
            let value = attribute.get(op)
            if i == 0, attribute.isEnumeration, case .string(let name) = value {
                suffix = "." + name
            } else if value != attribute.get(defaults) || attribute.kind == Tensor.attributeKind {
                list.append("\(attribute.name): \(tensors.spell(value))")
            }
        }
        return (suffix, list)
    }
}

extension Attribute {
    /// Whether the attribute's values are the cases of an enumeration.
    var isEnumeration: Bool { kind != String.attributeKind && kind.first?.isUppercase == true }
}

extension String {
    func trimmingEnd() -> String {
        var copy = self
        while copy.last == " " { copy.removeLast() }
        return copy
    }
}

extension Function: CustomStringConvertible {
    /// The textual IR without the elements of large constants.
    public var description: String { Printer.print(self) }
}
