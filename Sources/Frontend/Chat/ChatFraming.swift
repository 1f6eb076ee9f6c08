import Foundation

/// A chat template as plain strings, for callers without an interpreter: what stands before and behind the contents of a conversation that has at
/// most one system message, at its beginning, then turns of user and assistant by turns, and that ends with the user's; no message is empty.
public struct ChatFraming: Sendable, Equatable {
    /// What stands before and behind a content.
    public struct Turn: Sendable, Equatable {
        public var prefix: String
        public var suffix: String
    }

    /// Which white space (as Python's `strip` knows it) a content loses.
    public enum Trimming: String, Sendable, CaseIterable { case none, both, leading, trailing }

    /// All that stands before the first user's content where there is no system message: the beginning, a default system message, the user's prefix.
    public var opening: String
    /// From the beginning to the system message's content, and from there to the first user's content; nil where the template takes
    /// no system message, or frames it in no fixed way.
    public var system: Turn?
    /// Before and behind the user's contents; the first one's prefix is `opening` or the suffix of `system` instead.
    public var user: Turn
    public var assistant: Turn
    /// Behind the last user's suffix: where the answer begins.
    public var generationPrompt: String
    public var systemTrimming = Trimming.none
    public var userTrimming = Trimming.none
    public var assistantTrimming = Trimming.none
    /// Of an assistant's content, only what follows the last of these marks stays, without line breaks before it; nil where all of it stays.
    public var reasoningEnd: String?

    /// The prompt of a conversation of the kind above, generation prompt included.
    /// - Parameter contents: the user's and the assistant's by turns.
    /// - Returns: nil where there is a system message and the template takes none.
    public func prompt(system systemContent: String?, contents: [String]) -> String? {
        var text = opening
        if let systemContent {
            guard let system else { return nil }
            text = system.prefix + systemTrimming.applied(to: systemContent) + system.suffix
        }
        for (index, content) in contents.enumerated() {
            if index % 2 == 0 {
                text += (index > 0 ? user.prefix : "") + userTrimming.applied(to: content) + user.suffix
            } else {
                text += assistant.prefix + assistantTrimming.applied(to: withoutReasoning(content)) + assistant.suffix
            }
        }
        return text + generationPrompt
    }

    private func withoutReasoning(_ content: String) -> String {
        guard let reasoningEnd, case let parts = JinjaText(content).split(at: JinjaText(reasoningEnd), limit: .max), parts.count > 1 else {
            return content
        }
        return parts[parts.count - 1].stripped(of: "\n", right: false).string
    }
}

extension ChatFraming.Trimming {
    func applied(to content: String) -> String {
        JinjaText(content).stripped(left: self == .both || self == .leading, right: self == .both || self == .trailing).string
    }
}

// MARK: - Derivation

extension ChatFraming {
    /// The framing of a template, nil where strings cannot stand for it: where its text depends on the time, on the contents, or on more than who speaks.
    /// The result agrees with the template on conversations of one to three turns with contents of every kind that templates are known to change.
    public static func derive(_ template: ChatTemplate, variables: [JSONValue.Member] = []) -> ChatFraming? {
        let probe = ChatProbe(template: template, variables: variables)
        guard var framing = probe.pieces() else { return nil }
        func find<Value>(_ values: [Value], _ property: WritableKeyPath<ChatFraming, Value>, _ check: [ChatProbe.Conversation]) -> Bool {
            for value in values {
                framing[keyPath: property] = value
                if check.allSatisfy({ probe.agrees(framing, $0) }) { return true }
            }
            return false
        }
        let spaced = ["  \n\u{a0}a b\t \n\n", "\na  \n", " a"]
        func conversations(_ make: (String) -> ChatProbe.Conversation) -> [ChatProbe.Conversation] { spaced.map(make) }
        guard find(Trimming.allCases, \.userTrimming, conversations { .init(system: nil, contents: [$0, "b", $0]) }),
            find(Trimming.allCases, \.assistantTrimming, conversations { .init(system: nil, contents: ["a", $0, "b", $0, "c"]) }),
            framing.system == nil || find(Trimming.allCases, \.systemTrimming, conversations { .init(system: $0, contents: ["a"]) }),
            find([nil, "</think>"], \.reasoningEnd, [.init(system: nil, contents: ["a", "<think>\nb\n</think>\n\nc", "d", "</think>e", "f"])]),
            ChatProbe.conversations.allSatisfy({ $0.system != nil && framing.system == nil || probe.agrees(framing, $0) })
        else { return nil }
        return framing
    }
}

/// Conversations that show how a template frames contents.
private struct ChatProbe {
    struct Conversation {
        var system: String?
        var contents: [String]
    }

    let template: ChatTemplate
    let variables: [JSONValue.Member]

    static let conversations: [Conversation] = {
        let contents = [
            "Hi", "two\n\nlines", "日本語 🎉 e\u{301}", "{{ x }} {% if %} <b>&amp;\"'", "0", "# 1. *x* `y`", "{\"name\": \"f\", \"arguments\": {}}", "[1, 2]",
            "\\n \\", "none", "<|im_end|> <s> </s> [INST] <think>",
        ]
        return contents.indices.flatMap { index in
            let rotated = contents[index...] + contents[..<index]
            return [nil, "Be brief.", rotated.last].flatMap { system in
                [1, 3, 5].map { Conversation(system: system, contents: Array(rotated.prefix($0))) }
            }
        }
    }()

    func text(_ conversation: Conversation, prompts: Bool = true, time: Double = 1_700_000_000) -> String? {
        var messages = conversation.system.map { [ChatMessage(role: "system", content: $0)] } ?? []
        for (index, content) in conversation.contents.enumerated() {
            messages.append(ChatMessage(role: index % 2 == 0 ? "user" : "assistant", content: content))
        }
        return try? template.render(messages: messages, addGenerationPrompt: prompts, variables: variables, now: Date(timeIntervalSince1970: time))
    }

    func agrees(_ framing: ChatFraming, _ conversation: Conversation) -> Bool {
        text(conversation).map(JinjaText.init(_:)) == framing.prompt(system: conversation.system, contents: conversation.contents).map(JinjaText.init(_:))
    }

    /// What stands before, between and behind contents that stand in the text once each and in order.
    private func gaps(_ conversation: Conversation, prompts: Bool = true, time: Double = 1_700_000_000) -> [JinjaText]? {
        guard var rest = text(conversation, prompts: prompts, time: time).map(JinjaText.init(_:)) else { return nil }
        var gaps: [JinjaText] = []
        for content in (conversation.system.map { [$0] } ?? []) + conversation.contents {
            let parts = rest.split(at: JinjaText(content), limit: .max)
            guard parts.count == 2 else { return nil }
            gaps.append(parts[0])
            rest = parts[1]
        }
        return gaps + [rest]
    }

    /// What two texts begin with, `preferred` where both do, and what follows in each.
    private static func cut(_ text: JinjaText, _ other: JinjaText, preferred: JinjaText?) -> (common: String, rest: String, otherRest: String) {
        var count = zip(text.scalars, other.scalars).prefix { $0 == $1 }.count
        if let preferred, text.starts(with: preferred), other.starts(with: preferred) { count = preferred.count }
        return (text[0..<count].string, text[count..<text.count].string, other[count..<other.count].string)
    }

    /// A framing without trimming, from conversations with contents that nothing else can be.
    func pieces() -> ChatFraming? {
        let (first, answer, second) = ("Xq1zq", "Xq2zq", "Xq3zq")
        let long = Conversation(system: nil, contents: [first, answer, second])
        guard let gaps = gaps(long), gaps == self.gaps(long, time: 1_234_567_890) else { return nil }
        let userEnd = self.gaps(Conversation(system: nil, contents: [first]), prompts: false)?.last
        let assistantEnd = self.gaps(Conversation(system: nil, contents: [first, answer]), prompts: false)?.last
        let afterUser = Self.cut(gaps[1], gaps[3], preferred: userEnd)
        let afterAssistant = Self.cut(gaps[2], assistantEnd ?? gaps[2], preferred: assistantEnd)
        var system: ChatFraming.Turn?
        let withSystem = Conversation(system: "Xq0zq", contents: [first])
        if let gaps = self.gaps(withSystem), gaps == self.gaps(withSystem, time: 1_234_567_890) {
            system = .init(prefix: gaps[0].string, suffix: gaps[1].string)
        }
        return ChatFraming(
            opening: gaps[0].string, system: system, user: .init(prefix: afterAssistant.rest, suffix: afterUser.common),
            assistant: .init(prefix: afterUser.rest, suffix: afterAssistant.common), generationPrompt: afterUser.otherRest)
    }
}
