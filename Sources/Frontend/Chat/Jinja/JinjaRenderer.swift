import GlmcIR

/// Runs the statements of a template. All work is counted: a template that loops, recurses or repeats without end stops with a diagnostic.
struct JinjaRenderer {
    struct Limits: Sendable {
        /// Statements and operations.
        var steps = 5_000_000
        /// Memory of all values made, whether or not they are still needed.
        var bytes = 256 << 20
        /// Expressions, statements and calls inside each other.
        var depth = 400
    }

    struct Scope {
        var variables: [String: JinjaValue] = [:]
        var parent: Int?
        /// A macro was defined here and may be called when the scope has been left.
        var isCaptured = false
    }

    enum Flow { case next, breakLoop, continueLoop }

    private var scopes: [Scope]
    private(set) var scope = 0
    var objects: [JinjaObject] = []
    private var output: [Unicode.Scalar] = []
    private var limits: Limits
    private var depth = 0
    /// The line of the template that is being rendered.
    private(set) var line = 0
    /// Seconds since 1970, for `strftime_now`.
    let time: Int

    init(variables: [String: JinjaValue], time: Int, limits: Limits) {
        scopes = [Scope(variables: variables)]
        self.time = time
        self.limits = limits
    }

    mutating func render(_ statements: [JinjaStatement]) throws -> String {
        do {
            _ = try run(statements)
        } catch let error as Diagnostic {
            throw error.inside("line \(line)")
        }
        return JinjaText(output).string
    }

    // MARK: Limits

    mutating func step(_ count: Int = 1) throws {
        limits.steps -= count
        guard limits.steps >= 0 else { throw Diagnostic(.invalid, "the template does not end within the steps it may take") }
    }

    mutating func charge(bytes: Int) throws {
        limits.bytes -= bytes
        guard limits.bytes >= 0 else { throw Diagnostic(.invalid, "the template makes more text and values than it may") }
    }

    /// For `count` elements of a list that is about to be made.
    mutating func charge(elements count: Int) throws {
        guard count < 1 << 32 else { throw Diagnostic(.invalid, "the template makes more text and values than it may") }
        try charge(bytes: count * MemoryLayout<JinjaValue>.stride)
    }

    /// For `count` code points of a text that is about to be made.
    mutating func charge(characters count: Int) throws {
        guard count < 1 << 32 else { throw Diagnostic(.invalid, "the template makes more text and values than it may") }
        try charge(bytes: count * MemoryLayout<Unicode.Scalar>.stride)
    }

    mutating func nested<Result>(line: Int? = nil, _ body: (inout JinjaRenderer) throws -> Result) throws -> Result {
        try step()
        depth += 1
        let outer = self.line
        if let line { self.line = line }
        guard depth <= limits.depth else { throw Diagnostic(.invalid, "the template recurses deeper than \(limits.depth) levels") }
        let result = try body(&self)
        self.line = outer
        depth -= 1
        return result
    }

    // MARK: Scopes and objects

    /// Runs `body` in a new scope inside `parent` (or the one at hand).
    mutating func scoped<Result>(in parent: Int? = nil, _ body: (inout JinjaRenderer) throws -> Result) throws -> Result {
        let outer = scope
        scopes.append(Scope(parent: parent ?? outer))
        scope = scopes.count - 1
        let result = try body(&self)
        if scope == scopes.count - 1, !scopes[scope].isCaptured { scopes.removeLast() }
        scope = outer
        return result
    }

    mutating func define(_ name: String, _ value: JinjaValue) { scopes[scope].variables[name] = value }

    func lookUp(_ name: String) -> JinjaValue {
        var place: Int? = scope
        while let index = place {
            if let value = scopes[index].variables[name] { return value }
            place = scopes[index].parent
        }
        return JinjaFunctions.all[name] == nil ? .undefined("'\(name)' is undefined") : .function(name)
    }

    /// What macros that are defined here hold on to.
    mutating func capturedScope() -> Int {
        var place: Int? = scope
        while let index = place, !scopes[index].isCaptured {
            scopes[index].isCaptured = true
            place = scopes[index].parent
        }
        return scope
    }

    mutating func make(_ object: JinjaObject) throws -> JinjaValue {
        try charge(bytes: 256)
        objects.append(object)
        return .object(objects.count - 1)
    }

    mutating func write(_ text: JinjaText) throws {
        try charge(characters: text.count)
        output += text.scalars
    }

    /// What `body` writes, as a text.
    mutating func captured(_ body: (inout JinjaRenderer) throws -> Flow) throws -> (text: JinjaText, flow: Flow) {
        var outer: [Unicode.Scalar] = []
        swap(&outer, &output)
        let flow = try body(&self)
        swap(&outer, &output)
        return (JinjaText(outer), flow)
    }

    // MARK: Statements

    mutating func run(_ statements: [JinjaStatement]) throws -> Flow {
        for statement in statements {
            let flow = try run(statement)
            if flow != .next { return flow }
        }
        return .next
    }

    private mutating func run(_ statement: JinjaStatement) throws -> Flow {
        switch statement {
        case .text(let text): try write(text)
        case .output(let expression, let line):
            try nested(line: line) { renderer in try renderer.write(renderer.string(renderer.evaluate(expression))) }
        case .branches(let branches, let otherwise, let line): return try run(branches, otherwise, line)
        case .loop(let loop): return try run(loop)
        case .set(let target, let value, let line): try nested(line: line) { try $0.assign($0.evaluate(value), to: target) }
        case .setBlock(let target, let filters, let body, let line):
            return try block(body, filters, line) { try $0.assign(.text($1), to: target) }
        case .filter(let filters, let body, let line): return try block(body, filters, line) { try $0.write($1) }
        case .with(let values, let body, let line): return try run(values, body, line)
        case .macro(let macro): define(macro.name, try value(of: macro))
        case .call(let callee, let arguments, let caller): try run(callee, arguments, caller)
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .next
    }

    private mutating func run(
        _ branches: [(test: JinjaExpression, body: [JinjaStatement])], _ otherwise: [JinjaStatement], _ line: Int
    ) throws -> Flow {
        try nested(line: line) { renderer in
            for branch in branches where try renderer.isTrue(renderer.evaluate(branch.test)) { return try renderer.run(branch.body) }
            return try renderer.run(otherwise)
        }
    }

    private mutating func block(
        _ body: [JinjaStatement], _ filters: [(name: String, call: JinjaCall)], _ line: Int,
        _ use: (inout JinjaRenderer, JinjaText) throws -> Void
    ) throws -> Flow {
        try nested(line: line) { renderer in
            let (text, flow) = try renderer.captured { try $0.scoped { try $0.run(body) } }
            guard flow == .next else { return flow }
            var value = JinjaValue.text(text)
            for filter in filters { value = try renderer.filter(value, filter.name, renderer.arguments(filter.call)) }
            try use(&renderer, try renderer.string(value))
            return .next
        }
    }

    private mutating func run(_ values: [(target: JinjaTarget, value: JinjaExpression)], _ body: [JinjaStatement], _ line: Int) throws -> Flow {
        try nested(line: line) { renderer in
            try renderer.scoped { renderer in
                let outer = renderer.scopes[renderer.scope].parent
                for (target, expression) in values {
                    // Values are those outside the block.
                    let inner = renderer.scope
                    renderer.scope = outer ?? inner
                    let value = try renderer.evaluate(expression)
                    renderer.scope = inner
                    try renderer.assign(value, to: target)
                }
                return try renderer.run(body)
            }
        }
    }

    private mutating func run(_ callee: JinjaExpression?, _ arguments: JinjaCall, _ caller: JinjaMacro) throws {
        try nested(line: arguments.line) { renderer in
            let macro = try renderer.value(of: caller)
            guard let callee else {
                let text = try renderer.call(macro, JinjaArguments())
                return try renderer.write(renderer.string(text))
            }
            let function = try renderer.evaluate(callee)
            var values = try renderer.arguments(arguments)
            values.named.append(("caller", macro))
            try renderer.write(renderer.string(renderer.call(function, values)))
        }
    }

    mutating func assign(_ value: JinjaValue, to target: JinjaTarget) throws {
        switch target {
        case .name(let name): define(name, value)
        case .attribute(let owner, let name):
            guard case .object(let number) = lookUp(owner), case .namespace(var dict) = objects[number] else {
                throw Diagnostic(.invalid, "'\(owner)' is no namespace, so that no attribute of it can be set")
            }
            // A namespace is no part of the nesting of values.
            try dict.set(.text(JinjaText(name)), value)
            objects[number] = .namespace(dict)
        case .tuple(let targets):
            let values = try elements(value)
            guard values.count == targets.count else {
                throw Diagnostic(.invalid, "\(values.count) values cannot be assigned to \(targets.count) names")
            }
            for (target, value) in zip(targets, values) { try assign(value, to: target) }
        }
    }

    // MARK: Loops

    private mutating func run(_ loop: JinjaLoop) throws -> Flow {
        try nested(line: loop.line) { renderer in
            let sequence = try renderer.evaluate(loop.sequence)
            return try renderer.run(loop, over: sequence, in: renderer.scope, depth: 0)
        }
    }

    /// One loop over `sequence`, its scopes inside `scope`; `depth` counts how often a recursive loop has called itself.
    mutating func run(_ loop: JinjaLoop, over sequence: JinjaValue, in scope: Int, depth: Int) throws -> Flow {
        var iterator = try self.iterator(sequence)
        var length = try? self.length(sequence)
        if let filter = loop.filter {
            length = nil
            iterator = try generator(from: iterator) { renderer, value in
                try renderer.scoped(in: scope) { renderer in
                    try renderer.assign(value, to: loop.target)
                    return try renderer.isTrue(renderer.evaluate(filter)) ? value : nil
                }
            }
        }
        let state = try make(.loop(JinjaLoopState(loop: loop, iterator: iterator, length: length, depth0: depth, scope: scope)))
        // As in jinja2, a round that is left early does not count.
        var isComplete = false
        while let item = try advance(state) {
            let flow = try scoped(in: scope) { renderer in
                try renderer.step()
                try renderer.assign(item, to: loop.target)
                renderer.define("loop", state)
                return try renderer.run(loop.body)
            }
            if flow == .breakLoop { break }
            isComplete = isComplete || flow == .next
        }
        return isComplete ? .next : try scoped(in: scope) { try $0.run(loop.otherwise) }
    }
}
