import Foundation
import GlmcIR

// Python's operators.
extension JinjaRenderer {
    func isTrue(_ value: JinjaValue) -> Bool {
        switch value {
        case .undefined, .none: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .float(let value): value != 0
        case .object, .method, .function: true
        default: (try? length(value)) != 0
        }
    }

    // MARK: Comparison

    mutating func equal(_ left: [JinjaValue], _ right: [JinjaValue]) throws -> Bool {
        guard left.count == right.count else { return false }
        for (left, right) in zip(left, right) where try !equal(left, right) { return false }
        return true
    }

    mutating func equal(_ left: JinjaValue, _ right: JinjaValue) throws -> Bool {
        try step()
        switch (left, right) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.text(let left), .text(let right)): return left == right
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)): return try equal(left.all, right.all)
        case (.dict(let left), .dict(let right)):
            guard left.entries.count == right.entries.count else { return false }
            for (key, value) in left.entries {
                guard let other = try right.value(of: key), try equal(value, other) else { return false }
            }
            return true
        case (.range(let left), .range(let right)):
            return left.count == right.count && (left.count == 0 || left.start == right.start && (left.count == 1 || left.step == right.step))
        case (.object(let left), .object(let right)): return left == right
        case (.function(let left), .function(let right)): return left == right
        case (.view, .view), (.method, .method): throw Diagnostic(.unsupported, "the comparison of two values of type \(left.typeName) is not supported")
        default:
            if let left = left.integer, let right = right.integer { return left == right }
            guard let left = left.number, let right = right.number else { return false }
            return left == right
        }
    }

    /// Negative, zero or positive; nil where a number is none (NaN).
    private mutating func order(_ left: JinjaValue, _ right: JinjaValue, _ symbol: String) throws -> Int? {
        try step()
        switch (left, right) {
        case (.text(let left), .text(let right)): return left < right ? -1 : left == right ? 0 : 1
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            for (left, right) in zip(left.all, right.all) where try !equal(left, right) { return try order(left, right, symbol) }
            return left.all.count - right.all.count
        default:
            for case .undefined(let reason) in [left, right] { throw Diagnostic(.invalid, reason) }
            if let left = left.integer, let right = right.integer { return left < right ? -1 : left == right ? 0 : 1 }
            guard let left = left.number, let right = right.number else {
                throw Diagnostic(.invalid, "'\(symbol)' has no meaning between a \(left.typeName) and a \(right.typeName)")
            }
            return left < right ? -1 : left == right ? 0 : left > right ? 1 : nil
        }
    }

    mutating func compare(_ left: JinjaValue, _ comparison: JinjaComparison, _ right: JinjaValue) throws -> Bool {
        switch comparison {
        case .equal: try equal(left, right)
        case .notEqual: try !equal(left, right)
        case .less: try order(left, right, "<").map { $0 < 0 } ?? false
        case .lessEqual: try order(left, right, "<=").map { $0 <= 0 } ?? false
        case .greater: try order(left, right, ">").map { $0 > 0 } ?? false
        case .greaterEqual: try order(left, right, ">=").map { $0 >= 0 } ?? false
        case .isIn: try contains(right, left)
        case .isNotIn: try !contains(right, left)
        }
    }

    mutating func contains(_ container: JinjaValue, _ value: JinjaValue) throws -> Bool {
        switch container {
        case .text(let text):
            guard let part = value.text else { throw Diagnostic(.invalid, "'in' a text needs a text on its left, not a \(value.typeName)") }
            try step(text.count / 16)
            return text.contains(part)
        case .dict(let dict), .view(let dict, .keys): return try dict.value(of: value) != nil
        case .object:
            let iterator = try iterator(container)
            while let item = try next(iterator) {
                if try equal(item, value) { return true }
            }
            return false
        default:
            for item in try elements(container) where try equal(item, value) { return true }
            return false
        }
    }

    /// Values in ascending order; equal ones keep theirs.
    mutating func sorted(
        _ values: [JinjaValue], isReversed: Bool = false, by key: (inout JinjaRenderer, JinjaValue) throws -> JinjaValue
    ) throws -> [JinjaValue] {
        var keyed: [(key: JinjaValue, value: JinjaValue)] = []
        for value in values { keyed.append((try key(&self, value), value)) }
        try charge(elements: 4 * values.count)
        // A reversed sort of Python keeps the order of equal values, too.
        if isReversed { keyed.reverse() }
        try keyed.sort { left, right in try order(left.key, right.key, "<").map { $0 < 0 } ?? false }
        if isReversed { keyed.reverse() }
        return keyed.map(\.value)
    }

    // MARK: Arithmetic

    private static let overflow = Diagnostic(.invalid, "a number does not fit 64 bits")

    mutating func negative(_ value: JinjaValue) throws -> JinjaValue {
        if case .float(let number) = value { return .float(-number) }
        return try apply(.subtract, .int(0), value)
    }

    mutating func positive(_ value: JinjaValue) throws -> JinjaValue {
        if case .float = value { return value }
        return try apply(.add, .int(0), value)
    }

    mutating func apply(_ operation: JinjaOperator, _ left: JinjaValue, _ right: JinjaValue) throws -> JinjaValue {
        if operation == .modulo, case .text(let format) = left { return .text(try self.format(format, with: right)) }
        for case .undefined(let reason) in [left, right] { throw Diagnostic(.invalid, reason) }
        if let left = left.integer, let right = right.integer { return try apply(operation, left, right) }
        if let left = left.number, let right = right.number { return .float(try apply(operation, left, right)) }
        switch (operation, left, right) {
        case (.add, .text(let left), .text(let right)):
            try charge(characters: left.count + right.count)
            // Beside markup, plain text is escaped.
            let isMarkup = left.isMarkup || right.isMarkup
            return .text(JinjaText((isMarkup ? left.escaped : left).scalars + (isMarkup ? right.escaped : right).scalars, isMarkup: isMarkup))
        case (.add, .list(let left), .list(let right)):
            try charge(elements: left.all.count + right.all.count)
            return .list(try JinjaItems(left.all + right.all))
        case (.add, .tuple(let left), .tuple(let right)):
            try charge(elements: left.all.count + right.all.count)
            return .tuple(try JinjaItems(left.all + right.all))
        case (.multiply, _, _):
            if let count = right.integer, let repeated = try repeated(left, count) { return repeated }
            if let count = left.integer, let repeated = try repeated(right, count) { return repeated }
        default: break
        }
        throw Diagnostic(.invalid, "'\(operation.rawValue)' has no meaning between a \(left.typeName) and a \(right.typeName)")
    }

    private mutating func repeated(_ value: JinjaValue, _ count: Int) throws -> JinjaValue? {
        let (size, isTooLarge) = ((try? length(value)) ?? 0).multipliedReportingOverflow(by: max(count, 0))
        let size64 = isTooLarge ? Int.max : size
        func repeated<Element>(_ items: [Element]) -> [Element] { (0..<(items.isEmpty ? 0 : max(count, 0))).flatMap { _ in items } }
        switch value {
        case .text(let text):
            try charge(characters: size64)
            return .text(JinjaText(repeated(text.scalars), isMarkup: text.isMarkup))
        case .list(let items):
            try charge(elements: size64)
            return .list(try JinjaItems(repeated(items.all)))
        case .tuple(let items):
            try charge(elements: size64)
            return .tuple(try JinjaItems(repeated(items.all)))
        default: return nil
        }
    }

    private func apply(_ operation: JinjaOperator, _ left: Int, _ right: Int) throws -> JinjaValue {
        func checked(_ result: (partialValue: Int, overflow: Bool)) throws -> JinjaValue {
            guard !result.overflow else { throw Self.overflow }
            return .int(result.partialValue)
        }
        if right == 0, [.divide, .floorDivide, .modulo].contains(operation) { throw Diagnostic(.invalid, "division by zero") }
        switch operation {
        case .add: return try checked(left.addingReportingOverflow(right))
        case .subtract: return try checked(left.subtractingReportingOverflow(right))
        case .multiply: return try checked(left.multipliedReportingOverflow(by: right))
        case .divide: return .float(Double(left) / Double(right))
        case .floorDivide:
            if right == -1 { return try checked(Int(0).subtractingReportingOverflow(left)) }
            return .int(left / right - (left % right != 0 && (left < 0) != (right < 0) ? 1 : 0))
        case .modulo:
            if right == -1 { return .int(0) }
            let rest = left % right
            return .int(rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest)
        case .power: return try power(left, right)
        }
    }

    private func power(_ base: Int, _ exponent: Int) throws -> JinjaValue {
        guard exponent >= 0 else { return .float(try apply(.power, Double(base), Double(exponent))) }
        if base == 0 || base == 1 { return .int(exponent == 0 ? 1 : base) }
        if base == -1 { return .int(exponent % 2 == 0 ? 1 : -1) }
        guard exponent < 64 else { throw Self.overflow }
        var result = 1
        for _ in 0..<exponent {
            let (product, isTooLarge) = result.multipliedReportingOverflow(by: base)
            guard !isTooLarge else { throw Self.overflow }
            result = product
        }
        return .int(result)
    }

    private func apply(_ operation: JinjaOperator, _ left: Double, _ right: Double) throws -> Double {
        if right == 0, [.divide, .floorDivide, .modulo].contains(operation) { throw Diagnostic(.invalid, "division by zero") }
        switch operation {
        case .add: return left + right
        case .subtract: return left - right
        case .multiply: return left * right
        case .divide: return left / right
        case .floorDivide, .modulo:
            var rest = fmod(left, right)
            var quotient = (left - rest) / right
            if rest != 0, (rest < 0) != (right < 0) {
                rest += right
                quotient -= 1
            }
            if operation == .modulo { return rest == 0 ? copysign(0, right) : rest }
            guard quotient != 0 else { return copysign(0, left / right) }
            let floor = floor(quotient)
            return quotient - floor > 0.5 ? floor + 1 : floor
        case .power:
            guard !(left == 0 && right < 0) else { throw Diagnostic(.invalid, "zero has no negative power") }
            guard !(left < 0 && left.isFinite && right.isFinite && right != right.rounded()) else {
                throw Diagnostic(.unsupported, "a root of a negative number is a complex number, which is not supported")
            }
            let result = pow(left, right)
            guard result.isFinite || !left.isFinite || !right.isFinite else { throw Diagnostic(.invalid, "a power is too large") }
            return result
        }
    }
}
