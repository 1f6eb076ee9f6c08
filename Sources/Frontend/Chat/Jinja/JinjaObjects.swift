import GlmcIR

/// What can change while a template is rendered.
enum JinjaObject {
    case namespace(JinjaDict)
    case cycler([JinjaValue], next: Int)
    case joiner(JinjaText, isUsed: Bool)
    case macro(JinjaMacro, scope: Int)
    case loop(JinjaLoopState)
    case items([JinjaValue], next: Int)
    /// An iterator whose values are found when the first is asked for.
    case deferred(@Sendable (inout JinjaRenderer) throws -> [JinjaValue])
    /// The values of another iterator, each as `transform` has it; nil leaves it out.
    case generator(source: Int, transform: @Sendable (inout JinjaRenderer, JinjaValue) throws -> JinjaValue?)
}

/// What the name `loop` stands for.
struct JinjaLoopState {
    let loop: JinjaLoop
    var iterator: Int
    /// Nil as long as it can only be found by running to the end.
    var length: Int?
    var depth0: Int
    var scope: Int
    var index0 = -1
    var before = JinjaValue.undefined("there is no previous item")
    var current = JinjaValue.undefined("there is no previous item")
    /// The item after the current one, where it has been asked for; nil inside where there is none.
    var after: JinjaValue??
    var changed: [JinjaValue]?
}

extension JinjaRenderer {
    // MARK: Iterators

    /// The number of an iterator over `value`; iterators are their own.
    mutating func iterator(_ value: JinjaValue) throws -> Int {
        if case .object(let number) = value {
            switch objects[number] {
            case .items, .deferred, .generator: return number
            default: break
            }
        }
        return try number(of: .items(elements(value), next: 0))
    }

    private mutating func number(of object: JinjaObject) throws -> Int {
        _ = try make(object)
        return objects.count - 1
    }

    /// An iterator over what `values` finds as soon as it is asked.
    mutating func deferred(_ values: @escaping @Sendable (inout JinjaRenderer) throws -> [JinjaValue]) throws -> JinjaValue { try make(.deferred(values)) }

    mutating func generator(
        from source: Int, _ transform: @escaping @Sendable (inout JinjaRenderer, JinjaValue) throws -> JinjaValue?
    ) throws -> Int {
        try number(of: .generator(source: source, transform: transform))
    }

    mutating func next(_ iterator: Int) throws -> JinjaValue? {
        switch objects[iterator] {
        case .items(let items, let next):
            guard next < items.count else { return nil }
            objects[iterator] = .items(items, next: next + 1)
            return items[next]
        case .deferred(let values):
            objects[iterator] = .items(try nested { try values(&$0) }, next: 0)
            return try next(iterator)
        case .generator(let source, let transform):
            return try nested { renderer in
                while let value = try renderer.next(source) {
                    try renderer.step()
                    if let result = try transform(&renderer, value) { return result }
                }
                return nil
            }
        default: throw Diagnostic(.invalid, "this object is not iterable")
        }
    }

    private mutating func rest(of iterator: Int) throws -> [JinjaValue] {
        var values: [JinjaValue] = []
        while let value = try next(iterator) {
            try charge(elements: 1)
            values.append(value)
        }
        return values
    }

    /// All elements of `value`; an iterator is at its end afterwards.
    mutating func elements(_ value: JinjaValue) throws -> [JinjaValue] {
        switch value {
        case .undefined: return []
        case .list(let items), .tuple(let items): return items.all
        case .text(let text):
            try charge(elements: text.count)
            return text.scalars.map { .text(JinjaText(CollectionOfOne($0))) }
        case .dict(let dict): return dict.keys
        case .range(let range):
            try charge(elements: range.count)
            return range.values
        case .view(let dict, .keys): return dict.keys
        case .view(let dict, .values): return dict.values
        case .view(let dict, .items):
            try charge(elements: 3 * dict.entries.count)
            return try dict.entries.map { .tuple(try JinjaItems([$0.key, $0.value])) }
        case .object(let number):
            switch objects[number] {
            case .items, .deferred, .generator: return try rest(of: number)
            default: break
            }
        default: break
        }
        throw Diagnostic(.invalid, "a \(value.typeName) is not iterable")
    }

    func length(_ value: JinjaValue) throws -> Int {
        switch value {
        case .undefined: return 0
        case .list(let items), .tuple(let items): return items.all.count
        case .text(let text): return text.count
        case .dict(let dict), .view(let dict, _): return dict.entries.count
        case .range(let range): return range.count
        default: throw Diagnostic(.invalid, "a \(value.typeName) has no length")
        }
    }

    // MARK: Loops

    /// The next item of a loop, nil at its end.
    mutating func advance(_ loop: JinjaValue) throws -> JinjaValue? {
        guard case .object(let number) = loop, case .loop(var state) = objects[number] else { return nil }
        let item: JinjaValue?
        if let after = state.after { item = after } else { item = try next(state.iterator) }
        guard let item else { return nil }
        state.after = nil
        state.index0 += 1
        state.before = state.current
        state.current = item
        objects[number] = .loop(state)
        return item
    }

    private mutating func itemAfter(_ number: Int, _ state: inout JinjaLoopState) throws -> JinjaValue? {
        if let after = state.after { return after }
        let after = try next(state.iterator)
        state.after = .some(after)
        objects[number] = .loop(state)
        return after
    }

    private mutating func length(_ number: Int, _ state: inout JinjaLoopState) throws -> Int {
        if let length = state.length { return length }
        let rest = try rest(of: state.iterator)
        state.iterator = try iterator(.list(JinjaItems(rest)))
        var length = rest.count + state.index0 + 1
        if case .some(.some) = state.after { length += 1 }
        state.length = length
        objects[number] = .loop(state)
        return length
    }

    /// An attribute of the name `loop`.
    mutating func attribute(of number: Int, _ loop: JinjaLoopState, _ name: String) throws -> JinjaValue? {
        var state = loop
        switch name {
        case "index": return .int(state.index0 + 1)
        case "index0": return .int(state.index0)
        case "first": return .bool(state.index0 == 0)
        case "last": return .bool(try itemAfter(number, &state) == nil)
        case "length": return .int(try length(number, &state))
        case "revindex": return .int(try length(number, &state) - state.index0)
        case "revindex0": return .int(try length(number, &state) - state.index0 - 1)
        case "depth": return .int(state.depth0 + 1)
        case "depth0": return .int(state.depth0)
        case "previtem": return state.before
        case "nextitem": return try itemAfter(number, &state) ?? .undefined("there is no next item")
        case "cycle", "changed": return .method(.object(number), name)
        default: return nil
        }
    }

    // MARK: Calls of objects

    /// An attribute of an object, nil where it has none of this name.
    mutating func attribute(of number: Int, _ name: String) throws -> JinjaValue? {
        switch objects[number] {
        case .namespace(let dict): return dict[JinjaText(name)]
        case .loop(let state): return try attribute(of: number, state, name)
        case .cycler(let items, let next):
            if name == "current" { return items[next] }
            return name == "next" || name == "reset" ? .method(.object(number), name) : nil
        case .macro(let macro, _): return name == "name" ? .text(JinjaText(macro.name)) : nil
        default: return nil
        }
    }

    mutating func call(object number: Int, _ arguments: JinjaArguments) throws -> JinjaValue {
        switch objects[number] {
        case .macro(let macro, let scope): return try call(macro, in: scope, arguments)
        case .joiner(let separator, let isUsed):
            objects[number] = .joiner(separator, isUsed: true)
            return .text(isUsed ? separator : "")
        case .loop(let state):
            guard state.loop.isRecursive else { throw Diagnostic(.invalid, "the loop calls itself but is not marked 'recursive'") }
            let sequence = try arguments.bound(["iterable"], required: 1, by: "loop")[0] ?? .none
            return .text(try captured { try $0.run(state.loop, over: sequence, in: state.scope, depth: state.depth0 + 1) }.text)
        default: throw Diagnostic(.invalid, "this object is not callable")
        }
    }

    mutating func callMethod(of number: Int, _ name: String, _ arguments: JinjaArguments) throws -> JinjaValue {
        switch (objects[number], name) {
        case (.loop(let state), "cycle"):
            guard !arguments.positional.isEmpty else { throw Diagnostic(.invalid, "loop.cycle has no values") }
            return arguments.positional[state.index0 % arguments.positional.count]
        case (.loop(var state), "changed"):
            let new = arguments.positional
            let isSame = try state.changed.map { try equal($0, new) } ?? false
            state.changed = new
            objects[number] = .loop(state)
            return .bool(!isSame)
        case (.cycler(let items, let next), "next"):
            objects[number] = .cycler(items, next: (next + 1) % items.count)
            return items[next]
        case (.cycler(let items, _), "reset"):
            objects[number] = .cycler(items, next: 0)
            return .none
        default: throw Diagnostic(.invalid, "this object has no method '\(name)'")
        }
    }

    // MARK: Macros

    mutating func value(of macro: JinjaMacro) throws -> JinjaValue { try make(.macro(macro, scope: capturedScope())) }

    private mutating func call(_ macro: JinjaMacro, in scope: Int, _ arguments: JinjaArguments) throws -> JinjaValue {
        var named = arguments.named
        func take(_ name: String) -> JinjaValue? { named.firstIndex { $0.name == name }.map { named.remove(at: $0).value } }
        let count = min(arguments.positional.count, macro.parameters.count)
        var values: [JinjaValue?] = Array(arguments.positional.prefix(count))
        for parameter in macro.parameters[count...] { values.append(take(parameter.name)) }
        var special: [String: JinjaValue] = [:]
        if macro.specialNames.contains("caller"), !macro.parameters.contains(where: { $0.name == "caller" }) {
            special["caller"] = take("caller") ?? .undefined("the macro '\(macro.name)' has no caller")
        }
        let more = arguments.positional[count...]
        if macro.specialNames.contains("kwargs") {
            special["kwargs"] = .dict(try JinjaDict(named.map { (.text(JinjaText($0.name)), $0.value) }))
        } else if let first = named.first {
            throw Diagnostic(.invalid, "the macro '\(macro.name)' takes no argument '\(first.name)'")
        }
        if macro.specialNames.contains("varargs") {
            special["varargs"] = .tuple(try JinjaItems(Array(more)))
        } else if !more.isEmpty {
            throw Diagnostic(.invalid, "the macro '\(macro.name)' takes at most \(macro.parameters.count) arguments")
        }
        return try nested(line: macro.line) { renderer in
            .text(try renderer.captured { renderer in
                try renderer.scoped(in: scope) { renderer in
                    for (name, value) in special { renderer.define(name, value) }
                    for (parameter, value) in zip(macro.parameters, values) {
                        let value = try value ?? parameter.fallback.map { try renderer.evaluate($0) }
                        renderer.define(parameter.name, value ?? .undefined("parameter '\(parameter.name)' was not provided"))
                    }
                    return try renderer.run(macro.body)
                }
            }.text)
        }
    }
}
