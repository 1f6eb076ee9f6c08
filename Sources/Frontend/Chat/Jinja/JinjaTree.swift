/// An expression of a template. Lines count from 1.
indirect enum JinjaExpression: Sendable {
    case constant(JinjaValue)
    case name(String)
    case list([JinjaExpression])
    case tuple([JinjaExpression])
    case dict([(key: JinjaExpression, value: JinjaExpression)])
    case attribute(JinjaExpression, String, line: Int)
    case item(JinjaExpression, JinjaExpression, line: Int)
    case slice(JinjaExpression, [JinjaExpression?], line: Int)
    case call(JinjaExpression, JinjaCall)
    case filter(JinjaExpression, String, JinjaCall)
    case test(JinjaExpression, String, JinjaCall)
    case not(JinjaExpression)
    case negative(JinjaExpression)
    case positive(JinjaExpression)
    case binary(JinjaOperator, JinjaExpression, JinjaExpression, line: Int)
    case and([JinjaExpression])
    case or([JinjaExpression])
    case concat([JinjaExpression])
    case compare(JinjaExpression, [(comparison: JinjaComparison, operand: JinjaExpression)], line: Int)
    case conditional(test: JinjaExpression, then: JinjaExpression, otherwise: JinjaExpression?)
}

enum JinjaOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
}

enum JinjaComparison: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessEqual = "<="
    case greater = ">"
    case greaterEqual = ">="
    case isIn = "in"
    case isNotIn = "not in"
}

/// The arguments of a call as they are written.
struct JinjaCall: Sendable {
    var positional: [JinjaExpression] = []
    var named: [(name: String, value: JinjaExpression)] = []
    /// `*arguments` and `**arguments`.
    var moreItems: JinjaExpression?
    var moreNames: JinjaExpression?
    var line: Int
}

enum JinjaStatement: Sendable {
    case text(JinjaText)
    case output(JinjaExpression, line: Int)
    case branches([(test: JinjaExpression, body: [JinjaStatement])], otherwise: [JinjaStatement], line: Int)
    case loop(JinjaLoop)
    case set(JinjaTarget, JinjaExpression, line: Int)
    case setBlock(JinjaTarget, filters: [(name: String, call: JinjaCall)], body: [JinjaStatement], line: Int)
    case with([(target: JinjaTarget, value: JinjaExpression)], body: [JinjaStatement], line: Int)
    case macro(JinjaMacro)
    /// `{% call(parameters) callee(…) %}body{% endcall %}`; `generation` is the same without a callee.
    case call(callee: JinjaExpression?, arguments: JinjaCall, caller: JinjaMacro)
    case filter([(name: String, call: JinjaCall)], body: [JinjaStatement], line: Int)
    case breakLoop
    case continueLoop
}

indirect enum JinjaTarget: Sendable {
    case name(String)
    case attribute(of: String, String)
    case tuple([JinjaTarget])
}

struct JinjaLoop: Sendable {
    var target: JinjaTarget
    var sequence: JinjaExpression
    var filter: JinjaExpression?
    var isRecursive: Bool
    var body: [JinjaStatement]
    var otherwise: [JinjaStatement]
    var line: Int
}

struct JinjaMacro: Sendable {
    var name: String
    var parameters: [(name: String, fallback: JinjaExpression?)]
    var body: [JinjaStatement]
    /// Which of the special names `varargs`, `kwargs` and `caller` the body reads.
    var specialNames: Set<String>
    var line: Int
}
