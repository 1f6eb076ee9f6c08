import CGlmcABI
import Foundation
import Testing

/// The choice of the next token, against the definitions and published numbers.
@Suite struct SamplingTests {
    static func options(_ set: (inout glmc_sampling) -> Void) -> glmc_sampling {
        var options = glmc_sampling()
        options.size = UInt32(MemoryLayout<glmc_sampling>.size)
        set(&options)
        return options
    }

    static func sample(_ options: glmc_sampling, _ logits: [Float], draw: UInt64 = 0, seen: [Int32] = []) -> Int {
        var options = options, room = [glmc_scored](repeating: glmc_scored(), count: logits.count)
        return Int(glmc_sample(&options, draw, logits, Int64(logits.count), seen, UInt64(seen.count), &room))
    }

    /// The first numbers of splitmix64 from two seeds, as its authors' program prints them.
    @Test func drawsTheNumbersOfSplitmix64() {
        #expect(glmc_uniform(0, 0) == Double(0xe220_a839_7b1d_cdaf as UInt64 >> 11) / 0x1p53)
        let published: [UInt64] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        for (draw, number) in published.enumerated() { #expect(glmc_uniform(1_234_567, UInt64(draw)) == Double(number >> 11) / 0x1p53) }
    }

    @Test func takesTheMostProbableWithoutTemperature() {
        let greedy = Self.options { _ in }
        #expect(Self.sample(greedy, [0.5, 3, -1, 3]) == 1)
        #expect(Self.sample(greedy, [.nan, -.infinity, -7, .nan]) == 2)
        #expect(Self.sample(greedy, [.nan, .nan]) == 0)
        // 4 / 2 < 3, and −1 · 2 < −1.5.
        let penalty = Self.options { $0.repeat_penalty = 2 }
        #expect(Self.sample(penalty, [4, 3, 1], seen: [0, 0]) == 1)
        #expect(Self.sample(penalty, [-1, -1.5, -9], seen: [0]) == 1)
    }

    struct Draw: Sendable {
        var topK = 0, topP: Float = 1, minP: Float = 0, temperature: Float = 1
        /// In proportion.
        let expected: [Double]
    }

    static let draws: [Draw] = [
        Draw(expected: [10, 50, 15, 25]), Draw(topK: 2, expected: [0, 50, 0, 25]), Draw(topP: 0.6, expected: [0, 50, 0, 25]),
        Draw(topP: 0.49, expected: [0, 50, 0, 0]), Draw(minP: 0.25, expected: [0, 50, 15, 25]), Draw(topK: 3, topP: 0.8, expected: [0, 50, 0, 25]),
        Draw(topK: 3, minP: 0.4, expected: [0, 50, 0, 25]), Draw(topK: 1, expected: [0, 50, 0, 0]), Draw(temperature: 0.5, expected: [100, 2500, 225, 625]),
    ]

    /// Which tokens can come, and how often: of probabilities of 0.1, 0.5, 0.15 and 0.25.
    @Test(arguments: draws) func drawsInProportion(_ draw: Draw) {
        let options = Self.options { ($0.temperature, $0.top_k, $0.top_p, $0.min_p, $0.seed) = (draw.temperature, Int32(draw.topK), draw.topP, draw.minP, 42) }
        let sum = draw.expected.reduce(0, +), expected = draw.expected.map { $0 / sum }
        let logits = [0.1, 0.5, 0.15, 0.25].map { Float(log($0)) + 3 }
        var counts = [0, 0, 0, 0]
        let draws = 20_000
        for draw in 0..<draws { counts[Self.sample(options, logits, draw: UInt64(draw))] += 1 }
        for (count, share) in zip(counts, expected) {
            // Five standard deviations of a binomial distribution.
            #expect(abs(Double(count) - share * Double(draws)) <= 5 * (Double(draws) * share * (1 - share)).squareRoot(), "\(counts) for \(expected)")
        }
    }

    /// The nucleus and the k best of many scores, against sorting.
    @Test func findsTheBestOfMany() {
        var state: UInt64 = 9
        let logits = (0..<3000).map { _ -> Float in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40) / Float(1 << 21)
        }
        let order = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }
        let weights = order.map { exp(Double(logits[$0])) }, total = weights.reduce(0, +)
        var sum = 0.0, size = 0
        while sum < 0.3 * total { (sum, size) = (sum + weights[size], size + 1) }
        let nucleus = order.prefix(size)
        for draw in 0..<200 as Range<UInt64> {
            #expect(order.prefix(40).contains(Self.sample(Self.options { ($0.temperature, $0.top_k) = (1, 40) }, logits, draw: draw)))
            #expect(nucleus.contains(Self.sample(Self.options { ($0.temperature, $0.top_p) = (1, 0.3) }, logits, draw: draw)))
        }
    }
}

/// Prompts of conversations, written out by hand.
@Suite struct ChatFramingTextTests {
    @Test func framesConversations() {
        var memory: [UnsafeMutablePointer<CChar>?] = []
        defer { memory.forEach { free($0) } }
        func c(_ text: String) -> UnsafePointer<CChar>? {
            memory.append(strdup(text))
            return memory.last.flatMap { UnsafePointer($0) }
        }
        var framing = glmc_framing()
        framing.size = UInt32(MemoryLayout<glmc_framing>.size)
        framing.trims = (2, 3, 0)
        (framing.opening, framing.system_prefix, framing.system_suffix) = (c("<"), c("S("), c(")<"))
        (framing.user_prefix, framing.user_suffix, framing.assistant_prefix) = (c("<"), c(">;"), c("A:"))
        (framing.assistant_suffix, framing.answer, framing.reasoning_end) = (c("|"), c("A:"), c("</t>"))
        func prompt(_ system: String?, _ contents: [String]) -> String {
            var text = [CChar](repeating: 0, count: 200)
            let count = glmc_frame_chat(&framing, system, contents.map(c), UInt32(contents.count), &text, 199)
            return String(decoding: text.prefix(max(Int(count), 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        #expect(prompt(nil, [" \u{3000}hi\u{a0}\n"]) == "<hi>;A:")
        #expect(prompt(" be brief \n", ["a", " b </t>\n\n c ", "d e"]) == "S( be brief)<a>;A: c |<d e>;A:")
    }
}
