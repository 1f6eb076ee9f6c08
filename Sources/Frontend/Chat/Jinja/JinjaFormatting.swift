import Foundation
import GlmcIR

/// Width, precision and flags of one place in a format.
private struct JinjaFormat {
    var fill: Unicode.Scalar = " "
    var align: Unicode.Scalar?
    var sign: Unicode.Scalar = "-"
    var isAlternate = false
    var width = 0
    var groups = false
    var precision: Int?
    var type: Unicode.Scalar?

    static let limit = 10_000

    /// Digits at the front of `rest`.
    static func number(_ rest: inout ArraySlice<Unicode.Scalar>) throws -> Int? {
        var value: Int?
        while let digit = rest.first, ("0"..."9").contains(digit) {
            value = (value ?? 0) * 10 + Int(digit.value - 48)
            guard value ?? 0 <= limit else { throw Diagnostic(.invalid, "a format is wider than \(limit) characters") }
            rest.removeFirst()
        }
        return value
    }

    func padded(_ text: JinjaText, sign: String = "", isNumber: Bool) -> JinjaText {
        let missing = max(0, width - text.count - sign.unicodeScalars.count)
        let padding = [Unicode.Scalar](repeating: fill, count: missing)
        let signed = Array(sign.unicodeScalars)
        switch align ?? (isNumber ? ">" : "<") {
        case "<": return JinjaText(signed + text.scalars + padding)
        case "=": return JinjaText(signed + padding + text.scalars)
        case "^": return JinjaText(padding.prefix(missing / 2) + signed + text.scalars + padding.dropFirst(missing / 2))
        default: return JinjaText(padding + signed + text.scalars)
        }
    }

    func number(_ magnitude: String, isNegative: Bool, prefix: String = "") -> JinjaText {
        var text = magnitude
        if groups {
            let whole = text.prefix { $0.isNumber }
            var grouped = ""
            for (index, digit) in whole.enumerated() { grouped += index > 0 && (whole.count - index) % 3 == 0 ? ",\(digit)" : "\(digit)" }
            text = grouped + text.dropFirst(whole.count)
        }
        return padded(JinjaText(text), sign: (isNegative ? "-" : sign == "-" ? "" : String(Character(sign))) + prefix, isNumber: true)
    }

    func integer(_ value: Int) throws -> JinjaText {
        switch type ?? "d" {
        case "d", "i", "u":
            let digits = String(value.magnitude)
            let zeros = String(repeating: "0", count: max(0, (precision ?? 0) - digits.count))
            return number(zeros + digits, isNegative: value < 0)
        case "x": return number(String(value.magnitude, radix: 16), isNegative: value < 0, prefix: isAlternate ? "0x" : "")
        case "X": return number(String(value.magnitude, radix: 16, uppercase: true), isNegative: value < 0, prefix: isAlternate ? "0X" : "")
        case "o": return number(String(value.magnitude, radix: 8), isNegative: value < 0, prefix: isAlternate ? "0o" : "")
        case "b": return number(String(value.magnitude, radix: 2), isNegative: value < 0, prefix: isAlternate ? "0b" : "")
        default: return try float(Double(value))
        }
    }

    func float(_ value: Double) throws -> JinjaText {
        let isPercent = type == "%"
        let letter: Unicode.Scalar = isPercent ? "f" : type ?? "g"
        guard "fFeEgG".unicodeScalars.contains(letter), !isAlternate else {
            throw Diagnostic(.unsupported, "the format '\(letter)' of a number is not supported")
        }
        let number = isPercent ? value * 100 : value
        guard number.isFinite else { return self.number(number.isNaN ? "nan" : "inf", isNegative: number < 0) }
        let text = String(format: "%.\(precision ?? 6)\(letter)", number.magnitude)
        return self.number(text + (isPercent ? "%" : ""), isNegative: number.sign == .minus)
    }
}

extension JinjaRenderer {
    private mutating func charged(_ text: JinjaText) throws -> JinjaText {
        try charge(characters: text.count)
        return text
    }

    // MARK: format % values

    /// `format % values`: values in a tuple, one value, or a mapping for places with names.
    mutating func format(_ format: JinjaText, with value: JinjaValue) throws -> JinjaText {
        guard !format.isMarkup else { throw Diagnostic(.unsupported, "formats in markup are not supported") }
        var values: ArraySlice<JinjaValue> = [value]
        var mapping: JinjaDict?
        if case .tuple(let items) = value { values = items.all[...] }
        if case .dict(let dict) = value { mapping = dict }
        let allowsRest = switch value {
        case .dict, .list, .range, .undefined: true
        default: false
        }
        var result: [Unicode.Scalar] = []
        var rest = format.scalars[...]
        while let scalar = rest.popFirst() {
            guard scalar == "%" else {
                result.append(scalar)
                continue
            }
            var named: JinjaValue?
            if rest.first == "(" {
                guard let mapping, let end = rest.firstIndex(of: ")"), let found = mapping[JinjaText(rest[rest.startIndex + 1..<end])] else {
                    throw Diagnostic(.invalid, "a place with a name in a format has no value")
                }
                named = found
                rest = rest[(end + 1)...]
            }
            func take() throws -> JinjaValue {
                if let named { return named }
                guard let value = values.popFirst() else { throw Diagnostic(.invalid, "a format has more places than there are values") }
                return value
            }
            var spec = try percentSpec(&rest, take)
            guard let type = rest.popFirst() else { throw Diagnostic(.invalid, "a format ends within a place") }
            if type == "%" {
                result.append("%")
                continue
            }
            spec.type = type
            result += try charged(percent(spec, take())).scalars
        }
        guard values.isEmpty || allowsRest else { throw Diagnostic(.invalid, "there are more values than places in a format") }
        return try charged(JinjaText(result))
    }

    private func percentSpec(_ rest: inout ArraySlice<Unicode.Scalar>, _ take: () throws -> JinjaValue) throws -> JinjaFormat {
        var spec = JinjaFormat(align: ">")
        var isZero = false
        while let flag = rest.first, "-+ 0#".unicodeScalars.contains(flag) {
            rest.removeFirst()
            switch flag {
            case "-": spec.align = "<"
            case "0": isZero = true
            case "#": spec.isAlternate = true
            default: if spec.sign != "+" { spec.sign = flag }
            }
        }
        if isZero, spec.align == ">" { (spec.fill, spec.align) = ("0", "=") }
        if rest.first == "*" { throw Diagnostic(.unsupported, "'*' in a format is not supported") }
        spec.width = try JinjaFormat.number(&rest) ?? 0
        if rest.first == "." {
            rest.removeFirst()
            spec.precision = try JinjaFormat.number(&rest) ?? 0
        }
        while let size = rest.first, "hlL".unicodeScalars.contains(size) { rest.removeFirst() }
        return spec
    }

    private mutating func percent(_ spec: JinjaFormat, _ value: JinjaValue) throws -> JinjaText {
        switch spec.type {
        case "s", "r":
            let text = spec.type == "s" ? try string(value) : try repr(value)
            var plain = spec
            if plain.align == "=" { (plain.align, plain.fill) = (">", " ") }
            return plain.padded(JinjaText(text.scalars.prefix(spec.precision ?? .max)), isNumber: false)
        case "d", "i", "u":
            if case .float(let number) = value, let whole = Int(exactly: number.rounded(.towardZero)) { return try spec.integer(whole) }
            guard let number = value.integer else { break }
            return try spec.integer(number)
        case "x", "X", "o":
            guard let number = value.integer, spec.precision == nil else { break }
            return try spec.integer(number)
        case "f", "F", "e", "E", "g", "G":
            guard let number = value.number else { break }
            return try spec.float(number)
        default: throw Diagnostic(.unsupported, "the place '%\(spec.type.map(String.init) ?? "")' of a format is not supported")
        }
        throw Diagnostic(.invalid, "'%\(spec.type.map(String.init) ?? "")' needs a number, not a \(value.typeName)")
    }

    // MARK: "{}".format(values)

    mutating func format(_ format: JinjaText, _ arguments: JinjaArguments) throws -> JinjaText {
        guard !format.isMarkup else { throw Diagnostic(.unsupported, "formats in markup are not supported") }
        var result: [Unicode.Scalar] = []
        var rest = format.scalars[...]
        var nextPlace = 0
        while let scalar = rest.popFirst() {
            if scalar == "{" || scalar == "}", rest.first == scalar {
                result.append(scalar)
                rest.removeFirst()
            } else if scalar == "{" {
                guard let end = rest.firstIndex(of: "}") else { throw Diagnostic(.invalid, "a place in a format does not end") }
                let field = rest[..<end]
                guard !field.contains("{") else { throw Diagnostic(.unsupported, "places inside places of a format are not supported") }
                rest = rest[(end + 1)...]
                result += try charged(replaced(field, arguments, &nextPlace)).scalars
            } else if scalar == "}" {
                throw Diagnostic(.invalid, "a single '}' stands in a format")
            } else {
                result.append(scalar)
            }
        }
        return try charged(JinjaText(result))
    }

    private mutating func replaced(_ field: ArraySlice<Unicode.Scalar>, _ arguments: JinjaArguments, _ nextPlace: inout Int) throws -> JinjaText {
        let colon = field.firstIndex(of: ":") ?? field.endIndex
        let spec = JinjaText(field[colon...].dropFirst())
        var head = JinjaText(field[..<colon]).string
        let conversion = head.hasSuffix("!r") || head.hasSuffix("!s") ? head.last : nil
        if conversion != nil { head.removeLast(2) }
        guard head.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" }) else {
            throw Diagnostic(.unsupported, "the place '{\(head)}' of a format is not supported")
        }
        var value: JinjaValue?
        if let place = head.isEmpty ? nextPlace : Int(head) {
            guard head.isEmpty ? nextPlace >= 0 : nextPlace <= 0 else {
                throw Diagnostic(.invalid, "places with and without numbers are mixed in a format")
            }
            nextPlace = head.isEmpty ? nextPlace + 1 : -1
            value = place < arguments.positional.count ? arguments.positional[place] : nil
        } else {
            value = arguments.named.first { $0.name == head }?.value
        }
        guard let value else { throw Diagnostic(.invalid, "the place '{\(head)}' of a format has no value") }
        if conversion == "r" { return try self.spec(spec, .text(repr(value))) }
        return try self.spec(spec, conversion == "s" ? .text(string(value)) : value)
    }

    private mutating func spec(_ text: JinjaText, _ value: JinjaValue) throws -> JinjaText {
        guard !text.isEmpty else { return try string(value) }
        var spec = JinjaFormat()
        var rest = text.scalars[...]
        let aligns = "<>=^".unicodeScalars
        if rest.count > 1, aligns.contains(rest[1]) {
            spec.fill = rest.removeFirst()
            spec.align = rest.removeFirst()
        } else if let align = rest.first, aligns.contains(align) {
            spec.align = rest.removeFirst()
        }
        if let sign = rest.first, "+- ".unicodeScalars.contains(sign) { spec.sign = rest.removeFirst() }
        if rest.first == "#" { spec.isAlternate = rest.popFirst() != nil }
        if rest.first == "0", spec.align == nil { (spec.fill, spec.align) = ("0", "=") }
        spec.width = try JinjaFormat.number(&rest) ?? 0
        if rest.first == "," { spec.groups = rest.popFirst() != nil }
        if rest.first == "." {
            rest.removeFirst()
            spec.precision = try JinjaFormat.number(&rest) ?? 0
        }
        spec.type = rest.popFirst()
        guard rest.isEmpty, !(spec.groups && spec.fill == "0") else { throw Diagnostic(.unsupported, "the format '\(text.string)' is not supported") }
        switch value {
        case .text(let text):
            guard spec.type == nil || spec.type == "s", spec.align != "=", spec.sign == "-", !spec.groups else { break }
            return spec.padded(JinjaText(text.scalars.prefix(spec.precision ?? .max)), isNumber: false)
        case .int(let number):
            let letters = spec.precision == nil ? "dxXobfFeEgG%" : "fFeEgG%"
            guard letters.unicodeScalars.contains(spec.type ?? "d") else { break }
            return try spec.integer(number)
        case .float(let number):
            guard let type = spec.type, "fFeEgG%".unicodeScalars.contains(type) else { break }
            return try spec.float(number)
        default: break
        }
        throw Diagnostic(.unsupported, "the format '\(text.string)' of a \(value.typeName) is not supported")
    }
}
