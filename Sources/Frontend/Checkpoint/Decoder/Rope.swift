#if canImport(Glibc)
import Glibc
#endif
import GlmcIR

/// Rotary positions: which elements of a head are rotated, and how fast (Su et al. 2021). At position p, pair i turns by p·frequencies[i]; where positions
/// have several axes (time, height and width of pictures; Wang et al. 2024, M-RoPE), by that on axis axes[i].
struct Rope: Hashable {
    /// Pairs are elements 2i and 2i+1 instead of i and i + width/2.
    var isInterleaved: Bool
    var frequencies: [Double]
    /// θ: before any scaling, frequency i of n/2 is θ^(−2i/n).
    var base = 1.0
    /// The axis of every pair; empty: positions have one.
    var axes: [Int] = []
    /// The frequencies of sequences that are longer than some number of positions.
    var long: Long?
    /// What cosines and sines are multiplied with.
    var factor = 1.0
    /// What scores are multiplied with where a family heeds it (latent attention).
    var scoreFactor = 1.0

    /// Elements at the front of a head that are rotated.
    var width: Int { 2 * frequencies.count }

    struct Long: Hashable {
        var frequencies: [Double]
        var beyond: Int
    }
}

/// What a configuration says about rotary positions as a whole: `rope_parameters`, which may tell layers with a window from others, or, in
/// older files, `rope_theta`, `rope_scaling` and `partial_rotary_factor`.
struct RopeConfig {
    /// Elements of a head that could be rotated.
    let head: Int
    /// Positions that the model was made for.
    let longest: Int
    let isInterleaved: Bool
    private let mayBePartial: Bool
    private let sections: [Int]
    /// What holds where an object of parameters does not say.
    private let theta: Double
    private let part: Double
    private let original: Int?
    private let parameters: ConfigReader?
    private let localTheta: Double?

    /// - Parameter head: elements of a head that could be rotated.
    init(_ c: inout ConfigReader, head: Int, longest: Int, form: RotaryForm) throws {
        (self.head, self.longest, isInterleaved, mayBePartial, sections) = (head, longest, form.isInterleaved, form.mayBePartial, form.sections)
        theta = try c.positive("rope_theta") * form.thetaScale
        part = try c.optionalPositive("partial_rotary_factor") ?? 1
        original = try c.optionalSize("original_max_position_embeddings", in: 1...1 << 31)
        localTheta = try form.localTheta.map { try c.positive($0) }
        let new = try c.optionalObject("rope_parameters"), old = try c.optionalObject("rope_scaling")
        guard new == nil || old == nil else {
            throw Diagnostic(.invalid, "gives both 'rope_parameters' and 'rope_scaling'", at: c.place, hint: "keep the one that the model was made with")
        }
        parameters = new ?? old
    }

    /// The positions of layers that see everything (`sliding` false) or have a window.
    func rope(sliding: Bool) throws -> Rope {
        guard var nested = parameters, nested.has("full_attention") || nested.has("sliding_attention") else {
            return try sliding ? localTheta.map { try rope(nil, $0) } ?? rope(parameters, theta) : rope(parameters, theta)
        }
        let full = try nested.optionalObject("full_attention"), local = try nested.optionalObject("sliding_attention")
        try nested.finish()
        return try sliding ? rope(local, localTheta ?? theta) : rope(full, theta)
    }

    private func rope(_ object: ConfigReader?, _ theta: Double) throws -> Rope {
        guard var c = object else {
            let frequencies = try frequencies(theta, part, at: ["config.json"])
            return Rope(isInterleaved: isInterleaved, frequencies: frequencies, axes: try axes(sections, of: frequencies.count, at: ["config.json"]))
        }
        let theta = try c.optionalPositive("rope_theta") ?? theta
        let base = try frequencies(theta, c.optionalPositive("partial_rotary_factor") ?? part, at: c.place)
        // The older name of the key is 'type'; some files have both.
        let kind = try c.optionalText("rope_type"), old = try c.optionalText("type"), name = kind ?? old ?? "default"
        guard let scaling = Self.scalings[name] else {
            let known = Self.scalings.keys.sorted().joined(separator: ", ")
            throw Diagnostic(.unsupported, "rotary positions of type '\(name)' are not supported", at: c.place, hint: "supported: \(known)")
        }
        var rope = Rope(isInterleaved: isInterleaved, frequencies: base, base: theta)
        try scaling(&rope, &c, self)
        // Of models that take text only, positions are equal on all axes.
        let own = try c.optionalList("mrope_section", "whole numbers from 0 to \(head)") { $0.int.flatMap { (0...head).contains($0) ? $0 : nil } }
        if !sections.isEmpty { rope.axes = try axes(own ?? sections, of: base.count, at: c.place) }
        try c.finish()
        return rope
    }

    /// θ^(−2i/n), of n = part·head elements.
    private func frequencies(_ theta: Double, _ part: Double, at place: [String]) throws -> [Double] {
        guard part == 1 || mayBePartial else {
            throw Diagnostic(.unsupported, "'partial_rotary_factor' is \(part), and models of this type rotate whole heads", at: place)
        }
        let width = part <= 1 ? Int(Double(head) * part) : 0
        guard width > 0, width % 2 == 0 else { throw Diagnostic(.invalid, "\(part) of a head of \(head) elements cannot be rotated in pairs", at: place) }
        return Self.frequencies(theta, width)
    }

    /// θ^(−2i/n), of n elements.
    static func frequencies(_ theta: Double, _ width: Int) -> [Double] { (0..<width / 2).map { pow(theta, -2 * Double($0) / Double(width)) } }

    /// The axis of each of `count` pairs: sections of them belong to time, height and width in turn.
    private func axes(_ sections: [Int], of count: Int, at place: [String]) throws -> [Int] {
        guard sections.isEmpty || sections.reduce(0, +) == count else {
            throw Diagnostic(.invalid, "'mrope_section' divides \(sections.reduce(0, +)) pairs, and heads have \(count) that are rotated", at: place)
        }
        return sections.enumerated().flatMap { Array(repeating: $0 % 3, count: $1) }
    }

    // MARK: Scaling

    private typealias Scaling = @Sendable (inout Rope, inout ConfigReader, RopeConfig) throws -> Void

    /// How frequencies are changed for contexts longer than those a model was trained on, by `rope_type`.
    private static let scalings: [String: Scaling] = [
        "default": { _, c, _ in
            // Some files name the factor that has no effect.
            _ = c.value("factor")
        },
        "linear": { rope, c, _ in
            let factor = try c.positive("factor")
            rope.frequencies = rope.frequencies.map { $0 / factor }
        },
        "llama3": { try $2.llama3(&$0, &$1) },
        "yarn": { try $2.yarn(&$0, &$1) },
        "longrope": { try $2.longRope(&$0, &$1) },
        "su": { try $2.longRope(&$0, &$1) },
    ]

    /// Positions of the original training: where the object does not say, the configuration or the model's own length do.
    private func originalLength(_ c: inout ConfigReader) throws -> Int {
        let own = try c.optionalSize("original_max_position_embeddings", in: 1...1 << 31)
        return original ?? own ?? longest
    }

    /// Long waves are slowed down by a factor, short ones stay, and between them it is interpolated (Llama 3.1).
    private func llama3(_ rope: inout Rope, _ c: inout ConfigReader) throws {
        let factor = try c.positive("factor"), low = try c.positive("low_freq_factor"), high = try c.positive("high_freq_factor")
        guard low < high else { throw Diagnostic(.invalid, "low_freq_factor \(low) is not below high_freq_factor \(high)", at: c.place) }
        let length = Double(try originalLength(&c))
        rope.frequencies = rope.frequencies.map { frequency in
            let turns = length * frequency / (2 * Double.pi)
            let keep = min(max((turns - low) / (high - low), 0), 1)
            return keep * frequency + (1 - keep) * frequency / factor
        }
    }

    /// Pairs that turn often over the original length keep their frequency, those that turn seldom are slowed down, with a linear ramp
    /// between; scores are sharpened (Peng et al. 2023).
    private func yarn(_ rope: inout Rope, _ c: inout ConfigReader) throws {
        let length = Double(try originalLength(&c)), factor = try c.optionalPositive("factor") ?? Double(longest) / length
        let fast = try c.optionalPositive("beta_fast") ?? 32, slow = try c.optionalPositive("beta_slow") ?? 1
        let cuts = try c.value("truncate") == nil || c.flag("truncate")
        let width = Double(rope.width)
        guard rope.base > 1 else { throw Diagnostic(.invalid, "gives yarn a base that is not above 1", at: c.place) }
        let decay = 2 * log(rope.base) / width
        func pair(turning turns: Double) -> Double { log(length / (turns * 2 * Double.pi)) / decay }
        var (first, last) = (pair(turning: fast), pair(turning: slow))
        if cuts { (first, last) = (first.rounded(.down), last.rounded(.up)) }
        (first, last) = (max(first, 0), min(last, width - 1))
        if first == last { last += 0.001 }
        rope.frequencies = rope.frequencies.enumerated().map { i, frequency in
            let slowed = min(max((Double(i) - first) / (last - first), 0), 1)
            return frequency / factor * slowed + frequency * (1 - slowed)
        }
        func sharpness(_ weight: Double) -> Double { factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1 }
        let scale = try c.optionalNumber("mscale") ?? 0, everywhere = try c.optionalNumber("mscale_all_dim") ?? 0
        let inferred = scale != 0 && everywhere != 0 ? sharpness(scale) / sharpness(everywhere) : sharpness(1)
        rope.factor = try c.optionalPositive("attention_factor") ?? inferred
        if everywhere != 0 { rope.scoreFactor = sharpness(everywhere) * sharpness(everywhere) }
    }

    /// Every pair has a factor of its own, another one where the sequence is longer than the original length (Ding et al. 2024).
    private func longRope(_ rope: inout Rope, _ c: inout ConfigReader) throws {
        let length = try originalLength(&c), factor = try c.optionalPositive("factor") ?? Double(longest) / Double(length)
        func scaled(_ key: String, _ c: inout ConfigReader) throws -> [Double] {
            let factors = try c.optionalList(key, count: rope.frequencies.count, "positive numbers") { $0.double.flatMap { $0 > 0 ? $0 : nil } }
            guard let factors else { throw c.bad(key, "a list of \(rope.frequencies.count) numbers", nil) }
            return zip(rope.frequencies, factors).map { $0 / $1 }
        }
        let long = try scaled("long_factor", &c)
        rope.frequencies = try scaled("short_factor", &c)
        rope.long = Rope.Long(frequencies: long, beyond: length)
        let inferred = factor <= 1 || length <= 1 ? 1 : (1 + log(factor) / log(Double(length))).squareRoot()
        rope.factor = try c.optionalPositive("attention_factor") ?? inferred
    }
}
