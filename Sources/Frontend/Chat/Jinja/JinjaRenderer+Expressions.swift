import GlmcIR

/// The values of a call's arguments.
struct JinjaArguments {
    var positional: [JinjaValue] = []
    var named: [(name: String, value: JinjaValue)] = []

    /// One value for each parameter, nil where none is given. A parameter without a name can only be given by its place.
    func bound(_ parameters: [String], required: Int, by callee: String) throws -> [JinjaValue?] {
        guard positional.count <= parameters.count else {
            throw Diagnostic(.invalid, "'\(callee)' takes at most \(parameters.count) arguments, not \(positional.count)")
        }
        var values = positional.map(Optional.some) + [JinjaValue?](repeating: nil, count: parameters.count - positional.count)
        for (name, value) in named {
            guard let place = parameters.firstIndex(of: name) else { throw Diagnostic(.invalid, "'\(callee)' has no parameter '\(name)'") }
            guard values[place] == nil else { throw Diagnostic(.invalid, "argument '\(name)' of '\(callee)' is given twice") }
            values[place] = value
        }
        guard !values.prefix(required).contains(where: { $0 == nil }) else { throw Diagnostic(.invalid, "'\(callee)' needs \(required) arguments") }
        return values
    }
}

/// A filter, test, method or function: what it is called with, and what it does with the value it is applied to.
struct JinjaBuiltin: Sendable {
    typealias Body = @Sendable (inout JinjaRenderer, JinjaValue, [JinjaValue?]) throws -> JinjaValue
    typealias FreeBody = @Sendable (inout JinjaRenderer, JinjaValue, JinjaArguments) throws -> JinjaValue

    private enum Form: Sendable {
        case fixed([String], required: Int, Body)
        case free(FreeBody)
    }

    private let form: Form

    init(_ parameters: [String] = [], required: Int = 0, _ body: @escaping Body) { form = .fixed(parameters, required: required, body) }

    /// Takes any arguments.
    static func free(_ body: @escaping FreeBody) -> JinjaBuiltin { JinjaBuiltin(.free(body)) }

    private init(_ form: Form) { self.form = form }

    func callAsFunction(_ renderer: inout JinjaRenderer, _ value: JinjaValue, _ arguments: JinjaArguments, name: String) throws -> JinjaValue {
        switch form {
        case .fixed(let parameters, let required, let body): try body(&renderer, value, arguments.bound(parameters, required: required, by: name))
        case .free(let body): try body(&renderer, value, arguments)
        }
    }
}

extension JinjaRenderer {
    mutating func evaluate(_ expression: JinjaExpression) throws -> JinjaValue {
        switch expression {
        case .constant(let value): return value
        case .name(let name):
            try step()
            return lookUp(name)
        default: return try nested { try $0.evaluateNode(expression) }
        }
    }

    private mutating func evaluateNode(_ expression: JinjaExpression) throws -> JinjaValue {
        switch expression {
        case .constant(let value): return value
        case .name(let name): return lookUp(name)
        case .list(let items): return try list(evaluate(all: items))
        case .tuple(let items): return .tuple(try JinjaItems(evaluate(all: items)))
        case .dict(let pairs): return try dict(pairs)
        case .attribute(let owner, let name, let line): return try nested(line: line) { try $0.attribute($0.evaluate(owner), name) }
        case .item(let owner, let key, let line): return try nested(line: line) { try $0.item($0.evaluate(owner), $0.evaluate(key)) }
        case .slice(let owner, let bounds, let line): return try nested(line: line) { try $0.slice(owner, bounds) }
        case .call(let callee, let call): return try nested(line: call.line) { try $0.call($0.evaluate(callee), $0.arguments(call)) }
        case .filter(let value, let name, let call): return try nested(line: call.line) { try $0.filter($0.evaluate(value), name, $0.arguments(call)) }
        case .test(let value, let name, let call):
            return try nested(line: call.line) { .bool(try $0.test($0.evaluate(value), name, $0.arguments(call))) }
        case .not(let value): return .bool(!isTrue(try evaluate(value)))
        case .negative(let value): return try negative(evaluate(value))
        case .positive(let value): return try positive(evaluate(value))
        case .binary(let operation, let left, let right, let line):
            return try nested(line: line) { try $0.apply(operation, $0.evaluate(left), $0.evaluate(right)) }
        case .and(let items): return try decide(items, until: false)
        case .or(let items): return try decide(items, until: true)
        case .concat(let items): return try concat(items)
        case .compare(let first, let operands, let line): return try nested(line: line) { try $0.compare(first, operands) }
        case .conditional(let test, let then, let otherwise):
            if isTrue(try evaluate(test)) { return try evaluate(then) }
            return try otherwise.map { try evaluate($0) } ?? .undefined("the inline if-expression has no else and its condition does not hold")
        }
    }

    private mutating func evaluate(all items: [JinjaExpression]) throws -> [JinjaValue] {
        try charge(elements: items.count)
        var values: [JinjaValue] = []
        for item in items { values.append(try evaluate(item)) }
        return values
    }

    func list(_ values: [JinjaValue]) throws -> JinjaValue { .list(try JinjaItems(values)) }

    private mutating func dict(_ pairs: [(key: JinjaExpression, value: JinjaExpression)]) throws -> JinjaValue {
        var dict = JinjaDict()
        try charge(elements: 4 * pairs.count)
        for pair in pairs { try dict.set(evaluate(pair.key), evaluate(pair.value)) }
        return .dict(dict)
    }

    /// The first value whose truth is `truth`, else the last.
    private mutating func decide(_ items: [JinjaExpression], until truth: Bool) throws -> JinjaValue {
        var value = JinjaValue.none
        for item in items {
            value = try evaluate(item)
            if isTrue(value) == truth { break }
        }
        return value
    }

    private mutating func concat(_ items: [JinjaExpression]) throws -> JinjaValue {
        var text = JinjaText("")
        for value in try evaluate(all: items) {
            let part = try string(value)
            try charge(characters: part.count)
            text.scalars += part.scalars
        }
        return .text(text)
    }

    private mutating func compare(_ first: JinjaExpression, _ operands: [(comparison: JinjaComparison, operand: JinjaExpression)]) throws -> JinjaValue {
        var left = try evaluate(first)
        for (comparison, operand) in operands {
            let right = try evaluate(operand)
            guard try compare(left, comparison, right) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    private mutating func slice(_ owner: JinjaExpression, _ bounds: [JinjaExpression?]) throws -> JinjaValue {
        let value = try evaluate(owner)
        var numbers: [Int?] = []
        for bound in bounds {
            let bound = try bound.map { try evaluate($0) } ?? .none
            if case .none = bound {
                numbers.append(nil)
            } else {
                guard let number = bound.integer else { throw Diagnostic(.invalid, "the bounds of a slice must be integers, not \(bound.typeName)") }
                numbers.append(number)
            }
        }
        return try slice(value, numbers[0], numbers[1], numbers[2])
    }

    // MARK: Calls

    mutating func arguments(_ call: JinjaCall) throws -> JinjaArguments {
        var arguments = JinjaArguments(positional: try evaluate(all: call.positional))
        for (name, value) in call.named { arguments.named.append((name, try evaluate(value))) }
        if let more = call.moreItems { arguments.positional += try elements(evaluate(more)) }
        if let more = call.moreNames {
            guard case .dict(let dict) = try evaluate(more) else { throw Diagnostic(.invalid, "what stands behind '**' is no mapping") }
            for (key, value) in dict.entries {
                guard let name = key.text?.string else { throw Diagnostic(.invalid, "the names of arguments must be texts") }
                guard !arguments.named.contains(where: { $0.name == name }) else { throw Diagnostic(.invalid, "argument '\(name)' is given twice") }
                arguments.named.append((name, value))
            }
        }
        return arguments
    }

    mutating func call(_ callee: JinjaValue, _ arguments: JinjaArguments) throws -> JinjaValue {
        switch callee {
        case .undefined(let reason): throw Diagnostic(.invalid, reason)
        case .object(let number): return try call(object: number, arguments)
        case .function(let name):
            guard let function = JinjaFunctions.all[name] else { throw Diagnostic(.internal, "no function '\(name)'") }
            return try function(&self, .none, arguments, name: name)
        case .method(.object(let number), let name): return try callMethod(of: number, name, arguments)
        case .method(let receiver, let name):
            guard let method = JinjaMethods.method(of: receiver, name) else { throw Diagnostic(.internal, "no method '\(name)'") }
            if case .text(let text) = receiver, text.isMarkup { try refuseEscapes(arguments.positional) }
            return try method(&self, receiver, arguments, name: name)
        default: throw Diagnostic(.invalid, "a \(callee.typeName) cannot be called")
        }
    }

    /// Python escapes what is joined to markup; where that would change something, it is refused.
    private func refuseEscapes(_ values: [JinjaValue]) throws {
        for case .text(let text) in values where text.needsEscape {
            throw Diagnostic(.unsupported, "markup that is joined to text with special characters is not supported")
        }
    }

    mutating func filter(_ value: JinjaValue, _ name: String, _ arguments: JinjaArguments) throws -> JinjaValue {
        guard let filter = JinjaFilters.all[name] else { throw Diagnostic(.unsupported, "the filter '\(name)' is not supported in chat templates") }
        return try nested { try filter(&$0, value, arguments, name: name) }
    }

    mutating func test(_ value: JinjaValue, _ name: String, _ arguments: JinjaArguments) throws -> Bool {
        guard let test = JinjaTests.all[name] else { throw Diagnostic(.unsupported, "the test '\(name)' is not supported in chat templates") }
        return try nested { $0.isTrue(try test(&$0, value, arguments, name: name)) }
    }

    // MARK: Attributes and items

    /// `value.name`: what Python calls an attribute goes before the key of a mapping.
    mutating func attribute(_ value: JinjaValue, _ name: String) throws -> JinjaValue {
        if let found = try pythonAttribute(value, name) { return found }
        if case .dict(let dict) = value, let found = dict[JinjaText(name)] { return found }
        return .undefined("'\(value.typeName) object' has no attribute '\(name)'")
    }

    private mutating func pythonAttribute(_ value: JinjaValue, _ name: String) throws -> JinjaValue? {
        let isInternal = name.hasPrefix("__") && name.hasSuffix("__")
        if case .undefined(let reason) = value, !isInternal { throw Diagnostic(.invalid, reason) }
        if case .object(let number) = value { return try attribute(of: number, name) }
        if JinjaMethods.method(of: value, name) != nil { return .method(value, name) }
        if isInternal || JinjaMethods.changing[value.typeName]?.contains(name) == true {
            return .undefined("access to attribute '\(name)' of '\(value.typeName)' object is unsafe")
        }
        if JinjaMethods.unsupported(of: value, name) {
            throw Diagnostic(.unsupported, "the method '\(name)' of a \(value.typeName) is not supported in chat templates")
        }
        return nil
    }

    /// `value[key]`: an element goes before an attribute.
    mutating func item(_ value: JinjaValue, _ key: JinjaValue) throws -> JinjaValue {
        if case .undefined(let reason) = value { throw Diagnostic(.invalid, reason) }
        if case .dict(let dict) = value, let found = try? dict.value(of: key) { return found }
        if let index = key.integer, let found = element(value, index) { return found }
        if let name = key.text, let found = try pythonAttribute(value, name.string) { return found }
        return .undefined("'\(value.typeName) object' has no such element (of type \(key.typeName))")
    }

    private func element(_ value: JinjaValue, _ index: Int) -> JinjaValue? {
        guard let count = try? length(value), index >= -count, index < count else { return nil }
        let index = index < 0 ? index + count : index
        switch value {
        case .list(let items), .tuple(let items): return items.all[index]
        case .text(let text): return .text(text[index..<(index + 1)])
        case .range(let range): return .int(range.start + index * range.step)
        default: return nil
        }
    }

    private mutating func slice(_ value: JinjaValue, _ start: Int?, _ stop: Int?, _ step: Int?) throws -> JinjaValue {
        if case .undefined(let reason) = value { throw Diagnostic(.invalid, reason) }
        let step = step ?? 1
        guard step != 0 else { throw Diagnostic(.invalid, "the step of a slice is zero") }
        switch value {
        case .list, .tuple, .text, .range: break
        default: throw Diagnostic(.invalid, "a \(value.typeName) cannot be sliced")
        }
        let count = try length(value)
        func clamped(_ bound: Int?, _ fallback: Int) -> Int {
            guard let bound else { return fallback }
            let place = bound < 0 ? max(bound, -count - 1) + count : bound
            return step > 0 ? min(max(place, 0), count) : min(max(place, -1), count - 1)
        }
        let first = clamped(start, step > 0 ? 0 : count - 1)
        let end = clamped(stop, step > 0 ? count : -1)
        let size = step > 0 ? max(0, end - first) : max(0, first - end)
        let stride = Int(clamping: step.magnitude)
        let picked = size == 0 ? 0 : (size - 1) / stride + 1
        try charge(elements: picked)
        let places = (0..<picked).lazy.map { first + $0 * (step > 0 ? stride : -stride) }
        switch value {
        case .list(let items): return .list(try JinjaItems(places.map { items.all[$0] }))
        case .tuple(let items): return .tuple(try JinjaItems(places.map { items.all[$0] }))
        case .text(let text): return .text(JinjaText(places.map { text.scalars[$0] }, isMarkup: text.isMarkup))
        case .range(let range):
            func number(_ place: Int) throws -> Int {
                let (distance, isFar) = place.multipliedReportingOverflow(by: range.step)
                let (number, isTooLarge) = range.start.addingReportingOverflow(distance)
                guard !isFar, !isTooLarge else { throw Diagnostic(.invalid, "a number does not fit 64 bits") }
                return number
            }
            let (wide, isTooWide) = range.step.multipliedReportingOverflow(by: step)
            guard !isTooWide else { throw Diagnostic(.invalid, "a number does not fit 64 bits") }
            return .range(JinjaRange(start: try number(first), step: wide, count: picked, stop: try number(end)))
        default: return value
        }
    }
}
