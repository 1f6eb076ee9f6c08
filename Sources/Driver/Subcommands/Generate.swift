import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension Subcommand {
    static let generate = Subcommand(
        "generate", "ART|MODEL --prompt TEXT | --chat [--prompt TEXT] | --tokens 1,2,3 [flags]",
        summary: "let a language model continue a text, or answer",
        details: """
            The text streams to standard output, figures follow on standard error. With --chat, every line of standard input is a
            turn of the user, or --prompt is the only one. Without --temperature, always the most probable token follows. A model
            that is not compiled yet is compiled first, to a temporary file; the flags of glmc compile apply. Ctrl-C ends the text
            (exit code 130).
            """,
        positionals: 1...1,
        flags: [
            Flag("prompt", .value("TEXT"), "the text to continue; with --chat, the user's only turn"),
            Flag("chat", "frame turns as the model's chat template does, and answer"),
            Flag("system", .value("TEXT"), "the system message of a chat"),
            Flag("tokens", .value("1,2,3"), "tokens to continue; then tokens come out where the model has no tokenizer"),
            Flag("max-new", .value("N"), "new tokens at most (default: as many as the context holds)"),
            Flag("temperature", .value("T"), "draw the next token, with scores divided by T"),
            Flag("top-k", .value("K"), "draw from the K most probable tokens"),
            Flag("top-p", .value("P"), "draw from the most probable tokens whose share reaches P"),
            Flag("min-p", .value("P"), "draw from tokens at least P times as probable as the most probable one"),
            Flag("repeat-penalty", .value("R"), "divide the scores of tokens that occurred by R (multiply, where negative)"),
            Flag("seed", .value("S"), "the same seed gives the same text, with any number of threads (default 0)"),
            Flag("stop", .value("TEXT"), repeated: true, "end where this text begins"),
            Flag("lookup", .optional("N", otherwise: String(Sampling.usualDraft)), "guess up to N tokens from what occurred before, and check them in one step (\(Sampling.usualDraft))"),
            Flag("draft", .value("ART"), "guess tokens with a smaller model of the same vocabulary"),
            Flag("logits", .value("FILE.npy"), "write the scores behind the prompt and behind each new token, f32 [n + 1, vocabulary]"),
            Flag("json", "print JSON"),
        ] + Compilation.flags
    ) { arguments, console in
        guard arguments.has("chat") ? !arguments.has("tokens") : arguments.has("prompt") != arguments.has("tokens") else {
            throw arguments.misuse("give one of --prompt, --tokens and --chat")
        }
        if arguments.has("system"), !arguments.has("chat") { throw arguments.misuse("--system means nothing without --chat") }
        for path in arguments.all("logits") { try Files.checkTarget(path) }
        let how = try sampling(arguments)
        let model = try LanguageModel(try Compilation(arguments, console).artifact(arguments.positionals[0]))
        let printer = ReplyPrinter(console, isJSON: arguments.has("json"), logits: arguments.string("logits"))
        let generator = try model.generator(threads: arguments.threads())
        if let path = arguments.string("draft") { try generator.draft(with: LanguageModel(try Artifact(path: path)), threads: arguments.threads()) }
        let interrupter = generator.interrupter
        func reply(to tokens: [Int32]) throws -> Reply {
            try generator.start(tokens, how)
            Interruption.onInterrupt { interrupter.interrupt() }
            defer { Interruption.onInterrupt(nil) }
            return try printer.print(generator)
        }
        guard arguments.has("chat") else {
            let tokens = try arguments.string("tokens").map { try TokenList.parse($0, arguments, flag: "--tokens") } ?? model.tokens(of: arguments.string("prompt") ?? "")
            return try reply(to: tokens).exit
        }
        var lines = InputLines(), contents: [String] = [], exit = ExitCode.done
        while exit == .done, let turn = try arguments.string("prompt") ?? lines.next(prompt: "> ") {
            contents.append(turn)
            let reply = try reply(to: model.tokens(ofChat: contents, system: arguments.string("system")))
            contents.append(reply.text)
            exit = reply.exit
            if arguments.has("prompt") { break }
        }
        return exit
    }

    private static func sampling(_ arguments: Arguments) throws -> Sampling {
        var how = Sampling()
        func number(_ flag: String, to most: Double, above least: Double? = nil) throws -> Float? {
            guard let value = try arguments.double(flag) else { return nil }
            guard value <= most, least.map({ value > $0 }) ?? true else {
                throw arguments.misuse("--\(flag) takes a number \(least.map { "above \(formatted("%g", $0)) and at most" } ?? "from 0 to") \(formatted("%g", most)), not \(formatted("%g", value))")
            }
            return Float(value)
        }
        how.temperature = try number("temperature", to: 1e6) ?? 0
        how.topK = try arguments.int("top-k", in: 0...Int(Int32.max)) ?? 0
        how.topP = try number("top-p", to: 1, above: 0) ?? 1
        how.minP = try number("min-p", to: 1) ?? 0
        how.repeatPenalty = try number("repeat-penalty", to: 1e6, above: 0) ?? 1
        if let seed = arguments.string("seed") {
            guard let value = UInt64(seed) else { throw arguments.misuse("--seed takes a whole number from 0 to \(UInt64.max), not '\(seed)'") }
            how.seed = value
        }
        how.mostTokens = try arguments.int("max-new", in: 1...Int(Int32.max))
        how.stops = arguments.all("stop")
        how.draftTokens = try arguments.int("lookup", in: 1...Sampling.mostDraft) ?? (arguments.has("draft") ? Sampling.usualDraft : 0)
        guard !how.stops.contains(where: \.isEmpty) else { throw arguments.misuse("--stop takes a text that is not empty") }
        return how
    }
}

/// What came back.
struct Reply {
    var tokens: [Int32] = []
    var text = ""
    var end: Generator.End?

    var exit: ExitCode { end == .interrupted ? .interrupted : .done }
}

/// Prints what a generator gives: as it comes, or as JSON at the end.
struct ReplyPrinter {
    private let console: Console
    private let isJSON: Bool
    /// The file of scores, nil for none.
    private let logits: String?

    init(_ console: Console, isJSON: Bool, logits: String?) {
        (self.console, self.isJSON, self.logits) = (console, isJSON, logits)
    }

    func print(_ generator: Generator) throws -> Reply {
        var reply = Reply(), figures: Generator.Figures?, scores: [Float] = []
        let start = now()
        var first = start
        func collect() throws { if logits != nil { scores += try generator.logits() } }
        while reply.end == nil {
            if reply.tokens.isEmpty { try collect() }
            let piece = try generator.next()
            if let token = piece.token {
                reply.tokens.append(token)
                if !isJSON, generator.model.tokenizer == nil { Console.write((reply.tokens.count > 1 ? "," : "") + String(token), to: 1) }
                if piece.end != .interrupted { try collect() }
            }
            if reply.tokens.count <= 1 { first = now() }
            reply.text += piece.text
            // On a terminal, what a model says moves no cursor.
            if !isJSON {
                Console.write(isatty(1) != 0 ? piece.text.printable : piece.text, to: 1)
                // Nobody reads on.
                if Console.outputIsGone { break }
            }
            (reply.end, figures) = (piece.end, piece.figures)
        }
        if !isJSON { Console.write("\n", to: 1) }
        guard let figures else { return reply }
        if isJSON { console.print(json(reply, figures, seconds: first - start).text()) }
        let rate = figures.newTokens > 1 ? " at \(formatted("%.1f", figures.decodeTokensPerSecond)) tokens/s" : ""
        let steps = figures.newTokens > figures.steps + 1 ? " (\(formatted("%.1f", figures.tokensPerStep)) a step)" : ""
        let known = figures.keptTokens > 0 ? " (\(figures.keptTokens) known)" : ""
        console.note(
            "\(figures.promptTokens) tokens of prompt\(known) in \(formatted("%.0f ms", figures.promptSeconds * 1e3)), \(figures.newTokens) new"
                + "\(rate)\(steps), \(bytesText(peakMemory()))")
        if let logits {
            let rows = scores.count / generator.model.vocabulary
            let bytes = scores.withUnsafeBytes { ByteSpan(Array($0)) }
            guard let array = NumpyArray(element: .f32, shape: [rows, generator.model.vocabulary], bytes: bytes) else { return reply }
            try Npy.write(array, to: logits)
        }
        return reply
    }

    private func json(_ reply: Reply, _ figures: Generator.Figures, seconds: Double) -> JSONValue {
        func number(_ value: Double) -> JSONValue { .double(value.rounded(toPlaces: 3)) }
        return .object([
            "prompt_tokens": .int(Int64(figures.promptTokens)), "tokens": .array(reply.tokens.map { .int(Int64($0)) }), "text": .string(reply.text),
            "end": .string(reply.end?.name ?? ""), "ttft_ms": number(seconds * 1e3), "prefill_tokens_per_s": number(figures.promptTokensPerSecond),
            "decode_tokens_per_s": number(figures.decodeTokensPerSecond), "accepted_per_step": number(figures.tokensPerStep), "peak_rss_mb": number(Double(peakMemory()) / 1e6),
        ])
    }
}

/// Lines of standard input.
struct InputLines {
    private var bytes: [UInt8] = []
    private var hasEnded = false

    /// The next line that is not empty, without its end; nil at the end of input.
    /// - Parameter prompt: shown where a person types.
    /// - Throws: a `Diagnostic` for a line that is not UTF-8.
    mutating func next(prompt: String) throws -> String? {
        while true {
            if isatty(0) != 0 { Console.write(prompt, to: 2) }
            guard var line = nextBytes() else { return nil }
            while let last = line.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { line = line.dropLast() }
            guard let text = String(validating: line, as: UTF8.self) else { throw Diagnostic(.invalid, "is not UTF-8", at: ["standard input"]) }
            if !text.isEmpty { return text }
        }
    }

    private mutating func nextBytes() -> ArraySlice<UInt8>? {
        var block = [UInt8](repeating: 0, count: 4096)
        while !bytes.contains(UInt8(ascii: "\n")), !hasEnded {
            let count = read(0, &block, block.count)
            if count < 0, errno == EINTR { continue }
            hasEnded = count <= 0
            bytes += block.prefix(max(count, 0))
        }
        guard !bytes.isEmpty else { return nil }
        let end = bytes.firstIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? bytes.count
        defer { bytes.removeFirst(end) }
        return bytes[..<end]
    }
}

/// Tokens as text: numbers with commas or white space between them.
enum TokenList {
    /// nil where something is no number of a token.
    static func parse(_ text: String) -> [Int32]? {
        if text.allSatisfy(\.isWhitespace) { return [] }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { $0.split(whereSeparator: \.isWhitespace) }
        let words = parts.flatMap { $0 }, numbers = words.compactMap { word in word.allSatisfy(\.isNumber) ? Int32(word) : nil }
        return numbers.count == words.count && !parts.contains(where: \.isEmpty) ? numbers : nil
    }

    /// The value of a flag.
    static func parse(_ text: String, _ arguments: Arguments, flag: String) throws -> [Int32] {
        guard let tokens = parse(text) else { throw arguments.misuse("\(flag) takes numbers of tokens, such as 1,2,3, not '\(text)'") }
        return tokens
    }

    static func text(_ tokens: [Int32]) -> String { tokens.map(String.init).joined(separator: ",") }
}
