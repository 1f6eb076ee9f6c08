import GlmcIR

/// The methods of Python's types that templates call.
enum JinjaMethods {
    static func method(of value: JinjaValue, _ name: String) -> JinjaBuiltin? {
        switch value {
        case .text: text[name]
        case .dict: dict[name]
        case .list, .tuple, .range: sequence[name]
        case .int, .bool, .float: number[name]
        default: nil
        }
    }

    /// Methods that would change their value; a sandbox shows them as undefined.
    static let changing: [String: Set<String>] = [
        "dict": ["clear", "pop", "popitem", "setdefault", "update"],
        "list": ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"],
    ]

    /// Methods that are known and not written here, by the type of their value.
    private static let missing: [String: Set<String>] = [
        "str": ["encode", "expandtabs", "format_map", "maketrans", "translate"],
        "dict": ["fromkeys"],
        "int": ["as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag", "numerator", "real", "to_bytes"],
        "float": ["as_integer_ratio", "conjugate", "fromhex", "hex", "imag", "real"],
        "range": ["start", "step", "stop"],
        "dict_keys": ["isdisjoint", "mapping"], "dict_values": ["mapping"], "dict_items": ["isdisjoint", "mapping"],
    ]

    /// Names that only a method of a text can have, refused wherever they are called.
    static let unsupported: Set<String> = ["encode", "expandtabs", "format_map", "maketrans", "translate"]

    static func unsupported(of value: JinjaValue, _ name: String) -> Bool {
        let aliases = ["Markup": "str", "bool": "int"]
        return missing[aliases[value.typeName] ?? value.typeName]?.contains(name) == true
    }

    // MARK: Texts

    private static func receiver(_ value: JinjaValue) -> JinjaText { value.text ?? "" }

    private static func argument(_ value: JinjaValue?, _ method: String) throws -> JinjaText {
        guard let text = value?.text else { throw Diagnostic(.invalid, "'\(method)' needs a text, not a \(value?.typeName ?? "missing argument")") }
        return text
    }

    /// An argument that may be missing or None.
    private static func optional(_ value: JinjaValue?, _ method: String) throws -> JinjaText? {
        guard let value else { return nil }
        if case .none = value { return nil }
        return try argument(value, method)
    }

    private static func integer(_ value: JinjaValue?, _ fallback: Int, _ method: String) throws -> Int {
        guard let value else { return fallback }
        guard let number = value.integer else { throw Diagnostic(.invalid, "'\(method)' needs an integer, not a \(value.typeName)") }
        return number
    }

    /// Python's limits of -1 mean none.
    private static func limit(_ value: JinjaValue?, _ method: String) throws -> Int {
        let limit = try integer(value, -1, method)
        return limit < 0 ? .max : limit
    }

    private static func mapped(_ map: @escaping @Sendable (JinjaText) -> JinjaText) -> JinjaBuiltin {
        JinjaBuiltin { renderer, value, _ in
            let text = receiver(value)
            try renderer.charge(characters: text.count)
            return .text(map(text))
        }
    }

    private static func every(emptyToo isEmpty: Bool = false, _ property: @escaping @Sendable (Unicode.Scalar) -> Bool) -> JinjaBuiltin {
        JinjaBuiltin { _, value, _ in .bool((isEmpty || !receiver(value).isEmpty) && receiver(value).scalars.allSatisfy(property)) }
    }

    private static func strip(_ name: String, left: Bool = true, right: Bool = true) -> JinjaBuiltin {
        JinjaBuiltin([""]) { renderer, value, arguments in
            try renderer.charge(characters: receiver(value).count)
            return .text(receiver(value).stripped(of: try optional(arguments[0], name), left: left, right: right))
        }
    }

    private static func split(_ name: String, fromRight: Bool) -> JinjaBuiltin {
        JinjaBuiltin(["sep", "maxsplit"]) { renderer, value, arguments in
            let text = receiver(value)
            let limit = try limit(arguments[1], name)
            try renderer.charge(characters: 4 * text.count)
            let parts: [JinjaText]
            if let separator = try optional(arguments[0], name) {
                guard !separator.isEmpty else { throw Diagnostic(.invalid, "the separator of '\(name)' is empty") }
                parts = text.split(at: separator, limit: limit, fromRight: fromRight)
            } else {
                parts = text.splitAtSpace(limit: limit, fromRight: fromRight)
            }
            try renderer.charge(elements: 2 * parts.count)
            return try renderer.list(parts.map { .text($0) })
        }
    }

    /// The part of a text between optional bounds, and where it begins; nil where it begins behind the end.
    private static func part(_ text: JinjaText, _ start: JinjaValue?, _ end: JinjaValue?, _ method: String) throws -> (text: JinjaText, start: Int)? {
        func place(_ value: JinjaValue?, _ fallback: Int) throws -> Int {
            if case .some(.none) = value { return fallback }
            let place = try integer(value, fallback, method)
            return place < 0 ? max(0, max(place, -text.count) + text.count) : place
        }
        let (from, to) = (try place(start, 0), min(try place(end, text.count), text.count))
        return from <= to ? (text[from..<to], from) : nil
    }

    private static func affix(_ name: String, _ holds: @escaping @Sendable (JinjaText, JinjaText) -> Bool) -> JinjaBuiltin {
        JinjaBuiltin(["", "", ""], required: 1) { renderer, value, arguments in
            var options = [arguments[0] ?? .none]
            if case .some(.tuple(let items)) = arguments[0] { options = items.all }
            let texts = try options.map { try argument($0, name) }
            guard let part = try part(receiver(value), arguments[1], arguments[2], name) else { return .bool(false) }
            try renderer.step(texts.reduce(0) { $0 + $1.count } / 16)
            return .bool(texts.contains { holds(part.text, $0) })
        }
    }

    private static func find(_ name: String, fromRight: Bool, fails: Bool) -> JinjaBuiltin {
        JinjaBuiltin(["", "", ""], required: 1) { renderer, value, arguments in
            let searched = try argument(arguments[0], name)
            try renderer.step(receiver(value).count / 16)
            if let (text, start) = try part(receiver(value), arguments[1], arguments[2], name) {
                if !fromRight, let place = text.places(of: searched, limit: 1).first { return .int(start + place) }
                if fromRight, let place = text.reversed.places(of: searched.reversed, limit: 1).first {
                    return .int(start + text.count - searched.count - place)
                }
            }
            guard !fails else { throw Diagnostic(.invalid, "'\(name)' does not find the text it looks for") }
            return .int(-1)
        }
    }

    private static func pad(_ name: String, _ left: @escaping @Sendable (_ missing: Int, _ width: Int) -> Int) -> JinjaBuiltin {
        JinjaBuiltin(["", ""], required: 1) { renderer, value, arguments in
            let text = receiver(value)
            let width = try integer(arguments[0], 0, name)
            let fill = try arguments[1].map { try argument($0, name) } ?? " "
            guard fill.count == 1 else { throw Diagnostic(.invalid, "'\(name)' fills with one character, not \(fill.count)") }
            guard width > text.count else { return .text(text) }
            try renderer.charge(characters: width)
            let missing = width - text.count
            let before = left(missing, width)
            func filled(_ count: Int) -> [Unicode.Scalar] { [Unicode.Scalar](repeating: fill.scalars[0], count: count) }
            return .text(JinjaText(filled(before) + text.scalars + filled(missing - before), isMarkup: text.isMarkup))
        }
    }

    private static func partition(_ name: String, fromRight: Bool) -> JinjaBuiltin {
        JinjaBuiltin([""], required: 1) { renderer, value, arguments in
            let text = receiver(value)
            let separator = try argument(arguments[0], name)
            guard !separator.isEmpty else { throw Diagnostic(.invalid, "the separator of '\(name)' is empty") }
            try renderer.charge(characters: text.count)
            let parts = text.split(at: separator, limit: 1, fromRight: fromRight)
            let three = parts.count == 2 ? [parts[0], separator, parts[1]] : fromRight ? ["", "", text] : [text, "", ""]
            return .tuple(try JinjaItems(three.map { .text($0) }))
        }
    }

    private static let text: [String: JinjaBuiltin] = [
        "strip": strip("strip"), "lstrip": strip("lstrip", right: false), "rstrip": strip("rstrip", left: false),
        "split": split("split", fromRight: false), "rsplit": split("rsplit", fromRight: true),
        "upper": mapped(\.uppercased), "lower": mapped(\.lowercased), "title": mapped(\.titlecased),
        "capitalize": mapped(\.capitalized), "swapcase": mapped(\.swappedCase),
        "casefold": JinjaBuiltin { _, value, _ in
            guard receiver(value).scalars.allSatisfy(\.isASCII) else {
                throw Diagnostic(.unsupported, "'casefold' of letters beyond ASCII is not supported")
            }
            return .text(receiver(value).lowercased)
        },
        "startswith": affix("startswith") { $0.starts(with: $1) }, "endswith": affix("endswith") { $0.ends(with: $1) },
        "find": find("find", fromRight: false, fails: false), "rfind": find("rfind", fromRight: true, fails: false),
        "index": find("index", fromRight: false, fails: true), "rindex": find("rindex", fromRight: true, fails: true),
        "ljust": pad("ljust") { _, _ in 0 }, "rjust": pad("rjust") { missing, _ in missing },
        "center": pad("center") { missing, width in missing / 2 + (missing & width & 1) },
        "partition": partition("partition", fromRight: false), "rpartition": partition("rpartition", fromRight: true),
        "isalpha": every({ $0.isPythonAlpha }), "isalnum": every({ $0.isPythonAlnum }), "isdecimal": every({ $0.isPythonDecimal }),
        "isdigit": every({ $0.isPythonDigit }),
        "isnumeric": every({ $0.isPythonNumeric }), "isspace": every({ $0.isPythonSpace }), "isascii": every(emptyToo: true, { $0.isASCII }),
        "isprintable": every(emptyToo: true, { $0.isPythonPrintable }),
        "isupper": JinjaBuiltin { _, value, _ in .bool(receiver(value).isUpper) },
        "islower": JinjaBuiltin { _, value, _ in .bool(receiver(value).isLower) },
        "istitle": JinjaBuiltin { _, value, _ in .bool(receiver(value).isTitle) },
        "isidentifier": JinjaBuiltin { _, value, _ in
            let scalars = receiver(value).scalars
            return .bool(scalars.first.map { $0 == "_" || $0.properties.isXIDStart } == true && scalars.allSatisfy(\.properties.isXIDContinue))
        },
        "replace": JinjaBuiltin(["", "", ""], required: 2) { renderer, value, arguments in
            try renderer.replace(receiver(value), argument(arguments[0], "replace"), argument(arguments[1], "replace"), limit(arguments[2], "replace"))
        },
        "count": JinjaBuiltin(["", "", ""], required: 1) { renderer, value, arguments in
            let searched = try argument(arguments[0], "count")
            try renderer.step(receiver(value).count / 16)
            return .int(try part(receiver(value), arguments[1], arguments[2], "count")?.text.places(of: searched).count ?? 0)
        },
        "join": JinjaBuiltin([""], required: 1) { renderer, value, arguments in
            let parts = try renderer.elements(arguments[0] ?? .none).map { try argument($0, "join") }
            return try renderer.join(parts, receiver(value))
        },
        "splitlines": JinjaBuiltin(["keepends"]) { renderer, value, arguments in
            try renderer.charge(characters: 4 * receiver(value).count)
            let lines = receiver(value).lines(keepingEnds: arguments[0].map { renderer.isTrue($0) } ?? false)
            try renderer.charge(elements: 2 * lines.count)
            return try renderer.list(lines.map { .text($0) })
        },
        "zfill": JinjaBuiltin([""], required: 1) { renderer, value, arguments in
            let scalars = receiver(value).scalars
            let missing = max(scalars.count, try integer(arguments[0], 0, "zfill")) - scalars.count
            try renderer.charge(characters: missing)
            let sign = scalars.prefix { $0 == "+" || $0 == "-" }.prefix(1)
            return .text(JinjaText(sign + [Unicode.Scalar](repeating: "0", count: missing) + scalars.dropFirst(sign.count)))
        },
        "removeprefix": JinjaBuiltin([""], required: 1) { _, value, arguments in
            let (text, affix) = (receiver(value), try argument(arguments[0], "removeprefix"))
            return .text(text.starts(with: affix) ? text[affix.count..<text.count] : text)
        },
        "removesuffix": JinjaBuiltin([""], required: 1) { _, value, arguments in
            let (text, affix) = (receiver(value), try argument(arguments[0], "removesuffix"))
            return .text(text.ends(with: affix) ? text[0..<(text.count - affix.count)] : text)
        },
        "format": JinjaBuiltin.free({ renderer, value, arguments in .text(try renderer.format(receiver(value), arguments)) }),
    ]

    // MARK: Mappings, sequences and numbers

    private static func view(_ view: JinjaView) -> JinjaBuiltin {
        JinjaBuiltin { _, value, _ in if case .dict(let dict) = value { .view(dict, view) } else { .none } }
    }

    private static let dict: [String: JinjaBuiltin] = [
        "items": view(.items), "keys": view(.keys), "values": view(.values),
        "get": JinjaBuiltin(["", ""], required: 1) { _, value, arguments in
            guard case .dict(let dict) = value, let key = arguments[0] else { return .none }
            return try dict.value(of: key) ?? arguments[1] ?? .none
        },
        "copy": JinjaBuiltin { _, value, _ in value },
    ]

    private static let sequence: [String: JinjaBuiltin] = [
        "copy": JinjaBuiltin { _, value, _ in value },
        "count": JinjaBuiltin([""], required: 1) { renderer, value, arguments in
            var count = 0
            for item in try renderer.elements(value) where try renderer.equal(item, arguments[0] ?? .none) { count += 1 }
            return .int(count)
        },
        "index": JinjaBuiltin([""], required: 1) { renderer, value, arguments in
            for (index, item) in try renderer.elements(value).enumerated() where try renderer.equal(item, arguments[0] ?? .none) {
                return .int(index)
            }
            throw Diagnostic(.invalid, "'index' does not find the value it looks for")
        },
    ]

    private static let number: [String: JinjaBuiltin] = [
        "is_integer": JinjaBuiltin { _, value, _ in .bool(value.number.map { $0 == $0.rounded() && $0.isFinite } ?? false) }
    ]
}

extension JinjaRenderer {
    mutating func replace(_ text: JinjaText, _ old: JinjaText, _ new: JinjaText, _ limit: Int) throws -> JinjaValue {
        try step(text.count / 16)
        let places = text.places(of: old, limit: limit).count
        try charge(characters: text.count + places * new.count)
        return .text(text.replacing(old, with: new, limit: limit))
    }

    mutating func join(_ parts: [JinjaText], _ separator: JinjaText) throws -> JinjaValue {
        try charge(characters: parts.reduce(0) { $0 + $1.count + separator.count })
        return .text(separator.joining(parts))
    }
}
