/// What a model is called, and the symbols of its artifact.
///
/// A model may be called anything. Its symbols begin with words of our own, so that none is a word of a language or a name of a library, and no two of
/// one artifact or of artifacts with different names are equal.
public struct ModelName: Hashable, Sendable {
    public let text: String
    /// `text` as the end of a C identifier: what is no ASCII letter, digit or underscore becomes an underscore, and then eight hexadecimal digits of
    /// the text's SHA-256 follow, which tell `a-b` from `a.b`.
    let identifier: String

    public init(_ text: String) {
        self.text = text
        let scalars = text.unicodeScalars.map { scalar -> Character in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_": Character(scalar)
            default: "_"
            }
        }
        let isPlain = !scalars.isEmpty && String(scalars).utf8.elementsEqual(text.utf8)
        identifier = String(scalars) + (isPlain ? "" : "_" + SHA256.hex(text).prefix(8))
    }

    /// The function that a C program calls to get the model.
    public var function: String { "model_" + identifier }
    /// The functions of a CUDA source.
    public var cudaRun: String { "glmc_run_" + identifier }
    public var cudaWorkspace: String { "glmc_workspace_" + identifier }
    var weights: String { "glmc_weights_" + identifier }
    var tokenizer: String { "glmc_tokenizer_" + identifier }
    func kernel(_ index: Int) -> String { "glmc_k\(index)_" + identifier }

    /// The header that declares `function`.
    public func header(version: String) -> String {
        """
        \(ForeignText.comment("The model '\(text)', compiled by glmc \(version)."))
        #ifndef GLMC_DECLARES_\(identifier)
        #define GLMC_DECLARES_\(identifier)
        #include "glmc.h"
        #ifdef __cplusplus
        extern "C"
        #endif
        const glmc_model *\(function)(void);
        #endif

        """
    }
}
