import GlmcIR

/// What the artifact of a language model carries beside its entry points `score`, `prefill` and `decode` (see `glmc_language` in glmc.h).
public struct LanguageText: Sendable {
    /// The table that glmc_tokenizer.h reads; empty: the model takes and gives tokens' numbers.
    public var tokenizer: [UInt8] = []
    /// Tokens that end a text.
    public var stopTokens: [Int32] = []
    public var framing: Framing?

    /// A `glmc_framing`.
    public struct Framing: Sendable {
        /// Its strings by their names in C; those that are not here are null.
        public var strings: [(name: String, text: String)]
        /// What contents of system, user and assistant lose: sums of 1 (white space at the start) and 2 (at the end).
        public var trims: [Int]

        public init(strings: [(name: String, text: String)], trims: [Int]) {
            self.strings = strings
            self.trims = trims
        }
    }

    public init() {}
}

/// Writes the `glmc_language` of an artifact.
struct LanguageTables {
    private let language: LanguageText
    private let numbers: [String: Int]
    private let vocabulary: Int
    private let context: Int
    private let sequences: Int
    private let rewind: Int

    /// - Throws: where the entry points are not those of a language model.
    init(_ language: LanguageText, _ functions: [Function]) throws {
        self.language = language
        let numbers = Dictionary(functions.enumerated().map { ($1.name, $0) }) { first, _ in first }
        let decode = functions.first { $0.name == "decode" }
        let states = decode?.states ?? []
        let logits = decode.flatMap { f in f.outputs.indices.first { i in !states.contains { $0.output == i } }.map { f.tensorType(f.outputs[$0]) } }
        guard let decode, ["score", "prefill", "verify"].allSatisfy({ numbers[$0] != nil }), let logits, logits.element == .f32, logits.rank == 2,
            let vocabulary = logits.shape[1].constant, let first = states.first, case let type = decode.tensorType(first.input), type.rank == 4,
            let context = decode.metadata["context"].flatMap(Int.init), let rewind = decode.metadata["rewind"].flatMap(Int.init),
            let sequences = type.shape[0].constant, sequences == 1 || numbers["decode_batch"] != nil
        else { throw Diagnostic(.internal, "the entry points are not those of a language model") }
        (self.numbers, self.vocabulary, self.context, self.sequences, self.rewind) = (numbers, vocabulary, context, sequences, rewind)
    }

    func text(_ name: ModelName) -> String {
        var out = "", members: [String] = []
        if !language.tokenizer.isEmpty {
            out += "extern GLMC_HIDDEN const unsigned char \(name.tokenizer)[];\n"
            members.append(".tokenizer = \(name.tokenizer), .tokenizer_bytes = \(language.tokenizer.count)")
        }
        if !language.stopTokens.isEmpty {
            out += "static const int32_t glmc_this_stop_tokens[] = {\(language.stopTokens.map(String.init).joined(separator: ", "))};\n"
            members.append(".stop_tokens = glmc_this_stop_tokens, .stop_token_count = \(language.stopTokens.count)")
        }
        if let framing = language.framing {
            let strings = framing.strings.map { ", .\($0.name) =\n\(ForeignText.literals($0.text))" }.joined()
            out += "static const glmc_framing glmc_this_framing = {.size = sizeof(glmc_framing), .trims = {\(framing.trims.map(String.init).joined(separator: ", "))}\(strings)};\n"
            members.append(".framing = &glmc_this_framing")
        }
        return out + """
            static const glmc_language glmc_this_language = {
                .size = sizeof(glmc_language), .prefill_entry = \(numbers["prefill"] ?? 0), .decode_entry = \(numbers["decode"] ?? 0), .score_entry = \(numbers["score"] ?? 0),
                .verify_entry = \(numbers["verify"] ?? 0), .batch_entry = \(numbers["decode_batch"] ?? 0), .sequences = \(sequences), .rewind = \(rewind), .vocabulary = \(vocabulary), .context = \(context), \(members.map { $0 + ",\n    " }.joined())GLMC_LANGUAGE_FUNCTIONS,
            };

            """
    }
}
