import GlmcIR

/// What an encoder's states are used for, by the names that Hugging Face has for tasks.
public enum EncoderTask: String, Sendable, CaseIterable {
    /// The states themselves: `last_hidden_state` f32 [batch, sequence, hidden].
    case features = "feature-extraction"
    /// What a layer makes of the state of the first token: `pooler_output` f32 [batch, hidden].
    case pooler
    /// One vector for a text, as sentence-transformers makes it: `sentence_embedding` f32 [batch, width].
    case sentences = "sentence-similarity"
    /// `logits` f32 [batch, labels].
    case texts = "text-classification"
    /// `logits` f32 [batch, sequence, labels].
    case tokens = "token-classification"
    /// `start_logits` and `end_logits`, f32 [batch, sequence].
    case answers = "question-answering"
    /// `logits` f32 [batch, sequence, words].
    case words = "fill-mask"

    /// How the names of transformers' classes end, by what the classes are for.
    private static let endings: [(ending: String, task: EncoderTask)] = [
        ("ForSequenceClassification", .texts), ("ForTokenClassification", .tokens), ("ForQuestionAnswering", .answers), ("ForMaskedLM", .words),
        ("ForPreTraining", .features), ("Model", .features),
    ]

    /// The task of a class of transformers.
    /// - Throws: `Diagnostic` for classes that are for none of these.
    static func of(architecture: String) throws -> EncoderTask {
        guard let task = endings.first(where: { architecture.hasSuffix($0.ending) })?.task else {
            throw Diagnostic(.unsupported, "'\(architecture)' is not supported", at: ["config.json", "'architectures'"], hint: "--task names one of the tasks that are: \(allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return task
    }
}
