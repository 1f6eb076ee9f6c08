import Foundation
import GlmcIR

/// The chat template of a model: text in the dialect of Jinja that Hugging Face folders hold, which makes the prompt from a conversation.
public struct ChatTemplate: Sendable {
    /// The template as the file has it.
    public let source: String
    /// What the tokenizer's configuration adds to every rendering, such as `bos_token`.
    public var variables: [JSONValue.Member]
    private let statements: [JinjaStatement]
    private let place: String
    var limits = JinjaRenderer.Limits()

    /// - Parameter place: what diagnostics call the template.
    /// - Throws: a `Diagnostic` with the line where the template is no Jinja or uses what is not supported.
    public init(_ source: String, variables: [JSONValue.Member] = [], place: String = "chat template") throws {
        self.source = source
        self.variables = variables
        self.place = place
        do {
            statements = try JinjaParser.statements(of: source)
        } catch let error as Diagnostic {
            throw error.inside(place)
        }
    }

    /// The text that a model reads for a conversation.
    /// - Parameters:
    ///   - messages: The turns so far.
    ///   - addGenerationPrompt: Whether the text ends where the assistant's answer begins.
    ///   - tools: Descriptions of the tools that the model may call; none is Python's `None`.
    ///   - variables: More values for the template (`enable_thinking`, …), which go before those of the configuration.
    ///   - now: The time that `strftime_now` tells, in the local time zone.
    /// - Throws: a `Diagnostic` with the line where the template refuses the conversation, goes wrong or does not end.
    public func render(
        messages: [ChatMessage], addGenerationPrompt: Bool, tools: [JSONValue]? = nil, variables: [JSONValue.Member] = [], now: Date = Date()
    ) throws -> String {
        do {
            var values: [String: JinjaValue] = ["documents": .none]
            for variable in self.variables + variables { values[variable.key] = try JinjaValue(variable.value) }
            values["messages"] = try JinjaValue(.array(messages.map { .object($0.members) }))
            values["tools"] = try tools.map { try JinjaValue(.array($0)) } ?? JinjaValue.none
            values["add_generation_prompt"] = .bool(addGenerationPrompt)
            guard let time = Int(exactly: now.timeIntervalSince1970.rounded(.down)) else { throw Diagnostic(.invalid, "the time is out of range") }
            var renderer = JinjaRenderer(variables: values, time: time, limits: limits)
            return try renderer.render(statements)
        } catch let error as Diagnostic {
            throw error.inside(place)
        }
    }
}

// MARK: - Files

extension ChatTemplate {
    private static let configuration = "tokenizer_config.json"

    /// The template of a folder: `chat_template.jinja`, `chat_template.json`, or the member `chat_template` of `tokenizer_config.json`, in this order;
    /// nil where there is none. Of several templates with names, `name` picks one. Or the template of a GGUF file.
    /// - Throws: a `Diagnostic` for a file that cannot be read or is not understood, and for a name that is not there.
    public static func read(from folder: String, name: String = "default") throws -> ChatTemplate? {
        if GgufFile.isOne(folder) { return try read(from: GgufFile(at: folder)) }
        let configuration = try json(folder + "/" + Self.configuration)
        let variables = try configuration.map { try specialTokens($0, folder + "/" + Self.configuration) } ?? []
        let file = folder + "/chat_template.jinja"
        if name == "default", Files.exists(file) {
            let bytes = try Files.map(file)
            guard let source = bytes.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
                throw Diagnostic(file: file, reason: "is not UTF-8")
            }
            return try ChatTemplate(source, variables: variables, place: file)
        }
        let beside = folder + "/chat_template.json"
        for (document, path) in [(try json(beside), beside), (configuration, folder + "/" + Self.configuration)] {
            guard let entry = document?["chat_template"], entry != .null else { continue }
            return try ChatTemplate(try source(entry, name, path), variables: variables, place: "\(path): chat_template")
        }
        return nil
    }

    private static func read(from file: GgufFile) throws -> ChatTemplate? {
        guard let source = file.values["tokenizer.chat_template"]?.string else { return nil }
        return try ChatTemplate(source, variables: specialTokens(file.specialTokens, file.path), place: "\(file.path): tokenizer.chat_template")
    }

    private static func json(_ path: String) throws -> JSONValue? {
        Files.exists(path) ? try JSONValue.read(path) : nil
    }

    /// One template, or a list of `{"name", "template"}`.
    private static func source(_ entry: JSONValue, _ name: String, _ path: String) throws -> String {
        if let source = entry.string, name == "default" { return source }
        let named = entry.array ?? []
        if let source = named.first(where: { $0["name"]?.string == name })?["template"]?.string { return source }
        let names = named.compactMap { $0["name"]?.string }
        throw Diagnostic(
            file: path, place: "chat_template", reason: "holds no template named '\(name)'",
            hint: names.isEmpty ? nil : "there are \(names.joined(separator: ", "))")
    }

    /// `bos_token` and its like: texts, or objects with the text as `content`; null where there is none.
    private static func specialTokens(_ configuration: JSONValue, _ path: String) throws -> [JSONValue.Member] {
        guard case .object(let members) = configuration else { throw Diagnostic(file: path, reason: "is not a JSON object") }
        return try members.compactMap { member in
            guard member.key.hasSuffix("_token"), !member.key.hasPrefix("add_") else { return nil }
            switch member.value {
            case .null, .bool: return nil
            default:
                guard let text = member.value.string ?? member.value["content"]?.string else {
                    throw Diagnostic(file: path, place: member.key, reason: "is neither a text nor an object with the text as 'content'")
                }
                return .init(key: member.key, value: .string(text))
            }
        }
    }
}
