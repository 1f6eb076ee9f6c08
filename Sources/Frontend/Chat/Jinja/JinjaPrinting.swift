import Foundation
import GlmcIR

// How Python writes values: `str`, `repr` and `json.dumps`.
extension JinjaRenderer {
    /// `str(value)`.
    mutating func string(_ value: JinjaValue) throws -> JinjaText {
        switch value {
        case .text(let text): return text
        case .undefined: return ""
        default: return try repr(value)
        }
    }

    /// `repr(value)`.
    mutating func repr(_ value: JinjaValue) throws -> JinjaText {
        try step()
        switch value {
        case .undefined: return "Undefined"
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .int(let value): return JinjaText(String(value))
        case .float(let value): return JinjaText(value.pythonText)
        case .text(let text):
            try charge(characters: text.count)
            let quoted = text.quoted
            return text.isMarkup ? JinjaText("Markup(".unicodeScalars + quoted.scalars + ")".unicodeScalars) : quoted
        case .list(let items): return try sequence("[", items.all, "]")
        case .tuple(let items): return try sequence("(", items.all, items.all.count == 1 ? ",)" : ")")
        case .dict(let dict): return try pairs("{", dict, "}")
        case .range(let range):
            return JinjaText("range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))")
        case .view(let dict, let view):
            var inside = try sequence("dict_\(view)([", elements(.view(dict, view)), "])")
            inside.isMarkup = false
            return inside
        case .object(let number):
            if case .macro(let macro, _) = objects[number] {
                return JinjaText("<Macro \(macro.name.isEmpty ? "anonymous" : JinjaText(macro.name).quoted.string)>")
            }
            if case .namespace(let dict) = objects[number] { return try nested { try $0.pairs("<Namespace {", dict, "}>") } }
            throw Diagnostic(.unsupported, "the text of an iterator or loop is not supported")
        case .method, .function: throw Diagnostic(.unsupported, "the text of a function is not supported", hint: "call it with ()")
        }
    }

    private mutating func sequence(_ open: String, _ items: [JinjaValue], _ close: String) throws -> JinjaText {
        var parts: [JinjaText] = []
        for item in items { parts.append(try repr(item)) }
        return try bracketed(open, parts, close)
    }

    private mutating func pairs(_ open: String, _ dict: JinjaDict, _ close: String) throws -> JinjaText {
        var parts: [JinjaText] = []
        for (key, value) in dict.entries { parts.append(JinjaText(try repr(key).scalars + ": ".unicodeScalars + repr(value).scalars)) }
        return try bracketed(open, parts, close)
    }

    private mutating func bracketed(_ open: String, _ parts: [JinjaText], _ close: String, separator: JinjaText = ", ") throws -> JinjaText {
        try charge(characters: parts.reduce(0) { $0 + $1.count + 2 })
        return JinjaText(open.unicodeScalars + separator.joining(parts).scalars + close.unicodeScalars)
    }

    // MARK: JSON

    struct JSONStyle {
        var indent: JinjaText?
        var itemSeparator: JinjaText
        var keySeparator: JinjaText = ": "
        var isASCII = false
        var sortsKeys = false
    }

    /// `json.dumps(value)`; `depth` is the nesting of this value.
    mutating func json(_ value: JinjaValue, _ style: JSONStyle, depth: Int = 0) throws -> JinjaText {
        try step()
        switch value {
        case .none: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return JinjaText(String(value))
        case .float(let value):
            return value.isFinite ? JinjaText(value.pythonText) : value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
        case .text(let text):
            try charge(characters: text.count)
            return text.json(isASCII: style.isASCII)
        case .list(let items), .tuple(let items):
            var parts: [JinjaText] = []
            for item in items.all { parts.append(try json(item, style, depth: depth + 1)) }
            return try container("[", parts, "]", style, depth)
        case .dict(let dict):
            var parts: [JinjaText] = []
            let keys = style.sortsKeys ? try sorted(dict.keys) { $1 } : dict.keys
            for key in keys {
                let name = try jsonKey(key, style)
                let value = try json(dict.value(of: key) ?? .none, style, depth: depth + 1)
                parts.append(JinjaText(name.scalars + style.keySeparator.scalars + value.scalars))
            }
            return try container("{", parts, "}", style, depth)
        default: throw Diagnostic(.invalid, "a \(value.typeName) cannot be written as JSON")
        }
    }

    private mutating func jsonKey(_ key: JinjaValue, _ style: JSONStyle) throws -> JinjaText {
        switch key {
        case .text(let text): return text.json(isASCII: style.isASCII)
        case .none, .bool, .int, .float: return JinjaText("\"".unicodeScalars + (try json(key, style)).scalars + "\"".unicodeScalars)
        default: throw Diagnostic(.invalid, "a \(key.typeName) cannot be a key in JSON")
        }
    }

    private mutating func container(_ open: String, _ parts: [JinjaText], _ close: String, _ style: JSONStyle, _ depth: Int) throws -> JinjaText {
        guard let indent = style.indent, !parts.isEmpty else { return try bracketed(open, parts, close, separator: style.itemSeparator) }
        try charge(characters: (parts.count + 1) * (depth + 1) * indent.count)
        func line(_ depth: Int) -> [Unicode.Scalar] { ["\n"] + (0..<depth).flatMap { _ in indent.scalars } }
        let separator = JinjaText(style.itemSeparator.scalars + line(depth + 1))
        return try bracketed(open + JinjaText(line(depth + 1)).string, parts, JinjaText(line(depth)).string + close, separator: separator)
    }
}

extension Double {
    /// The shortest digits that mean this number, as Python lays them out: with an exponent below 1e-4 and from 1e16 on.
    var pythonText: String {
        guard isFinite else { return isNaN ? "nan" : self < 0 ? "-inf" : "inf" }
        let sign = self.sign == .minus ? "-" : ""
        let (digits, point) = magnitude.decimal
        guard point > -4, point <= 16 else {
            let exponent = point - 1
            let mantissa = digits.count == 1 ? digits : digits.prefix(1) + "." + digits.dropFirst()
            return sign + mantissa + "e" + (exponent < 0 ? "-" : "+") + (exponent.magnitude < 10 ? "0" : "") + String(exponent.magnitude)
        }
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
        if digits.count <= point { return sign + digits + String(repeating: "0", count: point - digits.count) + ".0" }
        return sign + digits.prefix(point) + "." + digits.dropFirst(point)
    }

    /// Digits d₁d₂… and p with self = 0.d₁d₂… · 10ᵖ, without zeros at the end.
    private var decimal: (digits: String, point: Int) {
        guard self != 0 else { return ("0", 1) }
        let parts = description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let all = mantissa.joined()
        let digits = all.drop { $0 == "0" }
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let point = mantissa[0].count - (all.count - digits.count) + exponent
        let end = digits.lastIndex { $0 != "0" }.map { digits.index(after: $0) } ?? digits.endIndex
        return (String(digits[..<end]), point)
    }
}

extension JinjaText {
    private static func hex(_ value: UInt32, _ count: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, count - digits.count)) + digits
    }

    /// `repr` of a text.
    var quoted: JinjaText {
        let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
        var result: [Unicode.Scalar] = [quote]
        for scalar in scalars {
            switch scalar {
            case quote, "\\": result += ["\\", scalar]
            case "\n": result += ["\\", "n"]
            case "\r": result += ["\\", "r"]
            case "\t": result += ["\\", "t"]
            default:
                if scalar.isPythonPrintable {
                    result.append(scalar)
                } else {
                    let value = scalar.value
                    let escape = value < 0x100 ? "\\x" + Self.hex(value, 2) : value < 0x10000 ? "\\u" + Self.hex(value, 4) : "\\U" + Self.hex(value, 8)
                    result += escape.unicodeScalars
                }
            }
        }
        return JinjaText(result + [quote])
    }

    func json(isASCII: Bool) -> JinjaText {
        let short: [Unicode.Scalar: Unicode.Scalar] = ["\"": "\"", "\\": "\\", "\n": "n", "\r": "r", "\t": "t", "\u{8}": "b", "\u{c}": "f"]
        var result: [Unicode.Scalar] = ["\""]
        for scalar in scalars {
            if let letter = short[scalar] {
                result += ["\\", letter]
            } else if scalar.value < 0x20 || isASCII && scalar.value > 0x7e {
                for unit in String(Character(scalar)).utf16 { result += ("\\u" + Self.hex(UInt32(unit), 4)).unicodeScalars }
            } else {
                result.append(scalar)
            }
        }
        return JinjaText(result + ["\""])
    }
}

extension Unicode.Scalar {
    var isPythonPrintable: Bool {
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        case .spaceSeparator: self == " "
        default: true
        }
    }
}
