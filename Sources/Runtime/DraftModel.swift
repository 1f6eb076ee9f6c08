extension Generator {
    /// Guesses tokens with a smaller model (Leviathan et al. 2023): its most probable ones, of which every step of this generator's model checks several.
    /// Takes effect with the next `start`.
    ///
    /// - Parameters:
    ///   - model: of the same vocabulary. A context that is shorter makes no guesses for longer texts.
    ///   - threads: as of `Session`.
    /// - Throws: `badArgument` for a model of another vocabulary.
    public func draft(with model: LanguageModel, threads: Int = 0) throws(RuntimeError) {
        guard model.vocabulary == self.model.vocabulary else {
            throw RuntimeError(.badArgument, "the model that guesses has \(model.vocabulary) tokens, the other \(self.model.vocabulary): they must share a vocabulary")
        }
        let generator = try model.generator(threads: threads)
        draft = { tokens, most in
            var guesses: [Int32] = [], how = Sampling()
            how.mostTokens = most
            // A guess that cannot be made is none.
            guard (try? generator.start(Array(tokens), how)) != nil else { return [] }
            while guesses.count < most, let piece = try? generator.next(), let token = piece.token {
                guesses.append(token)
                if piece.end != nil { break }
            }
            return guesses
        }
    }
}
