import Testing

@testable import GlmcDriver
@testable import GlmcIR

/// The parser of flags, its suggestions, and the help texts.
@Suite struct CommandLineTests {
    static let command = Subcommand(
        "sample", "MODEL", summary: "a sample", positionals: 1...1,
        flags: [
            Flag("output", .value("FILE"), short: "o", "where"), Flag("dim", .value("NAME=VALUE"), repeated: true, "a size"), Flag("no-cache", "no cache"),
            Flag("O", .attached("0…3"), choices: ["0", "1", "2", "3"], "level"), Flag("march", .value("CPU"), singleDash: true, "processor"),
            Flag("jobs", .value("N"), short: "j", "jobs"), Flag("shape", .value("NAME:1x2"), repeated: true, "shape"),
        ]
    ) { _, _ in .done }

    func parse(_ words: String...) throws -> Arguments { try Arguments(words, for: Self.command) }

    @Test func acceptsEverySpelling() throws {
        let arguments = try parse("-O3", "m.onnx", "--dim", "n=2", "--dim=h=3", "-march=native", "-j4", "-o", "x.so", "--no-cache", "--shape", "a:b:1x2")
        #expect(arguments.positionals == ["m.onnx"] && arguments.string("O") == "3" && arguments.string("march") == "native" && arguments.string("output") == "x.so")
        #expect(try arguments.int("jobs") == 4)
        #expect(arguments.has("no-cache") && !arguments.has("verbose"))
        #expect(try arguments.pairs("dim").map { "\($0.name)/\($0.value)" } == ["n/2", "h/3"])
        #expect(try arguments.pairs("shape", separator: ":").map { "\($0.name)/\($0.value)" } == ["a:b/1x2"])
        #expect(try parse("--output=a=b", "--", "-x").string("output") == "a=b")
        #expect(try parse("--", "-x").positionals == ["-x"])
        #expect(try parse("-j=2").string("jobs") == "2")
    }

    @Test func explainsMisuse() throws {
        func message(_ words: String...) -> String {
            do throws(Diagnostic) {
                let arguments = try Arguments(words, for: Self.command)
                try arguments.checkPositionals()
                _ = try arguments.int("jobs", in: 1...64)
                _ = try arguments.pairs("dim")
                return "accepted"
            } catch {
                return error.kind == .usage ? error.message + " / " + (error.hint ?? "") : "another kind"
            }
        }
        #expect(message("m", "--ouptut=x") == "glmc sample has no flag --ouptut / did you mean --output?")
        #expect(message("m", "--output").hasPrefix("--output needs a value"))
        #expect(message("m", "--no-cache=1").hasPrefix("--no-cache takes no value"))
        #expect(message("m", "-O7") == "'7' is no value of -O / -O0 to -O3")
        #expect(message("m", "-j", "many").contains("a whole number from 1 to 64"))
        #expect(message("m", "--dim", "n").contains("NAME=VALUE"))
        #expect(message("m", "--dim", "n=4", "--dim=n=5").hasPrefix("--dim is given twice for 'n'"))
        #expect(message().hasPrefix("something is missing"))
        #expect(message("a", "b").hasPrefix("'b' is one argument too many"))
        #expect(message("m", "-z").hasPrefix("glmc sample has no flag -z"))
        #expect(message("m") == "accepted")
    }

    @Test func suggestsTheNearestName() {
        #expect(nearestName(to: "complie", among: ["compile", "run"]) == "compile")
        #expect(nearestName(to: "xyz", among: ["compile", "run"]) == nil)
        #expect(nearestName(to: "cache", among: ["--no-cache"]) == "--no-cache")
    }

    @Test func helpNamesEveryFlag() {
        for subcommand in Glmc.subcommands {
            let text = Help.text(subcommand)
            #expect(subcommand.allFlags.allSatisfy { text.contains($0.spelling) }, "\(subcommand.name)")
            #expect(text.split(separator: "\n").allSatisfy { $0.count <= 130 }, "\(subcommand.name)")
        }
        #expect(Glmc.subcommands.filter { !$0.isHidden }.allSatisfy { Help.overview(Glmc.subcommands).contains("  \($0.name)") })
        #expect(Set(Glmc.subcommands.map(\.name)).count == Glmc.subcommands.count)
    }

    /// A long name does not widen the rows of others.
    @Test func columnsCutLongCells() {
        let lines = columns([[String(repeating: "n", count: 5000), "f32"], ["x", String(repeating: "m", count: 200)]]).split(separator: "\n")
        #expect(lines[0] == String(repeating: "n", count: 59) + "…  f32" && lines[1] == "x" + String(repeating: " ", count: 61) + String(repeating: "m", count: 200))
    }

    @Test func exitCodesFollowTheKind() {
        #expect(Glmc.report(Diagnostic(.invalid, "test")) == .invalid)
        #expect(Glmc.report(Diagnostics([Diagnostic(.invalid, "test"), Diagnostic(.unsupported, "test")])) == .unsupported)
        #expect(Glmc.run([]) == 2 && Glmc.run(["nonsense"]) == 2 && Glmc.run(["version"]) == 0 && Glmc.run(["run"]) == 2)
    }
}
