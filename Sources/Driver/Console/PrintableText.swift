extension Unicode.Scalar {
    /// Whether a terminal may show it as it is: nothing that moves the cursor, changes what is shown, reorders text or cannot be seen.
    var isPrintable: Bool {
        if value < 0x7f { return value >= 0x20 }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}

/// Names and messages of files are other people's text: on the way to a terminal everything in them that is no visible character is spelt out.
extension String {
    /// Everything but line ends and tabs that is not printable as `\u{1b}`, which is also how textual IR spells it.
    var printable: String { printable(isIndented: false) }

    /// As `printable`; with `isIndented`, all lines but the first begin with two blanks, so that none can pass for another message.
    func printable(isIndented: Bool) -> String {
        escaped { scalar in
            switch scalar {
            case "\n": isIndented ? "\n  " : "\n"
            case "\t": "\t"
            default: nil
            }
        }
    }

    /// As `printable`, line ends and tabs too: for a name among other text.
    var printableOnOneLine: String { escaped { _ in nil } }

    /// - Parameter spelling: what stands for a scalar that is not printable; nil: its number.
    private func escaped(_ spelling: (Unicode.Scalar) -> String?) -> String {
        guard !unicodeScalars.allSatisfy(\.isPrintable) else { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if scalar.isPrintable {
                result.append(scalar)
            } else {
                result.append(contentsOf: (spelling(scalar) ?? "\\u{\(String(scalar.value, radix: 16))}").unicodeScalars)
            }
        }
        return String(result)
    }
}
