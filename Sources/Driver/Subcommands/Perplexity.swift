import Foundation
import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension Subcommand {
    static let perplexity = Subcommand(
        "perplexity", "ART|MODEL --text FILE | --tokens FILE [--context N] [--json]",
        summary: "measure how well a language model predicts a text",
        details: """
            The text is cut into windows of --window tokens (default 512), each read from its beginning; every token of a window but
            the first is predicted from those before it in the window. Prints how many tokens were predicted, the sum of their
            negative logarithmic likelihoods, and the exponential of its mean. FILE of --tokens holds numbers with white space or
            commas between them, or is a .npy file of integers.
            """,
        positionals: 1...1,
        flags: [
            Flag("text", .value("FILE"), "the text, UTF-8"),
            Flag("tokens", .value("FILE"), "the text's tokens"),
            Flag("window", .value("N"), "tokens of a window (default 512, or --context)"),
            Flag("json", "print JSON"),
        ] + Compilation.flags
    ) { arguments, console in
        guard arguments.has("text") != arguments.has("tokens") else { throw arguments.misuse("give --text or --tokens") }
        let window = try arguments.int("window", in: 2...1 << 24) ?? arguments.int("context", in: 2...1 << 24) ?? 512
        let model = try LanguageModel(try Compilation(arguments, console).artifact(arguments.positionals[0]))
        let tokens = try arguments.string("tokens").map(readTokens) ?? readText(arguments.string("text") ?? "", model)
        guard tokens.count > 1 else { throw Diagnostic(.invalid, "holds \(tokens.isEmpty ? "no token" : "one token"): two are needed at least", at: arguments.all("text") + arguments.all("tokens")) }
        if let wrong = tokens.first(where: { $0 < 0 || $0 >= model.vocabulary }) {
            throw Diagnostic(.invalid, "holds the token \(wrong), and the vocabulary has \(model.vocabulary)", at: arguments.all("text") + arguments.all("tokens"))
        }
        let session = try Session(model.artifact, threads: arguments.threads())
        let bar = ProgressBar(console)
        defer { bar.finish() }
        var loss = 0.0, count = 0
        for start in stride(from: 0, to: tokens.count - 1, by: window) {
            let part = Array(tokens[start..<min(start + window, tokens.count)])
            guard part.count > 1 else { break }
            loss += try negativeLikelihood(part, session, model.vocabulary)
            count += part.count - 1
            bar.show("reading", share: Double(start + part.count) / Double(tokens.count))
        }
        bar.finish()
        let perplexity = exp(loss / Double(count))
        if arguments.has("json") {
            console.print(JSONValue.object(["tokens": .int(Int64(count)), "nll": .double(loss), "perplexity": .double(perplexity)]).text())
        } else {
            console.print("\(count) tokens, negative log-likelihood \(formatted("%.4f", loss)), perplexity \(formatted("%.4f", perplexity))")
        }
        return .done
    }

    /// The sum over all tokens but the first, in nats.
    private static func negativeLikelihood(_ tokens: [Int32], _ session: Session, _ vocabulary: Int) throws -> Double {
        // Behind the last token nothing is asked.
        let inputs = tokens.dropLast().map { Int64($0) }
        let buffer = try inputs.withUnsafeBytes { try TensorBuffer(type: .i64, shape: [1, inputs.count], bytes: $0) }
        guard let logits = try session.run(["tokens": buffer], entryPoint: "score")["logits"] else { throw Diagnostic(.internal, "the model gives no logits") }
        return logits.withUnsafeBytes { bytes in
            let scores = bytes.bindMemory(to: Float.self)
            return inputs.indices.reduce(0) { sum, row in
                let row = (row * vocabulary..<(row + 1) * vocabulary, Int(tokens[row + 1]))
                let values = scores[row.0], most = values.max() ?? 0
                let total = values.reduce(0.0) { $0 + exp(Double($1 - most)) }
                return sum + log(total) + Double(most) - Double(values[values.startIndex + row.1])
            }
        }
    }

    private static func readText(_ path: String, _ model: LanguageModel) throws -> [Int32] {
        guard let tokenizer = model.tokenizer else { throw Diagnostic(.invalid, "the model was compiled without a tokenizer", hint: "give --tokens") }
        do {
            return try Files.map(path).withUnsafeBytes { try tokenizer.encode(utf8: $0) }
        } catch let error as RuntimeError {
            throw Diagnostic(.invalid, error.message, at: [path])
        }
    }

    private static func readTokens(_ path: String) throws -> [Int32] {
        if Files.ending(of: path) == "npy" {
            let array = try TensorBuffer(Npy.read(path), as: .i64)
            let numbers = array.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) }
            return numbers.map { Int32(clamping: $0) }
        }
        guard let text = String(validating: try Files.map(path).array, as: UTF8.self), let tokens = TokenList.parse(text) else {
            throw Diagnostic(.invalid, "holds something else than numbers of tokens", at: [path])
        }
        return tokens
    }
}
