extension OnnxRules {
    /// Every table of rules.
    static let families: [[OnnxRule]] = [
        elementwise, shapes, data, reductions, matrices, convolutions, normalizations, quantizations, attentions, recurrent, images,
        detection, signals, training, control, sequences, texts, learning, vectorizers, runtime,
    ]
}
