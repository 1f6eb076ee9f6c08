import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension Subcommand {
    static let tokenize = Subcommand(
        "tokenize", "ART|MODEL --text TEXT | --file FILE | --decode 1,2,3 [--json]",
        summary: "turn text to a language model's tokens, or back",
        details: """
            MODEL is a folder with tokenizer.json, a file of that kind, or a .gguf file; it is not compiled. The tokens are those of a
            prompt: with the beginning of a text and the like, where the tokenizer adds them, unless --plain is given.
            """,
        positionals: 1...1,
        flags: [
            Flag("text", .value("TEXT"), "the text to encode"),
            Flag("file", .value("FILE"), "a file with the text to encode"),
            Flag("decode", .value("1,2,3"), "tokens to decode, special ones too"),
            Flag("plain", "encode the text alone, without tokens around it"),
            Flag("json", "print JSON: the tokens and how the vocabulary writes them, or the text"),
        ]
    ) { arguments, console in
        guard ["text", "file", "decode"].count(where: { arguments.has($0) }) == 1 else { throw arguments.misuse("give one of --text, --file and --decode") }
        let tokenizer = try tokenizer(arguments.positionals[0])
        if let text = arguments.string("decode") {
            let decoded = try tokenizer.decode(TokenList.parse(text, arguments, flag: "--decode"), skipsSpecial: false)
            if arguments.has("json") { console.print(JSONValue.object(["text": .string(decoded)]).text()) } else { Console.write(decoded + "\n", to: 1) }
            return .done
        }
        let bytes = try arguments.string("file").map { try Files.map($0) } ?? ByteSpan(Array((arguments.string("text") ?? "").utf8))
        let tokens: [Int32]
        do {
            tokens = try bytes.withUnsafeBytes { try tokenizer.encode(utf8: $0, addsSpecial: !arguments.has("plain")) }
        } catch let error as RuntimeError {
            throw Diagnostic(.invalid, error.message, at: arguments.all("file"))
        }
        if arguments.has("json") {
            let names = tokens.map { JSONValue.string(tokenizer.name(of: $0) ?? "") }
            console.print(JSONValue.object(["tokens": .array(tokens.map { .int(Int64($0)) }), "names": .array(names)]).text())
        } else {
            console.print(TokenList.text(tokens))
        }
        return .done
    }

    private static func tokenizer(_ path: String) throws -> Tokenizer {
        let isFile = try ["json", "model"].contains(Files.ending(of: path)) || ModelFile.kind(path) == .gguf
        if Files.isFolder(path) || isFile { return try Tokenizer(table: TokenizerTable.build(path)) }
        guard let tokenizer = try LanguageModel(try ModelFile.open(path)).tokenizer else {
            throw Diagnostic(.invalid, "was compiled without a tokenizer: it takes and gives tokens' numbers", at: [path])
        }
        return tokenizer
    }
}
