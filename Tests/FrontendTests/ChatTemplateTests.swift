import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// `chat/cases.json`: templates and what jinja2 makes of them, written by tools/check_chat_templates.py.
private func cases() throws -> [JSONValue] {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("chat/cases.json").path
    return try JSONValue(parsing: String(contentsOfFile: path, encoding: .utf8)).array ?? []
}

private func render(_ source: String, _ variables: JSONValue = .object([]), steps: Int = 1_000_000) throws -> String {
    guard case .object(var members) = variables else { return "" }
    func take(_ key: String) -> JSONValue? { members.firstIndex { $0.key == key }.map { members.remove(at: $0).value } }
    let messages = (take("messages")?.array ?? []).map { message in
        if case .object(let members) = message { ChatMessage(members) } else { ChatMessage([]) }
    }
    let (tools, prompts) = (take("tools")?.array, take("add_generation_prompt")?.bool ?? false)
    let time = Date(timeIntervalSince1970: 1_700_000_000)
    var template = try ChatTemplate(source, place: "t")
    template.limits.steps = steps
    return try template.render(messages: messages, addGenerationPrompt: prompts, tools: tools, variables: members, now: time)
}

private func failure(_ source: String) -> String {
    do { return "rendered: \(try render(source, steps: 100_000).prefix(100))" } catch { return "\(error)" }
}

private func folder(_ files: [String: String]) throws -> String {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("glmc-chat-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
    return folder.path
}

@Suite struct ChatTemplateTests {
    @Test func givesWhatJinjaGives() throws {
        for entry in try cases() {
            let name = entry["name"]?.string ?? ""
            let variables = entry["variables"] ?? .object([])
            if let text = entry["text"]?.string {
                // Scalars, because texts are equal to Swift where they are only canonically equivalent.
                #expect(try Array(render(entry["template"]?.string ?? "", variables).unicodeScalars) == Array(text.unicodeScalars), "\(name)")
            } else {
                #expect(throws: Diagnostic.self, "\(name)") { try render(entry["template"]?.string ?? "", variables) }
            }
        }
    }

    @Test(arguments: [
        ("a\n{% if x %}{{ 1|nothing }}{% endif %}", "t: line 2: the filter 'nothing' is not supported"),
        ("{{ 1 is nothing }}", "t: line 1: the test 'nothing' is not supported"),
        ("\n\n{% include 'x' %}", "t: line 3: the tag 'include' is not supported"),
        ("{{ 'a'.encode() }}", "the method 'encode' is not supported"),
        ("{% if true %}\n\n{{ missing.x }}{% endif %}", "t: line 3: 'missing' is undefined"),
        ("\n{{ raise_exception('roles must alternate') }}", "t: line 2: the template refuses the conversation: roles must alternate"),
        ("{% macro m() %}\n{{ 1 // 0 }}{% endmacro %}\n\n{{ m() }}", "t: line 2: division by zero"),
        ("{{ 9223372036854775807 + 1 }}", "does not fit 64 bits"), ("{{ 2 ** 64 }}", "does not fit 64 bits"),
        ("{{ 99999999999999999999 }}", "does not fit 64 bits"), ("{{ -9223372036854775807 - 2 }}", "does not fit 64 bits"),
    ])
    func saysWhatAndWhere(_ source: String, _ expected: String) { #expect(failure(source).contains(expected)) }

    @Test(arguments: [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10**9 }}", "{{ 'a' * 9223372036854775807 }}", "{{ 'aa' * 9223372036854775807 }}", "{{ [1] * 10**12 }}", "{{ 'a'.ljust(10**10) }}", "{{ '7'.zfill(10**11) }}",
        "{{ 'x'|indent(10**12) }}", "{{ 'x'|center(10**12) }}", "{{ '%1000000000d' % 1 }}", "{{ '{:1000000000}'.format(1) }}", "{{ [1]|tojson(indent=10**10) }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x.replace('a', 'aaaaaaaaaa') %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% set ns.y = [1] %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}",
        "{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set ns.x = {'k': ns.x} %}{% endfor %}",
        "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}", "{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns.me|string }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{% macro m(a) %}{{ caller() }}{% call m() %}{{ m() }}{% endcall %}{% endmacro %}{{ m() }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = ns.x|map('string') %}{% endfor %}{{ ns.x|list }}",
        "{{ range(9223372036854775807) }}", "{{ range(-9223372036854775807, 9223372036854775807) }}", "{{ range(0, -9223372036854775807 - 1, -1) }}",
        "{{ " + String(repeating: "(", count: 100_000) + "1", "{{ " + String(repeating: "[", count: 100_000), "{{ " + String(repeating: "not ", count: 100_000) + "1 }}",
        "{{ " + String(repeating: "-", count: 100_000) + "1 }}", "{{ 1" + String(repeating: "+1", count: 100_000) + " }}", "{{ a" + String(repeating: ".b", count: 100_000) + " }}",
        "{{ 1" + String(repeating: "|string", count: 100_000) + " }}", "{{ 1" + String(repeating: " if 1 else 1", count: 100_000) + " }}",
        String(repeating: "{% if 1 %}", count: 100_000), String(repeating: "{% for a in b %}", count: 100_000), "{{ x" + String(repeating: "(", count: 100_000),
        "{{ 1" + String(repeating: " ** 1", count: 100_000) + " }}", "{% set " + String(repeating: "(", count: 100_000) + "a = 1 %}",
        "{{ range(9000000000000000000, 9100000000000000000, 4611686018427387904)[:] }}", "{{ range(9)[::2][::4611686018427387904] }}",
        "{{ '1'.zfill(-9223372036854775807 - 1) }}{{ 'x'.ljust(-9223372036854775807 - 1) }}{{ [1]|batch(9223372036854775807, 'x')|list }}",
        "{{ [1, 2][::-9223372036854775807 - 1] }}{{ 'abc'[-9223372036854775807 - 1:] }}{{ (-9223372036854775807 - 1) // -1 }}",
    ])
    func endsWhatDoesNotEnd(_ source: String) {
        let failure = failure(source)
        #expect(!failure.hasPrefix("rendered"), "\(source.prefix(100)) \(failure)")
    }

    @Test func survivesMutations() throws {
        var state: UInt64 = 88_172_645_463_325_252
        func random(_ bound: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(bound))
        }
        let cases = try cases()
        let sources = cases.map { Array(($0["template"]?.string ?? "").unicodeScalars) }.filter { $0.count > 10 }
        let pieces = ["{{", "}}", "{%", "%}", "-", "|", "(", ")", "[", "]", "'", "loop", "ns", "not ", ".", ",", "\n", "*", "**", " if ", "9223372036854775807", "\u{0}", "\u{10ffff}"]
        let variables = cases[0]["variables"] ?? .object([])
        var rendered = 0
        for _ in 0..<1500 {
            var source = sources[random(sources.count)]
            for _ in 0...random(3) {
                let start = random(source.count)
                let end = min(source.count, start + random(4))
                source.replaceSubrange(start..<end, with: random(3) == 0 ? [] : Array(pieces[random(pieces.count)].unicodeScalars))
                if source.isEmpty { source = ["a"] }
            }
            do {
                _ = try render(JinjaText(source).string, variables, steps: 100_000)
                rendered += 1
            } catch {
                #expect(error is Diagnostic)
            }
        }
        #expect(rendered > 50)
    }

    @Test func keepsPlainBlocksOfLoopsApart() throws {
        // A scope that a macro holds on to stays when its loop has gone on.
        let source = "{% set ns = namespace(f=none) %}{% for x in [1, 2, 3] %}{% macro m() %}{{ x }}{% endmacro %}{% if x == 2 %}{% set ns.f = m %}{% endif %}{% endfor %}{{ ns.f() }}"
        #expect(try render(source) == "2")
    }
}

@Suite struct ChatTemplateFileTests {
    private static let hello = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"

    @Test func readsFolders() throws {
        let config = #"{"chat_template": "\#(Self.hello)", "bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null, "add_bos_token": true}"#
        let message = [ChatMessage(role: "user", content: "hi")]
        let plain = try #require(try ChatTemplate.read(from: folder(["tokenizer_config.json": config])))
        #expect(try plain.render(messages: message, addGenerationPrompt: false) == "<s>hi</s>")
        let beside = try #require(try ChatTemplate.read(from: folder(["tokenizer_config.json": config, "chat_template.jinja": "[{{ messages[0].content }}{{ eos_token }}"])))
        #expect(try beside.render(messages: message, addGenerationPrompt: false) == "[hi</s>")
        let json = try #require(try ChatTemplate.read(from: folder(["chat_template.json": #"{"chat_template": "({{ messages[0].content }})"}"#])))
        #expect(try json.render(messages: message, addGenerationPrompt: false) == "(hi)")
        #expect(try ChatTemplate.read(from: folder(["tokenizer_config.json": "{}"])) == nil)
    }

    @Test func picksTemplatesByName() throws {
        let config = #"{"chat_template": [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]}"#
        let folder = try folder(["tokenizer_config.json": config])
        #expect(try ChatTemplate.read(from: folder)?.source == "a")
        #expect(try ChatTemplate.read(from: folder, name: "tool_use")?.source == "b")
        #expect(throws: Diagnostic.self) { try ChatTemplate.read(from: folder, name: "rag") }
    }

    @Test(arguments: [
        ("{", "not JSON"), ("[]", "not a JSON object"), (#"{"bos_token": 3, "chat_template": "a"}"#, "bos_token"), (#"{"chat_template": 3}"#, "no template named 'default'"),
        (#"{"chat_template": "{{"}"#, "tokenizer_config.json: chat_template: line 1"),
    ])
    func refusesBadConfigurations(_ config: String, _ expected: String) throws {
        let folder = try folder(["tokenizer_config.json": config])
        let error = #expect(throws: Diagnostic.self) { try ChatTemplate.read(from: folder) }
        #expect("\(try #require(error))".contains(expected))
    }
}

@Suite struct ChatFramingTests {
    private static let turns = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"

    @Test func derivesTurns() throws {
        let framing = try #require(ChatFraming.derive(ChatTemplate(Self.turns)))
        #expect(framing.opening == "<user>")
        #expect(framing.system == .init(prefix: "<system>", suffix: "</>\n<user>"))
        #expect(framing.user == .init(prefix: "<user>", suffix: "</>\n"))
        #expect(framing.assistant == .init(prefix: "<assistant>", suffix: "</>\n"))
        #expect(framing.generationPrompt == "<assistant>")
        #expect(framing.prompt(system: "s", contents: ["a", "b", "c"]) == "<system>s</>\n<user>a</>\n<assistant>b</>\n<user>c</>\n<assistant>")
    }

    @Test func derivesTrimmingAndReasoning() throws {
        let source = "{% for m in messages %}{% if m.role == 'user' %}U{{ m.content.strip() }}{% elif '</think>' in m.content %}A{{ m.content.split('</think>')[-1].lstrip('\\n') }}{% else %}A{{ m.content }}{% endif %};{% endfor %}"
        let framing = try #require(ChatFraming.derive(ChatTemplate("{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + source)))
        #expect((framing.system, framing.userTrimming, framing.assistantTrimming, framing.reasoningEnd) == (nil, .both, .none, "</think>"))
        #expect(framing.prompt(system: nil, contents: [" a ", "<think>x</think>\n\n b", "c"]) == "Ua;A b;Uc;")
        #expect(framing.prompt(system: "s", contents: ["a"]) == nil)
    }

    @Test func derivesDefaultSystemMessagesAndFoldedOnes() throws {
        let standard = try #require(ChatFraming.derive(ChatTemplate("{% if messages[0].role != 'system' %}<system>Help.</>\n{% endif %}" + Self.turns)))
        #expect(standard.opening == "<system>Help.</>\n<user>" && standard.system?.prefix == "<system>")
        let folded = try #require(ChatFraming.derive(ChatTemplate(
            "{% for m in messages %}{% if m.role == 'system' %}{% elif m.role == 'user' %}[I]{% if loop.index0 == 1 and messages[0].role == 'system' %}<<{{ messages[0].content }}>>{% endif %}"
                + "{{ m.content }}[/I]{% else %}{{ m.content }}</s>{% endif %}{% endfor %}")))
        #expect(folded.system == .init(prefix: "[I]<<", suffix: ">>") && folded.user == .init(prefix: "[I]", suffix: "[/I]") && folded.generationPrompt == "")
    }

    @Test(arguments: [
        "{% for m in messages %}{{ m.content|upper }}{% endfor %}", "{{ messages|length }}{% for m in messages %}{{ m.content }};{% endfor %}", "{{ messages[-1].content }}",
        "{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}{{ m.content }};{% endfor %}", "{% for m in messages %}{{ m.content|tojson }}{% endfor %}", "{{ raise_exception('no') }}", "",
    ])
    func refusesIrregularTemplates(_ source: String) throws { #expect(try ChatFraming.derive(ChatTemplate(source)) == nil) }
}
