import GlmcIR

/// Reads one JSON object of a configuration and keeps account of it: what is read is understood, and `finish` refuses the rest by name.
///
/// Keys are asked for by their usual names; `names` says what this kind of model calls them, and `defaults` what holds where a key is absent.
/// A null says that there is none.
struct ConfigReader {
    /// Where the object is, outermost first.
    var place: [String]
    private var members: [String: JSONValue] = [:]
    private var names: [String: String]
    private let defaults: [String: JSONValue]
    private var known: Set<String> = []

    /// - Throws: where `object` is not an object.
    init(_ object: JSONValue, at place: [String] = ["config.json"], names: [String: String] = [:], defaults: [String: JSONValue] = [:]) throws {
        guard case .object(let list) = object else { throw Diagnostic(.invalid, "is not an object", at: place) }
        self.place = place
        self.names = names
        self.defaults = defaults
        for member in list { members[member.key] = member.value }
    }

    /// The largest size that a configuration may ask for; products of two fit an `Int`, and so do their bytes.
    static let largestSize = 1 << 24

    /// The object itself.
    var whole: JSONValue { .object(members.map { JSONValue.Member(key: $0.key, value: $0.value) }) }

    // MARK: Values

    /// The value of a key, which counts as understood; nil where it is null, or absent without a default.
    mutating func value(_ key: String) -> JSONValue? {
        let own = names[key] ?? key
        known.insert(own)
        let value = members[own] ?? defaults[key]
        return value == .null ? nil : value
    }

    /// Whether the file itself gives the key a value.
    func has(_ key: String) -> Bool { members[names[key] ?? key].map { $0 != .null } ?? false }

    /// An integer in `range`, nil where there is none.
    mutating func optionalSize(_ key: String, in range: ClosedRange<Int> = 1...largestSize) throws -> Int? {
        try value(key).map { value in
            guard let size = value.int, range.contains(size) else { throw bad(key, "a whole number from \(range.lowerBound) to \(range.upperBound)", value) }
            return size
        }
    }

    mutating func size(_ key: String, in range: ClosedRange<Int> = 1...largestSize) throws -> Int {
        guard let size = try optionalSize(key, in: range) else { throw bad(key, "a whole number from \(range.lowerBound) to \(range.upperBound)", nil) }
        return size
    }

    /// A finite number that is not negative, nil where there is none; integers will do.
    mutating func optionalNumber(_ key: String) throws -> Double? {
        try value(key).map { value in
            guard let number = value.double, number >= 0, number <= Double(Float.greatestFiniteMagnitude) else { throw bad(key, "a number from 0", value) }
            return number
        }
    }

    mutating func number(_ key: String) throws -> Double {
        guard let number = try optionalNumber(key) else { throw bad(key, "a number from 0", nil) }
        return number
    }

    /// A number above 0, nil where there is none.
    mutating func optionalPositive(_ key: String) throws -> Double? {
        guard let number = try optionalNumber(key) else { return nil }
        guard number >= Double(Float.leastNormalMagnitude) else { throw bad(key, "a number above 0", value(key)) }
        return number
    }

    mutating func positive(_ key: String) throws -> Double {
        guard let number = try optionalPositive(key) else { throw bad(key, "a number above 0", nil) }
        return number
    }

    mutating func optionalText(_ key: String) throws -> String? {
        try value(key).map { value in
            guard let text = value.string else { throw bad(key, "a string", value) }
            return text
        }
    }

    /// True or false; false where the key and a default are absent.
    mutating func flag(_ key: String) throws -> Bool {
        guard let value = value(key) else { return false }
        guard let flag = value.bool else { throw bad(key, "true or false", value) }
        return flag
    }

    /// A list of `count` items, each read by `item`; nil where there is none.
    mutating func optionalList<Item>(_ key: String, count: Int? = nil, _ wanted: String, _ item: (JSONValue) -> Item?) throws -> [Item]? {
        try value(key).map { value in
            guard let items = value.array, count.map({ $0 == items.count }) ?? true else {
                throw bad(key, "a list" + (count.map { " of \($0) items" } ?? ""), value)
            }
            return try items.map { entry in
                guard let read = item(entry) else { throw bad(key, "a list of \(wanted)", entry) }
                return read
            }
        }
    }

    /// An object inside this one, nil where there is none; the caller finishes it.
    mutating func optionalObject(_ key: String) throws -> ConfigReader? {
        try value(key).map { value in
            guard case .object = value else { throw bad(key, "an object", value) }
            return try ConfigReader(value, at: place + [quoted(key)])
        }
    }

    /// One of the words in `table`.
    mutating func choice<Choice>(_ key: String, _ table: [String: Choice]) throws -> Choice {
        guard let word = try optionalText(key) else { throw bad(key, "one of \(table.keys.sorted().joined(separator: ", "))", nil) }
        guard let choice = table[word] else {
            throw Diagnostic(.unsupported, "'\(word)' is not supported", at: place + [quoted(key)], hint: "supported: \(table.keys.sorted().joined(separator: ", "))")
        }
        return choice
    }

    /// How many labels there are: those that have a name, two where nothing is said.
    mutating func labels() throws -> Int {
        guard let names = value("id2label") else { return try optionalSize("num_labels") ?? 2 }
        guard case .object(let list) = names, !list.isEmpty else { throw bad("id2label", "an object with the labels' names", names) }
        return list.count
    }

    // MARK: Account

    /// Refuses what was not read. Keys in `irrelevant` have no influence on results; those in `neutral` have none at the values given there.
    /// - Throws: `Diagnostics` that name every key whose value may change the result and is not understood.
    func finish(irrelevant: Set<String> = [], neutral: [String: [JSONValue]] = [:]) throws {
        let unknown = members.filter { key, value in
            value != .null && !known.contains(key) && !irrelevant.contains(key) && !(neutral[key]?.contains { $0 == value || $0.double != nil && $0.double == value.double } ?? false)
        }
        guard unknown.isEmpty else {
            throw Diagnostics(unknown.sorted { $0.key < $1.key }.map { key, value in
                Diagnostic(.unsupported, "may change the result and is not understood (its value is \(value.kind))", at: place + ["'\(key)'"])
            })
        }
    }

    /// The error of a key whose value is not what is wanted; nil for one that is missing.
    func bad(_ key: String, _ wanted: String, _ value: JSONValue?) -> Diagnostic {
        Diagnostic(.invalid, "must be \(wanted)" + (value.map { ", not \($0.kind)" } ?? ", and is missing"), at: place + [quoted(key)])
    }

    private func quoted(_ key: String) -> String { "'\(names[key] ?? key)'" }
}

extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral items: JSONValue...) { self = .array(items) }
    public init(dictionaryLiteral members: (String, JSONValue)...) { self = .object(members.map { Member(key: $0.0, value: $0.1) }) }

    /// What it is, for a message: numbers and words themselves, of others only the kind.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): value.count <= 40 ? "'\(value)'" : "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// Names of activations in configurations.
let activationNames: [String: ActivationKind] = [
    "gelu": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "relu": .relu, "silu": .silu, "swish": .silu, "quick_gelu": .quickGelu, "tanh": .tanh,
]

/// Values at which keys of all kinds of models have no influence.
let neutralKeys: [String: [JSONValue]] = ["add_cross_attention": [false], "is_encoder_decoder": [false], "pruned_heads": [.object([])], "tie_encoder_decoder": [false]]

/// Keys of configurations without influence on what a model computes: training, generation, names, the machinery of other libraries.
let irrelevantKeys: Set<String> = [
    "_attn_implementation", "_attn_implementation_autoset", "_flash_attn_2_enabled", "_name_or_path", "architectures", "attn_implementation", "auto_map", "chunk_size_feed_forward",
    "dtype", "finetuning_task", "gradient_checkpointing", "id2label", "is_decoder", "label2id", "model_type", "name_or_path", "num_labels",
    "output_attentions", "output_hidden_states", "output_router_logits", "prefix", "pretraining_tp", "problem_type", "return_dict", "task_specific_params",
    "tf_legacy_loss", "tokenizer_class", "torch_dtype", "torchscript", "transformers.js_config", "transformers_version", "unsloth_fixed", "unsloth_version", "use_bfloat16", "use_cache",
    "cache_implementation", "ep_size", "is_llama_config",
    "attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "aux_loss_alpha", "classifier_dropout", "dropout", "embd_pdrop", "hidden_dropout", "hidden_dropout_prob",
    "initializer_factor", "initializer_range", "resid_pdrop", "router_aux_loss_coef", "router_jitter_noise", "seq_aux",
    "bos_token_id", "cls_token_id", "decoder_start_token_id", "eos_token_id", "mask_token_id", "pad_token_id", "sep_token_id", "unk_token_id",
    "bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length", "max_new_tokens", "min_length",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences", "output_scores", "remove_invalid_values", "repetition_penalty",
    "return_dict_in_generate", "suppress_tokens", "temperature", "top_k", "top_p", "typical_p",
    // Read by `CheckpointQuantization`.
    "quantization_config",
]
