import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcPasses
import GlmcRuntime

/// `--int8`, `--int4` and the flags that go with them.
struct Quantization: Sendable {
    enum Mode: String, CaseIterable {
        case `static`, dynamic, weights
        /// Weights in eight bits by blocks, and the rows that meet them, where the target multiplies those: `--int8` of language models.
        case rows
        /// As `rows`, with weights in four bits where that costs least, else in eight: `--int4`.
        case blocks

        /// Those that `--quant` names.
        static let choices = [Mode.static, .dynamic, .weights].map(\.rawValue)
    }

    var mode = Mode.dynamic
    /// Whether the user chose the mode; language models have a default of their own.
    var isModeChosen = false
    /// What was quantised already, by whatever entry point.
    let weights = QuantizedWeightTable()
    /// A .npz file, a folder of them, or ONNX test data.
    var data: String?
    var options = QuantizationOptions()

    static let flags: [Flag] = [
        Flag("int8", "int8 where it can: static with --calib, the weights of language models, else dynamic for matrix products"),
        Flag("int4", "weights of matrix products in four bits by blocks of 32, those of look-ups and heads in eight; rows are rounded to 8 bits too where the processor multiplies those"),
        Flag("calib", .value("DATA"), "calibration data: a .npz file, a folder of .npz files, or ONNX test_data_set folders"),
        Flag("quant", .value("MODE"), choices: Mode.choices, "static needs --calib; dynamic quantises activations while the model runs; weights computes in fp32"),
        Flag("calib-method", .value("M"), choices: CalibrationMethod.allCases.map(\.rawValue), "how a range is chosen from what was seen (default auto)"),
    ]

    /// nil without `--int8` and `--int4`.
    init?(_ arguments: Arguments) throws(Diagnostic) {
        if arguments.has("int4") {
            if let other = Self.flags.first(where: { $0.name != "int4" && arguments.has($0.name) }) { throw arguments.misuse("\(other.spelling) and --int4 exclude each other") }
            (mode, isModeChosen) = (.blocks, true)
            options.keep = arguments.all("keep")
            return
        }
        guard arguments.has("int8") else {
            if let other = Self.flags.first(where: { $0.name != "int8" && arguments.has($0.name) }) { throw arguments.misuse("\(other.spelling) means nothing without --int8") }
            return nil
        }
        data = arguments.string("calib")
        let chosen = arguments.string("quant").flatMap(Mode.init(rawValue:))
        isModeChosen = chosen != nil || data != nil
        mode = chosen ?? (data == nil ? .dynamic : .static)
        guard mode != .static || data != nil else { throw arguments.misuse("--quant=static needs --calib DATA") }
        if let name = arguments.string("calib-method"), let method = CalibrationMethod(rawValue: name) { options.method = method }
        options.keep = arguments.all("keep")
    }

    /// The words that matter, for the manifest.
    var recordedFlags: [String] { mode == .blocks ? ["--int4"] : ["--int8"] + (isModeChosen ? ["--quant=\(mode.rawValue)"] : []) }

    /// The mode for a model: a language model reads far more weights than it computes on, so its weights are what counts.
    func mode(of module: Module) -> Mode { isModeChosen || module.states.isEmpty ? mode : .rows }

    /// The passes that quantise. Products of integers are worth it where the target has instructions for them.
    /// - Parameter calibrate: as `Pass.quantizeStatic` takes it.
    func passes(_ mode: Mode, for target: Target, calibrate: @escaping @Sendable (inout StaticQuantization, PassContext) throws -> Void) -> [Pass] {
        switch mode {
        case .dynamic: [.quantizeDynamic(options, sharing: weights)]
        case .weights: [.quantizeWeights(options, sharing: weights)]
        case .rows: [.quantizeByteBlocks(options, sharing: weights)] + (target.dots.contains(.i8) ? [.quantizeBlockActivations] : [])
        case .blocks: [.quantizeBlocks(options, sharing: weights)] + passes(.rows, for: target, calibrate: calibrate)
        case .static: [.quantizeStatic(options, calibrate: calibrate)]
        }
    }

    /// Readers of the calibration samples, whose inputs they give by name.
    func samples(for entry: Artifact.EntryPoint) throws -> [() throws -> [String: TensorBuffer]] {
        guard let data else { return [] }
        var samples: [() throws -> [String: TensorBuffer]] = []
        if !Files.isFolder(data) {
            samples = [{ try sample(data, entry) }]
        } else if TestCase.isOne(data) {
            samples = try TestCase(data).dataSets().map { set in
                { try set.inputs.filter { name, _ in entry.inputs.contains { $0.name == name } }.mapValues { try TensorBuffer($0) } }
            }
        } else {
            let names = ((try? FileManager.default.contentsOfDirectory(atPath: data)) ?? []).sorted()
            samples = names.filter { $0.hasSuffix(".npz") }.map { name in { try sample(data + "/" + name, entry) } }
        }
        guard !samples.isEmpty else { throw Diagnostic(.invalid, "holds no calibration data", at: [data], hint: "put .npz files there, with one array per input of the model") }
        return samples
    }

    private func sample(_ file: String, _ entry: Artifact.EntryPoint) throws -> [String: TensorBuffer] {
        var result: [String: TensorBuffer] = [:]
        for item in try Npz.read(file) {
            guard let info = entry.inputs.first(where: { $0.name == item.name }) else { continue }
            result[item.name] = try TensorBuffer(item.array, as: info.type)
        }
        if let missing = entry.inputs.first(where: { result[$0.name] == nil && !$0.isOptional }) { throw Diagnostic(.invalid, "has no array '\(missing.name)'", at: [file]) }
        return result
    }
}

extension Compilation {
    /// Runs what is to be observed, compiled natively, on the calibration data.
    func calibrate(_ quantization: inout StaticQuantization, _ asked: Quantization, _ context: PassContext) throws {
        var observation = quantization.observation
        // Layouts come last in a pipeline: the function that is observed needs them too, to be as fast.
        try PassManager().run(context.level >= .o2 ? [.assignLayouts] : [], on: &observation, context)
        var quiet = self
        quiet.saveFolder = nil
        let artifact = try quiet.temporaryArtifact(observation, name: "calibration")
        let entry = try artifact.entryPoint(named: nil), session = try Session(artifact, threads: threads ?? 0)
        let samples = try asked.samples(for: entry), bar = ProgressBar(console)
        for (index, sample) in samples.enumerated() {
            let invocation = try session.bind(sample())
            try invocation.run()
            for position in quantization.plan.values.indices {
                let values = try invocation.output(quantization.function.outputs.count + position)
                values.withUnsafeBytes { quantization.observe(position, $0.bindMemory(to: Float.self)) }
            }
            bar.show("calibrating", share: Double(index + 1) / Double(samples.count))
        }
        bar.finish()
    }
}
