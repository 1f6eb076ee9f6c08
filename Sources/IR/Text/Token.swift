/// One token of the textual IR.
struct Token: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// `add`, `f32`, `batch`: a letter or underscore, then letters, digits and underscores.
        case identifier
        /// `"…"`, unescaped.
        case string
        /// `12`, `1.5`, `2e-3`: unsigned; the text is kept, because its type decides how it is read.
        case number
        /// `%name`, `%"name"` or `%12`, with an optional `#k` that tells values of one name apart. The text includes all of it.
        case value
        /// `@name`.
        case symbol
        /// One of `( ) [ ] { } < > , : = | * + - ^ .` or `->`.
        case punctuation
        case end
    }

    var kind: Kind
    /// The identifier, the unescaped string, the number as written, the name without its sign, or the punctuation.
    var text: String
    /// For values: the whole token as written, which identifies the value within its scope.
    var spelling: String = ""
    var line: Int
    var column: Int
}

/// How names and strings are spelled in the textual IR; the printer's half of the lexer.
public enum Quoting {
    /// Whether `name` can stand for itself as a dimension, a symbol or an enumeration value.
    public static func isIdentifier(_ name: String) -> Bool {
        var first = true
        for byte in name.utf8 {
            guard isLetter(byte) || (!first && isDigit(byte)) else { return false }
            first = false
        }
        return !first
    }

    /// `name` itself if it is an identifier, else quoted.
    public static func identifierOrQuoted(_ name: String) -> String { isIdentifier(name) ? name : quoted(name) }

    /// Whether `name` can follow `%` unquoted: model files like `/encoder/layer.0/output` are common.
    static func isPlainValueName(_ name: String) -> Bool {
        var first = true
        for byte in name.utf8 {
            guard isLetter(byte) || byte == UInt8(ascii: "/") || (!first && isValueNameByte(byte)) else { return false }
            first = false
        }
        return !first
    }

    /// A string literal. Only what people can see stands in it as it is: letters, digits, punctuation and symbols, marks that follow a letter, and blanks.
    public static func quoted(_ text: String) -> String {
        var result = "\""
        var followsLetter = false
        for scalar in text.unicodeScalars {
            var isLetter = false
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            default:
                switch Visibility(scalar) {
                case .letter: isLetter = true
                case .mark where followsLetter: isLetter = true
                case .other: break
                case .mark, .hidden:
                    result += "\\u{\(String(scalar.value, radix: 16))}"
                    followsLetter = false
                    continue
                }
                result.unicodeScalars.append(scalar)
            }
            followsLetter = isLetter
        }
        return result + "\""
    }

    /// How a character shows in a line of text.
    private enum Visibility {
        case letter, mark, other
        /// Control and format characters, such as those that change the direction of writing, and line separators.
        case hidden

        init(_ scalar: UnicodeScalar) {
            self = switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: .letter
            case .nonspacingMark, .spacingMark, .enclosingMark: .mark
            case .decimalNumber, .letterNumber, .otherNumber, .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
                 .finalPunctuation, .otherPunctuation, .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: .other
            case .spaceSeparator: scalar == " " ? .other : .hidden
            default: .hidden
            }
        }
    }

    static func isLetter(_ byte: UInt8) -> Bool {
        (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || byte == UInt8(ascii: "_")
    }
    static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
    static func isValueNameByte(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "$")
    }
}
