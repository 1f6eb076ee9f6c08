import Foundation
import GlmcIR
import GlmcRuntime
import Testing

@testable import GlmcFrontend

/// A vocabulary as glm-4 ships it: all bytes, and some words with their parts.
@Suite struct TiktokenTests {
    private static let words = ["ab", "bc", "abc", "é", " x", "12", "123"]
    private static var lines: [String] {
        let tokens = (0..<256).map { [UInt8($0)] } + words.map { Array($0.utf8) }
        return tokens.enumerated().map { "\(Data($1).base64EncodedString()) \($0)" }
    }
    private static let config = #"{"tokenizer_class":"ChatGLM4Tokenizer","eos_token":"<eos>","added_tokens_decoder":{"264":{"content":"[gMASK]","special":true,"normalized":false},"265":{"content":"<sop>","special":true,"normalized":false},"263":{"content":"<eos>","special":true,"normalized":false}}}"#

    private func folder(_ lines: [String], _ config: String) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "glmc-tiktoken-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: folder.appending(path: "tokenizer.model"))
        try Data(config.utf8).write(to: folder.appending(path: "tokenizer_config.json"))
        return folder.path
    }

    @Test func readsGLM4() throws {
        let path = try folder(Self.lines, Self.config)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let tokenizer = try Tokenizer(table: TokenizerTable.build(path))
        // By hand: of two pairs the one that makes the token of the lower rank is merged first; a piece that is a token is taken whole.
        for (text, ids) in [("abc", [258]), ("abcb", [258, 98]), ("bcab", [257, 256]), ("é x", [259, 260]), ("1234", [262, 52]), ("\u{0}<eos>", [0, 263])] as [(String, [Int32])] {
            #expect(try tokenizer.encode(text, addsSpecial: false) == ids, "\(text.debugDescription)")
            #expect(try tokenizer.encode(text) == [264, 265] + ids)
            #expect(try tokenizer.decode(ids, skipsSpecial: false) == text)
        }
        #expect(tokenizer.end == 263)
        #expect(tokenizer.beginning == nil)
    }

    @Test(arguments: [
        (["AA== 0", "AA== 1"], "names a token a second time"), (["AA== 0", "A 1"], "is not a token in base 64 and its rank"), (["\u{a}\u{b}sentencepiece"], "holds no tokenizer.json"),
    ]) func namesWhatIsWrong(lines: [String], message: String) throws {
        let path = try folder(lines, Self.config)
        defer { try? FileManager.default.removeItem(atPath: path) }
        do {
            _ = try TokenizerTable.build(path)
            Issue.record("accepted")
        } catch { #expect("\(error)".contains(message), "\(error)") }
    }

    @Test func asksForTheFamily() throws {
        let path = try folder(Self.lines, #"{"tokenizer_class":"QWenTokenizer"}"#)
        defer { try? FileManager.default.removeItem(atPath: path) }
        do {
            _ = try TokenizerTable.build(path)
            Issue.record("accepted")
        } catch { #expect("\(error)".contains("QWenTokenizer"), "\(error)") }
    }
}
