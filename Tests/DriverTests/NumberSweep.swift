import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcPasses

@testable import GlmcDriver

/// One number of a model, and what it becomes.
struct NumberSite {
    let label: String
    let change: (inout OnnxModel, inout [String: Tensor]) -> Void
}

struct NumberSweep {
    let root: String
    /// nil: a small part of all.
    let from: Int?

    static let integers: [Int] = [0, 1, -1, 3, 1 << 31, -1 << 31, 1 << 62, -1 << 62, .max, .min]
    static let floats: [Float] = [0, -0.0, 1e38, -1e38, 1e-45, .nan, .infinity, -.infinity, -1, 0x1p63]

    func run() throws -> [String] {
        var complaints: [String] = [], number = 0, seen: [String: Int] = [:]
        let folder = try TemporaryFolder()
        for name in try FileManager.default.contentsOfDirectory(atPath: root).sorted() {
            guard let model = try? OnnxReader.model(at: "\(root)/\(name)/model.onnx") else { continue }
            let inputs = Self.inputs(model, "\(root)/\(name)")
            for site in Self.sites(model, inputs) {
                // All values of a number of an operator are tried in two models.
                let tried = seen[site.label, default: 0]
                seen[site.label] = tried + 1
                guard tried < 2 else { continue }
                number += 1
                guard from.map({ number >= $0 }) ?? (number % 61 == 0) else { continue }
                let place = "\(number) \(name) \(site.label)"
                if let path = ProcessInfo.processInfo.environment["GLMC_NUMBER_SWEEP_AT"] { try place.write(toFile: path, atomically: false, encoding: .utf8) }
                var changed = model, bound = inputs
                site.change(&changed, &bound)
                let start = ContinuousClock.now
                if let complaint = Self.complaint(changed, bound, folder.path) { complaints.append("\(place): \(complaint)") }
                let time = ContinuousClock.now - start
                if time > .seconds(10) { complaints.append("\(place): took \(time)") }
            }
        }
        return complaints
    }

    /// What is wrong with the way in which a model is compiled or refused; nil: nothing.
    private static func complaint(_ model: OnnxModel, _ bound: [String: Tensor], _ folder: String) -> String? {
        var options = ImportOptions()
        options.boundInputs = bound
        do {
            var function = try OnnxImporter.importModel(model, file: "model.onnx", options: options).function
            try Verifier.verify(function)
            do {
                try PassManager().run(PassLibrary.standard.pipeline(.o3), on: &function, PassContext(level: .o3))
            } catch { throw error.diagnostic }
            var compile = CompileOptions(name: "model")
            compile.kind = .cSource
            try ArtifactCompiler.compile(function, to: folder + "/model.c", options: compile)
            return nil
        } catch let error as Diagnostics {
            return error.all.first { $0.kind == .internal }?.description
        } catch let error as Diagnostic {
            return error.kind == .internal ? error.description : nil
        } catch {
            return "\(error)"
        }
    }

    private static func inputs(_ model: OnnxModel, _ folder: String) -> [String: Tensor] {
        var inputs: [String: Tensor] = [:]
        for (i, info) in model.graph.inputs.enumerated() {
            guard case .tensor(let tensor)? = try? OnnxReader.value(at: "\(folder)/test_data_set_0/input_\(i).pb", type: info.type) else { continue }
            inputs[info.name] = try? tensor.irTensor()
        }
        return inputs
    }

    // MARK: Numbers

    private static func sites(_ model: OnnxModel, _ inputs: [String: Tensor]) -> [NumberSite] {
        var sites: [NumberSite] = []
        for (n, node) in model.graph.nodes.enumerated() {
            for (i, name) in node.inputs.enumerated() {
                guard let tensor = inputs[name], 1...16 ~= tensor.count else { continue }
                for (what, new) in changes(of: tensor) { sites.append(NumberSite(label: "\(node.op) input \(i) \(what)") { $1[name] = new }) }
            }
            for (a, attribute) in node.attributes.enumerated() {
                for (what, new) in changes(of: attribute.value) {
                    sites.append(NumberSite(label: "\(node.op).\(attribute.name) \(what)") { model, _ in model.graph.nodes[n].attributes[a].value = new })
                }
            }
        }
        return sites
    }

    private static func changes(of tensor: Tensor) -> [(String, Tensor)] {
        Set([0, tensor.count - 1]).sorted().flatMap { position -> [(String, Tensor)] in
            if tensor.element.isInteger || tensor.element == .bool {
                let old = tensor.integers
                return integers.map { new in ("[\(position)] = \(new)", Tensor(tensor.element, tensor.shape, integers: { $0 == position ? new : old[$0] })) }
            }
            guard tensor.element.isFloat, tensor.count <= 4 else { return [] }
            let old = tensor.doubles
            return floats.map { new in ("[\(position)] = \(new)", Tensor(tensor.element, tensor.shape, values: { $0 == position ? Double(new) : old[$0] })) }
        }
    }

    private static func changes(of value: OnnxAttribute.Value) -> [(String, OnnxAttribute.Value)] {
        func places(_ count: Int) -> [Int] { count == 0 ? [] : Set([0, count - 1]).sorted() }
        switch value {
        case .int: return integers.map { ("= \($0)", .int(Int64($0))) }
        case .float: return floats.map { ("= \($0)", .float($0)) }
        case .ints(let old):
            return places(old.count).flatMap { place in
                integers.map { new in ("[\(place)] = \(new)", .ints(old.enumerated().map { $0.offset == place ? Int64(new) : $0.element })) }
            }
        case .floats(let old):
            return places(old.count).flatMap { place in
                floats.map { new in ("[\(place)] = \(new)", .floats(old.enumerated().map { $0.offset == place ? new : $0.element })) }
            }
        default: return []
        }
    }
}
