/// Reads the textual IR (see `Printer` for an example).
///
/// Result types may be left out, since they are inferred; where they are written, they must agree, and they may give layouts.
/// Dimensions that appear alone in an input's type need no declaration. Malformed text ends in a `Diagnostic` that names the
/// file, line and column.
public struct Parser {
    /// Opens the file of large constants that the text names, with the digest that it should have, if the text says that.
    public typealias ResourceOpener = (_ fileName: String, _ sha256: String?) throws -> TensorStorage

    private var tokens: TokenStream
    private var attributes: AttributeParser
    private let registry: OpRegistry
    private var rewriter = Rewriter(Function(""))
    private var scope: [String: ValueID] = [:]

    /// All functions of a text.
    /// - Throws: `Diagnostic`.
    public static func parse(
        _ text: String, file: String = "input.glm", registry: OpRegistry = .standard, resources: ResourceOpener? = nil
    ) throws -> [Function] {
        var parser = Parser(tokens: try TokenStream(text, file: file), attributes: AttributeParser(resources: nil), registry: registry)
        if parser.tokens.accept(word: "resources") {
            let name = try parser.tokens.take(.string, "a file name")
            guard let resources else { throw parser.tokens.error("constants in a separate file cannot be read here", at: name) }
            let digest = try parser.tokens.accept(word: "sha256") ? parser.tokens.take(.string, "the file's digest").text : nil
            parser.attributes = AttributeParser(resources: try resources(name.text, digest))
        }
        var functions: [Function] = []
        while parser.tokens.current.kind != .end { functions.append(try parser.function()) }
        return functions
    }

    /// The only function of a text.
    /// - Throws: `Diagnostic`.
    public static func parseFunction(
        _ text: String, file: String = "input.glm", registry: OpRegistry = .standard, resources: ResourceOpener? = nil
    ) throws -> Function {
        let functions = try parse(text, file: file, registry: registry, resources: resources)
        guard functions.count == 1 else { throw Diagnostic(.invalid, "expected one function, not \(functions.count)", at: [file]) }
        return functions[0]
    }

    /// A constant as `Printer.print` writes it.
    public static func parseTensor(_ text: String, file: String = "input.glm") throws -> Tensor {
        var tokens = try TokenStream(text, file: file)
        return try AttributeParser(resources: nil).tensor(&tokens)
    }

    private init(tokens: TokenStream, attributes: AttributeParser, registry: OpRegistry) {
        self.tokens = tokens
        self.attributes = attributes
        self.registry = registry
    }

    private mutating func function() throws -> Function {
        try tokens.expect(word: "func")
        rewriter = Rewriter(Function(try tokens.take(.symbol, "the function's name").text))
        scope = [:]
        try tokens.expect("(")
        try arguments(of: rewriter.function.body, until: ")")
        try tokens.expect("{")
        while true {
            if tokens.accept(word: "dimension") {
                try dimension()
            } else if tokens.accept(word: "assume") {
                let size = try tokens.extent(), place = try tokens.accept(word: "for") ? tokens.take(.string, "what the size must fit").text : "the model"
                rewriter.assume(size, for: place)
            } else if tokens.accept(word: "metadata") {
                let key = try tokens.take(.string, "a key").text
                try tokens.expect("=")
                rewriter.setMetadata(key, try tokens.take(.string, "a value").text)
            } else {
                break
            }
        }
        declareInputDimensions()
        try nodes(in: rewriter.function.body, until: "return", depth: 0)
        return rewriter.function
    }

    private mutating func dimension() throws {
        let start = tokens.current
        let name = start.kind == .string ? tokens.advance().text : try tokens.take(.identifier, "a dimension's name").text
        try tokens.expect("=")
        if tokens.accept(word: "input") {
            let position = try tokens.integer()
            if tokens.accept(word: "value") {
                guard rewriter.function.inputs.indices.contains(position) else { throw tokens.error("there is no input \(position)", at: start) }
                rewriter.addDimension(name, DimensionInfo(.value(position, element: tokens.current.kind == .number ? try tokens.integer() : 0)))
                return
            }
            try tokens.expect(word: "axis")
            let axis = try tokens.integer()
            let inputs = rewriter.function.inputs
            guard inputs.indices.contains(position), let type = rewriter.function.type(inputs[position]).tensor, type.shape.indices.contains(axis) else {
                throw tokens.error("there is no axis \(axis) of an input \(position)", at: start)
            }
            rewriter.addDimension(name, DimensionInfo(.input(position, axis: axis)))
        } else {
            try tokens.expect(word: "data_dependent")
            try tokens.expect(word: "bound")
            rewriter.addDimension(name, DimensionInfo(.dataDependent(bound: try tokens.extent())))
        }
    }

    /// Declares every dimension that an input's type shows alone on an axis.
    private mutating func declareInputDimensions() {
        for (position, input) in rewriter.function.inputs.enumerated() {
            guard let type = rewriter.function.type(input).tensor else { continue }
            for (axis, extent) in type.shape.enumerated() {
                if let name = extent.dimensionName { rewriter.addDimension(name, DimensionInfo(.input(position, axis: axis))) }
            }
        }
    }

    private mutating func arguments(of block: BlockID, until close: String) throws {
        if tokens.accept(close) { return }
        repeat {
            let name = try tokens.take(.value, "an argument")
            try tokens.expect(":")
            let start = tokens.current, type = try tokens.valueType()
            if block == rewriter.function.body, tokens.accept("=") {
                let value = try attributes.tensor(&tokens)
                guard type == .tensor(value.type) else { throw tokens.error("the default of \(name.spelling) has type \(value.type), not \(type)", at: start) }
                try define(name, rewriter.addInput(default: value, name: Parser.name(of: name)))
            } else {
                try define(name, rewriter.addArgument(type, name: Parser.name(of: name), to: block))
            }
        } while tokens.accept(",")
        try tokens.expect(close)
    }

    /// A value's stored name: numbers are given by the printer.
    private static func name(of token: Token) -> String {
        token.spelling.utf8.dropFirst().allSatisfy(Quoting.isDigit) ? "" : token.text
    }

    private mutating func define(_ token: Token, _ value: ValueID) throws {
        guard scope.updateValue(value, forKey: token.spelling) == nil else { throw tokens.error("\(token.spelling) is defined twice", at: token) }
    }

    private func lookUp(_ token: Token) throws -> ValueID {
        guard let value = scope[token.spelling] else { throw tokens.error("\(token.spelling) is not defined here", at: token) }
        return value
    }

    /// `%a, %b as "name", %c updates %state, %d squeezed [1]`, possibly empty; outputs without a name take their value's.
    private mutating func values(of block: BlockID) throws -> (values: [ValueID], names: [String]) {
        var list: [ValueID] = [], names: [String] = []
        guard tokens.current.kind == .value else { return (list, names) }
        repeat {
            let value = try lookUp(try tokens.take(.value, "a value"))
            let own = rewriter.function[value].name
            names.append(tokens.accept(word: "as") ? try tokens.take(.string, "an output's name").text : own.isEmpty ? "output\(list.count)" : own)
            list.append(value)
            if block == rewriter.function.body, tokens.accept(word: "updates") {
                rewriter.addState(try lookUp(try tokens.take(.value, "a state")), output: list.count - 1)
            }
            if block == rewriter.function.body, tokens.accept(word: "squeezed") { rewriter.squeeze(try axes(), ofOutput: list.count - 1) }
        } while tokens.accept(",")
        return (list, names)
    }

    private mutating func axes() throws -> [Int] {
        let start = tokens.current
        guard case .integers(let axes) = try attributes.value(&tokens) else { throw tokens.error("expected a list of axes, as [1, 2]", at: start) }
        return axes
    }

    /// Nodes up to and including `return …` or `yield …` and the closing brace.
    private mutating func nodes(in block: BlockID, until terminator: String, depth: Int) throws {
        guard depth < TokenStream.depthLimit else { throw tokens.error("regions are nested too deeply") }
        while !tokens.accept(word: terminator) { try node(in: block, depth: depth) }
        let (values, names) = try values(of: block)
        rewriter.setResults(values, of: block, names: names)
        try tokens.expect("}")
    }

    private mutating func node(in block: BlockID, depth: Int) throws {
        var results: [Token] = []
        if tokens.current.kind == .value {
            repeat { results.append(try tokens.take(.value, "a result")) } while tokens.accept(",")
            try tokens.expect("=")
        }
        let mnemonic = try tokens.take(.identifier, "an operator")
        guard let entry = registry.entries[mnemonic.text] else { throw tokens.error("there is no operator '\(mnemonic.text)'", at: mnemonic) }
        let suffix = tokens.accept(".") ? try tokens.take(.identifier, "an operator's kind") : nil
        try tokens.expect("(")
        var operandTokens: [Token] = []
        var settings: [(name: Token, value: AttributeValue)] = []
        try tokens.list(until: ")") { [attributes] tokens in
            if tokens.current.kind == .value {
                operandTokens.append(tokens.advance())
            } else {
                let name = try tokens.take(.identifier, "an operand or an attribute")
                try tokens.expect(":")
                settings.append((name, try attributes.value(&tokens)))
            }
        }
        let operands = try operandTokens.map(lookUp)
        let op = try make(entry.type, suffix: suffix, settings)
        var types: [ValueType]?
        if tokens.accept(":") {
            var list: [ValueType] = []
            repeat { list.append(try tokens.valueType()) } while tokens.accept(",")
            types = list
        }
        var provenance: [String] = []
        if tokens.accept(word: "loc") {
            try tokens.expect("(")
            try tokens.list(until: ")") { provenance.append(try $0.take(.string, "a source name").text) }
        }
        var regions: [BlockID] = []
        while tokens.accept("{") { regions.append(try region(depth: depth)) }
        do {
            let names = results.map(Parser.name)
            let values = try rewriter.create(op, operands, at: .end(block), regions: regions, provenance: provenance, names: names)
            guard values.count == results.count else {
                throw tokens.error("\(mnemonic.text) has \(values.count) results, not \(results.count)", at: mnemonic)
            }
            try check(types, against: values, at: mnemonic)
            for (token, value) in zip(results, values) { try define(token, value) }
        } catch let problem as Diagnostic where problem.location.first?.hasPrefix(tokens.file) != true {
            throw problem.inside("\(tokens.file):\(mnemonic.line):\(mnemonic.column)")
        }
    }

    private mutating func region(depth: Int) throws -> BlockID {
        let block = rewriter.addBlock()
        let outer = scope
        if tokens.accept("^") {
            try tokens.expect("(")
            try arguments(of: block, until: ")")
            try tokens.expect(":")
        }
        try nodes(in: block, until: "yield", depth: depth + 1)
        scope = outer
        return block
    }

    /// Compares written types with inferred ones and takes over the layouts.
    private mutating func check(_ types: [ValueType]?, against values: [ValueID], at token: Token) throws {
        guard let types else { return }
        guard types.count == values.count else { throw tokens.error("\(values.count) results have \(types.count) types", at: token) }
        for (written, value) in zip(types, values) {
            let inferred = rewriter.function.type(value)
            if case .tensor(let type) = written, let known = inferred.tensor, known.with(layout: type.layout) == type {
                rewriter.setLayout(type.layout, of: value)
            } else if written != inferred {
                throw tokens.error("the result has type \(inferred), not \(written)", at: token)
            }
        }
    }

    private func make<O: Op>(_ type: O.Type, suffix: Token?, _ settings: [(name: Token, value: AttributeValue)]) throws -> O {
        var op = O()
        func set(_ attribute: Attribute<O>, _ value: AttributeValue, at token: Token) throws {
            guard attribute.set(&op, value) else {
                throw tokens.error("attribute \(attribute.name) of \(O.mnemonic) takes \(attribute.kind), not \(value.kind)", at: token)
            }
        }
        if let suffix {
            guard let first = O.attributes.first, first.isEnumeration else { throw tokens.error("\(O.mnemonic) has no kinds", at: suffix) }
            guard first.set(&op, .string(suffix.text)) else { throw tokens.error("there is no \(O.mnemonic).\(suffix.text)", at: suffix) }
        }
        for (name, value) in settings {
            guard let attribute = O.attributes.first(where: { $0.name == name.text }) else {
                throw tokens.error("\(O.mnemonic) has no attribute '\(name.text)'", at: name)
            }
            try set(attribute, value, at: name)
        }
        return op
    }
}

extension AttributeValue {
    /// How an error names the kind of value.
    var kind: String {
        switch self {
        case .bool: "a bool"
        case .integer: "an integer"
        case .integers: "integers"
        case .float: "a float"
        case .floats: "floats"
        case .string(let text): "'\(text)'"
        case .strings: "strings"
        case .extents: "sizes"
        case .tensor: "a tensor"
        }
    }
}

extension Extent {
    /// The dimension's name, where the extent is exactly one named dimension.
    public var dimensionName: String? {
        guard offset == 0, terms.count == 1, terms[0].coefficient == 1, terms[0].factors.count == 1,
              case .dimension(let name) = terms[0].factors[0] else { return nil }
        return name
    }
}
