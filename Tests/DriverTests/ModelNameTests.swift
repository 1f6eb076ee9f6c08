import Foundation
import Testing

@testable import GlmcCodegen
@testable import GlmcDriver

/// A model may be called anything: words of C and C++, functions, types and macros of the library, glmc's own names, and text that is no name.
@Suite final class ModelNameTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    static let names = [
        "strnlen", "uint8_t", "FILE", "SIGINT", "double", "main", "get", "tanh", "glmc_frame", "glmc_k0_main", "k0_main", "weights_main", "main_k0", "_x", "2nd", "a_b", "a b", "a-b", "a.b", "Main", "模型", " ",
    ]

    private func model(_ name: String, adding number: Int = 1) throws -> String {
        let file = folder.file("\(name).glm")
        try "func @f(%x: f32[3]) {\n  %k = constant(value: f32[](\(number)))\n  %y = binary.add(%x, %k)\n  return %y\n}\n".write(toFile: file, atomically: true, encoding: .utf8)
        return file
    }

    @Test func symbolsAreIdentifiersOfTheirOwn() {
        let names = Self.names + HostileTextTests.texts
        let symbols = names.map(ModelName.init).flatMap { [$0.function, $0.weights, $0.cudaRun, $0.cudaWorkspace, $0.kernel(0), $0.kernel(1), $0.kernel(10)] }
        #expect(Set(symbols).count == 7 * names.count)
        for symbol in symbols { #expect(symbol.wholeMatch(of: /(model|glmc)_[A-Za-z0-9_]*/) != nil, "\(symbol)") }
        #expect(ModelName("resnet50_v1").function == "model_resnet50_v1")
    }

    @Test func allLinkIntoOneProgram() throws {
        var source = "#include <signal.h>\n#include <stdio.h>\n#include <string.h>\n#include <math.h>\n", calls = "", libraries: [String] = []
        for (number, name) in Self.names.enumerated() {
            let library = folder.file("m\(number).\(number % 2 == 0 ? "a" : "o")")
            #expect(Glmc.run(["compile", try model(name, adding: number), "--no-cache", "-march=scalar", "-O0", "-o", library]) == 0, "\(name)")
            source += "#include \"m\(number).h\"\n"
            calls += "    if (check(\(ModelName(name).function)(), \(ForeignText.literal(name)), \(number).0f)) return \(number + 1);\n"
            libraries.append(library)
        }
        source += """
            static int check(const glmc_model *model, const char *name, float expected)
            {
                char error[256] = "";
                float zeros[3] = {0, 0, 0};
                glmc_session *session;
                glmc_tensor x = {.data = zeros, .bytes = sizeof zeros, .dtype = GLMC_F32, .rank = 1, .shape = {3}}, y = {0};
                if (strcmp(model->name, name) || glmc_session_open(model, 1, NULL, &session, error, sizeof error)) return 1;
                int wrong = glmc_session_run(model, session, 0, &x, 1, &y, 1, error, sizeof error) || ((const float *)y.data)[2] != expected;
                glmc_session_close(model, session);
                return wrong;
            }
            int main(void)
            {
            \(calls)    return 0;
            }

            """
        try source.write(toFile: folder.file("program.c"), atomically: true, encoding: .utf8)
        let compiler = try #require(Toolchain.available.first).path
        let built = try ChildProcess.run([compiler, "-Wall", "-Wextra", "-Werror", folder.file("program.c")] + libraries + ["-pthread", "-lm", "-o", folder.file("program")])
        #expect(built.succeeded, "\(built.errors)")
        #expect(try ChildProcess.run([folder.file("program")]).end == .exited(0))
    }

    @Test(arguments: ["uint8_t", "double", "main"]) func everyKindBuilds(_ name: String) throws {
        let file = try model(name)
        for output in ["named.so", "named", "named.c", "named.cu"] {
            let flags = output.hasSuffix("cu") ? [] : ["-march=scalar"]
            #expect(Glmc.run(["compile", file, "--no-cache", "-o", folder.file(output)] + flags) == 0, "\(output)")
        }
        let words = [["gcc", "-std=gnu11", "-fsyntax-only", folder.file("named.c")], ["g++", "-std=c++17", "-DGLMC_EMULATE", "-x", "c++", "-fsyntax-only", folder.file("named.cu")]]
        for command in words where Toolchain.locate(command[0]) != nil { #expect(try ChildProcess.run(command).succeeded, "\(command)") }
    }
}
