/// How a vocabulary of bytes splits texts before merging, by the name that GGUF files give it; the steps are those of the families' tokenizer.json.
struct GgufPreTokenizer {
    var steps: [JSONValue]
    /// Texts are composed first (NFC).
    var composes = false
    /// A piece that is a token as a whole is not made by merges.
    var takesWholeFirst = false
    /// A text begins with the token for that, unless the file says otherwise.
    var addsBeginning = false

    static let all: [String: GgufPreTokenizer] = {
        var table: [String: GgufPreTokenizer] = [:]
        for (names, pre) in rows { for name in names.split(separator: " ") { table[String(name)] = pre } }
        return table
    }()

    private static let rows: [(names: String, GgufPreTokenizer)] = [
        ("gpt-2 phi-2 olmo jais mpt exaone4 trillion granite-docling", .init(steps: [bytes(splits: true)])),
        ("smollm starcoder refact codeshell exaone minerva-7b", .init(steps: [digits, bytes(splits: true)])),
        ("command-r", .init(steps: [digits, bytes(splits: true)], composes: true)),
        ("llama-bpe llama3 llama-v3 falcon3 pixtral lfm2", .init(steps: [split(llama3), bytes()], takesWholeFirst: true, addsBeginning: true)),
        ("dbrx smaug-bpe chatglm-bpe", .init(steps: [split(llama3), bytes()])),
        ("glm4", .init(steps: [split(llama3), bytes()], takesWholeFirst: true)),
        ("qwen2 deepseek-r1-qwen megrez", .init(steps: [split(qwen2), bytes()], composes: true)),
        ("stablelm2 hunyuan", .init(steps: [split(qwen2), bytes()])),
        ("qwen35", .init(steps: [split(marks), bytes()])),
        ("gpt-4o llama4", .init(steps: [split(cases(contractions + "?", digits: "{1,3}")), bytes()])),
        ("tekken", .init(steps: [split(cases("", digits: "")), bytes()], takesWholeFirst: true, addsBeginning: true)),
        ("falcon", .init(steps: [["type": "Punctuation", "behavior": "Contiguous"], bytes(splits: true), ["type": "Digits", "individual_digits": false], split("[0-9][0-9][0-9]")])),
        ("deepseek-coder", .init(steps: [split("[\r\n]"), split(#"\s?\p{L}+"#), split(#"\s?\p{P}+"#), split("[一-龥ࠀ-一가-퟿]+"), digits, bytes()])),
        ("deepseek-llm", .init(steps: [
            split("[\r\n]"), split(#"\s?[\#(letters)]+"#), split("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), split(#"\s+$"#), split("[一-龥ࠀ-一가-퟿]+"), digits, bytes(),
        ])),
        ("deepseek-v3", .init(steps: [
            split(#"\p{N}{1,3}"#), split("[一-龥぀-ゟ゠-ヿ]+"),
            split(##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##), bytes(),
        ])),
    ]

    // MARK: Steps

    static func bytes(splits: Bool = false) -> JSONValue { ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": .bool(splits)] }

    private static func split(_ pattern: String) -> JSONValue { ["type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated", "invert": false] }

    private static let digits: JSONValue = ["type": "Digits", "individual_digits": true]

    // MARK: Patterns

    private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    private static let llama3 = contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let qwen2 = contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let marks = contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// Words end where small letters are followed by capitals.
    private static func cases(_ ending: String, digits: String) -> String {
        let (large, small) = (#"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#, #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#), start = #"[^\r\n\p{L}\p{N}]?"#
        return "\(start)\(large)*\(small)+\(ending)|\(start)\(large)+\(small)*\(ending)|\\p{N}\(digits)" + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    /// Letters as DeepSeek's first models list them.
    private static let letters = "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u{2126}ℨ\u{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
}
