/// A string as Python sees it: a sequence of code points, compared code point by code point (Swift's `String` compares by canonical equivalence).
struct JinjaText: Sendable, ExpressibleByStringLiteral {
    var scalars: [Unicode.Scalar]
    /// Marked by `safe` or `escape`. What is joined to such a text would be escaped, which is why that is refused where it makes a difference.
    var isMarkup = false

    init(_ scalars: some Sequence<Unicode.Scalar>, isMarkup: Bool = false) {
        self.scalars = Array(scalars)
        self.isMarkup = isMarkup
    }

    init(_ string: String) { scalars = Array(string.unicodeScalars) }
    init(stringLiteral value: String) { self.init(value) }

    var count: Int { scalars.count }
    var isEmpty: Bool { scalars.isEmpty }

    var string: String {
        var result = String.UnicodeScalarView()
        result.append(contentsOf: scalars)
        return String(result)
    }
}

extension JinjaText: Hashable, Comparable {
    static func == (left: JinjaText, right: JinjaText) -> Bool { left.scalars == right.scalars }
    static func < (left: JinjaText, right: JinjaText) -> Bool { left.scalars.lexicographicallyPrecedes(right.scalars) }
    func hash(into hasher: inout Hasher) { hasher.combine(scalars) }
}

extension Unicode.Scalar {
    /// What `str.isspace` and the `\s` of Python's regular expressions hold to be white space.
    var isPythonSpace: Bool {
        switch value {
        case 0x09...0x0d, 0x1c...0x20, 0x85, 0xa0, 0x1680, 0x2000...0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000: true
        default: false
        }
    }

    /// Where `str.splitlines` ends a line.
    var isPythonLineBreak: Bool {
        switch value {
        case 0x0a...0x0d, 0x1c...0x1e, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }

    var isPythonAlpha: Bool {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    var isPythonDecimal: Bool { properties.numericType == .decimal }
    var isPythonDigit: Bool { properties.numericType == .decimal || properties.numericType == .digit }
    var isPythonNumeric: Bool { properties.numericType != nil }
    var isPythonAlnum: Bool { isPythonAlpha || isPythonNumeric }
    var isPythonWord: Bool { isPythonAlnum || self == "_" }
    var isTitlecase: Bool { properties.generalCategory == .titlecaseLetter }
}

// MARK: - Searching and cutting

extension JinjaText {
    subscript(range: Range<Int>) -> JinjaText { JinjaText(scalars[range], isMarkup: isMarkup) }

    /// The places of `part` from left to right without overlap, at most `limit`, in linear time (Knuth, Morris and Pratt 1977).
    /// An empty `part` is at every place.
    func places(of part: JinjaText, limit: Int = .max) -> [Int] {
        let pattern = part.scalars
        guard !pattern.isEmpty else { return Array((0...count).prefix(max(limit, 0))) }
        var borders = [Int](repeating: 0, count: pattern.count)
        var length = 0
        for index in pattern.indices.dropFirst() {
            while length > 0, pattern[index] != pattern[length] { length = borders[length - 1] }
            if pattern[index] == pattern[length] { length += 1 }
            borders[index] = length
        }
        var places: [Int] = []
        var matched = 0
        for (index, scalar) in scalars.enumerated() where places.count < limit {
            while matched > 0, scalar != pattern[matched] { matched = borders[matched - 1] }
            if scalar == pattern[matched] { matched += 1 }
            if matched == pattern.count {
                places.append(index + 1 - matched)
                matched = 0
            }
        }
        return places
    }

    func contains(_ part: JinjaText) -> Bool { !places(of: part, limit: 1).isEmpty }
    func starts(with part: JinjaText) -> Bool { scalars.starts(with: part.scalars) }
    func ends(with part: JinjaText) -> Bool { scalars.reversed().starts(with: part.scalars.reversed()) }
    var reversed: JinjaText { JinjaText(scalars.reversed(), isMarkup: isMarkup) }

    func stripped(of characters: JinjaText? = nil, left: Bool = true, right: Bool = true) -> JinjaText {
        let set = characters.map { Set($0.scalars) }
        func goes(_ scalar: Unicode.Scalar) -> Bool { set?.contains(scalar) ?? scalar.isPythonSpace }
        var rest = scalars[...]
        if left { rest = rest.drop(while: goes) }
        if right { while let last = rest.last, goes(last) { rest.removeLast() } }
        return JinjaText(rest, isMarkup: isMarkup)
    }

    func replacing(_ old: JinjaText, with new: JinjaText, limit: Int = .max) -> JinjaText {
        var result: [Unicode.Scalar] = []
        var end = 0
        for place in places(of: old, limit: limit) {
            result += scalars[end..<place]
            result += new.scalars
            end = place + old.count
        }
        return JinjaText(result + scalars[end...], isMarkup: isMarkup)
    }

    /// Cut at a separator that is not empty, at most `limit` times, from the right where that is asked for.
    func split(at separator: JinjaText, limit: Int, fromRight: Bool = false) -> [JinjaText] {
        if fromRight { return reversed.split(at: separator.reversed, limit: limit).reversed().map(\.reversed) }
        var parts: [JinjaText] = []
        var end = 0
        for place in places(of: separator, limit: limit) {
            parts.append(self[end..<place])
            end = place + separator.count
        }
        return parts + [self[end..<count]]
    }

    /// Cut at runs of white space, at most `limit` times; none at either end makes an empty part.
    func splitAtSpace(limit: Int, fromRight: Bool = false) -> [JinjaText] {
        if fromRight { return reversed.splitAtSpace(limit: limit).reversed().map(\.reversed) }
        var parts: [JinjaText] = []
        var rest = scalars.drop(while: \.isPythonSpace)
        while !rest.isEmpty {
            guard parts.count < limit else {
                parts.append(JinjaText(rest, isMarkup: isMarkup).stripped(left: false))
                break
            }
            let part = rest.prefix { !$0.isPythonSpace }
            parts.append(JinjaText(part, isMarkup: isMarkup))
            rest = rest[part.endIndex...].drop(while: \.isPythonSpace)
        }
        return parts
    }

    func lines(keepingEnds: Bool = false) -> [JinjaText] {
        var lines: [JinjaText] = []
        var start = 0
        var index = 0
        while index < count {
            guard scalars[index].isPythonLineBreak else {
                index += 1
                continue
            }
            let end = index
            index += scalars[index] == "\r" && index + 1 < count && scalars[index + 1] == "\n" ? 2 : 1
            lines.append(self[start..<(keepingEnds ? index : end)])
            start = index
        }
        return start < count ? lines + [self[start..<count]] : lines
    }

    func joining(_ parts: [JinjaText]) -> JinjaText { JinjaText(parts.map(\.scalars).joined(separator: scalars)) }
}

// MARK: - Case

extension JinjaText {
    private func mapping(_ map: (Int, Unicode.Scalar) -> String) -> JinjaText {
        JinjaText(scalars.enumerated().flatMap { Array(map($0, $1).unicodeScalars) }, isMarkup: isMarkup)
    }

    private static func isCased(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isCased }

    /// A capital sigma at the end of a word has a small form of its own.
    private func lower(at index: Int) -> String {
        guard scalars[index] == "\u{3a3}" else { return scalars[index].properties.lowercaseMapping }
        let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
        let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
        let isFinal = before.map(Self.isCased) == true && after.map(Self.isCased) != true
        return isFinal ? "\u{3c2}" : "\u{3c3}"
    }

    var uppercased: JinjaText { mapping { $1.properties.uppercaseMapping } }
    var lowercased: JinjaText { mapping { index, _ in lower(at: index) } }
    var capitalized: JinjaText { mapping { index, scalar in index == 0 ? scalar.properties.titlecaseMapping : lower(at: index) } }

    var titlecased: JinjaText {
        var isInside = false
        return mapping { index, scalar in
            defer { isInside = Self.isCased(scalar) }
            return isInside ? lower(at: index) : scalar.properties.titlecaseMapping
        }
    }

    var swappedCase: JinjaText {
        mapping { index, scalar in
            if scalar.properties.isUppercase { return lower(at: index) }
            return scalar.properties.isLowercase ? scalar.properties.uppercaseMapping : String(Character(scalar))
        }
    }

    var isUpper: Bool { scalars.contains { $0.properties.isUppercase } && !scalars.contains { $0.properties.isLowercase || $0.isTitlecase } }
    var isLower: Bool { scalars.contains { $0.properties.isLowercase } && !scalars.contains { $0.properties.isUppercase || $0.isTitlecase } }

    var isTitle: Bool {
        var isInside = false
        var found = false
        for scalar in scalars {
            let isUpper = scalar.properties.isUppercase || scalar.isTitlecase
            let isLower = scalar.properties.isLowercase
            if isUpper && isInside || isLower && !isInside { return false }
            isInside = isUpper || isLower
            found = found || isInside
        }
        return found
    }

    /// `&`, `<`, `>` and both quotes as character references.
    var escaped: JinjaText {
        let references: [Unicode.Scalar: String] = ["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&#34;", "'": "&#39;"]
        return isMarkup ? self : JinjaText(scalars.flatMap { Array((references[$0] ?? String(Character($0))).unicodeScalars) }, isMarkup: true)
    }

    var needsEscape: Bool { !isMarkup && scalars.contains { "&<>\"'".unicodeScalars.contains($0) } }
}
