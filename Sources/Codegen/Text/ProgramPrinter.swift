import GlmcIR

/// Writes a program as text: the memory that it uses, and what its launches do with it, in order.
///
/// ```
/// program @main {
///   %0: input 0, 128 bytes
///   %1: output 0, 64 bytes
///   %2: weight f32[16, 8] as panels<1x8, depth 16, step 1>, 512 bytes
///   gemm-tile(write %1, %0, %2)
/// }
/// ```
struct ProgramPrinter {
    private let program: Program
    private var text = ""
    private var depth = 0

    static func print(_ program: Program) -> String {
        var printer = ProgramPrinter(program: program)
        printer.block("program @\(Quoting.identifierOrQuoted(program.function.name))") { printer in
            let used = program.usedStorages
            for (i, storage) in program.storages.enumerated() where used.contains(StorageID(index: i)) { printer.line("%\(i): \(storage)") }
            printer.print(program.steps)
        }
        return printer.text
    }

    private init(program: Program) { self.program = program }

    private mutating func line(_ content: String) { text += String(repeating: "  ", count: depth) + content + "\n" }

    private mutating func block(_ head: String, _ body: (inout ProgramPrinter) -> Void) {
        line(head + " {")
        depth += 1
        body(&self)
        depth -= 1
        line("}")
    }

    private mutating func print(_ steps: [Step]) {
        for step in steps {
            switch step {
            case .launch(let launch): print(launch)
            case .define(let dimension, let size): line("$\(Quoting.identifierOrQuoted(dimension)) = \(size)")
            case .demand(let demands): line("demand \(demands.count) sizes")
            case .conditional(let condition, let then, let otherwise):
                block("if \(spell(condition))") { $0.print(then) }
                if !otherwise.isEmpty { block("else") { $0.print(otherwise) } }
            case .loop(let loop):
                let limit = switch loop.limit {
                case .extent(let extent): "\(extent)"
                case .value(let place): spell(place)
                }
                block("loop n\(loop.id.index) below \(limit)\(loop.condition.map { " while \(spell($0))" } ?? "")") { $0.print(loop.body) }
            }
        }
    }

    private mutating func print(_ launch: Launch) {
        let arguments = launch.arguments.map { argument in
            (launch.writes.contains(argument.storage) ? "write " : "") + "%\(argument.storage.index)"
                + argument.loopOffsets.map { " + n\($0.loop.index) * \($0.stride)" }.joined()
        }
        let nodes = launch.provenance.isEmpty ? "" : " // " + launch.provenance.map(Quoting.quoted).joined(separator: ", ")
        line("\(launch.family)(\(arguments.joined(separator: ", ")))\(nodes)")
    }

    private func spell(_ place: TensorPlacement) -> String { "%\(place.storage.index)" }
}
