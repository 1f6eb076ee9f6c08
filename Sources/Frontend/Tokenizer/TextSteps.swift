import CGlmcABI
import GlmcIR

/// Normalizers, pre-tokenizers and decoders of tokenizer.json as steps of the table.
extension TableBuilder {
    private static let space: [UInt8] = [0x20]
    private func named(_ set: String) -> CodePointSet { UnicodeData.set(set) ?? CodePointSet([]) }
    private func utf8(_ points: [UInt32]) -> [UInt8] { points.flatMap { Array(String(Character(Unicode.Scalar($0) ?? "\u{fffd}")).utf8) } }

    private mutating func splits(_ pattern: Pattern, _ behaviour: UInt32, inverted: Bool = false) throws(Diagnostic) -> Step {
        Step(kind: Int(GLMC_STEP_SPLIT), a: try number(of: pattern), b: behaviour, c: inverted ? 1 : 0)
    }

    // MARK: Normalizers

    mutating func normalizer(_ node: TokenizerNode) throws(Diagnostic) -> [Step] {
        if node.isNull { return [] }
        switch node.type {
        case "Sequence":
            var all: [Step] = []
            for item in try node["normalizers"].items() { all += try normalizer(item) }
            return all
        case "NFC": return [decomposed(compatible: false), composing()]
        case "NFD": return [decomposed(compatible: false)]
        case "NFKC": return [decomposed(compatible: true), composing()]
        case "NFKD": return [decomposed(compatible: true)]
        case "Lowercase": return [lowercase()]
        case "StripAccents": return [deleting(named("combining"))]
        case "Strip":
            return [Step(kind: Int(GLMC_STEP_TRIM), a: header.space, b: try node["strip_left"].flag() ? 1 : 0, c: try node["strip_right"].flag() ? 1 : 0)]
        case "Replace": return [try replacing(node)]
        case "Prepend": return [Step(kind: Int(GLMC_STEP_PREPEND), text: Array(try node["prepend"].text().utf8))]
        case "BertNormalizer": return try bert(node)
        case "ByteLevel": return [Step(kind: Int(GLMC_STEP_TO_BYTES))]
        case "Precompiled": return [try precompiled(node["precompiled_charsmap"])]
        default: throw node.isUnsupported("the normalizer '\(node.type)'")
        }
    }

    private mutating func decomposed(compatible: Bool) -> Step {
        var entries = Dictionary(UnicodeData.canonical.map { ($0.point, $0.text) }, uniquingKeysWith: { $1 })
        if compatible { for entry in UnicodeData.compatible { entries[entry.point] = entry.text } }
        if classes.isEmpty {
            classes = UnicodeData.classes.sorted { $0.point < $1.point }.map {
                glmc_mapped(first: $0.point, last: $0.point, kind: 0, value: $0.value, text: glmc_text(at: 0, bytes: 0))
            }
        }
        let map = number(ofMap: entries.sorted { $0.key < $1.key }.map { ($0.key...$0.key, Int(GLMC_MAP_TEXT), utf8($0.value)) })
        return Step(kind: Int(GLMC_STEP_DECOMPOSE), a: map)
    }

    private mutating func composing() -> Step {
        composed = UnicodeData.pairs.map { glmc_merge(left: $0.left, right: $0.right, result: $0.composed) }
        return Step(kind: Int(GLMC_STEP_COMPOSE))
    }

    private mutating func lowercase() -> Step {
        Step(kind: Int(GLMC_STEP_MAP), a: number(ofMap: UnicodeData.lowercase.map { ($0.point...$0.point, Int(GLMC_MAP_TEXT), utf8($0.text)) }))
    }

    private mutating func deleting(_ set: CodePointSet) -> Step {
        Step(kind: Int(GLMC_STEP_MAP), a: number(ofMap: set.ranges.map { ($0, Int(GLMC_MAP_TEXT), []) }))
    }

    private mutating func replacing(_ node: TokenizerNode) throws(Diagnostic) -> Step {
        let pattern = try node["pattern"].pattern()
        return Step(kind: Int(GLMC_STEP_REPLACE), a: try Diagnostic.at(node) { () throws(Diagnostic) in try number(of: pattern) }, text: Array(try node["content"].text().utf8))
    }

    /// Ideographs as BERT counts them (huggingface/tokenizers, normalizers/bert.rs).
    private static let ideographs: [ClosedRange<UInt32>] = [
        0x3400...0x4dbf, 0x4e00...0x9fff, 0xf900...0xfaff, 0x20000...0x2a6df, 0x2a700...0x2b73f, 0x2b740...0x2b81f, 0x2b920...0x2ceaf, 0x2f800...0x2fa1f,
    ]

    private mutating func bert(_ node: TokenizerNode) throws(Diagnostic) -> [Step] {
        var all: [Step] = []
        let lowers = try node["lowercase"].flag(default: true)
        if try node["clean_text"].flag(default: true) {
            let gone = named("bert.control").union(CodePointSet(0, 0xfffd))
            let blank = named("rust.space").union(CodePointSet(9, 10, 13)).intersection(gone.inverted)
            let entries = gone.ranges.map { ($0, Int(GLMC_MAP_TEXT), [UInt8]()) } + blank.ranges.map { ($0, Int(GLMC_MAP_TEXT), Self.space) }
            all.append(Step(kind: Int(GLMC_STEP_MAP), a: number(ofMap: entries.sorted { $0.0.lowerBound < $1.0.lowerBound })))
        }
        if try node["handle_chinese_chars"].flag(default: true) {
            all.append(Step(kind: Int(GLMC_STEP_MAP), a: number(ofMap: Self.ideographs.map { ($0, Int(GLMC_MAP_SPACED), []) })))
        }
        if try node["strip_accents"].flag(default: lowers) { all += [decomposed(compatible: false), deleting(named("bert.accent"))] }
        if lowers { all.append(lowercase()) }
        return all
    }

    /// SentencePiece's rules: in base 64 the number of bytes of a double array, that array, and the texts that it leads to, each ended by 0. Rules apply to
    /// grapheme clusters of less than 6 bytes first; the pattern is that of extended grapheme clusters (UAX #29, table 1b) as far as clusters so short need it.
    private mutating func precompiled(_ node: TokenizerNode) throws(Diagnostic) -> Step {
        guard units.isEmpty else { throw node.isUnsupported("a second precompiled map") }
        guard let bytes = Tiktoken.decoded(Array(try node.text().utf8)), bytes.count >= 4 else { throw node.fails("must be a map in base 64") }
        let size = bytes[0..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard size % 4 == 0, size <= bytes.count - 4 else { throw node.fails("is shorter than it says") }
        units = stride(from: 4, to: 4 + size, by: 4).map { at in bytes[at..<at + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) } }
        let text = Array(bytes[(4 + size)...])
        guard String(validating: text, as: UTF8.self) != nil else { throw node.fails("leads to text that is not UTF-8") }
        return Step(kind: Int(GLMC_STEP_PRECOMPILED), a: try number(of: Pattern.parse(Self.clusters)), text: text)
    }

    private static let control = #"\p{Cc}\p{Zl}\p{Zp}[\p{Cf}&&[^\x{200c}\x{200d}\x{600}-\x{605}\x{6dd}\x{70f}\x{890}\x{891}\x{8e2}\x{110bd}\x{110cd}\x{e0020}-\x{e007f}]]"#
    private static let prepended =
        #"[\x{600}-\x{605}\x{6dd}\x{70f}\x{890}\x{891}\x{8e2}\x{d4e}\x{110bd}\x{110cd}\x{111c2}\x{111c3}\x{1193f}\x{11941}\x{11a3a}\x{11a84}-\x{11a89}\x{11d46}\x{11f02}]*"#
    /// Extend, SpacingMark and ZWJ: marks but those that begin a cluster of their own, and what counts as a mark.
    private static let extending =
        #"[\p{M}\x{e33}\x{eb3}\x{200c}\x{200d}\x{ff9e}\x{ff9f}\x{1f3fb}-\x{1f3ff}&&[^\x{102b}\x{102c}\x{1038}\x{1062}-\x{1064}\x{1067}-\x{106d}\x{1083}"#
        + #"\x{1087}-\x{108c}\x{108f}\x{109a}-\x{109c}\x{1a61}\x{1a63}\x{1a64}\x{aa7b}\x{aa7d}\x{11720}\x{11721}]]*"#
    private static let clusters =
        #"\r\n|[\#(control)]|\#(prepended)[\x{1100}-\x{115f}\x{a960}-\x{a97c}]*[\x{ac00}-\x{d7a3}\x{1160}-\x{11ff}]+\#(extending)|\#(prepended)[^\#(control)]\#(extending)"#

    // MARK: Pre-tokenizers

    /// GPT-2's pattern, which ByteLevel means by use_regex.
    private static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    private static let behaviours: [String: UInt32] = ["Removed": 0, "Isolated": 1, "Contiguous": 2, "MergedWithPrevious": 3, "MergedWithNext": 4]

    mutating func pretokenizer(_ node: TokenizerNode) throws(Diagnostic) -> [Step] {
        if node.isNull { return [] }
        switch node.type {
        case "Sequence":
            var all: [Step] = []
            for item in try node["pretokenizers"].items() { all += try pretokenizer(item) }
            return all
        case "ByteLevel":
            var all: [Step] = []
            if try node["add_prefix_space"].flag(default: true) { all.append(Step(kind: Int(GLMC_STEP_PREPEND), b: 1, text: Self.space)) }
            if try node["use_regex"].flag(default: true) { all.append(try splits(Pattern.parse(Self.gpt2), 1)) }
            return all + [Step(kind: Int(GLMC_STEP_TO_BYTES))]
        case "Split":
            let pattern = try node["pattern"].pattern(), behaviour = try self.behaviour(node["behavior"]), inverted = try node["invert"].flag(default: false)
            return [try Diagnostic.at(node) { () throws(Diagnostic) in try splits(pattern, behaviour, inverted: inverted) }]
        case "Metaspace": return try metaspace(node)
        case "Digits": return [try splits(.set(named("rust.numeric")), try node["individual_digits"].flag(default: false) ? 1 : 2)]
        case "Punctuation": return [try splits(.set(named("bert.punctuation")), try node["behavior"].isNull ? 1 : behaviour(node["behavior"]))]
        case "Whitespace":
            let word = named("rust.word"), other = word.union(named("rust.space")).inverted
            return [try splits(.choice([word, other].map { .repeated(.set($0), least: 1, most: nil, mode: .greedy) }), 0, inverted: true)]
        case "WhitespaceSplit": return [try splits(.set(named("rust.space")), 0)]
        case "BertPreTokenizer": return [try splits(.set(named("rust.space")), 0), try splits(.set(named("bert.punctuation")), 1)]
        case "CharDelimiterSplit", "Delimiter": return [try splits(.set(CodePointSet(try node["delimiter"].character().value)), 0)]
        default: throw node.isUnsupported("the pre-tokenizer '\(node.type)'")
        }
    }

    private func behaviour(_ node: TokenizerNode) throws(Diagnostic) -> UInt32 {
        guard let behaviour = Self.behaviours[try node.text()] else { throw node.isUnsupported("this behavior") }
        return behaviour
    }

    /// Whether and where Metaspace puts its character in front.
    private enum Scheme: String { case first, never, always }
    private func scheme(_ node: TokenizerNode) throws(Diagnostic) -> Scheme {
        let written = node["prepend_scheme"]
        guard let scheme = written.isNull ? .always : Scheme(rawValue: try written.text()) else { throw written.isUnsupported("this scheme") }
        return try node["add_prefix_space"].flag(default: true) ? scheme : .never
    }

    private mutating func metaspace(_ node: TokenizerNode) throws(Diagnostic) -> [Step] {
        let mark = try node["replacement"].character(), scheme = try scheme(node), text = Array(String(mark).utf8)
        var all = [Step(kind: Int(GLMC_STEP_REPLACE), a: try number(of: .set(CodePointSet(0x20))), text: text)]
        if scheme != .never { all.append(Step(kind: Int(GLMC_STEP_PREPEND), a: scheme == .first ? 1 : 0, b: 1, text: text)) }
        if try node["split"].flag(default: true) { all.append(try splits(.set(CodePointSet(mark.value)), 4)) }
        return all
    }

    // MARK: Decoders

    mutating func decoder(_ node: TokenizerNode) throws(Diagnostic) -> [Step] {
        if node.isNull { return [Step(kind: Int(GLMC_STEP_WORDS))] }
        return try decoders(node)
    }

    private mutating func decoders(_ node: TokenizerNode) throws(Diagnostic) -> [Step] {
        switch node.type {
        case "Sequence":
            var all: [Step] = []
            for item in try node["decoders"].items() { all += try decoders(item) }
            return all
        case "ByteLevel": return [Step(kind: Int(GLMC_STEP_FROM_BYTES))]
        case "Replace": return [try replacing(node)]
        case "ByteFallback": return [Step(kind: Int(GLMC_STEP_FALLBACK))]
        case "Fuse": return [Step(kind: Int(GLMC_STEP_FUSE))]
        case "Strip": return [Step(kind: Int(GLMC_STEP_STRIP), a: try node["content"].character().value, b: try node["start"].count(default: 0), c: try node["stop"].count(default: 0))]
        case "Metaspace": return [Step(kind: Int(GLMC_STEP_SPACES), a: try node["replacement"].character().value, b: try scheme(node) == .never ? 0 : 1)]
        case "WordPiece": return [Step(kind: Int(GLMC_STEP_WORDS), a: try node["cleanup"].flag(default: true) ? 1 : 0, text: Array(try node["prefix"].text().utf8))]
        case "BPEDecoder": return [Step(kind: Int(GLMC_STEP_SUFFIX), text: Array(try node["suffix"].text().utf8))]
        default: throw node.isUnsupported("the decoder '\(node.type)'")
        }
    }
}
