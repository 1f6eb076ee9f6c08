import GlmcIR

extension KernelFunction {
    /// The kernel cut at its barriers. What a phase needs of names bound before is bound again, so that any thread can run any part
    /// of any phase.
    /// - Throws: `Diagnostic` where a phase needs a variable that changes, or memory as it was before the barrier.
    func phases() throws -> [KernelFunction] {
        var pieces: [[Statement]] = [[]]
        for statement in body {
            if case .barrier = statement { pieces.append([]) } else { pieces[pieces.count - 1].append(statement) }
        }
        var earlier: [Statement] = []
        var result: [KernelFunction] = []
        for piece in pieces {
            var phase = self
            phase.body = (try definitions(neededBy: piece, from: earlier) + piece).withoutUnreadBindings()
            result.append(phase)
            earlier += piece
        }
        return result
    }

    private func definitions(neededBy piece: [Statement], from earlier: [Statement]) throws -> [Statement] {
        var needed: [Statement] = []
        for statement in earlier.reversed() {
            let variable: Variable
            switch statement {
            case .bind(let name, _), .declare(let name, _): variable = name
            default: continue
            }
            guard (piece + needed).contains(where: { $0.mentions(variable) }) else { continue }
            let readsChanged = buffers.indices.contains { buffers[$0].isWritten && statement.loads(BufferID($0)) }
            guard case .bind = statement, !readsChanged else {
                throw Diagnostic(.internal, "in kernel \(name), \(variable.name) is needed on both sides of a barrier")
            }
            needed.insert(statement, at: 0)
        }
        return needed
    }
}
