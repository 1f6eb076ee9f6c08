import Foundation
import GlmcIR

/// The functions that every template can call.
enum JinjaFunctions {
    /// What a sandbox lets a range hold.
    static let rangeLimit = 100_000

    static let all: [String: JinjaBuiltin] = [
        "range": JinjaBuiltin(["", "", ""], required: 1) { _, _, arguments in
            let numbers = try arguments.compactMap { $0 }.map { value in
                guard let number = value.integer else { throw Diagnostic(.invalid, "'range' needs integers, not a \(value.typeName)") }
                return number
            }
            let (start, stop) = numbers.count > 1 ? (numbers[0], numbers[1]) : (0, numbers[0])
            let step = numbers.count > 2 ? numbers[2] : 1
            guard step != 0 else { throw Diagnostic(.invalid, "the step of 'range' is zero") }
            let (distance, isTooLarge) = step > 0 ? stop.subtractingReportingOverflow(start) : start.subtractingReportingOverflow(stop)
            let (whole, rest) = UInt(bitPattern: distance).quotientAndRemainder(dividingBy: step.magnitude)
            let count = distance <= 0 && !isTooLarge ? 0 : whole + (rest == 0 ? 0 : 1)
            guard !isTooLarge || (step > 0) == (stop > start), count <= rangeLimit else {
                throw Diagnostic(.invalid, "a range holds more than \(rangeLimit) numbers")
            }
            return .range(JinjaRange(start: start, step: step, count: Int(count), stop: stop))
        },
        "dict": JinjaBuiltin.free({ renderer, _, arguments in .dict(try renderer.dict(from: arguments)) }),
        "namespace": JinjaBuiltin.free({ renderer, _, arguments in try renderer.make(.namespace(renderer.dict(from: arguments))) }),
        "cycler": JinjaBuiltin.free({ renderer, _, arguments in
            guard !arguments.positional.isEmpty, arguments.named.isEmpty else { throw Diagnostic(.invalid, "'cycler' needs values") }
            return try renderer.make(.cycler(arguments.positional, next: 0))
        }),
        "joiner": JinjaBuiltin(["sep"]) { renderer, _, arguments in
            try renderer.make(.joiner(arguments[0].map { try renderer.string($0) } ?? ", ", isUsed: false))
        },
        "raise_exception": JinjaBuiltin(["message"], required: 1) { renderer, _, arguments in
            throw Diagnostic(.invalid, "the template refuses the conversation: \(try renderer.string(arguments[0] ?? .none).string)")
        },
        "strftime_now": JinjaBuiltin(["format"], required: 1) { renderer, _, arguments in
            guard let format = arguments[0]?.text else { throw Diagnostic(.invalid, "'strftime_now' needs a text") }
            return .text(JinjaText(try text(of: renderer.time, format.string)))
        },
    ]

    /// The local time as `strftime` writes it.
    private static func text(of time: Int, _ format: String) throws -> String {
        var seconds = time_t(time)
        var parts = tm()
        guard format.utf8.count <= 200, !format.utf8.contains(0), localtime_r(&seconds, &parts) != nil else {
            throw Diagnostic(.invalid, "this time or its format is out of range")
        }
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = strftime(&buffer, buffer.count, format, &parts)
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension JinjaRenderer {
    /// A mapping from another one or from pairs, and from arguments with names.
    mutating func dict(from arguments: JinjaArguments) throws -> JinjaDict {
        guard arguments.positional.count <= 1 else {
            throw Diagnostic(.invalid, "a mapping is made of one value at most, not \(arguments.positional.count)")
        }
        var dict = JinjaDict()
        if case .dict(let other)? = arguments.positional.first {
            dict = other
        } else if let first = arguments.positional.first {
            for pair in try elements(first) {
                let parts = try elements(pair)
                guard parts.count == 2 else { throw Diagnostic(.invalid, "a mapping is made of pairs, not of \(parts.count) values") }
                try dict.set(parts[0], parts[1])
            }
        }
        for (name, value) in arguments.named { try dict.set(.text(JinjaText(name)), value) }
        return dict
    }
}
