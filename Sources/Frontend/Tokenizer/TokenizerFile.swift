import GlmcIR

/// A value of a tokenizer's JSON and where it stands, so that whatever is wrong with it can be named.
struct TokenizerNode {
    let value: JSONValue
    let path: String

    init(_ value: JSONValue, path: String) {
        self.value = value
        self.path = path
    }

    func fails(_ reason: String) -> Diagnostic { Diagnostic(.invalid, reason, at: path.isEmpty ? [] : ["'\(path)'"]) }
    func isUnsupported(_ what: String) -> Diagnostic { Diagnostic(.unsupported, what + " is not supported", at: path.isEmpty ? [] : ["'\(path)'"]) }

    var isNull: Bool { value == .null }

    /// A member; null where there is none.
    subscript(key: String) -> TokenizerNode { TokenizerNode(value[key] ?? .null, path: path.isEmpty ? key : "\(path).\(key)") }

    func items() throws(Diagnostic) -> [TokenizerNode] {
        guard let array = value.array else { throw fails("must be a list") }
        return array.enumerated().map { TokenizerNode($1, path: "\(path)[\($0)]") }
    }

    func text() throws(Diagnostic) -> String {
        guard let text = value.string else { throw fails("must be a string") }
        return text
    }

    func flag(default standard: Bool? = nil) throws(Diagnostic) -> Bool {
        if isNull, let standard { return standard }
        guard let flag = value.bool else { throw fails("must be true or false") }
        return flag
    }

    /// A token's id: a whole number that a table can hold.
    func id() throws(Diagnostic) -> Int {
        guard let id = value.int, (0..<Self.largestID).contains(id) else { throw fails("must be a token's number, from 0 to \(Self.largestID - 1)") }
        return id
    }
    static let largestID = 1 << 24

    func count(default standard: Int) throws(Diagnostic) -> UInt32 {
        if isNull { return UInt32(standard) }
        guard let count = value.int, (0...Int(Int32.max)).contains(count) else { throw fails("must be a whole number from 0") }
        return UInt32(count)
    }

    /// One character.
    func character() throws(Diagnostic) -> Unicode.Scalar {
        let scalars = Array(try text().unicodeScalars)
        guard scalars.count == 1 else { throw fails("must be one character") }
        return scalars[0]
    }

    var type: String { value["type"]?.string ?? "of no type" }

    /// `{"String": …}` or `{"Regex": …}`.
    func pattern() throws(Diagnostic) -> Pattern {
        if let text = value["String"]?.string { return .literal(text) }
        guard let text = value["Regex"]?.string else { throw fails("must hold a String or a Regex") }
        do { return try Pattern.parse(text) } catch { throw error.inside("'\(path)'") }
    }
}

extension Diagnostic {
    /// `body`, with its diagnostics placed at a node.
    static func at<Result>(_ node: TokenizerNode, _ body: () throws(Diagnostic) -> Result) throws(Diagnostic) -> Result {
        do { return try body() } catch { throw error.inside("'\(node.path)'") }
    }
}
