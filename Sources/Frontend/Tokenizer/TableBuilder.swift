import CGlmcABI
import GlmcIR

/// Collects the sections of a tokenizer's table (glmc_tokenizer_table.h says what they hold) and writes it.
struct TableBuilder {
    /// One entry of a list of steps; fields as in `glmc_step`.
    struct Step {
        var kind: Int
        var a: UInt32 = 0
        var b: UInt32 = 0
        var c: UInt32 = 0
        var text: [UInt8] = []
    }

    var header = glmc_tokenizer_header()
    /// Text of the model's tokens by id, nil where the model has none.
    var tokens: [[UInt8]?] = []
    /// Tokens whose text a later one has too.
    var repeated: [Int] = []
    var kinds: [UInt8] = []
    var merges: [glmc_merge] = []
    var scores: [Double] = []
    var added: [AddedToken] = []
    var composed: [glmc_merge] = []
    var classes: [glmc_mapped] = []
    var units: [UInt32] = []

    struct AddedToken {
        var id: Int
        var content: [UInt8]
        /// What a decoder sees: the content as the normalizer leaves it.
        var decoded: [UInt8]
        var flags: UInt32
        var isNormalized: Bool
    }

    private var text: [UInt8] = []
    private var texts: [[UInt8]: glmc_text] = [:]
    private var sets: [CodePointSet] = []
    private var setNumbers: [CodePointSet: UInt32] = [:]
    private var code: [PatternCompiler.Instruction] = []
    private var patterns: [glmc_pattern] = []
    private var mapped: [glmc_mapped] = []
    private var maps: [glmc_span] = []
    private var steps: [glmc_step] = []
    private var templates: [glmc_template] = []

    init() {
        header.unknown = -1
        header.special = (-1, -1, -1, -1)
        _ = withUnsafeMutableBytes(of: &header.fallback) { $0.initializeMemory(as: Int32.self, repeating: -1) }
        header.word = number(of: UnicodeData.set("rust.word") ?? CodePointSet([]))
        header.space = number(of: UnicodeData.set("rust.space") ?? CodePointSet([]))
    }

    mutating func number(of set: CodePointSet) -> UInt32 {
        if let number = setNumbers[set] { return number }
        setNumbers[set] = UInt32(sets.count)
        sets.append(set)
        return UInt32(sets.count - 1)
    }

    mutating func place(_ bytes: [UInt8]) -> glmc_text {
        if let known = texts[bytes] { return known }
        let place = glmc_text(at: UInt32(text.count), bytes: UInt32(bytes.count))
        text += bytes
        texts[bytes] = place
        return place
    }

    /// The number of a pattern's program.
    mutating func number(of pattern: Pattern) throws(Diagnostic) -> UInt32 {
        let compiled = try PatternCompiler(pattern)
        let numbers = compiled.sets.map { number(of: $0) }
        patterns.append(glmc_pattern(code: glmc_span(first: UInt32(code.count), count: UInt32(compiled.code.count)), states: compiled.states))
        code += compiled.code.map { instruction in
            var instruction = instruction
            for field in instruction.setFields { instruction[keyPath: field] = numbers[Int(instruction[keyPath: field])] }
            return instruction
        }
        return UInt32(patterns.count - 1)
    }

    /// The number of a map: entries ascending, each with the text that its code points become.
    mutating func number(ofMap entries: [(range: ClosedRange<UInt32>, kind: Int, text: [UInt8])]) -> UInt32 {
        maps.append(glmc_span(first: UInt32(mapped.count), count: UInt32(entries.count)))
        for entry in entries {
            mapped.append(glmc_mapped(first: entry.range.lowerBound, last: entry.range.upperBound, kind: UInt32(entry.kind), value: 0, text: place(entry.text)))
        }
        return UInt32(maps.count - 1)
    }

    mutating func span(of list: [Step]) -> glmc_span {
        let span = glmc_span(first: UInt32(steps.count), count: UInt32(list.count))
        for step in list { steps.append(glmc_step(kind: UInt32(step.kind), a: step.a, b: step.b, c: step.c, text: place(step.text))) }
        return span
    }

    mutating func span(of list: [glmc_template]) -> glmc_span {
        templates += list
        return glmc_span(first: UInt32(templates.count - list.count), count: UInt32(list.count))
    }

    /// The table's bytes.
    func write() -> [UInt8] {
        var builder = self
        return builder.finish()
    }

    /// A table of the steps alone, to ask what the normalizer makes of a token.
    func writeSteps() -> [UInt8] {
        var builder = self
        (builder.tokens, builder.kinds, builder.merges, builder.scores) = ([], [], [], [])
        return builder.finish()
    }

    private mutating func finish() -> [UInt8] {
        var starts: [UInt32] = []
        var vocabulary: [UInt8] = []
        for (id, token) in tokens.enumerated() {
            starts.append(UInt32(vocabulary.count))
            guard let token else { continue }
            vocabulary += token
            kinds[id] |= UInt8(GLMC_TOKEN_IN_MODEL)
            header.longest_token = max(header.longest_token, UInt32(token.count))
        }
        starts.append(UInt32(vocabulary.count))
        text = vocabulary + text
        let shift = UInt32(vocabulary.count)
        func moved(_ place: glmc_text) -> glmc_text { glmc_text(at: place.at + shift, bytes: place.bytes) }
        for index in mapped.indices { mapped[index].text = moved(mapped[index].text) }
        for index in steps.indices { steps[index].text = moved(steps[index].text) }
        header.prefix = moved(header.prefix)
        header.suffix = moved(header.suffix)
        let added = added.sorted { $0.id < $1.id }.map { token in
            let content = glmc_text(at: UInt32(text.count), bytes: UInt32(token.content.count))
            text += token.content
            let decoded = glmc_text(at: UInt32(text.count), bytes: UInt32(token.decoded.count))
            text += token.decoded
            return glmc_added(id: UInt32(token.id), text: content, decoded: decoded, flags: token.flags)
        }
        let tries = ByteTries(self.added.sorted { $0.id < $1.id })
        header.tries = (0, tries.secondRoot)
        var ranges: [glmc_range] = []
        let written = sets.map { set in
            var result = glmc_set(ascii: (0, 0, 0, 0), ranges: glmc_span(first: UInt32(ranges.count), count: 0))
            withUnsafeMutableBytes(of: &result.ascii) { bytes in
                for point in 0..<128 where set.contains(UInt32(point)) { bytes[point / 8] |= 1 << (point % 8) }
            }
            for range in set.ranges where range.upperBound >= 128 { ranges.append(glmc_range(first: max(range.lowerBound, 128), last: range.upperBound)) }
            result.ranges.count = UInt32(ranges.count) - result.ranges.first
            return result
        }
        let slots = Self.slots(for: tokens.count, where: { tokens[$0] != nil }, same: { tokens[$0] == tokens[$1] }) { id in
            glmc_hash_slot(tokens[id]?.withUnsafeBufferPointer { glmc_hash(Self.hashStart, $0.baseAddress, UInt64($0.count)) } ?? 0)
        }
        let pairs = Self.slots(for: merges.count, where: { _ in true }, same: { merges[$0].left == merges[$1].left && merges[$0].right == merges[$1].right }) {
            glmc_pair_slot(merges[$0].left, merges[$0].right)
        }
        let instructions = code.map { glmc_instruction(op: $0.op, a: $0.a, b: $0.b, c: $0.c, state: $0.state) }

        var body: [UInt8] = []
        var spans: [glmc_span] = []
        let start = MemoryLayout<glmc_tokenizer_header>.stride
        func section<Element>(_ elements: [Element]) {
            while (start + body.count) % 8 != 0 { body.append(0) }
            spans.append(glmc_span(first: UInt32(start + body.count), count: UInt32(elements.count)))
            elements.withUnsafeBytes { body += $0 }
        }
        section(text)
        section(starts)
        section(kinds)
        section(slots)
        section(added)
        section(tries.nodes)
        section(tries.edges)
        section(merges)
        section(pairs)
        section(scores)
        section(written)
        section(ranges)
        section(instructions)
        section(patterns)
        section(mapped)
        section(maps)
        section(classes)
        section(composed)
        section(steps)
        section(templates)
        section(units)
        withUnsafeMutableBytes(of: &header.sections) { bytes in spans.withUnsafeBytes { bytes.copyMemory(from: $0) } }
        withUnsafeMutableBytes(of: &header.magic) { $0.copyBytes(from: "GLMCTOKN".utf8) }
        header.version = 1
        header.bytes = UInt64(start + body.count)
        header.crc = 0
        var table = withUnsafeBytes(of: header) { Array($0) } + body
        let crc = table.withUnsafeBufferPointer { glmc_crc($0.baseAddress.map { $0 + 16 }, UInt64($0.count - 16)) }
        for byte in 0..<4 { table[12 + byte] = UInt8(truncatingIfNeeded: crc >> (8 * byte)) }
        return table
    }

    private static let hashStart: UInt64 = 0xcbf2_9ce4_8422_2325

    /// Open addressing, at most half full; of entries that are the same the last one counts.
    private static func slots(for count: Int, where isIn: (Int) -> Bool, same: (Int, Int) -> Bool, hash: (Int) -> UInt32) -> [UInt32] {
        var size = 2
        while size < 2 * count { size *= 2 }
        var slots = [UInt32](repeating: 0, count: size)
        for index in 0..<count where isIn(index) {
            var slot = Int(hash(index)) & (size - 1)
            while slots[slot] != 0, !same(Int(slots[slot]) - 1, index) { slot = (slot + 1) & (size - 1) }
            slots[slot] = UInt32(index + 1)
        }
        return slots
    }
}

/// Two tries over bytes in one list of nodes: of added tokens that are looked for as they are, and of those that are after the normalizer.
private struct ByteTries {
    var nodes: [glmc_node] = []
    var edges: [glmc_edge] = []
    var secondRoot: UInt32 = 0

    init(_ added: [TableBuilder.AddedToken]) {
        var children: [[UInt8: Int]] = [[:], [:]]
        var values = [0, 0]
        for (index, token) in added.enumerated() {
            let key = token.isNormalized ? token.decoded : token.content
            guard !key.isEmpty else { continue }
            var node = token.isNormalized ? 1 : 0
            for byte in key {
                if let next = children[node][byte] {
                    node = next
                } else {
                    children.append([:])
                    values.append(0)
                    children[node][byte] = children.count - 1
                    node = children.count - 1
                }
            }
            values[node] = index + 1
        }
        for (node, next) in children.enumerated() {
            nodes.append(glmc_node(first: UInt32(edges.count), count: UInt32(next.count), value: UInt32(values[node])))
            for (byte, child) in next.sorted(by: { $0.key < $1.key }) { edges.append(glmc_edge(label: UInt32(byte), node: UInt32(child))) }
        }
        secondRoot = 1
    }
}
