import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcRuntime

/// What the files of a language model hold beside its weights.
enum LanguageFiles {
    /// Reads tokenizer, tokens that end a text, and chat template.
    /// - Parameter path: a folder as Hugging Face has them, or a GGUF file.
    /// - Parameter leavesTokenizerOut: as if there were none.
    /// - Returns: what goes into the artifact, and what a user should know about it.
    /// - Throws: `Diagnostic` for files that cannot be read, and a tokenizer that is not understood.
    static func read(_ path: String, leavesTokenizerOut: Bool) throws -> (text: LanguageText, notes: [String]) {
        var text = LanguageText()
        text.stopTokens = try StopTokens.read(from: path)
        if leavesTokenizerOut { return (text, []) }
        do {
            text.tokenizer = try TokenizerTable.build(path)
        } catch let error as Diagnostic {
            guard !Files.isFolder(path) || Files.exists(path + "/tokenizer.json") else {
                let remedy = Files.exists(path + "/tokenizer.model") ? " (save one with transformers' AutoTokenizer and save_pretrained)" : ""
                return (text, ["the folder holds no tokenizer.json\(remedy): the artifact takes and gives tokens' numbers"])
            }
            throw Diagnostic(error.kind, error.message, at: error.location, hint: error.hint ?? "--no-tokenizer compiles the model without one")
        }
        let tokenizer = try Tokenizer(table: text.tokenizer)
        if let end = tokenizer.end { text.stopTokens.append(end) }
        var notes: [String] = []
        do {
            if let template = try ChatTemplate.read(from: path) {
                let framing = ChatFraming.derive(template)
                text.framing = framing.flatMap(LanguageText.Framing.init)
                if text.framing == nil { notes.append("the chat template is left out: plain strings cannot stand for it") }
                // What follows an answer ends it, where that is a token of its own.
                if let end = try framing.flatMap({ try tokenizer.encode($0.assistant.suffix, addsSpecial: false).first }), tokenizer.isSpecial(end) { text.stopTokens.append(end) }
            }
        } catch let error as Diagnostic {
            notes.append("the chat template is left out: \(error)")
        }
        var seen: Set<Int32> = []
        text.stopTokens = text.stopTokens.filter { seen.insert($0).inserted }
        return (text, notes)
    }
}

extension LanguageText.Framing {
    /// nil where a string holds a zero, which C cannot express.
    fileprivate init?(_ framing: ChatFraming) {
        let strings: [(name: String, text: String?)] = [
            ("opening", framing.opening), ("system_prefix", framing.system?.prefix), ("system_suffix", framing.system?.suffix),
            ("user_prefix", framing.user.prefix), ("user_suffix", framing.user.suffix),
            ("assistant_prefix", framing.assistant.prefix), ("assistant_suffix", framing.assistant.suffix),
            ("answer", framing.generationPrompt), ("reasoning_end", framing.reasoningEnd),
        ]
        guard !strings.contains(where: { $0.text?.utf8.contains(0) ?? false }) else { return nil }
        let trims: [ChatFraming.Trimming: Int] = [.none: 0, .leading: 1, .trailing: 2, .both: 3]
        self.init(
            strings: strings.compactMap { string in string.text.map { (string.name, $0) } },
            trims: [framing.systemTrimming, framing.userTrimming, framing.assistantTrimming].map { trims[$0] ?? 0 })
    }
}
