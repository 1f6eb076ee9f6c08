/// A regular expression in the dialect of Oniguruma's default syntax, which Hugging Face's tokenizers uses; what it does not understand it refuses by name.
indirect enum Pattern: Equatable {
    case empty
    case set(CodePointSet)
    case sequence([Pattern])
    case choice([Pattern])
    case repeated(Pattern, least: Int, most: Int?, mode: Mode)
    case look(Pattern, ahead: Bool)
    case atomic(Pattern)
    case behind(CodePointSet, negated: Bool)
    case assertion(Assertion)

    enum Mode { case greedy, lazy, possessive }
    /// Numbered as in glmc_pattern.h.
    enum Assertion: UInt32 { case lineStart, lineEnd, textStart, textEnd, lastLineEnd, boundary, noBoundary }

    /// The pattern that matches `text` and nothing else.
    static func literal(_ text: String) -> Pattern { .sequence(text.unicodeScalars.map { .set(CodePointSet($0.value)) }) }

    /// - Throws: what is not understood, and where in the text.
    static func parse(_ text: String) throws(Diagnostic) -> Pattern {
        var parser = PatternParser(text: Array(text.unicodeScalars))
        let pattern = try parser.choice(depth: 0)
        guard parser.position == parser.text.count else { throw parser.failure("')' without '('") }
        return pattern
    }

    /// Whether the empty text matches.
    var matchesEmpty: Bool {
        switch self {
        case .empty, .look, .behind, .assertion: true
        case .set: false
        case .sequence(let parts): parts.allSatisfy(\.matchesEmpty)
        case .choice(let parts): parts.contains(where: \.matchesEmpty)
        case .repeated(let part, let least, _, _): least == 0 || part.matchesEmpty
        case .atomic(let part): part.matchesEmpty
        }
    }
}

import GlmcIR

private struct PatternParser {
    let text: [Unicode.Scalar]
    var position = 0
    var ignoresCase = false

    /// Letters that, case ignored, equal one other character (ß is "ss"), which sets cannot express.
    private static let joined: Set<String> = ["ss", "ff", "fi", "fl", "st", "i\u{307}", "\u{2bc}n", "j\u{30c}", "h\u{331}", "t\u{308}", "w\u{30a}", "y\u{30a}", "a\u{2be}"]

    func failure(_ reason: String) -> Diagnostic {
        Diagnostic(.unsupported, "the pattern is not understood at character \(position + 1): \(reason)", hint: "the pattern is '\(String(String.UnicodeScalarView(text)))'")
    }

    private var peek: Unicode.Scalar? { position < text.count ? text[position] : nil }
    private func looking(at string: String) -> Bool { text[position...].starts(with: string.unicodeScalars) }
    private mutating func take(_ string: String) -> Bool {
        guard looking(at: string) else { return false }
        position += string.unicodeScalars.count
        return true
    }

    mutating func choice(depth: Int) throws(Diagnostic) -> Pattern {
        guard depth < 32 else { throw failure("groups are nested too deep") }
        let outer = ignoresCase
        var options = [try sequence(depth)]
        while take("|") { options.append(try sequence(depth)) }
        ignoresCase = outer
        return options.count == 1 ? options[0] : .choice(options)
    }

    private mutating func sequence(_ depth: Int) throws(Diagnostic) -> Pattern {
        var parts: [Pattern] = []
        var before: Unicode.Scalar?
        while let next = peek, next != "|", next != ")" {
            if ignoresCase, let first = before, Self.joined.contains((String(first) + String(next)).lowercased()) { throw failure("'\(first)\(next)' without regard to case") }
            before = next
            let atom = try atom(depth)
            parts.append(try quantified(atom))
        }
        return parts.isEmpty ? .empty : parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func quantified(_ atom: Pattern) throws(Diagnostic) -> Pattern {
        var result = atom
        while let next = peek {
            let (least, most): (Int, Int?)
            var counted = false
            switch next {
            case "?": (least, most) = (0, 1)
            case "*": (least, most) = (0, nil)
            case "+": (least, most) = (1, nil)
            case "{":
                guard let bounds = try bounds() else { return result }
                (least, most) = bounds
                counted = true
            default: return result
            }
            position += 1
            guard !result.matchesEmpty else { throw failure("a repetition of what may be empty") }
            var mode = Pattern.Mode.greedy
            if counted, looking(at: "?"), least == most { throw failure("'{n}?'") }
            if take("?") { mode = .lazy } else if !counted, take("+") { mode = .possessive }
            result = .repeated(result, least: least, most: most, mode: mode)
            guard !result.matchesEmpty else {
                if let next = peek, next == "*" || next == "+" || next == "?" { throw failure("a repetition of what may be empty") }
                continue
            }
        }
        return result
    }

    /// `{m}`, `{m,}`, `{,n}` or `{m,n}`, up to its last character; nil where the brace is a letter.
    private mutating func bounds() throws(Diagnostic) -> (Int, Int?)? {
        guard let close = text[position...].firstIndex(of: "}") else { throw failure("'{' without '}'") }
        let parts = String(String.UnicodeScalarView(text[(position + 1)..<close])).split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= 2, let first = parts.first, let last = parts.last, !(first.isEmpty && last.isEmpty) else { throw failure("a brace that is no repetition") }
        let least = first.isEmpty ? 0 : Int(first), most = last.isEmpty ? nil : Int(last)
        guard let least, last.isEmpty || most != nil, (0...1000).contains(least), (least...1000).contains(most ?? least) else { throw failure("a repetition's bounds") }
        position = close
        return (least, most)
    }

    private mutating func atom(_ depth: Int) throws(Diagnostic) -> Pattern {
        guard let next = peek else { throw failure("the pattern ends") }
        switch next {
        case "(": return try group(depth)
        case "[": return .set(folded(try bracket(0)))
        case ".":
            position += 1
            return .set(CodePointSet(10).inverted)
        case "^", "$":
            position += 1
            return .assertion(next == "^" ? .lineStart : .lineEnd)
        case "\\":
            if let assertion = ["A": Pattern.Assertion.textStart, "z": .textEnd, "Z": .lastLineEnd, "b": .boundary, "B": .noBoundary][position + 1 < text.count ? text[position + 1] : " "] {
                position += 2
                return .assertion(assertion)
            }
            return .set(folded(try escape()))
        case "*", "+", "?", "{": throw failure("a repetition of nothing")
        default:
            position += 1
            return .set(folded(CodePointSet(next.value)))
        }
    }

    private mutating func group(_ depth: Int) throws(Diagnostic) -> Pattern {
        position += 1
        let outer = ignoresCase
        defer { ignoresCase = outer }
        var wrap: (Pattern) -> Pattern? = { $0 }
        if take("?:") {
        } else if take("?i:") { ignoresCase = true
        } else if take("?-i:") { ignoresCase = false
        } else if take("?=") { wrap = { .look($0, ahead: true) }
        } else if take("?!") { wrap = { .look($0, ahead: false) }
        } else if take("?>") { wrap = { .atomic($0) }
        } else if take("?<=") { wrap = { if case .set(let set) = $0 { .behind(set, negated: false) } else { nil } }
        } else if take("?<!") { wrap = { if case .set(let set) = $0 { .behind(set, negated: true) } else { nil } }
        } else if take("?i)") {
            ignoresCase = true
            return try choiceUpToEnd(depth)
        } else if looking(at: "?") { throw failure("a group of this kind") }
        let body = try choice(depth: depth + 1)
        guard take(")") else { throw failure("'(' without ')'") }
        guard let result = wrap(body) else { throw failure("looking behind for more than one character") }
        return result
    }

    /// What `(?i)` governs: the rest of the group it stands in.
    private mutating func choiceUpToEnd(_ depth: Int) throws(Diagnostic) -> Pattern { try choice(depth: depth + 1) }

    private mutating func bracket(_ depth: Int) throws(Diagnostic) -> CodePointSet {
        guard depth < 8 else { throw failure("brackets are nested too deep") }
        position += 1
        let negated = take("^")
        var set = CodePointSet([]), left: CodePointSet?
        var isFirst = true
        while let next = peek, next != "]" || isFirst {
            if next == "[" {
                if looking(at: "[:") { throw failure("a POSIX bracket") }
                set = set.union(try bracket(depth + 1))
            } else if take("&&") {
                left = left.map { $0.intersection(set) } ?? set
                set = CodePointSet([])
            } else {
                let start = position
                let one = next == "\\" ? try escape() : CodePointSet(next.value)
                if position == start { position += 1 }
                if let low = one.ranges.first, one.ranges.count == 1, low.count == 1, looking(at: "-"), position + 1 < text.count, text[position + 1] != "]" {
                    position += 1
                    guard let end = peek, end != "[" else { throw failure("a range") }
                    let before = position
                    let other = end == "\\" ? try escape() : CodePointSet(end.value)
                    if position == before { position += 1 }
                    guard let high = other.ranges.first, other.ranges.count == 1, high.count == 1, high.lowerBound >= low.lowerBound else { throw failure("a range") }
                    set = set.union(CodePointSet([low.lowerBound...high.lowerBound]))
                } else {
                    set = set.union(one)
                }
            }
            isFirst = false
        }
        guard take("]") else { throw failure("'[' without ']'") }
        if let left { set = left.intersection(set) }
        return negated ? folded(set).inverted : set
    }

    private mutating func escape() throws(Diagnostic) -> CodePointSet {
        position += 1
        guard let letter = peek else { throw failure("the pattern ends in '\\'") }
        let classes = ["s": "space", "w": "word", "d": "digit"]
        if let name = classes[String(letter).lowercased()], let set = UnicodeData.set(name) {
            position += 1
            return letter.properties.isUppercase ? set.inverted : set
        }
        if let point = ["n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "a": 7, "e": 27][letter] as UInt32? {
            position += 1
            return CodePointSet(point)
        }
        switch letter {
        case "p", "P":
            guard position + 1 < text.count, text[position + 1] == "{", let close = text[position...].firstIndex(of: "}") else { throw failure("a property without braces") }
            var name = String(String.UnicodeScalarView(text[(position + 2)..<close]))
            let isNegated = (letter == "P") != name.hasPrefix("^")
            if name.hasPrefix("^") { name.removeFirst() }
            guard let set = UnicodeData.property(name) else { throw failure("the property '\(name)'") }
            position = close + 1
            return isNegated ? set.inverted : set
        case "x", "u":
            let braced = letter == "x" && position + 1 < text.count && text[position + 1] == "{"
            let start = position + (braced ? 2 : 1)
            let end = braced ? text[position...].firstIndex(of: "}") ?? start : min(start + (letter == "x" ? 2 : 4), text.count)
            guard let point = UInt32(String(String.UnicodeScalarView(text[start..<max(start, end)])), radix: 16), Unicode.Scalar(point) != nil else { throw failure("a code point") }
            position = end + (braced ? 1 : 0)
            return CodePointSet(point)
        default:
            guard !letter.properties.isAlphabetic, letter.properties.numericType == nil else { throw failure("'\\\(letter)'") }
            position += 1
            return CodePointSet(letter.value)
        }
    }

    private func folded(_ set: CodePointSet) -> CodePointSet {
        guard ignoresCase else { return set }
        let added = UnicodeData.folds.filter { set.contains($0.key) }.flatMap(\.value)
        return set.union(CodePointSet(added.map { $0...$0 }))
    }
}
