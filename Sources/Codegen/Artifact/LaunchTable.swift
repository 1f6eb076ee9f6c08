import GlmcIR

/// An address as C text: a pointer that the body of an entry point knows, and how many bytes behind it.
struct AddressText {
    var base: String
    var bytes = 0

    var text: String { bytes == 0 ? base : "\(base) + \(bytes)" }
}

/// Different texts, in the order in which they were first asked for.
struct TextList {
    private(set) var all: [String] = []
    private var positions: [String: Int] = [:]

    /// The position of `text`.
    mutating func position(of text: String) -> Int {
        if let known = positions[text] { return known }
        positions[text] = all.count
        return append(text)
    }

    /// The position of a `text` that is none of those that are asked for.
    mutating func append(_ text: String) -> Int {
        all.append(text)
        return all.count - 1
    }
}

/// The launches of an entry point as the tables of `glmc_launches.h`, so that an artifact's main file takes the C compiler no time that grows with them.
struct LaunchTable {
    /// The most pointers of a body, and the most bytes behind one: what `glmc_operand` has room for.
    private static let mostBases = 1 << 20, mostBytes = 1 << 44

    /// A buffer of a launch: bytes behind one of the body's pointers.
    struct Operand {
        var base: Int
        var bytes: Int
    }

    /// The pointers that operands lie behind.
    private var bases = TextList()
    /// Amounts of work, of type i64.
    private var works = TextList()
    private var launches = "", operands = "", regions = ""
    private(set) var launchCount = 0
    private(set) var regionCount = 0
    private var regionStart = 0
    private var operandCount = 0, mostOperands = 0

    /// The operand at an address that does not change during a run.
    /// - Throws: `Diagnostic` for an address beyond what a table has room for.
    mutating func operand(at address: AddressText) throws -> Operand {
        guard address.bytes < Self.mostBytes else { throw Diagnostic(.unsupported, "the model needs more than \(Self.mostBytes >> 40) TB of memory") }
        return Operand(base: try checked(bases.position(of: address.base)), bytes: address.bytes)
    }

    /// An operand at a pointer that statements of the body set.
    mutating func changingOperand() throws -> Operand { Operand(base: try checked(bases.append("0")), bytes: 0) }

    private func checked(_ base: Int) throws -> Int {
        guard base < Self.mostBases else { throw Diagnostic(.unsupported, "the model has more than \(Self.mostBases) buffers") }
        return base
    }

    /// Adds a launch behind the others.
    /// - Parameters:
    ///   - kernel: its position among the artifact's kernels.
    ///   - nodes: what it computes, for the reader.
    mutating func add(kernel: Int, _ buffers: [Operand], nodes: [String]) {
        launches += "    {\(kernel), \(operandCount)},\(nodes.isEmpty ? "" : " " + ForeignText.comment(nodes.joined(separator: ", ")))\n"
        if !buffers.isEmpty { operands += "    \(buffers.map { "{\($0.base), \($0.bytes)}" }.joined(separator: ", ")),\n" }
        launchCount += 1
        operandCount += buffers.count
        mostOperands = max(mostOperands, buffers.count)
    }

    /// Ends a region: the launches since the last one ended.
    /// - Parameter work: a C expression that holds for the whole run.
    /// - Returns: its launches, and the place of its work.
    mutating func endRegion(work: String) -> (launches: Range<Int>, work: Int) {
        let position = works.position(of: work), first = regionStart
        regions += "    {\(first), \(position)},\n"
        regionCount += 1
        regionStart = launchCount
        return (first..<launchCount, position)
    }

    /// The amounts of work `z` and the pointers `b`, of which a body declares its own.
    var declarations: String {
        func list(_ texts: [String]) -> String { texts.isEmpty ? "0" : texts.joined(separator: ", ") }
        return "    const int64_t z[] = {\(list(works.all))};\n    void *b[] = {\(list(bases.all.map { "(void *)(\($0))" }))};\n    (void)z; (void)b;\n"
    }

    /// The tables.
    /// - Parameter symbol: the name of one of the entry point's tables.
    func text(_ symbol: (String) -> String, kernels: String) -> String {
        """
        static const glmc_operand \(symbol("operands"))[] = {
        \(operands)    {0, 0},
        };
        static const glmc_launch \(symbol("launches"))[] = {
        \(launches)    {0, \(operandCount)},
        };
        static const glmc_region_info \(symbol("regions"))[] = {
        \(regions)    {\(launchCount), 0},
        };
        static const glmc_launches \(symbol("table")) = {
            .kernels = \(kernels), .operands = \(symbol("operands")), .launches = \(symbol("launches")), .regions = \(symbol("regions")), .most_operands = \(mostOperands),
        };

        """
    }
}
