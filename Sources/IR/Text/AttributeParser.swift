/// Reads attribute values and constants.
struct AttributeParser {
    /// The external file of large constants, if the text has one.
    let resources: TensorStorage?

    func value(_ tokens: inout TokenStream) throws -> AttributeValue {
        let token = tokens.current
        switch token.kind {
        case .string where !isOperator(tokens.following): return .string(tokens.advance().text)
        case .identifier:
            if ElementType(rawValue: token.text) != nil, tokens.following.text == "[", tokens.following.kind == .punctuation {
                return .tensor(try tensor(&tokens))
            }
            if token.text == "true" || token.text == "false" { return .bool(tokens.advance().text == "true") }
            if token.text == "inf" || token.text == "nan" { return .float(Bitwise(try number(&tokens))) }
            if isOperator(tokens.following) { return .extents([try tokens.extent()]) }
            return .string(tokens.advance().text)
        case .punctuation where token.text == "[": return try list(&tokens)
        case .number where isOperator(tokens.following): return .extents([try tokens.extent()])
        default: return isFloat(tokens) ? .float(Bitwise(try number(&tokens))) : .integer(try tokens.integer())
        }
    }

    private func isOperator(_ token: Token) -> Bool { token.kind == .punctuation && ["+", "-", "*", "("].contains(token.text) }

    /// Whether a float literal comes next, after an optional sign.
    private func isFloat(_ tokens: TokenStream) -> Bool {
        let token = tokens.isAt("-") ? tokens.following : tokens.current
        switch token.kind {
        case .identifier: return token.text == "inf" || token.text == "nan"
        case .number: return token.text.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "e") || $0 == UInt8(ascii: "E") }
        default: return false
        }
    }

    private func number(_ tokens: inout TokenStream) throws -> Double {
        let negative = tokens.accept("-")
        let token = tokens.advance()
        guard token.kind == .number || token.text == "inf" || token.text == "nan", let value = Double(token.text) else {
            throw tokens.error("expected a number, not '\(token.text)'", at: token)
        }
        return negative ? -value : value
    }

    private func list(_ tokens: inout TokenStream) throws -> AttributeValue {
        try tokens.expect("[")
        var strings: [String] = [], floats: [Double] = [], extents: [Extent] = []
        try tokens.list(until: "]") { tokens in
            if tokens.current.kind == .string && !isOperator(tokens.following) && extents.isEmpty && floats.isEmpty {
                strings.append(tokens.advance().text)
            } else if isFloat(tokens) {
                floats.append(try number(&tokens))
            } else {
                extents.append(try tokens.extent())
            }
        }
        let kinds = [strings.isEmpty, floats.isEmpty, extents.isEmpty].filter { !$0 }.count
        guard kinds <= 1 else { throw tokens.error("a list mixes strings, floats or sizes; write every float with a point") }
        if !strings.isEmpty { return .strings(strings) }
        if !floats.isEmpty { return .floats(Bitwise(floats)) }
        return extents.constants.map(AttributeValue.integers) ?? .extents(extents)
    }

    /// A constant in one of the printer's forms.
    func tensor(_ tokens: inout TokenStream) throws -> Tensor {
        let start = tokens.current
        let type = try tokens.tensorType()
        guard let shape = type.shape.constants, let byteCount = Tensor.byteCount(type.element, shape) else {
            throw tokens.error("a constant needs a known shape, not \(type)", at: start)
        }
        let parts = type.element.isComplex ? 2 : 1
        if tokens.accept("(") {
            var texts: [Token] = []
            var signs: [Bool] = []
            try tokens.list(until: ")") { tokens in
                signs.append(tokens.accept("-"))
                texts.append(tokens.advance())
            }
            let count = shape.reduce(1, *) * parts
            guard texts.count == count else { throw tokens.error("\(type) takes \(count) numbers, not \(texts.count)", at: start) }
            return try Tensor(type.element, shape) { bytes in
                let writer = ElementWriter(type.element, bytes)
                for i in 0..<count { try write(texts[i], negative: signs[i], at: i, to: writer, tokens) }
            }
        }
        let form = try tokens.take(.identifier, "'(', splat, hex, resource or elided")
        try tokens.expect("(")
        let tensor: Tensor
        switch form.text {
        case "splat":
            let negative = tokens.accept("-")
            let token = tokens.advance()
            guard byteCount <= AttributeParser.largestInline, parts == 1 else { throw tokens.error("\(type) is too large for splat", at: start) }
            let one = try Tensor(type.element, []) { bytes in
                try write(token, negative: negative, at: 0, to: ElementWriter(type.element, bytes), tokens)
            }
            tensor = Tensor(splat: one, shape)
        case "hex": tensor = try hex(try tokens.take(.string, "hexadecimal bytes"), type.element, shape, byteCount, tokens)
        case "resource":
            let offset = try tokens.integer()
            guard let resources else { throw tokens.error("there is no file with the constants' elements", at: form) }
            do {
                tensor = try Tensor(type.element, shape, storage: resources, byteOffset: offset)
            } catch {
                throw tokens.error(error.message, at: start)
            }
        case "elided": throw tokens.error("the elements of this constant were left out when the text was printed", at: form)
        default: throw tokens.error("there is no constant form '\(form.text)'; there are splat, hex, resource and elided", at: form)
        }
        try tokens.expect(")")
        return tensor
    }

    /// Splats and hexadecimal constants beyond this many bytes are refused.
    private static let largestInline = 1 << 30

    private func write(_ token: Token, negative: Bool, at i: Int, to writer: ElementWriter, _ tokens: TokenStream) throws {
        let text = negative ? "-" + token.text : token.text
        let element = writer.element
        if element == .bool, token.text == "true" || token.text == "false" { return writer.store(integer: token.text == "true" ? 1 : 0, at: i) }
        if element.isInteger {
            if let value = Int(text) { return writer.store(integer: value, at: i) }
            if let value = UInt(text) { return writer.store(integer: Int(bitPattern: value), at: i) }
        } else if element == .f32 || element == .c64, let value = Float(text) {
            return writer.store(Double(value), at: i)
        } else if element != .bool, let value = Double(text) {
            return writer.store(value, at: i)
        }
        throw tokens.error("'\(text)' is no \(element.rawValue)", at: token)
    }

    private func hex(_ token: Token, _ element: ElementType, _ shape: [Int], _ byteCount: Int, _ tokens: TokenStream) throws -> Tensor {
        let digits = Array(token.text.utf8)
        guard digits.count == byteCount * 2 else {
            throw tokens.error("\(element.rawValue)\(shape) takes \(byteCount) bytes, not \(digits.count / 2)", at: token)
        }
        func value(_ digit: UInt8) throws -> UInt8 {
            switch digit {
            case 48...57: return digit - 48
            case 97...102: return digit - 87
            case 65...70: return digit - 55
            default: throw tokens.error("a constant has a character that is no hexadecimal digit", at: token)
            }
        }
        return try Tensor(element, shape) { bytes in
            for i in 0..<byteCount { bytes[i] = try value(digits[2 * i]) << 4 | value(digits[2 * i + 1]) }
        }
    }
}

extension Tensor {
    /// `shape` filled with the only element of `one`.
    public init(splat one: Tensor, _ shape: [Int]) {
        let width = one.element.byteCount
        self.init(one.element, shape) { bytes in
            guard width > 0, let source = one.bytes.baseAddress, let target = bytes.baseAddress else { return }
            for i in 0..<bytes.count / width { (target + i * width).copyMemory(from: source, byteCount: width) }
        }
    }
}
