/// Help texts, made from the tables of subcommands and flags.
enum Help {
    static func overview(_ subcommands: [Subcommand]) -> String {
        let shown = subcommands.filter { !$0.isHidden }
        return """
            glmc compiles trained models to native code: ONNX or safetensors in, one artifact out that needs no framework.

            usage: glmc SUBCOMMAND MODEL [flags]

            \(table(shown.map { ($0.name, $0.summary) }))

            glmc help SUBCOMMAND tells more. Exit codes: 0 done, 1 bad model or input, 2 wrong usage, 3 results differ,
            4 unsupported (every such node is listed), 70 internal error.
            """
    }

    static func text(_ subcommand: Subcommand) -> String {
        var parts = [subcommand.summary, "usage: glmc \(subcommand.name) \(subcommand.synopsis)"]
        if !subcommand.details.isEmpty { parts.append(subcommand.details) }
        parts.append(table(subcommand.allFlags.map { ($0.synopsis, $0.help) }))
        return parts.joined(separator: "\n\n")
    }

    /// Two columns; a left entry that is too wide stands on a line of its own, or on several where it is a long list of choices.
    private static func table(_ rows: [(String, String)]) -> String {
        let width = min(rows.map(\.0.count).max() ?? 0, 30)
        return rows.map { left, right in
            let lines = wrap(right, 96 - width)
            let indent = String(repeating: " ", count: width + 4)
            let head = left.count <= width ? "  " + left + String(repeating: " ", count: width - left.count + 2) : "  " + wrap(left, 120, at: "|").joined(separator: "|\n    ") + "\n" + indent
            return head + lines.joined(separator: "\n" + indent)
        }.joined(separator: "\n")
    }

    /// - Parameter separator: what lines may be broken at; it stands at no line's end.
    private static func wrap(_ text: String, _ width: Int, at separator: Character = " ") -> [String] {
        var lines: [String] = [""]
        for word in text.split(separator: separator) {
            let last = lines[lines.count - 1]
            if last.isEmpty { lines[lines.count - 1] = String(word) }
            else if last.count + 1 + word.count <= width { lines[lines.count - 1] += String(separator) + word }
            else { lines.append(String(word)) }
        }
        return lines
    }
}
