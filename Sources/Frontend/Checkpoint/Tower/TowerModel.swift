import GlmcIR

/// A model of one tower or of several side by side, and what a task adds to them. Inputs: see `Tower.inputs`; results: see `EncoderTask`.
struct TowerModel {
    private let family: TowerFamily
    private let checkpoint: Checkpoint
    private let towers: [Tower]
    /// How many labels the classifier tells apart.
    private let labels: Int
    /// What the configuration names as the class of the whole model.
    private let architecture: String?

    /// - Parameter type: one of the family's types.
    init(_ checkpoint: Checkpoint, _ family: TowerFamily, _ type: String) throws {
        (self.family, self.checkpoint) = (family, checkpoint)
        var c = try ConfigReader(checkpoint.config)
        architecture = try c.optionalList("architectures", "names") { $0.string }?.first
        labels = try c.labels()
        if type == family.type {
            let embedded = try c.optionalSize("projection_dim")
            towers = try family.towers.map { form in
                // Where there is a second object, it holds instead of the first.
                let objects = [form.key + "_dict", form.key].map { (key: $0, value: c.value($0)) }
                let own = objects.first { $0.value != nil } ?? objects[1]
                return Tower(form, try TowerConfig(own.value ?? .object([]), form, at: c.place + ["'\(own.key)'"], embedded: embedded), checkpoint)
            }
            try c.finish(irrelevant: irrelevantKeys.union(["logit_scale_init_value"]), neutral: neutralKeys)
        } else {
            towers = try family.towers.filter { $0.type == type }.map { Tower($0, try TowerConfig(checkpoint.config, $0, at: c.place, embedded: nil), checkpoint) }
        }
    }

    /// What the model can be for.
    private var tasks: [EncoderTask] {
        let embeds = family.type == nil ? [] : towers.map(\.form.embeds)
        let labels: [EncoderTask] = towers.contains { $0.form.readsPictures } ? [.pictures] : []
        return towers.count > 1 ? [.matches] + embeds + labels : [.features, .pooler] + embeds + labels
    }

    /// - Throws: `Diagnostics` with every tensor that does not fit the configuration.
    func function(_ options: ImportOptions) throws -> Function {
        let task = try options.task ?? told()
        guard tasks.contains(task) else { throw task.refused(among: tasks) }
        var g = ModelGraph(family.types[0], checkpoint)
        g.rewriter.setMetadata("task", task.rawValue)
        let used = task == .matches ? towers : towers.filter { towers.count == 1 || $0.form.readsPictures == (task != .textEmbeds) }
        let inputs = used.map { $0.inputs(batch: used.count == 1 ? "batch" : $0.form.readsPictures ? "images" : "texts") }
        let longest = used.filter { !$0.form.readsPictures }.map(\.config.layers.longest).min()
        var values = try g.inputs(inputs.flatMap { $0 }, options, longest: longest.map { ["sequence": $0] } ?? [:])[...]
        let states = try zip(used, inputs).map { tower, inputs in
            let own = Array(values.prefix(inputs.count))
            values = values.dropFirst(inputs.count)
            return States(tower: tower, inputs: own, x: try tower.states(own, in: &g))
        }
        let results = try task == .matches ? matches(states, in: &g) : [result(task, states[0], in: &g)]
        for (name, value) in results { g.rewriter.setName(name, of: value) }
        g.rewriter.setResults(results.map(\.value), names: results.map(\.name))
        let unused = towers.filter { tower in !used.contains { $0.form.type == tower.form.type } }.flatMap { [$0.root.body + "*"] + ($0.form.projection.map { [$0 + ".weight"] } ?? []) }
        try g.finish(ignoring: ["*position_ids", "classifier.*"] + family.leftOut + unused + (task == .matches ? [] : ["logit_scale", "logit_bias"]))
        return g.rewriter.function
    }

    /// The task that the files say.
    private func told() throws -> EncoderTask {
        let whole: EncoderTask = towers.count > 1 ? .matches : .features
        guard let architecture else { return whole }
        let task = try EncoderTask.of(architecture, among: tasks + [.features])
        return task == .features ? whole : task
    }

    /// States of one tower, f32 [batch, n, width].
    private struct States {
        let tower: Tower
        let inputs: [ValueID]
        let x: ValueID
        func pooled(in g: inout ModelGraph) throws -> ValueID { try tower.pooled(x, inputs, in: &g) }
        func embeds(in g: inout ModelGraph) throws -> ValueID { try tower.embedding(try pooled(in: &g), in: &g) }
    }

    /// The result of a task for one tower.
    private func result(_ task: EncoderTask, _ states: States, in g: inout ModelGraph) throws -> (name: String, value: ValueID) {
        switch task {
        case .features: return ("last_hidden_state", states.x)
        case .pooler: return ("pooler_output", try states.pooled(in: &g))
        case .pictures: return ("logits", try g.linear(try labelled(states.x, in: &g), "classifier", states.tower.config.layers.width, labels, bias: true))
        case .imageEmbeds: return ("image_embeds", try states.embeds(in: &g))
        case .textEmbeds: return ("text_embeds", try states.embeds(in: &g))
        default: throw task.refused(among: tasks)
        }
    }

    /// What the classifier takes, f32 [batch, width].
    private func labelled(_ x: ValueID, in g: inout ModelGraph) throws -> ValueID {
        switch family.labelled {
        case .first: return try g.first(x)
        case .mean(let first): return try g.reduce(.mean, try g.slice(x, axis: 1, start: Extent(first), size: g.shape(x)[1] - Extent(first)), [1], keep: false)
        }
    }

    /// Scores of all pairs, cosines times a scale.
    private func matches(_ states: [States], in g: inout ModelGraph) throws -> [(name: String, value: ValueID)] {
        let embeds = try states.map { (isPicture: $0.tower.form.readsPictures, value: try g.unitVectors(try $0.embeds(in: &g))) }
        guard let pictures = embeds.first(where: { $0.isPicture })?.value, let texts = embeds.first(where: { !$0.isPicture })?.value else { throw EncoderTask.matches.refused(among: tasks) }
        let scale = try g.unary(.exp, try g.parameter("logit_scale", family.scores.scaleShape))
        g.provenance = ["logits"]
        var scores = try g.mul(try g.matmul(texts, try g.transpose(pictures, [1, 0])), scale)
        if family.scores.hasBias { scores = try g.add(scores, try g.parameter("logit_bias", family.scores.scaleShape)) }
        return [("logits_per_image", try g.transpose(scores, [1, 0])), ("logits_per_text", scores), ("text_embeds", texts), ("image_embeds", pictures)]
    }
}
