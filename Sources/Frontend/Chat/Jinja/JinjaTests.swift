import GlmcIR

/// What stands behind `is`.
enum JinjaTests {
    private static func property(_ holds: @escaping @Sendable (JinjaValue) -> Bool) -> JinjaBuiltin { JinjaBuiltin { _, value, _ in .bool(holds(value)) } }

    private static func comparison(_ comparison: JinjaComparison) -> JinjaBuiltin {
        JinjaBuiltin([""], required: 1) { renderer, value, arguments in .bool(try renderer.compare(value, comparison, arguments[0] ?? .none)) }
    }

    private static func remainder(_ rest: Int) -> JinjaBuiltin {
        JinjaBuiltin { renderer, value, _ in .bool(try renderer.equal(renderer.apply(.modulo, value, .int(2)), .int(rest))) }
    }

    private static func letters(_ holds: @escaping @Sendable (JinjaText) -> Bool) -> JinjaBuiltin {
        JinjaBuiltin { renderer, value, _ in .bool(holds(try renderer.string(value))) }
    }

    static let all: [String: JinjaBuiltin] = [
        "defined": property { !$0.isUndefined }, "undefined": property(\.isUndefined),
        "none": property { if case .none = $0 { true } else { false } },
        "boolean": property { if case .bool = $0 { true } else { false } },
        "true": property { if case .bool(true) = $0 { true } else { false } },
        "false": property { if case .bool(false) = $0 { true } else { false } },
        "integer": property { if case .int = $0 { true } else { false } },
        "float": property { if case .float = $0 { true } else { false } },
        "number": property { $0.number != nil },
        "string": property { $0.text != nil },
        "mapping": property { if case .dict = $0 { true } else { false } },
        "sequence": JinjaBuiltin { renderer, value, _ in
            if case .view = value { return .bool(false) }
            return .bool((try? renderer.length(value)) != nil)
        },
        "iterable": JinjaBuiltin { renderer, value, _ in
            guard case .object(let number) = value else { return .bool((try? renderer.length(value)) != nil) }
            switch renderer.objects[number] {
            case .items, .deferred, .generator, .loop: return .bool(true)
            default: return .bool(false)
            }
        },
        "callable": JinjaBuiltin { renderer, value, _ in
            switch value {
            case .method, .function, .undefined: return .bool(true)
            case .object(let number):
                switch renderer.objects[number] {
                case .macro, .joiner, .loop: return .bool(true)
                default: return .bool(false)
                }
            default: return .bool(false)
            }
        },
        "escaped": property { $0.text?.isMarkup == true },
        "lower": letters(\.isLower), "upper": letters(\.isUpper),
        "odd": remainder(1), "even": remainder(0),
        "divisibleby": JinjaBuiltin(["num"], required: 1) { renderer, value, arguments in
            .bool(try renderer.equal(renderer.apply(.modulo, value, arguments[0] ?? .none), .int(0)))
        },
        "sameas": JinjaBuiltin(["other"], required: 1) { renderer, value, arguments in
            switch (value, arguments[0] ?? .none) {
            case (.none, .none): return .bool(true)
            case (.bool(let left), .bool(let right)): return .bool(left == right)
            case (.object(let left), .object(let right)): return .bool(left == right)
            case (let left, let right):
                guard left.typeName != right.typeName else {
                    throw Diagnostic(.unsupported, "'sameas' between two values of type \(left.typeName) is not supported")
                }
                return .bool(false)
            }
        },
        "in": JinjaBuiltin(["seq"], required: 1) { renderer, value, arguments in .bool(try renderer.contains(arguments[0] ?? .none, value)) },
        "filter": JinjaBuiltin { _, value, _ in .bool(value.text.map { JinjaFilters.all[$0.string] != nil } ?? false) },
        "test": JinjaBuiltin { _, value, _ in .bool(value.text.map { JinjaTests.all[$0.string] != nil } ?? false) },
        "eq": comparison(.equal), "equalto": comparison(.equal), "==": comparison(.equal),
        "ne": comparison(.notEqual), "!=": comparison(.notEqual),
        "lt": comparison(.less), "lessthan": comparison(.less), "<": comparison(.less),
        "le": comparison(.lessEqual), "<=": comparison(.lessEqual),
        "gt": comparison(.greater), "greaterthan": comparison(.greater), ">": comparison(.greater),
        "ge": comparison(.greaterEqual), ">=": comparison(.greaterEqual),
    ]
}
