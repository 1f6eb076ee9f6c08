import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcRuntime

/// What a user named as a model: an ONNX file, a folder of safetensors, a GGUF file, textual IR, or a compiled artifact.
enum ModelFile {
    enum Kind { case onnx, safetensors, gguf, textualIR, artifact }

    /// What glmc leaves that is neither a model nor an artifact that can be loaded, by its ending.
    private static let leavings = [
        "weights": "it holds the weights of an artifact", "tokenizer": "it holds the tokenizer of an artifact", "a": "it is a library to link",
        "c": "it is C source to compile", "cu": "it is CUDA source to compile", "h": "it is a C header",
    ]

    /// - Throws: when it cannot be read.
    static func kind(_ path: String) throws -> Kind {
        if Files.isFolder(path) {
            guard Files.exists(SafetensorsFolder.files(of: path) + "/config.json") else {
                throw Diagnostic(.invalid, "is a folder without config.json", at: [path], hint: "a model is an .onnx, .gguf or .glm file, or a folder with config.json and *.safetensors")
            }
            return .safetensors
        }
        guard Files.exists(path) else { throw Diagnostic(.invalid, "there is no such file", at: [path]) }
        if GgufFile.isOne(path) { return .gguf }
        let head = try Files.map(path).slice(offset: 0, count: 4)?.array
        if head == [0x7f, 0x45, 0x4c, 0x46] || head == [0xcf, 0xfa, 0xed, 0xfe] { return .artifact }
        if Files.ending(of: path) == "glm" { return .textualIR }
        if let what = Self.leavings[Files.ending(of: path)] {
            throw Diagnostic(.invalid, "is no model: \(what)", at: [path], hint: "give the model that was compiled, or the .so or program")
        }
        return .onnx
    }

    static func load(_ path: String, _ options: ImportOptions) throws -> ImportedModel {
        switch try kind(path) {
        case .onnx: return try OnnxImporter.load(path, options: options)
        case .safetensors, .gguf: return try CheckpointImporter.load(path, options: options)
        case .textualIR:
            let functions = try Parser.parse(text(path), file: path) { try TextualIR.resources($0, sha256: $1, of: path) }
            guard options.shapes.isEmpty, options.dimensions.isEmpty else { throw Diagnostic(.usage, "--shape and --dim do not apply to a .glm file: its types are in the text", at: [path]) }
            let module = Module(try functions.map { function in
                var rewriter = Rewriter(function)
                if options.freezesInitializers { try rewriter.freezeDefaults() }
                return rewriter.function
            })
            do { try module.verify() } catch let error as Diagnostic { throw error.inside(path) }
            return ImportedModel(module)
        case .artifact:
            throw Diagnostic(.invalid, "is compiled already", at: [path], hint: "glmc run, bench and inspect take compiled models")
        }
    }

    /// Opens a compiled artifact.
    static func open(_ path: String) throws -> Artifact {
        guard try kind(path) == .artifact else { throw Diagnostic(.invalid, "is not a compiled model", at: [path], hint: "glmc compile makes one") }
        return try Artifact(path: path)
    }

    private static func text(_ path: String) throws -> String {
        guard let text = String(validating: try Files.map(path).array, as: UTF8.self) else { throw Diagnostic(.invalid, "is not UTF-8 text", at: [path]) }
        return text
    }

    /// The name that a compiled model gets: the file's or folder's, without its ending.
    static func name(_ path: String) -> String {
        let last = URL(fileURLWithPath: path).lastPathComponent
        return Files.isFolder(path) ? last : Files.withoutEnding(last)
    }

    /// SHA-256 of the model's file or files, or of a folder's config.json and weights in order of their names.
    static func digest(_ path: String) throws -> String {
        var hash = SHA256()
        var files = GgufFile.isOne(path) ? try GgufFile.files(of: path) : [path]
        if Files.isFolder(path) {
            let folder = SafetensorsFolder.files(of: path), names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            files = names.filter { $0 == "config.json" || $0.hasSuffix(".safetensors") }.sorted().map { folder + "/" + $0 }
        }
        for file in files { try Files.map(file).withUnsafeBytes { MappedPages.visit($0) { hash.update($0) } } }
        return hash.finish()
    }
}
