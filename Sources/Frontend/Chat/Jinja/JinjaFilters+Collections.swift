import GlmcIR

/// The way to an attribute: names and numbers with dots between them.
private struct JinjaPath: Sendable {
    private let keys: [JinjaValue]

    /// None is the value itself.
    init(_ value: JinjaValue?) throws {
        switch value {
        case nil, .some(.none): keys = []
        case .some(.text(let text)):
            keys = text.split(at: ".", limit: .max).map { part in
                let isNumber = !part.isEmpty && part.scalars.allSatisfy(\.isPythonDigit)
                return isNumber ? Int(part.string).map(JinjaValue.int) ?? .text(part) : .text(part)
            }
        case .some(let key): keys = [key]
        }
    }

    /// What lies at the end of the way; `fallback` takes the place of what is undefined.
    func value(_ renderer: inout JinjaRenderer, _ item: JinjaValue, fallback: JinjaValue? = nil) throws -> JinjaValue {
        var item = item
        for key in keys {
            item = try renderer.item(item, key)
            if item.isUndefined, let fallback { item = fallback }
        }
        return item
    }
}

extension JinjaFilters {
    static let collections: [String: JinjaBuiltin] = [
        "length": length, "count": length,
        "default": fallback, "d": fallback,
        "list": JinjaBuiltin { renderer, value, _ in try renderer.list(renderer.elements(value)) },
        "first": JinjaBuiltin { renderer, value, _ in
            try renderer.next(renderer.iterator(value)) ?? .undefined("No first item, sequence was empty.")
        },
        "last": JinjaBuiltin { renderer, value, _ in
            try ordered(&renderer, value).last ?? .undefined("No last item, sequence was empty.")
        },
        "reverse": JinjaBuiltin { renderer, value, _ in
            if let text = value.text { return .text(text.reversed) }
            let items = try renderer.elements(value)
            if case .object = value { return try renderer.list(items.reversed()) }
            return try renderer.make(.items(items.reversed(), next: 0))
        },
        "items": JinjaBuiltin { renderer, value, _ in
            try renderer.deferred { renderer in
                if value.isUndefined { return [] }
                guard case .dict(let dict) = value else { throw Diagnostic(.invalid, "'items' needs a mapping, not a \(value.typeName)") }
                return try renderer.elements(.view(dict, .items))
            }
        },
        "join": JinjaBuiltin(["d", "attribute"]) { renderer, value, arguments in
            let path = try JinjaPath(arguments[1])
            var parts: [JinjaText] = []
            for item in try renderer.elements(value) { parts.append(try renderer.string(path.value(&renderer, item))) }
            return try renderer.join(parts, arguments[0].map { try renderer.string($0) } ?? "")
        },
        "attr": JinjaBuiltin(["name"], required: 1) { renderer, value, arguments in
            guard let name = arguments[0]?.text else { throw Diagnostic(.invalid, "'attr' needs the name of an attribute") }
            if case .dict = value, JinjaMethods.method(of: value, name.string) == nil {
                return .undefined("'dict object' has no attribute '\(name.string)'")
            }
            return try renderer.attribute(value, name.string)
        },
        "dictsort": JinjaBuiltin(["case_sensitive", "by", "reverse"]) { renderer, value, arguments in
            guard case .dict(let dict) = value else { throw Diagnostic(.invalid, "'dictsort' needs a mapping, not a \(value.typeName)") }
            let isCaseSensitive = arguments[0].map { renderer.isTrue($0) } ?? false
            let by = arguments[1]?.text?.string ?? "key"
            guard by == "key" || by == "value" else { throw Diagnostic(.invalid, "'dictsort' sorts by 'key' or 'value'") }
            let pairs = try renderer.elements(.view(dict, .items))
            return try renderer.list(renderer.sorted(pairs, isReversed: arguments[2].map { renderer.isTrue($0) } ?? false) { renderer, pair in
                guard case .tuple(let items) = pair else { return pair }
                return folded(items.all[by == "key" ? 0 : 1], isCaseSensitive)
            })
        },
        "sort": JinjaBuiltin(["reverse", "case_sensitive", "attribute"]) { renderer, value, arguments in
            let isCaseSensitive = arguments[1].map { renderer.isTrue($0) } ?? false
            let keys = arguments[2]?.text.map { $0.split(at: ",", limit: .max).map { JinjaValue.text($0) } } ?? [arguments[2] ?? .none]
            let paths = try keys.map { try JinjaPath($0) }
            let isReversed = arguments[0].map { renderer.isTrue($0) } ?? false
            return try renderer.list(renderer.sorted(renderer.elements(value), isReversed: isReversed) { renderer, item in
                .list(try JinjaItems(paths.map { folded(try $0.value(&renderer, item), isCaseSensitive) }))
            })
        },
        "unique": JinjaBuiltin(["case_sensitive", "attribute"]) { renderer, value, arguments in
            let isCaseSensitive = arguments[0].map { renderer.isTrue($0) } ?? false
            let path = try JinjaPath(arguments[1])
            return try renderer.deferred { renderer in
                var seen = JinjaDict()
                var items: [JinjaValue] = []
                for item in try renderer.elements(value) {
                    let key = folded(try path.value(&renderer, item), isCaseSensitive)
                    guard try seen.value(of: key) == nil else { continue }
                    try seen.set(key, .none)
                    items.append(item)
                }
                return items
            }
        },
        "groupby": JinjaBuiltin(["attribute", "default", "case_sensitive"], required: 1) { renderer, value, arguments in
            try groups(&renderer, value, JinjaPath(arguments[0]), arguments[1], arguments[2].map { renderer.isTrue($0) } ?? false)
        },
        "min": extreme(.less), "max": extreme(.greater),
        "sum": JinjaBuiltin(["attribute", "start"]) { renderer, value, arguments in
            let path = try JinjaPath(arguments[0])
            var sum = arguments[1] ?? .int(0)
            guard sum.text == nil else { throw Diagnostic(.invalid, "'sum' cannot begin with a text") }
            for item in try renderer.elements(value) { sum = try renderer.apply(.add, sum, path.value(&renderer, item)) }
            return sum
        },
        "batch": JinjaBuiltin(["linecount", "fill_with"], required: 1) { renderer, value, arguments in
            guard let size = try optionalInteger(arguments[0], "batch"), size > 0 else {
                throw Diagnostic(.invalid, "'batch' needs a size above zero")
            }
            return try renderer.deferred { renderer in
                let items = try renderer.elements(value)
                return try stride(from: 0, to: items.count, by: size).map { start in
                    let batch = items[start...].prefix(size)
                    try renderer.charge(elements: size)
                    let fill = arguments[1].map { isNone($0) ? [] : [JinjaValue](repeating: $0, count: size - batch.count) } ?? []
                    return try renderer.list(batch + fill)
                }
            }
        },
        "slice": JinjaBuiltin(["slices", "fill_with"], required: 1) { renderer, value, arguments in
            guard let count = try optionalInteger(arguments[0], "slice"), count > 0 else {
                throw Diagnostic(.invalid, "'slice' needs a number above zero")
            }
            return try renderer.deferred { renderer in
                let items = try renderer.elements(value)
                try renderer.charge(elements: count)
                try renderer.charge(elements: items.count)
                let (size, longer) = (items.count / count, items.count % count)
                return try (0..<count).map { index in
                    let start = index * size + min(index, longer)
                    let fill = arguments[1].map { index < longer || isNone($0) ? [] : [$0] } ?? []
                    return try renderer.list(items[start..<(start + size + (index < longer ? 1 : 0))] + fill)
                }
            }
        },
        "map": JinjaBuiltin.free({ renderer, value, arguments in try map(&renderer, value, arguments) }),
        "select": selection(keeps: true, ofAttribute: false), "reject": selection(keeps: false, ofAttribute: false),
        "selectattr": selection(keeps: true, ofAttribute: true), "rejectattr": selection(keeps: false, ofAttribute: true),
    ]

    private static let length = JinjaBuiltin { renderer, value, _ in .int(try renderer.length(value)) }

    private static let fallback = JinjaBuiltin(["default_value", "boolean"]) { renderer, value, arguments in
        let isMissing = value.isUndefined || arguments[1].map { renderer.isTrue($0) } == true && !renderer.isTrue(value)
        return isMissing ? arguments[0] ?? .text("") : value
    }

    private static func isNone(_ value: JinjaValue) -> Bool { if case .none = value { true } else { false } }

    /// The elements of what can be walked backwards, which an iterator cannot.
    private static func ordered(_ renderer: inout JinjaRenderer, _ value: JinjaValue) throws -> [JinjaValue] {
        if case .object = value { throw Diagnostic(.invalid, "an iterator has no last item; make it a list first") }
        return try renderer.elements(value)
    }

    private static func folded(_ value: JinjaValue, _ isCaseSensitive: Bool) -> JinjaValue {
        isCaseSensitive ? value : value.text.map { .text($0.lowercased) } ?? value
    }

    private static func extreme(_ comparison: JinjaComparison) -> JinjaBuiltin {
        JinjaBuiltin(["case_sensitive", "attribute"]) { renderer, value, arguments in
            let isCaseSensitive = arguments[0].map { renderer.isTrue($0) } ?? false
            let path = try JinjaPath(arguments[1])
            var best: (key: JinjaValue, item: JinjaValue)?
            for item in try renderer.elements(value) {
                let key = folded(try path.value(&renderer, item), isCaseSensitive)
                if let found = best, try !renderer.compare(key, comparison, found.key) { continue }
                best = (key, item)
            }
            return best?.item ?? .undefined("No aggregated item, sequence was empty.")
        }
    }

    private static func groups(
        _ renderer: inout JinjaRenderer, _ value: JinjaValue, _ path: JinjaPath, _ fallback: JinjaValue?, _ isCaseSensitive: Bool
    ) throws -> JinjaValue {
        let fallback = fallback.flatMap { isNone($0) ? nil : $0 }
        let key: (inout JinjaRenderer, JinjaValue) throws -> JinjaValue = { folded(try path.value(&$0, $1, fallback: fallback), isCaseSensitive) }
        var groups: [(key: JinjaValue, items: [JinjaValue])] = []
        for item in try renderer.sorted(renderer.elements(value), by: key) {
            let found = try key(&renderer, item)
            if let last = groups.last, try renderer.equal(last.key, found) {
                groups[groups.count - 1].items.append(item)
            } else {
                groups.append((found, [item]))
            }
        }
        var tuples: [JinjaValue] = []
        for group in groups {
            let name = try path.value(&renderer, group.items[0], fallback: fallback)
            tuples.append(.tuple(try JinjaItems([name, renderer.list(group.items)])))
        }
        return try renderer.list(tuples)
    }

    // MARK: Iterators

    /// What `map` and its like go over: nothing where the value is false.
    private static func source(_ renderer: inout JinjaRenderer, _ value: JinjaValue) throws -> Int {
        if case .object = value { return try renderer.iterator(value) }
        return try renderer.iterator(renderer.deferred { $0.isTrue(value) ? try $0.elements(value) : [] })
    }

    private static func map(_ renderer: inout JinjaRenderer, _ value: JinjaValue, _ arguments: JinjaArguments) throws -> JinjaValue {
        let source = try source(&renderer, value)
        if arguments.positional.isEmpty, arguments.named.contains(where: { $0.name == "attribute" }) {
            let bound = try JinjaArguments(named: arguments.named).bound(["attribute", "default"], required: 1, by: "map")
            let path = try JinjaPath(bound[0])
            let fallback = bound[1].flatMap { isNone($0) ? nil : $0 }
            return .object(try renderer.generator(from: source) { try path.value(&$0, $1, fallback: fallback) })
        }
        guard let name = arguments.positional.first?.text?.string else {
            throw Diagnostic(.invalid, "'map' needs the name of a filter or an attribute")
        }
        let rest = JinjaArguments(positional: Array(arguments.positional.dropFirst()), named: arguments.named)
        return .object(try renderer.generator(from: source) { try $0.filter($1, name, rest) })
    }

    private static func selection(keeps: Bool, ofAttribute: Bool) -> JinjaBuiltin {
        JinjaBuiltin.free({ renderer, value, arguments in
            guard !ofAttribute || !arguments.positional.isEmpty else { throw Diagnostic(.invalid, "the name of an attribute is missing") }
            let path = try JinjaPath(ofAttribute ? arguments.positional[0] : nil)
            let rest = arguments.positional.dropFirst(ofAttribute ? 1 : 0)
            let test = rest.first.map { $0.text?.string ?? "" }
            let values = JinjaArguments(positional: Array(rest.dropFirst()), named: arguments.named)
            let source = try source(&renderer, value)
            return .object(try renderer.generator(from: source) { renderer, item in
                let subject = try path.value(&renderer, item)
                let holds = try test.map { try renderer.test(subject, $0, values) } ?? renderer.isTrue(subject)
                return holds == keeps ? item : nil
            })
        })
    }
}
