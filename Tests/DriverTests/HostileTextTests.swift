import Foundation
import GlmcFrontend
import GlmcIR
import GlmcRuntime
import GlmcTestSupport
import Testing

@testable import GlmcCodegen
@testable import GlmcDriver

/// Text of a model, a path or a flag never becomes code, whatever it is and wherever it is written.
@Suite final class HostileTextTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Stands at the start of a token in every text below, so that no name made by glmc begins with it.
    private static let mark = "zqxw"

    static let texts = [
        "*/ zqxw /*", "\u{600}*/\u{903} zqxw", "*\u{200d}/ zqxw", "*\\\n/ zqxw", "*??/\n/ zqxw", "//\n zqxw", "\r zqxw\r\n zqxw", "\u{2028}zqxw", "\u{85} zqxw", "\u{b} zqxw\u{c}",
        "\"; zqxw(); \"", "\\\"; zqxw(); \\", "\"\u{301}; zqxw", "??/\"; zqxw", "\u{202e}*/\" zqxw\u{2066}", "\u{feff}*/\" zqxw", "') zqxw('", "\0*/\" zqxw", "R\"( zqxw )\"",
        "\"\n.incbin \"/etc/passwd\"\n zqxw: #", "#define zqxw\n#include </etc/passwd>\n zqxw", "%0 zqxw {|} $zqxw `zqxw`", "\\u{22} zqxw \\x22 zqxw", "名 zqxw é", "\u{e0001}*/\" zqxw", "",
    ]

    /// A model that says `text` wherever a model can say something.
    private static func model(_ text: String, isFree: Bool = true) -> String {
        func quoted(_ suffix: String) -> String { Quoting.quoted(text + suffix) }
        let (n, k) = isFree ? (quoted(" zqxw n"), quoted(" zqxw k")) : ("2", "3")
        return """
            func @\(quoted(" zqxw f"))(%\(quoted(" zqxw x")): f32[\(n), \(k)], %\(quoted(" zqxw w")): f32[\(isFree ? quoted(" zqxw m") : "3"), 4]) {
            \(isFree ? "  dimension \(n) = input 0 axis 0\n  dimension \(k) = input 0 axis 1\n  dimension \(quoted(" zqxw m")) = input 1 axis 0\n" : "")
              metadata \(quoted(" zqxw p")) = \(quoted(" zqxw v"))
              %\(quoted(" zqxw a")) = matmul(%\(quoted(" zqxw x")), %\(quoted(" zqxw w"))) : f32[\(n), 4] loc(\(quoted(" zqxw l")))
              %b = activation.relu(%\(quoted(" zqxw a"))) : f32[\(n), 4] loc(\(quoted(" zqxw r")))
              return %b as \(quoted(" zqxw y"))
            }

            """
    }

    private func write(_ text: String, to name: String) throws -> String {
        let file = folder.file(name)
        try text.write(toFile: file, atomically: false, encoding: .utf8)
        return file
    }

    /// What a compiler would take for code of an emitted file, if anything of the text is among it.
    private func leaks(_ file: String, isAssembler: Bool = false) throws -> String? {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
        for trigraphs in [false, true] {
            let tokens = CTokens(bytes, trigraphs: trigraphs)
            if tokens.isBroken { return "\(file) ends within a comment or a literal" }
            if let word = tokens.code.first(where: { $0.hasPrefix(Self.mark) || $0.unicodeScalars.contains { !$0.isASCII } }) { return "\(file): \(word)" }
            // What is handed to the assembler is code once more.
            let assembly = tokens.literals.filter { $0.last == 10 && ($0.starts(with: "    .".utf8) || $0.starts(with: "glmc_".utf8)) }.joined()
            let inner = CTokens(Array(assembly), trigraphs: false)
            if inner.isBroken || inner.code.contains(where: { $0.hasPrefix(Self.mark) || $0 == "passwd" }) { return "\(file): assembler text" }
        }
        return nil
    }

    @Test func commentsAndLiteralsHoldAnyText() {
        var generator = TestGenerator(state: 1)
        let alphabet = Array("*/\\?\"'\n\r\t\0 aé\u{600}\u{301}\u{202e}#%(n0".unicodeScalars)
        let random = (0..<600).map { _ in
            String(String.UnicodeScalarView((0..<Int(generator.next() % 12)).map { _ in alphabet[Int(generator.next() % UInt64(alphabet.count))] }))
        }
        for text in Self.texts + random {
            for trigraphs in [false, true] {
                let comment = CTokens(Array("a \(ForeignText.comment(text)) b".utf8), trigraphs: trigraphs)
                #expect(comment.code == ["a", "b"] && !comment.isBroken, "\(Quoting.quoted(text))")
                let literal = CTokens(Array("a \(ForeignText.literal(text)) b".utf8), trigraphs: trigraphs)
                #expect(literal.code == ["a", "b"] && literal.literals == [Array(text.utf8)] && !literal.isBroken, "\(Quoting.quoted(text))")
            }
            let long = String(repeating: text, count: 30), pieces = CTokens(Array(ForeignText.literals(long).utf8), trigraphs: true)
            #expect(pieces.code.isEmpty && Array(pieces.literals.joined()) == Array(long.utf8))
            #expect(!ForeignText.comment(text).utf8.contains { !(0x20...0x7e).contains($0) } && !ForeignText.literal(text).utf8.contains { !(0x20...0x7e).contains($0) })
        }
    }

    @Test(arguments: texts) func sourcesHoldItInCommentsAndLiteralsOnly(_ text: String) throws {
        let model = try write(Self.model(text), to: "m.glm")
        #expect(Glmc.run(["compile", model, "--no-cache", "-march=avx2", "-o", folder.file("m.c"), "--save-temps", folder.file("temps"), "--fp16", "--keep", text + " zqxw"]) == 0)
        #expect(Glmc.run(["compile", model, "--no-cache", "-o", folder.file("m.cu")]) == 0)
        #expect(Glmc.run(["compile", model, "--no-cache", "-o", folder.file("again.glm")]) == 0)
        let temps = try FileManager.default.contentsOfDirectory(atPath: folder.file("temps")).map { "temps/" + $0 }
        #expect(temps.contains("temps/main.c") && temps.contains("temps/kernels0.c"))
        // The support text is the same for every model.
        for name in ["m.c", "m.cu", "m.h"] + temps.filter({ $0.hasSuffix(".c") }) { #expect(try leaks(folder.file(name)) == nil) }
        #expect(try String(contentsOfFile: folder.file("temps/main.c"), encoding: .utf8).contains(ForeignText.literal(text + " zqxw y")))
        let printed = try String(contentsOfFile: folder.file("again.glm"), encoding: .utf8)
        let parsed = try Parser.parseFunction(printed)
        #expect(Printer.print(parsed) == printed && parsed.outputNames.map { Array($0.utf8) } == [Array((text + " zqxw y").utf8)])
        let hidden = printed.unicodeScalars.filter { $0 != "\n" && [.control, .format, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory) }
        #expect(hidden.isEmpty)
    }

    /// File names end before a slash and hold no zero.
    private static let fileTexts = texts.map { $0.replacingOccurrences(of: "/", with: "").replacingOccurrences(of: "\0", with: "") }

    @Test func pathsAreNoCode() throws {
        for (number, text) in Self.fileTexts.enumerated() {
            let model = try write(Self.model("a", isFree: false), to: "\(text) zqxw \(number).glm")
            let source = folder.file("o\(text) zqxw \(number).c")
            #expect(Glmc.run(["compile", model, "--no-cache", "-march=scalar", "-o", source]) == 0)
            #expect(Glmc.run(["compile", model, "--no-cache", "-o", folder.file("o\(text) zqxw \(number).cu")]) == 0)
            for ending in ["c", "h", "cu"] { #expect(try leaks(folder.file("o\(text) zqxw \(number).\(ending)")) == nil) }
        }
        // The assembler finds the weights under the name that the file has.
        let texts = Self.fileTexts.filter { $0.contains("\"") || $0.contains("\\") }.prefix(4)
        for (number, text) in texts.enumerated() {
            let source = folder.file("o\(text) zqxw \(number).c"), library = folder.file("lib\(number).so")
            let model = try write(Self.model("a", isFree: false), to: "\(text) zqxw \(number).glm")
            #expect(Glmc.run(["compile", model, "--no-cache", "-march=scalar", "-o", source]) == 0)
            for compiler in Toolchain.available.prefix(2) {
                let built = try ChildProcess.run(["sh", "-c", "cd '\(folder.path)' && exec \"$@\"", "sh", compiler.path, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fopenmp-simd", "-fPIC", "-shared", source, "-o", library, "-pthread", "-lm"])
                #expect(built.succeeded, "\(built.errors)")
                #expect(try Artifact(path: library).name == "\(text) zqxw \(number)")
            }
        }
    }

    /// With everything hostile at once: the model's text and name, and the folder of temporary files.
    @Test(arguments: ["so", "a", "o", "exe"]) func artifactsHoldItAsData(_ kind: String) throws {
        let text = "\u{600}*/\u{903}\"; zqxw(); \\\n??/\n#", name = "\"*\\\n zqxw \u{600}??"
        let model = try write(Self.model(text, isFree: false), to: name + ".glm"), output = folder.file("out.\(kind)"), temporary = folder.file("t' ; zqxw $x ü#")
        for path in [temporary, temporary + "\"", temporary + "\n", temporary + "\\"] { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        for ending in ["\"", "\n", "\\"] {
            let refused = try GlmcProgram.run(["compile", model, "--emit", kind, "-o", output, "--no-cache"], environment: ["TMPDIR": temporary + ending])
            #expect(refused.status == 1 && refused.errors.contains("TMPDIR"), "\(refused.errors)")
        }
        let result = try GlmcProgram.run(["compile", model, "--emit", kind, "-march=scalar", "-o", output], environment: ["TMPDIR": temporary, "GLMC_CACHE": folder.file("cache")])
        #expect(result.status == 0, "\(result.errors)")
        if kind == "exe" { #expect(try ChildProcess.run([output, "--help"]).succeeded) }
        guard kind == "so" else { return }
        let artifact = try Artifact(path: output)
        #expect(artifact.name == name && artifact.entryPoints[0].inputs.map(\.name) == [text + " zqxw x", text + " zqxw w"])
        let manifest = try #require(try JSONSerialization.jsonObject(with: Data(artifact.manifest.utf8)) as? [String: Any])
        #expect(manifest["name"] as? String == name && (manifest["source"] as? [String: Any])?["file"] as? String == name + ".glm")
        let x = try TensorBuffer([1, 2, 3, -1, 0, 1] as [Float], shape: [2, 3]), w = try TensorBuffer([1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1] as [Float], shape: [3, 4])
        let y = try #require(try Session(artifact, threads: 1).run([text + " zqxw x": x, text + " zqxw w": w])[text + " zqxw y"])
        #expect(try y.array(of: Float.self) == [1, 2, 3, 6, 0, 0, 1, 0])
    }
}
