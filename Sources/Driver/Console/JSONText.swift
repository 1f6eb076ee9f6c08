import Foundation
import GlmcFrontend

extension JSONValue {
    /// An object with its members in the order given.
    static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue { .object(members.map { Member(key: $0, value: $1) }) }

    /// The text of the document: on one line, or indented by two blanks per level.
    public func text(pretty: Bool = false) -> String {
        var result = ""
        write(to: &result, indent: pretty ? 0 : nil)
        return result
    }

    private func write(to text: inout String, indent: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .int(let value): text += String(value)
        case .double(let value): text += value.isFinite ? "\(value)" : "null"
        case .string(let value): JSONValue.quote(value, into: &text)
        case .array(let items):
            JSONValue.list("[", "]", items.count, &text, items.allSatisfy(\.isScalar) ? nil : indent) { items[$0].write(to: &$1, indent: $2) }
        case .object(let members):
            JSONValue.list("{", "}", members.count, &text, indent) { index, text, indent in
                JSONValue.quote(members[index].key, into: &text)
                text += indent == nil ? ":" : ": "
                members[index].value.write(to: &text, indent: indent)
            }
        }
    }

    private var isScalar: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    private static func list(_ open: String, _ close: String, _ count: Int, _ text: inout String, _ indent: Int?, item: (Int, inout String, Int?) -> Void) {
        text += open
        for index in 0..<count {
            if index > 0 { text += indent == nil ? ", " : "," }
            if let indent { text += "\n" + String(repeating: " ", count: 2 * (indent + 1)) }
            item(index, &text, indent.map { $0 + 1 })
        }
        if let indent, count > 0 { text += "\n" + String(repeating: " ", count: 2 * indent) }
        text += close
    }

    private static func quote(_ value: String, into text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            case "\r": text += "\\r"
            case _ where !scalar.isPrintable: for unit in UTF16.encode(scalar) ?? .init() { text += String(format: "\\u%04x", unit) }
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
