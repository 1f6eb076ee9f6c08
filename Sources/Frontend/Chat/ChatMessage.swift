/// One message of a conversation: an object with `role`, `content` and whatever else a template reads (`tool_calls`, `name`, `reasoning_content`, …).
public struct ChatMessage: Sendable, Equatable {
    public var members: [JSONValue.Member]

    public init(_ members: [JSONValue.Member]) { self.members = members }

    public init(role: String, content: String) {
        members = [.init(key: "role", value: .string(role)), .init(key: "content", value: .string(content))]
    }
}
