import CGlmcABI
import Foundation

/// A compiled language model: text to tokens and back, and generators that continue texts. Immutable; share it between threads freely.
public struct LanguageModel: @unchecked Sendable {
    public let artifact: Artifact
    /// Tokens are the numbers from 0 to below this.
    public let vocabulary: Int
    /// How many tokens prompt and answer may have together.
    public let context: Int
    /// How many texts it continues at once (`--batch`).
    public let sequences: Int
    /// Tokens that end a text.
    public let stopTokens: [Int32]
    /// nil where the model was compiled without one: it takes and gives tokens' numbers.
    public let tokenizer: Tokenizer?
    let language: UnsafePointer<glmc_language>

    /// - Throws: `badArgument` where the artifact is no language model, `badFile` where its tokenizer is damaged.
    public init(_ artifact: Artifact) throws(RuntimeError) {
        guard let language = glmc_model_language(artifact.model) else { throw RuntimeError(.badArgument, "'\(artifact.name)' is no language model") }
        let facts = language.pointee
        self.artifact = artifact
        self.language = language
        (vocabulary, context, sequences) = (Int(facts.vocabulary), Int(facts.context), max(1, Int(glmc_language_sequences(language))))
        stopTokens = Array(UnsafeBufferPointer(start: facts.stop_tokens, count: Int(facts.stop_token_count)))
        tokenizer = try facts.tokenizer.map { table throws(RuntimeError) in
            try Tokenizer(table: UnsafeRawBufferPointer(start: table, count: Int(facts.tokenizer_bytes)), owner: artifact)
        }
    }

    /// Whether the model has a chat template that plain strings stand for.
    public var hasChat: Bool { language.pointee.framing != nil }

    /// The tokens of a text that is to be continued, framed as the model wants it.
    /// - Throws: `badArgument` without a tokenizer.
    public func tokens(of text: String) throws(RuntimeError) -> [Int32] { try needTokenizer().encode(text) }

    /// The prompt of a conversation, as tokens: the user's and the assistant's contents by turns, beginning and ending with the user's.
    /// - Throws: `badArgument` where the model has no tokenizer or chat template, or takes no system message.
    public func tokens(ofChat contents: [String], system: String? = nil) throws(RuntimeError) -> [Int32] {
        let tokenizer = try needTokenizer()
        guard !(contents + [system ?? ""]).contains(where: { $0.utf8.contains(0) }) else { throw RuntimeError(.badData, "a conversation holds a zero byte") }
        var pointers = contents.map { strdup($0).map { UnsafePointer($0) } }
        defer { for pointer in pointers { free(UnsafeMutableRawPointer(mutating: pointer)) } }
        var text: [CChar] = []
        for _ in 0..<2 {
            let capacity = text.count
            let count = try checkedCount { error, bytes in
                language.pointee.chat(language, system, &pointers, UInt32(clamping: contents.count), &text, Int64(capacity), error, bytes)
            }
            if count <= capacity { break }
            text = [CChar](repeating: 0, count: count)
        }
        return try tokenizer.encode(String(decoding: text.map { UInt8(bitPattern: $0) }, as: UTF8.self), addsSpecial: false)
    }

    private func needTokenizer() throws(RuntimeError) -> Tokenizer {
        guard let tokenizer else { throw RuntimeError(.badArgument, "the model was compiled without a tokenizer: it takes and gives tokens' numbers") }
        return tokenizer
    }

    /// A way to continue texts, with threads and a cache of its own.
    /// - Parameter threads: as of `Session`.
    public func generator(threads: Int = 0) throws(RuntimeError) -> Generator {
        guard (0...1024).contains(threads) else { throw RuntimeError(.badArgument, "a generator cannot have \(threads) threads") }
        var handle: OpaquePointer?
        try checked { language.pointee.open(artifact.model, Int32(threads), artifact.weightsPath, &handle, $0, $1) }
        guard let handle else { throw RuntimeError(.noMemory, "no generator was made") }
        return Generator(self, handle)
    }
}

/// Calls `body`, which returns a count, or a `glmc_status` as a negative number.
private func checkedCount(_ body: (UnsafeMutablePointer<CChar>, UInt64) -> Int64) throws(RuntimeError) -> Int {
    var count: Int64 = 0
    try checked { error, bytes in
        count = body(error, bytes)
        return count < 0 ? Int32(clamping: -count) : 0
    }
    return Int(count)
}

/// How to continue a text; what is not set is as greedy and as long as can be.
public struct Sampling: Sendable {
    /// What scores are divided by; 0: always the most probable token.
    public var temperature: Float = 0
    /// Only so many of the most probable tokens; 0: any.
    public var topK = 0
    /// Only the most probable tokens whose share reaches this.
    public var topP: Float = 1
    /// Only tokens at least this many times as probable as the most probable one.
    public var minP: Float = 0
    /// What the scores of tokens that occurred are divided by (multiplied, where negative).
    public var repeatPenalty: Float = 1
    /// The same seed gives the same text, with any number of threads.
    public var seed: UInt64 = 0
    /// New tokens at most; nil: as many as the context holds.
    public var mostTokens: Int?
    /// Texts that end the answer, where they begin.
    public var stops: [String] = []
    /// The model's own tokens that end a text do not end it.
    public var ignoresStopTokens = false
    /// Guess up to so many of the next tokens and check them in one step: what followed the text's last tokens where they occurred before, or what
    /// `Generator.draft` says. Those that scores and seed do not choose are dropped. 0: none.
    public var draftTokens = 0

    /// The most of `draftTokens`.
    public static let mostDraft = Int(GLMC_MOST_DRAFT)
    /// What pays off for most models.
    public static let usualDraft = Int(GLMC_USUAL_DRAFT)

    public init() {}
}

/// Continues texts. Its cache keeps the last one: what a prompt has in common with that is not computed again. Use it from one thread at a time.
public final class Generator {
    /// One token more.
    public struct Piece: Sendable {
        /// nil where it was interrupted.
        public let token: Int32?
        /// Complete characters, often none: what may become a longer character or one of the stops is held back.
        public let text: String
        /// Why nothing follows; nil while something does.
        public let end: End?
        public let figures: Figures
    }

    /// Why a text ended.
    public enum End: Int32, Sendable {
        case token = 1, text, count, context, interrupted
        public var name: String { "\(self)" }
    }

    public struct Figures: Sendable {
        public let promptTokens: Int
        /// Those of the prompt that were in the cache already.
        public let keptTokens: Int
        public let newTokens: Int
        /// Seconds from the start to the first new token.
        public let promptSeconds: Double
        /// Seconds from there to the last one.
        public let decodeSeconds: Double
        /// Runs of the model for the new tokens behind the first.
        public let steps: Int

        public var promptTokensPerSecond: Double { promptSeconds > 0 ? Double(promptTokens - keptTokens) / promptSeconds : 0 }
        public var tokensPerStep: Double { steps > 0 ? Double(newTokens - 1) / Double(steps) : 1 }
        public var decodeTokensPerSecond: Double { decodeSeconds > 0 ? Double(newTokens - 1) / decodeSeconds : 0 }
    }

    public let model: LanguageModel
    let handle: OpaquePointer
    /// Guesses up to `most` tokens that follow a text; nil: a lookup of what followed its last tokens before. See `Sampling.draftTokens`.
    public var draft: ((_ tokens: UnsafeBufferPointer<Int32>, _ most: Int) -> [Int32])?
    /// Ends its texts, from any thread.
    public let interrupter = Interrupter()

    /// - Parameter handle: opened, and closed with this object.
    init(_ model: LanguageModel, _ handle: OpaquePointer) {
        self.model = model
        self.handle = handle
    }

    deinit { model.language.pointee.close(handle) }

    /// Sets the text to continue.
    /// - Throws: `badShape` for a prompt that is empty or longer than the context, `badData` for a token beyond the vocabulary, `badArgument` for a
    ///   setting out of range.
    public func start(_ tokens: [Int32], _ how: Sampling = Sampling()) throws(RuntimeError) {
        interrupter.flag.pointee = 0
        var options = glmc_sampling()
        options.size = UInt32(MemoryLayout<glmc_sampling>.size)
        (options.temperature, options.top_p, options.min_p, options.repeat_penalty) = (how.temperature, how.topP, how.minP, how.repeatPenalty)
        (options.top_k, options.seed, options.most_tokens) = (Int32(clamping: how.topK), how.seed, UInt64(clamping: how.mostTokens ?? 0))
        options.ignores_stop_tokens = how.ignoresStopTokens ? 1 : 0
        options.interrupted = UnsafePointer(interrupter.flag)
        options.draft_tokens = UInt32(clamping: how.draftTokens)
        if draft != nil {
            // The text is continued by calls of `next`, within which this object lives.
            options.draft_context = Unmanaged.passUnretained(self).toOpaque()
            options.draft = { context, tokens, count, guess, most in
                guard let context, let tokens, let guess, let draft = Unmanaged<Generator>.fromOpaque(context).takeUnretainedValue().draft else { return 0 }
                let guesses = draft(UnsafeBufferPointer(start: tokens, count: Int(count)), Int(most)).prefix(Int(most))
                for (i, token) in guesses.enumerated() { guess[i] = token }
                return UInt32(guesses.count)
            }
        }
        options.stop_count = UInt32(clamping: how.stops.count)
        let stops = how.stops.map { strdup($0).map { UnsafePointer($0) } }
        defer { for stop in stops { free(UnsafeMutableRawPointer(mutating: stop)) } }
        try checked { error, bytes in
            stops.withUnsafeBufferPointer { stops in
                options.stops = stops.baseAddress
                return model.language.pointee.start(handle, tokens, UInt64(tokens.count), &options, error, bytes)
            }
        }
    }

    /// The next token. After one with an `end`, `start` must be called again.
    public func next() throws(RuntimeError) -> Piece {
        var generated = glmc_generated()
        generated.size = UInt32(MemoryLayout<glmc_generated>.size)
        try checked { model.language.pointee.next(handle, &generated, $0, $1) }
        let text = UnsafeRawBufferPointer(start: generated.text, count: Int(generated.text_bytes))
        return Piece(
            token: generated.token < 0 ? nil : generated.token, text: String(decoding: text, as: UTF8.self), end: End(rawValue: generated.end),
            figures: Figures(
                promptTokens: Int(generated.prompt_tokens), keptTokens: Int(generated.kept_tokens), newTokens: Int(generated.new_tokens),
                promptSeconds: Double(generated.prompt_ns) * 1e-9, decodeSeconds: Double(generated.decode_ns) * 1e-9,
                steps: Int(generated.steps)))
    }

    /// The scores of what follows all tokens so far, one per token of the vocabulary.
    public func logits() throws(RuntimeError) -> [Float] {
        var logits: UnsafePointer<Float>?
        try checked { model.language.pointee.logits(handle, &logits, $0, $1) }
        return Array(UnsafeBufferPointer(start: logits, count: model.vocabulary))
    }

    /// Ends the text that a generator is at, as soon as possible; any thread may hold and call it.
    public final class Interrupter: @unchecked Sendable {
        fileprivate let flag: UnsafeMutablePointer<Int32>

        fileprivate init() {
            flag = .allocate(capacity: 1)
            flag.initialize(to: 0)
        }

        deinit { flag.deallocate() }

        public func interrupt() { flag.pointee = 1 }
    }
}
