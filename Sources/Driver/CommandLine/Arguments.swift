import GlmcIR

/// The arguments of one subcommand, parsed by its flag table.
public struct Arguments: Sendable {
    /// What is no flag, in order.
    public private(set) var positionals: [String] = []
    private var values: [String: [String]] = [:]
    let subcommand: Subcommand

    /// - Throws: a `.usage` diagnostic that names the nearest flag, the missing value, or what was expected.
    init(_ words: [String], for subcommand: Subcommand) throws(Diagnostic) {
        self.subcommand = subcommand
        var index = 0, onlyPositionals = false
        while index < words.count {
            let word = words[index]
            index += 1
            if word == "--" && !onlyPositionals {
                onlyPositionals = true
            } else if word.hasPrefix("-") && word.count > 1 && !onlyPositionals {
                let (flag, attached) = try lookup(word)
                switch flag.form {
                case .toggle:
                    guard attached == nil else { throw usage("\(flag.spelling) takes no value") }
                    values[flag.name] = [""]
                case .optional(_, let otherwise): values[flag.name, default: []].append(attached ?? otherwise)
                case .value, .attached:
                    let value: String
                    if let attached {
                        value = attached
                    } else {
                        guard index < words.count else { throw usage("\(flag.spelling) needs a value") }
                        value = words[index]
                        index += 1
                    }
                    guard flag.choices.isEmpty || flag.choices.contains(value) else {
                        throw misused(flag, value)
                    }
                    values[flag.name, default: []].append(value)
                }
            } else {
                positionals.append(word)
            }
        }
    }

    /// Whether the number of arguments without a flag is right; not asked when help is wanted.
    func checkPositionals() throws(Diagnostic) {
        if positionals.count < subcommand.positionals.lowerBound { throw usage("something is missing: glmc \(subcommand.name) \(subcommand.synopsis)") }
        if positionals.count > subcommand.positionals.upperBound {
            throw usage("'\(positionals[subcommand.positionals.upperBound])' is one argument too many: glmc \(subcommand.name) \(subcommand.synopsis)")
        }
    }

    private func usage(_ message: String) -> Diagnostic {
        Diagnostic(.usage, message, hint: "glmc help \(subcommand.name)")
    }

    /// A letter with a value attached takes one of a range, where none is like another.
    private func misused(_ flag: Flag, _ value: String) -> Diagnostic {
        let message = "'\(value)' is no value of \(flag.spelling)"
        guard case .attached = flag.form, let first = flag.choices.first, let last = flag.choices.last else { return usage(message, nearest: value, among: flag.choices) }
        return Diagnostic(.usage, message, hint: "\(flag.spelling)\(first) to \(flag.spelling)\(last)")
    }

    private func usage(_ message: String, nearest word: String, among names: [String]) -> Diagnostic {
        Diagnostic(.usage, message, hint: nearestName(to: word, among: names).map { "did you mean \($0)?" } ?? (names.count <= 8 && !names.isEmpty ? "one of \(names.joined(separator: ", "))" : "glmc help \(subcommand.name)"))
    }

    /// The flag that `word` names, and the value attached to it.
    private func lookup(_ word: String) throws(Diagnostic) -> (Flag, String?) {
        let flags = subcommand.allFlags
        let equals = word.firstIndex(of: "=")
        let name = String(word[..<(equals ?? word.endIndex)]), value = equals.map { String(word[word.index(after: $0)...]) }
        for flag in flags {
            if case .attached = flag.form {
                if word.hasPrefix(flag.spelling), word.count > flag.spelling.count, !word.hasPrefix("--") { return (flag, String(word.dropFirst(flag.spelling.count))) }
            } else if name == flag.spelling {
                return (flag, value)
            }
        }
        if !word.hasPrefix("--"), let letter = word.dropFirst().first, let flag = flags.first(where: { $0.short == letter }) {
            let rest = word.dropFirst(2)
            return (flag, rest.isEmpty ? nil : String(rest.first == "=" ? rest.dropFirst() : rest))
        }
        throw usage("glmc \(subcommand.name) has no flag \(name)", nearest: name, among: flags.map(\.spelling))
    }

    /// Whether the flag was given.
    public func has(_ name: String) -> Bool { values[name] != nil }
    /// The last value given.
    public func string(_ name: String) -> String? { values[name]?.last }
    /// All values given, in order.
    public func all(_ name: String) -> [String] { values[name] ?? [] }

    /// The value as a whole number in `range`.
    public func int(_ name: String, in range: ClosedRange<Int> = 0...Int.max) throws(Diagnostic) -> Int? {
        guard let text = string(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw usage("\(spelling(name)) takes a whole number\(range.upperBound == Int.max ? " from \(range.lowerBound)" : " from \(range.lowerBound) to \(range.upperBound)"), not '\(text)'")
        }
        return value
    }

    /// Numbers from 1 with commas between them; nil where the flag is not there.
    public func sizes(_ name: String) throws(Diagnostic) -> [Int]? {
        guard let text = string(name) else { return nil }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false), sizes = parts.compactMap { Int($0) }
        guard sizes.count == parts.count, sizes.allSatisfy({ $0 > 0 }) else {
            throw misuse("--\(name) takes numbers from 1 with commas between them, not '\(text)'")
        }
        return sizes
    }

    /// How many threads to run with; 0 = as many as there are processors.
    public func threads() throws(Diagnostic) -> Int { string("threads") == "auto" ? 0 : try int("threads", in: 0...1024) ?? 0 }

    /// The value as a number that is finite and not negative.
    public func double(_ name: String) throws(Diagnostic) -> Double? {
        guard let text = string(name) else { return nil }
        guard let value = Double(text), value.isFinite, value >= 0 else { throw usage("\(spelling(name)) takes a number from 0, not '\(text)'") }
        return value
    }

    /// Values of the form `NAME=REST`, in order.
    /// - Throws: a `.usage` diagnostic for another form, and for a name that comes twice.
    public func pairs(_ flag: String, separator: Character = "=") throws(Diagnostic) -> [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        var seen: Set<String> = []
        for text in all(flag) {
            // The last separator: names of tensors may hold colons, sizes and files' values do not begin before it.
            guard let at = separator == ":" ? text.lastIndex(of: separator) : text.firstIndex(of: separator), at != text.startIndex else {
                throw usage("\(spelling(flag)) takes NAME\(separator)VALUE, not '\(text)'")
            }
            let name = String(text[..<at])
            guard seen.insert(name).inserted else { throw usage("\(spelling(flag)) is given twice for '\(name)'") }
            result.append((name, String(text[text.index(after: at)...])))
        }
        return result
    }

    /// A diagnostic about how this subcommand was used.
    public func misuse(_ message: String) -> Diagnostic { usage(message) }

    private func spelling(_ name: String) -> String { subcommand.allFlags.first { $0.name == name }?.spelling ?? "--" + name }
}
