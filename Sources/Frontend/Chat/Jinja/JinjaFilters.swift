import Foundation
import GlmcIR

/// What stands behind `|`.
enum JinjaFilters {
    static let all: [String: JinjaBuiltin] = texts.merging(collections) { first, _ in first }.merging(numbers) { first, _ in first }

    // MARK: Texts

    /// A filter of the text of any value.
    private static func mapped(_ map: @escaping @Sendable (JinjaText) -> JinjaText) -> JinjaBuiltin {
        JinjaBuiltin { renderer, value, _ in
            let text = try renderer.string(value)
            try renderer.charge(characters: text.count)
            return .text(map(text))
        }
    }

    private static let texts: [String: JinjaBuiltin] = [
        "upper": mapped(\.uppercased), "lower": mapped(\.lowercased), "capitalize": mapped(\.capitalized), "title": mapped(title),
        "string": mapped { $0 },
        "safe": mapped { JinjaText($0.scalars, isMarkup: true) },
        "e": escape, "escape": escape,
        "forceescape": mapped { JinjaText($0.scalars).escaped },
        "trim": JinjaBuiltin(["chars"]) { renderer, value, arguments in
            let text = try renderer.string(value)
            try renderer.charge(characters: text.count)
            return .text(text.stripped(of: try optionalText(arguments[0], "trim")))
        },
        "replace": JinjaBuiltin(["old", "new", "count"], required: 2) { renderer, value, arguments in
            let limit = try optionalInteger(arguments[2], "replace").map { $0 < 0 ? .max : $0 } ?? .max
            let text = JinjaText(try renderer.string(value).scalars)
            return try renderer.replace(text, renderer.string(arguments[0] ?? .none), renderer.string(arguments[1] ?? .none), limit)
        },
        "center": JinjaBuiltin(["width"]) { renderer, value, arguments in
            let text = try renderer.string(value)
            return try renderer.call(.method(.text(text), "center"), JinjaArguments(positional: [arguments[0] ?? .int(80)]))
        },
        "indent": JinjaBuiltin(["width", "first", "blank"]) { renderer, value, arguments in try indent(&renderer, value, arguments) },
        "truncate": JinjaBuiltin(["length", "killwords", "end", "leeway"]) { renderer, value, arguments in
            let length = try optionalInteger(arguments[0], "truncate") ?? 255
            let end = try optionalText(arguments[2], "truncate") ?? "..."
            let leeway = try optionalInteger(arguments[3], "truncate") ?? 5
            guard length >= end.count, length <= 1 << 40, (0...(1 << 40)).contains(leeway) else {
                throw Diagnostic(.invalid, "'truncate' has no room for its end")
            }
            if try renderer.length(value) <= length + leeway { return value }
            guard let text = value.text else { throw Diagnostic(.invalid, "'truncate' needs a text, not a \(value.typeName)") }
            let kept = text[0..<(length - end.count)]
            let isHard = arguments[1].map { renderer.isTrue($0) } ?? false
            return .text(JinjaText((isHard ? kept : kept.split(at: " ", limit: 1, fromRight: true)[0]).scalars + end.scalars))
        },
        "wordcount": JinjaBuiltin { renderer, value, _ in
            .int(try renderer.string(value).scalars.split { !$0.isPythonWord }.count)
        },
        "format": JinjaBuiltin.free({ renderer, value, arguments in
            guard arguments.positional.isEmpty || arguments.named.isEmpty else {
                throw Diagnostic(.invalid, "'format' takes arguments with or without names, not both")
            }
            let format = try renderer.string(value)
            let values: JinjaValue = try arguments.named.isEmpty ? .tuple(JinjaItems(arguments.positional)) : .dict(renderer.dict(from: arguments))
            return .text(try renderer.format(format, with: values))
        }),
        "tojson": JinjaBuiltin(["ensure_ascii", "indent", "separators", "sort_keys"]) { renderer, value, arguments in
            .text(try renderer.json(value, style(&renderer, arguments)))
        },
    ]

    private static let escape = mapped(\.escaped)

    /// Words begin behind white space, hyphens and opening brackets.
    private static func title(_ text: JinjaText) -> JinjaText {
        func separates(_ scalar: Unicode.Scalar) -> Bool { scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar) }
        var result: [Unicode.Scalar] = []
        var rest = text.scalars[...]
        while !rest.isEmpty {
            let word = rest.prefix { !separates($0) }
            rest = rest[word.endIndex...]
            let gap = rest.prefix(while: separates)
            rest = rest[gap.endIndex...]
            result += JinjaText(word.prefix(1)).uppercased.scalars + JinjaText(word.dropFirst()).lowercased.scalars + gap
        }
        return JinjaText(result, isMarkup: text.isMarkup)
    }

    private static func indent(_ renderer: inout JinjaRenderer, _ value: JinjaValue, _ arguments: [JinjaValue?]) throws -> JinjaValue {
        guard let text = value.text else { throw Diagnostic(.invalid, "'indent' needs a text, not a \(value.typeName)") }
        let width: JinjaText
        if let given = arguments[0]?.text {
            width = given
        } else {
            let count = max(0, try optionalInteger(arguments[0], "indent") ?? 4)
            try renderer.charge(characters: count)
            width = JinjaText([Unicode.Scalar](repeating: " ", count: count))
        }
        let (first, blank) = (arguments[1].map { renderer.isTrue($0) } ?? false, arguments[2].map { renderer.isTrue($0) } ?? false)
        let lines = JinjaText(text.scalars + ["\n"]).lines()
        let (size, isTooLarge) = lines.count.multipliedReportingOverflow(by: width.count + 1)
        try renderer.charge(characters: isTooLarge ? .max : size)
        try renderer.charge(characters: text.count)
        let indented = lines.enumerated().map { index, line in
            let isIndented = index == 0 ? first : blank || !line.isEmpty
            return isIndented ? JinjaText(width.scalars + line.scalars) : line
        }
        return .text(JinjaText(JinjaText("\n").joining(indented).scalars, isMarkup: text.isMarkup))
    }

    private static func style(_ renderer: inout JinjaRenderer, _ arguments: [JinjaValue?]) throws -> JinjaRenderer.JSONStyle {
        var indent: JinjaText?
        if let text = arguments[1]?.text {
            indent = text
        } else if let count = try optionalInteger(arguments[1], "tojson") {
            try renderer.charge(characters: max(count, 0))
            indent = JinjaText([Unicode.Scalar](repeating: " ", count: max(count, 0)))
        }
        var style = JinjaRenderer.JSONStyle(indent: indent, itemSeparator: indent == nil ? ", " : ",")
        if let separators = arguments[2], renderer.isTrue(separators) {
            let parts = try renderer.elements(separators).compactMap(\.text)
            guard parts.count == 2 else { throw Diagnostic(.invalid, "'separators' of 'tojson' are two texts") }
            (style.itemSeparator, style.keySeparator) = (parts[0], parts[1])
        }
        style.isASCII = arguments[0].map { renderer.isTrue($0) } ?? false
        style.sortsKeys = arguments[3].map { renderer.isTrue($0) } ?? false
        return style
    }

    // MARK: Arguments

    private static func optionalText(_ value: JinjaValue?, _ filter: String) throws -> JinjaText? {
        guard let value else { return nil }
        if case .none = value { return nil }
        guard let text = value.text else { throw Diagnostic(.invalid, "'\(filter)' needs a text, not a \(value.typeName)") }
        return text
    }

    static func optionalInteger(_ value: JinjaValue?, _ filter: String) throws -> Int? {
        guard let value else { return nil }
        if case .none = value { return nil }
        guard let number = value.integer else { throw Diagnostic(.invalid, "'\(filter)' needs an integer, not a \(value.typeName)") }
        return number
    }

    // MARK: Numbers

    private static let numbers: [String: JinjaBuiltin] = [
        "abs": JinjaBuiltin { renderer, value, _ in
            guard let number = value.number else { throw Diagnostic(.invalid, "'abs' needs a number, not a \(value.typeName)") }
            return number.sign == .minus ? try renderer.negative(value) : try renderer.positive(value)
        },
        "int": JinjaBuiltin(["default", "base"]) { _, value, arguments in
            if case .undefined(let reason) = value { throw Diagnostic(.invalid, reason) }
            let base = try optionalInteger(arguments[1], "int") ?? 10
            guard (2...36).contains(base) else { throw Diagnostic(.unsupported, "the base \(base) of 'int' is not supported") }
            if let number = value.integer { return .int(number) }
            var number = value.number
            if let text = value.text {
                if let whole = try PythonNumber.integer(text, base: base) { return .int(whole) }
                number = PythonNumber.float(text)
            }
            guard let number, number.isFinite else {
                if value.text == nil, let number, !number.isNaN { throw Diagnostic(.invalid, "an infinite number is no integer") }
                return arguments[0] ?? .int(0)
            }
            guard let whole = Int(exactly: number.rounded(.towardZero)) else { throw Diagnostic(.invalid, "a number does not fit 64 bits") }
            return .int(whole)
        },
        "float": JinjaBuiltin(["default"]) { _, value, arguments in
            if case .undefined(let reason) = value { throw Diagnostic(.invalid, reason) }
            return (value.number ?? value.text.flatMap(PythonNumber.float)).map(JinjaValue.float) ?? arguments[0] ?? .float(0)
        },
        "round": JinjaBuiltin(["precision", "method"]) { _, value, arguments in
            if case .undefined(let reason) = value { throw Diagnostic(.invalid, reason) }
            let precision = try optionalInteger(arguments[0], "round") ?? 0
            let method = try optionalText(arguments[1], "round")?.string ?? "common"
            guard let number = value.number, ["common", "ceil", "floor"].contains(method) else {
                throw Diagnostic(.invalid, "'round' needs a number and one of common, ceil and floor")
            }
            guard (0...300).contains(precision) else { throw Diagnostic(.unsupported, "a precision of \(precision) in 'round' is not supported") }
            guard number.isFinite else { throw Diagnostic(.invalid, "'round' of an infinite number") }
            if method == "common" {
                if value.integer != nil { return .int(value.integer ?? 0) }
                return .float(Double(String(format: "%.\(precision)f", number)) ?? number)
            }
            let scale = pow(10, Double(precision))
            return .float((method == "ceil" ? ceil(number * scale) : floor(number * scale)) / scale)
        },
    ]
}

/// Numbers as Python reads them from a text: white space around them, single underscores between digits.
enum PythonNumber {
    private static func cleaned(_ text: JinjaText) -> String? {
        let scalars = text.stripped().scalars
        for (index, scalar) in scalars.enumerated() where scalar == "_" {
            guard index > 0, index + 1 < scalars.count, scalars[index - 1].isPythonAlnum, scalars[index + 1].isPythonAlnum else { return nil }
        }
        return JinjaText(scalars.compactMap { scalar -> Unicode.Scalar? in
            guard scalar != "_" else { return nil }
            if scalar.isPythonDecimal, let digit = scalar.properties.numericValue { return Unicode.Scalar(UInt8(48 + Int(digit))) }
            return scalar
        }).string
    }

    /// - Throws: where the number does not fit 64 bits.
    static func integer(_ text: JinjaText, base: Int) throws -> Int? {
        guard var digits = cleaned(text)?.lowercased() else { return nil }
        let isNegative = digits.hasPrefix("-")
        if isNegative || digits.hasPrefix("+") { digits.removeFirst() }
        let prefixes = [16: "0x", 8: "0o", 2: "0b"]
        if let prefix = prefixes[base], digits.hasPrefix(prefix) { digits.removeFirst(2) }
        func isDigit(_ scalar: Unicode.Scalar) -> Bool {
            scalar.isASCII && (Character(scalar).hexDigitValue ?? Int(scalar.value) - 87) < base && scalar.isPythonAlnum
        }
        guard !digits.isEmpty, digits.unicodeScalars.allSatisfy(isDigit) else { return nil }
        guard let value = Int((isNegative ? "-" : "") + digits, radix: base) else { throw Diagnostic(.invalid, "a number does not fit 64 bits") }
        return value
    }

    static func float(_ text: JinjaText) -> Double? {
        guard let text = cleaned(text)?.lowercased() else { return nil }
        let unsigned = text.hasPrefix("-") || text.hasPrefix("+") ? String(text.dropFirst()) : text
        let sign: Double = text.hasPrefix("-") ? -1 : 1
        if unsigned == "inf" || unsigned == "infinity" { return sign * .infinity }
        if unsigned == "nan" { return .nan }
        guard unsigned.utf8.allSatisfy({ (48...57).contains($0) || [43, 45, 46, 101].contains($0) }) else { return nil }
        return strict(unsigned).map { sign * $0 }
    }

    /// `strtod` over the whole text, which also reads `.5` and `5.`.
    private static func strict(_ text: String) -> Double? {
        guard let first = text.utf8.first, first != 43, first != 45 else { return nil }
        return text.withCString { start in
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            return end.map { UnsafePointer($0) - start } == text.utf8.count ? value : nil
        }
    }
}
