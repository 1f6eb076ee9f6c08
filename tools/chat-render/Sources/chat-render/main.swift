// Renders chat templates for tools/check_chat_templates.py: reads one JSON object a line, {"template", "variables"}, and writes one,
// {"text"} or {"error"}. The time is always 1,700,000,000 seconds after 1970.
import Foundation
import GlmcFrontend

func render(_ line: String) throws -> String {
    let request = try JSONValue(parsing: line)
    guard let template = request["template"]?.string, case .object(var variables)? = request["variables"] else { return "" }
    func take(_ key: String) -> JSONValue? { variables.firstIndex { $0.key == key }.map { variables.remove(at: $0).value } }
    let messages = (take("messages")?.array ?? []).map { message in
        if case .object(let members) = message { ChatMessage(members) } else { ChatMessage([]) }
    }
    let (tools, prompts) = (take("tools")?.array, take("add_generation_prompt")?.bool ?? false)
    return try ChatTemplate(template).render(
        messages: messages, addGenerationPrompt: prompts, tools: tools, variables: variables, now: Date(timeIntervalSince1970: 1_700_000_000))
}

while let line = readLine() {
    var answer: [String: String] = [:]
    do { answer["text"] = try render(line) } catch { answer["error"] = "\(error)" }
    print(String(decoding: try JSONSerialization.data(withJSONObject: answer), as: UTF8.self))
}
