import CGlmcABI

/// Several texts at once, and texts that outlive a process.
extension LanguageModel {
    /// Generators that share threads and weights that are read: use all of them from one thread at a time, with `Generator.advance` before `next` of each.
    /// What a prompt has in common with a text of any of them is not computed again.
    /// - Parameters:
    ///   - count: at most `sequences`.
    ///   - threads: as of `Session`.
    /// - Throws: `badArgument` for a count out of range, `noMemory`.
    public func generators(_ count: Int, threads: Int = 0) throws(RuntimeError) -> [Generator] {
        guard glmc_language_sequences(language) > 0 else {
            guard count == 1 else { throw RuntimeError(.badArgument, "the artifact continues one text at a time, not \(count): compile with --batch") }
            return [try generator(threads: threads)]
        }
        guard (0...1024).contains(threads), count > 0 else { throw RuntimeError(.badArgument, "there cannot be \(count) generators with \(threads) threads") }
        var handles = [OpaquePointer?](repeating: nil, count: count)
        try checked { language.pointee.open_many(artifact.model, Int32(threads), artifact.weightsPath, UInt32(clamping: count), &handles, $0, $1) }
        return handles.compactMap { $0.map { Generator(self, $0) } }
    }
}

extension Generator {
    /// Computes what the next tokens of generators that were opened together need, in one run of the model. Those without a text, and those whose text has ended, stay as
    /// they are.
    /// - Throws: `badArgument` for generators that were not opened together.
    public static func advance(_ generators: [Generator]) throws(RuntimeError) {
        guard let model = generators.first?.model, generators.count > 1 else { return }
        guard glmc_language_sequences(model.language) > 0 else { throw RuntimeError(.badArgument, "the artifact continues one text at a time: compile with --batch") }
        let handles: [OpaquePointer?] = generators.map(\.handle)
        try withExtendedLifetime(generators) { () throws(RuntimeError) in
            try checked { model.language.pointee.advance(handles, UInt32(clamping: handles.count), $0, $1) }
        }
    }

    /// Writes what the cache holds, tokens with their keys and values, to a file, for `restore` of the same artifact.
    /// - Throws: `badFile` where it cannot be written.
    public func save(to path: String) throws(RuntimeError) {
        try needFiles()
        try checked { model.language.pointee.save(handle, path, $0, $1) }
    }

    /// Reads such a file into the cache: a text that begins with its tokens is not computed again. The text that was continued ends.
    /// - Throws: `badFile` for a file that is damaged or of another artifact.
    public func restore(from path: String) throws(RuntimeError) {
        try needFiles()
        try checked { model.language.pointee.restore(handle, path, $0, $1) }
    }

    private func needFiles() throws(RuntimeError) {
        guard glmc_language_sequences(model.language) > 0 else { throw RuntimeError(.badArgument, "the artifact is of an earlier version, which saves no states") }
    }
}
