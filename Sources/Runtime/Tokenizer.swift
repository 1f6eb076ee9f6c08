import CGlmcABI

/// Text to tokens and back, by a table that glmc compiled from tokenizer.json. Any number of threads may use one at once.
public struct Tokenizer: @unchecked Sendable {
    /// The table and what keeps its memory; neither changes.
    private let table: UnsafeRawPointer
    private let owner: AnyObject?

    private final class Memory {
        let bytes: UnsafeMutableRawBufferPointer
        init(_ table: [UInt8]) {
            bytes = .allocate(byteCount: max(table.count, 1), alignment: Int(GLMC_TOKENIZER_ALIGNMENT))
            bytes.copyBytes(from: table)
        }
        deinit { bytes.deallocate() }
    }

    /// Copies and checks a table.
    /// - Throws: `badFile` where it is damaged or of another version.
    public init(table: [UInt8]) throws(RuntimeError) {
        let memory = Memory(table)
        try self.init(table: UnsafeRawBufferPointer(rebasing: memory.bytes[..<table.count]), owner: memory)
    }

    /// Checks a table in memory that `owner` keeps as it is; its address is a multiple of 64.
    /// - Throws: `badFile` where it is damaged or of another version.
    public init(table: UnsafeRawBufferPointer, owner: AnyObject?) throws(RuntimeError) {
        guard let address = table.baseAddress, glmc_tokenizer_check(address, UInt64(table.count)) == 1 else {
            throw RuntimeError(.badFile, "the tokenizer's table is damaged, or was made by another version of glmc")
        }
        self.table = address
        self.owner = owner
    }

    /// How many numbers of tokens there are: 0 ..< count; some may stand for nothing.
    public var count: Int { Int(glmc_token_count(table)) }

    /// The tokens that tokenizer_config.json calls so; nil where it names none.
    public var beginning: Int32? { special(Int32(GLMC_SPECIAL_BOS)) }
    public var end: Int32? { special(Int32(GLMC_SPECIAL_EOS)) }
    public var padding: Int32? { special(Int32(GLMC_SPECIAL_PAD)) }
    public var unknown: Int32? { special(Int32(GLMC_SPECIAL_UNK)) }

    private func special(_ which: Int32) -> Int32? {
        let id = glmc_special_token(table, which)
        return id < 0 ? nil : id
    }

    /// Whether a token is left out by `decode(_:skipsSpecial:)`.
    public func isSpecial(_ token: Int32) -> Bool { glmc_token_is_special(table, token) == 1 }

    /// The token that the vocabulary writes so, nil where there is none.
    public func token(named name: String) -> Int32? {
        var name = name
        let id = name.withUTF8 { text in text.withMemoryRebound(to: CChar.self) { glmc_token_named(table, $0.baseAddress, UInt64($0.count)) } }
        return id < 0 ? nil : id
    }

    /// A token as the vocabulary writes it, nil where the number stands for nothing.
    public func name(of token: Int32) -> String? {
        var bytes: UInt64 = 0
        guard let name = glmc_token_name(table, token, &bytes) else { return nil }
        return String(decoding: UnsafeRawBufferPointer(start: name, count: Int(bytes)), as: UTF8.self)
    }

    /// The tokens of a text.
    /// - Parameters:
    ///   - addsSpecial: framed as the model wants it, with a token for the beginning and the like.
    ///   - readsSpecial: special tokens that stand in the text are tokens; otherwise they are text like any other.
    public func encode(_ text: String, addsSpecial: Bool = true, readsSpecial: Bool = true) throws(RuntimeError) -> [Int32] {
        var text = text
        var result: Result<[Int32], RuntimeError> = .success([])
        text.withUTF8 { utf8 in
            do throws(RuntimeError) { result = .success(try encode(utf8: UnsafeRawBufferPointer(utf8), addsSpecial: addsSpecial, readsSpecial: readsSpecial)) } catch { result = .failure(error) }
        }
        return try result.get()
    }

    /// The tokens of a text as bytes.
    /// - Throws: `badData` where the bytes are not UTF-8, with the place.
    public func encode(utf8 text: UnsafeRawBufferPointer, addsSpecial: Bool = true, readsSpecial: Bool = true) throws(RuntimeError) -> [Int32] {
        let flags = (addsSpecial ? Int32(GLMC_ADD_SPECIAL) : 0) | (readsSpecial ? 0 : Int32(GLMC_SPECIAL_AS_TEXT))
        let text = text.bindMemory(to: CChar.self)
        return try filled(text.count / 2 + 16) { glmc_encode(table, text.baseAddress, UInt64(text.count), flags, $0, $1) }
    }

    /// The tokens of a pair of texts, and for each its type (which of the two a model should take it for).
    public func encode(_ first: String, _ second: String, addsSpecial: Bool = true) throws(RuntimeError) -> (tokens: [Int32], types: [Int32]) {
        let first = Array(first.utf8CString), second = Array(second.utf8CString)
        func run(_ tokens: UnsafeMutablePointer<Int32>?, _ types: UnsafeMutablePointer<Int32>?, _ capacity: Int64) -> Int64 {
            glmc_encode_pair(table, first, UInt64(first.count - 1), second, UInt64(second.count - 1), addsSpecial ? Int32(GLMC_ADD_SPECIAL) : 0, tokens, types, capacity)
        }
        let count = run(nil, nil, 0)
        var types = [Int32](repeating: 0, count: Int(max(count, 0)))
        let tokens = try filled(types.count) { tokens, capacity in types.withUnsafeMutableBufferPointer { run(tokens, $0.baseAddress, min(capacity, Int64($0.count))) } }
        return (tokens, types)
    }

    /// The text of tokens; bytes that form no characters become U+FFFD.
    /// - Throws: `badData` for a number beyond the vocabulary.
    public func decode(_ tokens: [Int32], skipsSpecial: Bool = true) throws(RuntimeError) -> String {
        let flags = skipsSpecial ? Int32(GLMC_SKIP_SPECIAL) : 0
        let bytes: [CChar] = try filled(tokens.count * 8) { glmc_decode(table, tokens, Int64(tokens.count), flags, $0, $1) }
        return String(decoding: bytes.lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Decodes tokens as they come, each time as much text as is complete.
    public struct Stream: @unchecked Sendable {
        private let tokenizer: Tokenizer
        private var state = glmc_decoder()

        fileprivate init(_ tokenizer: Tokenizer, skipsSpecial: Bool) {
            self.tokenizer = tokenizer
            state.table = tokenizer.table
            state.flags = skipsSpecial ? Int32(GLMC_SKIP_SPECIAL) : 0
        }

        /// The text that `token` completes, empty while a character is not whole.
        public mutating func push(_ token: Int32) throws(RuntimeError) -> String { try text { glmc_decoder_push(&$0, token, $1, $2) } }

        /// What was held back, at the end.
        public mutating func flush() throws(RuntimeError) -> String { try text { glmc_decoder_flush(&$0, $1, $2) } }

        private mutating func text(_ body: (inout glmc_decoder, UnsafeMutablePointer<CChar>?, Int64) -> Int64) throws(RuntimeError) -> String {
            let bytes: [CChar] = try tokenizer.filled(64) { body(&state, $0, $1) }
            return String(decoding: bytes.lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    /// A decoder of a stream of tokens that begins here.
    public func stream(skipsSpecial: Bool = true) -> Stream { Stream(self, skipsSpecial: skipsSpecial) }

    /// What `body` stores: called once with room for `guess` elements, and again where that was not enough.
    private func filled<Element>(_ guess: Int, _ body: (UnsafeMutablePointer<Element>?, Int64) -> Int64) throws(RuntimeError) -> [Element] {
        var capacity = max(guess, 1)
        while true {
            var count: Int64 = 0
            let elements = [Element](unsafeUninitializedCapacity: capacity) { buffer, written in
                count = body(buffer.baseAddress, Int64(capacity))
                written = Int(min(max(count, 0), Int64(capacity)))
            }
            if count < 0 { throw Self.error(count) }
            if count <= Int64(capacity) { return elements }
            capacity = Int(count)
        }
    }

    private static func error(_ result: Int64) -> RuntimeError {
        switch result {
        case Int64(GLMC_TOKENIZER_NO_MEMORY): RuntimeError(.noMemory, "the system gave no memory for a text's tokens")
        case Int64(GLMC_TOKENIZER_BAD_TABLE): RuntimeError(.badFile, "the tokenizer's table is damaged")
        case Int64(GLMC_TOKENIZER_BAD_TOKEN): RuntimeError(.badData, "a token's number is beyond the vocabulary")
        default: RuntimeError(.badData, "the text is not UTF-8 at byte \(glmc_bad_byte(result))")
        }
    }
}
