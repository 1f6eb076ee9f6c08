import GlmcIR

/// Turns patterns into the instructions of glmc_pattern.h.
struct PatternCompiler {
    /// Numbered as there.
    private enum Op: UInt32 { case set, loop, atomicLoop, split, jump, look, behind, assert, match }

    struct Instruction {
        var op: UInt32
        var a: UInt32 = 0
        var b: UInt32 = 0
        var c: UInt32 = 0
        var state: UInt32 = 0

        /// The fields that name a set.
        var setFields: [WritableKeyPath<Instruction, UInt32>] {
            switch Op(rawValue: op) {
            case .set, .loop, .atomicLoop, .behind: [\.a]
            case .assert: [\.b]
            default: []
            }
        }
    }

    private(set) var code: [Instruction] = []
    private(set) var states: UInt32 = 0
    /// What instructions name by index.
    private(set) var sets: [CodePointSet] = []

    /// - Throws: where the pattern may match nothing at all, or its program grows too large.
    init(_ pattern: Pattern) throws(Diagnostic) {
        guard !pattern.matchesEmpty else { throw .unsupported("the pattern matches the empty text") }
        try add(pattern)
        emit(.match)
    }

    @discardableResult
    private mutating func emit(_ op: Op, _ a: UInt32 = 0, _ b: UInt32 = 0, _ c: UInt32 = 0) -> Int {
        var instruction = Instruction(op: op.rawValue, a: a, b: b, c: c)
        if op == .loop || op == .split || op == .look {
            instruction.state = states
            states += 1
        }
        code.append(instruction)
        return code.count - 1
    }

    private mutating func number(_ set: CodePointSet) -> UInt32 {
        if let index = sets.firstIndex(of: set) { return UInt32(index) }
        sets.append(set)
        return UInt32(sets.count - 1)
    }

    private var here: UInt32 { UInt32(code.count) }

    private mutating func add(_ pattern: Pattern) throws(Diagnostic) {
        guard code.count < 1 << 16 else { throw .unsupported("the pattern is too large") }
        switch pattern {
        case .empty: break
        case .set(let set): emit(.set, number(set))
        case .sequence(let parts): for part in parts { try add(part) }
        case .choice(let parts):
            var ends: [Int] = []
            for (index, part) in parts.enumerated() {
                if index == parts.count - 1 {
                    try add(part)
                } else {
                    let split = emit(.split)
                    code[split].a = here
                    try add(part)
                    ends.append(emit(.jump))
                    code[split].b = here
                }
            }
            for end in ends { code[end].a = here }
        case .repeated(let part, let least, let most, let mode): try addRepeated(part, least, most, mode)
        case .look(let part, let ahead): try addLook(part, ahead ? 0 : 1)
        case .atomic(let part): try addLook(part, 2)
        case .behind(let set, let negated): emit(.behind, number(set), negated ? 1 : 0)
        case .assertion(let kind): emit(.assert, kind.rawValue, number(UnicodeData.set("word") ?? CodePointSet([])))
        }
    }

    private mutating func addLook(_ part: Pattern, _ kind: UInt32) throws(Diagnostic) {
        let look = emit(.look, 0, kind)
        try add(part)
        emit(.match)
        code[look].a = here
    }

    private mutating func addRepeated(_ part: Pattern, _ least: Int, _ most: Int?, _ mode: Pattern.Mode) throws(Diagnostic) {
        if mode == .possessive, !part.isSet { return try addLook(.repeated(part, least: least, most: most, mode: .greedy), 2) }
        for _ in 0..<least { try add(part) }
        guard most != least else { return }
        if case .set(let set) = part, mode != .lazy {
            emit(mode == .greedy ? .loop : .atomicLoop, number(set), 0, most.map { UInt32($0 - least) } ?? UInt32.max)
            return
        }
        var splits: [Int] = []
        func enter(_ split: Int) { if mode == .lazy { code[split].b = here } else { code[split].a = here } }
        func leave(_ split: Int) { if mode == .lazy { code[split].a = here } else { code[split].b = here } }
        if let most {
            for _ in least..<most {
                splits.append(emit(.split))
                enter(splits[splits.count - 1])
                try add(part)
            }
        } else {
            splits.append(emit(.split))
            enter(splits[0])
            try add(part)
            emit(.jump, UInt32(splits[0]))
        }
        for split in splits { leave(split) }
    }
}

extension Pattern {
    fileprivate var isSet: Bool { if case .set = self { true } else { false } }
}
