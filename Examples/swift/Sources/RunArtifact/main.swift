// Run an artifact on zeros: swift run RunArtifact MODEL.so
import GlmcRuntime

do {
    let artifact = try Artifact(path: CommandLine.arguments.dropFirst().first ?? "model.so")
    let entry = try artifact.entryPoint(named: nil)
    var inputs: [String: TensorBuffer] = [:]
    for input in entry.inputs {
        inputs[input.name] = try TensorBuffer(zeros: input.type, shape: input.shape.map { $0 ?? 2 })  // free sizes become 2
    }
    let session = try Session(artifact, threads: 2)
    let outputs = try session.run(inputs)
    for info in entry.outputs {
        guard let tensor = outputs[info.name] else { continue }
        print("\(info.name): \(tensor.type)\(tensor.shape)")
        if info.type == .f32 { print("  first values:", try tensor.array(of: Float.self).prefix(4)) }
    }
} catch {
    print("error:", error)
}
