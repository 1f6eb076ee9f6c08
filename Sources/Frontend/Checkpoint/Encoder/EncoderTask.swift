import GlmcIR

/// What an encoder is used for, by the names that Hugging Face has for tasks.
public enum EncoderTask: String, Sendable, CaseIterable {
    /// The states themselves: `last_hidden_state` f32 [batch, sequence, hidden]; of pictures, the sequence is that of their patches.
    case features = "feature-extraction"
    /// One state for a whole text or picture: `pooler_output` f32 [batch, hidden].
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

    /// What a picture shows: `logits` f32 [batch, labels].
    case pictures = "image-classification"
    /// Pictures among texts, as long as the model makes them: `image_embeds` f32 [batch, width].
    case imageEmbeds = "image-embeds"
    /// Texts among pictures, as long as the model makes them: `text_embeds` f32 [batch, width].
    case textEmbeds = "text-embeds"
    /// How well pictures and texts match: `logits_per_image` f32 [images, texts], `logits_per_text` f32 [texts, images], and `text_embeds` and `image_embeds`,
    /// f32 [texts or images, width], of length 1.
    case matches = "zero-shot-image-classification"

    /// Those of encoders of texts that know no pictures.
    static let ofTexts: [EncoderTask] = [.features, .pooler, .sentences, .texts, .tokens, .answers, .words]

    /// How the names of transformers' classes end, by what the classes are for.
    private static let endings: [(ending: String, task: EncoderTask)] = [
        ("ForSequenceClassification", .texts), ("ForTokenClassification", .tokens), ("ForQuestionAnswering", .answers), ("ForMaskedLM", .words),
        ("ForPreTraining", .features), ("ForImageClassification", .pictures), ("TextModelWithProjection", .textEmbeds), ("VisionModelWithProjection", .imageEmbeds), ("Model", .features),
    ]

    /// The task of a class of transformers.
    /// - Throws: `Diagnostic` for classes that are for none of `tasks`.
    static func of(_ architecture: String, among tasks: [EncoderTask]) throws -> EncoderTask {
        guard let task = endings.first(where: { architecture.hasSuffix($0.ending) })?.task, tasks.contains(task) else {
            throw Diagnostic(.unsupported, "'\(architecture)' is not supported", at: ["config.json", "'architectures'"], hint: "--task names one of the tasks that are: \(Self.list(tasks))")
        }
        return task
    }

    /// The error of a task that a model is not for.
    func refused(among tasks: [EncoderTask]) -> Diagnostic {
        Diagnostic(.invalid, "the model is not for the task '\(rawValue)'", hint: "it is for: \(Self.list(tasks))")
    }

    private static func list(_ tasks: [EncoderTask]) -> String {
        var seen: Set<EncoderTask> = []
        return tasks.filter { seen.insert($0).inserted }.map(\.rawValue).joined(separator: ", ")
    }
}
